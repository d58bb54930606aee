//! What is known of one resource, as metrics show it, and the words beside its name.

use std::fmt;

use engine::{failure::Class, journal::Action, lock::LockReason, report::Outcome};
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};

use super::{Kind, Measured, series::Several};

/// One resource. A `u64` is a counter; an `i64` and, for seconds, an `f64` are gauges.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) passes: Several<Passed, u64>,
    pub(super) failures: Several<Cause, u64>,
    pub(super) problems: Several<OfClass, i64>,
    pub(super) people: Several<State, i64>,
    pub(super) held: Option<i64>,
    pub(super) held_since: Option<f64>,
    pub(super) locks: Option<i64>,
    pub(super) ready: Option<i64>,
    pub(super) stalled: Option<i64>,
    pub(super) suspended: Option<i64>,
    pub(super) preview: Option<i64>,
    pub(super) interval: Option<f64>,
    pub(super) okta_calls: Option<u64>,
    pub(super) succeeded: Option<f64>,
    pub(super) identity_issued: Option<f64>,
    pub(super) identity_expiry: Option<f64>,
    pub(super) key_created: Option<f64>,
    pub(super) written: Several<Written, u64>,
    pub(super) locks_made: Several<ForReason, u64>,
    pub(super) locks_lifted: Option<u64>,
}

/// A pass: what it looked at and how it ended.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) struct Passed {
    kind: Kind,
    result: Outcome,
}

impl Passed {
    pub(super) fn of(measured: &Measured<'_>) -> Self {
        Self { kind: measured.kind, result: measured.outcome }
    }
}

impl EncodeLabelSet for Passed {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [("kind", self.kind.as_str()), ("result", self.result.as_str())].encode(encoder)
    }
}

/// What stopped a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) class: Class,
    pub(super) reason: &'static str,
}

impl EncodeLabelSet for Cause {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [("class", self.class.as_str()), ("reason", self.reason)].encode(encoder)
    }
}

/// A class of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OfClass(pub(super) Class);

impl EncodeLabelSet for OfClass {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [("class", self.0.as_str())].encode(encoder)
    }
}

/// A state of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(pub(super) &'static str);

impl EncodeLabelSet for State {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [("state", self.0)].encode(encoder)
    }
}

/// A write to Teleport: what was written, and whether it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) action: Action,
    pub(super) done: bool,
}

impl EncodeLabelSet for Written {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let result = if self.done { "done" } else { "failed" };
        [("action", self.action.as_str()), ("result", result)].encode(encoder)
    }
}

/// Why a lock is made.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) struct ForReason(pub(super) LockReason);

impl EncodeLabelSet for ForReason {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [("reason", self.0.as_str())].encode(encoder)
    }
}

#[cfg(test)]
impl Row {
    /// How many numbers it has beside those of its own fields, and what it takes, these included.
    pub(super) fn measure(&self) -> (usize, usize) {
        let several = [
            self.passes.measure(),
            self.failures.measure(),
            self.problems.measure(),
            self.people.measure(),
            self.written.measure(),
            self.locks_made.measure(),
        ];
        several.into_iter().fold((0, size_of::<Self>()), |all, one| (all.0 + one.0, all.1 + one.1))
    }
}
