//! `/healthz`, `/readyz` and `/metrics`; and where public keys are served ([`crate::keys::jwks`]).
//!
//! Liveness says that the process serves. Readiness says that it does its work, or stands by to do it; as long as it
//! cannot, `/readyz` answers 503 with the reasons.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::{Metrics, plain::plain};

const OPEN_METRICS: &str = "application/openmetrics-text";

/// What the process can do now. Shared; asked by probes.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<State_>>);

#[derive(Debug)]
struct State_ {
    role: Role,
    /// What stands in the way: a name for each obstacle, the words for people, and when it is gone by itself.
    obstacles: BTreeMap<&'static str, (String, Option<Instant>)>,
}

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// It is on its way up or down.
    Starting,
    /// It waits for its turn.
    StandingBy,
    /// It reconciles.
    Leading,
}

#[derive(Serialize)]
struct Answer {
    ready: bool,
    role: Role,
    reasons: Vec<String>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State_ { role: Role::Starting, obstacles: BTreeMap::new() })))
    }
}

impl Readiness {
    /// Says what the process does.
    pub fn role(&self, role: Role) {
        self.change(|state| state.role = role);
    }

    /// Says that `obstacle` stands in the way.
    pub fn blocked(&self, obstacle: &'static str, why: impl Into<String>) {
        let why = why.into();
        self.change(|state| drop(state.obstacles.insert(obstacle, (why, None))));
    }

    /// Says that `obstacle` stands in the way, and is gone unless that is said again within this time: for what tells of
    /// its failures only.
    pub fn blocked_for(&self, obstacle: &'static str, why: impl Into<String>, within: Duration) {
        let (why, until) = (why.into(), Instant::now() + within);
        self.change(|state| drop(state.obstacles.insert(obstacle, (why, Some(until)))));
    }

    /// Says that `obstacle` is gone.
    pub fn cleared(&self, obstacle: &'static str) {
        self.change(|state| drop(state.obstacles.remove(obstacle)));
    }

    fn change(&self, how: impl FnOnce(&mut State_)) {
        how(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn answer(&self) -> Answer {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let standing = state.obstacles.values().filter(|(_, until)| until.is_none_or(|until| now < until));
        let mut reasons: Vec<_> = standing.map(|(why, _)| why.clone()).collect();
        if state.role == Role::Starting && reasons.is_empty() {
            reasons.push("starting".to_owned());
        }
        Answer { ready: reasons.is_empty(), role: state.role, reasons }
    }
}

#[derive(Clone)]
struct Shared {
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

/// Serves until `end`, and `more` besides.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    more: Router,
    end: CancellationToken,
) -> io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(Shared { readiness, metrics })
        .merge(more);
    axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned()).await
}

/// Serves `router` alone until `end`: for a port that others may reach.
///
/// # Errors
/// The listener broke.
pub async fn serve_alone(listener: TcpListener, router: Router, end: CancellationToken) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned()).await
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let answer = shared.readiness.answer();
    let code = if answer.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(answer)).into_response()
}

/// `OpenMetrics` for who asks for it, as Prometheus does; else the older text format, which everything reads.
async fn scrape(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let open = accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with(OPEN_METRICS));
    let text = shared.metrics.text();
    if open {
        return ([(header::CONTENT_TYPE, format!("{OPEN_METRICS}; version=1.0.0; charset=utf-8"))], text)
            .into_response();
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], plain(&text)).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    struct Served {
        url: String,
        readiness: Readiness,
        end: CancellationToken,
    }

    async fn served() -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (readiness, end) = (Readiness::default(), CancellationToken::new());
        tokio::spawn(serve(listener, readiness.clone(), Arc::new(Metrics::new("1")), Router::new(), end.clone()));
        Served { url, readiness, end }
    }

    async fn ask(served: &Served, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}{path}", served.url)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn live_means_serving_and_ready_means_working() {
        let served = served().await;
        let ready = async || {
            let (code, text) = ask(&served, "/readyz").await;
            (code, serde_json::from_str::<Value>(&text).unwrap())
        };
        assert_eq!(ask(&served, "/healthz").await.0, 200);
        assert_eq!(ready().await, (503, json!({ "ready": false, "role": "starting", "reasons": ["starting"] })));
        served.readiness.blocked("crd", "the CRD is missing");
        assert_eq!(ready().await.1["reasons"], json!(["the CRD is missing"]));
        served.readiness.cleared("crd");
        served.readiness.role(Role::StandingBy);
        assert_eq!(ready().await, (200, json!({ "ready": true, "role": "standingBy", "reasons": [] })));
        served.readiness.blocked_for("watch", "the watch was broken", Duration::ZERO);
        assert_eq!(ready().await.0, 200, "nobody has said so again");
        served.readiness.blocked_for("watch", "the watch is broken", Duration::from_secs(3600));
        assert_eq!(ready().await.0, 503);
        assert_eq!(ask(&served, "/healthz").await.0, 200, "whatever stands in the way");
        served.end.cancel();
    }

    #[tokio::test]
    async fn metrics_are_open_metrics_for_who_asks_for_them() {
        let served = served().await;
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, kind, open) in [
            (prometheus, "application/openmetrics-text; version=1.0.0", true),
            ("*/*", "text/plain; version=0.0.4", false),
        ] {
            let ask = reqwest::Client::new().get(format!("{}/metrics", served.url)).header("accept", accept);
            let answer = ask.send().await.unwrap();
            assert!(answer.headers()["content-type"].to_str().unwrap().starts_with(kind), "{answer:?}");
            assert_eq!(answer.text().await.unwrap().ends_with("# EOF\n"), open);
        }
        served.end.cancel();
    }
}
