//! Whether a pass is due, and why.

use api::{OktaUserSync, OktaUserSyncStatus, condition, names};
use jiff::Timestamp;
use kube::ResourceExt as _;

/// Why a pass begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The specification is new.
    Specification,
    /// The annotation `reconcile.fluxcd.io/requestedAt` has a value that was not carried out yet.
    Requested,
    /// A plan was approved by annotation.
    Approval,
    /// A Secret (or `ConfigMap`) that the resource refers to has other content.
    Secret,
    /// The fast path came upon something that only a full pass can deal with.
    FastPath,
    /// The interval, or the wait after a failure, is over.
    Time,
}

impl Trigger {
    /// The word in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Specification => "specification",
            Self::Requested => "requested",
            Self::Approval => "approval",
            Self::Secret => "secret",
            Self::FastPath => "fastPath",
            Self::Time => "time",
        }
    }
}

/// What is known besides the object itself.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The last status that was written.
    pub status: &'a OktaUserSyncStatus,
    /// The value of the approval annotation that a pass of this process has seen, if there was a pass.
    pub approval_seen: Option<&'a str>,
    /// Whether the content of a referred Secret is another than in the last pass.
    pub secret_changed: bool,
    /// Whether this process has not yet run a pass of it.
    pub first_look: bool,
    /// Whether the fast path asks for a full pass.
    pub wanted: bool,
}

/// Why a pass is due at `now`, or `None` if it is not: then `status.nextRun` is the time to look again.
///
/// A failing resource whose process has just started is not due earlier than its `nextRun` says either, so that a
/// restart of the operator is no storm on Okta. Only one whose last pass could not even begin is looked at: what stood
/// in its way may have been a setting of the operator, and nobody is asked before it is gone.
#[must_use]
pub fn due(object: &OktaUserSync, known: Known<'_>, now: Timestamp) -> Option<Trigger> {
    let status = known.status;
    if status.observed_generation != object.metadata.generation || was_suspended(status) || is_unfinished(status) {
        return Some(Trigger::Specification);
    }
    if requested(object).is_some_and(|token| status.last_handled_reconcile_at.as_deref() != Some(token)) {
        return Some(Trigger::Requested);
    }
    if known.secret_changed {
        return Some(Trigger::Secret);
    }
    if approval(object).is_some_and(|hash| approves(hash, known)) {
        return Some(Trigger::Approval);
    }
    if known.wanted {
        return Some(Trigger::FastPath);
    }
    let may_be_mended = known.first_look && could_not_begin(status);
    (may_be_mended || status.next_run.as_ref().is_none_or(|next| next.0 <= now)).then_some(Trigger::Time)
}

/// Longest token that is told apart and kept in status, in bytes; an annotation may have 256 KiB.
const TOKEN_LIMIT: usize = 256;

/// The token of `reconcile.fluxcd.io/requestedAt`.
#[must_use]
pub fn requested(object: &OktaUserSync) -> Option<&str> {
    let token = object.annotations().get(names::REQUESTED_AT)?;
    let mut end = token.len().min(TOKEN_LIMIT);
    while !token.is_char_boundary(end) {
        end -= 1;
    }
    Some(&token[..end]).filter(|token| !token.is_empty())
}

/// The plan hash that the annotation approves.
#[must_use]
pub fn approval(object: &OktaUserSync) -> Option<&str> {
    object.annotations().get(names::APPROVE_PLAN).map(|hash| hash.trim()).filter(|hash| !hash.is_empty())
}

/// An approval counts once for this process; after a start only if it fits the plan that waits.
fn approves(hash: &str, known: Known<'_>) -> bool {
    match known.approval_seen {
        Some(seen) => seen != hash,
        None => known.status.pending_plan.as_ref().is_some_and(|plan| plan.hash == hash),
    }
}

fn was_suspended(status: &OktaUserSyncStatus) -> bool {
    condition::find(&status.conditions, condition::READY).is_some_and(|ready| ready.reason == crate::status::SUSPENDED)
}

/// The last pass ended before it asked anybody, and waits for a change.
fn could_not_begin(status: &OktaUserSyncStatus) -> bool {
    let asked = |type_| condition::find(&status.conditions, type_).is_some_and(|side| side.status == "True");
    condition::find(&status.conditions, condition::STALLED).is_some()
        && status.last_run.as_ref().is_some_and(|run| run.okta_calls == 0)
        && !asked(condition::OKTA_READY)
        && !asked(condition::TELEPORT_READY)
}

/// A pass was begun and never ended: the process was killed within it.
fn is_unfinished(status: &OktaUserSyncStatus) -> bool {
    condition::find(&status.conditions, condition::READY).is_none_or(|ready| ready.status == "Unknown")
}

#[cfg(test)]
mod tests {
    use api::{condition::condition, status::PendingPlan};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::status::tests::example;

    const NOW: i64 = 1_700_000_000;

    fn at(seconds: i64) -> Time {
        Time(Timestamp::from_second(seconds).unwrap())
    }

    /// A resource at generation 2 whose last pass went well and whose next one comes in a minute.
    fn settled() -> (OktaUserSync, OktaUserSyncStatus) {
        let mut object = example();
        object.metadata.generation = Some(2);
        let status = OktaUserSyncStatus {
            observed_generation: Some(2),
            next_run: Some(at(NOW + 60)),
            conditions: vec![condition(condition::READY, true, "Synced", "", 2, &at(NOW - 600))],
            ..OktaUserSyncStatus::default()
        };
        (object, status)
    }

    fn ask(object: &OktaUserSync, status: &OktaUserSyncStatus) -> Option<Trigger> {
        let known = Known { status, approval_seen: None, secret_changed: false, first_look: false, wanted: false };
        due(object, known, Timestamp::from_second(NOW).unwrap())
    }

    fn annotate(object: &mut OktaUserSync, key: &str, value: &str) {
        object.annotations_mut().insert(key.into(), value.into());
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let (object, mut status) = settled();
        assert_eq!(ask(&object, &status), None);
        status.next_run = Some(at(NOW));
        assert_eq!(ask(&object, &status), Some(Trigger::Time));
        status.next_run = None;
        assert_eq!(ask(&object, &status), Some(Trigger::Time));
    }

    #[test]
    fn a_new_specification_is_due_at_once() {
        let (mut object, status) = settled();
        object.metadata.generation = Some(3);
        assert_eq!(ask(&object, &status), Some(Trigger::Specification));
        assert_eq!(ask(&object, &OktaUserSyncStatus::default()), Some(Trigger::Specification));
    }

    #[test]
    fn a_pass_that_was_cut_off_begins_anew() {
        let (object, mut status) = settled();
        status.conditions[0].status = "Unknown".into();
        assert_eq!(ask(&object, &status), Some(Trigger::Specification));
    }

    #[test]
    fn a_requested_token_is_carried_out_once() {
        let (mut object, mut status) = settled();
        annotate(&mut object, names::REQUESTED_AT, "2026-01-01T00:00:00Z");
        assert_eq!(ask(&object, &status), Some(Trigger::Requested));
        status.last_handled_reconcile_at = Some("2026-01-01T00:00:00Z".into());
        assert_eq!(ask(&object, &status), None);
        annotate(&mut object, names::REQUESTED_AT, "again");
        assert_eq!(ask(&object, &status), Some(Trigger::Requested));
    }

    #[test]
    fn a_token_of_any_length_is_carried_out_once() {
        let (mut object, mut status) = settled();
        annotate(&mut object, names::REQUESTED_AT, &"é".repeat(100_000));
        assert_eq!(ask(&object, &status), Some(Trigger::Requested));
        status.last_handled_reconcile_at = requested(&object).map(str::to_owned);
        assert_eq!(ask(&object, &status), None);
        assert!(status.last_handled_reconcile_at.is_some_and(|token| token.len() <= TOKEN_LIMIT));
    }

    #[test]
    fn one_that_could_not_begin_is_looked_at_once_by_each_process() {
        let (object, mut status) = settled();
        let moment = at(NOW - 60);
        status.conditions = vec![
            condition(condition::READY, false, "RoleAboveCeiling", "", 2, &moment),
            condition(condition::STALLED, true, "RoleAboveCeiling", "", 2, &moment),
        ];
        status.last_run = Some(api::status::LastRun {
            id: "1".into(),
            started: moment,
            duration: "0.0s".into(),
            okta_calls: 0,
            result: "Refused".into(),
            read: "not begun".into(),
        });
        let look = |status: &OktaUserSyncStatus, first_look| {
            let known = Known { status, approval_seen: None, secret_changed: false, first_look, wanted: false };
            due(&object, known, Timestamp::from_second(NOW).unwrap())
        };
        assert_eq!((look(&status, true), look(&status, false)), (Some(Trigger::Time), None));
        status.last_run.as_mut().unwrap().okta_calls = 1;
        assert_eq!(look(&status, true), None, "a restart is no storm on Okta");
    }

    #[test]
    fn an_approval_is_looked_at_once() {
        let (mut object, mut status) = settled();
        annotate(&mut object, names::APPROVE_PLAN, "sha256:1");
        assert_eq!(ask(&object, &status), None, "no plan waits for it");
        status.pending_plan = Some(Box::new(PendingPlan {
            hash: "sha256:1".into(),
            reason: String::new(),
            removals: 9,
            sample: vec![],
            held_since: at(NOW),
            expires: at(NOW + 3600),
            approval: None,
        }));
        assert_eq!(ask(&object, &status), Some(Trigger::Approval));
        let seen = Known {
            status: &status,
            approval_seen: Some("sha256:1"),
            secret_changed: false,
            first_look: false,
            wanted: false,
        };
        assert_eq!(due(&object, seen, Timestamp::from_second(NOW).unwrap()), None, "the last pass has judged it");
        let other = Known { approval_seen: Some("sha256:0"), ..seen };
        assert_eq!(due(&object, other, Timestamp::from_second(NOW).unwrap()), Some(Trigger::Approval));
    }

    #[test]
    fn a_secret_with_new_content_is_due_at_once() {
        let (object, status) = settled();
        let known =
            Known { status: &status, approval_seen: None, secret_changed: true, first_look: false, wanted: false };
        assert_eq!(due(&object, known, Timestamp::from_second(NOW).unwrap()), Some(Trigger::Secret));
    }

    #[test]
    fn what_the_fast_path_cannot_deal_with_is_due_at_once() {
        let (object, status) = settled();
        let known =
            Known { status: &status, approval_seen: None, secret_changed: false, first_look: false, wanted: true };
        assert_eq!(due(&object, known, Timestamp::from_second(NOW).unwrap()), Some(Trigger::FastPath));
    }
}
