//! What an operator at work lets others see of it, over a real API server: a scrape, a journal, Events. And what is built on
//! the scrape: the dashboard, the alert rules, their tests and their runbooks.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp)] // tests may panic, and count in whole numbers

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::Duration,
};

use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use serde_json::{Value, json};
use suites::{House, Promtool, Scrape, condition};
use testkit::eventually;
use tokio::sync::OnceCell;

/// Metrics that the story below cannot bring forth: only a key that the operator made has an age.
const ELSEWHERE: [&str; 1] = ["okta_user_sync_okta_key_created_timestamp_seconds"];

/// Labels that a scrape adds, and that of histograms.
const FROM_OUTSIDE: [&str; 4] = ["namespace", "job", "pod", "le"];

/// What was seen of an operator that imported people, failed, recovered, and locked and removed a leaver.
struct Story {
    open: String,
    plain: String,
    journal: Vec<Value>,
    /// Method of every write that Teleport took.
    writes: Vec<String>,
    events: Vec<Event>,
    names: Vec<String>,
    leaver: String,
    last_run: String,
}

static STORY: OnceCell<Story> = OnceCell::const_new();

async fn story() -> &'static Story {
    STORY.get_or_init(|| Box::pin(tell())).await
}

async fn tell() -> Story {
    let mut house = House::with_people(8).await;
    let app = house.okta.ready().app_id;
    let people = house.okta.org().assigned(&app).unwrap();
    let name =
        |id: &str| house.okta.org().app_user(&app, id).unwrap()["credentials"]["userName"].as_str().unwrap().to_owned();
    let names: Vec<String> = people.iter().map(|id| name(id)).collect();
    house.put_secrets().await;
    house.put_secret("okta-key", "no key").await;
    house.change(&house.spec()).await;
    house.until("the key to be refused", |r| condition(r, "Ready")["reason"] == "KeyUnreadable").await;
    house.put_secrets().await;
    house.until_ready().await;
    house.okta.org().suspend(&people[0]).unwrap();
    house.pass().await;
    house.okta.org().unsuspend(&people[0]).unwrap();
    house.okta.org().deactivate(&people[1]).unwrap();
    let resource = house.pass().await;
    let events = eventually(Duration::from_secs(60), "the Event on the leaver", async || {
        let events = house.api::<Event>().list(&ListParams::default()).await.unwrap().items;
        let told = events.iter().any(|event| event.reason.as_deref() == Some("LeaversLocked"));
        if told { Ok(events) } else { Err(format!("{events:?}")) }
    })
    .await
    .unwrap();
    Story {
        open: house.get("/metrics", "application/openmetrics-text; version=1.0.0").await,
        plain: house.get("/metrics", "text/plain").await,
        journal: house.journal(),
        writes: house.teleport.writes().iter().map(|write| write.method.clone()).collect(),
        events,
        names,
        leaver: people[1].clone(),
        last_run: resource["status"]["lastRun"]["id"].as_str().unwrap().to_owned(),
    }
}

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_keeps_the_rules_and_tells_what_happened() {
    let story = story().await;
    let scrape = Scrape::read(&story.open);
    assert_eq!(scrape.lint(), Vec::<String>::new());
    let of = |name: &str, label: &str| scrape.by(&format!("okta_user_sync_{name}"), label);
    assert_eq!(of("people", "state")["in_scope"], 7.0);
    assert_eq!(of("locks_made_total", "reason"), BTreeMap::from([("leaver".into(), 1.0), ("suspended".into(), 1.0)]));
    assert_eq!(of("locks_lifted_total", "")[""], 1.0);
    assert_eq!(of("teleport_writes_total", "action")["create_user"], 8.0);
    assert_eq!(of("teleport_calls_total", "method")["CreateUser"], 8.0);
    assert!(of("pass_failures_total", "reason")["KeyUnreadable"] >= 1.0);
    assert!(of("passes_total", "result")["Succeeded"] >= 3.0 && of("passes_total", "result")["Refused"] >= 1.0);
    assert_eq!((of("ready", "")[""], of("stalled", "")[""], of("leader", "")[""]), (1.0, 0.0, 1.0));
    assert!(of("okta_bucket_calls_total", "bucket")["/api/v1/apps"] >= 3.0);
    let (left, limit) = (of("okta_bucket_remaining", "bucket"), of("okta_bucket_limit", "bucket"));
    assert!(left["/api/v1/apps"] <= limit["/api/v1/apps"], "{left:?} {limit:?}");
    assert!(of("identity_expiry_timestamp_seconds", "")[""] > of("identity_issued_timestamp_seconds", "")[""]);
    for name in &story.names {
        assert!(!story.open.contains(name.as_str()), "a metric names {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_holds_every_write_of_the_operator_and_names_nobody() {
    let story = story().await;
    let of = |phase: &str| story.journal.iter().filter(|line| line["phase"] == phase).collect::<Vec<_>>();
    let (intents, outcomes) = (of("intent"), of("outcome"));
    let method = |line: &Value| match line["action"].as_str().unwrap() {
        "create_user" => "CreateUser",
        "update_user" => "UpdateUser",
        "delete_user" => "DeleteUser",
        "put_lock" => "UpsertLock",
        "remove_lock" => "DeleteLock",
        other => panic!("{other}"),
    };
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all
    };
    let told =
        sorted(outcomes.iter().filter(|line| line["result"] == "done").map(|line| method(line).to_owned()).collect());
    assert_eq!(told, sorted(story.writes.clone()), "each write that Teleport took, and no other");
    let ids = |lines: &[&Value]| lines.iter().map(|line| line["id"].to_string()).collect::<BTreeSet<_>>();
    assert_eq!((ids(&intents), ids(&intents).len()), (ids(&outcomes), story.writes.len()));
    let removal: Vec<_> = outcomes.iter().filter(|line| line["oktaId"] == story.leaver.as_str()).skip(1).collect();
    let actions: Vec<_> = removal.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["put_lock", "delete_user"]);
    assert_eq!(removal[0]["evidence"], json!({ "peopleRead": 7, "confirmedById": true, "approved": false }));
    assert_eq!((&removal[0]["pass"], &removal[0]["traceId"]), (&json!(story.last_run), &json!(story.last_run)));
    let text = json!(story.journal).to_string();
    assert!(story.names.iter().all(|name| !text.contains(name.as_str())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_tell_what_a_person_wants_to_know_and_name_nobody() {
    let story = story().await;
    let reasons: BTreeSet<&str> = story.events.iter().filter_map(|event| event.reason.as_deref()).collect();
    for reason in ["KeyUnreadable", "SuspendedLocked", "LeaversLocked"] {
        assert!(reasons.contains(reason), "{reason} is not among {reasons:?}");
    }
    for event in &story.events {
        let note = event.note.clone().unwrap_or_default();
        assert!(note.len() <= 1024 && story.names.iter().all(|name| !note.contains(name.as_str())), "{note}");
    }
}

/// A metric that a query asks for, and the labels that it is asked by.
fn asked(query: &str) -> Vec<(String, BTreeSet<String>)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    query
        .match_indices("okta_user_sync_")
        .map(|(at, _)| {
            let name: String = query[at..].chars().take_while(|c| word(*c)).collect();
            let rest = &query[at + name.len()..];
            let matchers =
                rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
            let labels = matchers.split(',').filter_map(|one| one.split(['=', '!']).next());
            (name, labels.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()).collect())
        })
        .collect()
}

/// Labels that a query groups or joins by.
fn grouped(query: &str) -> BTreeSet<String> {
    let after =
        [" by (", " on ("].iter().flat_map(|word| query.match_indices(word).map(move |(at, _)| at + word.len()));
    let lists = after.map(|at| query[at..].split_once(')').unwrap().0);
    lists.flat_map(|list| list.split(',')).map(|label| label.trim().to_owned()).collect()
}

/// Everything that `query` asks for is in the scrape of a real operator.
fn is_there(scrape: &Scrape, query: &str) {
    let metrics = asked(query);
    assert!(!metrics.is_empty(), "{query} asks for nothing of ours");
    let mut known: BTreeSet<String> = FROM_OUTSIDE.map(str::to_owned).into();
    for (name, labels) in metrics {
        if ELSEWHERE.contains(&name.as_str()) {
            let page = fs::read_to_string(repository("docs/metrics.md")).unwrap();
            let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
            let row = row.unwrap_or_else(|| panic!("{name} is in no registry: {query}"));
            known.extend(row.split('`').skip(1).step_by(2).map(str::to_owned));
            continue;
        }
        let family = scrape.of_sample(&name).unwrap_or_else(|| panic!("{name} is not scraped: {query}"));
        let have: BTreeSet<String> = family.samples.iter().flat_map(|s| s.labels.keys().cloned()).collect();
        assert!(labels.is_subset(&have), "{name} has {have:?} only: {query}");
        known.extend(have);
    }
    let by = grouped(query);
    assert!(by.is_subset(&known), "{by:?} is grouped by, {known:?} is there: {query}");
}

/// Title and queries of each panel of the dashboard, and its variables.
fn dashboard() -> Vec<(String, String)> {
    let text = fs::read_to_string(repository("charts/okta-user-sync/files/dashboards/okta-user-sync.json")).unwrap();
    let board: Value = serde_json::from_str(&text).unwrap();
    let mut queries = Vec::new();
    for panel in board["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap().to_owned();
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title} is not explained");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let exprs =
            panel["targets"].as_array().unwrap().iter().map(|target| target["expr"].as_str().unwrap().to_owned());
        queries.extend(exprs.map(|expr| (title.clone(), expr)));
    }
    let ids: BTreeSet<_> =
        board["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), board["panels"].as_array().unwrap().len(), "each panel has an id of its own");
    queries
}

/// The rules of alerts: name and query.
fn alerts() -> BTreeMap<String, Value> {
    let text = fs::read_to_string(repository("charts/okta-user-sync/files/alerts.yaml")).unwrap();
    let rules: Value = serde_saphyr::from_str(&text).unwrap();
    let groups = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    groups.map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule.clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_of_the_dashboard_asks_for_what_is_there() {
    let scrape = Scrape::read(&story().await.open);
    let queries = dashboard();
    assert!(queries.len() > 20);
    for (_, query) in queries {
        is_there(&scrape, &query);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_alert_asks_for_what_is_there() {
    let scrape = Scrape::read(&story().await.open);
    for rule in alerts().values() {
        is_there(&scrape, rule["expr"].as_str().unwrap());
    }
}

#[test]
fn every_alert_has_its_page_and_every_page_its_alert() {
    let alerts = alerts();
    let mut pages = BTreeSet::new();
    for entry in fs::read_dir(repository("docs/runbooks")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        pages.extend(name.strip_suffix(".md").filter(|name| *name != "README").map(str::to_owned));
    }
    assert_eq!(alerts.keys().cloned().collect::<BTreeSet<_>>(), pages);
    let list = fs::read_to_string(repository("docs/runbooks/README.md")).unwrap();
    for (name, rule) in alerts {
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{name}");
        assert_eq!(rule["annotations"]["runbook"], format!("docs/runbooks/{name}.md"));
        assert!(list.contains(&format!("| [{name}]({name}.md) | {severity} |")), "{name} is not in the list");
        let page = fs::read_to_string(repository(&format!("docs/runbooks/{name}.md"))).unwrap();
        assert!(page.starts_with(&format!("# {name}\n\nSeverity: {severity}.\n")), "{name}");
        let mut from = 0;
        for part in ["\n## What it means\n", "\n## How to see\n", "\n## What to do\n", "\n## How to be sure\n"] {
            let at = page[from..].find(part).unwrap_or_else(|| panic!("{name}: {part:?} is missing or out of order"));
            from += at + part.len();
            let said = page[from..].trim_start();
            assert!(!said.is_empty() && !said.starts_with("##"), "{name}: {part:?} is empty");
        }
    }
}

#[test]
fn every_alert_is_tested_both_ways() {
    let text = fs::read_to_string(repository("tests/promtool/alerts.test.yaml")).unwrap();
    let tests: Value = serde_saphyr::from_str(&text).unwrap();
    let mut ways: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for test in tests["tests"].as_array().unwrap().iter().flat_map(|test| test["alert_rule_test"].as_array().unwrap()) {
        let fires = !test["exp_alerts"].as_array().unwrap().is_empty();
        ways.entry(test["alertname"].as_str().unwrap().to_owned()).or_default().insert(fires);
    }
    let both = alerts().into_keys().map(|name| (name, BTreeSet::from([false, true]))).collect();
    assert_eq!(ways, both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_is_content_with_a_scrape() {
    let Some(promtool) = Promtool::provide().await else { return };
    let (content, said) = promtool.run(&repository(""), &["check", "metrics"], &story().await.plain);
    assert!(content && said.is_empty(), "{said}");
    let (content, _) = promtool.run(&repository(""), &["check", "metrics"], "# TYPE a_total gauge\na_total 1\n");
    assert!(!content, "it would say so");
}

#[tokio::test]
async fn promtool_is_content_with_the_alerts_and_all_their_tests_pass() {
    let Some(promtool) = Promtool::provide().await else { return };
    let rules = repository("charts/okta-user-sync/files");
    let (content, said) = promtool.run(&rules, &["check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"], "");
    assert!(content, "{said}");
    let (content, said) = promtool.run(&repository("tests/promtool"), &["test", "rules", "alerts.test.yaml"], "");
    assert!(content, "{said}");
}

#[tokio::test]
async fn promtool_can_read_every_query_of_the_dashboard() {
    let Some(promtool) = Promtool::provide().await else { return };
    let rules: Vec<Value> = dashboard()
        .into_iter()
        .enumerate()
        .map(|(n, (_, expr))| json!({ "record": format!("query:{n}"), "expr": expr.replace("$__rate_interval", "5m") }))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    fs::write(folder.path().join("rules.yaml"), file.to_string()).unwrap();
    let (content, said) = promtool.run(folder.path(), &["check", "rules", "rules.yaml"], "");
    assert!(content, "{said}");
}
