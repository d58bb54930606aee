//! The production example: the chart with its values, Teleport told what `teleport.yaml` says, and an operator that joins by its
//! pod's own token, which the API server signs and the pod runner projects. No Secret holds anything that Teleport would take.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

mod support;
use support::{
    World,
    cluster::{Cluster, NAMESPACE, repository},
    file,
};

fn example(name: &str) -> String {
    std::fs::read_to_string(repository().join("examples/production").join(name)).unwrap()
}

/// What is of one kind in `teleport.yaml`.
fn of_kind(kind: &str) -> Value {
    let text = example("teleport.yaml");
    let all = text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    all.into_iter().find(|document| document["kind"] == kind).unwrap()
}

/// The provision token of `teleport.yaml`, as `tctl create` makes it, with what kubectl printed in its place.
fn provision_token(cluster: &Cluster) -> Value {
    let token = of_kind("token");
    let kubernetes = &token["spec"]["kubernetes"];
    assert_eq!((&token["spec"]["join_method"], &kubernetes["type"]), (&json!("kubernetes"), &json!("static_jwks")));
    assert_eq!(kubernetes["static_jwks"]["jwks"], "<what kubectl printed>");
    let allow: Vec<&Value> =
        kubernetes["allow"].as_array().unwrap().iter().map(|rule| &rule["service_account"]).collect();
    json!({
        "name": token["metadata"]["name"], "role": token["spec"]["roles"][0], "botName": token["spec"]["bot_name"],
        "kind": "static_jwks", "allow": allow, "jwks": cluster.jwks(),
    })
}

// deployment.yaml of the chart: `teleport-join-token`.
#[tokio::test(flavor = "multi_thread")]
async fn p16_the_production_example_joins_writes_users_and_keeps_no_secret_for_teleport() {
    // The audience of the pod's token is what the example calls the cluster.
    let values: Value = serde_saphyr::from_str(&example("values.yaml")).unwrap();
    let name = values["teleportJoin"]["cluster"].as_str().unwrap();
    let cluster = Cluster::around(World::called(6, name).await).await;
    let world = &cluster.world;
    for definitions in ["podmonitors", "prometheusrules", "servicemonitors"] {
        let definitions = format!("tests/fixtures/crds/{definitions}.monitoring.coreos.com.json");
        cluster.run("kubectl", &["apply", "--server-side", "--filename", &definitions]);
    }
    world.tell(&world.teleport, "/tokens", &provision_token(&cluster)).await;
    let state = world.teleport("/state").await;

    // Only what is another here than in the example: the address, because nobody listens at teleport.example.com on this machine,
    // and the pin, because no authority that is trusted in public vouches for this simulator's web certificate.
    let address = format!("teleportAddress={}", world.teleport.field("authAddress"));
    let pin = format!("teleportJoin.caPins={{{}}}", state["caPin"].as_str().unwrap());
    let values = ["--values", "examples/production/values.yaml", "--set", &address, "--set", &pin];
    cluster.helm("install", "charts/okta-user-sync", &values);
    let key = format!("--from-file=private.pem={}", world.okta.field("privateKeyFile"));
    cluster.run("kubectl", &["create", "secret", "generic", "acme-okta-key", "--namespace", NAMESPACE, &key]);
    let manifest = file(world.folder.path(), "production.yaml", &world.filled(&example("oktausersync.yaml")));
    cluster.run("kubectl", &["apply", "--filename", &manifest]);
    cluster.wait_until_ready();

    let resource = cluster.resource().await;
    let status = &resource["status"];
    assert_eq!((&status["users"]["synced"], &status["users"]["created"]), (&json!(6), &json!(6)), "{status:#}");
    assert_eq!(status["teleport"]["originMode"], "Bot", "{status:#}");
    assert!(resource["spec"]["teleport"].get("identitySecretRef").is_none());
    for (_, user) in world.assigned().await {
        assert!(world.teleport(&format!("/users/{user}")).await.is_object(), "{user}");
    }

    // Every Secret there is, whole: nothing in it is a certificate, and the one private key is Okta's.
    let all = cluster.run("kubectl", &["get", "secrets", "--all-namespaces", "--output", "json"]);
    let all: Value = serde_json::from_str(&all).unwrap();
    let mut with_keys = Vec::new();
    for secret in all["items"].as_array().unwrap() {
        for content in secret["data"].as_object().into_iter().flatten().map(|(_, content)| content.as_str().unwrap()) {
            let content = String::from_utf8_lossy(&STANDARD.decode(content).unwrap()).into_owned();
            assert!(!content.contains("BEGIN CERTIFICATE") && !content.contains("-cert-v01@openssh.com"), "{secret:#}");
            if content.contains("PRIVATE KEY") {
                with_keys.push(secret["metadata"]["name"].as_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(with_keys, ["acme-okta-key"]);

    // A leaver is locked, and the account goes.
    let (id, user) = world.assigned().await.remove(0);
    world.unassign(&id).await;
    cluster.pass("after-a-leaver").await;
    assert!(world.teleport(&format!("/users/{user}")).await.is_null());
    let locks = world.teleport("/locks").await;
    assert_eq!(locks.as_array().unwrap().len(), 1, "{locks:#}");
}
