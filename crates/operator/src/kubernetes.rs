//! Calls to the Kubernetes API: each with a deadline, because the client has none of its own.

use std::{future::Future, time::Duration};

/// Longest wait for an answer of the API server to one plain request.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);

/// How long a watch may be silent before its connection is taken for dead. The API server sends a bookmark about once a
/// minute where nothing else happens.
pub const SILENCE: Duration = Duration::from_secs(150);

/// Why a call to the Kubernetes API did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer came in time.
    #[error("the Kubernetes API did not answer within {} s", CALL_LIMIT.as_secs())]
    Late,
    /// It refused, or could not be reached.
    #[error("Kubernetes API: {0}")]
    Refused(#[from] kube::Error),
    /// Another process has written the status since the one that a new one was made from.
    #[error("another operator has written the status meanwhile; what it says is read first")]
    Overtaken,
}

impl ApiError {
    /// Whether the object is gone.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether somebody else wrote the object first, which is no error but a reason to look again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.is_overtaken() || self.code() == Some(409)
    }

    /// Whether a status was not written because it was made from one that is not the newest.
    #[must_use]
    pub fn is_overtaken(&self) -> bool {
        matches!(self, Self::Overtaken)
    }

    /// Whether the definition does not declare a field of what was written. Server-side apply answers so with a plain 500
    /// and these words (structured-merge-diff).
    #[must_use]
    pub fn is_undeclared(&self) -> bool {
        matches!(self, Self::Refused(kube::Error::Api(status)) if status.message.contains("field not declared in schema"))
    }

    fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(kube::Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }
}

/// `call` with [`CALL_LIMIT`] as its deadline.
///
/// # Errors
/// The call's own, or [`ApiError::Late`].
pub async fn within_limit<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    match tokio::time::timeout(CALL_LIMIT, call).await {
        Ok(answer) => answer.map_err(ApiError::from),
        Err(_) => Err(ApiError::Late),
    }
}

/// `config` as this program uses it: without the client's own retries, which may hold a call back for many minutes
/// (watches and passes have backoffs of their own); and no connection is waited on that says nothing any more.
#[must_use]
pub fn tuned(mut config: kube::Config) -> kube::Config {
    config.default_retry = false;
    config.read_timeout = Some(SILENCE);
    config
}
