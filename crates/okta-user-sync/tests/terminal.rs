//! What only somebody at a terminal sees: progress with its rate, colours, a question before a plan is approved.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::process::Command;

use rexpect::session::PtySession;
use serde_json::json;
use support::{LONG, World, binary};

fn at_a_terminal(world: &World, verb: &str) -> PtySession {
    let mut command = Command::new(binary());
    command.args([verb, "-f", world.manifest().to_str().unwrap(), "--okta-ca", &world.okta.field("caFile")]);
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    let patience = u64::try_from(LONG.as_millis()).unwrap();
    rexpect::session::spawn_command(command, Some(patience)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_pass_shows_people_a_second_and_what_okta_leaves() {
    let world = World::of(1500).await;
    let fault = json!({ "path": "/api/v1/apps/{id}/users", "kind": { "slow": { "millis": 700 } } });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/faults", world.okta.field("adminURL"));
    assert!(client.post(url).json(&fault).send().await.unwrap().status().is_success());
    let mut terminal = at_a_terminal(&world, "preview");
    terminal
        .exp_regex(r"reading people: \d+ \(\d+ people/s, Okta /api/v1/[a-z/{}0-9]+: \d+ of \d+ calls left")
        .unwrap();
    terminal.exp_string("Previewed, nothing was written").unwrap();
    terminal.exp_eof().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_are_coloured_at_a_terminal() {
    let world = World::of(2).await;
    let mut terminal = at_a_terminal(&world, "check");
    terminal.exp_string("\u{1b}[32mpassed").unwrap();
    terminal.exp_eof().unwrap();
}
