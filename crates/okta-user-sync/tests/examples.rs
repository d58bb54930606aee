//! The examples that need nothing but Okta and Teleport, run between both simulators with nothing changed in them but the
//! addresses and ids.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::PathBuf;

use serde_json::{Value, json};

mod support;
use support::{World, file, run, told};

/// An example with the placeholders filled in as its reader would, and the Secrets of the quickstart behind it.
fn example(world: &World, name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let filled = text
        .replace("https://acme.okta.com", &world.okta.field("orgURL"))
        .replace("0oa1api2services3app", &world.okta.field("clientID"))
        .replace("0oa9saml8app7teleprt", &world.okta.field("appID"))
        .replace("teleport.example.com:443", &world.teleport.field("authAddress"));
    let secrets = world.quickstart().split_once("---\napiVersion: v1\nkind: Secret").unwrap().1.to_owned();
    let whole = format!("{filled}---\napiVersion: v1\nkind: Secret{secrets}");
    file(world.folder.path(), &name.replace('/', "-"), &whole).into()
}

/// One pass; the exit code and the document.
fn pass(world: &World, verb: &str, name: &str, further: &[&str]) -> (i32, Value) {
    let (path, ca) = (example(world, name), world.okta.field("caFile"));
    let fixed = [verb, "-f", path.to_str().unwrap(), "--okta-ca", &ca, "-o", "json"];
    let (code, out, err) = told(&run(&[&fixed, further].concat()));
    (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{name}: {error} in {out:?}; {err}")))
}

#[tokio::test]
async fn preview_first_writes_nothing_even_when_it_is_synced() {
    let world = World::of(6).await;
    let writes = world.writes().await;
    for verb in ["preview", "sync"] {
        let (code, document) = pass(&world, verb, "preview-first.yaml", &[]);
        assert_eq!((code, &document["outcome"]), (0, &json!("Previewed")), "{document:#}");
        assert_eq!(document["counts"]["inScope"], 6);
    }
    assert_eq!(world.writes().await, writes);
}

#[tokio::test]
async fn groups_and_filter_choose_people_and_traits() {
    let world = World::of(40).await;
    let (code, document) = pass(&world, "sync", "groups-and-filter.yaml", &[]);
    assert_eq!((code, &document["outcome"]), (0, &json!("Succeeded")), "{document:#}");
    let mut expected = Vec::new();
    for (id, name) in world.assigned().await {
        let user = world.okta(reqwest::Method::GET, &format!("/api/v1/users/{id}"), None).await;
        if user["profile"]["department"] == "Engineering" {
            expected.push(name);
        }
    }
    assert!(!expected.is_empty() && expected.len() < 40, "the organisation has other departments as well");
    assert_eq!(document["counts"]["synced"], expected.len(), "{document:#}");
    let user = world.teleport(&format!("/users/{}", expected[0])).await;
    assert_eq!(user["traits"]["team"], json!(["Engineering"]), "{user:#}");
    let ours = user["traits"].as_object().unwrap().keys().filter(|key| key.starts_with("okta/"));
    let known = ["okta/email", "okta/department", "okta/title", "okta/costCenter"];
    for name in ours {
        assert!(known.contains(&name.as_str()), "{name} was not asked for");
    }
}

#[tokio::test]
async fn break_glass_accounts_are_not_touched_and_leavers_keep_their_account_behind_a_lock() {
    let world = World::of(6).await;
    let (code, document) = pass(&world, "sync", "break-glass.yaml", &[]);
    assert_eq!((code, &document["counts"]["synced"]), (0, &json!(6)), "{document:#}");
    let (id, name) = world.assigned().await.remove(0);
    world.unassign(&id).await;
    let (_, document) = pass(&world, "sync", "break-glass.yaml", &[]);
    assert_eq!(document["counts"]["locked"], 1, "{document:#}");
    assert!(world.teleport(&format!("/users/{name}")).await.is_object(), "its account stays");
}

#[tokio::test]
async fn beside_teleports_own_sync_only_a_preview_is_made() {
    let world = World::of(6).await;
    let writes = world.writes().await;
    let (code, document) = pass(&world, "sync", "beside-teleports-own-sync.yaml", &[]);
    assert_eq!((code, &document["outcome"]), (0, &json!("Previewed")), "{document:#}");
    assert_eq!(world.writes().await, writes);
}

#[tokio::test]
async fn each_of_several_orgs_is_synced_by_its_name() {
    let world = World::of(6).await;
    let (code, document) = pass(&world, "sync", "several-orgs.yaml", &["--name", "acme"]);
    assert_eq!((code, &document["counts"]["synced"]), (0, &json!(6)), "{document:#}");
}
