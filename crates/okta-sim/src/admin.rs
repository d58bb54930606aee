//! The admin port: what the real thing has no call for. Plain HTTP, JSON, no credential; for loopback only.
//!
//! | call | body | does |
//! |---|---|---|
//! | `GET /` | | this list |
//! | `GET /state` | | people, apps, groups, clients, limits, switches, clock |
//! | `GET /counters` · `DELETE /counters` | | requests by method and path template, bucket, status, caller, agent · start afresh |
//! | `GET /writes` | | every request that was not a `GET`: when, method, path, who, status |
//! | `GET /faults` | | faults posted, and how often they struck |
//! | `POST /faults` | a [`Fault`] | posts it; answers `{"id"}` |
//! | `DELETE /faults` · `DELETE /faults/{id}` | | takes all down · one |
//! | `POST /clock` | `{"offsetSeconds"?, "advanceSeconds"?, "frozen"?}` | moves or stops the clock |
//! | `POST /dpop` | `{"clientID"?, "mode": "required" or "notRequired", "rotateNonce"?, "forgetNonces"?}` | demands DPoP or not |
//! | `POST /scopes` | `{"clientID"?, "scopes": […]}` | grants exactly these |
//! | `POST /role` | `{"clientID"?, "role": "SUPER_ADMIN" or "READ_ONLY_ADMIN" or "NONE" or {"CUSTOM": {…}}}` | assigns a role ([`Role`]) |
//! | `POST /keys` | `{"clientID"?, "jwk"?, "remove"?}` | registers a public key, or removes one by its id |
//! | `POST /client` | `{"clientID"?, "active"?, "networkDenied"?, "applicationType"?, "jwksURL"?, "jwksCA"?}` | the client's other settings; keys come from `jwksURL` from then on, whose certificate is checked against `jwksCA` (PEM) |
//! | `POST /clients` | `{"clientID", "jwk"?}` | a further client, which has no scopes and no role yet |
//! | `DELETE /tokens` | | revokes every token issued |
//! | `POST /switches` | any part of [`Switches`] | changes behaviour |
//! | `POST /rates` | `{"plan"?, "limits"?: {bucket: requests a minute}}` | rate limits |
//! | `POST /people/{user}/status` | `{"status"}` | any status, without consequence (`LOCKED_OUT` as by wrong passwords) |
//! | `POST /load` | `{"users"?: […], "apps"?: […], "appUsers"?: [{"app", "body"}]}` | takes bodies in as they stand |
//! | `POST /certificate` | `{"foreign"?: true}` | a fresh server certificate, or one of an unknown CA |

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::jwks::JwksSource;
use crate::auth::{DpopMode, Role};
use crate::faults::Fault;
use crate::org::{Org, Switches};
use crate::rate::RatePlan;
use crate::refusal::Refusal;

/// Why an admin call fails: a sentence.
struct Complaint(String);

impl IntoResponse for Complaint {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}

impl From<Refusal> for Complaint {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.to_string())
    }
}

impl From<serde_json::Error> for Complaint {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

type Done = Result<Json<Value>, Complaint>;

fn done() -> Json<Value> {
    Json(json!({ "ok": true }))
}

/// Reads a body, so that a mistake is told in words.
fn read<T: for<'de> Deserialize<'de>>(body: Value) -> Result<T, Complaint> {
    Ok(serde_json::from_value(body)?)
}

/// The admin port's routes.
pub(crate) fn router(org: Org) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/state", get(state))
        .route("/counters", get(counters).delete(reset))
        .route("/writes", get(writes))
        .route("/faults", get(faults).post(post_fault).delete(clear_faults))
        .route("/faults/{id}", delete(clear_fault))
        .route("/clock", post(clock))
        .route("/dpop", post(dpop))
        .route("/scopes", post(scopes))
        .route("/role", post(role))
        .route("/keys", post(keys))
        .route("/client", post(client))
        .route("/clients", post(new_client))
        .route("/tokens", delete(revoke))
        .route("/switches", post(switches))
        .route("/rates", post(rates))
        .route("/people/{user}/status", post(status))
        .route("/load", post(load))
        .route("/certificate", post(certificate))
        .with_state(org)
}

async fn index() -> Json<Value> {
    Json(json!({
        "calls": [
            "GET /state", "GET /counters", "DELETE /counters", "GET /writes", "GET /faults", "POST /faults",
            "DELETE /faults", "DELETE /faults/{id}", "POST /clock", "POST /dpop", "POST /scopes", "POST /role",
            "POST /keys", "POST /client", "POST /clients", "DELETE /tokens", "POST /switches", "POST /rates",
            "POST /people/{user}/status", "POST /load", "POST /certificate",
        ],
    }))
}

async fn state(State(org): State<Org>) -> Json<Value> {
    Json(org.summary())
}

async fn counters(State(org): State<Org>) -> Done {
    Ok(Json(serde_json::to_value(org.counters())?))
}

async fn reset(State(org): State<Org>) -> Json<Value> {
    org.reset_counters();
    done()
}

async fn writes(State(org): State<Org>) -> Done {
    Ok(Json(serde_json::to_value(org.writes())?))
}

async fn faults(State(org): State<Org>) -> Done {
    Ok(Json(serde_json::to_value(org.faults())?))
}

async fn post_fault(State(org): State<Org>, Json(body): Json<Value>) -> Done {
    let fault: Fault = read(body)?;
    Ok(Json(json!({ "id": org.fault(fault) })))
}

async fn clear_faults(State(org): State<Org>) -> Json<Value> {
    org.clear_faults();
    done()
}

async fn clear_fault(State(org): State<Org>, Path(id): Path<u64>) -> Json<Value> {
    org.shared().faults().clear(Some(id));
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClockBody {
    offset_seconds: Option<f64>,
    advance_seconds: Option<f64>,
    frozen: Option<bool>,
}

#[allow(clippy::cast_possible_truncation)] // no clock is moved by more milliseconds than an i64 holds; `as` saturates
fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

async fn clock(State(org): State<Org>, Json(body): Json<Value>) -> Done {
    let body: ClockBody = read(body)?;
    if let Some(frozen) = body.frozen {
        org.clock().freeze(frozen);
    }
    if let Some(seconds) = body.offset_seconds {
        org.clock().set_offset_millis(millis(seconds));
    }
    if let Some(seconds) = body.advance_seconds {
        org.clock().advance_millis(millis(seconds));
    }
    Ok(Json(json!({ "now": org.clock().now().to_string() })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DpopBody {
    #[serde(rename = "clientID")]
    client_id: Option<String>,
    mode: Option<DpopMode>,
    #[serde(default)]
    rotate_nonce: bool,
    #[serde(default)]
    forget_nonces: bool,
}

async fn dpop(State(org): State<Org>, Json(body): Json<Value>) -> Done {
    let body: DpopBody = read(body)?;
    match (body.mode, body.client_id) {
        (Some(mode), None) => org.set_dpop(mode),
        (Some(mode), Some(id)) => org.on_client(Some(&id), |c| c.dpop = mode)?,
        (None, _) => {}
    }
    if body.rotate_nonce || body.forget_nonces {
        org.rotate_nonce(body.forget_nonces);
    }
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopesBody {
    #[serde(rename = "clientID")]
    client_id: Option<String>,
    scopes: Vec<String>,
}

async fn scopes(State(org): State<Org>, Json(body): Json<Value>) -> Done {
    let body: ScopesBody = read(body)?;
    org.on_client(body.client_id.as_deref(), |c| c.scopes = body.scopes.into_iter().collect())?;
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleBody {
    #[serde(rename = "clientID")]
    client_id: Option<String>,
    role: Role,
}

async fn role(State(org): State<Org>, Json(body): Json<Value>) -> Done {
    let body: RoleBody = read(body)?;
    org.on_client(body.client_id.as_deref(), |c| c.role = body.role)?;
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysBody {
    #[serde(rename = "clientID")]
    client_id: Option<String>,
    jwk: Option<Value>,
    remove: Option<String>,
}

async fn keys(State(org): State<Org>, Json(body): Json<Value>) -> Done {
    let body: KeysBody = read(body)?;
    let client = body.client_id.as_deref();
    let mut answer = json!({ "ok": true });
    if let Some(jwk) = &body.jwk {
        answer["kid"] = org.on_client(client, |c| c.add_key(jwk))??.into();
    }
    if let Some(kid) = &body.remove {
        org.on_client(client, |c| c.keys.retain(|key| key["kid"] != kid.as_str()))?;
    }
    Ok(Json(answer))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClientBody {
    #[serde(rename = "clientID")]
    client_id: Option<String>,
    active: Option<bool>,
    network_denied: Option<bool>,
    application_type: Option<String>,
    #[serde(rename = "jwksURL")]
    jwks_url: Option<String>,
    #[serde(rename = "jwksCA")]
    jwks_ca: Option<String>,
}

async fn client(State(org): State<Org>, Json(body): Json<Value>) -> Done {
    let body: ClientBody = read(body)?;
    let source = match &body.jwks_url {
        Some(url) => Some(JwksSource::new(url, body.jwks_ca).map_err(Complaint)?),
        None => None,
    };
    org.on_client(body.client_id.as_deref(), |c| {
        c.active = body.active.unwrap_or(c.active);
        c.network_denied = body.network_denied.unwrap_or(c.network_denied);
        if let Some(kind) = body.application_type {
            c.application_type = kind;
        }
        if let Some(source) = source {
            c.use_jwks(source);
        }
    })?;
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewClientBody {
    #[serde(rename = "clientID")]
    client_id: String,
    jwk: Option<Value>,
}

async fn new_client(State(org): State<Org>, Json(body): Json<Value>) -> Done {
    let body: NewClientBody = read(body)?;
    org.add_client(&body.client_id, body.jwk.as_ref())?;
    Ok(done())
}

async fn revoke(State(org): State<Org>) -> Json<Value> {
    org.revoke_tokens();
    done()
}

/// Lays the given switches over those in force.
async fn switches(State(org): State<Org>, Json(body): Json<Value>) -> Done {
    let Value::Object(patch) = body else {
        return Err(Complaint("an object of switches is expected".to_owned()));
    };
    let now = serde_json::to_value(&org.shared().state().switches)?;
    let Value::Object(mut whole) = now else {
        return Err(Complaint("the switches are no object".to_owned()));
    };
    whole.extend(patch);
    let fresh: Switches = read(Value::Object(whole))?;
    let shown = serde_json::to_value(&fresh)?;
    org.switch(|s| *s = fresh);
    Ok(Json(shown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RatesBody {
    plan: Option<RatePlan>,
    #[serde(default)]
    limits: std::collections::BTreeMap<String, u64>,
}

async fn rates(State(org): State<Org>, Json(body): Json<Value>) -> Done {
    let body: RatesBody = read(body)?;
    if let Some(plan) = body.plan {
        org.rate_plan(plan);
    }
    for (bucket, limit) in &body.limits {
        if !org.rate_limit(bucket, *limit) {
            return Err(Complaint(format!("there is no bucket {bucket}; see GET /state")));
        }
    }
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusBody {
    status: String,
}

async fn status(State(org): State<Org>, Path(user): Path<String>, Json(body): Json<Value>) -> Done {
    let body: StatusBody = read(body)?;
    org.set_status(&user, &body.status)?;
    Ok(done())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[derive(Default)]
struct LoadBody {
    users: Vec<Value>,
    apps: Vec<Value>,
    app_users: Vec<LoadedAppUser>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadedAppUser {
    app: String,
    body: Value,
}

async fn load(State(org): State<Org>, Json(body): Json<Value>) -> Done {
    let body: LoadBody = read(body)?;
    for app in &body.apps {
        org.load_app(app)?;
    }
    for user in &body.users {
        org.load_user(user)?;
    }
    for entry in &body.app_users {
        org.load_app_user(&entry.app, &entry.body)?;
    }
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateBody {
    #[serde(default)]
    foreign: bool,
}

async fn certificate(State(org): State<Org>, Json(body): Json<Value>) -> Done {
    let body: CertificateBody = read(body)?;
    let renewed = if body.foreign { org.foreign_certificate() } else { org.renew_certificate() };
    renewed.map_err(|error| Complaint(error.to_string()))?;
    Ok(done())
}
