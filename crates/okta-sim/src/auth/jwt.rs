//! Reading and verifying JSON Web Tokens (RFC 7515, 7518), written against the crypto library itself so that this side
//! shares no code, and no mistake, with a client.

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The algorithms that Okta takes, in the order in which it names them.
pub(crate) const ALGORITHMS: [&str; 6] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];

/// A token taken apart, not verified.
#[derive(Debug)]
pub(crate) struct Jwt {
    pub header: Map<String, Value>,
    pub claims: Map<String, Value>,
    signed: String,
    signature: Vec<u8>,
}

impl Jwt {
    /// Takes a compact JWS apart; `None` when it is not one whose two halves are JSON objects.
    pub fn parse(text: &str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let object = |part: &str| -> Option<Map<String, Value>> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signed: signed.to_owned(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// The algorithm, if it is one that Okta takes.
    pub fn algorithm(&self) -> Option<&'static str> {
        let named = self.header.get("alg")?.as_str()?;
        ALGORITHMS.into_iter().find(|alg| *alg == named)
    }

    /// A claim as text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// A claim as seconds since the epoch. `None` for anything but a number.
    pub fn seconds(&self, claim: &str) -> Option<i64> {
        let value = self.claims.get(claim)?;
        value.as_i64().or_else(|| {
            #[allow(clippy::cast_possible_truncation)] // a NumericDate may carry a fraction, which no rule looks at
            value.as_f64().map(|seconds| seconds.floor() as i64)
        })
    }

    /// Whether the signature is that of the key.
    pub fn signed_by(&self, jwk: &Value) -> bool {
        let Some(alg) = self.algorithm() else {
            return false;
        };
        let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
        let message = self.signed.as_bytes();
        if alg.starts_with("RS") {
            let (Some(n), Some(e)) = (part("n"), part("e")) else {
                return false;
            };
            let parameters = match alg {
                "RS256" => &RSA_PKCS1_2048_8192_SHA256,
                "RS384" => &RSA_PKCS1_2048_8192_SHA384,
                _ => &RSA_PKCS1_2048_8192_SHA512,
            };
            return RsaPublicKeyComponents { n, e }.verify(parameters, message, &self.signature).is_ok();
        }
        let (curve, algorithm): (&str, &'static signature::EcdsaVerificationAlgorithm) = match alg {
            "ES256" => ("P-256", &ECDSA_P256_SHA256_FIXED),
            "ES384" => ("P-384", &ECDSA_P384_SHA384_FIXED),
            _ => ("P-521", &ECDSA_P521_SHA512_FIXED),
        };
        let (Some(x), Some(y)) = (part("x"), part("y")) else {
            return false;
        };
        if jwk.get("crv").and_then(Value::as_str) != Some(curve) {
            return false;
        }
        let point: Vec<u8> = std::iter::once(4).chain(x).chain(y).collect();
        UnparsedPublicKey::new(algorithm, point).verify(message, &self.signature).is_ok()
    }
}

/// The RFC 7638 thumbprint of a public key; `None` for a key that is neither RSA nor EC.
pub(crate) fn thumbprint(jwk: &Value) -> Option<String> {
    let part = |name: &str| jwk.get(name).and_then(Value::as_str);
    let canonical = match part("kty")? {
        "RSA" => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, part("e")?, part("n")?),
        "EC" => format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, part("crv")?, part("x")?, part("y")?),
        _ => return None,
    };
    Some(sha256_base64(canonical.as_bytes()))
}

/// base64url, without padding, of the SHA-256 of some bytes.
pub(crate) fn sha256_base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let jwk = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        });
        assert_eq!(thumbprint(&jwk).unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn what_is_not_a_token_is_refused() {
        for text in ["", "a.b.c", "e30.e30", "e30.W10.AA", "e30.e30.!"] {
            assert!(Jwt::parse(text).is_none(), "{text}");
        }
        assert!(Jwt::parse("e30.e30.").is_some());
    }
}
