//! A pass, told as a diff of each user, to be read like any other: what stands in Teleport and what will, line by line.
//! What is said of the pass as a whole stands beside it, behind a `#`.

use std::fmt::Write as _;
use std::time::Duration;

use engine::report::{Change, Report};

use crate::outcome;

/// Stands for the side on which the user is not.
const NOBODY: &str = "/dev/null";

/// The whole pass over `resource` (`namespace/name`).
pub fn text(resource: &str, report: &Report, took: Duration) -> String {
    let mut text = String::new();
    for line in outcome::without_changes(resource, report, took).lines() {
        let _ = writeln!(text, "{}", format!("# {line}").trim_end());
    }
    for change in &report.changes {
        text.push('\n');
        text.push_str(&of(change));
    }
    text
}

/// One user.
fn of(change: &Change) -> String {
    let user = change.user.as_str();
    let (before, after) = match change.action {
        "create" | "rename" => (NOBODY, user),
        "remove" => (user, NOBODY),
        _ => (user, user),
    };
    let held = if change.applies { "" } else { ", held" };
    let mut text = format!("--- {before}\n+++ {after}\t{}{held}: {}\n", change.action, change.why);
    match change.action {
        "lock" | "remove" => text.push_str("+locked\n"),
        "unlock" => text.push_str("-locked\n"),
        _ => {}
    }
    for field in &change.fields {
        for (sign, value) in [('-', &field.from), ('+', &field.to)] {
            if !value.is_empty() {
                let _ = writeln!(text, "{sign}{}: {value}", field.field);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use engine::report::FieldChange;

    use super::*;

    fn change(action: &'static str, applies: bool, fields: &[(&str, &str, &str)]) -> Change {
        let field = |(field, from, to): &(&str, &str, &str)| FieldChange {
            field: (*field).into(),
            from: (*from).into(),
            to: (*to).into(),
        };
        let fields = fields.iter().map(field).collect();
        Change { action, user: "ada".into(), okta_id: "00u1".into(), why: "because".into(), applies, fields }
    }

    #[test]
    fn each_user_is_a_diff_of_its_own() {
        let fields = [("roles", "a", "a, b"), ("traits.okta/title", "", "Boss"), ("expires", "2026", "")];
        let table = [
            (
                change("update", true, &fields),
                "--- ada\n+++ ada\tupdate: because\n-roles: a\n+roles: a, b\n+traits.okta/title: Boss\n-expires: 2026\n",
            ),
            (
                change("create", true, &fields[1..2]),
                "--- /dev/null\n+++ ada\tcreate: because\n+traits.okta/title: Boss\n",
            ),
            (change("rename", true, &[]), "--- /dev/null\n+++ ada\trename: because\n"),
            (change("remove", false, &[]), "--- ada\n+++ /dev/null\tremove, held: because\n+locked\n"),
            (change("lock", true, &[]), "--- ada\n+++ ada\tlock: because\n+locked\n"),
            (change("unlock", true, &[]), "--- ada\n+++ ada\tunlock: because\n-locked\n"),
        ];
        for (change, wanted) in table {
            assert_eq!(of(&change), wanted);
        }
    }
}
