//! Answers fit the vendor's own description of its API. (Every other test here holds its answers against it as well, in
//! [`support::Harness`].)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use okta_sim::{Options, Switches};
use serde_json::Value;
use support::{Harness, description::description};

#[tokio::test]
async fn every_read_fits_the_description() {
    if description().is_none() {
        return;
    }
    for (identity_engine, realms) in [(true, false), (true, true), (false, false)] {
        let switches = Switches { identity_engine, realms, ..Switches::default() };
        reads_fit(Options { people: 12, custom_attributes: 10, switches, ..Options::default() }).await;
    }
}

/// Every path that the description knows, with something in it. [`Harness::read`] holds the answers against it.
async fn reads_fit(options: Options) {
    let org = Harness::start(options).await;
    let handle = org.sim.org();
    let app = org.ready.app_id.clone();
    let ids = handle.assigned(&app).unwrap();
    let group = handle.group_named("Everyone").unwrap();
    let engineering = handle.group_named("Engineering").unwrap();
    handle.join(&engineering, &ids[0]).unwrap();
    handle.assign_group(&app, &engineering).unwrap();
    handle.suspend(&ids[0]).unwrap();
    handle.switch(|s| s.deactivation_millis = 1_000_000);
    handle.deactivate(&ids[1]).unwrap();
    for status in ["STAGED", "PROVISIONED", "RECOVERY", "PASSWORD_EXPIRED", "LOCKED_OUT"] {
        let profile = serde_json::json!({ "login": format!("{status}@example.com"), "email": "e@example.com" });
        let id = handle.create_user(&profile, &okta_sim::NewPerson::default()).unwrap();
        handle.set_status(&id, status).unwrap();
    }
    let (client, one, two) = (&org.ready.client_id, &ids[0], &ids[1]);
    let paths = [
        "/.well-known/okta-organization".to_owned(),
        "/api/v1/apps".to_owned(),
        format!("/api/v1/apps/{app}"),
        format!("/api/v1/apps/{client}"),
        format!("/api/v1/apps/{app}/users"),
        format!("/api/v1/apps/{app}/users?expand=user"),
        format!("/api/v1/apps/{app}/users/{one}?expand=user"),
        format!("/api/v1/apps/{app}/groups"),
        format!("/api/v1/apps/{app}/groups?expand=group"),
        "/api/v1/users".to_owned(),
        "/api/v1/users?search=status+eq+%22SUSPENDED%22".to_owned(),
        format!("/api/v1/users/{one}"),
        format!("/api/v1/users/{two}"),
        format!("/api/v1/users/{one}/groups"),
        "/api/v1/groups".to_owned(),
        "/api/v1/groups?expand=stats".to_owned(),
        format!("/api/v1/groups/{group}"),
        format!("/api/v1/groups/{group}/users"),
        "/api/v1/logs?limit=1000".to_owned(),
    ];
    for path in paths {
        let body = org.read(&path).await;
        assert!(body.as_array().is_none_or(|list| !list.is_empty()), "{path} is empty");
    }
}

#[tokio::test]
async fn every_refusal_fits_the_description() {
    let org = Harness::start(Options::with_people(3, 7)).await;
    let app = &org.ready.app_id;
    let token = org.token("okta.users.read").await;
    for (path, status) in [
        ("/api/v1/users/00uNobody".to_owned(), 404),
        ("/api/v1/apps/0oaNothing".to_owned(), 404),
        ("/api/v1/groups/00gNothing".to_owned(), 404),
        (format!("/api/v1/apps/{app}/users/00uNobody"), 404),
        ("/api/v1/nonsense".to_owned(), 404),
        ("/api/v1/users?limit=0".to_owned(), 400),
        ("/api/v1/users?after=nonsense".to_owned(), 400),
        ("/api/v1/users?search=nonsense".to_owned(), 400),
        ("/api/v1/logs?since=2001-01-01T00:00:00Z".to_owned(), 400),
    ] {
        let answer = org.admin(reqwest::Method::GET, &path, None).await;
        assert_eq!(answer.status(), status, "{path}");
        let body: Value = answer.json().await.unwrap();
        assert!(body["errorCode"].as_str().unwrap().starts_with("E00"), "{path}: {body}");
    }
    // The OAuth layer says everything in a header, and nothing in the body.
    let answer = org.get(&token, &format!("/api/v1/apps/{app}")).await;
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (403, ""));
    assert!(org.sim.org().rate_limit("/api/v1/users", 1));
    let answers = [org.get(&token, "/api/v1/users").await.status(), org.get(&token, "/api/v1/users").await.status()];
    assert_eq!(answers.map(|status| status.as_u16()), [200, 429]);
}
