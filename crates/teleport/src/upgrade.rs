//! Through a balancer that ends TLS (L7): an HTTP/1.1 connection to the Proxy's web side is upgraded to a byte stream, and the handshake with the Auth
//! Service runs inside.
//!
//! Two forms are asked for at once, and the answer decides: WebSocket (16 and newer), and the older `Upgrade: alpn`, after which bytes flow bare.

use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, digest},
    rand,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::{
    address::Address,
    route::{DialError, Stream},
    websocket,
};

const PATH: &str = "/webapi/connectionupgrade";

/// The sub-protocol: TLS streams with their protocol names, routed as at the Proxy's own door.
const PROTOCOL: &str = "alpn";

/// Upgrades `web`, a connection to the Proxy's web side.
pub(crate) async fn upgrade(web: Stream, address: &Address) -> Result<Stream, DialError> {
    let failed = |detail: String| DialError::Web(format!("connection upgrade: {detail}"));
    let mut nonce = [0; 16];
    rand::fill(&mut nonce).map_err(|error| failed(error.to_string()))?;
    let key = STANDARD.encode(nonce);
    let request = Request::get(PATH)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::UPGRADE, "alpn")
        .header("x-teleport-upgrade", "alpn")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, &key)
        .header(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(error.to_string()))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(web)).await.map_err(|error| failed(error.to_string()))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "an upgraded connection broke off");
        }
    });
    let response = sender.send_request(request).await.map_err(|error| failed(error.to_string()))?;
    if response.status().is_success() || response.status().is_redirection() {
        // A Proxy that cannot says that it cannot; a portal or a page for everything shows itself.
        let detail = format!("{PATH} answers {}, as web servers do that have a page for everything", response.status());
        return Err(DialError::Foreign(detail));
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(failed(format!("{} answers {}", PATH, response.status())));
    }
    let is_websocket = is_websocket(response.headers(), &key).map_err(failed)?;
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| failed(error.to_string()))?;
    let stream = TokioIo::new(upgraded);
    Ok(if is_websocket { Box::new(websocket::inside(stream)) } else { Box::new(stream) })
}

/// Whether the answer is a WebSocket's; checks that it is one to our question.
fn is_websocket(headers: &HeaderMap, key: &str) -> Result<bool, String> {
    let value = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !value(header::UPGRADE).eq_ignore_ascii_case("websocket") {
        return Ok(false);
    }
    if value(header::SEC_WEBSOCKET_ACCEPT) != accept(key) {
        return Err("the answer is not one to our question (Sec-WebSocket-Accept)".into());
    }
    if value(header::SEC_WEBSOCKET_PROTOCOL) != PROTOCOL {
        return Err(format!("the sub-protocol is {:?}", value(header::SEC_WEBSOCKET_PROTOCOL)));
    }
    Ok(true)
}

/// RFC 6455 §4.2.2.
fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_held_against_the_question() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let headers = |upgrade: &'static str, accept: &'static str, protocol: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::UPGRADE, upgrade.parse().unwrap());
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.parse().unwrap());
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol.parse().unwrap());
            headers
        };
        // RFC 6455's own example.
        let good = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert_eq!(is_websocket(&headers("WebSocket", good, "alpn"), key), Ok(true));
        assert_eq!(is_websocket(&headers("alpn", "", ""), key), Ok(false));
        assert!(is_websocket(&headers("websocket", "x", "alpn"), key).is_err());
        assert!(is_websocket(&headers("websocket", good, "chat"), key).is_err());
    }
}
