//! What the server tells a caller whose request it does not grant: a gRPC code and Teleport's own words for it (reference §1.5, §15–17).

use tonic::{Code, Status};

/// A request that was not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// gRPC code.
    pub code: Code,
    /// Teleport's words.
    pub message: String,
}

impl Refusal {
    /// A refusal with this code and these words.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Teleport's `BadParameter`.
    pub fn bad_parameter(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// Teleport's `NotFound`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// Teleport's `AccessDenied`.
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, message)
    }

    /// Teleport's `CompareFailed` on a revision.
    #[must_use]
    pub fn revision_mismatch() -> Self {
        Self::new(
            Code::FailedPrecondition,
            "resource revision does not match, it may have been concurrently created|modified|deleted; please work from the latest state, or use --force to overwrite",
        )
    }

    /// A call that this version does not have.
    #[must_use]
    pub fn unimplemented(method: &str) -> Self {
        Self::new(Code::Unimplemented, format!("method {method} not implemented"))
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.message)
    }
}
