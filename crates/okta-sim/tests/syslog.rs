//! The System Log.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use reqwest::Method;
use serde_json::{Value, json};
use support::{Harness, link, refusal};

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|e| e["eventType"].as_str().unwrap()).collect()
}

/// One poll: the events, and where to go on.
async fn poll(org: &Harness, path: &str) -> (Vec<Value>, String) {
    let answer = org.admin(Method::GET, path, None).await;
    assert_eq!(answer.status(), 200, "{path}");
    let next = link(&answer, "next").expect("polling never ends");
    let next = next.strip_prefix(&org.ready.org_url).unwrap().to_owned();
    (answer.json().await.unwrap(), next)
}

#[tokio::test]
async fn each_change_is_logged_with_its_targets() {
    let org = Harness::with_people(2).await;
    let handle = org.sim.org();
    let app = &org.ready.app_id;
    let ids = handle.assigned(app).unwrap();
    let (events, next) = poll(&org, "/api/v1/logs").await;
    assert!(events.is_empty(), "people of the seed were there before");
    org.manage(Method::POST, &format!("/api/v1/users/{}/lifecycle/suspend", ids[0]), None).await;
    org.manage(Method::POST, &format!("/api/v1/users/{}/lifecycle/deactivate", ids[1]), None).await;
    let (events, next) = poll(&org, &next).await;
    assert_eq!(
        kinds(&events),
        ["user.lifecycle.suspend", "user.lifecycle.deactivate", "application.user_membership.remove"]
    );
    let suspend = &events[0];
    assert_eq!(suspend["target"][0]["id"], ids[0].as_str());
    assert_eq!(suspend["target"][0]["type"], "User");
    assert_eq!(suspend["target"][0]["alternateId"], handle.user(&ids[0]).unwrap()["profile"]["login"]);
    assert_eq!((&suspend["outcome"]["result"], &suspend["transaction"]["type"]), (&json!("SUCCESS"), &json!("WEB")));
    assert_eq!(suspend["client"]["userAgent"]["rawUserAgent"], "okta-sim-tests");
    let removal = &events[2];
    let of = |kind: &str| removal["target"].as_array().unwrap().iter().find(|t| t["type"] == kind).unwrap().clone();
    assert!(of("AppUser")["id"].as_str().unwrap().starts_with("0ua"));
    assert_eq!(of("AppInstance")["id"], app.as_str());
    assert_eq!(of("User")["id"], ids[1].as_str());
    assert_eq!(removal["transaction"]["type"], "JOB");
    assert_eq!(removal["request"]["ipChain"], json!([]));
    let (events, again) = poll(&org, &next).await;
    assert!(events.is_empty());
    handle.unsuspend(&ids[0]).unwrap();
    let (events, _) = poll(&org, &again).await;
    assert_eq!(kinds(&events), ["user.lifecycle.unsuspend"]);
}

#[tokio::test]
async fn the_log_can_be_filtered_and_bounded() {
    let org = Harness::with_people(3).await;
    let handle = org.sim.org();
    let app = &org.ready.app_id;
    let ids = handle.assigned(app).unwrap();
    handle.clock().freeze(true);
    for id in &ids {
        handle.suspend(id).unwrap();
        handle.clock().advance_millis(1000);
    }
    handle.unassign(app, &ids[2]).unwrap();
    let query = |pairs: &[(&str, &str)]| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs);
        format!("/api/v1/logs?{}", query.finish())
    };
    let membership = format!(r#"eventType eq "application.user_membership.remove" and target.id eq "{app}""#);
    let (events, _) = poll(&org, &query(&[("filter", &membership)])).await;
    assert_eq!(kinds(&events), ["application.user_membership.remove"]);
    let one_of = r#"eventType eq "user.lifecycle.suspend" or eventType eq "user.lifecycle.deactivate""#;
    let (events, next) = poll(&org, &query(&[("filter", one_of), ("limit", "2")])).await;
    assert_eq!(events.len(), 2);
    assert_eq!(poll(&org, &next).await.0.len(), 1);
    let until = handle.clock().now().plus_millis(1).to_string();
    let bounded = org.admin(Method::GET, &query(&[("until", &until), ("limit", "3")]), None).await;
    let next = link(&bounded, "next").expect("one more");
    assert_eq!(bounded.json::<Vec<Value>>().await.unwrap().len(), 3);
    let last = org.admin(Method::GET, next.strip_prefix(&org.ready.org_url).unwrap(), None).await;
    assert!(link(&last, "next").is_none(), "a bounded query ends");
    assert_eq!(last.json::<Vec<Value>>().await.unwrap().len(), 1);
    let latest = org.read(&query(&[("sortOrder", "DESCENDING"), ("limit", "1")])).await;
    assert_eq!(latest[0]["eventType"], "application.user_membership.remove");
    let found = org.read(&query(&[("q", &ids[0])])).await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    for bad in [
        query(&[("since", "2020-01-01T00:00:00.000Z")]),
        query(&[("since", "yesterday")]),
        query(&[("filter", "published gt \"2026-01-01T00:00:00.000Z\"")]),
        query(&[("filter", "eventType")]),
    ] {
        assert_eq!(refusal(org.admin(Method::GET, &bad, None).await).await.1, "E0000053", "{bad}");
    }
    assert_eq!(refusal(org.admin(Method::GET, "/api/v1/logs?after=17_1", None).await).await.1, "E0000054");
}

#[tokio::test]
async fn events_arrive_late_and_out_of_order_when_asked_and_none_is_lost() {
    let org = Harness::with_people(4).await;
    let handle = org.sim.org();
    handle.clock().freeze(true);
    handle.switch(|s| {
        s.log_delay_millis = 5000;
        s.log_out_of_order = true;
    });
    let (_, mut next) = poll(&org, "/api/v1/logs?limit=1").await;
    let mut seen = Vec::new();
    for id in handle.assigned(&org.ready.app_id).unwrap() {
        handle.suspend(&id).unwrap();
        handle.clock().advance_millis(1000);
    }
    for _ in 0..20 {
        let (events, later) = poll(&org, &next).await;
        seen.extend(events);
        next = later;
        handle.clock().advance_millis(1000);
    }
    assert_eq!(seen.len(), 4);
    let published: Vec<&str> = seen.iter().map(|e| e["published"].as_str().unwrap()).collect();
    assert!(!published.is_sorted(), "persistence order is not publication order: {published:?}");
}
