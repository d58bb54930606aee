//! Who calls, read from the client certificate.

use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};

use crate::Refusal;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// No client certificate.
    Nobody,
    /// A user or bot, with the roles that its certificate names.
    User { name: String, roles: Vec<String> },
    /// A host with a system role.
    System { role: String, name: String, host_id: String },
}

impl Caller {
    /// Reads a certificate that TLS has verified. Certificates of a host CA (known by its key id) belong to system roles.
    pub(crate) fn from_certificate(der: &[u8], host_ids: &[Vec<u8>]) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Self::Nobody };
        let issued_by_hosts = certificate.extensions().iter().any(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                id.key_identifier.as_ref().is_some_and(|id| host_ids.iter().any(|known| known == id.0))
            }
            _ => false,
        });
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            attribute.as_str().unwrap_or_default().to_owned()
        };
        let name = certificate.subject().iter_common_name().next().map(text).unwrap_or_default();
        let roles: Vec<String> = certificate.subject().iter_organization().map(text).collect();
        if issued_by_hosts {
            let host_id = name.split('.').next().unwrap_or_default().to_owned();
            Self::System { role: roles.into_iter().next().unwrap_or_default(), name, host_id }
        } else {
            Self::User { name, roles }
        }
    }

    /// The name that the server writes into logs and `created_by`.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Nobody => "",
            Self::User { name, .. } | Self::System { name, .. } => name,
        }
    }

    /// Whether this is the built-in role `Okta`.
    pub(crate) fn is_okta_service(&self) -> bool {
        matches!(self, Self::System { role, .. } if role == "Okta")
    }

    /// Refuses whoever came without a certificate.
    pub(crate) fn known(&self) -> Result<(), Refusal> {
        if *self == Self::Nobody { Err(Refusal::access_denied("access denied")) } else { Ok(()) }
    }
}
