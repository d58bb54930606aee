//! Joining by HTTP with JSON, which every line before the gRPC forms has: at the Auth Service and at the Proxy (reference §16 D).

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use base64::Engine as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use teleport_proto::types::RegisterUsingTokenRequest;
use tonic::Code;

use crate::{Refusal, certify, clock::to_wire, join::Applicant, shared::Shared};

/// What the Auth Service answers itself.
pub(crate) fn auth_routes(shared: &Arc<Shared>) -> Router {
    Router::new().route("/v1/tokens/register", post(register)).with_state(Arc::clone(shared))
}

/// What the Proxy passes on.
pub(crate) fn proxy_routes(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/webapi/host/credentials", post(register))
        .route("/webapi/host/credentials", post(register))
        .with_state(Arc::clone(shared))
}

/// The JSON form of a request to join. Bytes are base64.
#[derive(Deserialize)]
struct Request {
    #[serde(rename = "hostID", default)]
    host_id: String,
    #[serde(default)]
    node_name: String,
    role: String,
    token: String,
    #[serde(default)]
    public_tls_key: String,
    #[serde(default)]
    public_ssh_key: String,
    #[serde(default)]
    id_token: String,
    expires: Option<Timestamp>,
}

/// The JSON form of the answer. Bytes are base64.
#[derive(Serialize)]
struct Answer {
    ssh: String,
    tls: String,
    tls_ca_certs: Vec<String>,
    ssh_ca_certs: Vec<String>,
}

async fn register(State(shared): State<Arc<Shared>>, Json(request): Json<Request>) -> Response {
    let joined = join(&shared, request);
    let code = joined.as_ref().map_or_else(|refusal| refusal.code, |_| Code::Ok);
    shared.counters().add("tokens/register", code);
    match joined {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => (status(refusal.code), Json(json!({"error": {"message": refusal.message}}))).into_response(),
    }
}

fn join(shared: &Shared, request: Request) -> Result<Answer, Refusal> {
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default().into();
    let encode = |bytes: &bytes::Bytes| base64::engine::general_purpose::STANDARD.encode(bytes);
    let message = RegisterUsingTokenRequest {
        host_id: request.host_id,
        node_name: request.node_name,
        role: request.role,
        token: request.token,
        public_tls_key: decode(&request.public_tls_key),
        public_ssh_key: decode(&request.public_ssh_key),
        id_token: request.id_token,
        expires: request.expires.map(to_wire),
        ..Default::default()
    };
    let version = shared.cluster().version;
    let joined = Applicant::read(&message, version)?.join(shared)?;
    let certs = certify::joined(shared, &joined.wanted(), &joined.keys)?;
    Ok(Answer {
        ssh: encode(&certs.ssh),
        tls: encode(&certs.tls),
        tls_ca_certs: certs.tls_ca_certs.iter().map(encode).collect(),
        ssh_ca_certs: certs.ssh_ca_certs.iter().map(encode).collect(),
    })
}

/// How trace errors become HTTP.
fn status(code: Code) -> StatusCode {
    match code {
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
