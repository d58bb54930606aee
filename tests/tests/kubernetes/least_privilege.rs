//! Least privilege both ways: the operator asks nothing that the chart's rules do not allow (each suite checks that at
//! its end, by the API server's own audit log), and the chart's rules allow nothing that the operator does not ask.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;
use operator::{LeaderElection, leader::Times};
use serde_json::json;
use suites::Ground;
use testkit::control_plane::Request;

use crate::{Inside, private_key, refers_to};

/// One thing that a rule allows: group, resource, verb.
type Right = (String, String, String);

/// The rules one by one.
fn rights(rules: &[PolicyRule]) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
            }
        }
    }
    rights
}

/// What was asked, but for the discovery documents that every authenticated client may read.
fn asked(requests: &[Request]) -> BTreeSet<Right> {
    let of_resources = requests.iter().filter(|request| !request.resource.is_empty());
    of_resources.map(|request| (request.group.clone(), request.resource.clone(), request.verb.clone())).collect()
}

/// A life in which the operator does everything that it ever does in Kubernetes. Whoever gives it a new rule adds here
/// what needs it.
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

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_is_needed_and_no_other_is() {
    let ground = Ground::shared("rights").await;
    a_full_life(&ground).await;
    let requests = ground.requests();
    let (asked, allowed) = (asked(&requests), rights(&[operator::rbac::rules(), operator::rbac::own_rules()].concat()));
    let unneeded: Vec<_> = allowed.difference(&asked).collect();
    assert!(unneeded.is_empty(), "crates/operator/src/rbac.rs allows what a full life never asks: {unneeded:?}");
    let forbidden: Vec<_> = asked.difference(&allowed).collect();
    assert!(forbidden.is_empty(), "the rules do not allow what was asked: {forbidden:?}");
    // Nothing outside its own namespace, and no list of whatever there is but its own resources.
    let elsewhere: Vec<_> =
        requests.iter().filter(|r| !r.resource.is_empty() && r.namespace != ground.namespace).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    let wide = |request: &&Request| {
        matches!(request.verb.as_str(), "list" | "watch")
            && request.name.is_empty()
            && request.resource != "oktausersyncs"
    };
    assert_eq!(requests.iter().find(wide), None, "everything else is asked for by its name");
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
