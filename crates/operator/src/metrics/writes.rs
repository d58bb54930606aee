//! How soon locks are written, and calls to Teleport, whichever resource they are for.

use engine::lock::LockReason;
use jiff::SignedDuration;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use teleport::CallCount;

use super::row::ForReason;

/// Bounds of the time from an event in Okta to a lock in force, in seconds: fine around the promise (one poll and five
/// seconds), coarse where only a full pass finds a leaver.
const UNTIL_LOCKED: [f64; 14] =
    [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfCall {
    method: &'static str,
    code: &'static str,
}

pub(super) struct Writes {
    until_locked: Family<ForReason, Histogram, fn() -> Histogram>,
    calls: Family<OfCall, Counter>,
    journal_failures: Counter,
}

impl Default for Writes {
    fn default() -> Self {
        Self {
            until_locked: Family::new_with_constructor(|| Histogram::new(UNTIL_LOCKED)),
            calls: Family::default(),
            journal_failures: Counter::default(),
        }
    }
}

impl Writes {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Time from an event in Okta until the lock that it asked for was enforced by Teleport";
        registry.register_with_unit("event_to_lock", help, Unit::Seconds, self.until_locked.clone());
        registry.register("teleport_calls", "Calls to Teleport by method and code", self.calls.clone());
        let help = "Lines that could not be written to the audit journal";
        registry.register("journal_failures", help, self.journal_failures.clone());
    }

    /// Shows the histograms of what will be asked about, so that rates over them are right from the first observation on.
    pub(super) fn begin(&self) {
        for reason in [LockReason::Leaver, LockReason::Suspended] {
            drop(self.until_locked.get_or_create(&ForReason(reason)));
        }
    }

    pub(super) fn event_to_lock(&self, reason: LockReason, took: SignedDuration) {
        // Okta's clock may be ahead of ours; a time below zero is none.
        let took = took.as_secs_f64().max(0.0);
        self.until_locked.get_or_create(&ForReason(reason)).observe(took);
    }

    pub(super) fn calls(&self, made: &[CallCount]) {
        for CallCount { call, code, count } in made {
            self.calls.get_or_create(&OfCall { method: call.method(), code }).inc_by(*count);
        }
    }

    pub(super) fn journal_failed(&self) {
        self.journal_failures.inc();
    }
}
