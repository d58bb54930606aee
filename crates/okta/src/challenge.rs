//! The `WWW-Authenticate` header (RFC 9110 §11.6.1), where Okta says why a token was not taken.
//!
//! Such answers have no body at all: scheme, `error`, `error_description` and `scope` stand in this header only.

use http::{HeaderMap, header::WWW_AUTHENTICATE};

/// One challenge of a `WWW-Authenticate` header, as far as it is of use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// `Bearer` or `DPoP`.
    pub scheme: String,
    /// Such as `insufficient_scope`, `invalid_token`, `invalid_dpop_proof`.
    pub error: Option<String>,
    /// In words.
    pub description: Option<String>,
    /// The scope that the call needs.
    pub scope: Option<String>,
}

/// The first challenge that names an error, else the first one.
pub(crate) fn read(headers: &HeaderMap) -> Option<Challenge> {
    let mut challenges: Vec<Challenge> =
        headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).flat_map(parse).collect();
    let telling = challenges.iter().position(|challenge| challenge.error.is_some()).unwrap_or(0);
    (telling < challenges.len()).then(|| challenges.swap_remove(telling))
}

/// Splits one header value into its challenges.
///
/// A challenge is `scheme name=value, name=value, …`; challenges themselves are separated by commas as well, so a word
/// followed by a blank instead of `=` begins the next one.
fn parse(value: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = value.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = if let Some(after) = after.trim_start().strip_prefix('=') {
            let (text, after) = parameter(after.trim_start());
            if let Some(challenge) = found.last_mut() {
                challenge.set(word, text);
            }
            after
        } else {
            found.push(Challenge { scheme: word.to_owned(), ..Challenge::default() });
            after
        }
        .trim_start_matches([' ', ',', '\t']);
    }
    found
}

/// The value of one parameter, a token or a quoted string, and what follows it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, character) in quoted.char_indices() {
        match character {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (value, &quoted[at + 1..]),
            other => {
                value.push(other);
                escaped = false;
            }
        }
    }
    (value, "")
}

impl Challenge {
    fn set(&mut self, name: &str, value: String) {
        match name.to_ascii_lowercase().as_str() {
            "error" => self.error = Some(value),
            "error_description" => self.description = Some(value),
            "scope" => self.scope = Some(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn challenge(value: &str) -> Challenge {
        read(&HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap())])).unwrap()
    }

    #[test]
    fn a_missing_scope_is_named() {
        let found = challenge(
            r#"Bearer authorization_uri="http://acme.okta.com/oauth2/v1/authorize", realm="http://acme.okta.com", scope="okta.groups.read", error="insufficient_scope", error_description="The access token provided does not contain the required scopes.", resource="/api/v1/groups/00g1""#,
        );
        assert_eq!(found.scheme, "Bearer");
        assert_eq!(found.error.as_deref(), Some("insufficient_scope"));
        assert_eq!(found.scope.as_deref(), Some("okta.groups.read"));
        assert_eq!(
            found.description.as_deref(),
            Some("The access token provided does not contain the required scopes.")
        );
    }

    #[test]
    fn a_refused_proof_is_named() {
        let found = challenge(
            r#"DPoP algs="RS256 RS384 RS512 ES256 ES384 ES512", authorization_uri="http://x/oauth2/v1/authorize", realm="http://x", scope="okta.apps.read", error="invalid_dpop_proof", error_description="'htu' claim in the DPoP proof JWT is invalid.", resource="/api/v1/apps""#,
        );
        assert_eq!(found.scheme, "DPoP");
        assert_eq!(found.error.as_deref(), Some("invalid_dpop_proof"));
        assert_eq!(found.description.as_deref(), Some("'htu' claim in the DPoP proof JWT is invalid."));
    }

    #[test]
    fn the_challenge_that_tells_something_is_taken() {
        assert_eq!(challenge(r#"Basic realm="a, b", DPoP error=use_dpop_nonce"#).error.unwrap(), "use_dpop_nonce");
        assert_eq!(challenge("Negotiate").scheme, "Negotiate");
        assert_eq!(challenge(r#"Bearer error="say \"no\"", scope="#).error.unwrap(), "say \"no\"");
        assert_eq!(challenge(r#"Bearer error="never ends"#).error.unwrap(), "never ends");
        assert_eq!(read(&HeaderMap::new()), None);
    }
}
