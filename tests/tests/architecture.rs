//! Dependencies point inwards: `okta-user-sync → operator → {okta, teleport} → engine → api`. The simulators know neither
//! client, so that a shared mistake cannot hide. The test fails when an arrow is reversed or a new one appears.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// Every arrow that may be there, outside dev-dependencies.
const ALLOWED: [(&str, &[&str]); 13] = [
    ("api", &[]),
    ("engine", &["api"]),
    ("okta", &["engine"]),
    ("teleport-proto", &[]),
    ("teleport", &["api", "engine", "teleport-proto"]),
    ("operator", &["api", "engine", "okta", "teleport"]),
    ("okta-user-sync", &["api", "engine", "okta", "teleport", "operator", "okta-sim", "teleport-sim", "testkit"]),
    ("okta-sim", &[]),
    ("teleport-sim", &["teleport-proto"]),
    ("testkit", &[]),
    ("image", &[]),
    ("bench", &["engine", "okta", "suites", "teleport", "teleport-proto", "testkit"]),
    ("suites", &["api", "engine", "image", "okta", "teleport", "operator", "okta-sim", "teleport-sim", "testkit"]),
];

/// Crates that a crate must not need, however far down: the pure ones do no I/O.
const FORBIDDEN: [(&str, &[&str]); 2] = [
    ("api", &["tokio", "reqwest", "hyper", "tonic", "kube-client"]),
    ("engine", &["tokio", "reqwest", "hyper", "tonic", "kube-client"]),
];

fn metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

#[test]
fn dependencies_point_inwards() {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().unwrap();
    let members: BTreeSet<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let allowed: BTreeMap<_, _> = ALLOWED.into_iter().collect();
    assert_eq!(members, allowed.keys().copied().collect(), "every member has its row in ALLOWED");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            if members.contains(to) && dependency["kind"].as_str() != Some("dev") {
                assert!(allowed[name].contains(&to), "{name} must not depend on {to}");
            }
        }
    }
}

#[test]
fn the_pure_crates_need_no_client_and_no_runtime() {
    let metadata = metadata(&[]);
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let name_of = |id: &str| {
        let package = metadata["packages"].as_array().unwrap().iter().find(|p| p["id"] == id).unwrap();
        package["name"].as_str().unwrap().to_owned()
    };
    let edges: BTreeMap<&str, Vec<&str>> = nodes
        .iter()
        .map(|node| {
            let normal = node["deps"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dep| dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null()));
            (node["id"].as_str().unwrap(), normal.map(|dep| dep["pkg"].as_str().unwrap()).collect())
        })
        .collect();
    for (crate_name, forbidden) in FORBIDDEN {
        let start = edges.keys().find(|id| name_of(id) == crate_name).unwrap();
        let (mut seen, mut open) = (BTreeSet::new(), vec![*start]);
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(&edges[id]);
            }
        }
        for id in seen {
            assert!(!forbidden.contains(&name_of(id).as_str()), "{crate_name} must not need {}", name_of(id));
        }
    }
}
