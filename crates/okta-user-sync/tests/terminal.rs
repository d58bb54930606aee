//! What only somebody at a terminal sees: progress with its rate, colours, a question before a plan is approved.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::process::Command;

use rexpect::session::PtySession;
use serde_json::json;
use support::{LONG, World, binary};

fn at_a_terminal(world: &World, verb: &str, further: &[&str]) -> PtySession {
    let mut command = Command::new(binary());
    command.args([verb, "-f", world.manifest().to_str().unwrap(), "--okta-ca", &world.okta.field("caFile")]);
    command.args(further);
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    let patience = u64::try_from(LONG.as_millis()).unwrap();
    rexpect::session::spawn_command(command, Some(patience)).unwrap()
}

/// Okta takes this long over each page of people.
async fn slow(world: &World, millis: u64) {
    let fault = json!({ "path": "/api/v1/apps/*/users", "kind": { "slow": { "millis": millis } } });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/faults", world.okta.field("adminURL"));
    assert!(client.post(url).json(&fault).send().await.unwrap().status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_pass_shows_people_a_second_and_what_okta_leaves() {
    let world = World::of(1500).await;
    slow(&world, 700).await;
    let mut terminal = at_a_terminal(&world, "preview", &[]);
    terminal
        .exp_regex(r"reading people: \d+ \(\d+ people/s, Okta /api/v1/[a-z/{}0-9]+: \d+ of \d+ calls left")
        .unwrap();
    terminal.exp_string("Previewed, nothing was written").unwrap();
    terminal.exp_eof().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_it_still_takes_is_told_once_it_is_known_how_much_there_is() {
    let world = World::of(1500).await;
    let state = world.path("state.json");
    let further = ["--state", state.to_str().unwrap()];
    // Nothing is known of the people before the first pass has read them; of the users to write all is.
    let mut terminal = at_a_terminal(&world, "sync", &further);
    let (_, told) = terminal.exp_regex(r"writing users .*\d+/1500 \([1-9]\d* people/s, [1-9]\d*s left\)").unwrap();
    let (done, rate, left) = numbers(&told);
    assert!(fits(1500 - done, rate, left), "{told}");
    terminal.exp_string("Succeeded").unwrap();
    terminal.exp_eof().unwrap();

    // The second one knows from the first how many there are about.
    slow(&world, 1500).await;
    let mut terminal = at_a_terminal(&world, "preview", &further);
    let (_, told) = terminal.exp_regex(r"reading people .*\d+/1500 \([1-9]\d* people/s, [1-9]\d*s left, Okta").unwrap();
    let (done, rate, left) = numbers(&told);
    assert!(fits(1500 - done, rate, left), "{told}");
    terminal.exp_string("Previewed, nothing was written").unwrap();
    terminal.exp_eof().unwrap();
}

/// `…500/1500 (321 people/s, 3s left` as done, rate, and seconds left.
fn numbers(told: &str) -> (u32, u32, u32) {
    let (before, rest) = told.rsplit_once("/1500 (").unwrap();
    let done = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap();
    let (rate, rest) = rest.split_once(" people/s, ").unwrap();
    let (left, _) = rest.split_once("s left").unwrap();
    (done.parse().unwrap(), rate.parse().unwrap(), left.parse().unwrap())
}

/// Whether the time left is what is left to do at this rate; both are rounded to whole numbers.
fn fits(open: u32, rate: u32, seconds: u32) -> bool {
    let (open, rate, seconds) = (f64::from(open), f64::from(rate), f64::from(seconds));
    (seconds - 1.0) * (rate - 1.0) <= open && open <= (seconds + 1.0) * (rate + 1.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_are_coloured_at_a_terminal() {
    let world = World::of(2).await;
    let mut terminal = at_a_terminal(&world, "check", &[]);
    terminal.exp_string("\u{1b}[32mpassed").unwrap();
    terminal.exp_eof().unwrap();
}
