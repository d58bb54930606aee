//! A key pair made here, in the forms in which joining asks for it.

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Name of the key's kind and curve in SSH (RFC 5656).
const SSH_KIND: &str = "ecdsa-sha2-nistp256";
const SSH_CURVE: &str = "nistp256";

/// An ECDSA key pair on P-256, which every version takes. `Debug` is not offered.
pub(crate) struct KeyPair {
    pkcs8: Vec<u8>,
    /// PKIX, DER.
    spki: Vec<u8>,
    /// SSH wire form.
    ssh: Vec<u8>,
}

impl KeyPair {
    pub(crate) fn generate() -> Result<Self, String> {
        let failed = |_| "no key pair can be made".to_owned();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).map_err(failed)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref())
            .map_err(|error| error.to_string())?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
        let mut ssh = Vec::new();
        for part in [SSH_KIND.as_bytes(), SSH_CURVE.as_bytes(), pair.public_key().as_ref()] {
            ssh.extend(u32::try_from(part.len()).unwrap_or_default().to_be_bytes());
            ssh.extend_from_slice(part);
        }
        Ok(Self { pkcs8: pkcs8.as_ref().to_vec(), spki: spki.as_ref().to_vec(), ssh })
    }

    /// The private key.
    pub(crate) fn private(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pkcs8.clone()).into()
    }

    /// PKIX, DER.
    pub(crate) fn public_der(&self) -> &[u8] {
        &self.spki
    }

    /// PKIX, PEM.
    pub(crate) fn public_pem(&self) -> String {
        let text = STANDARD.encode(&self.spki);
        let body = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    }

    /// SSH wire form.
    pub(crate) fn ssh_wire(&self) -> &[u8] {
        &self.ssh
    }

    /// One line of `authorized_keys`.
    pub(crate) fn ssh_line(&self) -> String {
        format!("{SSH_KIND} {}\n", STANDARD.encode(&self.ssh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_in_all_its_forms() {
        let key = KeyPair::generate().unwrap();
        // The DER of a P-256 key ends with the point that stands at the end of the SSH form.
        let point = &key.public_der()[key.public_der().len() - 65..];
        assert_eq!(point[0], 4, "uncompressed");
        assert!(key.ssh_wire().ends_with(point));
        assert_eq!(key.ssh_wire().len(), 4 + 19 + 4 + 8 + 4 + 65);
        assert!(key.ssh_line().starts_with("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABB"));
        assert!(key.public_pem().starts_with("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"));
        assert_ne!(key.public_der(), KeyPair::generate().unwrap().public_der());
    }
}
