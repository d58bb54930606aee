//! An answer before faults and common headers are laid over it.

use serde_json::Value;

/// What an endpoint answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub status: u16,
    /// JSON text; `None` for an answer without a body.
    pub body: Option<String>,
    /// `link` headers: relation and absolute URL.
    pub links: Vec<(&'static str, String)>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The content type, where it is not `application/json`.
    pub content_type: Option<String>,
}

impl Answer {
    /// 200 with JSON text.
    pub fn json(body: String) -> Self {
        Self { status: 200, body: Some(body), ..Self::default() }
    }

    /// 200 with a JSON tree.
    pub fn tree(value: &Value) -> Self {
        Self::json(value.to_string())
    }

    /// A tree with another status.
    pub fn with_status(status: u16, value: &Value) -> Self {
        Self { status, ..Self::tree(value) }
    }

    /// 204 without a body.
    pub fn nothing() -> Self {
        Self { status: 204, ..Self::default() }
    }
}
