//! The one place that speaks HTTP. It knows two verbs: GET anything, POST to the token endpoint (P18).

use std::{error::Error, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tracing::{Instrument as _, field};
use url::Url;

use crate::{error::OktaError, governor::Bucket, org_url::OrgUrl};

/// Biggest answer that is read, in bytes. A page of 500 people with 300 profile values each is a quarter of it.
const LARGEST: usize = 32 * 1024 * 1024;

/// Time for a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// What this program calls itself.
const USER_AGENT: &str = concat!("okta-user-sync/", env!("CARGO_PKG_VERSION"));

/// Connections, and whom they trust. It holds no credential, so it serves every client that trusts the
/// same authorities: what is trusted is half a mebibyte, and a connection is worth keeping.
#[derive(Debug)]
pub struct Transport {
    client: reqwest::Client,
    timeout: Duration,
}

impl Transport {
    /// Connections to `org` and its like: organisations, or simulators of this machine. `ca_bundle` (PEM) is trusted beside
    /// the system's authorities; `HTTPS_PROXY` and `NO_PROXY` are honoured, except for addresses of this machine.
    /// `timeout` bounds one call from first to last byte.
    ///
    /// # Errors
    /// The bundle holds no certificate, or one that cannot be read.
    pub fn new(org: &OrgUrl, ca_bundle: Option<&[u8]>, timeout: Duration) -> Result<Self, OktaError> {
        let mut builder = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .tls_version_min(reqwest::tls::Version::TLS_1_2)
            .connect_timeout(CONNECT.min(timeout))
            .timeout(timeout)
            .user_agent(USER_AGENT)
            .default_headers(HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]));
        if let Some(pem) = ca_bundle {
            let authorities =
                reqwest::Certificate::from_pem_bundle(pem).map_err(|error| OktaError::CaBundle(chain(&error)))?;
            if authorities.is_empty() {
                return Err(OktaError::CaBundle("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_merge(authorities);
        }
        if org.is_local() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| OktaError::Client(chain(&error)))?;
        Ok(Self { client, timeout })
    }
}

/// An HTTPS client that is pinned to one host.
pub(crate) struct Http {
    transport: Arc<Transport>,
    org: OrgUrl,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Where a GET goes: a path on the organisation's host, and a query. It cannot name a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) path: String,
    pub(crate) query: Option<String>,
}

/// Credentials beside a GET.
#[derive(Default)]
pub(crate) struct Credentials {
    /// Value of `Authorization`.
    pub(crate) authorization: Option<HeaderValue>,
    /// Value of `DPoP`.
    pub(crate) proof: Option<HeaderValue>,
}

impl Http {
    /// The way to that organisation, over these connections.
    pub(crate) fn new(org: OrgUrl, transport: Arc<Transport>) -> Self {
        Self { transport, org }
    }

    /// The organisation.
    pub(crate) fn org(&self) -> &OrgUrl {
        &self.org
    }

    /// The address that a target has on this host. Proofs name it, so it is made here only.
    pub(crate) fn address(&self, target: &Target) -> Url {
        let mut url = self.org.endpoint(&target.path);
        url.set_query(target.query.as_deref());
        url
    }

    /// One GET.
    pub(crate) async fn get(&self, target: &Target, credentials: Credentials) -> Result<Answer, OktaError> {
        let mut request = self
            .transport
            .client
            .get(self.address(target))
            // Okta answers some calls with E0000021 where it is missing, even though a GET has no content.
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = credentials.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(proof) = credentials.proof {
            request = request.header("dpop", proof);
        }
        self.send(request, &format!("GET {}", target.path)).await
    }

    /// One POST, to the organisation's own token endpoint and nowhere else.
    pub(crate) async fn post_token(
        &self,
        form: &[(&str, &str)],
        proof: Option<HeaderValue>,
    ) -> Result<Answer, OktaError> {
        let mut request = self.transport.client.post(self.org.token_endpoint()).form(form);
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        self.send(request, "POST /oauth2/v1/token").await
    }

    /// One call, within a span of its own (which names no person: a path holds ids only).
    async fn send(&self, request: reqwest::RequestBuilder, call: &str) -> Result<Answer, OktaError> {
        let (method, path) = call.split_once(' ').unwrap_or((call, ""));
        let span = tracing::debug_span!(
            target: "call",
            "okta",
            otel.name = format!("{method} {}", Bucket::of(path)),
            otel.kind = "client",
            otel.status_code = field::Empty,
            http.request.method = method,
            http.response.status_code = field::Empty,
            url.path = path,
            server.address = self.org.host(),
        );
        let answer = self.send_within(request, call).instrument(span.clone()).await;
        match &answer {
            Ok(answer) => span.record("http.response.status_code", answer.status.as_u16()),
            Err(_) => span.record("otel.status_code", "ERROR"),
        };
        answer
    }

    async fn send_within(&self, request: reqwest::RequestBuilder, call: &str) -> Result<Answer, OktaError> {
        let response = request.send().await.map_err(|error| self.no_answer(call, &error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_redirection() {
            let to = headers
                .get(header::LOCATION)
                .and_then(|to| to.to_str().ok())
                .and_then(|to| Url::parse(to).ok())
                .and_then(|to| to.host_str().map(str::to_owned))
                .unwrap_or_else(|| "elsewhere".to_owned());
            return Err(OktaError::Redirected { call: call.to_owned(), status: status.as_u16(), to });
        }
        let body = self.read(response, call).await?;
        if status.is_success() {
            demand_json(call, &headers, &body)?;
        }
        Ok(Answer { status, headers, body })
    }

    /// The body, up to the bound.
    async fn read(&self, mut response: reqwest::Response, call: &str) -> Result<Bytes, OktaError> {
        let too_big = || OktaError::TooBig { call: call.to_owned(), limit: LARGEST };
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        if announced > LARGEST {
            return Err(too_big());
        }
        let mut body = BytesMut::with_capacity(announced);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > LARGEST => return Err(too_big()),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body.freeze()),
                Err(error) if error.is_timeout() => {
                    return Err(OktaError::Timeout { call: call.to_owned(), limit: self.transport.timeout });
                }
                Err(error) => return Err(OktaError::BrokeOff { call: call.to_owned(), cause: chain(&error) }),
            }
        }
    }

    /// Why there was no answer.
    fn no_answer(&self, call: &str, error: &reqwest::Error) -> OktaError {
        let (host, cause) = (self.org.host().to_owned(), chain(error));
        if error.is_timeout() {
            return OktaError::Timeout { call: call.to_owned(), limit: self.transport.timeout };
        }
        if cause.contains("proxy auth") {
            return OktaError::ProxyRefused { host, cause };
        }
        if cause.contains("certificate") || cause.contains("UnknownIssuer") {
            return OktaError::Untrusted { host, cause };
        }
        if error.is_connect() {
            return OktaError::Unreachable { host, cause };
        }
        OktaError::BrokeOff { call: call.to_owned(), cause }
    }
}

/// Refuses a success that is not JSON: what a sign-in page, a proxy or another web site answers.
fn demand_json(call: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), OktaError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let essence = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let start = body.trim_ascii_start();
    let is_json = essence == "application/json" || essence.ends_with("+json");
    if is_json && !start.starts_with(b"<") {
        return Ok(());
    }
    let kind = match essence.as_str() {
        _ if start.starts_with(b"<") => "an HTML page".to_owned(),
        "" => "something of unnamed kind".to_owned(),
        named => named.chars().filter(char::is_ascii_graphic).take(60).collect(),
    };
    Err(OktaError::NotJson { call: call.to_owned(), kind })
}

/// An error with its causes, without the address (its query holds cursors and search words).
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn Error> = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&words);
        }
        next = cause.source();
    }
    if text.is_empty() {
        if error.is_builder() { "its settings do not fit".to_owned() } else { "no connection".to_owned() }
    } else {
        text
    }
}

impl Target {
    /// A path made of these segments. Ids become segments, so each has to be one of Okta's ids or a word of ours:
    /// letters, digits, `-`, `_`, and `.` inside.
    pub(crate) fn new(segments: &[&str]) -> Result<Self, OktaError> {
        let mut path = String::new();
        for segment in segments {
            let fits = !segment.is_empty()
                && segment.len() <= 64
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
                && (!segment.starts_with('.') || segment.starts_with(".well-known"));
            if !fits {
                return Err(OktaError::NotAnId(segment.chars().take(64).collect()));
            }
            path.push('/');
            path.push_str(segment);
        }
        Ok(Self { path, query: None })
    }

    /// The same with these query parameters added.
    pub(crate) fn with<V: AsRef<str>>(mut self, parameters: &[(&str, V)]) -> Self {
        let mut query = url::form_urlencoded::Serializer::new(self.query.take().unwrap_or_default());
        query.extend_pairs(parameters);
        self.query = Some(query.finish());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_lead_elsewhere() {
        for id in ["", ".", "..", "a/b", "00u1?x", "00u1#x", "00u1%2f", "00ü1", "a b", &"a".repeat(65)] {
            assert!(matches!(Target::new(&["api", "v1", "users", id]), Err(OktaError::NotAnId(_))), "{id:?}");
        }
        let target = Target::new(&["api", "v1", "apps", "0oa1", "users"]).unwrap();
        let target = target.with(&[("limit", "500"), ("expand", "user")]);
        assert_eq!(target.path, "/api/v1/apps/0oa1/users");
        assert_eq!(target.query.as_deref(), Some("limit=500&expand=user"));
        let searched = Target::new(&["api", "v1", "groups"]).unwrap().with(&[("search", r#"profile.name eq "a&b""#)]);
        assert_eq!(searched.query.as_deref(), Some("search=profile.name+eq+%22a%26b%22"));
    }

    #[test]
    fn only_json_is_taken_for_json() {
        let of = |kind: &'static str| HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        for (kind, body, good) in [
            ("application/json", "[]", true),
            ("application/json;charset=UTF-8", "{}", true),
            ("Application/JSON", "", true),
            ("application/problem+json", "{}", true),
            ("text/html; charset=utf-8", "<html>", false),
            ("application/json", "<!DOCTYPE html>", false),
            ("text/plain", "[]", false),
            ("", "[]", false),
        ] {
            assert_eq!(demand_json("GET /x", &of(kind), body.as_bytes()).is_ok(), good, "{kind} {body}");
        }
    }

    #[test]
    fn a_bundle_that_is_none_is_refused() {
        let org = OrgUrl::parse("https://acme.okta.com").unwrap();
        for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"] {
            let made = Transport::new(&org, Some(pem.as_bytes()), Duration::from_secs(1));
            assert!(matches!(made.err(), Some(OktaError::CaBundle(_) | OktaError::Client(_))), "{pem}");
        }
    }
}
