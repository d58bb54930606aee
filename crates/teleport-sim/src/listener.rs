//! The doors of the simulator: the Auth Service's port, the Proxy's, and a balancer's before it. HTTP/2 and HTTP/1.1 inside TLS.

use std::{convert::Infallible, sync::Arc};

use axum::{Router, body::Body, extract::Request, middleware};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::server::Acceptor;
use teleport_proto::{
    auth::{auth_service_server::AuthServiceServer, join_service_server::JoinServiceServer},
    join::join_service_server::JoinServiceServer as JoinConversationServer,
    users::users_service_server::UsersServiceServer,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::ServiceExt as _;

use crate::{
    caller::Caller,
    gate::{self, Peer},
    join_http,
    proxy::{self, Destination},
    services::Api,
    shared::Shared,
};

/// Largest message that the server takes; what it sends is not bounded (reference §16).
const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// Which door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Straight to the Auth Service.
    Auth,
    /// The Proxy, which routes by protocol names.
    Proxy,
    /// A balancer before the Proxy, which takes protocol names away.
    Balancer,
}

/// What stands behind the doors.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    auth: Router,
}

impl Server {
    pub(crate) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared: Arc::clone(shared), auth: auth_router(shared) })
    }

    /// Takes a stream for the Auth Service, if its handshake asks for that by name.
    pub(crate) async fn take_routed<S: Stream>(&self, stream: S, token: CancellationToken) {
        let Ok(start) = LazyConfigAcceptor::new(Acceptor::default(), stream).await else { return };
        let cluster = self.shared.pki().cluster.clone();
        if proxy::destination(start.client_hello().alpn(), &cluster) == Destination::Auth
            && let Some(stream) = self.accepted(start.into_stream(Arc::clone(&self.shared.doors().auth)).await)
        {
            self.serve_auth(stream, token).await;
        }
    }

    async fn serve_auth<S: Stream>(&self, stream: TlsStream<S>, token: CancellationToken) {
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let host_ids = self.shared.pki().host_key_ids();
        let caller = certificate.map_or(Caller::Nobody, |der| Caller::from_certificate(der, &host_ids));
        speak_http(stream, self.auth.clone(), Peer { caller: Arc::new(caller), connection: token }).await;
    }

    fn accepted<S>(&self, handshake: std::io::Result<TlsStream<S>>) -> Option<TlsStream<S>> {
        match handshake {
            Ok(stream) => {
                self.shared.counters().connections += 1;
                Some(stream)
            }
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                self.shared.counters().refused_connections += 1;
                None
            }
        }
    }
}

/// A stream that TLS can run over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// Takes connections at a door until `stop`. `web` is what the Proxy serves for itself.
pub(crate) async fn serve(
    listener: TcpListener,
    door: Door,
    server: Arc<Server>,
    web: Router,
    stop: CancellationToken,
) {
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
        if server.shared.is_down() {
            continue;
        }
        let (server, web, stop) = (Arc::clone(&server), web.clone(), stop.clone());
        tokio::spawn(async move {
            let (token, _open) = (server.shared.connection(), server.shared.opened());
            tokio::select! {
                () = stop.cancelled() => {}
                () = token.cancelled() => {}
                () = enter(stream, door, &server, web, token.clone()) => {}
            }
        });
    }
}

async fn enter(stream: TcpStream, door: Door, server: &Server, web: Router, token: CancellationToken) {
    // Small answers must not wait for acknowledgements; without it a page of users takes 40 ms longer.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let doors = server.shared.doors();
    let nobody = Peer { caller: Arc::new(Caller::Nobody), connection: token.clone() };
    match door {
        Door::Auth => {
            if let Some(stream) = server.accepted(TlsAcceptor::from(Arc::clone(&doors.auth)).accept(stream).await) {
                server.serve_auth(stream, token).await;
            }
        }
        Door::Balancer => {
            if let Some(stream) = server.accepted(TlsAcceptor::from(Arc::clone(&doors.balancer)).accept(stream).await) {
                speak_http(stream, web, nobody).await;
            }
        }
        Door::Proxy => {
            let Ok(start) = LazyConfigAcceptor::new(Acceptor::default(), stream).await else { return };
            let cluster = server.shared.pki().cluster.clone();
            let routes = server.shared.routes_tls();
            match proxy::destination(start.client_hello().alpn(), &cluster) {
                Destination::Auth if routes => {
                    if let Some(stream) = server.accepted(start.into_stream(Arc::clone(&doors.auth)).await) {
                        server.serve_auth(stream, token).await;
                    }
                }
                Destination::Web => {
                    if let Some(stream) = server.accepted(start.into_stream(Arc::clone(&doors.web)).await) {
                        speak_http(stream, web, nobody).await;
                    }
                }
                Destination::Auth | Destination::Nowhere => {}
            }
        }
    }
}

/// Serves HTTP on a stream until it ends.
async fn speak_http<S: Stream>(stream: TlsStream<S>, router: Router, peer: Peer) {
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (router, peer) = (router.clone(), peer.clone());
        async move {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {}))
        }
    });
    let served = auto::Builder::new(TokioExecutor::new());
    if let Err(error) = served.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection ended");
    }
}

/// The Auth Service: gRPC behind the gate, and the older HTTP form of joining.
fn auth_router(shared: &Arc<Shared>) -> Router {
    let api = Api { shared: Arc::clone(shared) };
    let users = UsersServiceServer::new(api.clone())
        .max_decoding_message_size(LARGEST_MESSAGE)
        .max_encoding_message_size(usize::MAX);
    let auth = AuthServiceServer::new(api.clone())
        .max_decoding_message_size(LARGEST_MESSAGE)
        .max_encoding_message_size(usize::MAX);
    Routes::new(users)
        .add_service(auth)
        .add_service(JoinServiceServer::new(api.clone()))
        .add_service(JoinConversationServer::new(api))
        .into_axum_router()
        .merge(join_http::auth_routes(shared))
        .layer(middleware::from_fn_with_state(Arc::clone(shared), gate::pass))
}
