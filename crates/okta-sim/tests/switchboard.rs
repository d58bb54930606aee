//! The admin port.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use reqwest::Method;
use serde_json::{Value, json};
use support::Harness;

async fn post(org: &Harness, path: &str, body: Value) -> Value {
    let answer = org.switchboard(Method::POST, path, Some(&body)).await;
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[tokio::test]
async fn what_happened_can_be_counted_and_listed() {
    let org = Harness::with_people(2).await;
    let token = org.token("okta.apps.read").await;
    org.get(&token, "/api/v1/apps").await;
    org.get(&token, "/api/v1/apps").await;
    let counters: Value = org.switchboard(Method::GET, "/counters", None).await.json().await.unwrap();
    assert_eq!(counters["requests"], json!({ "GET /api/v1/apps": 2, "POST /oauth2/v1/token": 1 }));
    assert_eq!(counters["buckets"]["/api/v1/apps"], 2);
    assert_eq!(counters["userAgents"], json!({ "okta-sim-tests": 3 }));
    assert_eq!(counters["callers"], json!({ format!("client:{}", org.ready.client_id): 3 }));
    let writes: Value = org.switchboard(Method::GET, "/writes", None).await.json().await.unwrap();
    assert_eq!(writes.as_array().unwrap().len(), 1);
    assert_eq!(writes[0]["path"], "/oauth2/v1/token");
    org.switchboard(Method::DELETE, "/counters", None).await;
    let counters: Value = org.switchboard(Method::GET, "/counters", None).await.json().await.unwrap();
    assert_eq!(counters["total"], 0);
}

#[tokio::test]
async fn the_summary_shows_everything_but_secrets() {
    let org = Harness::with_people(2).await;
    let text = org.switchboard(Method::GET, "/state", None).await.text().await.unwrap();
    assert!(!text.contains(&org.ready.ssws));
    let state: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(state["people"], 2);
    assert_eq!(state["apps"][0]["id"], org.ready.app_id.as_str());
    assert_eq!(state["apps"][0]["users"], 2);
    assert_eq!(state["clients"][0]["clientID"], org.ready.client_id.as_str());
    assert_eq!(state["clients"][0]["kids"][0], org.kid().as_str());
}

#[tokio::test]
async fn everything_can_be_switched_while_it_runs() {
    let org = Harness::with_people(2).await;
    let id = org.sim.org().assigned(&org.ready.app_id).unwrap().remove(0);
    let before = org.now();
    post(&org, "/clock", json!({ "offsetSeconds": 600 })).await;
    assert!(org.now() >= before + 600);
    let answer = org.admin(Method::GET, "/api/v1/users", None).await;
    let date = jiff::fmt::rfc2822::parse(answer.headers()["date"].to_str().unwrap()).unwrap();
    assert!(date.timestamp().as_second() >= before + 600, "Date follows the org's clock");
    post(&org, "/clock", json!({ "offsetSeconds": 0, "frozen": true })).await;
    post(&org, "/dpop", json!({ "mode": "required" })).await;
    assert_eq!(org.post_form(&org.form("okta.apps.read"), None).await.status(), 400);
    let service = org.read(&format!("/api/v1/apps/{}", org.ready.client_id)).await;
    assert_eq!(service["settings"]["oauthClient"]["dpop_bound_access_tokens"], true);
    post(&org, "/dpop", json!({ "mode": "notRequired" })).await;
    post(&org, "/scopes", json!({ "scopes": ["okta.apps.read", "okta.apps.manage"] })).await;
    let token = org.token("okta.apps.read").await;
    post(&org, "/role", json!({ "role": { "CUSTOM": { "apps": { "only": [] } } } })).await;
    let apps: Value = org.get(&token, "/api/v1/apps").await.json().await.unwrap();
    assert_eq!(apps, json!([]));
    post(&org, "/role", json!({ "role": "READ_ONLY_ADMIN" })).await;
    let switches = post(&org, "/switches", json!({ "foldLinks": true })).await;
    assert_eq!((&switches["foldLinks"], &switches["hiddenObjectStatus"]), (&json!(true), &json!(403)));
    post(&org, "/rates", json!({ "plan": "integrator", "limits": { "/api/v1/logs": 1 } })).await;
    assert_eq!(org.admin(Method::GET, "/api/v1/logs", None).await.headers()["x-rate-limit-limit"], "1");
    post(&org, &format!("/people/{id}/status"), json!({ "status": "LOCKED_OUT" })).await;
    assert_eq!(org.read(&format!("/api/v1/users/{id}")).await["status"], "LOCKED_OUT");
    org.switchboard(Method::DELETE, "/tokens", None).await;
    assert_eq!(org.get(&token, "/api/v1/apps").await.status(), 401);
    let body = json!({ "id": "00uLoaded00000000xyz", "status": "ACTIVE", "profile": { "login": "l@example.com" } });
    let entry =
        json!({ "id": "00uLoaded00000000xyz", "credentials": { "userName": "l" }, "profile": {}, "scope": "USER" });
    post(&org, "/load", json!({ "users": [body], "appUsers": [{ "app": org.ready.app_id, "body": entry }] })).await;
    assert_eq!(org.sim.org().assigned(&org.ready.app_id).unwrap().len(), 3);
    post(&org, "/clients", json!({ "clientID": "0oaOther", "jwk": org.sim.org().keys()[0] })).await;
    post(&org, "/scopes", json!({ "clientID": "0oaOther", "scopes": ["okta.users.read"] })).await;
}

#[tokio::test]
async fn mistakes_are_told_in_words() {
    let org = Harness::with_people(0).await;
    for (path, body) in [
        ("/switches", json!({ "warpDrive": true })),
        ("/rates", json!({ "limits": { "/api/v1/warp": 1 } })),
        ("/role", json!({ "role": "EMPEROR" })),
        ("/scopes", json!({ "clientID": "0oaNobody", "scopes": [] })),
        ("/people/nobody/status", json!({ "status": "ACTIVE" })),
        ("/client", json!({ "jwksURL": "http://teleport.example.com" })),
    ] {
        let answer = org.switchboard(Method::POST, path, Some(&body)).await;
        assert_eq!(answer.status(), 400, "{path}");
        let body: Value = answer.json().await.unwrap();
        assert!(!body["error"].as_str().unwrap().is_empty(), "{path}");
    }
}
