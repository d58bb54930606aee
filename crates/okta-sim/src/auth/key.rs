//! Keys that the org makes: the client's key pair for the ready line, and the key that signs access tokens.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::jwt::thumbprint;
use crate::error::OktaSimError;

/// The kind of key pair that the org makes for its API Services app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// RSA, 2048 bits; what every SDK of the vendor can use.
    #[default]
    Rsa,
    /// EC on P-256.
    Ec,
}

/// A private key as PEM and its public half as a JWK whose `kid` is the RFC 7638 thumbprint.
#[derive(Clone)]
pub(crate) struct ClientKey {
    pub pem: String,
    pub jwk: Value,
}

impl ClientKey {
    /// The key id.
    pub fn kid(&self) -> &str {
        self.jwk.get("kid").and_then(Value::as_str).unwrap_or("")
    }

    /// A key pair of this kind. RSA keys are made once a process: they cost a good part of a second, and what a
    /// simulated org guards with them is worth nothing.
    pub fn make(kind: KeyKind) -> Result<Self, OktaSimError> {
        static RSA: OnceLock<ClientKey> = OnceLock::new();
        match kind {
            KeyKind::Ec => Self::ec(),
            KeyKind::Rsa => {
                if let Some(key) = RSA.get() {
                    return Ok(key.clone());
                }
                let key = Self::rsa()?;
                Ok(RSA.get_or_init(|| key).clone())
            }
        }
    }

    fn rsa() -> Result<Self, OktaSimError> {
        let pair = rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_| OktaSimError::Key)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| OktaSimError::Key)?;
        let public = pair.public_key();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Ok(Self::assemble(
            der.as_ref(),
            json!({
                "kty": "RSA", "alg": "RS256", "use": "sig",
                "n": encode(public.modulus().big_endian_without_leading_zero()),
                "e": encode(public.exponent().big_endian_without_leading_zero()),
            }),
        ))
    }

    fn ec() -> Result<Self, OktaSimError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| OktaSimError::Key)?;
        let der = pair.to_pkcs8v1().map_err(|_| OktaSimError::Key)?;
        Ok(Self::assemble(der.as_ref(), ec_jwk(&pair)))
    }

    fn assemble(der: &[u8], mut jwk: Value) -> Self {
        jwk["kid"] = thumbprint(&jwk).unwrap_or_default().into();
        jwk["status"] = "ACTIVE".into();
        Self { pem: pem("PRIVATE KEY", der), jwk }
    }
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientKey({})", self.kid())
    }
}

fn ec_jwk(pair: &EcdsaKeyPair) -> Value {
    let point = pair.public_key().as_ref();
    let (x, y) = point.get(1..).unwrap_or(&[]).split_at(point.len() / 2);
    json!({
        "kty": "EC", "alg": "ES256", "use": "sig", "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    })
}

/// PEM text of some DER (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    let text = STANDARD.encode(der);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

/// The key that signs access tokens.
pub(crate) struct SigningKey {
    pair: EcdsaKeyPair,
    jwk: Value,
}

impl SigningKey {
    pub fn make() -> Result<Self, OktaSimError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| OktaSimError::Key)?;
        let mut jwk = ec_jwk(&pair);
        jwk["kid"] = thumbprint(&jwk).unwrap_or_default().into();
        Ok(Self { pair, jwk })
    }

    /// The public half.
    pub fn public(&self) -> &Value {
        &self.jwk
    }

    /// A compact JWS over some claims.
    pub fn sign(&self, claims: &Value) -> Option<String> {
        let header = json!({
            "kid": self.jwk["kid"], "typ": "application/okta-internal-at+jwt", "alg": "ES256",
        });
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.jwk["kid"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::jwt::Jwt;

    #[test]
    fn a_signed_token_verifies_with_the_public_half() {
        let key = SigningKey::make().unwrap();
        let other = SigningKey::make().unwrap();
        let token = key.sign(&json!({ "sub": "me" })).unwrap();
        let jwt = Jwt::parse(&token).unwrap();
        assert!(jwt.signed_by(key.public()));
        assert!(!jwt.signed_by(other.public()));
    }

    #[test]
    fn private_keys_are_not_shown() {
        let key = ClientKey::make(KeyKind::Ec).unwrap();
        assert!(key.pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
}
