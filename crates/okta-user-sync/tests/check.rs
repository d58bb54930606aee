//! `check` against both simulators: the lines, the exit codes, and that nothing is written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::{Value, json};
use support::World;

/// Names of lines that ended so, with their side.
fn of<'a>(told: &'a Value, verdict: &str) -> Vec<(&'a str, &'a str)> {
    let lines = told["lines"].as_array().unwrap().iter();
    let word = |line: &'a Value, field: &str| line[field].as_str().unwrap();
    lines.filter(|line| line["verdict"] == verdict).map(|line| (word(line, "side"), word(line, "name"))).collect()
}

async fn nothing_was_written(world: &World) {
    assert_eq!(world.writes().await, 0, "Teleport");
    let url = format!("{}/writes", world.okta.field("adminURL"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let writes: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    for write in writes.as_array().unwrap() {
        assert_eq!((&write["method"], &write["path"]), (&json!("POST"), &json!("/oauth2/v1/token")), "Okta: {write}");
    }
}

#[tokio::test]
async fn what_is_set_up_well_passes_and_nothing_is_written() {
    let world = World::of(3).await;
    let (code, told) = world.pass("check", &[]);
    assert_eq!((code, &told["ok"], &told["failed"]), (0, &json!(true), &json!(0)), "{told:#}");
    assert_eq!(of(&told, "Warned"), [], "{told:#}");
    // Straight at the Auth Service, which does not tell its time.
    assert_eq!(of(&told, "Skipped"), [("Teleport", "clock")], "{told:#}");
    for line in [("Okta", "token"), ("Okta", "people"), ("Teleport", "user:delete"), ("Teleport", "lock-lifetime")] {
        assert!(of(&told, "Passed").contains(&line), "{line:?} in {told:#}");
    }

    let (code, table, err) = world.told("check", &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{table}");
    assert!(table.starts_with("okta-user-sync/acme: ") && table.contains("\nOkta\n  passed  reachable"), "{table}");
    assert!(!table.contains('\u{1b}'), "colours where there is no terminal: {table:?}");
    let (_, yaml, _) = world.told("check", &["-o", "yaml"]);
    assert!(yaml.contains("name: user:list") || yaml.contains("name: \"user:list\""), "{yaml}");
    nothing_was_written(&world).await;
}

#[tokio::test]
async fn both_sides_are_judged_whatever_is_wrong_with_one() {
    let world = World::of(3).await;
    let good = world.quickstart();
    let key = std::fs::read_to_string(world.okta.field("privateKeyFile")).unwrap();
    let identity = std::fs::read_to_string(world.teleport.field("identityFile")).unwrap();
    let mistakes = [
        (good.replace(key.lines().nth(3).unwrap(), "mangled"), ("Okta", "token")),
        (good.replace("name: acme-okta-key\n      key", "name: gone\n      key"), ("Okta", "token")),
        (good.replace(&world.okta.field("appID"), "0oaNoSuchApp00000000"), ("Okta", "app")),
        (good.replace(&world.teleport.field("authAddress"), "127.0.0.1:1"), ("Teleport", "reachable")),
        (good.replace(identity.lines().nth(3).unwrap(), "mangled"), ("Teleport", "certificate")),
        (good.replace("roles: [okta-requester]", "roles: [editor]"), ("Teleport", "roles")),
        (good.replace("roles: [okta-requester]", "roles: [okta-nobody]"), ("Teleport", "roles")),
    ];
    for (manifest, line) in mistakes {
        assert_ne!(manifest, good, "{line:?}: the table no longer fits the example");
        std::fs::write(world.manifest(), manifest).unwrap();
        let (code, told) = world.pass("check", &["--allowed-role", "okta-*"]);
        assert_eq!((code, &told["ok"]), (1, &json!(false)), "{line:?}: {told:#}");
        assert_eq!(of(&told, "Failed"), [line], "{told:#}");
        let other = if line.0 == "Okta" { ("Teleport", "user:list") } else { ("Okta", "people") };
        assert!(of(&told, "Passed").contains(&other), "{line:?}: the other side was not judged: {told:#}");
        let words = told.to_string();
        assert!(words.contains("remedy") && !words.contains(key.lines().nth(5).unwrap()), "P16: {words}");
    }
    nothing_was_written(&world).await;
}

#[tokio::test]
async fn the_app_may_come_from_the_connector() {
    let world = World::of(3).await;
    let good = world.quickstart();
    let without_app = good.replace(&format!("appID: {}", world.okta.field("appID")), "source: App");
    assert_ne!(without_app, good);
    std::fs::write(world.manifest(), &without_app).unwrap();
    let (code, told) = world.pass("check", &[]);
    assert_eq!(code, 0, "{told:#}");
    assert!(of(&told, "Passed").contains(&("Okta", "app")), "{told:#}");

    std::fs::write(world.manifest(), without_app.replace("connector: okta", "connector: other")).unwrap();
    let (code, told) = world.pass("check", &[]);
    assert_eq!((code, of(&told, "Failed")), (1, vec![("Teleport", "connector")]), "{told:#}");
    assert!(of(&told, "Skipped").contains(&("Okta", "people")), "{told:#}");
}

#[tokio::test]
async fn somebody_who_is_known_must_be_seen() {
    let world = World::of(3).await;
    let (_, name) = world.assigned().await.remove(0);
    assert_eq!(world.pass("check", &["--known", &name]).0, 0);
    let (code, told) = world.pass("check", &["--known", "stranger@example.com"]);
    assert_eq!((code, of(&told, "Failed")), (1, vec![("Okta", "people")]), "{told:#}");
}

#[tokio::test]
async fn what_cannot_be_read_is_bad_input() {
    let world = World::of(1).await;
    for (from, to) in [("orgURL:", "orgUrl:"), ("exclude: []", "filter: \"user.\"")] {
        std::fs::write(world.manifest(), world.quickstart().replace(from, to)).unwrap();
        let (code, out, err) = world.told("check", &[]);
        assert_eq!((code, out.as_str()), (2, ""), "{to}: {err}");
        assert!(err.contains("remedy:"), "{err}");
    }
    nothing_was_written(&world).await;
}
