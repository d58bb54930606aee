//! A pass, told on standard output: as tables for people, as JSON or YAML for programs (docs/cli.md).

use std::fmt::Write as _;
use std::time::Duration;

use api::status::Problem;
use comfy_table::{ContentArrangement, Table, presets};
use engine::report::{Change, Outcome, Report};
use serde::Serialize;
use serde_json::{Value, json};

use crate::exit::Exit;

/// How the pass ended, for the shell.
pub fn exit(report: &Report) -> Exit {
    match report.outcome {
        Outcome::Succeeded | Outcome::Previewed => Exit::Done,
        Outcome::Held | Outcome::Partial | Outcome::Refused => Exit::Undone,
    }
}

/// The document for programs. Its fields stay; new ones may come.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document<'a> {
    resource: &'a str,
    pass: &'a str,
    started: String,
    seconds: f64,
    outcome: Outcome,
    read: String,
    failure: Value,
    counts: api::status::UserCounts,
    problems: &'a [Problem],
    problem_count: usize,
    pending_plan: Option<&'a api::status::PendingPlan>,
    approval: Option<&'a str>,
    warnings: Vec<&'a str>,
    changes: &'a [Change],
    lock_lifetime: Option<String>,
    okta_calls: u64,
    teleport_writes: u64,
    okta: Value,
    teleport: Value,
    ignored: &'a [String],
}

/// Makes the document of a pass over `resource` (`namespace/name`).
pub fn document<'a>(resource: &'a str, report: &'a Report, took: Duration, ignored: &'a [String]) -> Document<'a> {
    Document {
        resource,
        pass: &report.id,
        started: report.started.to_string(),
        seconds: took.as_secs_f64(),
        outcome: report.outcome,
        read: report.read.words(),
        failure: report.failure.as_ref().map_or(Value::Null, |f| {
            json!({ "side": format!("{:?}", f.side), "class": f.class.as_str(), "reason": f.reason,
                    "message": f.message, "remedy": f.remedy })
        }),
        counts: report.counts,
        problems: &report.problems,
        problem_count: report.problem_count,
        pending_plan: report.pending.as_ref(),
        approval: report.approval.as_deref(),
        warnings: warnings(report).collect(),
        changes: &report.changes,
        lock_lifetime: lock_lifetime(report),
        okta_calls: report.okta_calls,
        teleport_writes: report.writes,
        okta: report.organisation.as_ref().map_or(Value::Null, |o| {
            json!({ "orgID": o.id, "appID": o.app.as_ref().map(|a| &a.id), "appLabel": o.app.as_ref().map(|a| &a.label),
                    "scopes": o.scopes, "dpop": o.dpop })
        }),
        teleport: report.cluster.as_ref().map_or(Value::Null, |c| {
            json!({ "cluster": c.name, "version": c.version, "originMode": c.origin_mode.as_str(), "user": c.own_name })
        }),
        ignored,
    }
}

/// What is worth knowing; first that the identity runs out, if it does.
fn warnings(report: &Report) -> impl Iterator<Item = &str> {
    let expiring = report.cluster.as_ref().and_then(|cluster| cluster.expiring.as_ref());
    expiring.into_iter().chain(&report.warnings).map(String::as_str)
}

fn lock_lifetime(report: &Report) -> Option<String> {
    report.lock_life.map(|life| format!("{life:#}"))
}

/// The same for people.
pub fn tables(resource: &str, report: &Report, took: Duration) -> String {
    told(resource, report, took, &report.changes)
}

/// The same, but for the changes.
pub fn without_changes(resource: &str, report: &Report, took: Duration) -> String {
    told(resource, report, took, &[])
}

fn told(resource: &str, report: &Report, took: Duration, shown: &[Change]) -> String {
    let outcome = match report.outcome {
        Outcome::Previewed => "Previewed, nothing was written,",
        other => other.as_str(),
    };
    let mut parts =
        vec![format!("{resource}: {outcome} in {:.1} s (pass {})", took.as_secs_f64(), report.id), sides(report)];
    if let Some(failure) = &report.failure {
        parts.push(format!("{}: {}\n  remedy: {}", failure.reason, failure.message, failure.remedy));
    } else {
        parts.extend((!shown.is_empty()).then(|| changes(shown)));
        parts.push(counts(report));
    }
    parts.extend(report.pending.as_ref().map(held));
    parts.extend(report.approval.as_ref().map(|approval| format!("Approval: {approval}")));
    parts.extend(problems(report));
    parts.extend(warnings(report).map(|warning| format!("Warning: {warning}")));
    parts.join("\n\n").replacen("\n\n", "\n", 1) + "\n"
}

fn sides(report: &Report) -> String {
    let mut table = plain();
    let organisation = report.organisation.as_ref().map_or_else(
        || "not reached".to_owned(),
        |o| {
            let app = o.app.as_ref().map(|app| format!(", app {} ({})", app.label, app.id)).unwrap_or_default();
            format!("organisation {}{app}; read {}; {} calls", o.id, report.read.words(), report.okta_calls)
        },
    );
    let cluster = report.cluster.as_ref().map_or_else(
        || "not reached".to_owned(),
        |c| {
            let locks = lock_lifetime(report).map(|life| format!("; a leaver's lock lasts {life}")).unwrap_or_default();
            format!(
                "{} {}, as {} ({}); {} writes{locks}",
                c.name,
                c.version,
                c.own_name,
                c.origin_mode.as_str(),
                report.writes
            )
        },
    );
    table.add_row(["Okta", &organisation]).add_row(["Teleport", &cluster]);
    lines(&table)
}

fn changes(changes: &[Change]) -> String {
    let mut table = plain();
    table.set_header(["", "CHANGE", "USER", "WHY"]);
    for change in changes {
        let mark = match (change.applies, change.action) {
            (false, _) => "!",
            (_, "create") => "+",
            (_, "remove") => "-",
            _ => "~",
        };
        let why = if change.applies { change.why.clone() } else { format!("held: {}", change.why) };
        table.add_row([mark, change.action, &change.user, &why]);
        // Of a user that is to be made every field is new; `-o diff` shows them.
        for field in change.fields.iter().filter(|_| change.action == "update") {
            table.add_row([
                "",
                "",
                &format!("  {}", field.field),
                &format!("{} -> {}", or_none(&field.from), or_none(&field.to)),
            ]);
        }
    }
    lines(&table)
}

fn or_none(value: &str) -> &str {
    if value.is_empty() { "(none)" } else { value }
}

fn counts(report: &Report) -> String {
    let c = &report.counts;
    let all = [
        ("IN SCOPE", c.in_scope),
        ("SYNCED", c.synced),
        ("CREATED", c.created),
        ("UPDATED", c.updated),
        ("DRIFTED", c.drifted),
        ("RENAMED", c.renamed),
        ("SUSPENDED", c.suspended),
        ("LOCKED", c.locked),
        ("REMOVED", c.removed),
        ("HELD", c.held),
        ("CONFLICTS", c.conflicts),
        ("WAITING", c.waiting),
        ("SKIPPED", c.skipped),
        ("FAILED", c.failed),
    ];
    // The first two always; the others only where there is something to count.
    let shown: Vec<_> = all.iter().enumerate().filter(|(i, (_, n))| *i < 2 || *n != 0).map(|(_, pair)| pair).collect();
    let mut table = plain();
    table.set_header(shown.iter().map(|(name, _)| *name)).add_row(shown.iter().map(|(_, n)| n.to_string()));
    lines(&table)
}

fn held(plan: &api::status::PendingPlan) -> String {
    let mut text = format!("Held: {} removals. {}\n", plan.removals, plan.reason);
    for line in &plan.sample {
        let _ = writeln!(text, "  {line}");
    }
    let left = plan.removals - i64::try_from(plan.sample.len()).unwrap_or(0);
    if left > 0 {
        let _ = writeln!(text, "  … and {left} more");
    }
    let _ = write!(text, "Approve exactly these with --approve {} (until {})", plan.hash, plan.expires.0);
    text
}

/// Problems beside the one that ended the pass.
fn problems(report: &Report) -> Option<String> {
    let told = |problem: &&Problem| report.failure.as_ref().is_none_or(|failure| failure.message != problem.message);
    let mut lines: Vec<String> = report.problems.iter().filter(told).map(problem).collect();
    let left = report.problem_count.saturating_sub(report.problems.len());
    lines.extend((left > 0).then(|| format!("… and {left} more problems")));
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn problem(problem: &Problem) -> String {
    let user = if problem.user.is_empty() { String::new() } else { format!(" of {}", problem.user) };
    format!("{}{user}: {}\n  remedy: {}", problem.class, problem.message, problem.remedy)
}

/// The table's lines, without the blanks that it ends them with.
fn lines(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}
