//! The Auth Service's port: TLS that asks for a client certificate but takes callers without one, gRPC inside.

use std::{convert::Infallible, sync::Arc};

use axum::{Router, body::Body, extract::Request, middleware};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use teleport_proto::{auth::auth_service_server::AuthServiceServer, users::users_service_server::UsersServiceServer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::ServiceExt as _;

use crate::{
    TeleportSimError,
    caller::Caller,
    clock::Clock,
    gate::{self, Peer},
    identity::Pki,
    key::KeyKind,
    services::Api,
    shared::Shared,
};

/// Largest message that the server takes; what it sends is not bounded (reference §16).
const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// TLS of the Auth Service: own certificate from the host CA, callers from both CAs or none, judged by the simulator's clock.
pub(crate) fn tls(pki: &Pki, kind: KeyKind, clock: &Clock) -> Result<ServerConfig, TeleportSimError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in [&pki.users, &pki.hosts] {
        roots.add(CertificateDer::from(authority.certificate().to_vec()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let (certificate, key) = pki.server(kind, clock.now())?;
    let chain = vec![CertificateDer::from(certificate), CertificateDer::from(pki.hosts.certificate().to_vec())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.pkcs8()));
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(clock.clone()))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The services behind the gate.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let api = Api { shared: Arc::clone(shared) };
    let users = UsersServiceServer::new(api.clone())
        .max_decoding_message_size(LARGEST_MESSAGE)
        .max_encoding_message_size(usize::MAX);
    let auth =
        AuthServiceServer::new(api).max_decoding_message_size(LARGEST_MESSAGE).max_encoding_message_size(usize::MAX);
    Routes::new(users)
        .add_service(auth)
        .into_axum_router()
        .layer(middleware::from_fn_with_state(Arc::clone(shared), gate::pass))
}

/// Takes connections until `stop`.
pub(crate) async fn serve(listener: TcpListener, tls: ServerConfig, shared: Arc<Shared>, stop: CancellationToken) {
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let router = router(&shared);
    let host_ca: Arc<[u8]> = shared.pki.hosts.key_id().into();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::task::yield_now().await;
                    continue;
                }
            },
        };
        if shared.is_down() {
            continue;
        }
        let connection =
            Connection { acceptor: acceptor.clone(), router: router.clone(), host_ca: Arc::clone(&host_ca) };
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        tokio::spawn(async move {
            let token = shared.connection();
            tokio::select! {
                () = stop.cancelled() => {}
                () = token.cancelled() => {}
                () = connection.serve(stream, &shared, token.clone()) => {}
            }
        });
    }
}

/// What one connection needs.
struct Connection {
    acceptor: TlsAcceptor,
    router: Router,
    host_ca: Arc<[u8]>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, shared: &Shared, token: CancellationToken) {
        // Small answers must not wait for acknowledgements; without it a page of users takes 40 ms longer.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let stream = match self.acceptor.accept(stream).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                shared.counters().refused_connections += 1;
                return;
            }
        };
        shared.counters().connections += 1;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let caller = certificate.map_or(Caller::Nobody, |der| Caller::from_certificate(der, &self.host_ca));
        let peer = Peer { caller: Arc::new(caller), connection: token };
        let router = self.router;
        let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let (router, peer) = (router.clone(), peer.clone());
            async move {
                let mut request: Request = request.map(Body::new);
                request.extensions_mut().insert(peer);
                Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {}))
            }
        });
        if let Err(error) =
            auto::Builder::new(TokioExecutor::new()).serve_connection_with_upgrades(TokioIo::new(stream), service).await
        {
            tracing::debug!(%error, "a connection ended");
        }
    }
}
