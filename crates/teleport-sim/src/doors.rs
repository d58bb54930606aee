//! TLS of each door: the Auth Service's own, the Proxy's web side, and a balancer before the Proxy that takes the protocol names away.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};

use crate::{
    TeleportSimError,
    clock::Clock,
    identity::Pki,
    key::{Key, KeyKind},
};

/// TLS of each door.
#[derive(Debug)]
pub(crate) struct Doors {
    /// The Auth Service: certificate from the host CA, callers from Teleport's authorities or without a certificate.
    pub(crate) auth: Arc<ServerConfig>,
    /// The Proxy's web side.
    pub(crate) web: Arc<ServerConfig>,
    /// A balancer before the Proxy: it knows no protocol names.
    pub(crate) balancer: Arc<ServerConfig>,
}

impl Doors {
    /// Everything judges by the simulator's clock.
    pub(crate) fn new(pki: &Pki, kind: KeyKind, clock: &Clock) -> Result<Self, TeleportSimError> {
        let (certificate, key) = pki.server(kind, clock.now())?;
        let chain = vec![certificate, pki.hosts.certificate().to_vec()];
        let auth = config(pki, clock, true, chain, &key, &["h2", "http/1.1"])?;
        let (certificate, key) = pki.web_server(clock.now())?;
        let chain = vec![certificate];
        let names = ["h2", "http/1.1", "teleport-proxy-grpc", "teleport-reversetunnel"];
        let web = config(pki, clock, false, chain.clone(), &key, &names)?;
        let balancer = config(pki, clock, false, chain, &key, &[])?;
        Ok(Self { auth: Arc::new(auth), web: Arc::new(web), balancer: Arc::new(balancer) })
    }
}

fn config(
    pki: &Pki,
    clock: &Clock,
    asks_for_clients: bool,
    chain: Vec<Vec<u8>>,
    key: &Key,
    protocols: &[&str],
) -> Result<ServerConfig, TeleportSimError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = if asks_for_clients {
        let mut roots = RootCertStore::empty();
        for authority in pki.trusted() {
            roots.add(CertificateDer::from(authority.certificate().to_vec()))?;
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
    } else {
        WebPkiClientVerifier::no_client_auth()
    };
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.pkcs8()));
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(clock.clone()))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}
