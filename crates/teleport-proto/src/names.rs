//! Names on the TLS layer: what a server's certificate says, and how a proxy is told where to pass the stream.

/// Present in the certificate of every Teleport server; the name to verify when the cluster's name is not known.
pub const API_DOMAIN: &str = "teleport.cluster.local";

/// ALPN of gRPC.
pub const ALPN_H2: &str = "h2";

/// `<hex of the cluster name>.teleport.cluster.local`: the form of a cluster's name that fits DNS.
#[must_use]
pub fn encoded_cluster(cluster: &str) -> String {
    use std::fmt::Write as _;

    let mut name = String::with_capacity(cluster.len() * 2 + 1 + API_DOMAIN.len());
    for byte in cluster.bytes() {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.push('.');
    name.push_str(API_DOMAIN);
    name
}

/// The ALPN by which a proxy passes a TLS stream through to the Auth Service of `cluster`. It must be offered before [`ALPN_H2`]: with `h2` first
/// one lands on the proxy's own certificate.
#[must_use]
pub fn auth_alpn(cluster: &str) -> String {
    format!("teleport-auth@{}", encoded_cluster(cluster))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_name_becomes_hex_below_the_api_domain() {
        assert_eq!(encoded_cluster("a.b"), "612e62.teleport.cluster.local");
        assert_eq!(auth_alpn("acme"), "teleport-auth@61636d65.teleport.cluster.local");
    }
}
