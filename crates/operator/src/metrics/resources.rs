//! What the status of each resource says, what its passes came to, and what they wrote to Teleport.

use api::{OktaUserSyncSpec, OktaUserSyncStatus, condition, spec::Mode, status::UserCounts};
use engine::{
    failure::{Class, Failure},
    journal::Action,
    lock::LockReason,
};
use jiff::Timestamp;
use prometheus_client::registry::{Registry, Unit};

use super::{
    Measured,
    label::Resource,
    row::{Cause, ForReason, OfClass, Passed, Row, State, Written},
    seconds,
    table::Table,
};

#[derive(Default)]
pub(super) struct Resources {
    pub(super) rows: Table<Row>,
}

impl Resources {
    pub(super) fn register(&self, registry: &mut Registry) {
        let Self { rows } = self;
        registry.register("passes", "Passes by kind and by how they ended", rows.metric(|of| &of.passes));
        registry.register("pass_failures", "Passes that failed, by what stopped them", rows.metric(|of| &of.failures));
        let help = "People or things that the last full pass left undone, by class of the problem";
        registry.register("problems", help, rows.metric(|of| &of.problems));
        registry.register("people", "People or users of the last full pass by state", rows.metric(|of| &of.people));
        registry.register("pending_removals", "Removals that wait for approval", rows.metric(|of| &of.held));
        let help = "Since when removals have waited for approval; 0 while none do";
        registry.register_with_unit("pending_since_timestamp", help, Unit::Seconds, rows.metric(|of| &of.held_since));
        registry.register("locks", "Locks of ours in force after the last full pass", rows.metric(|of| &of.locks));
        registry.register("ready", "1 while the condition Ready is True", rows.metric(|of| &of.ready));
        let help = "1 while the condition Stalled is True: a person has to mend something";
        registry.register("stalled", help, rows.metric(|of| &of.stalled));
        registry.register("suspended", "1 while spec.suspend is true", rows.metric(|of| &of.suspended));
        registry.register("preview", "1 while spec.mode is Preview: nothing is written", rows.metric(|of| &of.preview));
        let help = "Time between two full passes as spec.interval says";
        registry.register_with_unit("interval", help, Unit::Seconds, rows.metric(|of| &of.interval));
        registry.register("okta_calls", "Calls to Okta", rows.metric(|of| &of.okta_calls));
        let help = "When the last pass that did all it had to do ended";
        registry.register_with_unit("last_success_timestamp", help, Unit::Seconds, rows.metric(|of| &of.succeeded));
        let help = "When the certificate that Teleport knows this operator by was issued";
        registry.register_with_unit(
            "identity_issued_timestamp",
            help,
            Unit::Seconds,
            rows.metric(|of| &of.identity_issued),
        );
        let help = "When the certificate that Teleport knows this operator by runs out";
        registry.register_with_unit(
            "identity_expiry_timestamp",
            help,
            Unit::Seconds,
            rows.metric(|of| &of.identity_expiry),
        );
        let help = "When the operator made the key that Okta knows it by; not there for a key that was given";
        registry.register_with_unit(
            "okta_key_created_timestamp",
            help,
            Unit::Seconds,
            rows.metric(|of| &of.key_created),
        );
        let help = "Writes to Teleport by action and result";
        registry.register("teleport_writes", help, rows.metric(|of| &of.written));
        registry.register("locks_made", "Locks made, by why", rows.metric(|of| &of.locks_made));
        registry.register("locks_lifted", "Locks taken away", rows.metric(|of| &of.locks_lifted));
    }

    pub(super) fn pass(&self, of: &Resource, measured: &Measured<'_>) {
        self.rows.change(of, |row| {
            *row.passes.of(Passed::of(measured)) += 1;
            *row.okta_calls.get_or_insert_default() += measured.okta_calls;
            if let Some(&Failure { class, reason, .. }) = measured.cause {
                *row.failures.of(Cause { class, reason }) += 1;
            }
        });
    }

    pub(super) fn problems(&self, of: &Resource, count: impl Fn(Class) -> usize) {
        self.rows.change(of, |row| {
            for class in Class::ALL {
                *row.problems.of(OfClass(class)) = i64::try_from(count(class)).unwrap_or(i64::MAX);
            }
        });
    }

    pub(super) fn spec(&self, of: &Resource, spec: &OktaUserSyncSpec) {
        self.rows.change(of, |row| {
            row.interval = Some(std::time::Duration::from(spec.interval).as_secs_f64());
            row.suspended = Some(i64::from(spec.suspend));
            row.preview = Some(i64::from(spec.mode == Mode::Preview));
        });
    }

    pub(super) fn status(&self, of: &Resource, status: &OktaUserSyncStatus) {
        let is = |type_| condition::find(&status.conditions, type_).is_some_and(|found| found.status == "True");
        let held = status.pending_plan.as_ref();
        // A key that Okta has not accepted is none that it knows this operator by; one that was given is in no status.
        let key = status.public_key.as_ref().filter(|key| key.accepted.is_some());
        self.rows.change(of, |row| {
            row.ready = Some(i64::from(is(condition::READY)));
            row.stalled = Some(i64::from(is(condition::STALLED)));
            row.held = Some(held.map_or(0, |plan| plan.removals));
            row.held_since = Some(held.map_or(0.0, |plan| seconds(plan.held_since.0)));
            row.key_created = key.map(|key| seconds(key.created.0));
            if let Some(last) = &status.last_successful_run {
                row.succeeded = Some(seconds(last.0));
            }
            if let Some(users) = &status.users {
                row.locks = Some(users.locked);
                for (state, count) in states(users) {
                    *row.people.of(State(state)) = count;
                }
            }
        });
    }

    pub(super) fn identity(&self, of: &Resource, from: Timestamp, until: Timestamp) {
        self.rows.change(of, |row| {
            row.identity_issued = Some(seconds(from));
            row.identity_expiry = Some(seconds(until));
        });
    }

    pub(super) fn wrote(&self, of: &Resource, action: Action, why: Option<LockReason>, done: bool) {
        self.rows.change(of, |row| {
            *row.written.of(Written { action, done }) += 1;
            match (action, why) {
                (Action::PutLock, Some(reason)) if done => *row.locks_made.of(ForReason(reason)) += 1,
                (Action::RemoveLock, _) if done => *row.locks_lifted.get_or_insert_default() += 1,
                _ => {}
            }
        });
    }

    pub(super) fn forget(&self, of: &Resource) {
        self.rows.forget(of);
    }
}

/// The states of people that are shown, each with its count.
fn states(users: &UserCounts) -> [(&'static str, i64); 8] {
    [
        ("in_scope", users.in_scope),
        ("synced", users.synced),
        ("suspended", users.suspended),
        ("conflict", users.conflicts),
        ("waiting", users.waiting),
        ("skipped", users.skipped),
        ("held", users.held),
        ("failed", users.failed),
    ]
}
