//! The Proxy: what it passes through to the Auth Service by protocol name, and what it answers for itself (reference §7.4–7.6, §15–17).

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::Engine as _;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use teleport_proto::{
    auth::join_service_server::JoinServiceServer,
    join::join_service_server::JoinServiceServer as JoinConversationServer, names,
};
use tonic::server::NamedService;

use crate::{
    Edition, Version,
    gate::{self, Peer},
    join_http,
    listener::Server,
    services::Api,
    websocket,
};

/// Where a handshake wants to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Passed through to the Auth Service.
    Auth,
    /// Answered by the Proxy.
    Web,
    /// Closed.
    Nowhere,
}

/// Decides by the first protocol name, as the Proxy does: with `h2` first one lands on the web side, whatever follows.
pub(crate) fn destination<'a>(protocols: Option<impl Iterator<Item = &'a [u8]>>, cluster: &str) -> Destination {
    let Some(first) = protocols.and_then(|mut names| names.next()) else { return Destination::Web };
    if first == names::auth_alpn(cluster).as_bytes() {
        Destination::Auth
    } else if first.starts_with(b"teleport-auth@") {
        Destination::Nowhere
    } else {
        Destination::Web
    }
}

/// What the web side knows.
#[derive(Debug, Clone)]
struct Web {
    server: Arc<Server>,
    /// `host:port` by which the outside knows it.
    public_address: String,
}

/// What the Proxy answers for itself.
pub(crate) fn router(server: &Arc<Server>, public_address: String) -> Router {
    let shared = Arc::clone(&server.shared);
    let api = Api { shared: Arc::clone(&shared) };
    let web = Web { server: Arc::clone(server), public_address };
    let service = |name: &str| format!("/{name}/{{*method}}");
    Router::new()
        .route("/webapi/find", get(find))
        .route("/v1/webapi/find", get(find))
        .route("/webapi/ping", get(ping))
        .route("/v1/webapi/ping", get(ping))
        .route("/webapi/ping/{connector}", get(ping_connector))
        .route("/v1/webapi/ping/{connector}", get(ping_connector))
        .route("/webapi/connectionupgrade", get(upgrade))
        .route("/v1/webapi/connectionupgrade", get(upgrade))
        .with_state(web)
        .merge(join_http::proxy_routes(&shared))
        .route_service(&service(JoinServiceServer::<Api>::NAME), JoinServiceServer::new(api.clone()))
        .route_service(&service(JoinConversationServer::<Api>::NAME), JoinConversationServer::new(api))
        .layer(middleware::from_fn_with_state(shared, gate::pass))
}

async fn find(State(web): State<Web>) -> impl IntoResponse {
    // By the simulator's own clock: it is the one place where a cluster tells its time.
    let now = web.server.shared.cluster().now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    ([(header::DATE, now)], Json(web.describe()))
}

async fn ping(State(web): State<Web>) -> Json<Value> {
    Json(web.with_auth(None))
}

async fn ping_connector(State(web): State<Web>, Path(connector): Path<String>) -> Response {
    if web.server.shared.cluster().connectors.contains_key(&connector) {
        return Json(web.with_auth(Some(connector))).into_response();
    }
    let words = format!("SAML connector {connector:?} is not configured");
    (StatusCode::NOT_FOUND, Json(json!({"error": {"message": words}}))).into_response()
}

impl Web {
    /// What `/webapi/find` answers.
    fn describe(&self) -> Value {
        let cluster = self.server.shared.cluster();
        json!({
            "proxy": {
                "kube": {"enabled": false},
                "ssh": {
                    "listen_addr": self.public_address,
                    "tunnel_listen_addr": self.public_address,
                    "web_listen_addr": self.public_address,
                    "public_addr": self.public_address,
                    "dial_timeout": 30_000_000_000_i64,
                },
                "db": {},
                "tls_routing_enabled": self.server.shared.routes_tls(),
            },
            "server_version": cluster.version.server_version(),
            "min_client_version": format!("{}.0.0", cluster.version.oldest_client()),
            "cluster_name": cluster.name,
            "automatic_upgrades": false,
            "auto_update": {"tools_version": cluster.version.server_version(), "tools_auto_update": false},
            "edition": if cluster.edition == Edition::Enterprise { "ent" } else { "community" },
            "fips": false,
        })
    }

    /// What `/webapi/ping` answers.
    fn with_auth(&self, connector: Option<String>) -> Value {
        let mut answer = self.describe();
        answer["auth"] = match connector {
            Some(name) => json!({"type": "saml", "second_factor": "on", "saml": {"name": name, "display": "Okta"}}),
            None => json!({"type": "local", "second_factor": "on", "local": {"name": ""}}),
        };
        answer
    }
}

/// Which form of upgrade a client asks for.
enum Upgrade {
    WebSocket { protocol: &'static str, key: String },
    Legacy,
}

/// WebSocket wins where both are asked for; before 16 there was only the legacy form.
fn asked_for(headers: &HeaderMap, version: Version) -> Option<Upgrade> {
    let values = |name: &str| -> Vec<String> {
        let all = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        all.flat_map(|value| value.split(',')).map(|value| value.trim().to_ascii_lowercase()).collect()
    };
    let mut asked = values("upgrade");
    asked.extend(values("x-teleport-upgrade"));
    if version >= Version::V17 && asked.iter().any(|form| form == "websocket") {
        let offered = values("sec-websocket-protocol");
        let protocol = ["alpn", "alpn-ping"].into_iter().find(|known| offered.iter().any(|name| name == known))?;
        let key = headers.get("sec-websocket-key")?.to_str().ok()?.to_owned();
        return Some(Upgrade::WebSocket { protocol, key });
    }
    asked.iter().any(|form| form == "alpn").then_some(Upgrade::Legacy)
}

/// Turns an HTTP/1.1 connection into a stream that is treated like a new one at the Proxy's door.
async fn upgrade(State(web): State<Web>, mut request: Request) -> Response {
    let version = web.server.shared.cluster().version;
    let Some(asked) = asked_for(request.headers(), version) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let protocol = match &asked {
        Upgrade::Legacy => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("alpn"));
            None
        }
        Upgrade::WebSocket { protocol, key } => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
            if let Ok(accept) = HeaderValue::try_from(accept_key(key)) {
                headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
            }
            Some(*protocol)
        }
    };
    tokio::spawn(async move {
        let Ok(stream) = upgraded.await else { return };
        let stream = TokioIo::new(stream);
        let token = peer.connection.clone();
        let routed = async {
            match protocol {
                None => web.server.take_routed(stream, token.clone()).await,
                Some(protocol) => {
                    let (inside, outside) = tokio::io::duplex(64 * 1024);
                    tokio::join!(
                        web.server.take_routed(inside, token.clone()),
                        websocket::relay(stream, outside, protocol == "alpn-ping")
                    );
                }
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = routed => {}
        }
    });
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// `Sec-WebSocket-Accept` of RFC 6455 §4.2.2.
fn accept_key(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_protocol_name_decides() {
        let auth = names::auth_alpn("acme");
        let (auth, other) = (auth.as_bytes(), names::auth_alpn("other"));
        let go = |names: &[&[u8]]| destination(Some(names.iter().copied()), "acme");
        assert_eq!(go(&[auth, b"h2"]), Destination::Auth);
        assert_eq!(go(&[b"h2", auth]), Destination::Web);
        assert_eq!(go(&[other.as_bytes(), b"h2"]), Destination::Nowhere);
        assert_eq!(go(&[b"http/1.1"]), Destination::Web);
        assert_eq!(destination(None::<std::iter::Empty<&[u8]>>, "acme"), Destination::Web);
    }

    #[test]
    fn the_accept_key_is_rfc_6455s_example() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
