//! What the status of each resource says, as gauges, and what its passes came to.

use api::{OktaUserSyncSpec, OktaUserSyncStatus, condition, spec::Mode, status::UserCounts};
use engine::failure::{Class, Failure};
use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{
    Measured, Seconds,
    label::{Alone, PerResource, Resource},
    seconds,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Passed {
    kind: &'static str,
    result: &'static str,
}

impl Passed {
    pub(super) fn of(measured: &Measured<'_>) -> Self {
        Self { kind: measured.kind.as_str(), result: measured.outcome.as_str() }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfClass {
    class: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Cause {
    class: &'static str,
    reason: &'static str,
}

#[derive(Default)]
pub(super) struct Resources {
    passes: PerResource<Passed, Counter>,
    failures: PerResource<Cause, Counter>,
    problems: PerResource<OfClass, Gauge>,
    people: PerResource<State, Gauge>,
    held: PerResource<Alone, Gauge>,
    held_since: PerResource<Alone, Seconds>,
    locks: PerResource<Alone, Gauge>,
    ready: PerResource<Alone, Gauge>,
    stalled: PerResource<Alone, Gauge>,
    suspended: PerResource<Alone, Gauge>,
    preview: PerResource<Alone, Gauge>,
    interval: PerResource<Alone, Seconds>,
    okta_calls: PerResource<Alone, Counter>,
    succeeded: PerResource<Alone, Seconds>,
    identity_issued: PerResource<Alone, Seconds>,
    identity_expiry: PerResource<Alone, Seconds>,
    key_created: PerResource<Alone, Seconds>,
}

impl Resources {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("passes", "Passes by kind and by how they ended", self.passes.family());
        registry.register("pass_failures", "Passes that failed, by what stopped them", self.failures.family());
        let help = "People or things that the last full pass left undone, by class of the problem";
        registry.register("problems", help, self.problems.family());
        registry.register("people", "People or users of the last full pass by state", self.people.family());
        registry.register("pending_removals", "Removals that wait for approval", self.held.family());
        let help = "Since when removals have waited for approval; 0 while none do";
        registry.register_with_unit("pending_since_timestamp", help, Unit::Seconds, self.held_since.family());
        registry.register("locks", "Locks of ours in force after the last full pass", self.locks.family());
        registry.register("ready", "1 while the condition Ready is True", self.ready.family());
        let help = "1 while the condition Stalled is True: a person has to mend something";
        registry.register("stalled", help, self.stalled.family());
        registry.register("suspended", "1 while spec.suspend is true", self.suspended.family());
        registry.register("preview", "1 while spec.mode is Preview: nothing is written", self.preview.family());
        let help = "Time between two full passes as spec.interval says";
        registry.register_with_unit("interval", help, Unit::Seconds, self.interval.family());
        registry.register("okta_calls", "Calls to Okta", self.okta_calls.family());
        let help = "When the last pass that did all it had to do ended";
        registry.register_with_unit("last_success_timestamp", help, Unit::Seconds, self.succeeded.family());
        let help = "When the certificate that Teleport knows this operator by was issued";
        registry.register_with_unit("identity_issued_timestamp", help, Unit::Seconds, self.identity_issued.family());
        let help = "When the certificate that Teleport knows this operator by runs out";
        registry.register_with_unit("identity_expiry_timestamp", help, Unit::Seconds, self.identity_expiry.family());
        let help = "When the operator made the key that Okta knows it by; not there for a key that was given";
        registry.register_with_unit("okta_key_created_timestamp", help, Unit::Seconds, self.key_created.family());
    }

    pub(super) fn pass(&self, of: &Resource, measured: &Measured<'_>) {
        self.passes.of(of, Passed::of(measured)).inc();
        self.okta_calls.of(of, Alone).inc_by(measured.okta_calls);
        if let Some(Failure { class, reason, .. }) = measured.cause {
            self.failures.of(of, Cause { class: class.as_str(), reason }).inc();
        }
    }

    pub(super) fn problems(&self, of: &Resource, count: impl Fn(Class) -> usize) {
        for class in Class::ALL {
            let count = i64::try_from(count(class)).unwrap_or(i64::MAX);
            self.problems.of(of, OfClass { class: class.as_str() }).set(count);
        }
    }

    pub(super) fn spec(&self, of: &Resource, spec: &OktaUserSyncSpec) {
        let interval = std::time::Duration::from(spec.interval);
        self.interval.of(of, Alone).set(interval.as_secs_f64());
        self.suspended.of(of, Alone).set(i64::from(spec.suspend));
        self.preview.of(of, Alone).set(i64::from(spec.mode == Mode::Preview));
    }

    pub(super) fn status(&self, of: &Resource, status: &OktaUserSyncStatus) {
        let is = |type_| condition::find(&status.conditions, type_).is_some_and(|found| found.status == "True");
        self.ready.of(of, Alone).set(i64::from(is(condition::READY)));
        self.stalled.of(of, Alone).set(i64::from(is(condition::STALLED)));
        self.held.of(of, Alone).set(status.pending_plan.as_ref().map_or(0, |plan| plan.removals));
        let since = status.pending_plan.as_ref().map_or(0.0, |plan| seconds(plan.held_since.0));
        self.held_since.of(of, Alone).set(since);
        if let Some(last) = &status.last_successful_run {
            self.succeeded.of(of, Alone).set(seconds(last.0));
        }
        // A key that Okta has not accepted is none that it knows this operator by; one that was given is in no status.
        if let Some(key) = status.public_key.as_ref().filter(|key| key.accepted.is_some()) {
            self.key_created.of(of, Alone).set(seconds(key.created.0));
        } else {
            self.key_created.forget(of);
        }
        if let Some(users) = &status.users {
            self.locks.of(of, Alone).set(users.locked);
            for (state, count) in states(users) {
                self.people.of(of, State { state }).set(count);
            }
        }
    }

    pub(super) fn identity(&self, of: &Resource, from: Timestamp, until: Timestamp) {
        self.identity_issued.of(of, Alone).set(seconds(from));
        self.identity_expiry.of(of, Alone).set(seconds(until));
    }

    pub(super) fn forget(&self, of: &Resource) {
        self.passes.forget(of);
        self.failures.forget(of);
        self.problems.forget(of);
        self.people.forget(of);
        for gauge in [&self.held, &self.locks, &self.ready, &self.stalled, &self.suspended, &self.preview] {
            gauge.forget(of);
        }
        self.okta_calls.forget(of);
        for time in [&self.held_since, &self.interval, &self.succeeded, &self.key_created] {
            time.forget(of);
        }
        self.identity_issued.forget(of);
        self.identity_expiry.forget(of);
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
