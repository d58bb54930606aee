//! What every call passes on its way in and out: counting, faults, the `version` rule, admission.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::{Refusal, caller::Caller, fault::Fault, record, shared::Shared};

/// Who is at the other end of a connection, and how to cut it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) caller: Arc<Caller>,
    pub(crate) connection: CancellationToken,
}

/// Calls that answer without a client certificate.
const OPEN: [&str; 4] = ["Ping", "GetClusterCACert", "RegisterUsingToken", "Join"];

/// Lets a call through, or answers it itself.
pub(crate) async fn pass(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let Some(method) = method_of(request.uri().path()) else { return next.run(request).await };
    let Some(peer) = request.extensions().get::<Peer>().cloned() else { return next.run(request).await };
    if too_old(&shared, &request) {
        peer.connection.cancel();
        return answer(&Refusal::new(Code::Unavailable, "client version is not supported"));
    }
    let mut request = request;
    let wanted = shared.recorder().wanted();
    if wanted {
        let Ok(noted) = record::note(&shared, &method, request).await else {
            return answer(&Refusal::new(Code::Cancelled, "the request broke off"));
        };
        request = noted;
    }
    let under_way = UnderWay::enter(&shared, &method);
    let response = respond(&shared, &method, &peer, request, next).await;
    drop(under_way);
    let response = with_server_words(response);
    shared.counters().add(&method, code_of(&response));
    response
}

async fn respond(shared: &Shared, method: &str, peer: &Peer, request: Request, next: Next) -> Response {
    shared.hold.answering().await;
    let fault = shared.faults().hit(method);
    if let Some(fault) = &fault {
        tokio::time::sleep(std::time::Duration::from_millis(fault.latency_ms)).await;
        if !fault.applied
            && let Some(response) = failure(fault, peer)
        {
            return response;
        }
    }
    if !OPEN.contains(&method)
        && let Err(refusal) = shared.cluster().admit(&peer.caller)
    {
        return answer(&refusal);
    }
    let response = next.run(request).await;
    if code_of(&response) == Code::Ok {
        shared.hold.count(method);
        shared.hold.answering().await;
    }
    fault.filter(|fault| fault.applied).and_then(|fault| failure(&fault, peer)).unwrap_or(response)
}

/// What a fault answers; a cut connection answers nothing that arrives.
fn failure(fault: &Fault, peer: &Peer) -> Option<Response> {
    if fault.cut {
        peer.connection.cancel();
        return Some(answer(&Refusal::new(Code::Unavailable, "connection cut")));
    }
    let code = fault.answer()?;
    let words = fault.message.clone().unwrap_or_else(|| format!("fault: {}", crate::ledger::code_name(code)));
    Some(answer(&Refusal::new(code, words)))
}

fn answer(refusal: &Refusal) -> Response {
    Status::from(refusal.clone()).into_http()
}

/// `CreateUser` of `/teleport.users.v1.UsersService/CreateUser`; `None` for paths that are no call.
fn method_of(path: &str) -> Option<String> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    (service.ends_with("Service") && !method.is_empty()).then(|| method.to_owned())
}

/// Metadata `version`: absent is fine; what does not parse or is too old costs the connection (reference §17).
fn too_old(shared: &Shared, request: &Request) -> bool {
    let Some(version) = request.headers().get("version") else { return false };
    let major =
        version.to_str().ok().and_then(|text| text.split('.').next()).and_then(|major| major.parse::<u64>().ok());
    major.is_none_or(|major| major < shared.cluster().version.oldest_client())
}

/// The code of an answer: in its head where the call was refused; else all went well.
fn code_of(response: &Response) -> Code {
    response.headers().get("grpc-status").map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()))
}

/// A message over the limit is `RESOURCE_EXHAUSTED` in Go's words and `OUT_OF_RANGE` in tonic's.
fn with_server_words(response: Response) -> Response {
    if code_of(&response) == Code::OutOfRange {
        return answer(&Refusal::new(Code::ResourceExhausted, "grpc: received message larger than max"));
    }
    response
}

/// Counts how many calls of a method are under way.
struct UnderWay<'a> {
    shared: &'a Shared,
    method: String,
}

impl<'a> UnderWay<'a> {
    fn enter(shared: &'a Shared, method: &str) -> Self {
        shared.counters().enter(method);
        Self { shared, method: method.to_owned() }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.shared.counters().leave(&self.method);
    }
}
