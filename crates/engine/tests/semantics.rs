//! The table of Okta states in docs/semantics.md is made from the rules themselves; this test fails when they drift.
//! `UPDATE=1` rewrites the table.

use std::{fmt::Write as _, path::Path};

use engine::{
    belonging::{self, Belonging},
    person::{AssignmentStatus, PersonStatus},
};

const BEGIN: &str = "<!-- made by crates/engine/tests/semantics.rs: begin -->\n";
const END: &str = "<!-- made by crates/engine/tests/semantics.rs: end -->";

fn words(belonging: &Belonging) -> &'static str {
    match belonging {
        Belonging::Present => "present",
        Belonging::Suspended => "suspended",
        Belonging::Deactivated => "removed (deactivated)",
        Belonging::Unassigned => "removed (unassigned)",
        Belonging::Unknown(_) => "left alone",
    }
}

/// Assignment states that say the same stand in one column.
fn columns() -> [(&'static str, AssignmentStatus); 4] {
    [
        ("ACTIVE, PROVISIONED, STAGED, PENDING, APPROVED, IMPLICIT", AssignmentStatus::Active),
        ("SUSPENDED", AssignmentStatus::Suspended),
        ("INACTIVE, REVOKED, IMPORTED, MATCHED, UNASSIGNED, DEPROVISIONED", AssignmentStatus::Revoked),
        ("any other", AssignmentStatus::Other("?".into())),
    ]
}

fn table() -> String {
    let mut table = String::from("| Okta user ↓ · assignment → |");
    for (heading, _) in columns() {
        let _ = write!(table, " {heading} |");
    }
    table.push_str("\n|---|---|---|---|---|\n");
    for status in PersonStatus::KNOWN.into_iter().chain([PersonStatus::Other("any other".into())]) {
        let _ = write!(table, "| {} |", status.as_str());
        for (_, assignment) in columns() {
            let _ = write!(table, " {} |", words(&belonging::both(&status, Some(&assignment))));
        }
        table.push('\n');
    }
    table
}

#[test]
fn states_in_one_column_say_the_same() {
    for (heading, example) in columns() {
        for word in heading.split(", ").filter(|word| *word != "any other") {
            let one = belonging::of_assignment(&AssignmentStatus::from(word));
            assert_eq!(words(&one), words(&belonging::of_assignment(&example)), "{word}");
        }
    }
    let named: usize = columns()[..3].iter().map(|(heading, _)| heading.split(", ").count()).sum();
    assert_eq!(named, AssignmentStatus::KNOWN.len(), "every state stands in a column");
}

#[test]
fn the_table_of_states_in_the_docs_is_the_one_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/semantics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the mark where the table begins");
    let (_, after) = rest.split_once(END).expect("the page has the mark where the table ends");
    let right = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, right).unwrap();
    } else {
        assert!(
            page == right,
            "docs/semantics.md is not what the rules say; run UPDATE=1 cargo test -p engine --test semantics"
        );
    }
}
