//! Keys, in the forms in which Teleport and its users keep them.

use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};

use crate::{TeleportSimError, der};

/// Which kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// RSA of 2048 bits, which Teleport's "legacy" suite makes: the default of `tctl auth sign` and tbot up to the 17 line.
    #[default]
    Rsa,
    /// ECDSA on P-256.
    Ecdsa,
    /// Ed25519.
    Ed25519,
}

/// In which form a private key stands in an identity file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyForm {
    /// What Teleport writes for this kind: PKCS#1 for RSA, PKCS#8 for the others.
    #[default]
    Native,
    /// PKCS#8, `PRIVATE KEY`.
    Pkcs8,
    /// The oldest form of this kind: PKCS#1 (`RSA PRIVATE KEY`), SEC1 (`EC PRIVATE KEY`); PKCS#8 for Ed25519, which has no other.
    Traditional,
}

/// A private key with its public half.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) kind: KeyKind,
    pair: KeyPair,
}

const RSA_SHA256: [u32; 7] = [1, 2, 840, 113_549, 1, 1, 11];
const ECDSA_SHA256: [u32; 7] = [1, 2, 840, 10045, 4, 3, 2];
const ED25519: [u32; 4] = [1, 3, 101, 112];
const P256: [u32; 7] = [1, 2, 840, 10045, 3, 1, 7];

impl Key {
    pub(crate) fn generate(kind: KeyKind) -> Result<Self, TeleportSimError> {
        let pair = match kind {
            KeyKind::Rsa => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048),
            KeyKind::Ecdsa => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            KeyKind::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
        };
        Ok(Self { kind, pair: pair.map_err(|error| TeleportSimError::Key(error.to_string()))? })
    }

    /// Signs with SHA-256 (or Ed25519's own hash), in the form that X.509 takes.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TeleportSimError> {
        self.pair.sign(message).map_err(|error| TeleportSimError::Key(error.to_string()))
    }

    /// The `SubjectPublicKeyInfo`, DER.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// The private key as PKCS#8 DER.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        self.pair.serialize_der()
    }

    /// The `AlgorithmIdentifier` of signatures by this key.
    pub(crate) fn signature_algorithm(&self) -> Vec<u8> {
        match self.kind {
            KeyKind::Rsa => der::sequence(&[der::oid(&RSA_SHA256), der::null()]),
            KeyKind::Ecdsa => der::sequence(&[der::oid(&ECDSA_SHA256)]),
            KeyKind::Ed25519 => der::sequence(&[der::oid(&ED25519)]),
        }
    }

    /// The private key as PEM.
    pub(crate) fn pem(&self, form: KeyForm) -> Result<String, TeleportSimError> {
        match (self.kind, form) {
            (KeyKind::Rsa, KeyForm::Native | KeyForm::Traditional) => Ok(pem("RSA PRIVATE KEY", self.inner()?)),
            (KeyKind::Ecdsa, KeyForm::Traditional) => Ok(pem("EC PRIVATE KEY", &self.sec1()?)),
            _ => Ok(pem("PRIVATE KEY", &self.pkcs8())),
        }
    }

    /// What PKCS#8 wraps: for RSA, PKCS#1.
    fn inner(&self) -> Result<&[u8], TeleportSimError> {
        der::read_sequence(self.pair.serialized_der())
            .and_then(|parts| parts.get(2).copied())
            .ok_or(TeleportSimError::Malformed { what: "a private key", why: "it is not PKCS#8".to_owned() })
    }

    /// `ECPrivateKey` of RFC 5915 with the curve named, as OpenSSL writes it.
    fn sec1(&self) -> Result<Vec<u8>, TeleportSimError> {
        let inner = der::read_sequence(self.inner()?);
        let secret = inner
            .as_ref()
            .and_then(|parts| parts.get(1))
            .ok_or(TeleportSimError::Malformed { what: "a private key", why: "it is not an EC key".to_owned() })?;
        Ok(der::sequence(&[
            der::integer(&[1]),
            der::octet_string(secret),
            der::context(0, &der::oid(&P256)),
            der::context(1, &der::bit_string(self.pair.public_key_raw())),
        ]))
    }
}

/// PEM (RFC 7468) with lines of 64 characters.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;

    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut lines = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        lines.extend(line.iter().map(|byte| char::from(*byte)));
        lines.push('\n');
    }
    lines.push_str("-----END ");
    lines.push_str(label);
    lines.push_str("-----\n");
    lines
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};

    use super::*;

    #[test]
    fn each_kind_in_each_form_is_a_key_that_rustls_loads() {
        for kind in [KeyKind::Rsa, KeyKind::Ecdsa, KeyKind::Ed25519] {
            let key = Key::generate(kind).unwrap();
            for form in [KeyForm::Native, KeyForm::Pkcs8, KeyForm::Traditional] {
                let text = key.pem(form).unwrap();
                let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).unwrap();
                let loaded = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der).unwrap();
                assert_eq!(loaded.public_key().unwrap().as_ref(), key.public_der(), "{kind:?} {form:?}");
            }
        }
        assert!(
            Key::generate(KeyKind::Rsa)
                .unwrap()
                .pem(KeyForm::Native)
                .unwrap()
                .starts_with("-----BEGIN RSA PRIVATE KEY-----")
        );
    }
}
