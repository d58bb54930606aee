//! The org's HTTP interface: one request in, one answer out.

pub(crate) mod answer;
mod app_users;
mod apps;
mod filter;
mod finish;
mod groups;
mod logs;
mod meta;
mod oauth;
pub(crate) mod page;
pub(crate) mod route;
mod swap;
mod users;

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response};
use hyper::body::Incoming;
use serde_json::Value;

use crate::auth::resource::{self, Call, Caller, Denied};
use crate::clock::Stamp;
use crate::faults::FaultKind;
use crate::org::syslog::{Actor, Doer};
use crate::rate::Quota;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::tally::Write;
use answer::Answer;
use route::{Resource, Route};

pub(crate) use finish::Dropped;

/// A request, taken in whole.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub raw_query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The authority that the caller used, if it is one of this org's; else the canonical one.
    pub host: String,
    /// `https://` and the host.
    pub base: String,
    /// What a client may take for the org's address in this request: the base, and what it wrote in `Host` where that
    /// leaves out the port (the vendor's Go SDK drops it).
    pub bases: Vec<String>,
    pub id: String,
    pub now: Stamp,
}

impl Request {
    /// The first query parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Whether a comma-separated query parameter contains a word.
    pub fn has_word(&self, name: &str, word: &str) -> bool {
        self.parameter(name).is_some_and(|list| list.split(',').any(|w| w.trim() == word))
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body).map_err(|_| Refusal::malformed())
    }

    /// The body as JSON, `{}` where there is none.
    pub fn json_or_empty(&self) -> Result<Value, Refusal> {
        if self.body.is_empty() { Ok(Value::Object(serde_json::Map::new())) } else { self.json() }
    }

    /// The circumstances of a change made by this request.
    pub fn doer(&self, caller: &Caller) -> Doer {
        let actor = match &caller.client {
            Some(id) => Actor {
                id: id.clone(),
                kind: "PublicClientApp",
                alternate: id.clone(),
                display: "okta-user-sync".to_owned(),
            },
            None => Actor {
                id: "00uSuperAdmin00005d7".to_owned(),
                kind: "User",
                alternate: "admin@example.com".to_owned(),
                display: "Super Admin".to_owned(),
            },
        };
        Doer {
            now: self.now,
            actor,
            user_agent: self.header("user-agent").unwrap_or("").to_owned(),
            request_id: self.id.clone(),
            job: false,
        }
    }
}

/// Largest request body that is read.
const BODY: usize = 4 << 20;

/// Takes a request in.
async fn take_in(shared: &Shared, request: http::Request<Incoming>) -> Option<Request> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(Body::new(body), BODY).await.ok()?;
    let named = parts
        .headers
        .get(http::header::HOST)
        .and_then(|h| h.to_str().ok())
        .or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or("");
    let host = if shared.answers_to(named) { named.to_ascii_lowercase() } else { shared.authority().to_owned() };
    let base = format!("https://{host}");
    let mut bases = vec![base.clone()];
    if host.rsplit_once(':').is_some_and(|(name, _)| name == named) {
        bases.push(format!("https://{named}"));
    }
    let raw_query = parts.uri.query().unwrap_or("").to_owned();
    Some(Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(raw_query.as_bytes()).into_owned().collect(),
        raw_query,
        headers: parts.headers,
        body,
        base,
        bases,
        host,
        id: shared.request_id(),
        now: shared.clock.now(),
    })
}

/// What came of a request, before faults are laid over it.
struct Outcome {
    answer: Answer,
    who: String,
    quota: Option<Quota>,
    faults: Vec<FaultKind>,
}

/// Answers a request.
pub(crate) async fn handle(shared: &Shared, request: http::Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let Some(request) = take_in(shared, request).await else {
        return Err(Dropped);
    };
    let route = route::find(&request.path);
    shared.catch_up(request.now);
    if route.as_ref().is_some_and(|r| matches!(r.resource, Resource::Token | Resource::Introspect)) {
        oauth::fetch_keys(shared, &request).await;
    }
    let outcome = respond(shared, &request, route.as_ref());
    record(shared, &request, route.as_ref(), &outcome);
    finish::slow_start(&outcome.faults).await;
    let fold = shared.state().switches.fold_links;
    finish::finish(&request, outcome.answer, outcome.quota, &outcome.faults, fold)
}

fn record(shared: &Shared, request: &Request, route: Option<&Route>, outcome: &Outcome) {
    let template = route.map_or("(unknown)", |r| r.template);
    let bucket = route.map_or("", |r| r.bucket_for(&request.method));
    let mut tally = shared.tally();
    let counters = &mut tally.counters;
    let count = |map: &mut std::collections::BTreeMap<String, u64>, key: &str| {
        *map.entry(key.to_owned()).or_insert(0) += 1;
    };
    count(&mut counters.requests, &format!("{} {template}", request.method));
    if !bucket.is_empty() {
        count(&mut counters.buckets, bucket);
    }
    count(&mut counters.user_agents, request.header("user-agent").unwrap_or(""));
    count(&mut counters.hosts, request.header("host").unwrap_or(&request.host));
    count(&mut counters.callers, &outcome.who);
    *counters.statuses.entry(outcome.answer.status).or_insert(0) += 1;
    counters.total += 1;
    if request.method != "GET" {
        tally.wrote(Write {
            at: request.now.to_string(),
            method: request.method.clone(),
            path: request.path.clone(),
            who: outcome.who.clone(),
            status: outcome.answer.status,
        });
    }
}

fn respond(shared: &Shared, request: &Request, route: Option<&Route>) -> Outcome {
    let mut outcome =
        Outcome { answer: Answer::default(), who: "anonymous".to_owned(), quota: None, faults: Vec::new() };
    let Some(route) = route else {
        outcome.faults = strike(shared, request, &outcome.who);
        outcome.answer = finish::early(&outcome.faults, shared, request).unwrap_or_else(|| {
            finish::refuse(request, &Refusal::new(404, "E0000008", "The requested path was not found"))
        });
        return outcome;
    };
    let open = matches!(route.resource, Resource::WellKnown | Resource::Keys | Resource::Token | Resource::Introspect);
    let caller = if open {
        outcome.who = oauth::claimed(request);
        None
    } else {
        match authorise(shared, request, route) {
            Ok(caller) => {
                outcome.who.clone_from(&caller.name);
                Some(caller)
            }
            Err(denied) => {
                outcome.answer = finish::deny(request, denied);
                outcome.quota = count(shared, request, route, None);
                return outcome;
            }
        }
    };
    let client = caller.as_ref().and_then(|c| c.client.clone());
    outcome.quota = count(shared, request, route, client.as_deref());
    outcome.faults = strike(shared, request, &outcome.who);
    outcome.answer = if let Some(answer) = finish::early(&outcome.faults, shared, request) {
        answer
    } else if outcome.quota.is_some_and(|q| q.exceeded) {
        finish::refuse(request, &Refusal::rate_limited())
    } else if crowded(shared) {
        outcome.quota = outcome.quota.map(|quota| Quota { limit: 0, remaining: 0, ..quota });
        finish::refuse(request, &Refusal::rate_limited())
    } else {
        match caller {
            None => oauth::answer(shared, request, route),
            Some(caller) => {
                let ask = |request: &Request| {
                    endpoint(shared, request, route, &caller)
                        .unwrap_or_else(|refusal| finish::refuse(request, &refusal))
                };
                let answer = ask(&asked_for(request, &outcome.faults));
                swap::lay(&outcome.faults, shared, request, answer, ask)
            }
        }
    };
    outcome
}

/// The request as the endpoint is to see it.
fn asked_for<'a>(request: &'a Request, faults: &[FaultKind]) -> Cow<'a, Request> {
    if !faults.contains(&FaultKind::FirstPageAgain) {
        return Cow::Borrowed(request);
    }
    let mut changed = request.clone();
    changed.query.retain(|(name, _)| name != "after");
    Cow::Owned(changed)
}

fn strike(shared: &Shared, request: &Request, who: &str) -> Vec<FaultKind> {
    shared.faults().strike(&request.method, &request.path, &request.raw_query, who)
}

fn crowded(shared: &Shared) -> bool {
    let limit = shared.state().switches.concurrency;
    limit > 0 && shared.under_way.load(Ordering::Relaxed) > limit
}

fn count(shared: &Shared, request: &Request, route: &Route, client: Option<&str>) -> Option<Quota> {
    let bucket = route.bucket_for(&request.method);
    if bucket.is_empty() {
        return None;
    }
    let share = shared.state().switches.client_share_percent;
    Some(shared.rates().take(bucket, client, share, request.now))
}

/// Which scopes let a call through; the first is the one that a refusal names.
fn scopes(route: &Route, method: &str) -> &'static [&'static str] {
    let reading = method == "GET";
    match route.resource {
        Resource::Users | Resource::User | Resource::UserLifecycle | Resource::UserGroups | Resource::UserAppLinks => {
            if reading {
                &["okta.users.read", "okta.users.manage"]
            } else {
                &["okta.users.manage"]
            }
        }
        Resource::Groups | Resource::Group | Resource::GroupUsers | Resource::GroupUser | Resource::GroupApps => {
            if reading {
                &["okta.groups.read", "okta.groups.manage"]
            } else {
                &["okta.groups.manage"]
            }
        }
        Resource::Logs => &["okta.logs.read"],
        Resource::UserSchema | Resource::AppSchema => &["okta.schemas.read", "okta.schemas.manage"],
        Resource::UserType => &["okta.userTypes.read", "okta.userTypes.manage"],
        _ => {
            if reading {
                &["okta.apps.read", "okta.apps.manage"]
            } else {
                &["okta.apps.manage"]
            }
        }
    }
}

fn authorise(shared: &Shared, request: &Request, route: &Route) -> Result<Caller, Denied> {
    let proofs: Vec<&str> = request.headers.get_all("dpop").iter().filter_map(|h| h.to_str().ok()).collect();
    let urls: Vec<String> = request.bases.iter().map(|base| format!("{base}{}", request.path)).collect();
    let call = Call {
        method: &request.method,
        urls: &urls,
        authorization: request.header("authorization"),
        proofs: &proofs,
        scopes: scopes(route, &request.method),
        now: request.now,
    };
    resource::authorise(&mut shared.auth(), &call)
}

/// Calls the endpoint.
fn endpoint(shared: &Shared, request: &Request, route: &Route, caller: &Caller) -> Result<Answer, Refusal> {
    if request.method != "GET" && !caller.may_write {
        return Err(Refusal::forbidden());
    }
    match route.resource {
        Resource::Apps | Resource::App | Resource::AppLifecycle | Resource::AppGroups | Resource::AppGroup => {
            apps::answer(shared, request, route, caller)
        }
        Resource::AppUsers | Resource::AppUser => app_users::answer(shared, request, route, caller),
        Resource::Users | Resource::User | Resource::UserLifecycle | Resource::UserGroups | Resource::UserAppLinks => {
            users::answer(shared, request, route, caller)
        }
        Resource::Groups | Resource::Group | Resource::GroupUsers | Resource::GroupUser | Resource::GroupApps => {
            groups::answer(shared, request, route, caller)
        }
        Resource::Logs => logs::answer(shared, request, caller),
        Resource::UserSchema | Resource::AppSchema | Resource::UserType => meta::answer(shared, request, route, caller),
        Resource::WellKnown | Resource::Token | Resource::Introspect | Resource::Keys => {
            Ok(oauth::answer(shared, request, route))
        }
    }
}
