//! Who speaks on a connection, and whom they trust: somebody with an identity, or somebody who has yet to join.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::identity::{Identity, IdentityError};

/// Who speaks.
#[derive(Clone)]
pub(crate) enum Party {
    /// Somebody with an identity, who trusts its authorities.
    Known(Box<Identity>),
    /// Somebody without, who trusts these authorities.
    Joining { cluster: String, authorities: Vec<CertificateDer<'static>> },
    /// Somebody without, who has nobody to trust yet. Only for asking a server for the cluster's authority, which is then held against a pin.
    Asking { cluster: String },
}

impl Party {
    /// Name of the cluster; empty when it is not known yet.
    pub(crate) fn cluster(&self) -> &str {
        match self {
            Self::Known(identity) => identity.cluster(),
            Self::Joining { cluster, .. } | Self::Asking { cluster } => cluster,
        }
    }

    /// Whom the certificate names.
    pub(crate) fn user(&self) -> &str {
        match self {
            Self::Known(identity) => identity.user(),
            Self::Joining { .. } | Self::Asking { .. } => "somebody who has yet to join",
        }
    }

    /// Whether the certificate, if there is one, holds at `now`.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), IdentityError> {
        match self {
            Self::Known(identity) => identity.check(now),
            Self::Joining { .. } | Self::Asking { .. } => Ok(()),
        }
    }

    pub(crate) fn certified_key(&self) -> Option<Arc<CertifiedKey>> {
        match self {
            Self::Known(identity) => Some(identity.certified_key()),
            Self::Joining { .. } | Self::Asking { .. } => None,
        }
    }

    /// Puts into a TLS configuration whom it trusts.
    pub(crate) fn trust(
        &self,
        builder: ConfigBuilder<ClientConfig, rustls::WantsVerifier>,
    ) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, IdentityError> {
        let authorities = match self {
            Self::Known(identity) => identity.authorities(),
            Self::Joining { authorities, .. } => authorities,
            Self::Asking { .. } => {
                let anybody = Anybody(aws_lc_rs::default_provider());
                return Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(anybody)));
            }
        };
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(|error| IdentityError::Authority(error.to_string()))?;
        }
        Ok(builder.with_root_certificates(roots))
    }
}

/// Takes every certificate that bears the right name, so that a Proxy or a balancer that answers for itself is told from an Auth Service. What is
/// learned over such a connection is worth nothing until it is held against a pin.
#[derive(Debug)]
struct Anybody(CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
