//! The `Link` header (RFC 8288) by which Okta names the next page.

use http::{HeaderMap, header::LINK};
use url::Url;

use crate::http::Target;

/// What an answer says about the pages of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// No link at all. Okta names at least the page itself, so a proxy may have dropped the header.
    None,
    /// Links, none of which is to a next page: this is the last one.
    Last,
    /// The address of the next page, as it was written.
    Next(String),
    /// A header that cannot be read; whether there is a next page is unknown.
    Unreadable,
}

/// Reads all `Link` headers: several lines, or folded into one with commas.
pub(crate) fn read(headers: &HeaderMap) -> Links {
    let mut found = Links::None;
    for value in headers.get_all(LINK) {
        let Ok(text) = value.to_str() else { return Links::Unreadable };
        let Some(links) = parse(text) else { return Links::Unreadable };
        for (address, relations) in links {
            if relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next")) {
                return Links::Next(address);
            }
            found = Links::Last;
        }
    }
    found
}

/// `<address>; rel="self", <address>; rel="next"` as pairs of address and relations. Commas and semicolons inside `<>`
/// and inside quotes separate nothing. `None` when the text is of another form.
fn parse(text: &str) -> Option<Vec<(String, String)>> {
    let mut links = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (address, after) = rest.strip_prefix('<')?.split_once('>')?;
        let (parameters, after) = split_outside_quotes(after, ',');
        links.push((address.trim().to_owned(), relation(parameters)?));
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    Some(links)
}

/// The value of `rel` among `; name=value; …`; empty when there is none.
fn relation(parameters: &str) -> Option<String> {
    let mut rest = parameters.trim();
    while !rest.is_empty() {
        let (parameter, after) = split_outside_quotes(rest.strip_prefix(';')?, ';');
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.trim().eq_ignore_ascii_case("rel") {
            return Some(value.trim().trim_matches('"').to_owned());
        }
        rest = if after.is_empty() { after } else { &rest[rest.len() - after.len() - 1..] };
    }
    Some(String::new())
}

/// Text before and after the first separator that is not inside quotes.
fn split_outside_quotes(text: &str, separator: char) -> (&str, &str) {
    let mut quoted = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            other if other == separator && !quoted => return (&text[..at], &text[at + separator.len_utf8()..]),
            _ => {}
        }
    }
    (text, "")
}

/// The next page on our own host.
///
/// Only path and query are taken from the link: its host is Okta's canonical one, which need not be the one we call, and
/// a token must not follow a header to wherever it points. The path has to be that of the list. Our own parameters that
/// the link lost are added again (until 2026.08 Okta lost `expand`); where it has them, its own win.
pub(crate) fn graft(link: &str, list: &Target, own: &[(&'static str, String)]) -> Option<Target> {
    // The base serves links without a host only; nothing is ever called by it.
    let url = Url::parse("https://okta.invalid").ok()?.join(&list.path).ok()?.join(link).ok()?;
    if url.path() != list.path {
        return None;
    }
    let named: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    let missing: Vec<(&str, String)> =
        own.iter().filter(|(name, _)| !named.iter().any(|known| known == name)).cloned().collect();
    let next = Target { path: list.path.clone(), query: url.query().map(str::to_owned) };
    Some(if missing.is_empty() { next } else { next.with(&missing) })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn links(values: &[&str]) -> Links {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LINK, HeaderValue::from_str(value).unwrap());
        }
        read(&headers)
    }

    #[test]
    fn the_next_page_is_found_however_the_header_is_written() {
        let next = |address: &str| Links::Next(address.to_owned());
        let own = r#"<https://a/x?limit=2>; rel="self""#;
        for (values, expected) in [
            (vec![], Links::None),
            (vec![""], Links::None),
            (vec![own], Links::Last),
            (vec![own, r#"<https://a/x?after=1>; rel="next""#], next("https://a/x?after=1")),
            (vec![r#"<https://a/x?after=1>; rel="next""#, own], next("https://a/x?after=1")),
            (vec![r#"<https://a/x?l=2>; rel="self", <https://a/x?after=1>; rel="next""#], next("https://a/x?after=1")),
            (vec![r#"<https://a/x?after=1>; rel="next",<https://a/x>; rel="self""#], next("https://a/x?after=1")),
            (vec![r#"<https://a/x?f=a,b;c&after=1>; rel="next""#], next("https://a/x?f=a,b;c&after=1")),
            (vec!["<https://a/x?after=1>;rel=next"], next("https://a/x?after=1")),
            (vec![r#"<https://a/x?after=1> ; title="a, b; c" ; REL="Next prefetch""#], next("https://a/x?after=1")),
            (vec![r#"<https://a/x?q=rel="next">; rel="self""#], Links::Last),
            (vec![r#"<https://a/x>; title="next""#], Links::Last),
            (vec![r#"<https://a/x?after=1; rel="next""#], Links::Unreadable),
            (vec!["https://a/x; rel=next"], Links::Unreadable),
            (vec![own, "garbage"], Links::Unreadable),
        ] {
            assert_eq!(links(&values), expected, "{values:?}");
        }
    }

    fn grafted(link: &str) -> Option<String> {
        let list = Target::new(&["api", "v1", "apps", "0oa1", "users"]).unwrap();
        graft(link, &list, &[("limit", "500".to_owned()), ("expand", "user".to_owned())]).map(|target| {
            assert_eq!(target.path, list.path);
            target.query.unwrap()
        })
    }

    #[test]
    fn parameters_that_the_link_lost_come_back_and_its_own_win() {
        let base = "https://acme.okta.com/api/v1/apps/0oa1/users";
        assert_eq!(
            grafted(&format!("{base}?after=16275000448691&limit=500")).unwrap(),
            "after=16275000448691&limit=500&expand=user"
        );
        assert_eq!(grafted(&format!("{base}?after=1&expand=user&limit=50")).unwrap(), "after=1&expand=user&limit=50");
        assert_eq!(grafted(&format!("{base}?after=a%2Bb%3D")).unwrap(), "after=a%2Bb%3D&limit=500&expand=user");
        assert_eq!(
            grafted("/api/v1/apps/0oa1/users?after=1&limit=500&expand=user").unwrap(),
            "after=1&limit=500&expand=user"
        );
        assert_eq!(grafted("?after=1").unwrap(), "after=1&limit=500&expand=user");
    }

    #[test]
    fn the_host_of_a_link_is_of_no_account_and_another_path_is_refused() {
        assert_eq!(
            grafted("https://evil.example/api/v1/apps/0oa1/users?after=1").unwrap(),
            "after=1&limit=500&expand=user"
        );
        for link in [
            "https://acme.okta.com/api/v1/apps/0oa2/users?after=1",
            "https://acme.okta.com/api/v1/users?after=1",
            "https://acme.okta.com/api/v1/apps/0oa1/users/../../0oa2/users?after=1",
            "//evil.example?after=1",
            "javascript:alert(1)",
            "https://[",
        ] {
            assert_eq!(grafted(link), None, "{link}");
        }
    }
}
