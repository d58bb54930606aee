//! The three forms in which servers take a request to join, newest first: a gRPC conversation, a gRPC call, a JSON document.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, channel::mpsc};
use http::{Request, StatusCode, header};
use http_body_util::Full;
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use teleport_proto::{
    auth::join_service_client::JoinServiceClient as CallClient,
    join::{self as conversation, join_service_client::JoinServiceClient as ConversationClient},
    types,
};
use tonic::Code;

use crate::{
    answer::CallError,
    call::Call,
    dial::Dialer,
    error::TeleportError,
    instant,
    key::KeyPair,
    link::{IDLE, channel, read_status},
    route::Stream,
    web,
};

/// What is asked for.
pub(crate) struct Application<'a> {
    pub(crate) token: &'a str,
    /// The platform's token.
    pub(crate) jwt: &'a str,
    /// `Bot`, or a system role.
    pub(crate) role: &'static str,
    /// UUID of the host; of a bot nobody reads it.
    pub(crate) host_id: &'a str,
    pub(crate) key: &'a KeyPair,
    /// Bots only: a system role's certificate ends when the server says.
    pub(crate) expires: Option<Timestamp>,
}

/// What comes back.
pub(crate) struct Joined {
    pub(crate) certificate: CertificateDer<'static>,
    /// Authorities of users and hosts, which cannot be told apart.
    pub(crate) authorities: Vec<CertificateDer<'static>>,
}

/// Whether this server does not know that form.
pub(crate) fn unknown_form(error: &CallError) -> bool {
    matches!(error, CallError::Answer(Code::Unimplemented, _) | CallError::Way(TeleportError::Unsupported { .. }))
}

fn nonsense(detail: impl Into<String>) -> CallError {
    CallError::Way(TeleportError::Nonsense { call: Call::Join, detail: detail.into() })
}

/// `teleport.join.v1`: from 18 on.
pub(crate) async fn by_conversation(dialer: &Arc<Dialer>, asked: &Application<'_>) -> Result<Joined, CallError> {
    use conversation::{join_request::Payload as Ask, join_response::Payload as Answer};

    let status = |status: tonic::Status| read_status(Call::Join, dialer, &status);
    let (mut say, said) = mpsc::channel::<conversation::JoinRequest>(2);
    let ask = |payload| conversation::JoinRequest { payload: Some(payload) };
    let opening = conversation::ClientInit {
        join_method: Some("kubernetes".into()),
        token_name: asked.token.into(),
        system_role: asked.role.into(),
        ..Default::default()
    };
    let ended = |_| nonsense("the conversation ended early");
    say.send(ask(Ask::ClientInit(opening))).await.map_err(ended)?;
    let mut client = ConversationClient::new(channel(dialer, IDLE));
    let mut answers = client.join(said).await.map_err(status)?.into_inner();
    let first = answers.next().await.ok_or_else(ended_early)?.map_err(status)?;
    let Some(Answer::Init(_)) = first.payload else { return Err(nonsense("the first answer is no opening")) };
    let proof =
        conversation::OidcInit { client_params: Some(parameters(asked)), id_token: asked.jwt.to_owned().into() };
    say.send(ask(Ask::OidcInit(proof))).await.map_err(ended)?;
    let second = answers.next().await.ok_or_else(ended_early)?.map_err(status)?;
    let Some(Answer::Result(result)) = second.payload else { return Err(nonsense("the second answer is no result")) };
    let certificates = match result.payload {
        Some(conversation::result::Payload::BotResult(result)) => result.certificates,
        Some(conversation::result::Payload::HostResult(result)) => result.certificates,
        None => None,
    };
    let certificates = certificates.ok_or_else(|| nonsense("the result holds no certificates"))?;
    Ok(Joined {
        certificate: CertificateDer::from(certificates.tls_cert.to_vec()),
        authorities: certificates.tls_ca_certs.iter().map(|der| CertificateDer::from(der.to_vec())).collect(),
    })
}

fn ended_early() -> CallError {
    nonsense("the conversation ended early")
}

fn parameters(asked: &Application<'_>) -> conversation::ClientParams {
    use conversation::client_params::Payload;

    let public_keys = Some(conversation::PublicKeys {
        public_tls_key: asked.key.public_der().to_vec().into(),
        public_ssh_key: asked.key.ssh_wire().to_vec().into(),
    });
    let payload = if asked.role == super::BOT {
        Payload::BotParams(conversation::BotParams { public_keys, expires: asked.expires.map(instant::write) })
    } else {
        Payload::HostParams(conversation::HostParams {
            public_keys,
            host_name: super::NODE_NAME.into(),
            ..Default::default()
        })
    };
    conversation::ClientParams { payload: Some(payload) }
}

/// `proto.JoinService/RegisterUsingToken`.
pub(crate) async fn by_call(dialer: &Arc<Dialer>, asked: &Application<'_>) -> Result<Joined, CallError> {
    let request = types::RegisterUsingTokenRequest {
        host_id: asked.host_id.into(),
        node_name: super::NODE_NAME.into(),
        role: asked.role.into(),
        token: asked.token.into(),
        public_tls_key: asked.key.public_pem().into(),
        public_ssh_key: asked.key.ssh_line().into(),
        id_token: asked.jwt.into(),
        expires: asked.expires.map(instant::write),
        ..Default::default()
    };
    let mut client = CallClient::new(channel(dialer, IDLE));
    let answer = client.register_using_token(request).await;
    let certs = answer.map_err(|status| read_status(Call::RegisterUsingToken, dialer, &status))?.into_inner();
    joined(&certs.tls, certs.tls_ca_certs.iter().map(|pem| &pem[..]))
}

/// The JSON form. Bytes are base64.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "hostID")]
    host_id: &'a str,
    node_name: &'a str,
    role: &'a str,
    token: &'a str,
    public_tls_key: String,
    public_ssh_key: String,
    id_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Certificates {
    tls: String,
    #[serde(default)]
    tls_ca_certs: Vec<String>,
}

/// HTTP with JSON: at the Auth Service (`/v1/tokens/register`) and at a Proxy's web side (`/v1/webapi/host/credentials`).
pub(crate) async fn by_document(
    stream: Stream,
    host: &str,
    path: &str,
    asked: &Application<'_>,
) -> Result<Joined, CallError> {
    let document = Document {
        host_id: asked.host_id,
        node_name: super::NODE_NAME,
        role: asked.role,
        token: asked.token,
        public_tls_key: STANDARD.encode(asked.key.public_pem()),
        public_ssh_key: STANDARD.encode(asked.key.ssh_line()),
        id_token: asked.jwt,
        expires: asked.expires,
    };
    let body = serde_json::to_vec(&document).map_err(|error| nonsense(error.to_string()))?;
    let request = Request::post(path)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| nonsense(error.to_string()))?;
    let lost = |detail| CallError::Way(TeleportError::ConnectionLost { call: Call::RegisterByHttp, detail });
    let answer = web::request(stream, request).await.map_err(lost)?;
    let words = || web::error_words(answer.status(), answer.body());
    match answer.status() {
        StatusCode::OK => {}
        status @ (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) if words().contains(status.as_str()) => {
            return Err(CallError::Way(TeleportError::Unsupported { call: Call::RegisterByHttp }));
        }
        StatusCode::FORBIDDEN => return Err(CallError::Answer(Code::PermissionDenied, words())),
        StatusCode::BAD_REQUEST => return Err(CallError::Answer(Code::InvalidArgument, words())),
        _ => return Err(CallError::Answer(Code::Unknown, words())),
    }
    let certificates: Certificates =
        serde_json::from_slice(answer.body()).map_err(|_| nonsense("the answer is not the JSON of certificates"))?;
    let decode = |text: &String| STANDARD.decode(text).map_err(|_| nonsense("a certificate is not base64"));
    let authorities = certificates.tls_ca_certs.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    joined(&decode(&certificates.tls)?, authorities.iter().map(|pem| &pem[..]))
}

fn joined<'a>(certificate: &[u8], authorities: impl Iterator<Item = &'a [u8]>) -> Result<Joined, CallError> {
    let unreadable = |_| nonsense("a certificate is not PEM");
    let certificate = CertificateDer::from_pem_slice(certificate).map_err(unreadable)?;
    let authorities =
        authorities.flat_map(CertificateDer::pem_slice_iter).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    Ok(Joined { certificate, authorities })
}
