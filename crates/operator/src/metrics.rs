//! Metrics, in the `OpenMetrics` format (or the older text format for who does not ask for it).
//!
//! [`label`] says why the number of series is bounded. What each metric means stands in docs/metrics.md, which is made from
//! the registry.

mod budget;
pub mod label;
pub mod plain;
mod resources;
mod row;
mod series;
mod table;
mod writes;

use std::{
    fmt,
    sync::{OnceLock, atomic::AtomicU64},
};

use engine::{
    failure::{Class, Failure},
    journal::Action,
    lock::LockReason,
    report::{Outcome, Report},
};
use jiff::{SignedDuration, Timestamp};
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};
use teleport::CallCount;

pub use self::label::Resource;
use self::{budget::Budget, resources::Resources, row::Passed, writes::Writes};
use crate::governors::Governors;

type Seconds = Gauge<f64, AtomicU64>;

/// What a pass looks at.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Kind {
    /// Everybody.
    Full,
    /// Persons whom the System Log named.
    Fast,
}

impl Kind {
    /// The word in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Fast => "fast",
        }
    }
}

/// What one pass did, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// What it looked at.
    pub kind: Kind,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: SignedDuration,
    /// Calls to Okta.
    pub okta_calls: u64,
    /// What stopped it.
    pub cause: Option<&'a Failure>,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    durations: Family<Passed, Histogram, fn() -> Histogram>,
    resources: Resources,
    writes: Writes,
    budget: Budget,
    governors: OnceLock<Governors>,
    undecodable: Gauge,
    crd_missing: Gauge,
    leader: Gauge,
    leader_since: Seconds,
    kubernetes_failures: Counter,
    started: Seconds,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Metrics of the program in this version.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let mut new = Self {
            registry: Registry::with_prefix("okta_user_sync"),
            // From a tenth of a second to almost two hours.
            durations: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.1, 2.0, 17))),
            resources: Resources::default(),
            writes: Writes::default(),
            budget: Budget::default(),
            governors: OnceLock::new(),
            undecodable: Gauge::default(),
            crd_missing: Gauge::default(),
            leader: Gauge::default(),
            leader_since: Seconds::default(),
            kubernetes_failures: Counter::default(),
            started: Seconds::default(),
        };
        new.register(version);
        new.started.set(seconds(Timestamp::now()));
        new.writes.begin();
        new
    }

    fn register(&mut self, version: &str) {
        let registry = &mut self.registry;
        registry.register("build", "The program", Info::new([("version", version.to_owned())]));
        registry.register_with_unit("start_timestamp", "When the process began", Unit::Seconds, self.started.clone());
        let help = "How long passes took";
        registry.register_with_unit("pass_duration", help, Unit::Seconds, self.durations.clone());
        self.resources.register(registry);
        self.writes.register(registry);
        self.budget.register(registry);
        let help = "Resources that cannot be decoded and are left alone";
        registry.register("undecodable_resources", help, self.undecodable.clone());
        let help = "1 while the custom resource definition is missing";
        registry.register("crd_missing", help, self.crd_missing.clone());
        registry.register("leader", "1 while this process leads", self.leader.clone());
        let help = "Since when this process has led; 0 while it does not";
        registry.register_with_unit("leader_since_timestamp", help, Unit::Seconds, self.leader_since.clone());
        let help = "Reconciles that the Kubernetes API kept from their end";
        registry.register("kubernetes_failures", help, self.kubernetes_failures.clone());
    }

    /// The text of a scrape.
    #[must_use]
    pub fn text(&self) -> String {
        if let Some(governors) = self.governors.get() {
            self.budget.read(governors);
        }
        let mut text = String::new();
        // Writing to a String cannot fail; what was written so far is the best answer if it does.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Shows how the rate limits stand that these governors keep. Only the first call counts: there is one set of them.
    pub fn watch(&self, governors: Governors) {
        let _ = self.governors.set(governors);
    }

    /// Counts one pass.
    pub fn pass(&self, of: &Resource, measured: Measured<'_>) {
        self.durations.get_or_create(&Passed::of(&measured)).observe(measured.took.as_secs_f64());
        self.resources.pass(of, &measured);
    }

    /// Shows what a full pass left undone.
    pub fn problems(&self, of: &Resource, report: Option<&Report>) {
        let count = |class: Class| {
            report.and_then(|report| report.problem_classes.get(class.as_str())).copied().unwrap_or_default()
        };
        self.resources.problems(of, count);
    }

    /// Counts calls to Teleport.
    pub fn teleport_calls(&self, made: &[CallCount]) {
        self.writes.calls(made);
    }

    /// Counts one write to Teleport; `why`, if it makes a lock.
    pub fn wrote(&self, of: &Resource, action: Action, why: Option<LockReason>, done: bool) {
        self.resources.wrote(of, action, why, done);
    }

    /// Notes how long it took from an event in Okta (by Okta's clock) until the lock that it asked for was enforced.
    pub fn event_to_lock(&self, reason: LockReason, took: SignedDuration) {
        self.writes.event_to_lock(reason, took);
    }

    /// Counts a line that the audit journal could not take.
    pub fn journal_failed(&self) {
        self.writes.journal_failed();
    }

    /// Shows what the specification of a resource says.
    pub fn spec(&self, of: &Resource, spec: &api::OktaUserSyncSpec) {
        self.resources.spec(of, spec);
    }

    /// Shows what the status of a resource says.
    pub fn status(&self, of: &Resource, status: &api::OktaUserSyncStatus) {
        self.resources.status(of, status);
    }

    /// Shows from when until when the identity for Teleport is good.
    pub fn identity(&self, of: &Resource, from: Timestamp, until: Timestamp) {
        self.resources.identity(of, from, until);
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, of: &Resource) {
        self.resources.forget(of);
    }

    /// Shows how many resources cannot be decoded.
    pub fn undecodable(&self, count: usize) {
        self.undecodable.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Shows whether the custom resource definition is missing.
    pub fn crd_missing(&self, missing: bool) {
        self.crd_missing.set(i64::from(missing));
    }

    /// Shows whether this process leads.
    pub fn leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
        self.leader_since.set(if leads { seconds(Timestamp::now()) } else { 0.0 });
    }

    /// Counts a reconcile that the Kubernetes API kept from its end.
    pub fn kubernetes_failed(&self) {
        self.kubernetes_failures.inc();
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

#[cfg(test)]
mod tests;
