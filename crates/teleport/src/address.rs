//! Where Teleport is.

use std::fmt;

use crate::error::TeleportError;

/// Port of a Proxy when the address names none.
const PROXY_PORT: u16 = 443;

/// Host and port of a Proxy or an Auth Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Reads `host:port`, `host` (port 443), or either behind `https://`. An IPv6 address stands in brackets.
    ///
    /// # Errors
    /// [`TeleportError::Address`].
    pub fn parse(text: &str) -> Result<Self, TeleportError> {
        let bad = |why| TeleportError::Address { address: text.to_owned(), why };
        let rest = text.trim();
        let rest = rest.strip_prefix("https://").unwrap_or(rest);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains("//") || rest.contains('/') {
            return Err(bad("it is a URL with another scheme or with a path"));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(|| bad("a bracket is missing"))?;
                (host, port.strip_prefix(':').or(port.is_empty().then_some("")).ok_or_else(|| bad("no port follows"))?)
            }
            None if rest.matches(':').count() > 1 => return Err(bad("an IPv6 address must stand in brackets")),
            None => rest.split_once(':').unwrap_or((rest, "")),
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(bad("it names no host"));
        }
        let port = match port {
            "" => PROXY_PORT,
            port => port.parse().ok().filter(|port| *port != 0).ok_or_else(|| bad("the port is not a number"))?,
        };
        Ok(Self { host: host.to_owned(), port })
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_the_forms_that_people_write() {
        for (text, read) in [
            ("teleport.example.com:443", "teleport.example.com:443"),
            ("teleport.example.com", "teleport.example.com:443"),
            ("https://teleport.example.com/", "teleport.example.com:443"),
            (" https://teleport.example.com:3080 ", "teleport.example.com:3080"),
            ("10.0.0.1:3025", "10.0.0.1:3025"),
            ("[::1]:3025", "[::1]:3025"),
            ("[::1]", "[::1]:443"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), read, "{text}");
        }
        for text in ["", ":3025", "a:b", "a:0", "a:99999", "::1", "[::1", "[::1]x", "http://a:1", "a/b", "https://a/b"]
        {
            assert!(matches!(Address::parse(text), Err(TeleportError::Address { .. })), "{text}");
        }
    }
}
