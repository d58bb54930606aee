//! The private key with which this program proves to Okta who it is (RFC 7523), and the keys it makes.

mod algorithm;
mod error;
mod jwk;
mod pem;

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};

pub use self::{
    algorithm::{Algorithm, Curve},
    error::KeyError,
    jwk::PublicJwk,
};
use crate::jws;

/// What kind of key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA of 2048 bits, signs with RS256. What Okta makes itself.
    Rsa2048,
    /// Elliptic curve P-256, signs with ES256.
    P256,
    /// Elliptic curve P-384, signs with ES384.
    P384,
    /// Elliptic curve P-521, signs with ES512.
    P521,
}

impl KeyKind {
    /// The kind of key that signs with `algorithm`.
    #[must_use]
    pub fn for_algorithm(algorithm: Algorithm) -> Self {
        match algorithm.curve() {
            None => Self::Rsa2048,
            Some(Curve::P256) => Self::P256,
            Some(Curve::P384) => Self::P384,
            Some(Curve::P521) => Self::P521,
        }
    }
}

/// A private key with the name (`kid`) under which Okta knows its public half.
///
/// Shown by `Debug` without anything secret.
#[derive(Clone)]
pub struct PrivateKey {
    material: Arc<Material>,
    public: PublicJwk,
    algorithm: Algorithm,
    kid: String,
}

/// The key itself.
enum Material {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, Curve),
}

impl PrivateKey {
    /// Reads a key as people keep it: PEM (PKCS#1 `RSA PRIVATE KEY`, SEC1 `EC PRIVATE KEY`, PKCS#8 `PRIVATE KEY`) or a
    /// private JWK (RFC 7517). RSA has 2048 to 8192 bits, EC is P-256, P-384 or P-521.
    ///
    /// The algorithm follows from the key: RS256, ES256, ES384, ES512, unless a JWK's `alg` says otherwise. The `kid` is
    /// the RFC 7638 thumbprint unless a JWK names one.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(text).map_err(|_| KeyError::Binary)?;
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.starts_with('{') { jwk::parse(text) } else { pem::parse(text) }
    }

    /// Makes a new key.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let curve = match kind {
            KeyKind::Rsa2048 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generation)?;
                return Self::from_material(Material::Rsa(pair));
            }
            KeyKind::P256 => Curve::P256,
            KeyKind::P384 => Curve::P384,
            KeyKind::P521 => Curve::P521,
        };
        let pair = EcdsaKeyPair::generate(curve.signing()).map_err(|_| KeyError::Generation)?;
        Self::from_material(Material::Ec(pair, curve))
    }

    /// The key with what follows from it.
    fn from_material(material: Material) -> Result<Self, KeyError> {
        let (algorithm, public) = match &material {
            Material::Rsa(pair) => {
                let (modulus, exponent) = (pair.public_key().modulus(), pair.public_key().exponent());
                let public = PublicJwk::rsa(
                    modulus.big_endian_without_leading_zero(),
                    exponent.big_endian_without_leading_zero(),
                );
                (Algorithm::Rs256, public)
            }
            Material::Ec(pair, curve) => {
                let public = PublicJwk::ec(*curve, pair.public_key().as_ref()).ok_or(KeyError::Generation)?;
                (curve.algorithm(), public)
            }
        };
        let kid = public.thumbprint();
        Ok(Self { material: Arc::new(material), public, algorithm, kid })
    }

    /// The same key, signing with another algorithm of its kind (RS256, RS384 or RS512 for RSA; a curve has one only).
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, KeyError> {
        let fits = match &*self.material {
            Material::Rsa(_) => algorithm.curve().is_none(),
            Material::Ec(_, curve) => algorithm.curve() == Some(*curve),
        };
        if !fits {
            return Err(KeyError::AlgorithmMismatch { algorithm, key: self.kind() });
        }
        self.algorithm = algorithm;
        Ok(self)
    }

    /// The same key under the name that Okta shows for it (`kid` in the app's list of public keys).
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = kid.into();
        self
    }

    /// The name that goes into the header of every assertion.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The kind of key, in words.
    fn kind(&self) -> &'static str {
        match &*self.material {
            Material::Rsa(_) => "RSA",
            Material::Ec(_, curve) => curve.name(),
        }
    }

    /// The public half as a JWK, with `kid`, `alg` and `use: sig`, ready to paste into Okta or to serve in a JWK set.
    #[must_use]
    pub fn public_jwk(&self) -> PublicJwk {
        self.public.clone().named(self.kid.clone(), self.algorithm)
    }

    /// The public half without name, as a DPoP proof shows it (RFC 9449 §4.2).
    pub(crate) fn public_half(&self) -> &PublicJwk {
        &self.public
    }

    /// The key as PKCS#8 PEM (RFC 7468 §10), to be kept in a Secret.
    pub fn to_pkcs8_pem(&self) -> Result<SecretString, KeyError> {
        let der = match &*self.material {
            Material::Rsa(pair) => pair.as_der().map_err(|_| KeyError::Generation)?.as_ref().to_vec(),
            Material::Ec(pair, _) => pair.to_pkcs8v1().map_err(|_| KeyError::Generation)?.as_ref().to_vec(),
        };
        let body = SecretString::from(STANDARD.encode(der));
        let mut pem = String::with_capacity(2048);
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        let mut rest = body.expose_secret();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(pem.into())
    }

    /// The key as text that [`PrivateKey::parse`] reads back as the same key: PKCS#8 PEM, or a private JWK for RS384 and RS512,
    /// because nothing in a PEM file says that an RSA key is meant for these.
    pub fn to_text(&self) -> Result<SecretString, KeyError> {
        match &*self.material {
            Material::Rsa(pair) if self.algorithm != Algorithm::Rs256 => jwk::private_rsa(pair, &self.public_jwk()),
            _ => self.to_pkcs8_pem(),
        }
    }

    /// Signature over `message` as JWS wants it (RFC 7518 §3.3 and §3.4: ECDSA as the two numbers, not as ASN.1).
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        match &*self.material {
            Material::Rsa(pair) => {
                let padding = self.algorithm.rsa_padding().ok_or(KeyError::Signing)?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).map_err(|_| KeyError::Signing)?;
                Ok(signature)
            }
            Material::Ec(pair, _) => Ok(pair.sign(&random, message).map_err(|_| KeyError::Signing)?.as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("kind", &self.kind())
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// The same key under the same name.
impl PartialEq for PrivateKey {
    fn eq(&self, other: &Self) -> bool {
        self.kid == other.kid && self.algorithm == other.algorithm && self.public == other.public
    }
}

impl Eq for PrivateKey {}

/// SHA-256, base64url without padding, as thumbprints (RFC 7638) and `ath` (RFC 9449) are written.
pub(crate) fn sha256_base64url(bytes: &[u8]) -> String {
    use sha2::Digest;
    jws::encode(sha2::Sha256::digest(bytes))
}

#[cfg(test)]
mod tests;
