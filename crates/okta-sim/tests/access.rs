//! Who may call: credentials, scopes, roles, rate limits; and the headers that every answer carries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use okta_sim::{CustomRole, Options, RatePlan, Role, Visible};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Harness, refusal};

#[tokio::test]
async fn without_a_credential_nothing_is_told() {
    let org = Harness::with_people(1).await;
    let bare = org.http.get(org.url("/api/v1/users")).send().await.unwrap();
    assert_eq!(refusal(bare).await.1, "E0000005");
    let wrong = org.http.get(org.url("/api/v1/users")).header("Authorization", "SSWS 00nonsense").send().await.unwrap();
    let (status, code, _) = refusal(wrong).await;
    assert_eq!((status, code.as_str()), (401, "E0000011"));
    let glued = org.http.get(org.url("/api/v1/users")).header("Authorization", format!("SSWS{}", org.ready.ssws));
    assert_eq!(glued.send().await.unwrap().status(), 200, "as the vendor's Python SDK writes it");
    let token = org.token("okta.users.read").await;
    let nowhere = org.get(&token, "/api/v1/nowhere").await;
    assert_eq!(refusal(nowhere).await.1, "E0000008");
    let verb = org.admin(Method::DELETE, "/api/v1/users", None).await;
    assert_eq!(refusal(verb).await.1, "E0000022");
    let body = org
        .http
        .post(org.url("/api/v1/users"))
        .header("Authorization", format!("SSWS {}", org.ready.ssws))
        .body("{not json")
        .send()
        .await
        .unwrap();
    assert_eq!(refusal(body).await.1, "E0000003");
}

/// Status and `WWW-Authenticate` of an answer that has no body.
async fn challenge(answer: reqwest::Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let header = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(answer.bytes().await.unwrap().is_empty(), "no body");
    (status, header)
}

#[tokio::test]
async fn token_troubles_are_told_in_a_header_only() {
    let org = Harness::with_people(1).await;
    let token = org.token("okta.users.read").await;
    assert_eq!(org.get(&token, "/api/v1/users").await.status(), 200);
    let host = org.ready.org_url.strip_prefix("https://").unwrap();
    let (status, header) = challenge(org.get(&token, "/api/v1/groups?limit=1").await).await;
    assert_eq!(status, 403);
    assert_eq!(
        header,
        format!(
            "Bearer authorization_uri=\"http://{host}/oauth2/v1/authorize\", realm=\"http://{host}\", \
             scope=\"okta.groups.read\", error=\"insufficient_scope\", \
             error_description=\"The access token provided does not contain the required scopes.\", \
             resource=\"/api/v1/groups\""
        )
    );
    let (status, header) = challenge(org.get("nonsense", "/api/v1/users").await).await;
    assert_eq!(status, 401);
    assert!(header.contains("error=\"invalid_token\""), "{header}");
    org.sim.org().clock().advance_millis(3_601_000);
    let (status, header) = challenge(org.get(&token, "/api/v1/users").await).await;
    assert_eq!(status, 401);
    assert!(header.contains("The token has expired."), "{header}");
    let fresh = org.token("okta.users.read").await;
    org.sim.org().revoke_tokens();
    let (_, header) = challenge(org.get(&fresh, "/api/v1/users").await).await;
    assert!(header.contains("has been revoked"), "{header}");
}

#[tokio::test]
async fn scopes_belong_to_the_token_not_to_the_moment() {
    let org = Harness::with_people(1).await;
    let token = org.token("okta.users.read okta.apps.read").await;
    org.sim.org().set_scopes(&["okta.apps.read"]);
    assert_eq!(org.get(&token, "/api/v1/users").await.status(), 200);
    let token = org.token("okta.users.read okta.apps.read").await;
    assert_eq!(org.get(&token, "/api/v1/users").await.status(), 403);
    assert_eq!(org.get(&token, "/api/v1/apps").await.status(), 200);
}

#[tokio::test]
async fn a_reading_client_cannot_write_whatever_its_scopes() {
    let org = Harness::with_people(1).await;
    org.sim.org().set_scopes(&["okta.users.manage"]);
    let token = org.token("okta.users.manage").await;
    let id = org.sim.org().assigned(&org.ready.app_id).unwrap().remove(0);
    let path = org.url(&format!("/api/v1/users/{id}/lifecycle/suspend"));
    let refused = org.http.post(&path).bearer_auth(&token).send().await.unwrap();
    assert_eq!(refusal(refused).await.1, "E0000006");
    org.sim.org().set_role(Role::SuperAdmin);
    assert_eq!(org.http.post(&path).bearer_auth(&token).send().await.unwrap().status(), 200);
    let write = org.sim.org().writes().pop().unwrap();
    assert_eq!((write.method.as_str(), write.status), ("POST", 200));
    assert_eq!(write.who, format!("client:{}", org.ready.client_id));
}

#[tokio::test]
async fn a_narrowed_role_shortens_lists_without_a_word() {
    let org = Harness::with_people(5).await;
    let handle = org.sim.org();
    let app = org.ready.app_id.clone();
    let token = org.token("okta.users.read okta.apps.read okta.groups.read okta.logs.read").await;
    let ids = handle.assigned(&app).unwrap();
    let users = format!("/api/v1/apps/{app}/users?expand=user");
    let count = async |path: &str| {
        let answer = org.get(&token, path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json::<Vec<Value>>().await.unwrap().len()
    };
    let code = async |path: &str| refusal(org.get(&token, path).await).await.1;
    handle.set_role(Role::None);
    for path in ["/api/v1/users", "/api/v1/apps", "/api/v1/groups"] {
        assert_eq!(count(path).await, 0, "{path}");
    }
    assert_eq!(code(&users).await, "E0000006");
    assert_eq!(code(&format!("/api/v1/users/{}", ids[0])).await, "E0000006");
    assert_eq!(code("/api/v1/logs").await, "E0000006");
    handle.switch(|s| s.hidden_object_status = 404);
    assert_eq!(code(&format!("/api/v1/apps/{app}")).await, "E0000007");
    let two = Visible::Only(ids[..2].iter().cloned().collect());
    handle.set_role(Role::Custom(CustomRole { people: two, ..CustomRole::default() }));
    assert_eq!(count(&users).await, 2);
    handle.switch(|s| s.role_filters_app_users = false);
    let all: Vec<Value> = org.get(&token, &users).await.json().await.unwrap();
    assert_eq!(all.len(), 5);
    assert_eq!(all.iter().filter(|e| e.get("_embedded").is_some()).count(), 2);
    let department = handle.user(&ids[0]).unwrap()["profile"]["department"].as_str().unwrap().to_owned();
    let group = handle.group_named(&department).unwrap();
    handle.set_role(Role::Custom(CustomRole {
        people: Visible::InGroups([group.clone()].into()),
        hidden_attributes: vec!["department".to_owned()],
        ..CustomRole::default()
    }));
    let seen: Vec<Value> = org.get(&token, "/api/v1/users").await.json().await.unwrap();
    assert!(!seen.is_empty() && seen.len() < 5);
    assert!(seen.iter().all(|u| u["profile"].get("department").is_none() && u["profile"].get("title").is_some()));
}

#[tokio::test]
async fn every_answer_says_when_who_and_how_much_is_left() {
    let org = Harness::with_people(1).await;
    assert!(org.sim.org().rate_limit("/api/v1/users", 3));
    assert!(!org.sim.org().rate_limit("/api/v1/unheard-of", 3));
    org.sim.org().clock().freeze(true);
    for left in [2, 1, 0] {
        let answer = org.admin(Method::GET, "/api/v1/users", None).await;
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("x-rate-limit-limit"), "3");
        assert_eq!(header("x-rate-limit-remaining"), left.to_string());
        let reset: i64 = header("x-rate-limit-reset").parse().unwrap();
        assert!((60..=61).contains(&(reset - org.now())), "{reset}");
        assert!(!header("x-okta-request-id").is_empty());
        assert!(header("date").ends_with(" GMT"));
    }
    let over = org.admin(Method::GET, "/api/v1/users", None).await;
    assert_eq!(over.headers()["x-rate-limit-remaining"], "0");
    assert_eq!(refusal(over).await.1, "E0000047");
    assert_eq!(org.admin(Method::GET, "/api/v1/apps", None).await.status(), 200, "another bucket");
    org.sim.org().clock().advance_millis(60_000);
    assert_eq!(org.admin(Method::GET, "/api/v1/users", None).await.status(), 200);
    assert_eq!(org.sim.org().counters().buckets["/api/v1/users"], 5);
}

#[tokio::test]
async fn one_client_may_use_its_share_of_a_bucket() {
    let org = Harness::with_people(1).await;
    org.sim.org().rate_plan(RatePlan::Integrator);
    org.sim.org().switch(|s| s.client_share_percent = 50);
    let token = org.token("okta.apps.read").await;
    let path = format!("/api/v1/apps/{}/users?limit=1", org.ready.app_id);
    for _ in 0..10 {
        assert_eq!(org.get(&token, &path).await.status(), 200);
    }
    assert_eq!(org.get(&token, &path).await.status(), 429);
    assert_eq!(org.admin(Method::GET, &path, None).await.status(), 200, "others still can");
}

#[tokio::test]
async fn the_org_says_who_it_is_to_anybody() {
    let org = Harness::with_people(0).await;
    let answer = org.http.get(org.url("/.well-known/okta-organization")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    assert!(body["id"].as_str().unwrap().starts_with("00o"));
    assert_eq!(body["_links"]["organization"]["href"], org.ready.org_url.as_str());
    let keys: Value = org.http.get(org.url("/oauth2/v1/keys")).send().await.unwrap().json().await.unwrap();
    assert!(keys["keys"][0]["d"].is_null() && keys["keys"][0]["kid"].is_string());
}

#[tokio::test]
async fn a_client_may_call_the_org_localhost() {
    let org = Harness::with_people(1).await;
    let base = org.ready.org_url.replace("127.0.0.1", "localhost");
    let url = format!("{base}/api/v1/users?limit=1");
    let answer = org.http.get(url).header("Authorization", format!("SSWS {}", org.ready.ssws)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["link"].to_str().unwrap().contains(&base));
}

#[tokio::test]
async fn an_org_may_have_a_name_of_its_own() {
    let options = Options { host_names: vec!["acme.okta.test".to_owned()], ..Options::with_people(1, 1) };
    let org = Harness::start(options).await;
    let port: u16 = org.ready.org_url.rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(org.ready.org_url, format!("https://acme.okta.test:{port}"));
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(org.sim.ca_pem().as_bytes()).unwrap()])
        .resolve("acme.okta.test", ([127, 0, 0, 1], port).into())
        .build()
        .unwrap();
    let form = org.form("okta.users.read");
    assert_eq!(http.post(org.url("/oauth2/v1/token")).form(&form).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn engines_and_realms_show_in_small_things() {
    let org = Harness::with_people(1).await;
    let id = org.sim.org().assigned(&org.ready.app_id).unwrap().remove(0);
    let look = async || {
        let app = org.read(&format!("/api/v1/apps/{}", org.ready.app_id)).await;
        let user = org.read(&format!("/api/v1/users/{id}")).await;
        let about = org.read("/.well-known/okta-organization").await;
        (app["_links"]["accessPolicy"].is_object(), user["realmId"].is_string(), about["pipeline"].clone())
    };
    assert_eq!(look().await, (true, false, json!("idx")));
    org.sim.org().switch(|s| {
        s.identity_engine = false;
        s.realms = true;
    });
    assert_eq!(look().await, (false, true, json!("v1")));
}

#[tokio::test]
async fn a_certificate_can_be_renewed_or_go_bad() {
    let org = Harness::with_people(1).await;
    let fresh = || {
        let ca = reqwest::Certificate::from_pem(org.sim.ca_pem().as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([ca]).build().unwrap().get(org.url("/oauth2/v1/keys")).send()
    };
    assert!(fresh().await.is_ok());
    org.switchboard(Method::POST, "/certificate", Some(&json!({}))).await;
    assert!(fresh().await.is_ok());
    org.switchboard(Method::POST, "/certificate", Some(&json!({ "foreign": true }))).await;
    assert!(fresh().await.is_err());
}
