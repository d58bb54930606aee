//! The lines about keys that the operator makes. Their JSON schema is made from here, as that of [`super::line`].

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::line::{Phase, Verdict};
use crate::metrics::Resource;

/// Version of the shape. Fields may be added within a version.
pub const VERSION: &str = "usersync.dev/journal/key/v1";

/// What happens to a key. The private half is in no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// A pair is made and put into a Secret of its own: two lines.
    Make,
    /// Okta accepts the key, and it is used from now on: one line.
    Accept,
    /// Okta refuses the key that was accepted before, so the former one is used again: one line, of the former.
    Revert,
    /// Its Secret is deleted: two lines.
    Remove,
}

impl KeyAction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Make => "make_key",
            Self::Accept => "accept_key",
            Self::Revert => "revert_key",
            Self::Remove => "remove_key",
        }
    }
}

/// One line about a key that the operator makes for a resource: something that is going to be done, or has been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "A key for Okta")]
pub struct KeyLine {
    /// Version of this shape: `usersync.dev/journal/key/v1`.
    #[schemars(extend("const" = VERSION))]
    pub(super) schema: &'static str,
    /// Before or after.
    pub(super) phase: Phase,
    /// When, by the operator's clock.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub(super) time: Timestamp,
    /// The step; the same in both of its lines, and in no other.
    pub(super) id: String,
    /// The resource, as `namespace/name`.
    pub(super) resource: String,
    /// The process: the pod's name.
    pub(super) instance: String,
    /// `make_key`, `accept_key`, `revert_key` or `remove_key`.
    pub(super) action: &'static str,
    /// Name of the key, as Okta shows it.
    pub(super) kid: String,
    /// Name of the Secret that holds it.
    pub(super) secret: String,
    /// Why.
    pub(super) why: &'static str,
    /// How it ended; there in the last line only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<Verdict>,
    /// Reason of a failure, one word, as in conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// A step of one key, for the journal.
#[derive(Clone, Copy, Debug)]
pub struct KeyStep<'a> {
    /// What.
    pub action: KeyAction,
    /// Name of the key.
    pub kid: &'a str,
    /// Name of its Secret.
    pub secret: &'a str,
    /// Why.
    pub why: &'static str,
}

impl KeyLine {
    /// Of `step`, before it is taken.
    pub(super) fn new(step: KeyStep<'_>, id: &str, resource: &Resource, instance: &str) -> Self {
        Self {
            schema: VERSION,
            phase: Phase::Intent,
            time: Timestamp::now(),
            id: id.to_owned(),
            resource: format!("{}/{}", resource.namespace, resource.name),
            instance: instance.to_owned(),
            action: step.action.as_str(),
            kid: step.kid.to_owned(),
            secret: step.secret.to_owned(),
            why: step.why,
            result: None,
            reason: None,
        }
    }

    /// The same, once it has ended.
    pub(super) fn ended(self, result: Verdict, reason: Option<&str>) -> Self {
        Self { phase: Phase::Outcome, result: Some(result), reason: reason.map(str::to_owned), ..self }
    }
}
