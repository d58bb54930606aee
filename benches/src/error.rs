//! Why there is no figure.

use std::io;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A process did not do its part.
    #[error("{what} failed: {why}")]
    Process {
        /// Which.
        what: String,
        /// What it said.
        why: String,
    },
    /// An answer could not be read.
    #[error("{what} cannot be read: {why}")]
    Unreadable {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
}

impl BenchError {
    /// A system error while `what`.
    pub fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }

    /// `what` did not do its part.
    pub fn process(what: impl Into<String>, why: &(impl ToString + ?Sized)) -> Self {
        Self::Process { what: what.into(), why: why.to_string() }
    }

    /// `what` cannot be read.
    pub fn unreadable(what: impl Into<String>, why: &(impl ToString + ?Sized)) -> Self {
        Self::Unreadable { what: what.into(), why: why.to_string() }
    }
}
