//! A company's HTTP proxy on the way out, as `HTTPS_PROXY` and `NO_PROXY` name it: it is asked to `CONNECT`, and passes bytes on.

use std::{env, net::IpAddr};

use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use url::Url;

use crate::{
    address::Address,
    route::{DialError, Stream},
};

/// An answer to `CONNECT` is not longer than this.
const LARGEST_HEAD: usize = 16 * 1024;

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpProxy {
    address: Address,
    /// `Basic …`; secret.
    authorization: Option<String>,
}

impl std::fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpProxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl HttpProxy {
    /// The proxy that the environment (`HTTPS_PROXY`, `NO_PROXY`, either in small letters) prescribes for `target`. Loopback is never proxied.
    #[must_use]
    pub fn from_environment(target: &Address) -> Option<Self> {
        let variable = |name: &str| {
            let value = env::var(name).or_else(|_| env::var(name.to_lowercase())).unwrap_or_default();
            Some(value).filter(|value| !value.trim().is_empty())
        };
        let exempt = variable("NO_PROXY").is_some_and(|list| exempt(&list, target));
        if is_loopback(target.host()) || exempt {
            return None;
        }
        let url = variable("HTTPS_PROXY")?;
        let proxy = Self::parse(&url);
        if proxy.is_none() {
            tracing::warn!("HTTPS_PROXY is set, but is no http:// URL; it is not used");
        }
        proxy
    }

    /// Reads `http://[user:password@]host[:port]`.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let url = Url::parse(&with_scheme).ok().filter(|url| url.scheme() == "http")?;
        let address = Address::parse(&format!("{}:{}", url.host_str()?, url.port_or_known_default()?)).ok()?;
        let authorization = (!url.username().is_empty()).then(|| {
            let plain = format!("{}:{}", url.username(), url.password().unwrap_or_default());
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain))
        });
        Some(Self { address, authorization })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Asks for a connection to `target` over `stream`.
    pub(crate) async fn connect(&self, mut stream: Stream, target: &Address) -> Result<Stream, DialError> {
        let refused = |detail: String| DialError::HttpProxy(format!("the HTTP proxy {} {detail}", self.address));
        let authorization =
            self.authorization.as_ref().map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
        stream.write_all(head.as_bytes()).await.map_err(|error| refused(error.to_string()))?;
        // Byte by byte: what follows the head belongs to the other side.
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == LARGEST_HEAD {
                return Err(refused("answers without an end".into()));
            }
            answer.push(stream.read_u8().await.map_err(|error| refused(error.to_string()))?);
        }
        let answer = String::from_utf8_lossy(&answer);
        let line = answer.lines().next().unwrap_or_default();
        if line.split(' ').nth(1) == Some("200") { Ok(stream) } else { Err(refused(format!("answers {line:?}"))) }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether the list in `NO_PROXY` names the target: `*`, a domain (with all below it), an address, a network, each with or without a port.
fn exempt(list: &str, target: &Address) -> bool {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.starts_with('[') => match port.parse::<u16>() {
                Ok(port) => (name, Some(port)),
                Err(_) => (entry, None),
            },
            _ => (entry, None),
        };
        port.is_none_or(|port| port == target.port()) && names_host(name.trim_matches(['[', ']']), target.host())
    })
}

fn names_host(entry: &str, host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return match entry.split_once('/') {
            Some((network, bits)) => match (network.parse(), bits.parse()) {
                (Ok(network), Ok(bits)) => is_within(address, network, bits),
                _ => false,
            },
            None => entry.parse() == Ok(address),
        };
    }
    let (entry, host) = (entry.to_lowercase(), host.to_lowercase());
    let domain = entry.trim_start_matches('*').trim_start_matches('.');
    let below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    below || (host == domain && !entry.starts_with(['.', '*']))
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let same = |a: u128, b: u128, width: u32| bits == 0 || (bits <= width && (a ^ b) >> (width - bits) == 0);
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_read_as_elsewhere() {
        let is = |list: &str, target: &str| exempt(list, &Address::parse(target).unwrap());
        for (list, target) in [
            ("*", "t.example.com:443"),
            ("example.com", "t.example.com:443"),
            ("example.com", "example.com:443"),
            (".example.com, x", "t.example.com:443"),
            ("*.example.com", "t.example.com:443"),
            ("T.Example.com:443", "t.example.com:443"),
            ("10.0.0.0/8", "10.1.2.3:3025"),
            ("10.1.2.3", "10.1.2.3:3025"),
            ("fd00::/8", "[fd00::1]:3025"),
            ("[fd00::1]:3025", "[fd00::1]:3025"),
            ("svc,cluster.local", "teleport.teleport.svc.cluster.local:443"),
        ] {
            assert!(is(list, target), "{list} {target}");
        }
        for (list, target) in [
            ("", "t.example.com:443"),
            ("ample.com", "t.example.com:443"),
            (".example.com", "example.com:443"),
            ("t.example.com:3080", "t.example.com:443"),
            ("10.0.0.0/8", "11.1.2.3:3025"),
            ("10.0.0.0/99", "10.1.2.3:3025"),
        ] {
            assert!(!is(list, target), "{list} {target}");
        }
    }

    #[test]
    fn a_proxys_url_is_read_and_its_password_not_shown() {
        let proxy = HttpProxy::parse("http://me:secret@proxy:3128").unwrap();
        assert_eq!(proxy.address.to_string(), "proxy:3128");
        assert_eq!(proxy.authorization.as_deref(), Some("Basic bWU6c2VjcmV0"));
        assert!(!format!("{proxy:?}").contains("bWU6"), "P16");
        assert_eq!(HttpProxy::parse("proxy.example.com:8080").unwrap().address.to_string(), "proxy.example.com:8080");
        assert_eq!(HttpProxy::parse("http://proxy").unwrap().address.to_string(), "proxy:80");
        assert!(HttpProxy::parse("socks5://proxy:1").is_none());
    }
}
