//! What Okta says when it refuses a call: management API errors (`E000…`), OAuth errors, and bare statuses.

mod verdict;

use std::fmt;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

pub(crate) use self::verdict::Verdict;
use crate::challenge::{self, Challenge};

/// Longest text that is taken over from an answer, in characters.
const LONGEST: usize = 300;

/// A call that Okta refused, with everything that Okta's support asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Verb and path, without query.
    pub call: String,
    /// HTTP status.
    pub status: u16,
    /// Okta's `errorCode` (`E0000007`) or OAuth's `error` (`invalid_client`). The only part that Okta promises to keep.
    pub code: Option<String>,
    /// Okta's words for it.
    pub summary: Option<String>,
    /// Okta's words for the single causes.
    pub causes: Vec<String>,
    /// Okta's `errorId` (`oae…`).
    pub error_id: Option<String>,
    /// The `X-Okta-Request-Id` header.
    pub request_id: Option<String>,
    /// The `WWW-Authenticate` header.
    pub challenge: Option<Challenge>,
}

/// Both error forms at once; everything may be missing.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Body {
    error_code: Option<String>,
    error_summary: Option<String>,
    error_id: Option<String>,
    error_causes: Option<Vec<Cause>>,
    error: Option<String>,
    #[serde(rename = "error_description")]
    error_description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cause {
    error_summary: Option<String>,
}

impl Refusal {
    /// Reads an answer that is not a success. Never fails: what cannot be read is left out.
    pub(crate) fn read(call: String, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        // serde takes a list for a struct as well; Okta's errors are objects.
        let is_object = body.trim_ascii_start().starts_with(b"{");
        let body: Body = if is_object { serde_json::from_slice(body).unwrap_or_default() } else { Body::default() };
        let challenge = challenge::read(headers);
        let said = challenge.clone().unwrap_or_default();
        Self {
            call,
            status: status.as_u16(),
            code: body.error_code.or(body.error).or(said.error).map(|text| plain(&text)),
            summary: body.error_summary.or(body.error_description).or(said.description).map(|text| plain(&text)),
            causes: body
                .error_causes
                .unwrap_or_default()
                .into_iter()
                .filter_map(|cause| cause.error_summary)
                .take(5)
                .map(|text| plain(&text))
                .collect(),
            error_id: body.error_id.map(|text| plain(&text)),
            request_id: headers.get("x-okta-request-id").and_then(|id| id.to_str().ok()).map(plain),
            challenge,
        }
    }

    /// Whether it is this code.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether Okta's words contain these.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.summary.as_deref().is_some_and(|summary| summary.contains(words))
    }

    /// Whether the answer means that a thing with that id does not exist, or may not be seen.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == 404 && self.is("E0000007")
    }
}

/// Text from outside on one line, of bounded length.
fn plain(text: &str) -> String {
    let mut kept: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        kept.push('…');
    }
    kept
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Okta answered {} with {}", self.call, self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(summary) = &self.summary {
            write!(f, ": {summary}")?;
        }
        for cause in &self.causes {
            write!(f, " [{cause}]")?;
        }
        if let Some(scope) = self.challenge.as_ref().and_then(|challenge| challenge.scope.as_ref()) {
            write!(f, " (scope {scope})")?;
        }
        if let Some(id) = &self.error_id {
            write!(f, " (errorId {id})")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_support_asks_for_is_kept() {
        let body = br#"{"errorCode":"E0000001","errorSummary":"Api validation failed: limit","errorLink":"E0000001",
                        "errorId":"oae1","errorCauses":[{"errorSummary":"limit: too big"},{}],"new":1}"#;
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-okta-request-id"),
            HeaderValue::from_static("req1"),
        )]);
        let refusal = Refusal::read("GET /api/v1/apps".to_owned(), StatusCode::BAD_REQUEST, &headers, body);
        assert_eq!(
            refusal.to_string(),
            "Okta answered GET /api/v1/apps with 400 E0000001: Api validation failed: limit [limit: too big] \
             (errorId oae1) (request req1)"
        );
    }

    #[test]
    fn an_oauth_error_and_an_empty_body_are_read_as_well() {
        let oauth = br#"{"error":"invalid_client","error_description":"The client_assertion JWT kid is invalid."}"#;
        let refusal =
            Refusal::read("POST /oauth2/v1/token".to_owned(), StatusCode::UNAUTHORIZED, &HeaderMap::new(), oauth);
        assert!(refusal.is("invalid_client") && refusal.says("kid is invalid"));
        let empty = Refusal::read("GET /x".to_owned(), StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<html>");
        assert_eq!(empty.to_string(), "Okta answered GET /x with 502");
    }

    #[test]
    fn words_from_outside_stay_on_one_line_and_short() {
        let body = format!(r#"{{"errorSummary":"a\nb{}"}}"#, "x".repeat(1000));
        let refusal = Refusal::read(String::new(), StatusCode::FORBIDDEN, &HeaderMap::new(), body.as_bytes());
        let summary = refusal.summary.unwrap();
        assert!(summary.starts_with("a b") && summary.chars().count() == 301);
    }
}
