//! Files that are made from Rust values: the definition in `crds/` and in the chart, and the chart's rules. They are
//! compared here; `UPDATE=1 cargo test -p operator --test generated` writes them anew.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::path::PathBuf;

use serde::Serialize;

const HEADER: &str =
    "# Made from the Rust types. Do not edit; write anew with: UPDATE=1 cargo test -p operator --test generated\n";

/// Compares `file` (from the repository's root) with `value` as YAML, or writes it.
fn made_from(file: &str, value: &impl Serialize) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let made = format!("{HEADER}{}", serde_saphyr::to_string(value).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(there == made, "{file} differs from the Rust types; {}", HEADER.trim_start_matches("# ").trim());
}

#[test]
fn the_schema_of_the_journal() {
    let file = "docs/journal.schema.json";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    // Of what is written, not of what could be read: a field that is left out when it says nothing is not required.
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let schema = settings.into_generator().into_root_schema_for::<operator::journal::AnyLine>();
    let made = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == made,
        "{file} differs; {}",
        HEADER.trim_start_matches("# ").trim()
    );
}

#[test]
fn the_definition() {
    made_from("crds/oktausersyncs.usersync.dev.yaml", &api::crd());
}

#[test]
fn the_definition_in_the_chart() {
    made_from("charts/okta-user-sync/files/crd.yaml", &api::crd());
}

#[test]
fn the_rules_in_the_chart() {
    made_from("charts/okta-user-sync/files/rules.yaml", &operator::rbac::rules());
    made_from("charts/okta-user-sync/files/key-rules.yaml", &operator::rbac::key_rules());
    made_from("charts/okta-user-sync/files/own-rules.yaml", &operator::rbac::own_rules());
}

#[test]
fn the_definition_reads_back_as_it_was() {
    let text = serde_saphyr::to_string(&api::crd()).unwrap();
    let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(read, serde_json::to_value(api::crd()).unwrap());
}

#[test]
fn no_rule_has_a_wildcard() {
    let all = [operator::rbac::rules(), operator::rbac::key_rules(), operator::rbac::own_rules()];
    for rule in all.into_iter().flatten() {
        let words = rule.api_groups.into_iter().flatten().chain(rule.resources.into_iter().flatten()).chain(rule.verbs);
        assert!(words.into_iter().all(|word| !word.contains('*')));
    }
}
