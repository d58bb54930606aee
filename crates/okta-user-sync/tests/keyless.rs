//! `examples/keyless.yaml` from its first line to its last: the chart as people install it, a real API server, the real binary, both
//! simulators, and nobody who makes a key.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use serde_json::{Value, json};
use testkit::eventually;

mod support;
use support::{
    cluster::{Cluster, NAMESPACE, SOON},
    file,
};

/// What the example says under that number, one command without its prompt.
fn command(example: &str, begin: &str) -> Vec<String> {
    let line = example.lines().find(|line| line.trim_start_matches(['#', ' ']).starts_with(begin)).unwrap();
    line.trim_start_matches(['#', ' ']).split(' ').map(|word| word.replace('\'', "")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyless_example_leads_from_nothing_to_people_in_sync_and_a_changed_key() {
    let cluster = Cluster::start(5).await;
    cluster.helm("install", "charts/okta-user-sync", &[]);
    let example = include_str!("../../../examples/keyless.yaml");
    let manifest = file(cluster.world.folder.path(), "keyless.yaml", &cluster.world.filled(example));
    cluster.run("kubectl", &["apply", "--filename", &manifest]);

    // Step 3, by the very command that stands there.
    let words = command(example, "kubectl get ous acme");
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    let jwk = eventually(SOON, "a public half", async || {
        let told = cluster.run("kubectl", &words);
        serde_json::from_str::<Value>(&told).map_err(|error| format!("{error} in {told:?}"))
    });
    let jwk = jwk.await.unwrap();
    assert_eq!((&jwk["use"], jwk.get("d")), (&json!("sig"), None));
    let refused = eventually(SOON, "the key to be unknown to Okta", async || {
        let resource = cluster.resource().await;
        let conditions = resource["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let told = conditions.into_iter().find(|condition| condition["reason"] == "KeyNotAccepted");
        told.ok_or_else(|| format!("{:#}", resource["status"]))
    });
    assert!(refused.await.unwrap()["message"].as_str().unwrap().contains("status.publicKey.jwk"));
    cluster.world.tell(&cluster.world.okta, "/keys", &json!({ "jwk": jwk })).await;

    // Step 4.
    cluster.wait_until_ready();
    let resource = cluster.resource().await;
    assert_eq!(resource["status"]["users"]["synced"], 5, "{:#}", resource["status"]);
    assert_eq!(resource["spec"]["okta"]["keyRotation"], "90d");
    let first = resource["status"]["publicKey"]["kid"].clone();

    // Its last word: the annotation changes the key.
    let annotation = "usersync.dev/rotate-key=again";
    cluster.run("kubectl", &["annotate", "ous", "acme", "--namespace", NAMESPACE, annotation]);
    let next = eventually(SOON, "the next key", async || {
        let resource = cluster.resource().await;
        let next = resource["status"]["publicKey"]["next"].clone();
        if next.is_object() { Ok(next) } else { Err(format!("{:#}", resource["status"])) }
    });
    let next = next.await.unwrap();
    cluster.world.tell(&cluster.world.okta, "/keys", &json!({ "jwk": next["jwk"] })).await;
    eventually(SOON, "the next key to be used", async || {
        let used = cluster.resource().await["status"]["publicKey"]["kid"].clone();
        if used == next["kid"] && used != first { Ok(()) } else { Err(used.to_string()) }
    })
    .await
    .unwrap();
    let after = cluster.pass("with-the-next-key").await;
    assert_eq!(after["status"]["users"]["synced"], 5, "{:#}", after["status"]);
}
