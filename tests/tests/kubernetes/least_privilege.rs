//! Least privilege both ways: the operator asks nothing that the chart's rules do not allow (each suite checks that at
//! its end, by the API server's own audit log), and the chart's rules allow nothing that the operator does not ask.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;
use operator::{LeaderElection, leader::Times, rbac};
use serde_json::{Value, json};
use suites::{
    Ground, House,
    chart::{Helm, documents},
    rights::{self, Right, one_by_one},
};
use testkit::control_plane::Request;

use crate::{Inside, private_key, refers_to};

/// What was asked, but for the discovery documents that every authenticated client may read.
fn asked(requests: &[Request]) -> BTreeSet<Right> {
    requests.iter().filter_map(Right::of).collect()
}

/// A life in which the operator does everything that it ever does in Kubernetes, but for keys of its own. Whoever gives it
/// a new rule adds here, or to [`a_life_with_keys`], what needs it.
async fn a_full_life(ground: &Ground) {
    let election = LeaderElection {
        namespace: ground.namespace.clone(),
        lease: "okta-user-sync".into(),
        times: Times {
            lease: std::time::Duration::from_secs(4),
            renew: std::time::Duration::from_secs(3),
            retry: std::time::Duration::from_millis(500),
        },
    };
    let operator = Inside::start(ground, |settings| settings.leader_election = Some(election)).await;
    // Found, watched with its Secrets, finalizer and status written, told in an Event.
    ground.put("acme", &refers_to("key", "identity")).await;
    ground.until_reason("acme", "KeySecretMissing").await;
    // A Secret is seen and read; the same Event twice is patched.
    ground.put_secret("key", "no key at all").await;
    ground.put_secret("identity", "no identity").await;
    ground.until_reason("acme", "KeyUnreadable").await;
    ground.put_secret("key", &private_key()).await;
    ground.until_reason("acme", "IdentityUnreadable").await;
    ground.put_secret("key", "no key at all").await;
    ground.until_reason("acme", "KeyUnreadable").await;
    // A bundle of certificate authorities is watched and read.
    let mut spec = refers_to("key", "identity");
    spec["okta"]["caBundleRef"] = json!({ "name": "ca" });
    ground.put("acme", &spec).await;
    ground.until_reason("acme", "CaBundleMissing").await;
    // Somebody else writes between the operator's look and its write, so it reads the version again.
    another_writer_comes_between(ground).await;
    // Deleted, with its finalizer.
    ground.delete("acme").await;
    ground.until_gone("acme").await;
    // The lease is given back.
    operator.stopped().await;
}

/// Writes so often that one of the operator's own writes meets another version than it has seen.
async fn another_writer_comes_between(ground: &Ground) {
    let read_again = || {
        let requests = ground.requests();
        requests.iter().any(|request| request.resource == "oktausersyncs" && request.verb == "get")
    };
    for round in 0..2000 {
        if read_again() {
            return;
        }
        ground.annotate("acme", "unrelated", &round.to_string()).await;
        ground.annotate("acme", "reconcile.fluxcd.io/requestedAt", &round.to_string()).await;
        ground.annotate("acme", "unrelated", &format!("{round} again")).await;
    }
    panic!("no write of the operator ever met another version");
}

/// A key is made, accepted, replaced by another, and deleted.
async fn a_life_with_keys(house: &House) {
    house.put_secret("identity", &house.identity()).await;
    house.change(&house.keyless()).await;
    house.let_okta_fetch_keys();
    let first = house.until_ready().await["status"]["publicKey"]["kid"].clone();
    house.annotate("usersync.dev/rotate-key", "1").await;
    let replaced = |resource: &Value| {
        let key = &resource["status"]["publicKey"];
        key["kid"] != first && key.get("previous").is_none()
    };
    house.until("another key to be the only one", replaced).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_of_the_chart_is_needed() {
    let (ground, house) = (Ground::shared("rights").await, House::with_people(1).await);
    tokio::join!(a_full_life(&ground), a_life_with_keys(&house));
    // That nothing beyond the rules is asked is checked at the end of either, as at the end of every suite.
    let asked = &asked(&ground.requests()) | &asked(&house.requests());
    let allowed = one_by_one(&rights::rules(&rights::rendered(&ground.namespace, &json!({})).await));
    let unneeded: Vec<_> = allowed.difference(&asked).map(ToString::to_string).collect();
    assert!(unneeded.is_empty(), "crates/operator/src/rbac.rs allows what a full life never asks: {unneeded:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_gives_the_same_rights_in_each_of_its_forms() {
    let helm = Helm::provide().await;
    let rules = |values: Value| -> Vec<PolicyRule> { rights::rules(&documents(&helm.render(&values, &[]).unwrap())) };
    let all = one_by_one(&[rbac::rules(), rbac::key_rules(), rbac::own_rules()].concat());
    let without_keys = one_by_one(&[rbac::rules(), rbac::own_rules()].concat());
    let alone = one_by_one(&[rbac::rules(), rbac::key_rules()].concat());
    for (values, expected) in [
        (json!({}), &all),
        (json!({ "watchNamespace": "people" }), &all),
        (json!({ "keys": { "create": false } }), &without_keys),
        // Names are not known of Secrets that are yet to be made.
        (json!({ "rbac": { "secretNames": ["key"] } }), &without_keys),
        (json!({ "replicas": 1, "leaderElection": { "enabled": false } }), &alone),
    ] {
        assert_eq!(&one_by_one(&rules(values.clone())), expected, "{values}");
    }
    assert_eq!(rules(json!({ "rbac": { "create": false } })), []);
    let named = rules(json!({ "rbac": { "secretNames": ["key"] } }));
    let of_secrets: Vec<_> =
        named.iter().filter(|rule| rule.resources.iter().flatten().any(|resource| resource == "secrets")).collect();
    assert!(
        of_secrets.iter().all(|rule| rule.resource_names.as_deref() == Some(&["key".to_owned()])),
        "{of_secrets:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_may_refer_to_secrets_of_its_own_namespace_only() {
    let ground = Ground::shared("own").await;
    let elsewhere = testkit::namespace(&ground.client, "elsewhere").await.unwrap();
    let mut spec = refers_to("key", "identity");
    spec["okta"]["privateKeySecretRef"]["namespace"] = elsewhere.clone().into();
    // There is no such field: an apply is refused, and else the API server drops it. A path is no name either.
    ground.try_put("acme", &spec).await.expect_err("a field that is not there");
    let object = json!({ "apiVersion": "usersync.dev/v1alpha1", "kind": "OktaUserSync", "metadata": { "name": "acme" },
                         "spec": spec });
    let object = serde_json::from_value(object).unwrap();
    ground.resources().create(&kube::api::PostParams::default(), &object).await.unwrap();
    assert!(ground.get("acme").await["spec"]["okta"]["privateKeySecretRef"].get("namespace").is_none());
    let path = ground.try_put("path", &refers_to(&format!("../{elsewhere}/key"), "identity")).await;
    let told = path.expect_err("a path").to_string();
    assert!(told.contains("spec.okta.privateKeySecretRef.name"), "{told}");
    let _operator = Inside::start(&ground, |_| {}).await;
    ground.until_reason("acme", "KeySecretMissing").await;
    let asked = ground.requests();
    assert!(asked.iter().all(|request| !request.uri.contains(&format!("namespaces/{elsewhere}"))), "{asked:#?}");
}
