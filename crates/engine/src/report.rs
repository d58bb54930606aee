//! What is said about a pass: the one value that status, command line, logs and metrics are made from (P17).

use std::collections::BTreeMap;

use api::status::{MAX_ERRORS, Memory, PendingPlan, Problem, UserCounts};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    cluster::ClusterFacts,
    directory::Organisation,
    failure::{Class, Failure},
};

/// At most this many people in [`Report::undone`].
const MAX_UNDONE: usize = 100;

/// How a pass ended.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// All that had to be done is done.
    Succeeded,
    /// Removals wait for approval; everything else is done.
    Held,
    /// Something was left undone: an incomplete read, a person for whom a write failed.
    Partial,
    /// Nothing was written, because something must be mended first.
    Refused,
    /// Only computed, as asked.
    Previewed,
}

impl Outcome {
    /// The word in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Held => "Held",
            Self::Partial => "Partial",
            Self::Refused => "Refused",
            Self::Previewed => "Previewed",
        }
    }
}

/// How far the list of people was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// It was not begun.
    NotBegun,
    /// To its last page.
    Complete,
    /// Not to its end (P1).
    Incomplete {
        /// Page, from 1, that could not be had.
        page: usize,
        /// Why.
        why: Failure,
    },
}

impl Read {
    /// The words in status.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::NotBegun => "not begun".into(),
            Self::Complete => "complete".into(),
            Self::Incomplete { page, why } => format!("incomplete at page {page}: {why}"),
        }
    }
}

/// One change of a plan, as a preview shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// create, update, rename, lock, unlock, remove.
    pub action: &'static str,
    /// User name.
    pub user: String,
    /// Okta id of the person.
    pub okta_id: String,
    /// Why.
    pub why: String,
    /// Whether it was (or, in a preview, would be) applied; a held removal is not.
    pub applies: bool,
    /// Field by field: what it is and what it will be. Of updates, and in a preview of users that are to be made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
}

/// One field of an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// `roles`, `traits.<name>`, `labels.<key>` or `expires`.
    pub field: String,
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
}

/// A pass, told whole.
#[derive(Debug)]
pub struct Report {
    /// Id of the pass.
    pub id: String,
    /// When it began.
    pub started: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// How far the people were read.
    pub read: Read,
    /// The failure that made the pass end early, if one did.
    pub failure: Option<Failure>,
    /// Counts.
    pub counts: UserCounts,
    /// What went wrong for whom; at most [`MAX_ERRORS`] are kept.
    pub problems: Vec<Problem>,
    /// How many problems there were in all.
    pub problem_count: usize,
    /// How many there were of each class.
    pub problem_classes: BTreeMap<&'static str, usize>,
    /// Why something failed, for anybody: each reason once, and its class.
    pub failure_reasons: BTreeMap<&'static str, Class>,
    /// Removals that wait for approval.
    pub pending: Option<PendingPlan>,
    /// What became of an approval, if one was given.
    pub approval: Option<String>,
    /// Things worth telling that stopped nothing.
    pub warnings: Vec<String>,
    /// Calls to Okta in this pass.
    pub okta_calls: u64,
    /// The organisation, if it was reached.
    pub organisation: Option<Organisation>,
    /// The cluster, if it was reached.
    pub cluster: Option<ClusterFacts>,
    /// Life of a leaver's lock, if it could be computed.
    pub lock_life: Option<SignedDuration>,
    /// What the next pass must know.
    pub memory: Memory,
    /// Every change, if it was asked for.
    pub changes: Vec<Change>,
    /// Calls that wrote (or tried to write) to Teleport.
    pub writes: u64,
    /// Okta ids of those for whom something failed; the first hundred.
    pub undone: Vec<String>,
    /// How many people of this scope another resource has the users of, by its `namespace/name`: for a word to both.
    pub overlaps: BTreeMap<String, i64>,
}

impl Report {
    /// Notes a problem of one person or user (`user` empty: of the pass).
    pub fn problem(&mut self, class: Class, user: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.problem_count += 1;
        *self.problem_classes.entry(class.as_str()).or_default() += 1;
        if self.problems.len() < MAX_ERRORS {
            self.problems.push(Problem {
                class: class.as_str().into(),
                user: user.to_owned(),
                message: api::condition::cut(&message.into(), 512),
                remedy: api::condition::cut(&remedy.into(), 512),
            });
        }
    }

    /// The refusal that everything failed for, if there is one: what we may not do stands against us and not against a
    /// person, so one word says what has to be mended.
    #[must_use]
    pub fn only_refusal(&self) -> Option<&'static str> {
        let mut reasons = self.failure_reasons.iter();
        match (reasons.next(), reasons.next()) {
            (Some((reason, Class::Permission)), None) => Some(reason),
            _ => None,
        }
    }

    /// Notes that something is left to do for the person.
    pub(crate) fn undone(&mut self, okta_id: &str) {
        if self.undone.len() < MAX_UNDONE && !self.undone.iter().any(|known| known == okta_id) {
            self.undone.push(okta_id.to_owned());
        }
    }

    /// Notes a failure of one person or user (`user` empty: of the pass).
    pub fn failed(&mut self, user: &str, failure: &Failure) {
        self.failure_reasons.insert(failure.reason, failure.class);
        self.problem(failure.class, user, failure.message.clone(), failure.remedy.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::OriginMode, failure::Side, person::PersonStatus};

    // Status, metrics and the command line show these words; documents and alerts name them.
    #[test]
    fn outcomes_reads_classes_and_states_have_the_words_that_are_documented() {
        use Outcome::{Held, Partial, Previewed, Refused, Succeeded};
        let outcomes = [Succeeded, Held, Partial, Refused, Previewed].map(Outcome::as_str);
        assert_eq!(outcomes, ["Succeeded", "Held", "Partial", "Refused", "Previewed"]);
        let why = Failure::new(Side::Okta, Class::Transient, "Down", "no answer", "wait");
        assert_eq!([Read::NotBegun.words(), Read::Complete.words()], ["not begun", "complete"]);
        assert_eq!(Read::Incomplete { page: 3, why: why.clone() }.words(), format!("incomplete at page 3: {why}"));
        assert_eq!([OriginMode::Bot, OriginMode::Okta].map(OriginMode::as_str), ["Bot", "Okta"]);
        assert_eq!(Class::Waiting.to_string(), "Waiting");
        for state in PersonStatus::KNOWN {
            assert_eq!(PersonStatus::from(state.as_str()), state);
        }
        assert_eq!(PersonStatus::from("VACATION"), PersonStatus::Other("VACATION".into()));
    }

    #[test]
    fn only_what_passes_by_itself_is_tried_again() {
        use Class::{Budget, Bug, Configuration, Conflict, Credential, Permission, Transient, Waiting};
        assert!([Budget, Transient, Waiting].into_iter().all(Class::retry));
        assert!(![Bug, Configuration, Conflict, Credential, Permission].into_iter().any(Class::retry));
    }
}
