//! What an admin does to people, assignments and groups, and what follows from it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use reqwest::Method;
use serde_json::{Value, json};
use support::{Harness, refusal};

/// Answers the error code of a call, or "" if it succeeds.
async fn outcome(org: &Harness, method: Method, path: &str, body: Option<&Value>) -> String {
    let answer = org.admin(method, path, body).await;
    if answer.status().is_success() { String::new() } else { refusal(answer).await.1 }
}

async fn status(org: &Harness, user: &str) -> String {
    org.read(&format!("/api/v1/users/{user}")).await["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_status_machine_allows_what_it_allows() {
    let org = Harness::with_people(1).await;
    let user = org.sim.org().assigned(&org.ready.app_id).unwrap().remove(0);
    let statuses =
        ["STAGED", "PROVISIONED", "ACTIVE", "RECOVERY", "PASSWORD_EXPIRED", "LOCKED_OUT", "SUSPENDED", "DEPROVISIONED"];
    // For each verb: the outcome from each status above; "" is refused.
    let table: [(&str, &str, [&str; 8]); 8] = [
        ("activate", "E0000016", ["ACTIVE", "", "", "", "", "", "", "ACTIVE"]),
        ("reactivate", "E0000038", ["", "PROVISIONED", "", "RECOVERY", "", "", "", ""]),
        ("suspend", "E0000001", ["", "", "SUSPENDED", "", "", "", "", ""]),
        ("unsuspend", "E0000001", ["", "", "", "", "", "", "ACTIVE", ""]),
        ("unlock", "E0000032", ["", "", "", "", "", "ACTIVE", "", ""]),
        (
            "expire_password",
            "E0000038",
            [
                "",
                "PASSWORD_EXPIRED",
                "PASSWORD_EXPIRED",
                "PASSWORD_EXPIRED",
                "PASSWORD_EXPIRED",
                "PASSWORD_EXPIRED",
                "",
                "",
            ],
        ),
        ("reset_password", "E0000038", ["", "RECOVERY", "RECOVERY", "RECOVERY", "RECOVERY", "RECOVERY", "", ""]),
        (
            "deactivate",
            "E0000007",
            [
                "DEPROVISIONED",
                "DEPROVISIONED",
                "DEPROVISIONED",
                "DEPROVISIONED",
                "DEPROVISIONED",
                "DEPROVISIONED",
                "DEPROVISIONED",
                "",
            ],
        ),
    ];
    for (verb, refused, row) in table {
        for (from, to) in statuses.into_iter().zip(row) {
            org.sim.org().set_status(&user, from).unwrap();
            let path = format!("/api/v1/users/{user}/lifecycle/{verb}");
            let code = outcome(&org, Method::POST, &path, None).await;
            let (expected_code, expected_status) = if to.is_empty() { (refused, from) } else { ("", to) };
            assert_eq!(code, expected_code, "{verb} from {from}");
            assert_eq!(status(&org, &user).await, expected_status, "{verb} from {from}");
        }
    }
    assert_eq!(
        outcome(&org, Method::POST, &format!("/api/v1/users/{user}/lifecycle/levitate"), None).await,
        "E0000008"
    );
}

#[tokio::test]
async fn people_are_made_changed_and_deleted() {
    let org = Harness::with_people(0).await;
    let profile =
        json!({ "firstName": "Zoë", "lastName": "Ng", "email": "zoe@example.com", "login": "zoe@example.com" });
    let made = org
        .manage(
            Method::POST,
            "/api/v1/users?activate=true",
            Some(&json!({ "profile": profile, "credentials": { "password": { "value": "correct horse" } } })),
        )
        .await;
    assert_eq!(made["status"], "ACTIVE");
    assert_eq!(made["credentials"], json!({ "password": {}, "provider": { "type": "OKTA", "name": "OKTA" } }));
    assert_eq!(made["profile"]["mobilePhone"], Value::Null);
    assert!(made["_links"]["suspend"]["href"].as_str().unwrap().ends_with("/lifecycle/suspend"));
    let id = made["id"].as_str().unwrap().to_owned();
    let again = json!({ "profile": { "firstName": "Z", "lastName": "N", "email": "z@example.com", "login": "ZOÉ@example.com" } });
    assert_eq!(outcome(&org, Method::POST, "/api/v1/users", Some(&again)).await, "E0000001", "the login is taken");
    let staged = org
        .manage(
            Method::POST,
            "/api/v1/users?activate=false",
            Some(&json!({ "profile": { "email": "staged@example.com", "login": "staged@example.com" } })),
        )
        .await;
    assert_eq!((&staged["status"], &staged["activated"]), (&json!("STAGED"), &Value::Null));
    let path = format!("/api/v1/users/{id}");
    let partial = json!({ "profile": { "department": "Security", "clearance": 3 } });
    let changed = org.manage(Method::POST, &path, Some(&partial)).await;
    assert_eq!(changed["profile"]["firstName"], "Zoë");
    assert_eq!(changed["profile"]["clearance"], 3);
    let whole = json!({ "profile": { "firstName": "Zo", "lastName": "Ng", "email": "zoe@example.com", "login": "zoe@example.com" } });
    let replaced = org.manage(Method::PUT, &path, Some(&whole)).await;
    assert!(replaced["profile"].get("department").is_none());
    let removed = org.manage(Method::POST, &path, Some(&json!({ "profile": { "firstName": null } }))).await;
    assert_eq!(removed["profile"]["firstName"], Value::Null);
    assert_eq!(outcome(&org, Method::POST, &path, Some(&json!({ "profile": { "login": "x" } }))).await, "E0000001");
    assert_eq!(outcome(&org, Method::DELETE, &path, None).await, "");
    assert_eq!(status(&org, &id).await, "DEPROVISIONED", "the first delete deactivates");
    assert_eq!(outcome(&org, Method::POST, &path, Some(&partial)).await, "E0000007");
    assert_eq!(outcome(&org, Method::DELETE, &path, None).await, "");
    assert_eq!(outcome(&org, Method::GET, &path, None).await, "E0000007");
    let reborn = org.manage(Method::POST, "/api/v1/users", Some(&whole)).await;
    assert_ne!(reborn["id"], json!(id), "the same login again is another person");
    assert_eq!(reborn["status"], "PROVISIONED");
}

#[tokio::test]
async fn suspension_keeps_and_deactivation_takes_the_assignment() {
    let org = Harness::with_people(3).await;
    let app = org.ready.app_id.clone();
    let ids = org.sim.org().assigned(&app).unwrap();
    let entry = |id: &str| format!("/api/v1/apps/{app}/users/{id}");
    let department = org.sim.org().user(&ids[0]).unwrap()["profile"]["department"].as_str().unwrap().to_owned();
    let group = org.sim.org().group_named(&department).unwrap();
    org.manage(Method::POST, &format!("/api/v1/users/{}/lifecycle/suspend", ids[0]), None).await;
    assert_eq!(org.read(&entry(&ids[0])).await["status"], "ACTIVE");
    org.manage(Method::POST, &format!("/api/v1/users/{}/lifecycle/deactivate", ids[0]), None).await;
    assert_eq!(outcome(&org, Method::GET, &entry(&ids[0]), None).await, "E0000007");
    let members = org.read(&format!("/api/v1/groups/{group}/users")).await;
    let member = members.as_array().unwrap().iter().find(|m| m["id"] == ids[0].as_str()).unwrap();
    assert_eq!(member["status"], "DEPROVISIONED", "membership survives");
    org.manage(Method::POST, &format!("/api/v1/users/{}/lifecycle/activate", ids[0]), None).await;
    assert_eq!(
        outcome(&org, Method::GET, &entry(&ids[0]), None).await,
        "E0000007",
        "a direct assignment does not come back"
    );
    org.manage(Method::POST, &format!("/api/v1/apps/{app}/lifecycle/deactivate"), None).await;
    assert_eq!(org.read(&format!("/api/v1/apps/{app}")).await["status"], "INACTIVE");
    org.manage(Method::POST, &format!("/api/v1/users/{}/lifecycle/deactivate", ids[1]), None).await;
    let kept = org.read(&format!("{}?expand=user", entry(&ids[1]))).await;
    assert_eq!(kept["_embedded"]["user"]["status"], "DEPROVISIONED", "an inactive app keeps the assignment");
}

#[tokio::test]
async fn a_deactivation_may_take_its_time() {
    let org = Harness::with_people(1).await;
    let handle = org.sim.org();
    let app = &org.ready.app_id;
    let id = handle.assigned(app).unwrap().remove(0);
    handle.clock().freeze(true);
    handle.switch(|s| s.deactivation_millis = 5000);
    org.manage(Method::POST, &format!("/api/v1/users/{id}/lifecycle/deactivate"), None).await;
    let during = org.read(&format!("/api/v1/apps/{app}/users/{id}?expand=user")).await;
    assert_eq!(during["_embedded"]["user"]["status"], "ACTIVE");
    assert_eq!(during["_embedded"]["user"]["transitioningToStatus"], "DEPROVISIONED");
    handle.clock().advance_millis(5000);
    let after = org.read(&format!("/api/v1/users/{id}")).await;
    assert_eq!(after["status"], "DEPROVISIONED");
    assert!(after.get("transitioningToStatus").is_none());
    assert!(handle.assigned(app).unwrap().is_empty());
}

#[tokio::test]
async fn assignments_are_made_renamed_and_taken_away() {
    let org = Harness::with_people(1).await;
    let handle = org.sim.org();
    let app = org.ready.app_id.clone();
    let users = format!("/api/v1/apps/{app}/users");
    let profile = json!({ "login": "ann@example.com", "email": "ann@example.com" });
    let ann =
        handle.create_user(&profile, &okta_sim::NewPerson { activate: true, password: true, groups: vec![] }).unwrap();
    assert_eq!(outcome(&org, Method::GET, &format!("{users}/{ann}"), None).await, "E0000007");
    let made = org
        .manage(Method::POST, &users, Some(&json!({ "id": ann, "scope": "USER", "profile": { "team": "red" } })))
        .await;
    assert_eq!(made["credentials"]["userName"], "ann@example.com");
    assert_eq!((&made["scope"], &made["syncState"]), (&json!("USER"), &json!("DISABLED")));
    assert_eq!(made["profile"], json!({ "team": "red" }));
    // The login changes: the app's template takes the user name with it, until an admin names the app user.
    org.manage(
        Method::POST,
        &format!("/api/v1/users/{ann}"),
        Some(&json!({ "profile": { "login": "anna@example.com" } })),
    )
    .await;
    let entry = format!("{users}/{ann}");
    assert_eq!(org.read(&entry).await["credentials"]["userName"], "anna@example.com");
    let by_hand = json!({ "credentials": { "userName": "Anna" } });
    assert_eq!(org.manage(Method::POST, &entry, Some(&by_hand)).await["credentials"]["userName"], "Anna");
    org.manage(
        Method::POST,
        &format!("/api/v1/users/{ann}"),
        Some(&json!({ "profile": { "login": "anne@example.com" } })),
    )
    .await;
    assert_eq!(org.read(&entry).await["credentials"]["userName"], "Anna");
    assert_eq!(outcome(&org, Method::DELETE, &entry, None).await, "");
    assert_eq!(outcome(&org, Method::DELETE, &entry, None).await, "E0000007");
    let renames =
        handle.events().iter().filter(|e| e["eventType"] == "application.user_membership.change_username").count();
    assert_eq!(renames, 2);
    assert_eq!(outcome(&org, Method::POST, &users, Some(&json!({ "id": "00uNobody" }))).await, "E0000007");
    assert_eq!(outcome(&org, Method::POST, &users, Some(&json!({}))).await, "E0000001");
}

#[tokio::test]
async fn a_template_change_renames_everybody_at_once() {
    let org = Harness::with_people(3).await;
    let app = &org.ready.app_id;
    let template =
        json!({ "credentials": { "userNameTemplate": { "template": "${fn:substringBefore(source.login, \"@\")}" } } });
    let body = org.manage(Method::PUT, &format!("/api/v1/apps/{app}"), Some(&template)).await;
    assert_eq!(body["credentials"]["userNameTemplate"]["type"], "BUILT_IN", "the rest stays");
    for entry in org.read(&format!("/api/v1/apps/{app}/users")).await.as_array().unwrap() {
        assert!(!entry["credentials"]["userName"].as_str().unwrap().contains('@'));
    }
}

#[tokio::test]
async fn groups_bring_their_members_into_apps() {
    let org = Harness::with_people(2).await;
    let handle = org.sim.org();
    let app = handle.create_saml_app("Grafana");
    let ids = handle.assigned(&org.ready.app_id).unwrap();
    let made = org
        .manage(Method::POST, "/api/v1/groups", Some(&json!({ "profile": { "name": "Auditors", "description": "x" } })))
        .await;
    assert_eq!((&made["type"], &made["objectClass"]), (&json!("OKTA_GROUP"), &json!(["okta:user_group"])));
    let group = made["id"].as_str().unwrap().to_owned();
    org.manage(Method::PUT, &format!("/api/v1/groups/{group}/users/{}", ids[0]), None).await;
    org.manage(Method::PUT, &format!("/api/v1/apps/{app}/groups/{group}"), Some(&json!({ "priority": 3 }))).await;
    let entry = |id: &str| format!("/api/v1/apps/{app}/users/{id}");
    let by_group = org.read(&entry(&ids[0])).await;
    assert_eq!(by_group["scope"], "GROUP");
    assert!(by_group["_links"]["group"]["href"].as_str().unwrap().ends_with(&group));
    assert_eq!(outcome(&org, Method::DELETE, &entry(&ids[0]), None).await, "E0000046");
    let direct = org.manage(Method::POST, &format!("/api/v1/apps/{app}/users"), Some(&json!({ "id": ids[0] }))).await;
    assert_eq!(direct["scope"], "USER");
    assert_eq!(outcome(&org, Method::DELETE, &entry(&ids[0]), None).await, "");
    assert_eq!(org.read(&entry(&ids[0])).await["scope"], "GROUP", "the group still gives it");
    // Asynchronous, when asked.
    handle.clock().freeze(true);
    handle.switch(|s| s.group_assignment_millis = 3000);
    handle.join(&group, &ids[1]).unwrap();
    assert_eq!(outcome(&org, Method::GET, &entry(&ids[1]), None).await, "E0000007");
    handle.clock().advance_millis(3000);
    assert_eq!(org.read(&entry(&ids[1])).await["scope"], "GROUP");
    org.manage(Method::DELETE, &format!("/api/v1/groups/{group}/users/{}", ids[1]), None).await;
    handle.clock().advance_millis(3000);
    assert_eq!(outcome(&org, Method::GET, &entry(&ids[1]), None).await, "E0000007");
    let assigned = org.read(&format!("/api/v1/apps/{app}/groups?expand=group")).await;
    assert_eq!(assigned[0]["priority"], 3);
    assert_eq!(assigned[0]["_embedded"]["group"]["profile"]["name"], "Auditors");
    let of_user = org.read(&format!("/api/v1/users/{}/groups", ids[0])).await;
    let names: Vec<&str> = of_user.as_array().unwrap().iter().map(|g| g["profile"]["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"Everyone") && names.contains(&"Auditors"), "{names:?}");
    assert_eq!(outcome(&org, Method::DELETE, &format!("/api/v1/groups/{group}"), None).await, "");
    handle.clock().advance_millis(3000);
    assert_eq!(
        outcome(&org, Method::GET, &entry(&ids[0]), None).await,
        "E0000007",
        "the group is gone, and what it gave"
    );
    let everyone = handle.group_named("Everyone").unwrap();
    assert_eq!(outcome(&org, Method::DELETE, &format!("/api/v1/groups/{everyone}"), None).await, "E0000006");
}
