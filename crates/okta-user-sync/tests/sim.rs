//! `sim okta` and `sim teleport` as a script sees them: one line of JSON, then silence until they are asked to stop.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use testkit::process::Stream;

mod support;
use support::snapshot::{differs, hold};
use support::{LONG, Sim, run, told};

/// The line has these fields, each with a text; programs rely on them. More may come, and are seen in the snapshot, which
/// has a dash for what is another at each run.
fn has_fields(ready: &Value, fields: &[&str], snapshot: &str) {
    let still: BTreeMap<&String, &str> = ready.as_object().unwrap().keys().map(|key| (key, "-")).collect();
    let text = format!("{}\n", serde_json::to_string_pretty(&still).unwrap());
    hold(&differs(snapshot, &text).into_iter().collect::<Vec<_>>(), "sim");
    for field in fields {
        assert!(ready[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {ready}");
    }
}

async fn ends_cleanly(mut sim: Sim, signal: &str) {
    let ca = sim.field("caFile");
    assert!(Path::new(&ca).is_file());
    sim.process.signal(signal).unwrap();
    let status = sim.process.wait(LONG).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", sim.process.output());
    let lines = sim.process.lines();
    let out: Vec<_> = lines.iter().filter(|(stream, _)| *stream == Stream::Out).collect();
    assert_eq!(out.len(), 1, "more than the one line: {lines:?}");
    assert!(!Path::new(&ca).exists(), "temporary files are left behind");
}

#[tokio::test]
async fn okta_says_where_it_is_and_ends_when_asked() {
    let sim = Sim::start(&["okta", "--people", "5", "--seed", "3"]).await;
    let fields = ["orgURL", "adminURL", "caFile", "ssws", "clientID", "privateKeyFile", "appID"];
    has_fields(&sim.ready, &fields, "output-sim-okta");
    assert!(sim.field("orgURL").starts_with("https://"));
    assert!(std::fs::read_to_string(sim.field("privateKeyFile")).unwrap().contains("PRIVATE KEY"));
    ends_cleanly(sim, "TERM").await;
}

#[tokio::test]
async fn teleport_says_where_it_is_and_ends_when_asked() {
    let sim = Sim::start(&["teleport"]).await;
    let fields = ["authAddress", "adminURL", "caFile", "identityFile", "adminIdentityFile", "cluster", "connector"];
    has_fields(&sim.ready, &fields, "output-sim-teleport");
    assert_eq!((sim.field("cluster").as_str(), sim.field("connector").as_str()), ("teleport.sim", "okta"));
    assert!(std::fs::read_to_string(sim.field("identityFile")).unwrap().contains("@cert-authority"));
    ends_cleanly(sim, "INT").await;
}

#[tokio::test]
async fn files_stay_in_a_folder_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = Sim::start(&["teleport", "--dir", folder.path().to_str().unwrap()]).await;
    let identity = sim.field("identityFile");
    assert!(Path::new(&identity).starts_with(folder.path()));
    sim.process.terminate(LONG).await.unwrap();
    assert!(Path::new(&identity).is_file());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_a_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for which in ["okta", "teleport"] {
        let (code, out, err) = told(&run(&["sim", which, "--listen", &address]));
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(&address) && err.contains("remedy: give a free port"), "{err}");
    }
}
