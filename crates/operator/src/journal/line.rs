//! One line of the journal. Its JSON schema is made from here; a change that is not an addition is a new [`VERSION`].

use engine::journal::{Action, Write};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::metrics::Resource;

/// Version of the shape. Fields may be added within a version.
pub const VERSION: &str = "usersync.dev/journal/v1";

/// One line about a write to Teleport that is going to be made, or one that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "A write to Teleport")]
pub struct Line {
    /// Version of this shape: `usersync.dev/journal/v1`.
    #[schemars(extend("const" = VERSION))]
    schema: &'static str,
    /// Which of the two lines of a write this is.
    phase: Phase,
    /// When, by the operator's clock.
    #[schemars(with = "String", extend("format" = "date-time"))]
    time: Timestamp,
    /// The write; the same in both of its lines, and in no other. It is the pass and a number within it.
    id: String,
    /// The resource, as `namespace/name`.
    resource: String,
    /// Id of the pass, as in the log, in `status.lastRun.id` and in the message of locks.
    pass: String,
    /// W3C trace id of the pass, as its spans carry it where traces are exported.
    trace_id: String,
    /// The process that writes: the pod's name.
    instance: String,
    /// What is done.
    action: &'static str,
    /// Whose user it is: the Okta id of the person.
    okta_id: String,
    /// The lock that is made or taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<LockLine>,
    /// Why, in words that name nobody.
    why: String,
    /// What it rests on.
    evidence: Evidence,
    /// Hash of the set of removals that this write is part of, as `status.pendingPlan.hash` says it when it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_hash: Option<String>,
    /// What an update changes. Values are told of roles only; traits hold personal data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<FieldLine>,
    /// How the write ended; there in the second line only.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Verdict>,
    /// Reason of a failure, one word, as in conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Which of the two lines of a write it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Before the write is made. Without a second line the process died: it may or may not have happened.
    Intent,
    /// After it has ended.
    Outcome,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// As it was meant.
    Done,
    /// Nothing was written: a user of that name exists already.
    Exists,
    /// Nothing was written: somebody else changed or deleted the user since it was read.
    Stale,
    /// Nothing was written: a role does not exist.
    RoleMissing,
    /// It failed, or no answer came: it may or may not have happened.
    Failed,
}

/// What a write rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Evidence {
    /// People in the list that was read to its last page; not there if none was read to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    people_read: Option<usize>,
    /// Whether Okta said so when it was asked about this very person.
    confirmed_by_id: bool,
    /// Whether the set of removals needed an approval, and had it.
    approved: bool,
}

/// A lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LockLine {
    /// Its name in Teleport.
    name: String,
    /// Why it stands: `leaver`, `suspended` or `renamed`; told when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// When it ends by itself; not there if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    expires: Option<Timestamp>,
}

/// One changed field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct FieldLine {
    /// `roles`, `traits.<name>`, `labels.<key>` or `expires`.
    field: String,
    /// Before; told of roles only.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// After; told of roles only.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

impl Line {
    /// Of `write`, still without time, place and end.
    pub(super) fn new(write: &Write<'_>) -> Self {
        let mark = write.made.and_then(|lock| lock.ours.as_ref());
        Self {
            schema: VERSION,
            phase: Phase::Intent,
            time: Timestamp::UNIX_EPOCH,
            id: String::new(),
            resource: String::new(),
            pass: String::new(),
            trace_id: String::new(),
            instance: String::new(),
            action: write.action.as_str(),
            okta_id: write.okta_id.to_owned(),
            lock: write.lock.map(|name| LockLine {
                name: name.to_owned(),
                reason: mark.map(|mark| mark.reason.as_str()),
                expires: write.made.and_then(|lock| lock.expires),
            }),
            why: write.why.to_string(),
            evidence: Evidence {
                people_read: write.grounds.people_read,
                confirmed_by_id: write.confirmed_by_id,
                approved: write.grounds.approved && removes(write),
            },
            plan_hash: write.grounds.plan.clone().filter(|_| removes(write)),
            changes: write.changes.iter().map(FieldLine::of).collect(),
            result: None,
            reason: None,
        }
    }

    pub(super) fn at(self, time: Timestamp, instance: &str) -> Self {
        Self { time, instance: instance.to_owned(), ..self }
    }

    pub(super) fn of(self, resource: &Resource, pass: &str, number: u64) -> Self {
        Self {
            id: format!("{pass}/{number}"),
            resource: format!("{}/{}", resource.namespace, resource.name),
            pass: pass.to_owned(),
            trace_id: pass.to_owned(),
            ..self
        }
    }

    pub(super) fn ended(self, phase: Phase, result: Option<Verdict>, reason: Option<&str>) -> Self {
        Self { phase, result, reason: reason.map(str::to_owned), ..self }
    }
}

/// Whether the write is part of a removal, and so of the plan that the brake judged.
fn removes(write: &Write<'_>) -> bool {
    match write.action {
        Action::DeleteUser => true,
        Action::PutLock => {
            let mark = write.made.and_then(|lock| lock.ours.as_ref());
            mark.is_some_and(|mark| mark.reason != engine::lock::LockReason::Suspended)
        }
        Action::CreateUser | Action::UpdateUser | Action::RemoveLock => false,
    }
}

impl FieldLine {
    fn of(change: &engine::report::FieldChange) -> Self {
        let told = change.field == "roles";
        let value = |text: &String| told.then(|| text.clone());
        Self { field: change.field.clone(), from: value(&change.from), to: value(&change.to) }
    }
}
