//! OAuth clients: API Services apps with their keys, scopes and roles.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::jwks::JwksSource;
use super::jwt::thumbprint;
use super::role::Role;
use crate::refusal::Refusal;

/// Whether a client's tokens must be bound to a DPoP key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DpopMode {
    /// A plain request gets a plain token; one with a proof gets a bound one.
    #[default]
    NotRequired,
    /// "Require Demonstrating Proof of Possession (DPoP) header in token requests", on by default in apps made since
    /// February 2024.
    Required,
}

/// An API Services app as the authorisation server knows it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub id: String,
    pub keys: Vec<Value>,
    /// Where the keys come from, if they are not saved in the org.
    pub jwks: Option<JwksSource>,
    pub dpop: DpopMode,
    pub scopes: BTreeSet<String>,
    pub role: Role,
    /// `false`: the app is deactivated.
    pub active: bool,
    /// The client's network restriction keeps this machine out.
    pub network_denied: bool,
    /// `application_type`; only `service` may use `client_credentials`.
    pub application_type: String,
    /// Assertion ids that were used, with the moment when they may be forgotten (seconds).
    pub assertions_seen: BTreeMap<String, i64>,
}

impl Client {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            keys: Vec::new(),
            jwks: None,
            dpop: DpopMode::default(),
            scopes: BTreeSet::new(),
            role: Role::default(),
            active: true,
            network_denied: false,
            application_type: "service".to_owned(),
            assertions_seen: BTreeMap::new(),
        }
    }

    /// The key with this id, if it is in use.
    pub fn key(&self, kid: &str) -> Option<&Value> {
        self.keys.iter().find(|key| {
            key.get("kid").and_then(Value::as_str) == Some(kid)
                && key.get("status").and_then(Value::as_str) != Some("INACTIVE")
        })
    }

    /// Takes keys from a URL from now on; saved keys are gone.
    pub fn use_jwks(&mut self, source: JwksSource) {
        self.keys.clear();
        self.jwks = Some(source);
    }

    /// Registers a public key. Its `kid` must be new to the client (the thumbprint stands in for a missing one), an RSA
    /// key must have 2048 bits or more, and at most 50 keys are kept.
    pub fn add_key(&mut self, jwk: &Value) -> Result<String, Refusal> {
        let mut jwk = jwk.clone();
        let thumb = thumbprint(&jwk).ok_or_else(|| Refusal::validation("jwks", "kty: RSA or EC is needed"))?;
        if jwk.get("d").is_some() {
            return Err(Refusal::validation("jwks", "The key must not contain private parts"));
        }
        if let Some(modulus) = jwk.get("n").and_then(Value::as_str)
            && modulus.trim_start_matches('A').len() < 341
        {
            return Err(Refusal::validation("jwks", "RSA keys must have at least 2048 bits"));
        }
        let kid = jwk.get("kid").and_then(Value::as_str).map_or(thumb, str::to_owned);
        if self.keys.iter().any(|key| key["kid"] == kid.as_str()) {
            return Err(Refusal::validation("jwks", "All keys must have a unique kid"));
        }
        if self.keys.len() >= 50 {
            return Err(Refusal::validation("jwks", "At most 50 keys are allowed"));
        }
        jwk["kid"] = kid.as_str().into();
        if jwk.get("status").is_none() {
            jwk["status"] = "ACTIVE".into();
        }
        self.keys.push(jwk);
        Ok(kid)
    }
}
