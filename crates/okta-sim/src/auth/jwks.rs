//! Keys that a client publishes at a URL ("Use a URL to fetch keys dynamically").
//!
//! Okta caches what it fetched and throttles fetching again; neither number is published. Here a set is fetched when it
//! is first needed, and again when an assertion names an unknown key and the refetch interval is over.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Stamp;
use crate::shared::Shared;

/// Where a client's keys are fetched.
#[derive(Debug, Clone)]
pub(crate) struct JwksSource {
    pub url: url::Url,
    /// CA that the URL's certificate is checked against, as PEM; none means the machine's own.
    pub ca_pem: Option<String>,
    pub fetched: Option<Stamp>,
    /// Why the last fetch brought no keys, in the vendor's words.
    pub failure: Option<&'static str>,
}

const UNREACHABLE: &str = "Error retrieving the client JWKSet from jwks_uri.";
const EMPTY: &str = "The client JWKSet from jwks_uri must contain at least one key.";
const DOUBLE: &str = "All keys in the client JWKSet from jwks_uri must have a unique kid.";

impl JwksSource {
    /// A source at a URL. It must be https; plain http is taken from loopback addresses alone.
    pub fn new(url: &str, ca_pem: Option<String>) -> Result<Self, String> {
        let url = url::Url::parse(url).map_err(|e| format!("jwks_uri is not a URL: {e}"))?;
        let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if url.scheme() != "https" && !(local && url.scheme() == "http") {
            return Err("jwks_uri must be an https URL".to_owned());
        }
        Ok(Self { url, ca_pem, fetched: None, failure: None })
    }

    fn wants_fetch(&self, now: Stamp, known: bool, interval: i64) -> bool {
        match self.fetched {
            None => true,
            Some(at) => !known && at.plus_millis(interval) <= now,
        }
    }
}

/// Fetches a client's keys, if it publishes them and they are wanted.
pub(crate) async fn refresh(shared: &Shared, client: &str, kid: &str, now: Stamp) {
    let seconds = shared.state().switches.jwks_refetch_seconds;
    let interval = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    let source = {
        let auth = shared.auth();
        auth.client(client).and_then(|c| {
            let source = c.jwks.as_ref()?;
            source.wants_fetch(now, c.key(kid).is_some(), interval).then(|| source.clone())
        })
    };
    let Some(source) = source else {
        return;
    };
    let fetched = fetch(&source).await;
    let mut auth = shared.auth();
    let Some(client) = auth.client_mut(client) else {
        return;
    };
    let failure = match fetched {
        Ok(keys) => {
            client.keys = keys;
            None
        }
        Err(failure) => {
            client.keys.clear();
            Some(failure)
        }
    };
    if let Some(source) = &mut client.jwks {
        source.fetched = Some(now);
        source.failure = failure;
    }
}

async fn fetch(source: &JwksSource) -> Result<Vec<Value>, &'static str> {
    let mut builder =
        reqwest::Client::builder().timeout(Duration::from_secs(5)).redirect(reqwest::redirect::Policy::none());
    if let Some(pem) = &source.ca_pem {
        let ca = reqwest::Certificate::from_pem(pem.as_bytes()).map_err(|_| UNREACHABLE)?;
        builder = builder.tls_certs_only([ca]);
    }
    let http = builder.build().map_err(|_| UNREACHABLE)?;
    let answer = http.get(source.url.clone()).send().await.map_err(|_| UNREACHABLE)?;
    if answer.status() != 200 {
        return Err(UNREACHABLE);
    }
    let body: Value = answer.json().await.map_err(|_| UNREACHABLE)?;
    check(&body)
}

fn check(body: &Value) -> Result<Vec<Value>, &'static str> {
    let keys = body.get("keys").and_then(Value::as_array).ok_or(UNREACHABLE)?;
    if keys.is_empty() {
        return Err(EMPTY);
    }
    let kids: BTreeSet<&str> = keys.iter().filter_map(|k| k.get("kid")?.as_str()).collect();
    if kids.len() < keys.len() {
        return Err(DOUBLE);
    }
    Ok(keys.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_https_is_fetched_from_elsewhere() {
        assert!(JwksSource::new("https://teleport.example.com/jwks.json", None).is_ok());
        assert!(JwksSource::new("http://127.0.0.1:1/jwks.json", None).is_ok());
        assert!(JwksSource::new("http://teleport.example.com/jwks.json", None).is_err());
        assert!(JwksSource::new("nonsense", None).is_err());
    }

    #[test]
    fn a_key_set_needs_keys_with_ids_of_their_own() {
        assert_eq!(check(&json!({ "keys": [] })), Err(EMPTY));
        assert_eq!(check(&json!({ "keys": [{ "kid": "a" }, { "kid": "a" }] })), Err(DOUBLE));
        assert_eq!(check(&json!([])), Err(UNREACHABLE));
        assert!(check(&json!({ "keys": [{ "kid": "a" }] })).is_ok());
    }
}
