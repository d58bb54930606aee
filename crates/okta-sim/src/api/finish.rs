//! The last step of an answer: errors in the vendor's form, common headers, and the faults that lie over them.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use serde_json::json;

use super::Request;
use super::answer::Answer;
use crate::auth::OauthError;
use crate::auth::resource::{Denied, challenge};
use crate::clock::Stamp;
use crate::faults::FaultKind;
use crate::rate::Quota;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::spoil::spoil;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
pub(crate) struct Dropped;

/// A management API error.
pub(crate) fn refuse(request: &Request, refusal: &Refusal) -> Answer {
    let error_id = format!("oae{}", &request.id[request.id.len().saturating_sub(22)..]);
    Answer::with_status(refusal.status, &refusal.body(&error_id))
}

/// An OAuth error in the body, as the authorisation server answers.
pub(crate) fn oauth_error(error: &OauthError) -> Answer {
    let body = json!({ "error": error.error, "error_description": error.description });
    let mut answer = Answer::with_status(error.status, &body);
    if let Some(nonce) = &error.nonce {
        answer.headers.push(("dpop-nonce", nonce.clone()));
    }
    answer
}

/// A refusal at the door: JSON for the management API's own, a header and no body for the OAuth layer's.
pub(crate) fn deny(request: &Request, denied: Denied) -> Answer {
    match denied {
        Denied::Api(refusal) => refuse(request, &refusal),
        Denied::Oauth { scheme, scope, error } => {
            let value = challenge(scheme, &request.host, &scope, &request.path, &error);
            Answer { status: error.status, headers: vec![("www-authenticate", value)], ..Answer::default() }
        }
    }
}

const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Sign In</title></head>\
<body><div id=\"okta-sign-in\"><h1>Sign In</h1></div></body></html>\n";

/// The answer of a fault that keeps the request from its endpoint, if there is one.
pub(crate) fn early(faults: &[FaultKind], shared: &Shared, request: &Request) -> Option<Answer> {
    faults.iter().find_map(|fault| match fault {
        FaultKind::Status { status, body, content_type } => {
            let mut answer = refuse(request, &status_refusal(*status));
            if let Some(body) = body {
                answer.body = Some(body.clone());
            }
            answer.content_type.clone_from(content_type);
            Some(answer)
        }
        FaultKind::DropConnection => Some(Answer::nothing()),
        FaultKind::Html { status } => Some(Answer {
            status: *status,
            body: Some(LOGIN_PAGE.to_owned()),
            content_type: Some("text/html;charset=utf-8".to_owned()),
            ..Answer::default()
        }),
        FaultKind::Redirect { location } => {
            Some(Answer { status: 302, headers: vec![("location", location.clone())], ..Answer::default() })
        }
        FaultKind::RateLimited { .. } | FaultKind::ConcurrencyLimited { .. } => {
            Some(refuse(request, &Refusal::rate_limited()))
        }
        FaultKind::InvalidToken => Some(invalid_token(request, "The access token is invalid.")),
        FaultKind::RevokeToken => {
            if let Some((_, token)) = request.header("authorization").and_then(|a| a.split_once(' '))
                && let Some(issued) = shared.auth().tokens.get_mut(token)
            {
                issued.revoked = true;
            }
            Some(invalid_token(request, "The access token has been revoked."))
        }
        FaultKind::OauthError { status, error, description } => {
            Some(Answer::with_status(*status, &json!({ "error": error, "error_description": description })))
        }
        _ => None,
    })
}

fn invalid_token(request: &Request, text: &str) -> Answer {
    let dpop = request.header("authorization").is_some_and(|a| a.to_ascii_lowercase().starts_with("dpop "));
    deny(
        request,
        Denied::Oauth {
            scheme: if dpop { "DPoP" } else { "Bearer" },
            scope: String::new(),
            error: OauthError::new(401, "invalid_token", text),
        },
    )
}

/// The error that goes with a status.
fn status_refusal(status: u16) -> Refusal {
    match status {
        401 => Refusal::new(401, "E0000004", "Authentication failed"),
        403 => Refusal::forbidden(),
        404 => Refusal::not_found("", "Unknown"),
        429 => Refusal::rate_limited(),
        502 => Refusal::new(502, "E0000240", "Request timed out waiting for agent."),
        503 => Refusal::new(503, "E0000010", "Service is in read only mode."),
        other if other >= 500 => Refusal::new(other, "E0000009", "Internal Server Error"),
        other => Refusal::new(other, "E0000001", "Api validation failed"),
    }
}

/// Waits, if a fault says so, before the answer begins.
pub(crate) async fn slow_start(faults: &[FaultKind]) {
    for fault in faults {
        if let FaultKind::Slow { millis } = fault {
            tokio::time::sleep(Duration::from_millis(*millis)).await;
        }
    }
}

/// Builds the HTTP answer.
pub(crate) fn finish(
    request: &Request,
    mut answer: Answer,
    quota: Option<Quota>,
    faults: &[FaultKind],
    fold: bool,
) -> Result<Response<Body>, Dropped> {
    if faults.contains(&FaultKind::DropConnection) {
        return Err(Dropped);
    }
    let mut fold = fold;
    for fault in faults {
        spoil_links(fault, &mut answer, request);
        fold |= *fault == FaultKind::FoldLinks;
        if let Some(spoiled) = answer.body.as_deref().and_then(|body| spoil(fault, body)) {
            answer.body = Some(spoiled);
        }
    }
    let body = Bytes::from(answer.body.take().unwrap_or_default());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if !body.is_empty() {
        let kind = answer.content_type.as_deref().unwrap_or("application/json");
        put(headers, CONTENT_TYPE, kind);
    }
    for (name, value) in &answer.headers {
        put(headers, HeaderName::from_static(name), value);
    }
    put(headers, HeaderName::from_static("x-okta-request-id"), &request.id);
    put(headers, DATE, &http_date(request.now));
    put(headers, HeaderName::from_static("cache-control"), "no-cache, no-store");
    link_headers(headers, &answer.links, fold);
    rate_headers(headers, quota, request.now, faults);
    spoil_headers(headers, faults);
    *response.body_mut() = deliver(headers_len(response.headers_mut(), &body), body, faults);
    Ok(response)
}

/// Sets `Content-Length` for a body that may break off before its end.
fn headers_len(headers: &mut HeaderMap, body: &Bytes) -> usize {
    if !body.is_empty() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    body.len()
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

fn http_date(now: Stamp) -> String {
    jiff::Timestamp::from_millisecond(now.millis())
        .ok()
        .and_then(|at| jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok())
        .unwrap_or_default()
}

fn link_headers(headers: &mut HeaderMap, links: &[(&'static str, String)], fold: bool) {
    let link = HeaderName::from_static("link");
    let values: Vec<String> = links.iter().map(|(relation, url)| format!("<{url}>; rel=\"{relation}\"")).collect();
    if fold && !values.is_empty() {
        put(headers, link, &values.join(", "));
    } else {
        for value in &values {
            put(headers, link.clone(), value);
        }
    }
}

fn spoil_links(fault: &FaultKind, answer: &mut Answer, request: &Request) {
    match fault {
        FaultKind::EmptyList | FaultKind::ShortList { .. } | FaultKind::LoseNext => {
            answer.links.retain(|(relation, _)| *relation != "next");
        }
        FaultKind::NextLoop => {
            answer.links.retain(|(relation, _)| *relation != "next");
            // A first page has no cursor of its own to repeat, so its own address it is.
            let own = format!("{}{}?{}", request.base, request.path, request.raw_query);
            answer.links.push(("next", own));
        }
        FaultKind::ForeignNext { base } => {
            for (relation, url) in &mut answer.links {
                if *relation == "next" {
                    *url = url.replacen(&request.base, base, 1);
                }
            }
        }
        _ => {}
    }
}

const LIMIT: HeaderName = HeaderName::from_static("x-rate-limit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-rate-limit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-rate-limit-reset");

fn rate_headers(headers: &mut HeaderMap, quota: Option<Quota>, now: Stamp, faults: &[FaultKind]) {
    let Some(mut quota) = quota else {
        return;
    };
    for fault in faults {
        match fault {
            FaultKind::RateLimited { reset_in, .. } => {
                quota.remaining = 0;
                quota.reset = now.seconds() + reset_in;
            }
            FaultKind::ConcurrencyLimited { reset_in } => {
                quota.limit = 0;
                quota.remaining = 0;
                quota.reset = now.seconds() + reset_in;
            }
            FaultKind::Remaining { remaining, reset_in } => {
                quota.remaining = *remaining;
                quota.reset = now.seconds() + reset_in;
            }
            _ => {}
        }
    }
    put(headers, LIMIT, &quota.limit.to_string());
    put(headers, REMAINING, &quota.remaining.to_string());
    put(headers, RESET, &quota.reset.to_string());
    if faults.contains(&FaultKind::DoubleRateHeaders) {
        put(headers, LIMIT, &(quota.limit / 2).to_string());
        put(headers, REMAINING, &(quota.remaining / 2).to_string());
        put(headers, RESET, &quota.reset.to_string());
    }
}

fn spoil_headers(headers: &mut HeaderMap, faults: &[FaultKind]) {
    for fault in faults {
        let (date, rates) = match fault {
            FaultKind::StripDate => (true, false),
            FaultKind::StripRateHeaders => (false, true),
            FaultKind::RateLimited { without_date, without_headers, .. } => (*without_date, *without_headers),
            FaultKind::WrongContentType { value } => {
                headers.remove(CONTENT_TYPE);
                put(headers, CONTENT_TYPE, value);
                (false, false)
            }
            _ => (false, false),
        };
        if date {
            headers.remove(DATE);
        }
        if rates {
            for name in [LIMIT, REMAINING, RESET] {
                headers.remove(name);
            }
        }
    }
}

/// The body as it is sent: whole, in pieces, or broken off.
fn deliver(length: usize, body: Bytes, faults: &[FaultKind]) -> Body {
    let cut = faults.iter().find_map(|fault| match fault {
        FaultKind::TruncateBody { after } => Some((*after).min(length)),
        _ => None,
    });
    if let Some(after) = cut {
        // The pause lets head and first bytes out before HTTP/2 resets the stream.
        let pieces = stream::iter([Some(body.slice(..after)), None]).then(|piece| async move {
            if let Some(piece) = piece {
                return Ok(piece);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, Dropped))
        });
        return Body::from_stream(pieces);
    }
    let slow = faults.iter().find_map(|fault| match fault {
        FaultKind::SlowBody { piece, millis } => Some(((*piece).max(1), *millis)),
        _ => None,
    });
    if let Some((piece, millis)) = slow {
        let starts: Vec<usize> = (0..length).step_by(piece).collect();
        let pieces = stream::iter(starts).then(move |start| {
            let part = body.slice(start..(start + piece).min(length));
            async move {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok::<_, std::io::Error>(part)
            }
        });
        return Body::from_stream(pieces);
    }
    Body::from(body)
}
