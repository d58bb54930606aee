//! Each fault, seen from a client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use reqwest::Method;
use serde_json::{Value, json};
use support::{Harness, link, refusal};

/// An org with one fault on its app users list, three people on two pages.
async fn broken(kind: Value) -> (Harness, String) {
    let org = Harness::with_people(3).await;
    let path = format!("/api/v1/apps/{}/users?limit=2&expand=user", org.ready.app_id);
    let fault = json!({ "path": "/api/v1/apps/*/users", "kind": kind });
    org.sim.org().fault_json(&fault).unwrap();
    (org, path)
}

/// The list as it comes.
async fn list(kind: Value) -> (reqwest::StatusCode, Option<String>, Vec<Value>) {
    let (org, path) = broken(kind).await;
    let answer = org.admin(Method::GET, &path, None).await;
    let (status, next) = (answer.status(), link(&answer, "next"));
    (status, next, answer.json().await.unwrap())
}

#[tokio::test]
async fn answers_can_be_replaced() {
    let (org, path) = broken(json!({ "status": { "status": 503 } })).await;
    assert_eq!(refusal(org.admin(Method::GET, &path, None).await).await.1, "E0000010");
    let (org, path) = broken(json!({ "html": {} })).await;
    let page = org.admin(Method::GET, &path, None).await;
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let (org, path) =
        broken(json!({ "status": { "status": 502, "body": "<h1>Bad Gateway</h1>", "contentType": "text/html" } }))
            .await;
    assert_eq!(org.admin(Method::GET, &path, None).await.text().await.unwrap(), "<h1>Bad Gateway</h1>");
    let (org, path) = broken(json!({ "redirect": { "location": "https://elsewhere.example.com/" } })).await;
    assert_eq!(org.admin(Method::GET, &path, None).await.status(), 302);
    let (org, path) = broken(json!("invalidToken")).await;
    assert_eq!(org.admin(Method::GET, &path, None).await.status(), 401);
    let org = Harness::with_people(0).await;
    org.sim
        .org()
        .fault_json(&json!({ "path": "/oauth2/v1/token", "kind": {
            "oauthError": { "status": 401, "error": "invalid_client", "description": "Error retrieving the client JWKSet from jwks_uri." } } }))
        .unwrap();
    let answer: Value = org.post_form(&org.form("okta.apps.read"), None).await.json().await.unwrap();
    assert_eq!(answer["error"], "invalid_client");
}

#[tokio::test]
async fn connections_break_before_and_within_an_answer() {
    let (org, path) = broken(json!("dropConnection")).await;
    let failed = org.http.get(org.url(&path)).header("Authorization", format!("SSWS {}", org.ready.ssws)).send().await;
    assert!(failed.is_err());
    let (org, path) = broken(json!({ "truncateBody": { "after": 100 } })).await;
    let answer = org.admin(Method::GET, &path, None).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err(), "the rest never comes");
    let (org, path) = broken(json!({ "cutJson": { "after": 100 } })).await;
    let text = org.admin(Method::GET, &path, None).await.text().await.unwrap();
    assert_eq!(text.len(), 100);
    let (org, path) = broken(json!({ "slowBody": { "piece": 2000, "millis": 1 } })).await;
    let whole: Vec<Value> = org.admin(Method::GET, &path, None).await.json().await.unwrap();
    assert_eq!(whole.len(), 2);
    let (org, path) = broken(json!({ "padding": { "bytes": 100_000 } })).await;
    assert_eq!(org.admin(Method::GET, &path, None).await.bytes().await.unwrap().len(), 100_000);
}

#[tokio::test]
async fn lists_lie() {
    let (status, next, entries) = list(json!("emptyList")).await;
    assert_eq!((status.as_u16(), next, entries.len()), (200, None, 0));
    let (_, next, entries) = list(json!("emptyPage")).await;
    assert!(next.is_some() && entries.is_empty());
    let (_, next, entries) = list(json!({ "shortList": { "keep": 1 } })).await;
    assert_eq!((next, entries.len()), (None, 1));
    let (_, next, entries) = list(json!("loseNext")).await;
    assert_eq!((next, entries.len()), (None, 2));
    let (_, _, entries) = list(json!("duplicateEntry")).await;
    assert_eq!((entries.len(), &entries[0]["id"]), (3, &entries[2]["id"]));
    let (_, _, straight) = list(json!("stripDate")).await;
    let (_, _, mut reversed) = list(json!("reverse")).await;
    reversed.reverse();
    assert_eq!(straight[0]["profile"], reversed[0]["profile"]);
    let (_, next, _) = list(json!({ "foreignNext": { "base": "https://evil.example.com" } })).await;
    assert!(next.unwrap().starts_with("https://evil.example.com/api/v1/apps/"));
    let (org, path) = broken(json!("nextLoop")).await;
    let answer = org.admin(Method::GET, &path, None).await;
    assert_eq!(link(&answer, "next").unwrap(), org.url(&path));
    let (org, path) = broken(json!("firstPageAgain")).await;
    let first = org.admin(Method::GET, &path, None).await;
    let next = link(&first, "next").unwrap();
    let again = org.admin(Method::GET, next.strip_prefix(&org.ready.org_url).unwrap(), None).await;
    let (first, again): (Vec<Value>, Vec<Value>) = (first.json().await.unwrap(), again.json().await.unwrap());
    assert_eq!(first[0]["id"], again[0]["id"]);
    let (org, path) = broken(json!("foldLinks")).await;
    let answer = org.admin(Method::GET, &path, None).await;
    assert_eq!(answer.headers().get_all("link").iter().count(), 1);
}

#[tokio::test]
async fn two_pages_change_places_and_nobody_is_lost() {
    let org = Harness::with_people(5).await;
    let path = format!("/api/v1/apps/{}/users?limit=2", org.ready.app_id);
    let straight = walk(&org, &path).await;
    org.sim.org().fault_json(&json!({ "path": "/api/v1/apps/*/users", "skip": 1, "kind": "swapPages" })).unwrap();
    let swapped = walk(&org, &path).await;
    assert_eq!(straight.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(swapped, [&straight[0], &straight[2], &straight[1]].map(Clone::clone));
    // Struck once, the second page is skipped and the third comes twice.
    org.sim.org().clear_faults();
    let once = json!({ "path": "/api/v1/apps/*/users", "skip": 1, "count": 1, "kind": "swapPages" });
    org.sim.org().fault_json(&once).unwrap();
    assert_eq!(walk(&org, &path).await, [&straight[0], &straight[2], &straight[2]].map(Clone::clone));
}

/// The ids on each page of a list, to its end.
async fn walk(org: &Harness, path: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let answer = org.admin(Method::GET, &path, None).await;
        next = link(&answer, "next").map(|url| url.strip_prefix(&org.ready.org_url).unwrap().to_owned());
        let entries: Vec<Value> = answer.json().await.unwrap();
        pages.push(entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect());
    }
    pages
}

#[tokio::test]
async fn entries_are_spoiled() {
    let (_, _, entries) = list(json!({ "missingEmbedded": { "every": 2 } })).await;
    assert!(entries[0].get("_embedded").is_none() && entries[1].get("_embedded").is_some());
    let (_, _, entries) = list(json!({ "emptyEmbedded": {} })).await;
    assert!(entries.iter().all(|e| e["_embedded"] == json!({})));
    let (_, _, entries) = list(json!("foreignEmbedded")).await;
    assert_ne!(entries[0]["_embedded"]["user"]["id"], entries[0]["id"]);
    let (_, _, entries) = list(json!("unknownStatus")).await;
    assert_eq!(entries[0]["status"], "LEVITATING");
    assert_eq!(entries[0]["_embedded"]["user"]["status"], "HIBERNATING");
    let (_, _, entries) = list(json!("extraFields")).await;
    assert!(entries[1]["brandNew"].is_object());
    let (_, _, entries) = list(json!("omitNulls")).await;
    assert!(entries[0].get("externalId").is_none());
}

#[tokio::test]
async fn headers_are_missing_doubled_or_wrong() {
    let (org, path) = broken(json!("stripDate")).await;
    assert!(!org.admin(Method::GET, &path, None).await.headers().contains_key("date"));
    let (org, path) = broken(json!("stripRateHeaders")).await;
    assert!(!org.admin(Method::GET, &path, None).await.headers().contains_key("x-rate-limit-limit"));
    let (org, path) = broken(json!("doubleRateHeaders")).await;
    let answer = org.admin(Method::GET, &path, None).await;
    assert_eq!(answer.headers().get_all("x-rate-limit-remaining").iter().count(), 2);
    let (org, path) = broken(json!({ "wrongContentType": { "value": "text/plain" } })).await;
    assert_eq!(org.admin(Method::GET, &path, None).await.headers()["content-type"], "text/plain");
    let (org, path) = broken(json!({ "remaining": { "remaining": 1, "resetIn": 30 } })).await;
    assert_eq!(org.admin(Method::GET, &path, None).await.headers()["x-rate-limit-remaining"], "1");
}

#[tokio::test]
async fn the_two_kinds_of_429_differ_in_their_headers() {
    let (org, path) = broken(json!({ "rateLimited": { "resetIn": 20, "withoutDate": true } })).await;
    org.sim.org().clock().freeze(true);
    let timed = org.admin(Method::GET, &path, None).await;
    assert_eq!(timed.headers()["x-rate-limit-remaining"], "0");
    assert_ne!(timed.headers()["x-rate-limit-limit"], "0");
    assert_eq!(timed.headers()["x-rate-limit-reset"], (org.now() + 20).to_string());
    assert!(!timed.headers().contains_key("date"));
    assert_eq!(refusal(timed).await.1, "E0000047");
    let (org, path) = broken(json!({ "concurrencyLimited": {} })).await;
    let crowded = org.admin(Method::GET, &path, None).await;
    assert_eq!(crowded.headers()["x-rate-limit-limit"], "0");
    assert_eq!(crowded.headers()["x-rate-limit-remaining"], "0");
    assert_eq!(refusal(crowded).await.0, 429);
}

#[tokio::test]
async fn a_fault_strikes_where_when_and_as_often_as_it_says() {
    let org = Harness::with_people(3).await;
    let token = org.token("okta.apps.read").await;
    let posted = org
        .switchboard(
            Method::POST,
            "/faults",
            Some(&json!({
                "path": "/api/v1/apps/*/users", "method": "GET", "query": "after=", "caller": "client:",
                "count": 1, "kind": { "status": { "status": 500 } },
            })),
        )
        .await;
    let posted: Value = posted.json().await.unwrap();
    let path = format!("/api/v1/apps/{}/users?limit=2", org.ready.app_id);
    let first = org.get(&token, &path).await;
    assert_eq!(first.status(), 200);
    let second = link(&first, "next").unwrap();
    let second = second.strip_prefix(&org.ready.org_url).unwrap();
    assert_eq!(org.admin(Method::GET, second, None).await.status(), 200, "not this caller");
    assert_eq!(org.get(&token, second).await.status(), 500);
    assert_eq!(org.get(&token, second).await.status(), 200, "used up");
    let board: Value = org.switchboard(Method::GET, "/faults", None).await.json().await.unwrap();
    assert_eq!((&board[0]["id"], &board[0]["struck"]), (&posted["id"], &json!(1)));
    org.switchboard(Method::DELETE, &format!("/faults/{}", posted["id"]), None).await;
    let board: Value = org.switchboard(Method::GET, "/faults", None).await.json().await.unwrap();
    assert_eq!(board, json!([]));
    let nonsense = org.switchboard(Method::POST, "/faults", Some(&json!({ "kind": "gremlins" }))).await;
    assert_eq!(nonsense.status(), 400);
    assert!(nonsense.text().await.unwrap().contains("gremlins"));
}

#[tokio::test]
async fn a_token_can_be_revoked_in_the_middle_of_a_walk() {
    let org = Harness::with_people(3).await;
    let token = org.token("okta.apps.read").await;
    org.sim
        .org()
        .fault_json(&json!({ "path": "/api/v1/apps*", "skip": 1, "count": 1, "kind": "revokeToken" }))
        .unwrap();
    let path = format!("/api/v1/apps/{}/users?limit=1", org.ready.app_id);
    let statuses = [org.get(&token, &path).await, org.get(&token, &path).await, org.get(&token, &path).await];
    assert_eq!(statuses.map(|a| a.status().as_u16()), [200, 401, 401]);
    let fresh = org.token("okta.apps.read").await;
    assert_eq!(org.get(&fresh, &path).await.status(), 200);
}
