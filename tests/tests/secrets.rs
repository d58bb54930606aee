//! P16: an operator that logs everything it can, through a whole life of keys, tokens, identities and mistakes, shows no
//! secret: not in its log, not in Events, status, metrics or key sets.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use base64::Engine as _;
use k8s_openapi::api::{core::v1::Secret, events::v1::Event};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use okta_sim::DpopMode;
use serde_json::{Value, json};
use suites::{House, Log, condition};
use tracing_subscriber::EnvFilter;

/// What must not be shown, collected as it comes into being.
#[derive(Default)]
struct Hidden(BTreeSet<String>);

impl Hidden {
    /// Every line of a PEM or identity file, and the whole as the API server carries it.
    fn add(&mut self, secret: &[u8]) {
        let text = String::from_utf8_lossy(secret);
        let words =
            text.split(['\n', '"']).map(str::trim).filter(|word| word.len() >= 16 && !word.starts_with("-----"));
        self.0.extend(words.map(str::to_owned));
        let carried = base64::engine::general_purpose::STANDARD.encode(secret);
        self.0
            .extend(carried.as_bytes().chunks_exact(60).take(4).map(|part| String::from_utf8_lossy(part).into_owned()));
    }

    /// What of it stands in `text`, and every JSON Web Token: access tokens, assertions, proofs, ServiceAccount tokens.
    fn shown_in(&self, text: &str) -> Vec<String> {
        let known = self.0.iter().filter(|hidden| text.contains(*hidden)).cloned();
        let tokens = text.match_indices("eyJ").filter_map(|(at, _)| {
            let rest = &text[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(rest.len());
            (end >= 20 && rest[end..].starts_with('.')).then(|| format!("a token: {}…", &rest[..20]))
        });
        known.chain(tokens).collect()
    }
}

/// A house, what it must hide, and all that it has shown.
struct Watched {
    house: House,
    hidden: Hidden,
    shown: String,
}

impl Watched {
    /// Notes what there is now.
    async fn look(&mut self) {
        for secret in self.house.api::<Secret>().list(&ListParams::default()).await.unwrap().items {
            let public = |key: &str| key.contains("public");
            for (_, bytes) in secret.data.unwrap_or_default().into_iter().filter(|(key, _)| !public(key)) {
                self.hidden.add(&bytes.0);
            }
        }
        let events: Api<Event> = self.house.api();
        let events = events.list(&ListParams::default()).await.unwrap().items;
        let resource = self.house.resource().await.unwrap_or_default();
        for path in ["metrics", "readyz", ".well-known/jwks.json"] {
            let answer = reqwest::get(format!("{}/{path}", self.house.url)).await.unwrap();
            self.shown.push_str(&answer.text().await.unwrap());
        }
        self.shown.push_str(&resource.to_string());
        self.shown.push_str(&serde_json::to_string(&events).unwrap());
    }

    /// Waits until `Ready` has this reason.
    async fn until(&mut self, reason: &str) -> Value {
        let there = |resource: &Value| condition(resource, "Ready")["reason"] == reason;
        let resource = self.house.until(reason, there).await;
        self.look().await;
        resource
    }

    /// Makes the Secret `name` hold this and waits until `Ready` has this reason.
    async fn with(&mut self, name: &str, content: &str, reason: &str) {
        self.hidden.add(content.as_bytes());
        self.house.put_secret(name, content).await;
        self.until(reason).await;
    }
}

// http.rs, `post_token`: nothing of a request is logged.
#[tokio::test(flavor = "multi_thread")]
async fn p16_a_whole_life_at_log_level_trace_shows_no_secret() {
    let log = Log::default();
    // Everything, of every crate, except the simulators, whose secrets are worth nothing.
    let filter = EnvFilter::new("trace,okta_sim=off,teleport_sim=off");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone()).with_ansi(false).init();
    let house = House::with_people(3).await;
    let mut life = Watched { house, hidden: Hidden::default(), shown: String::new() };
    let (key, identity) = (life.house.okta_key(), life.house.identity());

    // A key that the operator makes, refused, accepted, replaced.
    life.house.put_secret("identity", &identity).await;
    life.house.change(&life.house.keyless()).await;
    life.until("KeyNotAccepted").await;
    let org = life.house.okta.org().clone();
    org.switch(|switches| switches.jwks_refetch_seconds = 0);
    org.use_jwks_url(&format!("{}/.well-known/jwks.json", life.house.url), None).unwrap();
    let first = life.until("Synced").await["status"]["publicKey"]["kid"].clone();
    let rotate = json!({ "metadata": { "annotations": { "usersync.dev/rotate-key": "1" } } });
    let resources: Api<api::OktaUserSync> = life.house.api();
    resources.patch("acme", &PatchParams::default(), &Patch::Merge(rotate)).await.unwrap();
    let replaced = |resource: &Value| {
        let key = &resource["status"]["publicKey"];
        key["kid"] != first && key.get("previous").is_none()
    };
    life.house.until("another key", replaced).await;
    life.look().await;

    // Tokens that are revoked, and bound to a key.
    org.set_dpop(DpopMode::Required);
    org.revoke_tokens();
    life.house.pass().await;
    life.until("Synced").await;

    // Keys and identities of a person's own, good and bad.
    life.house
        .put_secret("okta-key", "-----BEGIN PRIVATE KEY-----\nVGhpcyBpcyBubyBrZXkgYXQgYWxsLCBidXQgYSBzZWNyZXQ\n")
        .await;
    life.house.change(&life.house.spec()).await;
    life.until("KeyUnreadable").await;
    life.with("okta-key", &key.replacen("MII", "MIX", 1), "KeyUnreadable").await;
    life.with("okta-key", &format!("{{\"kty\":\"RSA\",\"d\":\"{}\"}}", "c2VjcmV0".repeat(6)), "KeyUnreadable").await;
    // Okta fetches the key set still, in which there is no key any more.
    life.with("okta-key", &key, "JwksInvalid").await;
    life.with("identity", &identity[..identity.len() / 2], "IdentityUnreadable").await;
    let expired = teleport_sim::IdentityKind::user("bot-okta-user-sync", &["okta-user-sync"]);
    let expired = expired.until("2020-01-01T00:00:00Z".parse().unwrap());
    let expired = life.house.teleport.identity(&expired).unwrap();
    life.with("identity", &expired, "IdentityExpired").await;
    life.with("identity", &identity, "JwksInvalid").await;
    life.house.remove().await;
    life.look().await;

    let logged = log.text();
    assert!(logged.contains(" TRACE ") && logged.contains("pass ended") && logged.len() > 100_000, "{}", logged.len());
    assert!(life.hidden.0.len() > 100, "{}", life.hidden.0.len());
    assert_eq!(life.hidden.shown_in(&logged), Vec::<String>::new(), "in the log");
    assert_eq!(life.hidden.shown_in(&life.shown), Vec::<String>::new(), "in Events, status, metrics or key sets");

    // The search finds what it is made for.
    let leak = format!("a line {} and eyJhbGciOiJFUzI1NiJ9.e30.x", key.lines().nth(2).unwrap());
    assert_eq!(life.hidden.shown_in(&leak).len(), 2, "{:?}", life.hidden.shown_in(&leak));
}
