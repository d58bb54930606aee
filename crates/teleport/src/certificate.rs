//! What Teleport writes into X.509 certificates.

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};

/// Attribute of a certificate's subject that carries the cluster's name (Teleport's own arc, 1.3.9999).
const CLUSTER_NAME_OID: &str = "1.3.9999.1.7";

/// What an X.509 certificate says.
pub(crate) struct Facts {
    /// The subject's common name: a user, or `<host id>.<cluster>`.
    pub(crate) user: String,
    /// The subject's organizations.
    pub(crate) roles: Vec<String>,
    /// From Teleport's own attribute.
    pub(crate) cluster: Option<String>,
    /// From the issuer: Teleport's authorities are named after their cluster.
    pub(crate) issuer: Option<String>,
    pub(crate) from: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) is_authority: bool,
}

impl Facts {
    pub(crate) fn read(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (rest, certificate) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        if !rest.is_empty() {
            return Err("there are bytes behind its end".into());
        }
        let subject = certificate.subject();
        let instant = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|error| error.to_string())
        };
        Ok(Self {
            user: first(subject.iter_common_name()).unwrap_or_default(),
            roles: subject.iter_organization().filter_map(|role| role.as_str().ok()).map(str::to_owned).collect(),
            cluster: cluster_attribute(subject),
            issuer: first(certificate.issuer().iter_organization())
                .or_else(|| first(certificate.issuer().iter_common_name())),
            from: instant(certificate.validity().not_before)?,
            expires: instant(certificate.validity().not_after)?,
            is_authority: certificate.is_ca(),
        })
    }
}

fn first<'a>(mut attributes: impl Iterator<Item = &'a x509_parser::x509::AttributeTypeAndValue<'a>>) -> Option<String> {
    attributes.find_map(|attribute| attribute.as_str().ok()).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn cluster_attribute(subject: &X509Name<'_>) -> Option<String> {
    first(subject.iter_attributes().filter(|attribute| attribute.attr_type().to_id_string() == CLUSTER_NAME_OID))
}

/// The public key (SPKI, DER) of a certificate.
pub(crate) fn public_key_info(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.public_key().raw.to_vec())
}
