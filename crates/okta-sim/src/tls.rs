//! The org's certificates: a throw-away CA, and a server certificate that it signed.

use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::error::OktaSimError;

/// A certificate authority that nobody else trusts.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    hosts: Vec<String>,
    config: RwLock<Arc<ServerConfig>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

fn validity(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
}

impl Authority {
    /// Makes a CA and the first server certificate, for these names and addresses.
    pub fn new(hosts: Vec<String>) -> Result<Self, OktaSimError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "okta-sim throw-away CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        validity(&mut params);
        let certificate = params.self_signed(&key)?;
        let pem = certificate.pem();
        let der = certificate.der().clone();
        let issuer = Issuer::new(params, key);
        let config = Arc::new(server_config(&issuer, &der, &hosts)?);
        Ok(Self { issuer, certificate: der, pem, hosts, config: RwLock::new(config) })
    }

    /// The CA's certificate as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The server configuration in force.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the server certificate by a fresh one of the same CA; new connections get it.
    pub fn renew(&self) -> Result<(), OktaSimError> {
        let fresh = server_config(&self.issuer, &self.certificate, &self.hosts)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(())
    }

    /// Replaces the server certificate by one of a CA that clients do not know: they must refuse it.
    pub fn turn_foreign(&self) -> Result<(), OktaSimError> {
        let foreign = Self::new(self.hosts.clone())?.config();
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = foreign;
        Ok(())
    }
}

fn server_config(
    issuer: &Issuer<'static, KeyPair>,
    authority: &CertificateDer<'static>,
    hosts: &[String],
) -> Result<ServerConfig, OktaSimError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(hosts.to_vec())?;
    let name = hosts.first().map_or("localhost", String::as_str);
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // OpenSSL's strict checks want it.
    params.use_authority_key_identifier_extension = true;
    validity(&mut params);
    let certificate = params.signed_by(&key, issuer)?;
    let chain = vec![certificate.der().clone(), authority.clone()];
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
