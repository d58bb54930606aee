//! Bodies recorded from real orgs are served back value for value, and what this org makes itself has their shape.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};
use support::Harness;

/// The exchanges of one recorded file; none, with the reason, where the recordings are not at hand.
fn recorded(name: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/recorded/okta").join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        Err(error) => {
            eprintln!("skipped: {}: {error}", path.display());
            Vec::new()
        }
    }
}

#[tokio::test]
async fn recorded_people_are_served_as_they_were() {
    let org = Harness::with_people(2).await;
    for exchange in recorded("user.jsonl") {
        let body = &exchange["body"];
        org.sim.org().load_user(body).unwrap();
        let id = body["id"].as_str().unwrap();
        assert_eq!(&org.read(&format!("/api/v1/users/{id}")).await, body);
    }
    for name in ["users-list.jsonl", "group-users.jsonl"] {
        for exchange in recorded(name) {
            let entries = exchange["body"].as_array().unwrap();
            for body in entries {
                org.sim.org().load_user(body).unwrap();
            }
            for body in entries {
                let search = format!("/api/v1/users?filter=id+eq+%22{}%22", body["id"].as_str().unwrap());
                assert_eq!(&org.read(&search).await[0], body);
            }
        }
    }
}

#[tokio::test]
async fn recorded_assignments_are_served_as_they_were_joined_with_their_person() {
    let org = Harness::with_people(0).await;
    let app = &org.ready.app_id;
    let person = recorded("user.jsonl").into_iter().next();
    for exchange in recorded("app-users.jsonl") {
        let bodies = match &exchange["body"] {
            Value::Array(list) => list.clone(),
            single => vec![single.clone()],
        };
        for body in bodies {
            let mut user = person.clone().unwrap()["body"].clone();
            user["id"] = body["id"].clone();
            org.sim.org().load_user(&user).unwrap();
            org.sim.org().load_app_user(app, &body).unwrap();
            let path = format!("/api/v1/apps/{app}/users/{}", body["id"].as_str().unwrap());
            assert_eq!(org.read(&path).await, body);
            let mut joined = body.clone();
            joined["_embedded"] = json!({ "user": user });
            assert_eq!(org.read(&format!("{path}?expand=user")).await, joined);
        }
    }
}

#[tokio::test]
async fn a_loaded_person_goes_on_living() {
    let org = Harness::with_people(0).await;
    let body = json!({
        "id": "00uLoaded00000000xyz", "status": "ACTIVE", "created": "2020-01-01T00:00:00.000Z",
        "lastUpdated": "2020-01-01T00:00:00.000Z", "statusChanged": null, "brandNew": { "kept": [1, null] },
        "profile": { "login": "old@example.com", "email": "old@example.com", "level": 1.0, "none": null },
        "_links": { "self": { "href": "https://elsewhere.example.com/api/v1/users/00uLoaded00000000xyz" } },
    });
    org.sim.org().load_user(&body).unwrap();
    let path = "/api/v1/users/00uLoaded00000000xyz";
    assert_eq!(org.read(path).await, body);
    org.manage(Method::POST, &format!("{path}/lifecycle/suspend"), None).await;
    let after = org.read(path).await;
    assert_eq!(after["status"], "SUSPENDED");
    assert!(after["statusChanged"].is_string());
    assert_eq!(after["brandNew"], body["brandNew"]);
    assert!(after["_links"]["unsuspend"].is_object());
    assert!(org.sim.org().load_app_user(&org.ready.app_id, &json!({ "id": "00uStranger" })).is_err());
}

#[tokio::test]
async fn recorded_apps_are_served_as_they_were() {
    let org = Harness::with_people(0).await;
    for exchange in recorded("saml-app.jsonl") {
        let body = &exchange["body"];
        let id = org.sim.org().load_app(body).unwrap();
        assert_eq!(&org.read(&format!("/api/v1/apps/{id}")).await, body);
    }
}

/// The keys at every depth, with list places left out.
fn shape(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let path = format!("{path}/{name}");
                shape(value, &path, into);
                into.insert(path);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| shape(value, path, into)),
        _ => {}
    }
}

fn shape_of(value: &Value) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    shape(value, "", &mut keys);
    keys
}

#[tokio::test]
async fn what_the_org_makes_has_the_keys_of_the_real_thing() {
    let org = Harness::with_people(1).await;
    org.sim.org().switch(|s| s.realms = true);
    let app = &org.ready.app_id;
    let id = org.sim.org().assigned(app).unwrap().remove(0);
    for exchange in recorded("app-users.jsonl") {
        let real = exchange["body"].as_array().map_or(&exchange["body"], |list| &list[0]);
        let own = org.read(&format!("/api/v1/apps/{app}/users/{id}")).await;
        let free =
            |keys: BTreeSet<String>| keys.into_iter().filter(|k| !k.starts_with("/profile/")).collect::<Vec<_>>();
        assert_eq!(free(shape_of(&own)), free(shape_of(real)));
    }
    let made = org.sim.org().create_user(
        &json!({ "login": "n@example.com", "email": "n@example.com", "firstName": "N", "lastName": "O" }),
        &okta_sim::NewPerson { activate: true, ..Default::default() },
    );
    let own = shape_of(&org.read(&format!("/api/v1/users/{}", made.unwrap())).await);
    for exchange in recorded("user.jsonl") {
        let real = shape_of(&exchange["body"]);
        let missing: Vec<_> = real
            .difference(&own)
            .filter(|k| !k.starts_with("/profile/") && k.as_str() != "/credentials/password")
            .filter(|k| exchange["body"]["status"] == "PROVISIONED" || !k.starts_with("/_links"))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
    let own = shape_of(&org.read(&format!("/api/v1/apps/{app}")).await);
    // What every recorded SAML app has, ours has.
    let common = recorded("saml-app.jsonl")
        .iter()
        .map(|exchange| shape_of(&exchange["body"]))
        .reduce(|a, b| a.intersection(&b).cloned().collect());
    if let Some(common) = common {
        let missing: Vec<_> = common.difference(&own).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
    for exchange in recorded("error.jsonl").iter().take(1) {
        let own: Value = org.admin(Method::GET, "/api/v1/users/00uNobody", None).await.json().await.unwrap();
        assert_eq!(shape_of(&own), shape_of(&exchange["body"]));
    }
}
