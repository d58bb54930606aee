//! How a simulator is started.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use crate::{Edition, KeyKind, Lag, Version};

/// How a simulator is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the cluster.
    pub cluster: String,
    /// Local users that are there already, beside the presets.
    pub people: usize,
    /// The same seed makes the same local users.
    pub seed: u64,
    /// Where the Auth Service listens; port 0 for any free one.
    pub listen: SocketAddr,
    /// Where the admin port listens, plain HTTP; port 0 for any free one.
    pub admin_listen: SocketAddr,
    /// Where the Proxy listens; port 0 for any free one.
    pub proxy_listen: SocketAddr,
    /// Whether the Proxy passes streams through to the Auth Service by protocol name (the "multiplex" listener mode).
    pub tls_routing: bool,
    /// Line of versions.
    pub version: Version,
    /// Edition: whether `okta-requester` and the connector exist.
    pub edition: Edition,
    /// Name of the SAML connector; only the Enterprise edition has one.
    pub connector: String,
    /// Okta app that the connector's label names; empty: the connector has no such label.
    pub okta_app_id: String,
    /// How far the caches are behind.
    pub lag: Lag,
    /// Kind of the keys of authorities, servers and the two identities.
    pub keys: KeyKind,
    /// Where CA and identities are written; `None`: a folder of its own, removed when the simulator is dropped.
    pub directory: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            cluster: "teleport.sim".to_owned(),
            people: 0,
            seed: 1,
            listen: any,
            admin_listen: any,
            proxy_listen: any,
            tls_routing: true,
            version: Version::default(),
            edition: Edition::default(),
            connector: "okta".to_owned(),
            okta_app_id: String::new(),
            lag: Lag::default(),
            keys: KeyKind::default(),
            directory: None,
        }
    }
}
