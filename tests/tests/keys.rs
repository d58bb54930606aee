//! Keys that the operator makes: the first one, told to Okta by hand and by URL; rotation without one failed pass; what
//! is lost, what is in the way, and what is never overwritten.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use api::OktaUserSync;
use k8s_openapi::api::{core::v1::Secret, events::v1::Event};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use suites::{House, condition, rights::Right};
use testkit::eventually;

/// Longest wait for something that should come soon.
const WITHIN: Duration = Duration::from_secs(60);

/// A house whose resource has a key that the operator made, and that Okta has not been told of.
async fn house_with_new_key(people: usize) -> (House, Value) {
    let house = House::with_people(people).await;
    house.put_secret("identity", &house.identity()).await;
    house.change(&house.keyless()).await;
    let resource = house
        .until("the key to be refused", |resource| {
            let message = condition(resource, "Ready")["message"].to_string();
            condition(resource, "Ready")["reason"] == "KeyNotAccepted" && !message.contains("just been made")
        })
        .await;
    (house, resource)
}

fn key(resource: &Value) -> &Value {
    &resource["status"]["publicKey"]
}

async fn published(house: &House) -> Vec<Value> {
    let answer = reqwest::get(house.jwks_url()).await.unwrap();
    if answer.status() != 200 {
        return vec![];
    }
    answer.json::<Value>().await.unwrap()["keys"].as_array().unwrap().clone()
}

/// Secrets that hold keys, by name.
async fn secrets(house: &House) -> Vec<Secret> {
    let ours = ListParams::default().labels("usersync.dev/key-of");
    house.api::<Secret>().list(&ours).await.unwrap().items
}

async fn event(house: &House, reason: &str) -> Event {
    eventually(WITHIN, reason, async || {
        let all = house.api::<Event>().list(&ListParams::default()).await.unwrap().items;
        let reasons: Vec<_> = all.iter().filter_map(|event| event.reason.clone()).collect();
        all.into_iter().find(|event| event.reason.as_deref() == Some(reason)).ok_or(format!("{reasons:?}"))
    })
    .await
    .unwrap()
}

/// Passes that went wrong so far, as the operator counts them.
async fn failed_passes(house: &House) -> u64 {
    let text = reqwest::get(format!("{}/metrics", house.url)).await.unwrap().text().await.unwrap();
    let lines = text.lines().filter(|line| line.starts_with("okta_user_sync_passes_total"));
    let failed = lines.filter(|line| line.contains("\"Refused\"") || line.contains("\"Partial\""));
    failed.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_shown_pasted_into_okta_and_changed_on_demand() {
    let (mut house, resource) = house_with_new_key(3).await;
    let first = key(&resource).clone();
    let okta = condition(&resource, "OktaReady");
    assert_eq!((&okta["status"], &okta["reason"]), (&json!("False"), &json!("KeyNotAccepted")), "{okta}");
    let problem = &resource["status"]["errors"][0];
    assert_eq!((&problem["class"], resource["status"]["errors"].as_array().unwrap().len()), (&json!("Credential"), 1));
    for words in ["Client Credentials", "status.publicKey.jwk", "jwks.json"] {
        assert!(problem["remedy"].as_str().unwrap().contains(words), "{words:?} in {problem}");
    }
    assert_eq!((&first["jwk"]["kid"], &first["jwk"]["use"]), (&first["kid"], &json!("sig")));
    assert!(first.get("accepted").is_none() && first["jwk"].get("d").is_none(), "{first}");
    assert_eq!(published(&house).await, [first["jwk"].clone()]);
    event(&house, "KeyMade").await;

    let [secret] = secrets(&house).await.try_into().unwrap();
    assert_eq!(secret.metadata.name.as_deref(), first["secretName"].as_str());
    assert_eq!((secret.immutable, secret.type_.as_deref()), (Some(true), Some("usersync.dev/okta-key")));
    let owner = &secret.metadata.owner_references.unwrap()[0];
    assert_eq!((owner.kind.as_str(), Some(owner.uid.as_str())), ("OktaUserSync", resource["metadata"]["uid"].as_str()));

    // Somebody adds the JWK in Okta; nobody asks for a pass.
    house.okta.org().add_key(&first["jwk"]).unwrap();
    let resource = house.until_ready().await;
    assert_eq!(resource["status"]["users"]["synced"], 3);
    assert!(key(&resource)["accepted"].is_string() && key(&resource)["kid"] == first["kid"], "{resource:#}");
    event(&house, "KeyAccepted").await;
    let failed = failed_passes(&house).await;

    // Another key is asked for: it is published, and waits; the one in use goes on.
    house.annotate("usersync.dev/rotate-key", "2026-01-01").await;
    let resource = house.until("the next key", |resource| key(resource)["next"].is_object()).await;
    let next = key(&resource)["next"].clone();
    assert_eq!((&key(&resource)["kid"], &key(&resource)["lastHandledRotation"]), (&first["kid"], &json!("2026-01-01")));
    event(&house, "KeyRotationBegun").await;
    let both = async || match published(&house).await.len() {
        2 => Ok(()),
        other => Err(other),
    };
    eventually(WITHIN, "both keys to be served", both).await.unwrap();
    let resource = house.pass().await;
    let warning = condition(&resource, "Warning");
    assert!(warning["message"].as_str().is_some_and(|told| told.contains("publicKey.next.jwk")), "{resource:#}");
    assert_eq!(
        (condition(&resource, "Ready")["status"].clone(), &key(&resource)["kid"]),
        (json!("True"), &first["kid"])
    );

    house.okta.org().add_key(&next["jwk"]).unwrap();
    let resource = house.until("the next key to be used", |resource| key(resource)["kid"] == next["kid"]).await;
    assert_eq!(key(&resource)["previous"]["kid"], first["kid"], "the former stays a while");
    event(&house, "KeyRotated").await;
    let resource = house.pass().await;
    assert_eq!(condition(&resource, "Ready")["status"], "True");
    let resource = house.until("the former to go", |resource| key(resource).get("previous").is_none()).await;
    let [secret] = secrets(&house).await.try_into().unwrap();
    assert_eq!(secret.metadata.name.as_deref(), next["secretName"].as_str());
    event(&house, "KeyRetired").await;
    house.okta.org().remove_key(first["kid"].as_str().unwrap());
    let after = house.pass().await;
    assert_eq!(condition(&after, "Ready")["status"], "True");
    assert_eq!(key(&after), key(&resource), "nothing more happens");
    assert_eq!(failed_passes(&house).await, failed, "a pass failed because of the rotation");
    told_in_the_journal(&house, first["kid"].as_str().unwrap(), next["kid"].as_str().unwrap());
    let created: jiff::Timestamp = next["created"].as_str().unwrap().parse().unwrap();
    let scraped = house.get("/metrics", "text/plain").await;
    let age =
        scraped.lines().find(|line| line.starts_with("okta_user_sync_okta_key_created_timestamp_seconds{")).unwrap();
    let shown: f64 = age.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((shown - created.as_duration().as_secs_f64()).abs() < 1.0, "the age of the key in use: {age}, {created}");
}

/// The life of both keys, step by step, as the audit journal tells it.
fn told_in_the_journal(house: &House, first: &str, next: &str) {
    let lines: Vec<Value> = house.journal().into_iter().filter(|line| line["kid"].is_string()).collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            ["action", "phase", "kid"]
                .map(|field| line[field].as_str().unwrap())
                .join(" ")
                .replace(first, "1")
                .replace(next, "2")
        })
        .collect();
    let wanted = [
        "make_key intent 1",
        "make_key outcome 1",
        "accept_key outcome 1",
        "make_key intent 2",
        "make_key outcome 2",
        "accept_key outcome 2",
        "remove_key intent 1",
        "remove_key outcome 1",
    ];
    assert_eq!(told, wanted, "{lines:#?}");
    assert!(lines.iter().all(|line| line["result"] == "done" || line["phase"] == "intent"), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.to_string().contains("PRIVATE")), "P16");
}

#[tokio::test(flavor = "multi_thread")]
async fn okta_fetches_the_keys_and_age_changes_them() {
    let (mut house, resource) = house_with_new_key(2).await;
    let first = key(&resource).clone();
    house.let_okta_fetch_keys();
    house.until_ready().await;
    let failed = failed_passes(&house).await;

    let mut spec = house.keyless();
    spec["okta"]["keyRotation"] = "90d".into();
    house.change(&spec).await;
    let resource = house.pass().await;
    assert_eq!(key(&resource)["kid"], first["kid"], "it is young");
    // Seen from the operator the key is a hundred days old.
    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(100 * 24);
    let older = json!({ "metadata": { "annotations": { "usersync.dev/key-created": then.to_string() } } });
    let name = first["secretName"].as_str().unwrap();
    house.api::<Secret>().patch(name, &PatchParams::default(), &Patch::Merge(older)).await.unwrap();
    house.pass().await;
    let changed = |resource: &Value| key(resource)["kid"] != first["kid"] && key(resource).get("previous").is_none();
    let resource = house.until("another key to be the only one", changed).await;
    assert!(key(&resource)["accepted"].is_string() && key(&resource).get("next").is_none(), "{resource:#}");
    let resource = house.pass().await;
    assert_eq!(condition(&resource, "Ready")["status"], "True");
    assert_eq!(published(&house).await, [key(&resource)["jwk"].clone()]);
    assert_eq!(failed_passes(&house).await, failed, "a pass failed because of the rotation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_secret_is_told_and_another_key_is_made() {
    let (house, resource) = house_with_new_key(2).await;
    let first = key(&resource).clone();
    house.okta.org().add_key(&first["jwk"]).unwrap();
    house.until_ready().await;
    let name = first["secretName"].as_str().unwrap();
    house.api::<Secret>().delete(name, &DeleteParams::default()).await.unwrap();

    let resource = house
        .until("another key to wait for Okta", |resource| {
            key(resource)["kid"] != first["kid"] && condition(resource, "Ready")["reason"] == "KeyNotAccepted"
        })
        .await;
    let told = event(&house, "KeyLost").await;
    assert!(told.note.as_ref().is_some_and(|note| note.contains(name)), "{told:?}");
    house.okta.org().add_key(&key(&resource)["jwk"]).unwrap();
    let resource = house.until_ready().await;
    assert_eq!(resource["status"]["users"]["synced"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_the_name_of_a_key_is_never_overwritten() {
    let house = House::with_people(1).await;
    house.put_secret("identity", &house.identity()).await;
    let mut spec = house.keyless();
    spec["suspend"] = true.into();
    house.change(&spec).await;
    let object = house.api::<OktaUserSync>().get("acme").await.unwrap();
    let name = operator::keys::vault::secret_name(&object, 1);
    let theirs = json!({ "metadata": { "name": name }, "stringData": { "private.pem": "theirs" } });
    let theirs: Secret = serde_json::from_value(theirs).unwrap();
    let before = house.api::<Secret>().create(&PostParams::default(), &theirs).await.unwrap();

    house.change(&house.keyless()).await;
    let taken = |resource: &Value| condition(resource, "Ready")["reason"] == "KeySecretTaken";
    let resource = house.until("the obstacle", taken).await;
    assert!(resource["status"].get("publicKey").is_none(), "{resource:#}");
    let now = house.api::<Secret>().get(&name).await.unwrap();
    assert_eq!((now.metadata.resource_version, now.data), (before.metadata.resource_version, before.data));
    house.api::<Secret>().delete(&name, &DeleteParams::default()).await.unwrap();
    house.until("a key", |resource| key(resource)["secretName"] == name.as_str()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_ones_own_takes_over_and_the_made_one_comes_back() {
    let (house, resource) = house_with_new_key(1).await;
    let made = key(&resource).clone();
    house.put_secret("okta-key", &house.okta_key()).await;
    house.change(&house.spec()).await;
    let resource = house.until_ready().await;
    assert!(resource["status"].get("publicKey").is_none(), "{resource:#}");
    let gone = async || if published(&house).await.is_empty() { Ok(()) } else { Err("still there") };
    eventually(WITHIN, "the key not to be served any more", gone).await.unwrap();

    let back = json!({ "spec": { "okta": { "privateKeySecretRef": null } } });
    house.api::<OktaUserSync>().patch("acme", &PatchParams::default(), &Patch::Merge(back)).await.unwrap();
    let resource = house.until("the key that was made", |resource| key(resource).is_object()).await;
    assert_eq!(key(&resource)["kid"], made["kid"], "nobody has to tell Okta of another");

    house.remove().await;
    house.change(&house.keyless()).await;
    let resource = house.until("a key", |resource| key(resource).is_object()).await;
    assert_ne!(key(&resource)["kid"], made["kid"], "a resource made anew has a key of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_make_secrets_a_key_is_asked_for() {
    let house = House::with_people(1).await;
    house.put_secret("identity", &house.identity()).await;
    let create = Right { group: String::new(), resource: "secrets".into(), verb: "create".into() };
    house.change_rights(&json!({ "keys": { "create": false } }), [create]).await;
    house.change(&house.keyless()).await;
    let forbidden = |resource: &Value| condition(resource, "Ready")["reason"] == "SecretForbidden";
    let resource = house.until("the refusal", forbidden).await;
    let remedy = resource["status"]["errors"][0]["remedy"].as_str().unwrap();
    assert!(remedy.contains("keys.create") && remedy.contains("privateKeySecretRef"), "{remedy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_s_policy_holds_the_operator_to_secrets_of_keys() {
    let house = House::with_people(1).await;
    // Under the operator's own account a token of another account cannot be made.
    let operator: Api<Secret> = Api::namespaced(house.operator_client().await, &house.namespace);
    let token = json!({
        "metadata": { "name": "stolen", "annotations": { "kubernetes.io/service-account.name": "default" } },
        "type": "kubernetes.io/service-account-token",
    });
    let token: Secret = serde_json::from_value(token).unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let told = eventually(WITHIN, "the policy to be in force", async || match operator.create(&dry, &token).await {
        Err(kube::Error::Api(status)) if status.message.contains("usersync.dev/okta-key") => Ok(status.message),
        other => Err(format!("{other:?}")),
    });
    assert!(told.await.unwrap().contains("and no others"));
    house.put_secret("identity", &house.identity()).await;
    let refused = operator.delete("identity", &DeleteParams::default()).await.unwrap_err().to_string();
    assert!(refused.contains("usersync.dev/okta-key"), "{refused}");

    // A key is made, replaced and removed all the same.
    house.change(&house.keyless()).await;
    house.let_okta_fetch_keys();
    let resource = house.until_ready().await;
    let first = key(&resource)["kid"].clone();
    house.annotate("usersync.dev/rotate-key", "1").await;
    let changed = |resource: &Value| key(resource)["kid"] != first && key(resource).get("previous").is_none();
    house.until("another key to be the only one", changed).await;
    assert_eq!(secrets(&house).await.len(), 1);
}

// vault.rs, `put`: a Secret that is there already is read, not written over.
#[tokio::test(flavor = "multi_thread")]
async fn p08_two_processes_make_one_key_and_both_serve_it() {
    let house = House::with_people(1).await;
    // A second one that believes that it may write, too. There is no identity, so neither gets as far as to Teleport.
    let other = house.another_operator("second-journal").await;
    house.change(&house.keyless()).await;
    house.until("a key", |resource| key(resource).is_object()).await;
    house.let_okta_fetch_keys();
    let missing = |resource: &Value| condition(resource, "Ready")["reason"] == "IdentitySecretMissing";
    let resource = house.until("the next obstacle", missing).await;
    let [secret] = secrets(&house).await.try_into().unwrap();
    assert_eq!(secret.metadata.name.as_deref(), key(&resource)["secretName"].as_str());
    for url in [&house.url, &other] {
        let set = eventually(WITHIN, "the key to be served", async || {
            let answer = reqwest::get(format!("{url}/.well-known/jwks.json")).await.map_err(|e| e.to_string())?;
            let set: Value = answer.json().await.map_err(|e| e.to_string())?;
            if set["keys"][0].is_object() { Ok(set) } else { Err(set.to_string()) }
        });
        assert_eq!(set.await.unwrap()["keys"], json!([key(&resource)["jwk"]]), "{url}");
    }
}
