//! Errors of the management API, in the vendor's `E000…` form.

use serde_json::{Value, json};

/// A call that the org refuses, as the management API words it: HTTP status, error code, summary, causes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status} {code}: {summary}")]
pub struct Refusal {
    /// HTTP status of the answer.
    pub status: u16,
    /// Okta's error code, such as `E0000007`. The only contractual part.
    pub code: &'static str,
    /// Okta's `errorSummary`.
    pub summary: String,
    /// The summaries of Okta's `errorCauses`.
    pub causes: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &'static str, summary: impl Into<String>) -> Self {
        Self { status, code, summary: summary.into(), causes: Vec::new() }
    }

    /// `E0000001`: a field or parameter that does not pass; `field` is what the summary names.
    pub(crate) fn validation(field: &str, cause: impl Into<String>) -> Self {
        let mut refusal = Self::new(400, "E0000001", format!("Api validation failed: {field}"));
        refusal.causes.push(cause.into());
        refusal
    }

    /// `E0000003`: the body is not JSON, or not of the expected shape.
    pub(crate) fn malformed() -> Self {
        Self::new(400, "E0000003", "The request body was not well-formed.")
    }

    /// `E0000005`: no credential that the endpoint accepts.
    pub(crate) fn invalid_session() -> Self {
        Self::new(403, "E0000005", "Invalid session")
    }

    /// `E0000006`: missing admin role, or outside its resource set.
    pub(crate) fn forbidden() -> Self {
        Self::new(403, "E0000006", "You do not have permission to perform the requested action")
    }

    /// `E0000007`: no such object, or none that the caller may see.
    pub(crate) fn not_found(id: &str, kind: &str) -> Self {
        Self::new(404, "E0000007", format!("Not found: Resource not found: {id} ({kind})"))
    }

    /// `E0000022`: the path exists, the verb does not.
    pub(crate) fn method() -> Self {
        Self::new(405, "E0000022", "The endpoint does not support the provided HTTP method")
    }

    /// `E0000031`: a `search` or `filter` that cannot be read.
    pub(crate) fn search(cause: impl Into<String>) -> Self {
        let mut refusal = Self::new(400, "E0000031", "Invalid search criteria.");
        refusal.causes.push(cause.into());
        refusal
    }

    /// `E0000038`: the person's status does not allow it.
    pub(crate) fn status_forbids() -> Self {
        Self::new(403, "E0000038", "This operation is not allowed in the user's current status.")
    }

    /// `E0000054`: a cursor or limit that is no good.
    pub(crate) fn pagination() -> Self {
        Self::new(400, "E0000054", "Invalid pagination properties.")
    }

    /// `E0000047`: over the rate or concurrency limit.
    pub(crate) fn rate_limited() -> Self {
        Self::new(429, "E0000047", "API call exceeded rate limit due to too many requests.")
    }

    /// The answer's body, as the vendor writes it.
    #[must_use]
    pub fn body(&self, error_id: &str) -> Value {
        let causes: Vec<Value> = self.causes.iter().map(|c| json!({ "errorSummary": c })).collect();
        json!({
            "errorCode": self.code,
            "errorSummary": self.summary,
            "errorLink": self.code,
            "errorId": error_id,
            "errorCauses": causes,
        })
    }
}
