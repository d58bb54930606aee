//! The tables of Okta states in docs/semantics.md are made from the rules themselves; this test fails when they drift.
//! `UPDATE=1` rewrites the tables.

// Helpers of tests say what they expect; clippy.toml allows that only inside #[test] functions themselves.
#![allow(clippy::expect_used)]

use std::{fmt::Write as _, path::Path};

use engine::{
    belonging::{self, Belonging},
    person::{AssignmentStatus, PersonStatus},
};

const BEGIN: &str = "<!-- made by crates/engine/tests/semantics.rs: begin -->\n";
const END: &str = "<!-- made by crates/engine/tests/semantics.rs: end -->";
const BEGIN_ABSENT: &str = "<!-- made by crates/engine/tests/semantics.rs: begin of the absent -->\n";
const END_ABSENT: &str = "<!-- made by crates/engine/tests/semantics.rs: end of the absent -->";

fn words(belonging: &Belonging) -> &'static str {
    match belonging {
        Belonging::Present => "present",
        Belonging::Suspended => "suspended",
        Belonging::Deactivated => "removed (deactivated)",
        Belonging::Unassigned => "removed (unassigned)",
        Belonging::Deleted => "removed (deleted)",
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

/// What follows when somebody with an account is missing from the list and is asked for by id.
fn table_of_the_absent() -> String {
    let mut table = String::from("| Okta, asked for the person by id | the person is |\n|---|---|\n");
    let mut row = |said: &str, status: Option<&PersonStatus>| {
        let _ = writeln!(table, "| {said} | {} |", words(&belonging::of_absent(status)));
    };
    row("knows nobody of that id", None);
    for status in PersonStatus::KNOWN.into_iter().chain([PersonStatus::Other("any other".into())]) {
        row(&format!("{}, and not in the source", status.as_str()), Some(&status));
    }
    table
}

/// `page` with `table` between two marks.
fn with_table(page: &str, (begin, end): (&str, &str), table: &str) -> String {
    let (before, rest) = page.split_once(begin).expect("the page has the mark where the table begins");
    let (_, after) = rest.split_once(end).expect("the page has the mark where the table ends");
    format!("{before}{begin}{table}{end}{after}")
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
fn the_tables_of_states_in_the_docs_are_those_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/semantics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let right = with_table(&page, (BEGIN, END), &table());
    let right = with_table(&right, (BEGIN_ABSENT, END_ABSENT), &table_of_the_absent());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, right).unwrap();
    } else {
        assert!(
            page == right,
            "docs/semantics.md is not what the rules say; run UPDATE=1 cargo test -p engine --test semantics"
        );
    }
}
