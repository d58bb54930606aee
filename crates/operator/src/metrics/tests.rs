use std::collections::BTreeMap;

use super::*;
use crate::status::{Ending, Moment, ended, tests::report};
use std::{fmt::Write as _, path::Path};

fn resource() -> Resource {
    Resource { namespace: "home".into(), name: "acme".into() }
}

/// A key that the operator made at that time, and that Okta accepts since.
fn key(created: Timestamp, accepted: Option<Timestamp>) -> Box<api::status::PublicKey> {
    let jwk = serde_json::json!({ "kty": "RSA", "use": "sig", "kid": "k", "alg": "RS256" });
    let key = serde_json::json!({
        "kid": "k", "jwk": jwk, "secretName": "s", "created": created.to_string(),
        "accepted": accepted.map(|at| at.to_string()),
    });
    serde_json::from_value(key).unwrap()
}

fn after_one_pass() -> Metrics {
    let metrics = Metrics::new("1.2.3");
    one_pass(&metrics, &resource());
    metrics.event_to_lock(LockReason::Leaver, SignedDuration::from_secs(12));
    metrics.teleport_calls(&[CallCount { call: teleport::Call::Ping, code: "Ok", count: 2 }]);
    metrics.budget.example();
    metrics
}

/// A pass that leaves a number in each metric of resources.
fn one_pass(metrics: &Metrics, of: &Resource) {
    let took = SignedDuration::from_millis(300);
    let failure = Failure::new(engine::failure::Side::Okta, Class::Permission, "ScopeMissing", "no", "grant it");
    let measured =
        Measured { kind: Kind::Full, outcome: Outcome::Succeeded, took, okta_calls: 4, cause: Some(&failure) };
    metrics.pass(of, measured);
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let moment = Moment { generation: 1, started: now, now, next_run: now, token: None, id: "p" };
    let mut report = report(Outcome::Succeeded);
    report.problem_classes = BTreeMap::from([("Conflict", 2)]);
    let mut status = ended(&api::OktaUserSyncStatus::default(), Ending::Report(&report), moment);
    status.public_key = Some(key(now, Some(now)));
    metrics.status(of, &status);
    metrics.spec(of, &crate::status::tests::example().spec);
    metrics.problems(of, Some(&report));
    metrics.identity(of, Timestamp::UNIX_EPOCH, now);
    metrics.wrote(of, Action::PutLock, Some(LockReason::Leaver), true);
    metrics.wrote(of, Action::RemoveLock, None, true);
    metrics.wrote(of, Action::CreateUser, None, false);
}

#[test]
fn a_scrape_tells_what_happened() {
    let text = after_one_pass().text();
    let of = r#"resource_namespace="home",resource_name="acme""#;
    for line in [
        r#"okta_user_sync_build_info{version="1.2.3"} 1"#.to_owned(),
        format!(r#"okta_user_sync_passes_total{{{of},kind="full",result="Succeeded"}} 1"#),
        format!(r#"okta_user_sync_pass_failures_total{{{of},class="Permission",reason="ScopeMissing"}} 1"#),
        r#"okta_user_sync_pass_duration_seconds_count{kind="full",result="Succeeded"} 1"#.to_owned(),
        format!(r#"okta_user_sync_people{{{of},state="in_scope"}} 250"#),
        format!(r#"okta_user_sync_problems{{{of},class="Conflict"}} 2"#),
        format!(r#"okta_user_sync_problems{{{of},class="Budget"}} 0"#),
        format!("okta_user_sync_okta_calls_total{{{of}}} 4"),
        format!(r#"okta_user_sync_teleport_writes_total{{{of},action="put_lock",result="done"}} 1"#),
        format!(r#"okta_user_sync_teleport_writes_total{{{of},action="create_user",result="failed"}} 1"#),
        format!(r#"okta_user_sync_locks_made_total{{{of},reason="leaver"}} 1"#),
        format!("okta_user_sync_locks_lifted_total{{{of}}} 1"),
        r#"okta_user_sync_event_to_lock_seconds_bucket{le="10.0",reason="leaver"} 0"#.to_owned(),
        r#"okta_user_sync_event_to_lock_seconds_bucket{le="15.0",reason="leaver"} 1"#.to_owned(),
        format!("okta_user_sync_ready{{{of}}} 1"),
        format!("okta_user_sync_stalled{{{of}}} 0"),
        format!("okta_user_sync_suspended{{{of}}} 0"),
        format!("okta_user_sync_preview{{{of}}} 0"),
        format!("okta_user_sync_identity_issued_timestamp_seconds{{{of}}} 0.0"),
        format!("okta_user_sync_interval_seconds{{{of}}} 600.0"),
        format!("okta_user_sync_last_success_timestamp_seconds{{{of}}} 1700000000.0"),
        format!("okta_user_sync_identity_expiry_timestamp_seconds{{{of}}} 1700000000.0"),
        format!("okta_user_sync_okta_key_created_timestamp_seconds{{{of}}} 1700000000.0"),
        r#"okta_user_sync_teleport_calls_total{method="Ping",code="Ok"} 2"#.to_owned(),
        "okta_user_sync_leader 0".to_owned(),
        "# EOF".to_owned(),
    ] {
        assert!(text.lines().any(|have| have == line), "{line} is missing in\n{text}");
    }
}

#[test]
fn the_age_of_a_key_is_told_while_okta_knows_this_operator_by_it() {
    let (metrics, of) = (Metrics::new("1"), resource());
    let created = Timestamp::from_second(1_700_000_000).unwrap();
    let shows = |public_key| {
        metrics.status(&of, &api::OktaUserSyncStatus { public_key, ..Default::default() });
        metrics.text().contains("okta_key_created_timestamp_seconds{")
    };
    assert!(!shows(Some(key(created, None))), "Okta does not know it yet");
    assert!(shows(Some(key(created, Some(created)))));
    assert!(!shows(None), "a key of somebody else's making took over");
}

#[test]
fn a_resource_that_is_gone_leaves_no_series() {
    let metrics = after_one_pass();
    metrics.forget(&resource());
    assert!(!metrics.text().contains("resource_name"), "{}", metrics.text());
}

#[test]
fn resources_are_shown_by_name_and_counted_each_for_itself() {
    let metrics = Metrics::new("1");
    let named = |name: &str| Resource { namespace: "home".into(), name: name.into() };
    for name in ["b", "c", "a", "b"] {
        metrics.wrote(&named(name), Action::UpdateUser, None, true);
        metrics.wrote(&named(name), Action::CreateUser, None, true);
    }
    metrics.forget(&named("c"));
    let text = metrics.text();
    let shown = text.lines().filter_map(|line| line.strip_prefix("okta_user_sync_teleport_writes_total"));
    let line = |name: &str, action: &str, count: u32| {
        let labels = format!(r#"resource_namespace="home",resource_name="{name}",action="{action}",result="done""#);
        format!("{{{labels}}} {count}")
    };
    let wanted = [("a", "update_user", 1), ("a", "create_user", 1), ("b", "update_user", 2), ("b", "create_user", 2)];
    assert_eq!(shown.collect::<Vec<_>>(), wanted.map(|(name, action, count)| line(name, action, count)));
}

/// A cluster may have hundreds of resources, and each has some forty series: a table entry, two names and a shared number
/// for each of them took 10 KB of memory a resource.
#[test]
fn the_numbers_of_a_resource_take_less_than_a_kibibyte() {
    let metrics = Metrics::new("1");
    let resources = (0..500).map(|n| Resource { namespace: format!("team-{n}"), name: "okta-people".into() });
    for of in resources {
        one_pass(&metrics, &of);
        for kind in [Kind::Full, Kind::Fast] {
            let took = SignedDuration::from_millis(300);
            let measured = Measured { kind, outcome: Outcome::Succeeded, took, okta_calls: 4, cause: None };
            metrics.pass(&of, measured);
        }
        metrics.wrote(&of, Action::UpdateUser, None, true);
    }
    let (mut rows, mut several, mut bytes) = (0, 0, 0);
    metrics.resources.rows.each(|of, row| {
        // A tree's nodes are half full at least.
        let place = 2 * size_of::<(Resource, Box<row::Row>)>();
        let (numbers, taken) = row.measure();
        bytes += place + of.namespace.capacity() + of.name.capacity() + taken;
        several += numbers;
        rows += 1;
    });
    let text = metrics.text();
    let shown = text.lines().filter(|line| line.contains(r#"resource_name="okta-people","#)).count();
    assert_eq!((rows, several), (500, shown), "not all numbers were measured");
    assert!(bytes / rows < 1024, "{} bytes a resource", bytes / rows);
}

#[test]
fn whether_and_since_when_this_process_leads() {
    let metrics = Metrics::new("1");
    let since = || {
        let text = metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix("okta_user_sync_leader_since_timestamp_seconds "));
        line.unwrap().parse::<f64>().unwrap()
    };
    assert!(since() == 0.0);
    metrics.leader(true);
    assert!(since() > 1_700_000_000.0 && metrics.text().contains("okta_user_sync_leader 1\n"));
    metrics.leader(false);
    assert!(since() == 0.0);
}

/// The table of docs/metrics.md, made from a scrape in which every metric has a series.
fn table(text: &str) -> String {
    let mut table = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for block in text.split("# HELP ").skip(1) {
        let (name, rest) = block.split_once(' ').unwrap();
        let (help, rest) = rest.split_once('\n').unwrap();
        let kind = rest.strip_prefix(&format!("# TYPE {name} ")).unwrap().lines().next().unwrap();
        let sample = rest.lines().find(|line| !line.starts_with('#')).unwrap_or_else(|| panic!("{name} has no series"));
        let labels = sample.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
        let mut names: Vec<_> =
            labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name).collect();
        names.retain(|name| *name != "le");
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        writeln!(table, "| `{name}{suffix}` | {kind} | {} | {} |", names.join(", "), help.trim_end_matches('.'))
            .unwrap();
    }
    table
}

#[test]
fn generated_the_table_of_metrics_in_the_docs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) =
        ("<!-- made from the registry: UPDATE=1 cargo test -p operator --lib generated -->\n", "<!-- end -->\n");
    let (before, rest) = page.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let made = format!("{before}{begin}{}{end}{after}", table(&after_one_pass().text()));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
        return;
    }
    assert!(page == made, "docs/metrics.md differs from the registry; UPDATE=1 cargo test -p operator --lib generated");
}
