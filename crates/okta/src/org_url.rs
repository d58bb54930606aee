//! The address of an Okta organisation: one host, over https, nothing else.

use std::{fmt, str::FromStr};

use url::{Host, Url};

/// Where Okta serves organisations (first label is the organisation's own).
const OKTA_SUFFIXES: [&str; 8] = [
    "okta.com",
    "oktapreview.com",
    "okta-emea.com",
    "okta-gov.com",
    "okta.mil",
    "okta-miltest.com",
    "trex-govcloud.com",
    "trexcloud.com",
];

/// Base address of an organisation, normalised once: lower-case host, no trailing slash, no path.
///
/// One host serves token, `aud`, `htu` and API, so every address this program calls is made from this value; nothing
/// that an answer says can move a call to another host.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OrgUrl(Url);

/// Why a text is not the address of an organisation, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrgUrlError {
    /// Nothing there.
    #[error("the org URL is empty")]
    Empty,
    /// A placeholder such as `{yourOktaDomain}` from a guide.
    #[error("the org URL still holds the placeholder {0:?} of a guide")]
    Placeholder(String),
    /// Not a URL at all.
    #[error("{0:?} is not a URL")]
    NotUrl(String),
    /// No `https://` in front.
    #[error("{0:?} has no scheme")]
    NoScheme(String),
    /// Another scheme than https.
    #[error("the org URL has the scheme {0:?}")]
    Scheme(String),
    /// `https://https://…`.
    #[error("the org URL holds `://` twice")]
    Doubled,
    /// `user:password@`.
    #[error("the org URL holds a user name or password")]
    UserInfo,
    /// A port on a host that is not this machine.
    #[error("the org URL names port {0}")]
    Port(u16),
    /// A path, such as that of the Admin Console.
    #[error("the org URL has the path {0:?}")]
    Path(String),
    /// The issuer of an authorization server.
    #[error("{0:?} is the issuer of an authorization server, not the address of an organisation")]
    Issuer(String),
    /// `?…` or `#…`.
    #[error("the org URL has a query or a fragment")]
    Query,
    /// Address of the Admin Console.
    #[error("{0} is the address of the Admin Console")]
    AdminConsole(String),
    /// `.com.com` and the like.
    #[error("{0} ends in a doubled domain")]
    DoubledDomain(String),
    /// Okta's own domain without an organisation, or a host without a dot.
    #[error("{0} does not name an organisation")]
    NoOrganisation(String),
}

impl OrgUrlError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Empty | Self::NotUrl(_) | Self::NoOrganisation(_) | Self::Placeholder(_) => {
                "Write the address of your organisation, such as https://acme.okta.com; Okta's Admin Console shows it \
                 in the menu under your name (top right)."
                    .to_owned()
            }
            Self::NoScheme(text) => format!("Write https://{text}."),
            Self::Scheme(_) => "Okta is reached over https only; begin the address with https://.".to_owned(),
            Self::Doubled => "Write https:// once.".to_owned(),
            Self::UserInfo => {
                "Leave out user name and password; the credential is the client ID with its key.".to_owned()
            }
            Self::Port(_) => "Leave out the port; Okta is served on 443. Only addresses of this machine (localhost, \
                              127.0.0.1, [::1], *.localhost, *.test) may name one."
                .to_owned(),
            Self::Path(_) | Self::Query => {
                "Write scheme and host only, such as https://acme.okta.com, without what follows the host.".to_owned()
            }
            Self::Issuer(_) => "Write scheme and host only. Scopes for Okta's own API come from the organisation's \
                                authorization server; a custom authorization server cannot give them."
                .to_owned(),
            Self::AdminConsole(host) => {
                format!("Remove -admin: https://{}.", host.replacen("-admin.", ".", 1))
            }
            Self::DoubledDomain(host) => {
                format!("Write https://{}.", host.rsplit_once('.').map_or(host.as_str(), |(front, _)| front))
            }
        }
    }
}

impl OrgUrl {
    /// Reads an address as a person writes it.
    ///
    /// Okta's own hosts (workforce, preview, EMEA, government) and custom domains are taken. A port is taken on
    /// addresses of this machine only.
    pub fn parse(text: &str) -> Result<Self, OrgUrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(OrgUrlError::Empty);
        }
        if text.contains(['{', '}', '<', '>', '$']) {
            return Err(OrgUrlError::Placeholder(text.to_owned()));
        }
        match text.matches("://").count() {
            0 => return Err(OrgUrlError::NoScheme(text.to_owned())),
            1 => {}
            _ => return Err(OrgUrlError::Doubled),
        }
        let url = Url::parse(text).map_err(|_| OrgUrlError::NotUrl(text.to_owned()))?;
        if url.scheme() != "https" {
            return Err(OrgUrlError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OrgUrlError::UserInfo);
        }
        let host = check_host(&url)?;
        check_rest(&url)?;
        if let (Some(port), false) = (url.port(), is_local(&host)) {
            return Err(OrgUrlError::Port(port));
        }
        let origin = match url.port() {
            Some(port) => format!("https://{host}:{port}/"),
            None => format!("https://{host}/"),
        };
        Url::parse(&origin).map(Self).map_err(|_| OrgUrlError::NotUrl(text.to_owned()))
    }

    /// The host, lower case, without port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Address of a path on this organisation, such as `/oauth2/v1/token`, exactly as `aud` and `htu` have to show it:
    /// one slash between host and path, no query, no fragment.
    #[must_use]
    pub fn endpoint(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }

    /// The token endpoint of the organisation's own authorization server.
    #[must_use]
    pub fn token_endpoint(&self) -> Url {
        self.endpoint("/oauth2/v1/token")
    }

    /// Whether the address is one of this machine (simulators and tests).
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_local(self.host())
    }
}

/// The host in normal form, or why it cannot be one of an organisation.
fn check_host(url: &Url) -> Result<String, OrgUrlError> {
    let host = match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.').to_ascii_lowercase(),
        Some(other) => other.to_string(),
        None => return Err(OrgUrlError::NotUrl(url.to_string())),
    };
    if is_local(&host) || !matches!(url.host(), Some(Host::Domain(_))) {
        return Ok(host);
    }
    let labels: Vec<&str> = host.split('.').collect();
    if let [.., above, last] = labels.as_slice()
        && above == last
    {
        return Err(OrgUrlError::DoubledDomain(host));
    }
    if labels.len() < 2 || labels.iter().any(|label| label.is_empty()) {
        return Err(OrgUrlError::NoOrganisation(host));
    }
    for suffix in OKTA_SUFFIXES {
        let organisation = match host.strip_suffix(suffix) {
            Some("") => return Err(OrgUrlError::NoOrganisation(host)),
            Some(front) => front.strip_suffix('.'),
            None => None,
        };
        match organisation {
            Some("www" | "login" | "developer" | "help" | "support" | "admin") => {
                return Err(OrgUrlError::NoOrganisation(host));
            }
            Some(name) if name.ends_with("-admin") => return Err(OrgUrlError::AdminConsole(host)),
            _ => {}
        }
    }
    Ok(host)
}

/// Refuses what people paste after the host.
fn check_rest(url: &Url) -> Result<(), OrgUrlError> {
    let path = url.path().trim_end_matches('/');
    if path.starts_with("/oauth2") {
        return Err(OrgUrlError::Issuer(path.to_owned()));
    }
    if !path.is_empty() {
        return Err(OrgUrlError::Path(path.to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(OrgUrlError::Query);
    }
    Ok(())
}

/// RFC 6761 names and loopback addresses.
fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        || host == "localhost"
        || host.rsplit_once('.').is_some_and(|(_, last)| matches!(last, "localhost" | "test"))
}

impl FromStr for OrgUrl {
    type Err = OrgUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for OrgUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for OrgUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrgUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_okta_serves_is_taken_and_normalised() {
        for (text, normal) in [
            ("https://acme.okta.com", "https://acme.okta.com"),
            (" https://Acme.Okta.com/ ", "https://acme.okta.com"),
            ("https://acme.okta.com//", "https://acme.okta.com"),
            ("https://acme.okta.com:443", "https://acme.okta.com"),
            ("https://acme.okta.com.", "https://acme.okta.com"),
            ("https://acme.oktapreview.com", "https://acme.oktapreview.com"),
            ("https://acme.okta-emea.com", "https://acme.okta-emea.com"),
            ("https://acme.okta-gov.com", "https://acme.okta-gov.com"),
            ("https://acme.okta.mil", "https://acme.okta.mil"),
            ("https://integrator-1234567.okta.com", "https://integrator-1234567.okta.com"),
            ("https://login.acme.com", "https://login.acme.com"),
            ("https://corp-admin.example.com", "https://corp-admin.example.com"),
            ("https://oie-00.dne-okta.com", "https://oie-00.dne-okta.com"),
            ("https://127.0.0.1:8443", "https://127.0.0.1:8443"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://localhost:8443/", "https://localhost:8443"),
            ("https://acme.okta.localhost:1", "https://acme.okta.localhost:1"),
        ] {
            assert_eq!(OrgUrl::parse(text).unwrap().to_string(), normal, "{text}");
        }
    }

    #[test]
    fn what_people_paste_is_refused_with_a_hint() {
        type Error = OrgUrlError;
        type Row = (&'static str, fn(&Error) -> bool, &'static str);
        let table: [Row; 22] = [
            ("", |e| matches!(e, Error::Empty), "https://acme.okta.com"),
            ("https://{yourOktaDomain}", |e| matches!(e, Error::Placeholder(_)), "https://acme.okta.com"),
            ("https://${yourOktaDomain}/", |e| matches!(e, Error::Placeholder(_)), "https://acme.okta.com"),
            ("acme.okta.com", |e| matches!(e, Error::NoScheme(_)), "https://acme.okta.com"),
            ("http://acme.okta.com", |e| matches!(e, Error::Scheme(_)), "https"),
            ("https://https://acme.okta.com", |e| matches!(e, Error::Doubled), "once"),
            ("https://me:pw@acme.okta.com", |e| matches!(e, Error::UserInfo), "client ID"),
            ("https://acme.okta.com:8443", |e| matches!(e, Error::Port(8443)), "443"),
            ("https://10.0.0.7:8443", |e| matches!(e, Error::Port(8443)), "443"),
            ("https://acme.okta.com/admin/dashboard", |e| matches!(e, Error::Path(_)), "host only"),
            ("https://acme.okta.com/app/UserHome", |e| matches!(e, Error::Path(_)), "host only"),
            ("https://acme.okta.com/oauth2/default", |e| matches!(e, Error::Issuer(_)), "custom authorization server"),
            ("https://acme.okta.com/?x=1", |e| matches!(e, Error::Query), "host only"),
            ("https://acme.okta.com/#top", |e| matches!(e, Error::Query), "host only"),
            ("https://acme-admin.okta.com", |e| matches!(e, Error::AdminConsole(_)), "https://acme.okta.com."),
            ("https://acme-admin.oktapreview.com/", |e| matches!(e, Error::AdminConsole(_)), "acme.oktapreview.com"),
            ("https://acme.okta.com.com", |e| matches!(e, Error::DoubledDomain(_)), "https://acme.okta.com."),
            ("https://okta.com", |e| matches!(e, Error::NoOrganisation(_)), "acme"),
            ("https://login.okta.com", |e| matches!(e, Error::NoOrganisation(_)), "acme"),
            ("https://acme", |e| matches!(e, Error::NoOrganisation(_)), "acme.okta.com"),
            ("https://", |e| matches!(e, Error::NotUrl(_)), "acme"),
            ("https://ac me.okta.com", |e| matches!(e, Error::NotUrl(_)), "acme"),
        ];
        for (text, is, hint) in table {
            let error = OrgUrl::parse(text).unwrap_err();
            assert!(is(&error), "{text}: {error:?}");
            assert!(error.hint().contains(hint), "{text}: {}", error.hint());
        }
    }

    #[test]
    fn endpoints_have_one_slash_and_no_query() {
        for text in ["https://acme.okta.com", "https://acme.okta.com/"] {
            let org = OrgUrl::parse(text).unwrap();
            assert_eq!(org.token_endpoint().as_str(), "https://acme.okta.com/oauth2/v1/token");
        }
        let org = OrgUrl::parse("https://127.0.0.1:4").unwrap();
        assert_eq!(org.endpoint("/api/v1/apps/0oa1/users").as_str(), "https://127.0.0.1:4/api/v1/apps/0oa1/users");
    }
}
