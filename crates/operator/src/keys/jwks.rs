//! Public keys over HTTP, for Okta's "Use a URL to fetch keys dynamically" (RFC 7517 §5).
//!
//! What is served comes from the status of the resources, which every process watches: a replica that stands by serves the
//! same keys as the one that leads, and no process that serves holds anything private for it.
//!
//! | path | keys |
//! |---|---|
//! | `/.well-known/NAMESPACE/NAME/jwks.json` | of one resource: what its API Services app should be given |
//! | `/.well-known/jwks.json` | of all resources, for an operator with a single one |

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use api::{
    OktaUserSync,
    status::{Jwk, PublicKey},
};
use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::{StreamExt as _, pin_mut};
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Client, Resource,
    runtime::{WatchStreamExt as _, watcher},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::controller::Reach;

/// How long an answer may be kept, in seconds. A next key is asked about for the first time half a minute after it was
/// published, and then again and again, so minutes cost nothing but patience.
const KEEP: u32 = 300;

/// The public keys of all resources.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<RwLock<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    /// Whether every resource has been seen.
    complete: bool,
    /// By namespace and name.
    keys: BTreeMap<(String, String), Vec<Jwk>>,
}

/// A resource, as far as its public keys go: whatever else it holds, and of whatever version, is passed over.
#[derive(Clone, Debug, Deserialize)]
struct Published {
    metadata: ObjectMeta,
    #[serde(default)]
    status: serde_json::Value,
}

impl Resource for Published {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        OktaUserSync::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        OktaUserSync::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        OktaUserSync::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        OktaUserSync::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Published {
    fn place(&self) -> (String, String) {
        (self.metadata.namespace.clone().unwrap_or_default(), self.metadata.name.clone().unwrap_or_default())
    }

    fn keys(&self) -> Vec<Jwk> {
        let key = self.status.get("publicKey").map(PublicKey::deserialize).and_then(Result::ok);
        key.map(|key| key.jwks().cloned().collect()).unwrap_or_default()
    }
}

impl Board {
    /// Follows the resources. Does not end.
    pub async fn follow(self, client: Client, reach: Reach) {
        let events = watcher(reach.api::<Published>(&client), watcher::Config::default()).default_backoff();
        pin_mut!(events);
        let mut listed = BTreeMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(object)) => drop(listed.insert(object.place(), object.keys())),
                Ok(watcher::Event::InitDone) => self.change(|shown| {
                    shown.keys = std::mem::take(&mut listed);
                    shown.complete = true;
                }),
                Ok(watcher::Event::Apply(object)) => {
                    self.change(|shown| drop(shown.keys.insert(object.place(), object.keys())));
                }
                Ok(watcher::Event::Delete(object)) => self.change(|shown| drop(shown.keys.remove(&object.place()))),
                // What was seen is served meanwhile: keys change rarely, and none is changed without a day's notice.
                Err(error) => warn!("the watch for public keys is broken and is tried again: {error}"),
            }
        }
    }

    fn change(&self, how: impl FnOnce(&mut Shown)) {
        how(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// What `of` picks; `Err` as long as not every resource has been seen: a set that lacks a key is worse than none,
    /// because Okta keeps it.
    fn keys(&self, of: impl Fn(&str, &str) -> bool) -> Result<Vec<Jwk>, NotYet> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if !shown.complete {
            return Err(NotYet);
        }
        let picked = shown.keys.iter().filter(|((namespace, name), _)| of(namespace, name));
        Ok(picked.flat_map(|(_, keys)| keys.iter().cloned()).collect())
    }
}

/// Not every resource has been seen.
#[derive(Debug)]
struct NotYet;

/// The paths under which keys are served.
pub fn router(board: Board) -> Router {
    Router::new()
        .route("/.well-known/jwks.json", get(all))
        .route("/.well-known/{namespace}/{name}/jwks.json", get(one))
        .with_state(board)
}

async fn all(State(board): State<Board>, headers: HeaderMap) -> Response {
    match board.keys(|_, _| true) {
        Ok(keys) => answer(keys, &headers),
        Err(NotYet) => not_yet(),
    }
}

async fn one(
    State(board): State<Board>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    match board.keys(|of, named| of == namespace && named == name) {
        Ok(keys) if keys.is_empty() => {
            let words = "no OktaUserSync of that namespace and name has a key that this operator made\n";
            (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], words).into_response()
        }
        Ok(keys) => answer(keys, &headers),
        Err(NotYet) => not_yet(),
    }
}

fn not_yet() -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, "the resources have not been read yet\n").into_response()
}

/// A JWK Set. `application/json`, as Okta's documentation asks for.
#[derive(Serialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

fn answer(keys: Vec<Jwk>, asked: &HeaderMap) -> Response {
    let Ok(body) = serde_json::to_vec(&JwkSet { keys }) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..16]));
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let unchanged = known.flat_map(|value| value.split(',')).any(|value| {
        let value = value.trim();
        value == "*" || value.strip_prefix("W/").unwrap_or(value) == tag
    });
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
    };
    let headers = response.headers_mut();
    let mut set = |name, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set(header::CACHE_CONTROL, format!("public, max-age={KEEP}"));
    set(header::ETAG, tag);
    response
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;

    fn published(name: &str, kids: &[&str]) -> Published {
        let jwk = |kid: &str| json!({ "kty": "RSA", "use": "sig", "kid": kid, "alg": "RS256", "e": "AQAB", "n": "x" });
        let key =
            |kid: &str| json!({ "kid": kid, "jwk": jwk(kid), "secretName": "s", "created": "2026-01-01T00:00:00Z" });
        let mut used = key(kids[0]);
        if let Some(next) = kids.get(1) {
            used["next"] = key(next);
        }
        serde_json::from_value(json!({
            "metadata": { "namespace": "home", "name": name }, "status": { "publicKey": used, "later": { "field": 1 } },
        }))
        .unwrap()
    }

    fn board(complete: bool) -> Board {
        let board = Board::default();
        board.change(|shown| {
            shown.complete = complete;
            for object in [published("acme", &["a", "b"]), published("beta", &["c"])] {
                shown.keys.insert(object.place(), object.keys());
            }
            shown.keys.insert(("home".into(), "own".into()), vec![]);
        });
        board
    }

    async fn served(board: Board) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/.well-known", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router(board)).await });
        url
    }

    #[tokio::test]
    async fn keys_are_served_for_all_and_for_one() {
        let url = served(board(true)).await;
        let table: [(&str, &[&str]); 3] =
            [("jwks.json", &["a", "b", "c"]), ("home/acme/jwks.json", &["a", "b"]), ("home/beta/jwks.json", &["c"])];
        for (path, kids) in table {
            let answer = reqwest::get(format!("{url}/{path}")).await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            assert_eq!(answer.headers()["content-type"], "application/json");
            assert_eq!(answer.headers()["cache-control"], "public, max-age=300");
            let set: Value = answer.json().await.unwrap();
            let told: Vec<_> = set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
            assert_eq!(told, kids, "{path}");
            assert_eq!(set["keys"][0]["use"], "sig");
        }
        for path in ["home/own/jwks.json", "home/nobody/jwks.json", "away/acme/jwks.json"] {
            let answer = reqwest::get(format!("{url}/{path}")).await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["cache-control"]),
                (404, &"no-store".parse().unwrap())
            );
        }
    }

    #[tokio::test]
    async fn who_has_the_set_already_is_told_so() {
        let url = served(board(true)).await + "/home/acme/jwks.json";
        let tag = reqwest::get(&url).await.unwrap().headers()["etag"].to_str().unwrap().to_owned();
        let ask = async |tag: &str| {
            let answer = reqwest::Client::new().get(&url).header("if-none-match", tag).send().await.unwrap();
            (
                answer.status().as_u16(),
                answer.headers().contains_key("cache-control"),
                answer.bytes().await.unwrap().len(),
            )
        };
        assert_eq!(ask(&tag).await, (304, true, 0));
        assert_eq!(ask(&format!("\"other\", W/{tag}")).await, (304, true, 0));
        assert!(matches!(ask("\"other\"").await, (200, true, 1..)));
    }

    #[tokio::test]
    async fn a_set_that_may_lack_a_key_is_not_served() {
        let url = served(board(false)).await;
        for path in ["jwks.json", "home/acme/jwks.json"] {
            let answer = reqwest::get(format!("{url}/{path}")).await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["cache-control"]),
                (503, &"no-store".parse().unwrap())
            );
        }
    }

    #[test]
    fn a_status_that_cannot_be_read_has_no_keys_and_stops_no_other() {
        for status in [json!(null), json!({ "publicKey": { "kid": 1 } }), json!({ "publicKey": null }), json!({})] {
            let object: Published =
                serde_json::from_value(json!({ "metadata": { "name": "x" }, "status": status })).unwrap();
            assert_eq!(object.keys(), vec![]);
        }
    }
}
