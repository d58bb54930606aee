//! The admin port: plain HTTP with JSON, for what the real thing has no call for. The same is to be had in process from [`crate::TeleportSim`].

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use teleport_proto::types;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Fault, IssuedCertificate, Lag, LockView, PluginPass, ProvisionToken, Refusal, SamlLogin, StateView, UserView,
    WriteRecord, cluster::Cluster, ledger::code_name, preset, shared::Shared,
};

type Sim = State<Arc<Shared>>;

/// Serves the admin port until `stop`.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let router = Router::new()
        .route("/state", get(async |State(shared): Sim| Json(state(&shared))))
        .route("/counters", get(async |State(shared): Sim| Json(shared.counters().clone())).delete(reset_counters))
        .route("/writes", get(writes))
        .route("/users", get(users))
        .route("/users/{name}", get(user))
        .route("/locks", get(async |State(shared): Sim| Json(shared.cluster().view_locks())))
        .route("/locks/{name}", get(lock))
        .route("/sessions/{name}", get(session).post(issue))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/clock", post(set_clock))
        .route("/lag", post(set_lag))
        .route("/catch-up", post(catch_up))
        .route("/permissions", post(set_permissions))
        .route("/roles/{name}", post(put_role).delete(remove_role))
        .route("/connectors/{name}", post(put_connector).delete(remove_connector))
        .route("/saml-login", post(log_in))
        .route("/scim-delete", post(take_away))
        .route("/scim-lock", post(shut_out))
        .route("/scim-provision", post(bring_back))
        .route("/okta-plugin", post(make_plugin_pass))
        .route("/hold", post(hold).delete(release))
        .route("/roles/{name}/session-ttl", post(set_session_ttl))
        .route("/restart", post(restart))
        .route("/rotate-host-ca", post(rotate_host_ca))
        .route("/tokens", post(put_token))
        .route("/tokens/{name}", axum::routing::delete(remove_token))
        .route("/mfa", post(demand_mfa))
        .with_state(shared);
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::warn!(%error, "the admin port of teleport-sim ended");
    }
}

/// The cluster at a glance.
pub(crate) fn state(shared: &Shared) -> StateView {
    let mut cluster = shared.cluster();
    cluster.settle();
    StateView {
        cluster: cluster.name.clone(),
        version: cluster.version,
        edition: cluster.edition,
        now: cluster.now(),
        clock_offset_seconds: cluster.clock.offset(),
        users: cluster.users.all().len(),
        locks: cluster.locks.all().len(),
        roles: cluster.roles.keys().cloned().collect(),
        connectors: cluster.connectors.keys().cloned().collect(),
        writes: cluster.writes.sequence(),
        lag: cluster.lag,
        holding: shared.hold.is_silent(),
        proxy_address: shared.site.addresses.proxy.to_string(),
        balancer_address: shared.site.addresses.balancer.to_string(),
        web_ca_file: shared.site.web_ca_file(),
        ca_pin: shared.pki().hosts.pin(),
    }
}

async fn reset_counters(State(shared): Sim) -> StatusCode {
    shared.counters().reset();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct After<T> {
    #[serde(default)]
    after: T,
    limit: Option<usize>,
}

async fn writes(State(shared): Sim, Query(query): Query<After<u64>>) -> Json<Vec<WriteRecord>> {
    let mut records = shared.cluster().writes.after(query.after);
    records.truncate(query.limit.unwrap_or(usize::MAX));
    Json(records)
}

async fn users(State(shared): Sim, Query(query): Query<After<String>>) -> Json<Vec<String>> {
    Json(shared.cluster().view_names(&query.after, query.limit.unwrap_or(usize::MAX)))
}

async fn user(State(shared): Sim, Path(name): Path<String>) -> Result<Json<UserView>, StatusCode> {
    shared.cluster().view_user(&name).map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn lock(State(shared): Sim, Path(name): Path<String>) -> Result<Json<LockView>, StatusCode> {
    shared.cluster().view_locks().into_iter().find(|lock| lock.name == name).map(Json).ok_or(StatusCode::NOT_FOUND)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IssuedBefore {
    issued_before: Option<Timestamp>,
}

async fn session(
    State(shared): Sim,
    Path(name): Path<String>,
    Query(query): Query<IssuedBefore>,
) -> Json<crate::Session> {
    Json(shared.cluster().session(&name, query.issued_before))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Life {
    ttl_seconds: i64,
}

async fn issue(State(shared): Sim, Path(name): Path<String>, Json(life): Json<Life>) -> Json<IssuedCertificate> {
    let mut cluster = shared.cluster();
    let roles = cluster.view_user(&name).map(|view| view.roles).unwrap_or_default();
    let now = cluster.now();
    Json(cluster.certificates.add(&name, roles, now, now + SignedDuration::from_secs(life.ttl_seconds)))
}

async fn add_fault(State(shared): Sim, Json(fault): Json<Fault>) -> Result<StatusCode, (StatusCode, String)> {
    if let Some(code) = &fault.code
        && crate::ledger::code_of(code).is_none()
    {
        return Err((StatusCode::BAD_REQUEST, format!("{code} is no gRPC code; say for example UNAVAILABLE")));
    }
    shared.faults().add(fault);
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(shared): Sim) -> StatusCode {
    shared.faults().clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Offset {
    offset_seconds: i64,
}

async fn set_clock(State(shared): Sim, Json(offset): Json<Offset>) -> StatusCode {
    shared.cluster().clock.set_offset(offset.offset_seconds);
    StatusCode::NO_CONTENT
}

async fn set_lag(State(shared): Sim, Json(lag): Json<Lag>) -> StatusCode {
    shared.cluster().lag = lag;
    StatusCode::NO_CONTENT
}

async fn catch_up(State(shared): Sim) -> StatusCode {
    shared.cluster().catch_up();
    StatusCode::NO_CONTENT
}

/// Which permission to take from a role.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Permissions {
    /// `kind:verb`, such as `lock:update`; left out: the bot's role gets everything back.
    drop: Option<String>,
    /// The role; left out: the bot's.
    role: Option<String>,
}

async fn set_permissions(
    State(shared): Sim,
    Json(asked): Json<Permissions>,
) -> Result<StatusCode, (StatusCode, &'static str)> {
    let mut cluster = shared.cluster();
    match asked.drop.as_deref().map(|drop| drop.split_once(':')) {
        None => {
            cluster.roles.insert(preset::BOT_ROLE.to_owned(), preset::bot_role());
        }
        Some(Some((kind, verb))) => {
            drop_permission(&mut cluster, asked.role.as_deref().unwrap_or(preset::BOT_ROLE), kind, verb);
        }
        Some(None) => return Err((StatusCode::BAD_REQUEST, "drop is kind:verb, such as lock:update")),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a verb on a kind from a role.
pub(crate) fn drop_permission(cluster: &mut Cluster, role: &str, kind: &str, verb: &str) {
    let Some(role) = cluster.roles.get_mut(role) else { return };
    preset::allow(role, |allow| {
        for rule in &mut allow.rules {
            if rule.resources.iter().any(|resource| resource == kind) {
                rule.verbs.retain(|known| known != verb);
            }
        }
    });
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlainRole {
    #[serde(default)]
    max_session_ttl_seconds: i64,
}

async fn put_role(State(shared): Sim, Path(name): Path<String>, Json(asked): Json<PlainRole>) -> StatusCode {
    shared.cluster().roles.insert(name.clone(), plain_role(&name, asked.max_session_ttl_seconds));
    StatusCode::NO_CONTENT
}

/// A role with no rules and this longest session, in seconds.
pub(crate) fn plain_role(name: &str, max_session_seconds: i64) -> types::RoleV6 {
    let mut role = preset::role(name, "", &[]);
    if let Some(options) = role.spec.as_mut().and_then(|spec| spec.options.as_mut()) {
        options.max_session_ttl = max_session_seconds.saturating_mul(1_000_000_000);
    }
    role
}

async fn remove_role(State(shared): Sim, Path(name): Path<String>) -> StatusCode {
    shared.cluster().roles.remove(&name);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Connector {
    #[serde(default)]
    okta_app_id: String,
}

async fn put_connector(State(shared): Sim, Path(name): Path<String>, Json(asked): Json<Connector>) -> StatusCode {
    let connector = preset::connector(&name, &asked.okta_app_id);
    shared.cluster().connectors.insert(name, connector);
    StatusCode::NO_CONTENT
}

async fn remove_connector(State(shared): Sim, Path(name): Path<String>) -> StatusCode {
    shared.cluster().connectors.remove(&name);
    StatusCode::NO_CONTENT
}

/// A refusal in JSON.
#[derive(Serialize)]
struct Refused {
    code: &'static str,
    message: String,
}

async fn log_in(State(shared): Sim, Json(login): Json<SamlLogin>) -> Response {
    match saml_login(&mut shared.cluster(), &login) {
        Ok(certificate) => Json(certificate).into_response(),
        Err(Refusal { code, message }) => {
            (StatusCode::CONFLICT, Json(Refused { code: code_name(code), message })).into_response()
        }
    }
}

/// A person logs in through SAML; logged as a write.
pub(crate) fn saml_login(cluster: &mut Cluster, login: &SamlLogin) -> Result<IssuedCertificate, Refusal> {
    cluster.write("saml-login", "saml-login", &login.user, |cluster| cluster.saml_login(login))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    user: String,
}

async fn take_away(State(shared): Sim, Json(named): Json<Named>) -> StatusCode {
    by_scim(&mut shared.cluster(), "scim-delete", &named.user);
    StatusCode::NO_CONTENT
}

async fn shut_out(State(shared): Sim, Json(named): Json<Named>) -> StatusCode {
    by_scim(&mut shared.cluster(), "scim-lock", &named.user);
    StatusCode::NO_CONTENT
}

async fn bring_back(State(shared): Sim, Json(named): Json<Named>) -> StatusCode {
    by_scim(&mut shared.cluster(), "scim-provision", &named.user);
    StatusCode::NO_CONTENT
}

/// SCIM does something to a user; logged as a write.
pub(crate) fn by_scim(cluster: &mut Cluster, what: &str, user: &str) {
    // Only a name that is no name is refused, and the log says so.
    let _ = cluster.write("scim", what, user, |cluster| -> Result<(), Refusal> {
        match what {
            "scim-lock" => cluster.scim_lock(user),
            "scim-provision" => cluster.scim_provision(user)?,
            _ => cluster.scim_delete(user),
        }
        Ok(())
    });
}

async fn make_plugin_pass(State(shared): Sim, Json(pass): Json<PluginPass>) -> Response {
    match plugin_pass(&mut shared.cluster(), &pass) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(Refusal { code, message }) => {
            (StatusCode::CONFLICT, Json(Refused { code: code_name(code), message })).into_response()
        }
    }
}

/// Teleport's own Okta plugin makes a pass; logged as one write.
pub(crate) fn plugin_pass(cluster: &mut Cluster, pass: &PluginPass) -> Result<(), Refusal> {
    cluster.write("okta-plugin", "okta-plugin", &pass.org_url, |cluster| cluster.plugin_pass(pass))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Silence {
    after_writes: u64,
}

async fn hold(State(shared): Sim, Json(silence): Json<Silence>) -> StatusCode {
    shared.hold.after(silence.after_writes);
    StatusCode::NO_CONTENT
}

async fn release(State(shared): Sim) -> StatusCode {
    shared.hold.release();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionTtl {
    seconds: i64,
}

async fn set_session_ttl(State(shared): Sim, Path(name): Path<String>, Json(ttl): Json<SessionTtl>) -> StatusCode {
    if limit_session(&mut shared.cluster(), &name, ttl.seconds) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

/// Sets the longest session of a role; answers whether there is such a role.
pub(crate) fn limit_session(cluster: &mut Cluster, role: &str, seconds: i64) -> bool {
    let options =
        cluster.roles.get_mut(role).and_then(|role| role.spec.as_mut()).and_then(|spec| spec.options.as_mut());
    let Some(options) = options else { return false };
    options.max_session_ttl = seconds.saturating_mul(1_000_000_000);
    true
}

async fn rotate_host_ca(State(shared): Sim) -> Result<StatusCode, (StatusCode, String)> {
    shared.rotate_host_ca().map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn put_token(State(shared): Sim, Json(token): Json<ProvisionToken>) -> StatusCode {
    shared.tokens().by_name.insert(token.name.clone(), token);
    StatusCode::NO_CONTENT
}

async fn remove_token(State(shared): Sim, Path(name): Path<String>) -> StatusCode {
    shared.tokens().by_name.remove(&name);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Demand {
    demanded: bool,
}

async fn demand_mfa(State(shared): Sim, Json(demand): Json<Demand>) -> StatusCode {
    shared.cluster().demands_mfa = demand.demanded;
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Down {
    #[serde(default)]
    down_millis: u64,
}

async fn restart(State(shared): Sim, Json(down): Json<Down>) -> StatusCode {
    shared.restart(Duration::from_millis(down.down_millis));
    StatusCode::NO_CONTENT
}
