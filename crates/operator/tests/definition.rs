//! The definition on a real API server: what it takes, what it refuses and with which words, what it fills in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod support;

use api::{OktaUserSync, names};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use support::{World, least, object, with, world};

/// What the API server says to this change of the least specification.
async fn told(world: &World, change: Value) -> Result<(), String> {
    let name = format!("x{}", uuid::Uuid::new_v4().simple());
    match world.create(&name, with(least(), change)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 422 => Err(status.message),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn good_specifications_are_taken() {
    let world = world("good").await;
    let table = [
        json!({}),
        json!({ "okta": { "orgURL": "https://acme.oktapreview.com" } }),
        json!({ "okta": { "orgURL": "https://login.acme.example" } }),
        json!({ "okta": { "orgURL": "https://127.0.0.1:8443" } }),
        json!({ "okta": { "orgURL": "https://my-admin-team.okta.com" } }),
        json!({ "okta": { "dpop": "Required", "budgetPercent": 100, "fastPath": "Disabled" } }),
        json!({ "okta": { "privateKeySecretRef": { "name": "key", "key": "private.pem" } } }),
        json!({ "okta": { "keyRotation": "1d" } }),
        json!({ "okta": { "keyRotation": "90d" } }),
        json!({ "okta": { "keyRotation": "365d" } }),
        json!({ "okta": { "caBundleRef": { "name": "ca" } } }),
        json!({ "okta": { "caBundleRef": { "kind": "Secret", "name": "ca", "key": "ca.pem" } } }),
        json!({ "interval": "1m" }),
        json!({ "interval": "24h" }),
        json!({ "interval": "1h30m" }),
        json!({ "scope": { "appID": "0oa9saml8app7teleprt" } }),
        json!({ "scope": { "source": "Groups", "groups": ["Engineering"] } }),
        json!({ "scope": { "source": "Org", "filter": "user.profile.department == \"Engineering\"", "exclude": ["admin*"] } }),
        json!({ "teleport": { "address": "teleport.example.com:443" } }),
        json!({ "teleport": { "address": "[::1]:3025", "connector": "okta-2" } }),
        json!({ "users": { "roles": ["a", "b"], "suspended": "Ignore", "adopt": "Listed", "adoptNames": ["ada"] } }),
        json!({ "users": { "traits": { "prefix": "", "map": [{ "from": "user.profile.manager", "to": "manager" }] } } }),
        json!({ "removal": { "action": "LockOnly", "lockMargin": "720h", "brake": { "maxUsers": 0, "maxPercent": 0 } } }),
        json!({ "mode": "Preview", "suspend": true, "deletionPolicy": "Delete" }),
    ];
    for change in table {
        assert_eq!(told(&world, change.clone()).await, Ok(()), "{change}");
    }
}

#[tokio::test]
async fn bad_specifications_are_refused_with_words_that_help() {
    let world = world("bad").await;
    let https = "okta.orgURL must be https://<host> in lower case without path";
    let admin = "address of the Admin Console; remove -admin";
    let client = "okta.clientID must be 0oa and 17 letters or digits";
    let app = "scope.appID must be 0oa and 17 letters or digits";
    let table = [
        (json!({ "okta": null }), "spec.okta"),
        (json!({ "okta": { "orgURL": null } }), "spec.okta.orgURL"),
        (json!({ "okta": { "clientID": null } }), "spec.okta.clientID"),
        (json!({ "okta": { "orgURL": "http://acme.okta.com" } }), https),
        (json!({ "okta": { "orgURL": "https://acme.okta.com/" } }), https),
        (json!({ "okta": { "orgURL": "https://acme.okta.com/oauth2/default" } }), https),
        (json!({ "okta": { "orgURL": "https://acme.okta.com?x" } }), https),
        (json!({ "okta": { "orgURL": "https://Acme.okta.com" } }), https),
        (json!({ "okta": { "orgURL": "https://user@acme.okta.com" } }), https),
        (json!({ "okta": { "orgURL": "acme.okta.com" } }), https),
        (json!({ "okta": { "orgURL": "https://" } }), "spec.okta.orgURL"),
        (json!({ "okta": { "orgURL": "https://acme-admin.okta.com" } }), admin),
        (json!({ "okta": { "orgURL": "https://acme-admin.oktapreview.com" } }), admin),
        (json!({ "okta": { "clientID": "" } }), "spec.okta.clientID"),
        (json!({ "okta": { "clientID": "0oa1" } }), client),
        (json!({ "okta": { "clientID": "00a1api2services3app" } }), client),
        (json!({ "okta": { "clientID": "0oa1api2services3-pp" } }), client),
        (json!({ "okta": { "budgetPercent": 0 } }), "spec.okta.budgetPercent"),
        (json!({ "okta": { "budgetPercent": 101 } }), "spec.okta.budgetPercent"),
        (json!({ "okta": { "dpop": "Sometimes" } }), "spec.okta.dpop"),
        (json!({ "okta": { "privateKeySecretRef": { "name": "key" } } }), "spec.okta.privateKeySecretRef.key"),
        (
            json!({ "okta": { "privateKeySecretRef": { "name": "", "key": "k" } } }),
            "spec.okta.privateKeySecretRef.name",
        ),
        (json!({ "okta": { "keyRotation": "0d" } }), "okta.keyRotation must lie between 1d and 365d"),
        (json!({ "okta": { "keyRotation": "366d" } }), "okta.keyRotation must lie between 1d and 365d"),
        (json!({ "okta": { "keyRotation": "90h" } }), "okta.keyRotation must lie between 1d and 365d"),
        (json!({ "okta": { "keyRotation": "2160h" } }), "spec.okta.keyRotation"),
        (
            json!({ "okta": { "keyRotation": "90d", "privateKeySecretRef": { "name": "key", "key": "k" } } }),
            "okta.keyRotation is about keys that the operator makes",
        ),
        (json!({ "okta": { "caBundleRef": { "key": "ca.crt" } } }), "spec.okta.caBundleRef.name"),
        (json!({ "okta": { "caBundleRef": { "kind": "File", "name": "ca" } } }), "spec.okta.caBundleRef.kind"),
        (json!({ "interval": "59s" }), "interval must lie between 1m and 24h"),
        (json!({ "interval": "24h1s" }), "interval must lie between 1m and 24h"),
        (json!({ "interval": "often" }), "spec.interval"),
        (json!({ "mode": "Maybe" }), "spec.mode"),
        (json!({ "scope": { "appID": "0oa9" } }), app),
        (json!({ "scope": { "source": "Groups" } }), "scope.groups must name at least one group"),
        (json!({ "scope": { "groups": [""] } }), "spec.scope.groups"),
        (json!({ "teleport": { "address": "teleport.example.com" } }), "spec.teleport.address"),
        (json!({ "teleport": { "address": "https://teleport.example.com:443" } }), "spec.teleport.address"),
        (json!({ "teleport": { "connector": "" } }), "spec.teleport.connector"),
        (json!({ "users": { "roles": [] } }), "spec.users.roles"),
        (json!({ "users": { "roles": [""] } }), "spec.users.roles"),
        (json!({ "users": { "adopt": "Listed" } }), "users.adoptNames must name at least one user"),
        (json!({ "users": { "traits": { "map": [{ "from": "profile.x", "to": "x" }] } } }), "spec.users.traits.map"),
        (
            json!({ "users": { "traits": { "map": [{ "from": "user.profile.x", "to": "a,b" }] } } }),
            "spec.users.traits.map",
        ),
        (json!({ "removal": { "lockMargin": "30s" } }), "removal.lockMargin must lie between 1m and 720h"),
        (json!({ "removal": { "lockMargin": "721h" } }), "removal.lockMargin must lie between 1m and 720h"),
        (json!({ "removal": { "brake": { "maxUsers": -1 } } }), "spec.removal.brake.maxUsers"),
        (json!({ "removal": { "brake": { "maxPercent": 101 } } }), "spec.removal.brake.maxPercent"),
        (json!({ "deletionPolicy": "Burn" }), "spec.deletionPolicy"),
    ];
    for (change, words) in table {
        let told = told(&world, change.clone()).await;
        assert!(told.as_ref().is_err_and(|told| told.contains(words)), "{change}: {words:?} is not in {told:?}");
    }
}

#[tokio::test]
async fn what_identifies_the_people_cannot_be_changed_by_any_way() {
    let world = world("fixed").await;
    let app = |id: Value| json!({ "spec": { "scope": { "appID": id } } });
    let refused = async |patch: Value, words: &str| {
        let told = world.patch("acme", patch.clone()).await.unwrap_err().to_string();
        assert!(told.contains(words), "{patch}: {words:?} is not in {told:?}");
    };
    world.create("acme", least()).await.unwrap();
    refused(json!({ "spec": { "okta": { "orgURL": "https://other.okta.com" } } }), "orgURL cannot be changed").await;
    refused(json!({ "spec": { "teleport": { "connector": "other" } } }), "connector cannot be changed").await;
    world.patch("acme", app("0oa9saml8app7teleprt".into())).await.expect("may be set once");
    refused(app("0oa9saml8app7telepr2".into()), "scope.appID cannot be changed or removed").await;
    refused(app(Value::Null), "scope.appID cannot be changed or removed").await;
    refused(json!({ "spec": { "scope": null } }), "scope.appID cannot be changed or removed").await;
    // Left out, the connector would be its default.
    world.create("beta", with(least(), json!({ "teleport": { "connector": "mine" } }))).await.unwrap();
    let told = world.patch("beta", json!({ "spec": { "teleport": { "connector": null } } })).await.unwrap_err();
    assert!(told.to_string().contains("connector cannot be changed"), "{told}");
    let told = world.patch("beta", json!({ "spec": { "teleport": null } })).await.unwrap_err();
    assert!(told.to_string().contains("connector cannot be changed"), "{told}");
    // Everything else can.
    let change = json!({ "spec": { "okta": { "clientID": "0oa1api2services3ap2" }, "users": { "roles": ["b"] },
                                   "interval": "5m" } });
    world.patch("acme", change).await.unwrap();
}

#[tokio::test]
async fn defaults_are_filled_in_by_the_api_server_and_are_those_of_the_types() {
    let world = world("defaults").await;
    world.create("acme", least()).await.unwrap();
    let stored = world.get("acme").await["spec"].clone();
    let types: OktaUserSync = world.resources().get("acme").await.unwrap();
    let local: api::OktaUserSyncSpec = serde_json::from_value(least()).unwrap();
    assert_eq!(types.spec, local);
    for (path, value) in [
        ("/suspend", json!(false)),
        ("/mode", json!("Enforce")),
        ("/okta/dpop", json!("Auto")),
        ("/okta/budgetPercent", json!(20)),
        ("/scope/source", json!("App")),
        ("/teleport/connector", json!("okta")),
        ("/users/roles", json!(["okta-requester"])),
        ("/users/traits/prefix", json!("okta/")),
        ("/removal/brake/maxUsers", json!(5)),
        ("/removal/brake/maxPercent", json!(10)),
        ("/deletionPolicy", json!("Orphan")),
    ] {
        assert_eq!(stored.pointer(path), Some(&value), "{path} in {stored:#}");
    }
    let interval: kube::core::Duration = serde_json::from_value(stored["interval"].clone()).unwrap();
    assert_eq!(std::time::Duration::from(interval).as_secs(), 600);
}

#[tokio::test]
async fn a_specification_written_by_our_types_is_taken_and_unchanged() {
    let world = world("types").await;
    let spec: api::OktaUserSyncSpec = serde_json::from_value(least()).unwrap();
    world.create("acme", serde_json::to_value(&spec).unwrap()).await.unwrap();
    assert_eq!(world.resources().get("acme").await.unwrap().spec, spec);
}

#[tokio::test]
async fn kubectl_shows_columns() {
    let world = world("columns").await;
    world.create("acme", least()).await.unwrap();
    let status = json!({
        "apiVersion": "usersync.dev/v1alpha1", "kind": "OktaUserSync", "metadata": { "name": "acme" },
        "status": {
            "users": { "synced": 250, "suspended": 2, "held": 1 },
            "conditions": [{ "type": "Ready", "status": "True", "reason": "Synced", "message": "",
                             "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1 }],
        },
    });
    let params = PatchParams::apply(names::FIELD_MANAGER);
    world.raw().patch_status("acme", &params, &Patch::Apply(status)).await.unwrap();
    let path = format!("/apis/usersync.dev/v1alpha1/namespaces/{}/oktausersyncs", world.namespace);
    let request = axum::http::Request::get(path)
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = serde_json::from_str(&world.client.request_text(request).await.unwrap()).unwrap();
    let columns: Vec<(&str, i64)> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| (column["name"].as_str().unwrap(), column["priority"].as_i64().unwrap()))
        .collect();
    let shown: Vec<&str> = columns.iter().filter(|(_, priority)| *priority == 0).map(|(name, _)| *name).collect();
    assert_eq!(shown, ["Name", "Ready", "Users", "Suspended", "Held", "Last sync", "Age"]);
    let cells = &table["rows"][0]["cells"];
    assert_eq!(
        (&cells[0], &cells[1], &cells[2], &cells[3], &cells[4]),
        (&json!("acme"), &json!("True"), &json!(250), &json!(2), &json!(1))
    );
}

#[tokio::test]
async fn unknown_fields_are_refused_when_asked_strictly() {
    let world = world("strict").await;
    let typo = object("acme", &with(least(), json!({ "removal": { "brakes": {} } })));
    let params =
        PatchParams { field_validation: Some(kube::api::ValidationDirective::Strict), ..PatchParams::apply("kubectl") };
    let told = world.raw().patch("acme", &params, &Patch::Apply(typo)).await.unwrap_err();
    assert!(told.to_string().contains("brakes"), "{told}");
}

#[tokio::test]
async fn the_example_without_a_key_is_taken_as_it_stands() {
    let world = world("keyless").await;
    let documents: Vec<Value> = serde_saphyr::from_multiple(include_str!("../../../examples/keyless.yaml")).unwrap();
    let mut example = documents.into_iter().find(|document| document["kind"] == "OktaUserSync").unwrap();
    example["metadata"]["namespace"] = world.namespace.clone().into();
    let params =
        PatchParams { field_validation: Some(kube::api::ValidationDirective::Strict), ..PatchParams::apply("kubectl") };
    world.raw().patch("acme", &params, &Patch::Apply(example)).await.unwrap();
    assert_eq!(world.get("acme").await["spec"]["okta"]["keyRotation"], "90d");
}
