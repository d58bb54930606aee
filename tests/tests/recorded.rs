//! Real input, all the way: recorded answers of real Okta organisations, served by okta-sim value for value, become
//! Teleport users.
//!
//! The recordings hold two assignments, whose users were not recorded, and many users, whose assignments were not. So each
//! recorded assignment is joined with a recorded user under the assignment's id, and each recorded user with the recorded
//! assignment under the user's id and login.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use engine::report::{Outcome, Read};
use serde_json::{Value, json};
use suites::{Stage, recorded};

/// All bodies in a recording that are, or hold, objects of that kind, by id.
fn bodies(folder: &Path, file: &str) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    let exchanges = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    exchanges
        .filter(|exchange| exchange["status"] == 200)
        .flat_map(|exchange| match exchange["body"].clone() {
            Value::Array(items) => items,
            one => vec![one],
        })
        .map(|body| (body["id"].as_str().unwrap().to_owned(), body))
        .collect()
}

fn with(body: &Value, pointer: &str, value: Value) -> Value {
    let mut body = body.clone();
    *body.pointer_mut(pointer).unwrap() = value;
    body
}

#[tokio::test]
async fn recorded_people_become_the_expected_users() {
    let Some(folder) = recorded() else { return };
    let (assignments, users) = (bodies(&folder, "app-users.jsonl"), bodies(&folder, "user.jsonl"));
    let mut stage = Stage::with_people(0).await;
    let app = stage.app();
    let (example, someone) = (assignments.values().next().unwrap(), users.values().next().unwrap());
    let org = stage.okta.org();
    for (id, assignment) in &assignments {
        org.load_user(&with(someone, "/id", json!(id))).unwrap();
        org.load_app_user(&app, assignment).unwrap();
    }
    for (id, user) in &users {
        let login = user["profile"]["login"].clone();
        org.load_user(user).unwrap();
        org.load_app_user(&app, &with(&with(example, "/id", json!(id)), "/credentials/userName", login)).unwrap();
    }

    let report = stage.pass().await;

    assert_eq!(report.read, Read::Complete);
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.problems);
    assert_eq!(usize::try_from(report.counts.in_scope).unwrap(), assignments.len() + users.len());
    let mut told = format!("{:#?}\n", report.counts);
    for name in stage.teleport.user_names() {
        let user = stage.teleport.user(&name).unwrap();
        if user.labels.contains_key("usersync.dev/owner") {
            writeln!(told, "{name} ({}) roles {:?}", user.labels["usersync.dev/okta-user-id"], user.roles).unwrap();
            for (name, values) in &user.traits {
                writeln!(told, "    {name} = {}", values.join(" | ")).unwrap();
            }
        }
    }
    insta::assert_snapshot!(told);

    let again = stage.pass().await;
    assert_eq!((again.writes, again.outcome), (0, Outcome::Succeeded), "nothing changed, nothing written");
}
