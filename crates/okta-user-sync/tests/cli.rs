//! `sync` and `preview` against both simulators: one pass without Kubernetes, as a script runs it.

#![allow(clippy::unwrap_used)] // helpers of tests

use reqwest::Method;
use serde_json::{Value, json};

mod support;
use support::{World, file, run, run_with_input, told};

#[tokio::test]
async fn a_leaver_s_story_without_kubernetes() {
    let world = World::of(12).await;
    let people = world.assigned().await;

    let (code, preview) = world.pass("preview", &[]);
    assert_eq!((code, &preview["outcome"]), (0, &json!("Previewed")), "{preview:#}");
    assert_eq!(actions(&preview, "create"), 12);
    assert_eq!((world.writes().await, &preview["teleportWrites"]), (0, &json!(0)), "a preview wrote");

    let (code, import) = world.pass("sync", &[]);
    assert_eq!((code, &import["outcome"], &import["read"]), (0, &json!("Succeeded"), &json!("complete")), "{import:#}");
    assert_eq!((&import["counts"]["created"], &import["counts"]["synced"]), (&json!(12), &json!(12)));
    assert_eq!(import["lockLifetime"], "31h");
    assert_eq!(import["teleport"]["cluster"], "teleport.sim");
    assert_eq!(import["ignored"], json!(["Namespace okta-user-sync"]));
    let (id, name) = &people[0];
    let user = world.teleport(&format!("/users/{name}")).await;
    assert_eq!(user["roles"], json!(["okta-requester"]));
    assert_eq!(user["labels"]["usersync.dev/owner"], "okta-user-sync/acme");
    assert_eq!(user["traits"]["okta/email"], json!([name]));

    // P9: nothing changed, nothing written.
    let writes = world.writes().await;
    let (code, again) = world.pass("sync", &[]);
    assert_eq!((code, &again["teleportWrites"], world.writes().await), (0, &json!(0), writes), "{again:#}");

    world.okta(Method::POST, &format!("/api/v1/users/{id}/lifecycle/deactivate"), None).await;
    let (code, leaver) = world.pass("sync", &[]);
    assert_eq!((code, &leaver["counts"]["removed"]), (0, &json!(1)), "{leaver:#}");
    assert_eq!(world.teleport(&format!("/users/{name}")).await, Value::Null, "the account is still there");
    let session = world.teleport(&format!("/sessions/{name}")).await;
    assert_eq!((&session["usable"], &session["lock"]), (&json!(false), &json!("enforced")), "{session:#}");
}

#[tokio::test]
async fn the_journal_has_two_lines_for_each_write_and_names_nobody() {
    let world = World::of(4).await;
    let (people, journal) = (world.assigned().await, world.path("journal"));
    let flags = ["--audit-journal", journal.to_str().unwrap()];
    let (_, import) = world.pass("sync", &flags);
    let (id, _) = &people[0];
    world.okta(Method::POST, &format!("/api/v1/users/{id}/lifecycle/deactivate"), None).await;
    let (code, leaver) = world.pass("sync", &flags);
    assert_eq!(code, 0, "{leaver:#}");

    let text = std::fs::read_to_string(&journal).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |phase: &str| lines.iter().filter(|line| line["phase"] == phase).collect::<Vec<_>>();
    let writes = import["teleportWrites"].as_u64().unwrap() + leaver["teleportWrites"].as_u64().unwrap();
    assert_eq!((of("intent").len() as u64, writes), (writes, 6), "four users, a lock, a deletion");
    for intent in of("intent") {
        let after = of("outcome").into_iter().find(|line| line["id"] == intent["id"]).unwrap();
        assert_eq!((&after["result"], &after["oktaId"]), (&json!("done"), &intent["oktaId"]));
    }
    let told = |line: &Value| ["action", "oktaId", "pass", "why"].map(|key| line[key].as_str().unwrap().to_owned());
    let pass = leaver["pass"].as_str().unwrap();
    let wanted = ["put_lock", "delete_user"].map(|action| [action, id, pass, "deactivated in Okta"].map(str::to_owned));
    assert_eq!(of("outcome")[4..].iter().map(|line| told(line)).collect::<Vec<_>>(), wanted);
    assert_eq!(lines[10]["evidence"], json!({ "peopleRead": 3, "confirmedById": true, "approved": false }));
    assert_eq!(lines[10]["planHash"].as_str().map(str::len), Some(32));
    assert!(people.iter().all(|(_, name)| !text.contains(name.as_str())), "{text}");
    let schema: Value = serde_json::from_str(include_str!("../../../docs/journal.schema.json")).unwrap();
    let tools = testkit::Tools::provide().await.unwrap();
    assert_eq!(tools.unfit(&schema, &lines, world.folder.path()).unwrap(), None, "docs/journal.schema.json");
}

#[tokio::test]
async fn the_brake_holds_and_its_plan_is_approved_by_hash() {
    let world = World::of(20).await;
    let state = world.path("state.json");
    let state = ["--state", state.to_str().unwrap()];
    assert_eq!(world.pass("sync", &state).0, 0);
    let people = world.assigned().await;
    for (id, _) in &people[..8] {
        world.unassign(id).await;
    }

    let (code, held) = world.pass("sync", &state);
    assert_eq!((code, &held["outcome"], &held["counts"]["held"]), (1, &json!("Held"), &json!(8)), "{held:#}");
    let hash = held["pendingPlan"]["hash"].as_str().unwrap();
    for (_, name) in &people[..8] {
        assert_ne!(world.teleport(&format!("/users/{name}")).await, Value::Null, "{name} was removed");
    }
    let (_, again) = world.pass("sync", &state);
    assert_eq!(again["pendingPlan"]["heldSince"], held["pendingPlan"]["heldSince"], "the state file forgot the plan");

    let (code, wrong) = world.pass("sync", &[&state[..], &["--approve", "0123456789abcdef"]].concat());
    assert_eq!((code, &wrong["outcome"]), (1, &json!("Held")), "another plan's hash let it go");

    let (code, done) = world.pass("sync", &[&state[..], &["--approve", hash]].concat());
    assert_eq!((code, &done["outcome"], &done["counts"]["removed"]), (0, &json!("Succeeded"), &json!(8)), "{done:#}");
    for (_, name) in &people[..8] {
        assert_eq!(world.teleport(&format!("/users/{name}")).await, Value::Null, "{name} is still there");
    }

    // The brake remembers: the removals of the last hour are spent.
    let (id, _) = &people[8];
    world.unassign(id).await;
    let (code, spent) = world.pass("sync", &state);
    assert_eq!((code, &spent["outcome"]), (1, &json!("Held")), "{spent:#}");
}

#[tokio::test]
async fn one_person_is_explained_and_nothing_is_written() {
    let world = World::of(6).await;
    assert_eq!(world.pass("sync", &[]).0, 0);
    let (id, name) = world.assigned().await[0].clone();
    let writes = world.writes().await;
    world.okta(Method::POST, &format!("/api/v1/users/{id}/lifecycle/deactivate"), None).await;
    for who in [&name, &id] {
        let (code, told) = world.pass("explain", &[who]);
        assert_eq!((code, &told["user"], &told["oktaId"]), (0, &json!(name), &json!(id)), "{told:#}");
        assert_eq!(told["okta"][0], "status DEPROVISIONED", "{told:#}");
        assert!(told["next"][0].as_str().unwrap().starts_with(&format!("lock the user {name} for 31h")), "{told:#}");
    }
    let (_, text, _) = world.told("explain", &[&name]);
    assert!(text.contains("Next pass") && text.contains("a user of ours"), "{text}");
    let (code, _, err) = world.told("explain", &["nobody@example.com"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("nobody in scope"), "{err}");
    assert_eq!(world.writes().await, writes, "an explanation wrote");
}

// sync.rs, `run_pass`: `may_write`.
#[tokio::test]
async fn p08_a_signal_stops_the_writes_and_the_next_run_finishes() {
    const PEOPLE: u64 = 800;
    let world = World::of(800).await;
    let (file, ca) = (world.manifest(), world.okta.field("caFile"));
    let arguments = ["sync", "-f", file.to_str().unwrap(), "--okta-ca", &ca, "-o", "json"];
    let mut sync = testkit::Launch::new(support::binary()).args(arguments).start().unwrap();
    let begun = testkit::eventually(support::LONG, "some writes", async || match world.writes().await {
        0 => Err("none"),
        some => Ok(some),
    });
    assert!(begun.await.unwrap() < PEOPLE, "the import was over before it could be stopped");
    let status = sync.terminate(support::LONG).await.unwrap();
    let document: Value = serde_json::from_str(&sync.output()).unwrap();
    assert_eq!((status.code(), &document["outcome"]), (Some(1), &json!("Partial")), "{document:#}");
    let written = world.writes().await;
    assert!(written < PEOPLE, "it wrote on: {written}");

    let (code, rest) = world.pass("sync", &[]);
    assert_eq!((code, &rest["counts"]["synced"]), (0, &json!(PEOPLE)), "{:#}", rest["counts"]);
    assert_eq!(world.writes().await, PEOPLE, "somebody was written twice, or not at all");
}

#[tokio::test]
async fn the_outcome_is_told_to_people_and_as_yaml() {
    let world = World::of(6).await;
    let (code, table, err) = world.told("preview", &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{table}");
    for words in ["Previewed, nothing was written", "app Teleport (0oa", "IN SCOPE", " +  create", "teleport.sim 17"] {
        assert!(table.contains(words), "{words:?} not in\n{table}");
    }
    std::fs::write(world.manifest(), world.quickstart().replace("okta-requester", "okta-nobody")).unwrap();
    let (code, table, _) = world.told("sync", &["--allowed-role", "okta-*"]);
    assert_eq!(code, 1, "{table}");
    for words in ["okta-user-sync/acme: Refused in", "RoleMissing: ", "okta-nobody", "\n  remedy: "] {
        assert_eq!(table.matches(words).count(), 1, "{words:?} once in\n{table}");
    }
    std::fs::write(world.manifest(), world.quickstart()).unwrap();
    let (_, yaml, _) = world.told("preview", &["-o", "yaml"]);
    assert!(yaml.contains("outcome: Previewed") && yaml.contains("inScope: 6"), "{yaml}");
}

#[tokio::test]
async fn files_stand_in_for_secrets_and_the_manifest_may_come_from_standard_input() {
    let world = World::of(3).await;
    let manifest = world.quickstart();
    let resource = manifest.split("\n---\n").find(|document| document.contains("kind: OktaUserSync")).unwrap();
    let arguments = [
        "sync",
        "-f",
        "-",
        "-o",
        "json",
        "--okta-ca",
        &world.okta.field("caFile"),
        "--okta-key",
        &world.okta.field("privateKeyFile"),
        "--teleport-identity",
        &world.teleport.field("identityFile"),
    ];
    let (code, out, err) = told(&run_with_input(&arguments, resource));
    assert_eq!(code, 0, "{out} {err}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["counts"]["created"], 3);

    let (code, out, err) = told(&run_with_input(&arguments[..7], resource));
    assert_eq!((code, out.as_str()), (2, ""), "without the Secrets: {err}");
    assert!(err.contains("Secret okta-user-sync/acme-okta-key") && err.contains("--okta-key"), "{err}");
}

#[tokio::test]
async fn a_side_that_is_down_is_refused_not_bad_input() {
    let mut world = World::of(3).await;
    assert_eq!(world.pass("sync", &[]).0, 0);
    let writes = world.writes().await;
    world.okta.process.kill().unwrap();
    std::fs::write(world.path("ca.pem"), "").unwrap();
    let file = world.manifest();
    let (code, out, err) = told(&run(&["sync", "-f", file.to_str().unwrap(), "-o", "json"]));
    assert_eq!(code, 1, "{out} {err}");
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&document["outcome"], &document["failure"]["side"]), (&json!("Refused"), &json!("Okta")));
    assert_ne!(document["failure"]["remedy"], "");
    assert_eq!(world.writes().await, writes, "something was written");
}

// policy.rs, `new`: the ceiling, `may_allow`.
#[tokio::test]
async fn p13_a_role_above_the_ceiling_is_bad_input_until_it_is_allowed() {
    let world = World::of(3).await;
    std::fs::write(world.manifest(), world.quickstart().replace("roles: [okta-requester]", "roles: [editor]")).unwrap();
    let (code, out, err) = world.told("sync", &[]);
    assert_eq!((code, out.as_str(), world.writes().await), (2, "", 0), "{err}");
    assert!(err.contains("\"editor\"") && err.contains("--allowed-role"), "{err}");
    assert_eq!(world.pass("sync", &["--allowed-role", "editor"]).0, 0);
}

#[tokio::test]
async fn bad_input_is_named_in_a_line_with_a_remedy_and_nothing_is_tried() {
    let world = World::of(1).await;
    let good = world.quickstart();
    let key = std::fs::read_to_string(world.okta.field("privateKeyFile")).unwrap();
    let body = key.lines().nth(3).unwrap();
    let table: [(String, &str); 9] = [
        ("nothing: here".into(), "has no apiVersion and kind"),
        ("{".into(), "is not YAML"),
        (good.replace("kind: OktaUserSync", "kind: Something"), "holds no OktaUserSync"),
        (good.replace("orgURL:", "orgUrl:"), "unknown field spec.okta.orgUrl"),
        (good.replace("orgURL: https", "orgURL: http"), "okta.orgURL must be https"),
        (good.replace("roles: [okta-requester]", "roles: []"), "spec.users.roles: 0 entries, at least 1"),
        (good.replace("interval: 10m", "interval: 10"), "spec.interval: 10 is not of type string"),
        (good.replace(body, "mangled"), "key"),
        (
            good.replace("name: acme-teleport-identity\n      key", "name: gone\n      key"),
            "Secret okta-user-sync/gone",
        ),
    ];
    for (manifest, expected) in table {
        assert_ne!(manifest, good, "{expected}: the table no longer fits the example");
        std::fs::write(world.manifest(), manifest).unwrap();
        let (code, out, err) = world.told("sync", &[]);
        assert_eq!((code, out.as_str()), (2, ""), "{expected}: {err}");
        assert!(err.contains(expected) && err.contains("\n  remedy: "), "{expected:?} not in {err}");
        assert!(!err.contains("panicked"), "{err}");
        assert!(key.lines().all(|line| line.starts_with("-----") || !err.contains(line)), "P16: {err}");
    }
    assert_eq!(world.writes().await, 0);
}

#[test]
fn files_and_flags_that_cannot_be_used_are_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let state = file(folder.path(), "state.json", "{\"resource\":\"other/one\"}");
    let here = file(folder.path(), "acme.yaml", include_str!("../../../examples/quickstart.yaml"));
    let table: [(&[&str], &str); 7] = [
        (&["sync", "-f", "/nowhere/acme.yaml"], "/nowhere/acme.yaml"),
        (&["sync", "-f", &here, "--name", "beta"], "no OktaUserSync called beta"),
        (&["sync", "-f", &here, "--okta-key", "/nowhere/key"], "/nowhere/key"),
        (&["sync", "-f", &here, "--allowed-role", "["], "--allowed-role"),
        (&["sync"], "--file"),
        (&["sync", "-f", &here, "--log-level", "a=b=c"], "--log-level"),
        (&["sync", "-f", &here, "--state", &state], "private key"),
    ];
    for (arguments, expected) in table {
        let (code, out, err) = told(&run(arguments));
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{expected:?} not in {err}");
    }
}

#[test]
fn the_crd_is_printed_as_yaml_and_json() {
    let (code, yaml, _) = told(&run(&["crd"]));
    let (_, json, _) = told(&run(&["crd", "-o", "json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["metadata"]["name"]), (0, &json!("oktausersyncs.usersync.dev")));
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), json);
}

#[test]
fn an_operator_without_a_cluster_says_so() {
    let (code, _, err) = told(&run(&["operator", "--kubeconfig", "/nowhere/config"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("no way to a Kubernetes cluster") && err.contains("remedy:"), "{err}");
}

fn actions(document: &Value, action: &str) -> usize {
    document["changes"].as_array().unwrap().iter().filter(|change| change["action"] == action).count()
}
