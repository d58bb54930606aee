//! The Proxy's web side: HTTPS under a certificate of the web's authorities (or of a company's own), before and beside everything that runs under
//! Teleport's authorities.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde::Deserialize;
use tokio_rustls::TlsConnector;

use crate::{
    error::TeleportError,
    route::{DialError, Route, Stream},
};

/// An answer larger than this is none.
const LARGEST_ANSWER: usize = 1 << 20;

/// What `/webapi/find` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Found {
    /// Name of the cluster.
    pub cluster_name: String,
    /// Version of the Proxy.
    #[serde(default)]
    pub server_version: String,
    /// `oss`, `community` or `ent`.
    #[serde(default)]
    pub edition: String,
    #[serde(default)]
    proxy: FoundProxy,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct FoundProxy {
    #[serde(default)]
    tls_routing_enabled: bool,
}

impl Found {
    /// Whether the Proxy passes TLS streams on to the Auth Service (`proxy_listener_mode: multiplex`).
    #[must_use]
    pub fn routes_tls(&self) -> bool {
        self.proxy.tls_routing_enabled
    }
}

/// Whom to trust on the web side. Loaded when first needed.
#[derive(Clone, Default)]
pub(crate) struct WebTrust {
    /// Further authorities, PEM.
    authorities: Option<Arc<str>>,
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl WebTrust {
    /// The system's authorities, and these.
    pub(crate) fn with(authorities: Option<&str>) -> Self {
        Self { authorities: authorities.map(Arc::from), config: Arc::default() }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!(%error, "some of the system's authorities cannot be read");
        }
        roots.add_parsable_certificates(system.certs);
        for authority in CertificateDer::pem_slice_iter(self.authorities.as_deref().unwrap_or_default().as_bytes()) {
            let authority = authority.map_err(|error| rustls::Error::General(error.to_string()))?;
            roots.add(authority)?;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::clone(self.config.get_or_init(|| Arc::new(config))))
    }

    /// TLS with the web side over `stream`.
    pub(crate) async fn handshake(&self, host: &str, stream: Stream) -> Result<Stream, DialError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| DialError::Web(format!("{host:?} is no name for a certificate")))?;
        let config = self.config().map_err(|error| DialError::Web(error.to_string()))?;
        let tls = TlsConnector::from(config).connect(name, stream).await;
        Ok(Box::new(tls.map_err(|error| DialError::Web(web_words(&error.to_string())))?))
    }
}

/// What went wrong with the web certificate, with the one trap named that surprises.
fn web_words(error: &str) -> String {
    if error.contains("CaUsedAsEndEntity") {
        return "the Proxy's web certificate is its own authority (self-signed), which is not accepted even when trusted; give the Proxy a \
                certificate of an authority"
            .into();
    }
    format!("the Proxy's web certificate: {error}")
}

/// One HTTP/1.1 request over `stream`.
pub(crate) async fn request(stream: Stream, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    let answer = answer.await;
    connection.abort();
    answer
}

/// The words of an error that the web API answers: `{"error": {"message": …}}`, or the older `{"message": …}`.
pub(crate) fn error_words(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Outer {
        error: Option<Inner>,
        message: Option<String>,
    }
    #[derive(Deserialize)]
    struct Inner {
        message: String,
    }
    let words = serde_json::from_slice::<Outer>(body)
        .ok()
        .and_then(|outer| outer.error.map(|inner| inner.message).or(outer.message))
        .filter(|words| !words.is_empty());
    words.unwrap_or_else(|| format!("HTTP {status}"))
}

/// Asks a Proxy about itself and its cluster.
///
/// # Errors
/// The way there; an answer that is not a Proxy's, such as a web page.
pub(crate) async fn find(route: &Route) -> Result<Found, TeleportError> {
    find_with_time(route).await.map(|(found, _)| found)
}

/// The same, and what time it is there.
///
/// # Errors
/// As [`find`].
pub(crate) async fn find_with_time(route: &Route) -> Result<(Found, Option<Timestamp>), TeleportError> {
    let address = route.address.to_string();
    let no_proxy = |detail: String| TeleportError::NotProxy { address: address.clone(), detail };
    let stream = route.web_stream().await.map_err(|error| error.told(route))?;
    let ask = Request::get("/webapi/find")
        .header(header::HOST, &address)
        .body(Full::default())
        .map_err(|error| no_proxy(error.to_string()))?;
    let answer = request(stream, ask).await.map_err(no_proxy)?;
    if answer.status() != StatusCode::OK {
        return Err(no_proxy(format!("/webapi/find answers {}", answer.status())));
    }
    let time = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
    let time = time.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp());
    let found: Found = serde_json::from_slice(answer.body()).map_err(|_| {
        no_proxy(
            "/webapi/find answers something that is not Teleport's JSON (a page of a login portal, perhaps)".into(),
        )
    })?;
    if found.cluster_name.is_empty() {
        return Err(no_proxy("/webapi/find names no cluster".into()));
    }
    Ok((found, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_web_api_are_read_in_both_forms() {
        let words = |body: &str| error_words(StatusCode::FORBIDDEN, body.as_bytes());
        assert_eq!(words(r#"{"error":{"message":"token expired or not found"}}"#), "token expired or not found");
        assert_eq!(words(r#"{"message":"older"}"#), "older");
        assert_eq!(words("<html>"), "HTTP 403 Forbidden");
        assert_eq!(words("{}"), "HTTP 403 Forbidden");
    }
}
