//! Answers fit the vendor's own description of its API.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use std::path::PathBuf;

use okta_sim::Options;
use serde_json::Value;
use support::Harness;

/// The description, or none, with the reason, where it is not at hand.
fn description() -> Option<Value> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec/okta-management-2026.06.3.subset.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(error) => {
            eprintln!("skipped: {}: {error}", path.display());
            None
        }
    }
}

/// Collects what does not fit. Nulls fit anywhere: real answers carry them where the description does not say so.
fn check(spec: &Value, schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = spec.pointer(reference.trim_start_matches('#')).unwrap();
        return check(spec, target, value, path, faults);
    }
    if value.is_null() {
        return;
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check(spec, part, value, path, faults);
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if !fits {
        faults.push(format!("{path}: {value} is no {}", schema["type"]));
    }
    // `enum` lists of open sets (types of actors, statuses of the future) are not held against an answer.
    if let (Some(words), Some(word)) = (schema["enum"].as_array(), value.as_str())
        && !words.iter().any(|w| w == word)
    {
        faults.push(format!("{path}: {word} is none of {words:?}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            faults.push(format!("{path}: {name} is missing"));
        }
    }
    if let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object()) {
        for (name, property) in properties {
            if let Some(value) = object.get(name) {
                check(spec, property, value, &format!("{path}/{name}"), faults);
            }
        }
    }
    if let Some(list) = value.as_array() {
        for (place, item) in list.iter().enumerate() {
            check(spec, &schema["items"], item, &format!("{path}/{place}"), faults);
        }
    }
}

#[tokio::test]
async fn every_read_fits_the_description() {
    let Some(spec) = description() else {
        return;
    };
    let org = Harness::start(Options { people: 12, custom_attributes: 10, ..Options::default() }).await;
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
    let cases = [
        ("/.well-known/okta-organization", "/.well-known/okta-organization".to_owned()),
        ("/api/v1/apps", "/api/v1/apps".to_owned()),
        ("/api/v1/apps/{appId}", format!("/api/v1/apps/{app}")),
        ("/api/v1/apps/{appId}", format!("/api/v1/apps/{}", org.ready.client_id)),
        ("/api/v1/apps/{appId}/users", format!("/api/v1/apps/{app}/users?expand=user")),
        ("/api/v1/apps/{appId}/users/{userId}", format!("/api/v1/apps/{app}/users/{}?expand=user", ids[0])),
        ("/api/v1/apps/{appId}/groups", format!("/api/v1/apps/{app}/groups?expand=group")),
        ("/api/v1/users", "/api/v1/users".to_owned()),
        ("/api/v1/users/{id}", format!("/api/v1/users/{}", ids[1])),
        ("/api/v1/users/{id}/groups", format!("/api/v1/users/{}/groups", ids[0])),
        ("/api/v1/groups", "/api/v1/groups?expand=stats".to_owned()),
        ("/api/v1/groups/{groupId}", format!("/api/v1/groups/{group}")),
        ("/api/v1/groups/{groupId}/users", format!("/api/v1/groups/{group}/users")),
        ("/api/v1/logs", "/api/v1/logs".to_owned()),
    ];
    let mut faults = Vec::new();
    for (template, path) in cases {
        let content = &spec["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        assert!(content.is_object(), "{template}");
        let body = org.read(&path).await;
        assert!(body.as_array().is_none_or(|list| !list.is_empty()), "{path} is empty");
        check(&spec, content, &body, template, &mut faults);
        // The description leaves the embedded person open; it is a User.
        for entry in body.as_array().into_iter().flatten() {
            if template.ends_with("/users") && entry["_embedded"]["user"].is_object() {
                let user = &spec["components"]["schemas"]["User"];
                check(&spec, user, &entry["_embedded"]["user"], "embedded", &mut faults);
            }
        }
    }
    let error = org.admin(reqwest::Method::GET, "/api/v1/users/00uNobody", None).await.json().await.unwrap();
    check(&spec, &spec["components"]["schemas"]["Error"], &error, "error", &mut faults);
    assert!(faults.is_empty(), "{faults:#?}");
}
