//! What a pass lets others see of it: traces, log lines, and nothing that is secret.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, routing::post};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

mod support;
use support::World;

/// A collector of traces that keeps what it is sent.
struct Collector {
    url: String,
    got: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    _end: tokio_util::sync::DropGuard,
}

impl Collector {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::<Mutex<Vec<_>>>::default();
        let (end, keep) = (CancellationToken::new(), got.clone());
        let take = post(async move |body: Bytes| {
            keep.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
        });
        let router = Router::new().route("/v1/traces", take);
        let serving = axum::serve(listener, router).with_graceful_shutdown(end.clone().cancelled_owned());
        tokio::spawn(serving.into_future());
        Self { url, got, _end: end.drop_guard() }
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().unwrap();
        let scopes = got.iter().flat_map(|request| &request.resource_spans).flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        StringValue(text) => Some(text),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_is_a_trace_of_its_own_id_with_a_span_for_each_call() {
    let (world, collector) = (World::of(3).await, Collector::start().await);
    let (code, document) = world.pass("sync", &["--otlp-endpoint", &collector.url]);
    assert_eq!(code, 0, "{document:#}");
    let spans = collector.spans();
    let id = document["pass"].as_str().unwrap();
    let (passes, calls): (Vec<&Span>, Vec<&Span>) = spans.iter().partition(|span| span.name == "pass");
    assert_eq!(passes.len(), 1, "{spans:#?}");
    assert_eq!(passes[0].parent_span_id, Vec::<u8>::new());
    assert!(spans.iter().all(|span| span.trace_id == u128::from_str_radix(id, 16).unwrap().to_be_bytes()));
    assert!(calls.iter().all(|span| span.parent_span_id == passes[0].span_id), "each call within the pass");
    let to = |name: &str| calls.iter().filter(|span| span.name == name).count();
    assert_eq!((to("CreateUser"), to("POST /oauth2/v1/token") > 0), (3, true), "{spans:#?}");
    let to_okta = calls.iter().filter(|span| attribute(span, "server.address").is_some()).count();
    assert_eq!(Some(to_okta as u64), document["oktaCalls"].as_u64());
    let told = format!("{spans:?}");
    for (_, name) in world.assigned().await {
        assert!(!told.contains(&name), "{name} is named in a span");
    }
}

/// Whether both are the same id: 16 bytes in a span, 32 hexadecimal digits everywhere else.
fn is_trace(span: &Span, id: &str) -> bool {
    u128::from_str_radix(id, 16).is_ok_and(|id| span.trace_id == id.to_be_bytes())
}

#[cfg(feature = "demo")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_s_passes_are_traces_that_status_log_and_journal_name() {
    let house = suites::House::vacant(3, teleport_sim::Options::default()).await;
    let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start().await);
    let journal = folder.path().join("journal");
    house.put_secrets().await;
    let flags = ["--otlp-endpoint", &collector.url, "--log-format", "json", "--fast-path-interval", "1"];
    let further = [&flags[..], &["--audit-journal", journal.to_str().unwrap()]].concat();
    let mut operator = support::operator::start(&house, folder.path(), &further).await;
    let mut spec = house.spec();
    spec["interval"] = "24h".into();
    house.change(&spec).await;
    let resource = house.until_ready().await;
    house.until("the System Log to be read", |object| object["status"]["fastPath"]["state"] == "Active").await;
    let (app, org) = (house.okta.ready().app_id, house.okta.org());
    let leaver = org.assigned(&app).unwrap().remove(0);
    org.deactivate(&leaver).unwrap();

    // The full pass, and the one that the System Log started: each a trace, with a span for each call of it.
    let kind = |span: &&Span, kind: &str| span.name == "pass" && attribute(span, "kind") == Some(kind);
    let both = testkit::eventually(support::LONG, "the traces of both passes", async || {
        let spans = collector.spans();
        let full = spans.iter().find(|span| kind(span, "full")).cloned();
        let locks = spans.iter().filter(|span| span.name == "UpsertLock").map(|call| call.trace_id.clone());
        let locks: BTreeSet<_> = locks.collect();
        let fast = spans.iter().find(|span| kind(span, "fast") && locks.contains(&span.trace_id)).cloned();
        full.zip(fast).ok_or_else(|| format!("{:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>()))
    });
    let (full, fast) = both.await.unwrap();
    let run = &resource["status"]["lastRun"];
    assert!(is_trace(&full, run["id"].as_str().unwrap()), "{run} {full:?}");
    let spans = collector.spans();
    let calls = spans.iter().filter(|span| span.trace_id == full.trace_id && span.name != "pass");
    let to_okta = calls.clone().filter(|span| attribute(span, "server.address").is_some()).count();
    assert_eq!(run["oktaCalls"].as_u64(), Some(to_okta as u64));
    assert!(calls.clone().all(|call| call.parent_span_id == full.span_id));
    assert_eq!(calls.filter(|call| call.name == "CreateUser").count(), 3);
    // The log says the same of both, and so does the journal.
    operator.terminate(support::LONG).await.unwrap();
    let lines: Vec<Value> = operator.lines().iter().filter_map(|(_, line)| serde_json::from_str(line).ok()).collect();
    for (span, message) in [(&full, "pass ended"), (&fast, "partial pass ended")] {
        let line = lines.iter().find(|line| line["message"] == message && line["writes"] != 0).unwrap();
        assert!(is_trace(span, line["trace_id"].as_str().unwrap()), "{message}: {line}");
    }
    let written = std::fs::read_to_string(journal).unwrap();
    let locked = written.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let locked = locked.filter(|line| line["action"] == "put_lock").collect::<Vec<_>>();
    assert!(locked.len() == 2 && locked.iter().all(|line| line["oktaId"] == leaver.as_str()), "{locked:?}");
    assert!(locked.iter().all(|line| is_trace(&fast, line["traceId"].as_str().unwrap())), "{locked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_a_pass_goes_on_and_says_so() {
    let world = World::of(1).await;
    let (code, out, err) = world.told("sync", &["-o", "json", "--otlp-endpoint", "http://127.0.0.1:9"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["outcome"], "Succeeded", "{code} {err}");
    assert!(err.contains("OTLP export"), "{err}");
    let (code, _, err) = world.told("sync", &["--otlp-endpoint", "collector:4317"]);
    assert!(code == 2 && err.contains("http://collector:4318"), "{err}");
}

#[tokio::test]
async fn every_decision_is_one_line_with_stable_names() {
    let world = World::of(2).await;
    let (_, out, err) = world.told("sync", &["-o", "json", "--log-level", "info", "--log-format", "json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    let lines: Vec<Value> = err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let decisions: Vec<&Value> = lines.iter().filter(|line| line["target"] == "decision").collect();
    assert_eq!(decisions.len(), 2, "{err}");
    for line in decisions {
        let names: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        for name in ["timestamp", "level", "pass", "owner", "action", "okta_id", "user", "why"] {
            assert!(names.contains(name), "{name} is missing in {line}");
        }
        assert_eq!((&line["pass"], &line["action"]), (&document["pass"], &json!("create")));
        assert_eq!(line["spans"][0]["trace_id"], document["pass"]);
    }
}

#[tokio::test]
async fn what_is_not_done_is_told_to_who_asks() {
    let world = World::of(8).await;
    assert_eq!(world.pass("sync", &[]).0, 0);
    let people = world.assigned().await;
    for (id, _) in &people[..7] {
        world.unassign(id).await;
    }
    let (_, _, err) = world.told("sync", &["-o", "json", "--log-level", "decision=debug", "--log-format", "json"]);
    let held: Vec<Value> = err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut ids: Vec<_> = held.iter().map(|line| line["okta_id"].as_str().unwrap()).collect();
    let mut wanted: Vec<_> = people[..7].iter().map(|(id, _)| id.as_str()).collect();
    ids.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(ids, wanted, "{err}");
    assert!(held.iter().all(|line| line["action"] == "hold" && line["why"] == "no longer assigned in Okta"), "{err}");
}

// http.rs, `post_token`: nothing of a request is logged.
#[tokio::test]
async fn p16_not_even_the_most_talkative_log_holds_a_secret() {
    let world = World::of(2).await;
    let (code, out, err) = world.told("sync", &["--log-level", "trace"]);
    assert_eq!(code, 0, "{out}");
    assert!(err.lines().count() > 100, "the log talks");
    let mut secrets = vec!["eyJ".to_owned()]; // how every token and assertion begins
    for file in [world.okta.field("privateKeyFile"), world.teleport.field("identityFile")] {
        let text = std::fs::read_to_string(file).unwrap();
        let (_, key) = text.split_once("PRIVATE KEY-----\n").unwrap();
        secrets.extend(key.lines().take_while(|line| !line.starts_with("-----")).map(str::to_owned));
    }
    for secret in secrets {
        assert!(!err.contains(&secret), "{secret} is in the log");
    }
}
