//! The shortest way through: start, take a token, read people, change one, see it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use reqwest::Method;
use serde_json::Value;
use support::{Harness, link};

#[tokio::test]
async fn a_client_reads_everybody_and_sees_a_suspension() {
    let org = Harness::with_people(7).await;
    let token = org.token("okta.apps.read okta.users.read").await;
    let app = &org.ready.app_id;
    let mut path = format!("/api/v1/apps/{app}/users?limit=3&expand=user");
    let mut people: Vec<Value> = Vec::new();
    loop {
        let answer = org.get(&token, &path).await;
        assert_eq!(answer.status(), 200);
        let next = link(&answer, "next");
        people.extend(answer.json::<Vec<Value>>().await.unwrap());
        match next {
            Some(next) => path = format!("{}&expand=user", next.strip_prefix(&org.ready.org_url).unwrap()),
            None => break,
        }
    }
    assert_eq!(people.len(), 7);
    for person in &people {
        assert_eq!(person["_embedded"]["user"]["id"], person["id"]);
        assert_eq!(person["_embedded"]["user"]["status"], "ACTIVE");
        assert!(person["credentials"]["userName"].as_str().unwrap().is_ascii());
    }
    let id = people[0]["id"].as_str().unwrap();
    org.manage(Method::POST, &format!("/api/v1/users/{id}/lifecycle/suspend"), None).await;
    let again = org.get(&token, &format!("/api/v1/apps/{app}/users/{id}?expand=user")).await;
    let again: Value = again.json().await.unwrap();
    assert_eq!(again["status"], "ACTIVE");
    assert_eq!(again["_embedded"]["user"]["status"], "SUSPENDED");
    assert_eq!(org.sim.org().counters().of("GET", "/api/v1/apps/{id}/users"), 3);
}

#[tokio::test]
async fn the_ready_line_has_exactly_its_seven_keys() {
    let org = Harness::with_people(1).await;
    let line = serde_json::to_string(&org.ready).unwrap();
    let value: Value = serde_json::from_str(&line).unwrap();
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["adminURL", "appID", "caFile", "clientID", "orgURL", "privateKeyFile", "ssws"]);
    assert!(!line.contains('\n'));
    assert!(org.ready.app_id.starts_with("0oa") && org.ready.app_id.len() == 20);
    assert!(org.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    let folder = org.ready.ca_file.parent().unwrap().to_owned();
    assert!(folder.exists());
    drop(org);
    assert!(!folder.exists());
}
