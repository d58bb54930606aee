//! Proofs of possession (RFC 9449): a token that is bound to a key is of no use to who finds it.

use serde::Serialize;
use url::Url;
use uuid::Uuid;

use crate::{
    jws,
    key::{KeyError, KeyKind, PrivateKey, PublicJwk, sha256_base64url},
};

/// Whether tokens are bound to a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dpop {
    /// When Okta demands it; found out by asking.
    #[default]
    Auto,
    /// Always; a token that is not bound is refused.
    Required,
    /// Never; fails when the app demands it.
    Disabled,
}

/// The key that tokens are bound to: made when this program starts, never stored, and another one than the key that
/// signs assertions.
pub(crate) struct Prover(PrivateKey);

#[derive(Serialize)]
struct Header<'a> {
    typ: &'static str,
    alg: &'static str,
    jwk: &'a PublicJwk,
}

#[derive(Serialize)]
struct Claims<'a> {
    htm: &'static str,
    htu: &'a str,
    iat: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
}

/// What one proof is for.
pub(crate) struct Purpose<'a> {
    /// `GET` or `POST`.
    pub(crate) method: &'static str,
    /// The address that is called; query and fragment do not matter (RFC 9449 §4.2).
    pub(crate) url: &'a Url,
    /// Seconds since the Unix epoch by Okta's clock.
    pub(crate) now: i64,
    /// The nonce that Okta asked for last.
    pub(crate) nonce: Option<&'a str>,
    /// The access token that is shown beside the proof; `None` at the token endpoint.
    pub(crate) token: Option<&'a str>,
}

impl Prover {
    /// A new key (P-256).
    pub(crate) fn new() -> Result<Self, KeyError> {
        PrivateKey::generate(KeyKind::P256).map(Self)
    }

    /// A proof for one request.
    pub(crate) fn prove(&self, purpose: &Purpose) -> Result<String, KeyError> {
        let mut target = purpose.url.clone();
        target.set_query(None);
        target.set_fragment(None);
        let header = Header { typ: "dpop+jwt", alg: self.0.algorithm().as_str(), jwk: self.0.public_half() };
        let claims = Claims {
            htm: purpose.method,
            htu: target.as_str(),
            iat: purpose.now,
            jti: Uuid::new_v4().to_string(),
            nonce: purpose.nonce,
            ath: purpose.token.map(token_hash),
        };
        jws::sign(&self.0, &header, &claims)
    }
}

/// `ath` (RFC 9449 §4.2).
fn token_hash(token: &str) -> String {
    sha256_base64url(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, jwk::Jwk};
    use serde_json::{Value, json};

    use super::*;

    fn proved(purpose: &Purpose) -> (Value, Value) {
        let proof = Prover::new().unwrap().prove(purpose).unwrap();
        let header = serde_json::from_slice::<Value>(&jws::decode(proof.split('.').next().unwrap()).unwrap()).unwrap();
        let jwk: Jwk = serde_json::from_value(header["jwk"].clone()).unwrap();
        let mut rules = Validation::new(jsonwebtoken::Algorithm::ES256);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        let claims =
            jsonwebtoken::decode::<Value>(&proof, &DecodingKey::from_jwk(&jwk).unwrap(), &rules).unwrap().claims;
        (header, claims)
    }

    #[test]
    fn the_hash_of_a_token_is_that_of_rfc_9449_section_7_1() {
        let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        assert_eq!(token_hash(token), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    }

    #[test]
    fn a_proof_shows_its_public_key_only_and_names_the_address_without_query() {
        let url = Url::parse("https://acme.okta.com/api/v1/apps/0oa1/users?after=x&limit=500#y").unwrap();
        let (header, mut claims) = proved(&Purpose { method: "GET", url: &url, now: 7, nonce: None, token: Some("t") });
        assert_eq!(header["typ"], "dpop+jwt");
        assert_eq!(header["alg"], "ES256");
        let members: Vec<&String> = header["jwk"].as_object().unwrap().keys().collect();
        assert_eq!(members, ["crv", "kty", "x", "y"]);
        assert_eq!(claims["jti"].take().as_str().unwrap().len(), 36);
        let expected = json!({"htm": "GET", "htu": "https://acme.okta.com/api/v1/apps/0oa1/users", "iat": 7,
                              "jti": null, "ath": token_hash("t")});
        assert_eq!(claims, expected);
    }

    #[test]
    fn a_proof_for_the_token_endpoint_has_the_nonce_and_no_hash() {
        let url = Url::parse("https://acme.okta.com/oauth2/v1/token").unwrap();
        let (_, claims) = proved(&Purpose { method: "POST", url: &url, now: 7, nonce: Some("n"), token: None });
        assert_eq!(claims["nonce"], "n");
        assert!(claims.get("ath").is_none());
    }
}
