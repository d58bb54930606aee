//! Made-up people.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use std::collections::BTreeSet;

use okta_sim::{OktaSim, Options};
use reqwest::Method;
use serde_json::Value;
use support::{Harness, link};

#[tokio::test]
async fn the_same_seed_makes_the_same_org() {
    let sample = async |seed: u64| {
        let sim = OktaSim::start(Options::with_people(50, seed)).await.unwrap();
        let app = sim.ready().app_id;
        let ids = sim.org().assigned(&app).unwrap();
        let mut all: Vec<Value> =
            ids.iter().map(|id| sim.org().app_user(&app, id).unwrap()["credentials"].clone()).collect();
        all.extend(ids.iter().map(|id| sim.org().user(id).unwrap()["profile"].clone()));
        (ids, all, sim.ready().client_id)
    };
    let first = sample(3).await;
    assert_eq!(first, sample(3).await);
    assert_ne!(first.1, sample(4).await.1);
}

#[tokio::test]
async fn ordinary_people_are_active_assigned_and_have_names_of_their_own() {
    let org = Harness::with_people(300).await;
    let entries = org.read(&format!("/api/v1/apps/{}/users?limit=500&expand=user", org.ready.app_id)).await;
    let entries = entries.as_array().unwrap();
    assert_eq!(entries.len(), 300);
    let names: BTreeSet<&str> = entries.iter().map(|e| e["credentials"]["userName"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 300);
    for name in &names {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"@.-".contains(&b)), "{name}");
    }
    for entry in entries {
        let user = &entry["_embedded"]["user"];
        assert_eq!((user["status"].as_str(), entry["status"].as_str()), (Some("ACTIVE"), Some("ACTIVE")));
        assert_eq!(user["profile"]["login"], entry["credentials"]["userName"]);
        assert!(user["profile"].as_object().unwrap().len() >= 20);
    }
    assert!(entries.iter().any(|e| !e["_embedded"]["user"]["profile"]["firstName"].as_str().unwrap().is_ascii()));
    assert!(entries.iter().any(|e| e["profile"] != serde_json::json!({})));
    assert!(org.sim.org().group_named("Everyone").is_some());
}

/// An entry's id alone: no need to build a hundred thousand trees.
#[derive(serde::Deserialize)]
struct Entry {
    id: String,
}

#[tokio::test]
async fn a_hundred_thousand_people_are_all_there() {
    let org = Harness::with_people(100_000).await;
    let mut path = format!("/api/v1/apps/{}/users?limit=500", org.ready.app_id);
    let mut ids = BTreeSet::new();
    loop {
        let answer = org.admin(Method::GET, &path, None).await;
        let next = link(&answer, "next");
        let page: Vec<Entry> = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        ids.extend(page.into_iter().map(|e| e.id));
        match next {
            Some(next) => path = next.strip_prefix(&org.ready.org_url).unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(ids.len(), 100_000);
    assert_eq!(org.sim.org().counters().of("GET", "/api/v1/apps/{id}/users"), 200);
}

#[tokio::test]
async fn the_awkward_ones_come_on_top_when_asked() {
    let options = Options { people: 5, nasty: true, custom_attributes: 300, ..Options::default() };
    let org = Harness::start(options).await;
    let entries = org.read(&format!("/api/v1/apps/{}/users?limit=500&expand=user", org.ready.app_id)).await;
    let entries = entries.as_array().unwrap();
    assert!(entries.len() > 40, "{}", entries.len());
    let has =
        |pointer: &str, word: &str| entries.iter().any(|e| e.pointer(pointer).and_then(Value::as_str) == Some(word));
    for status in [
        "SUSPENDED",
        "LOCKED_OUT",
        "PASSWORD_EXPIRED",
        "RECOVERY",
        "PROVISIONED",
        "STAGED",
        "DEPROVISIONED",
        "HIBERNATING",
    ] {
        assert!(has("/_embedded/user/status", status), "{status}");
    }
    for status in ["REVOKED", "LEVITATING"] {
        assert!(has("/status", status), "{status}");
    }
    assert!(entries.iter().any(|e| e.get("credentials").is_none()));
    let twins = entries.iter().filter(|e| e["credentials"]["userName"] == "twin@corner.example.com").count();
    assert_eq!(twins, 2);
    assert!(entries[0]["_embedded"]["user"]["profile"].as_object().unwrap().len() >= 320);
}
