//! At home in Kubernetes: the operator over a real API server, one topic a file. What holds in all of them is checked in
//! the background: every version of every resource is by the book (`testkit::Witness`), and nothing is asked of the API
//! server that the chart's rules do not allow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod admission;
mod conditions;
mod events;
mod least_privilege;
mod life;
mod replicas;
mod robustness;
mod scale;
mod status;
mod triggers;

use std::time::Duration;

use engine::role::Ceiling;
use operator::{
    Operator, RunError, Settings,
    controller::Reach,
    pace::Backoff,
    resolve::{Defaults, TeleportDefaults},
};
use serde_json::{Value, json};
use suites::Ground;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// So long that nothing in a test can come from a wait that is over.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// A specification that refers to two Secrets. Okta and Teleport are never reached with it.
fn refers_to(key: &str, identity: &str) -> Value {
    json!({
        "okta": { "orgURL": "https://acme.okta.com", "clientID": "0oa1api2services3app",
                  "privateKeySecretRef": { "name": key, "key": "content" } },
        "teleport": { "address": "127.0.0.1:1", "identitySecretRef": { "name": identity, "key": "content" } },
    })
}

/// An operator in this process, for the namespace of a ground, which never looks again by itself.
struct Inside {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), RunError>>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Inside {
    async fn start(ground: &Ground, change: impl FnOnce(&mut Settings)) -> Self {
        let defaults = Defaults { ceiling: Ceiling::new(&["okta-requester".into()]).unwrap(), ..defaults() };
        let mut settings = Settings {
            reach: Reach::Namespace(ground.namespace.clone()),
            listen: ([127, 0, 0, 1], 0).into(),
            backoff: Backoff { first: NEVER, most: NEVER },
            ..Settings::new(ground.operator_config().await, defaults)
        };
        change(&mut settings);
        let stop = CancellationToken::new();
        let operator = Operator::bind(settings).await.unwrap();
        Self { ended: tokio::spawn(operator.run(stop.clone())), stop }
    }

    async fn stopped(mut self) {
        self.stop.cancel();
        tokio::time::timeout(suites::ground::SOON, &mut self.ended).await.expect("ends in time").unwrap().unwrap();
    }
}

fn defaults() -> Defaults {
    Defaults {
        okta_ca: None,
        teleport_address: None,
        teleport: TeleportDefaults::default(),
        ceiling: Ceiling::new(&[]).unwrap(),
    }
}

/// A private key, as a person puts it into a Secret.
fn private_key() -> String {
    let key = okta::key::PrivateKey::generate(okta::key::KeyKind::P256).unwrap().to_pkcs8_pem().unwrap();
    secrecy::ExposeSecret::expose_secret(&key).to_string()
}
