//! A product binary as a child: its lines, its end, and that nothing of it stays.

// Helper functions of a test may say what they expect, as the test functions do.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use testkit::process::{ProcessError, Stream};
use testkit::{Launch, Process, eventually};

const SOON: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Process {
    Launch::new("sh").args(["-c", script]).start().unwrap()
}

/// Whether a process exists and is more than a corpse.
fn lives(id: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    state.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

#[tokio::test]
async fn the_first_json_line_is_found_among_other_words() {
    let mut process =
        shell(r#"echo '{"on":"stderr"}' >&2; echo starting; echo 7; echo '{"port":1234}'; exec sleep 600"#);
    let ready = process.first_json(SOON).await.unwrap();
    assert_eq!(ready["port"], 1234);
    assert!(process.lines().contains(&(Stream::Out, "starting".to_owned())));
    assert!(process.ended().unwrap().is_none());
}

#[tokio::test]
async fn a_process_that_ends_too_early_is_quoted() {
    let mut process = shell("echo 'no such key' >&2; exit 3");
    let error = process.first_json(SOON).await.unwrap_err();
    assert!(matches!(&error, ProcessError::Ended { status, .. } if status.code() == Some(3)), "{error}");
    assert!(error.to_string().contains("no such key"), "{error}");
}

#[tokio::test]
async fn a_process_that_says_nothing_times_out_with_its_last_words() {
    let mut process = shell("echo still thinking; exec sleep 600");
    let said = |_: Stream, line: &str| line.contains("thinking").then_some(());
    process.await_line(SOON, "a thought", said).await.unwrap();
    let error = process.first_json(Duration::from_millis(50)).await.unwrap_err();
    assert!(
        error.to_string().contains("waiting for a JSON line") && error.to_string().contains("still thinking"),
        "{error}"
    );
}

#[tokio::test]
async fn it_is_asked_to_end_and_its_last_words_are_heard() {
    let mut process = shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    process.await_line(SOON, "ready", |_, line| (line == "ready").then_some(())).await.unwrap();
    let status = process.terminate(SOON).await.unwrap();
    assert_eq!(status.code(), Some(7));
    assert!(process.output().ends_with("bye\n"), "{}", process.output());
    process.terminate(SOON).await.expect("asking twice does no harm");
}

#[tokio::test]
async fn a_bare_environment_holds_only_what_was_set() {
    let mut process = Launch::new("/usr/bin/env").bare().env("POD_NAME", "operator-0").start().unwrap();
    assert!(process.wait(SOON).await.unwrap().success());
    assert_eq!(process.output(), "POD_NAME=operator-0\n");
}

#[tokio::test]
async fn dropping_it_ends_it_and_what_it_started() {
    let mut process = shell("sleep 600 & echo $!; wait");
    let grandchild: u32 = process.await_line(SOON, "the id of its child", |_, line| line.parse().ok()).await.unwrap();
    let child = process.id();
    assert!(lives(child) && lives(grandchild));
    drop(process);
    assert!(!lives(child));
    eventually(SOON, "the grandchild's end", async || if lives(grandchild) { Err("alive") } else { Ok(()) })
        .await
        .unwrap();
}
