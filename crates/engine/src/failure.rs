//! What can go wrong at Okta or Teleport, as data: its class, whether trying again can help, and what a person can do.

use std::fmt;

/// Kind of a failure. It decides what the pass and the operator do next; the message is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A key, token or certificate is missing, unreadable, expired or not accepted.
    Credential,
    /// The credential is good but may not do this.
    Permission,
    /// A rate limit or quota is used up.
    Budget,
    /// The other side or the way to it is down or answers nonsense; the next try may succeed.
    Transient,
    /// The specification, or something it names, is wrong.
    Configuration,
    /// The other side holds something that is not ours in the place.
    Conflict,
    /// Time has to pass first.
    Waiting,
    /// Something that cannot happen did.
    Bug,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Credential,
        Self::Permission,
        Self::Budget,
        Self::Transient,
        Self::Configuration,
        Self::Conflict,
        Self::Waiting,
        Self::Bug,
    ];

    /// The word used in status, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "Credential",
            Self::Permission => "Permission",
            Self::Budget => "Budget",
            Self::Transient => "Transient",
            Self::Configuration => "Configuration",
            Self::Conflict => "Conflict",
            Self::Waiting => "Waiting",
            Self::Bug => "Bug",
        }
    }

    /// Whether the same call may succeed later without any change by a person.
    #[must_use]
    pub fn retry(self) -> bool {
        matches!(self, Self::Transient | Self::Budget | Self::Waiting)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// On which side it failed; decides which condition speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Okta, or the way to it.
    Okta,
    /// Teleport, or the way to it.
    Teleport,
    /// The specification or this program.
    Here,
}

/// One failure: what happened, and what to do. Never carries a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Where.
    pub side: Side,
    /// What kind.
    pub class: Class,
    /// `PascalCase` word for a condition's reason, such as `KeyUnreadable`.
    pub reason: &'static str,
    /// What happened, to whom.
    pub message: String,
    /// What to do next.
    pub remedy: String,
}

impl Failure {
    /// A failure of that class.
    #[must_use]
    pub fn new(
        side: Side,
        class: Class,
        reason: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { side, class, reason, message: message.into(), remedy: remedy.into() }
    }
}
