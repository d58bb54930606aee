//! Provision tokens of the `kubernetes` method, and what a projected service account token must be to pass (reference §8, §16 E).

use std::collections::BTreeMap;

use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use serde::{Deserialize, Serialize};
use tonic::Code;

use crate::{Refusal, Version};

/// How the Auth Service verifies a service account token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KubernetesJoin {
    /// The Auth Service runs in the same cluster and asks for a `TokenReview`. Here the keys below stand in for that; audience and lifetime do not count.
    InCluster,
    /// By the keys below; the audience must hold the Teleport cluster's name and the lifetime be 30 minutes at most.
    #[default]
    StaticJwks,
}

/// A provision token of the `kubernetes` method. The admin port takes it as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProvisionToken {
    /// Its name.
    pub name: String,
    /// System role that it lets in: `Bot` or `Okta`.
    pub role: String,
    /// For `Bot`: the bot's name without `bot-`; left out: the operator's own.
    #[serde(default = "own_bot")]
    pub bot_name: String,
    /// How tokens are verified.
    #[serde(default)]
    pub kind: KubernetesJoin,
    /// Service accounts that it lets in, each `namespace:name`.
    pub allow: Vec<String>,
    /// JSON Web Key Set of the Kubernetes cluster, as `/openid/v1/jwks` of its API server answers it.
    pub jwks: String,
}

fn own_bot() -> String {
    crate::preset::BOT.to_owned()
}

/// All provision tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) by_name: BTreeMap<String, ProvisionToken>,
}

/// What a service account token claims.
#[derive(Debug, Deserialize)]
struct Claims {
    #[serde(default)]
    aud: Audience,
    exp: Option<i64>,
    iat: Option<i64>,
    #[serde(default)]
    sub: String,
    #[serde(rename = "kubernetes.io", default)]
    kubernetes: Kubernetes,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Audience {
    fn holds(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(many) => many.iter().any(|one| one == name),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
struct Kubernetes {
    pod: Option<Pod>,
}

#[derive(Debug, Deserialize)]
struct Pod {
    #[serde(default)]
    name: String,
}

/// Seconds by which clocks may differ.
const LEEWAY: i64 = 10;
/// Longest life of a service account token with [`KubernetesJoin::StaticJwks`], in seconds.
const LONGEST: i64 = 30 * 60;

impl ProvisionToken {
    /// Lets a service account token pass, or says why not, in the order and the words of the real thing. `now` is in seconds.
    pub(crate) fn verify(&self, jwt: &str, cluster: &str, version: Version, now: i64) -> Result<(), Refusal> {
        let claims = self.decode(jwt, version)?;
        let jose = jose(version);
        if claims.exp.is_none_or(|end| end + LEEWAY < now) {
            return Err(failed(format!("{jose}: validation failed, token is expired (exp)")));
        }
        if self.kind == KubernetesJoin::StaticJwks && !claims.aud.holds(cluster) {
            return Err(failed(format!("{jose}: validation failed, invalid audience claim (aud)")));
        }
        if claims.kubernetes.pod.as_ref().is_none_or(|pod| pod.name.is_empty()) {
            return Err(Refusal::bad_parameter(
                "static_jwks joining requires the use of projected pod bound service account token",
            ));
        }
        let life = claims.iat.map(|start| claims.exp.unwrap_or(i64::MAX).saturating_sub(start));
        if self.kind == KubernetesJoin::StaticJwks && life.is_none_or(|life| life > LONGEST) {
            return Err(Refusal::bad_parameter(
                "static_jwks joining requires the use of a service account token with a TTL of less than 30m0s",
            ));
        }
        if !self.allow.iter().any(|account| claims.sub == format!("system:serviceaccount:{account}")) {
            return Err(Refusal::access_denied("kubernetes token did not match any allow rules"));
        }
        Ok(())
    }

    fn decode(&self, jwt: &str, version: Version) -> Result<Claims, Refusal> {
        let jose = jose(version);
        let header = jsonwebtoken::decode_header(jwt)
            .map_err(|_| failed(format!("{jose}: compact JWS format must have three parts")))?;
        let keys: JwkSet =
            serde_json::from_str(&self.jwks).map_err(|_| failed(format!("{jose}: unsupported key type/format")))?;
        let key = header.kid.as_deref().and_then(|kid| keys.find(kid)).and_then(|jwk| DecodingKey::from_jwk(jwk).ok());
        let key = key.ok_or_else(|| failed(format!("{jose}: unsupported key type/format")))?;
        let mut rules = Validation::new(header.alg);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        rules.validate_aud = false;
        let decoded = jsonwebtoken::decode::<Claims>(jwt, &key, &rules);
        decoded.map(|token| token.claims).map_err(|_| failed(format!("{jose}: error in cryptographic primitive")))
    }
}

/// The library whose words these are.
fn jose(version: Version) -> &'static str {
    if version == Version::V15 { "square/go-jose" } else { "go-jose/go-jose" }
}

/// An error that is none of Teleport's own: HTTP 500, gRPC `UNKNOWN`.
fn failed(words: String) -> Refusal {
    Refusal::new(Code::Unknown, words)
}
