//! What starts a pass, and what does not.

use std::collections::BTreeSet;

use serde_json::json;
use suites::{Ground, condition, rights::Right};

use crate::{Inside, private_key, refers_to};

const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_watched_by_name_so_rights_to_these_names_are_enough() {
    let names = ["key", "identity", "other", "authorities"];
    let ground = Ground::with_values("names", &json!({ "rbac": { "secretNames": names } })).await;
    ground.put_secret("nobody-refers-to-this", "x").await;
    ground.put("acme", &refers_to("key", "identity")).await;
    let operator = Inside::start(&ground, |_| {}).await;
    ground.until_reason("acme", "KeySecretMissing").await;
    // Made, mended, deleted: each is seen at once.
    ground.put_secret("key", "no key at all").await;
    ground.until_reason("acme", "IdentitySecretMissing").await;
    ground.put_secret("identity", "no identity").await;
    ground.until_reason("acme", "KeyUnreadable").await;
    ground.put_secret("key", &private_key()).await;
    ground.until_reason("acme", "IdentityUnreadable").await;
    let secrets = ground.api::<k8s_openapi::api::core::v1::Secret>();
    secrets.delete("key", &kube::api::DeleteParams::default()).await.unwrap();
    ground.until_reason("acme", "KeySecretMissing").await;
    // Another name in the specification: the new one is watched.
    ground.put("acme", &refers_to("other", "identity")).await;
    ground.until_reason("acme", "KeySecretMissing").await;
    ground.put_secret("other", "no key at all").await;
    ground.until_reason("acme", "KeyUnreadable").await;
    // Authorities may lie in a Secret as well.
    let mut spec = refers_to("other", "identity");
    spec["okta"]["caBundleRef"] = json!({ "kind": "Secret", "name": "authorities", "key": "content" });
    ground.put_secret("other", &private_key()).await;
    ground.put("acme", &spec).await;
    ground.until_reason("acme", "CaBundleMissing").await;
    ground.put_secret("authorities", "no certificate").await;
    ground.until_reason("acme", "CaBundleInvalid").await;

    let asked = ground.requests().into_iter().filter(|request| request.resource == "secrets");
    let names: BTreeSet<_> = asked.map(|request| request.name).collect();
    assert_eq!(
        names,
        ["authorities", "identity", "key", "other"].map(str::to_owned).into(),
        "no list of all, nothing of others"
    );
    operator.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_names_of_secrets_are_given_each_resource_names_its_key() {
    let mut ground = Ground::with_values("given", &json!({ "rbac": { "secretNames": ["key", "identity"] } })).await;
    // Keys that the operator makes have names that nobody knows before: their Secrets may be neither looked for nor made.
    ground.expect_refusal(Right { group: String::new(), resource: "secrets".into(), verb: "list".into() });
    let mut spec = refers_to("key", "identity");
    let key = spec["okta"].as_object_mut().unwrap().remove("privateKeySecretRef").unwrap();
    ground.put("acme", &spec).await;
    let operator = Inside::start(&ground, |_| {}).await;
    let refused = ground.until_reason("acme", "SecretForbidden").await;
    let remedy = refused["status"]["errors"][0]["remedy"].as_str().unwrap();
    for words in ["rbac.secretNames", "okta.privateKeySecretRef"] {
        assert!(remedy.contains(words), "{words} is not in {remedy}");
    }
    // It does what it is told to do.
    spec["okta"]["privateKeySecretRef"] = key;
    ground.put_secret("key", "no key at all").await;
    ground.put_secret("identity", "no identity").await;
    ground.put("acme", &spec).await;
    ground.until_reason("acme", "KeyUnreadable").await;
    operator.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_carried_out_once_also_across_suspension() {
    let ground = Ground::shared("token").await;
    ground.put("acme", &refers_to("key", "identity")).await;
    let _operator = Inside::start(&ground, |_| {}).await;
    let first = ground.until_reason("acme", "KeySecretMissing").await;
    ground.annotate("acme", REQUESTED_AT, "1").await;
    let second = ground.until("acme", "the token", |o| o["status"]["lastHandledReconcileAt"] == "1").await;
    assert_ne!(first["status"]["lastRun"]["id"], second["status"]["lastRun"]["id"]);

    // Suspended, nothing is carried out; resumed, the one pass answers for the token as well.
    ground.patch("acme", &json!({ "spec": { "suspend": true } })).await;
    ground.until_reason("acme", "Suspended").await;
    ground.annotate("acme", REQUESTED_AT, "2").await;
    ground.patch("acme", &json!({ "spec": { "suspend": false } })).await;
    let resumed = ground.until("acme", "the resumption", |o| o["status"]["lastHandledReconcileAt"] == "2").await;
    ground.witness.catch_up(suites::ground::SOON).await.unwrap();
    for version in ground.witness.versions("acme") {
        let suspended = condition(&version, "Ready")["reason"] == "Suspended";
        assert!(!suspended || version["status"]["lastHandledReconcileAt"] == "1", "{version:#}");
    }
    // The pass after the resumption was the only one: no second one for the token.
    ground.annotate("acme", "unrelated", "x").await;
    ground.annotate("acme", REQUESTED_AT, "3").await;
    ground.until("acme", "the last token", |o| o["status"]["lastHandledReconcileAt"] == "3").await;
    ground.witness.catch_up(suites::ground::SOON).await.unwrap();
    let mut runs =
        ground.witness.versions("acme").into_iter().map(|o| o["status"]["lastRun"]["id"].clone()).collect::<Vec<_>>();
    runs.dedup();
    let after = runs.iter().position(|id| *id == resumed["status"]["lastRun"]["id"]).unwrap();
    assert_eq!(runs.len() - 1 - after, 1, "one run for the last token and none between: {runs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_has_to_mend_waits_for_a_change_and_costs_nothing_meanwhile() {
    let ground = Ground::shared("waits").await;
    let mut spec = refers_to("key", "identity");
    spec["users"] = json!({ "roles": ["editor"] });
    ground.put("acme", &spec).await;
    // Backoffs as they are in the product: what is tried again would be tried after five seconds.
    let _operator = Inside::start(&ground, |settings| settings.backoff = operator::pace::Backoff::default()).await;
    let stalled = ground.until_reason("acme", "RoleAboveCeiling").await;
    assert_eq!(condition(&stalled, "Stalled")["status"], "True");
    let run = |time: &str| -> jiff::Timestamp { stalled["status"][time].as_str().unwrap().parse().unwrap() };
    let next = run("nextRun").duration_since(jiff::Timestamp::now());
    assert!(next > jiff::SignedDuration::from_mins(8), "not before the interval: {next}");
    spec["users"] = json!({ "roles": ["okta-requester"] });
    ground.put("acme", &spec).await;
    ground.until_reason("acme", "KeySecretMissing").await;
}
