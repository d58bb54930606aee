//! Joining by gRPC: the unary form and the conversation, which newer lines have (reference §8.1, §8.2).

use std::{pin::Pin, sync::Arc};

use futures::Stream;
use teleport_proto::{
    auth::{Certs, join_service_server::JoinService},
    join::{self, client_params, join_request, join_response, join_service_server::JoinService as JoinConversation},
    types::RegisterUsingTokenRequest,
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::{
    Refusal,
    certify::{self, Keys},
    clock::from_wire,
    identity::Holder,
    join::{Applicant, Joined},
    services::Api,
    shared::Shared,
    ssh,
};

#[async_trait]
impl JoinService for Api {
    async fn register_using_token(
        &self,
        request: Request<RegisterUsingTokenRequest>,
    ) -> Result<Response<Certs>, Status> {
        let version = self.shared.cluster().version;
        if !version.joins_by_grpc() {
            return Err(Refusal::unimplemented("RegisterUsingToken").into());
        }
        let joined = Applicant::read(request.get_ref(), version)?.join(&self.shared)?;
        Ok(Response::new(certify::joined(&self.shared, &joined.wanted(), &joined.keys)?))
    }
}

#[async_trait]
impl JoinConversation for Api {
    type JoinStream = Pin<Box<dyn Stream<Item = Result<join::JoinResponse, Status>> + Send>>;

    async fn join(&self, request: Request<Streaming<join::JoinRequest>>) -> Result<Response<Self::JoinStream>, Status> {
        if !self.shared.cluster().version.joins_by_grpc() {
            return Err(Refusal::unimplemented("Join").into());
        }
        let (answers, stream) = tokio::sync::mpsc::channel(2);
        let shared = Arc::clone(&self.shared);
        let questions = request.into_inner();
        tokio::spawn(async move {
            if let Err(status) = converse(&shared, questions, &answers).await {
                // The client may have left; then nobody wants to know.
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

type Answers = tokio::sync::mpsc::Sender<Result<join::JoinResponse, Status>>;

async fn converse(
    shared: &Shared,
    mut questions: Streaming<join::JoinRequest>,
    answers: &Answers,
) -> Result<(), Status> {
    let Some(join_request::Payload::ClientInit(init)) = next(&mut questions).await? else {
        return Err(Refusal::bad_parameter("expected a ClientInit message").into());
    };
    if init.join_method.as_deref().is_some_and(|method| method != "kubernetes") {
        return Err(Refusal::bad_parameter("the token's join method is \"kubernetes\"").into());
    }
    if !shared.tokens().by_name.contains_key(&init.token_name) {
        return Err(Refusal::access_denied("token expired or not found").into());
    }
    let method =
        join::ServerInit { join_method: "kubernetes".to_owned(), signature_algorithm_suite: "legacy".to_owned() };
    say(answers, join_response::Payload::Init(method)).await?;

    let Some(join_request::Payload::OidcInit(shown)) = next(&mut questions).await? else {
        return Err(Refusal::bad_parameter("expected an OIDCInit message").into());
    };
    let joined = applicant(init, shown)?.join(shared)?;
    say(answers, join_response::Payload::Result(result(shared, &joined)?)).await
}

async fn next(questions: &mut Streaming<join::JoinRequest>) -> Result<Option<join_request::Payload>, Status> {
    Ok(questions.next().await.transpose()?.and_then(|question| question.payload))
}

async fn say(answers: &Answers, payload: join_response::Payload) -> Result<(), Status> {
    let answer = join::JoinResponse { payload: Some(payload) };
    answers.send(Ok(answer)).await.map_err(|_| Status::cancelled("the client has left"))
}

fn applicant(init: join::ClientInit, shown: join::OidcInit) -> Result<Applicant, Refusal> {
    let missing = || Refusal::bad_parameter("client params are missing");
    let (keys, expires) = match shown.client_params.and_then(|params| params.payload).ok_or_else(missing)? {
        client_params::Payload::BotParams(bot) => (bot.public_keys, from_wire(bot.expires.as_ref())),
        client_params::Payload::HostParams(host) => (host.public_keys, None),
    };
    let keys = keys.ok_or_else(missing)?;
    let ssh = ssh::to_spki(&keys.public_ssh_key).ok_or_else(|| Refusal::bad_parameter("ssh: no key found"))?;
    if keys.public_tls_key.is_empty() {
        return Err(Refusal::bad_parameter("failed to parse public key"));
    }
    Ok(Applicant {
        role: init.system_role,
        token: init.token_name,
        jwt: String::from_utf8_lossy(&shown.id_token).into_owned(),
        host_id: String::new(),
        keys: Keys { ssh: Some(ssh), tls: Some(keys.public_tls_key.to_vec()) },
        expires,
    })
}

fn result(shared: &Shared, joined: &Joined) -> Result<join::Result, Refusal> {
    let failed = |error: crate::TeleportSimError| Refusal::new(tonic::Code::Internal, error.to_string());
    let (pki, wanted) = (shared.pki(), joined.wanted());
    let tls = joined.keys.tls.as_deref().map(|key| pki.tls(&wanted, key)).transpose().map_err(failed)?;
    let line = joined.keys.ssh.as_deref().map(|key| pki.ssh(&wanted, key)).transpose().map_err(failed)?;
    let authority = if matches!(joined.holder, Holder::User { .. }) { &pki.users } else { &pki.hosts };
    let certificates = Some(join::Certificates {
        tls_cert: tls.unwrap_or_default().into(),
        tls_ca_certs: [&pki.users, &pki.hosts].map(|ca| ca.certificate().to_vec().into()).to_vec(),
        ssh_cert: line.and_then(|line| ssh::wire_of(&line)).unwrap_or_default().into(),
        ssh_ca_keys: vec![ssh::public_key(&authority.ssh_key().public_der()).map_err(failed)?.into()],
    });
    let payload = match &joined.holder {
        Holder::User { .. } => join::result::Payload::BotResult(join::BotResult { certificates }),
        Holder::System { host_id, .. } => {
            join::result::Payload::HostResult(join::HostResult { certificates, host_id: host_id.clone() })
        }
    };
    Ok(join::Result { payload: Some(payload) })
}
