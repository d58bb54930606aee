//! A door for administrators, on an address of this machine only: the level of the log, changed while the process runs.
//!
//! In a cluster it is reached by `kubectl port-forward`, so that whoever may use it is decided by RBAC
//! (`pods/portforward`). Requests under another host's name are refused, so that no web page can reach it through a
//! browser on the same machine.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// What is logged, as it can be asked for and changed.
pub trait LogLevels: fmt::Debug + Send + Sync {
    /// As `--log-level` would say it.
    fn current(&self) -> String;

    /// Changes it.
    ///
    /// # Errors
    /// The words cannot be read; nothing was changed.
    fn change(&self, to: &str) -> Result<(), String>;
}

/// The door.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where; an address of this machine.
    pub listen: SocketAddr,
    /// What is behind it.
    pub levels: Arc<dyn LogLevels>,
}

#[derive(Clone)]
struct Shared {
    levels: Arc<dyn LogLevels>,
    /// How often the level was changed: a change for a time goes back only if it is still the last one.
    changes: Arc<AtomicU64>,
}

#[derive(Deserialize)]
struct For {
    /// Seconds after which the former level comes back.
    #[serde(rename = "for")]
    seconds: Option<u64>,
}

/// Serves until `end`.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: TcpListener, levels: Arc<dyn LogLevels>, end: CancellationToken) -> io::Result<()> {
    let router = Router::new()
        .route("/log-level", get(show).put(change))
        .layer(middleware::from_fn(from_this_machine))
        .with_state(Shared { levels, changes: Arc::default() });
    axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned()).await
}

async fn from_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if ["localhost", "127.0.0.1", "[::1]"].contains(&name) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "ask for localhost\n").into_response()
}

async fn show(State(shared): State<Shared>) -> String {
    format!("{}\n", shared.levels.current())
}

async fn change(State(shared): State<Shared>, Query(For { seconds }): Query<For>, body: String) -> Response {
    let (before, wanted) = (shared.levels.current(), body.trim());
    if let Err(why) = shared.levels.change(wanted) {
        return (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response();
    }
    let this = shared.changes.fetch_add(1, Ordering::Relaxed) + 1;
    info!(before, now = wanted, seconds, "the level of the log was changed");
    if let Some(seconds) = seconds {
        let shared = shared.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            if shared.changes.load(Ordering::Relaxed) == this {
                match shared.levels.change(&before) {
                    Ok(()) => info!(now = before, "the level of the log is as it was"),
                    Err(why) => warn!("the level of the log stays as it is: {why}"),
                }
            }
        });
    }
    show(State(shared)).await.into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug)]
    struct Levels(Mutex<String>);

    impl LogLevels for Levels {
        fn current(&self) -> String {
            self.0.lock().unwrap().clone()
        }

        fn change(&self, to: &str) -> Result<(), String> {
            if to.is_empty() {
                return Err("empty".into());
            }
            to.clone_into(&mut self.0.lock().unwrap());
            Ok(())
        }
    }

    async fn ask(url: &str, put: Option<&'static str>, host: Option<&str>) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = put.map_or_else(|| client.get(url), |body| client.put(url).body(body));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn the_level_is_shown_changed_and_comes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/log-level", listener.local_addr().unwrap());
        let end = CancellationToken::new();
        tokio::spawn(serve(listener, Arc::new(Levels(Mutex::new("info".into()))), end.clone()));

        assert_eq!(ask(&url, None, None).await, (200, "info\n".into()));
        assert_eq!(ask(&url, Some("debug\n"), None).await, (200, "debug\n".into()));
        assert_eq!(ask(&url, Some(""), None).await, (400, "empty\n".into()));
        assert_eq!(ask(&url, None, Some("evil.example.com")).await.0, 403);
        assert_eq!(ask(&url, Some("trace"), Some("evil.example.com:80")).await.0, 403);
        assert_eq!(ask(&url, None, None).await.1, "debug\n", "refused is not done");

        ask(&format!("{url}?for=0"), Some("trace"), None).await;
        let back = async || {
            let now = ask(&url, None, None).await.1;
            if now == "debug\n" { Ok(()) } else { Err(now) }
        };
        testkit::eventually(Duration::from_secs(30), "the former level", back).await.unwrap();
        end.cancel();
    }
}
