//! Metrics in the `OpenMetrics` format. Labels name resources, never people, so their number is bounded by what
//! administrators make.

use std::{fmt, sync::atomic::AtomicU64};

use api::status::UserCounts;
use engine::report::Outcome;
use jiff::{SignedDuration, Timestamp};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
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

/// One resource.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Resource {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One resource and a word: how a pass ended, or a state of people.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WithResult {
    namespace: String,
    name: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WithState {
    namespace: String,
    name: String,
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfCall {
    method: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfResult {
    result: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

const OUTCOMES: [Outcome; 5] =
    [Outcome::Succeeded, Outcome::Held, Outcome::Partial, Outcome::Refused, Outcome::Previewed];

/// What one pass did, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: SignedDuration,
    /// Calls to Okta.
    pub okta_calls: u64,
    /// Calls that wrote to Teleport.
    pub writes: u64,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    passes: Family<WithResult, Counter>,
    durations: Family<OfResult, Histogram, fn() -> Histogram>,
    people: Family<WithState, Gauge>,
    held: Family<Resource, Gauge>,
    locks: Family<Resource, Gauge>,
    ready: Family<Resource, Gauge>,
    okta_calls: Family<Resource, Counter>,
    writes: Family<Resource, Counter>,
    teleport_calls: Family<OfCall, Counter>,
    succeeded: Family<Resource, Seconds>,
    identity_expiry: Family<Resource, Seconds>,
    undecodable: Gauge,
    crd_missing: Gauge,
    leader: Gauge,
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
            passes: Family::default(),
            // From a tenth of a second to almost two hours.
            durations: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.1, 2.0, 17))),
            people: Family::default(),
            held: Family::default(),
            locks: Family::default(),
            ready: Family::default(),
            okta_calls: Family::default(),
            writes: Family::default(),
            teleport_calls: Family::default(),
            succeeded: Family::default(),
            identity_expiry: Family::default(),
            undecodable: Gauge::default(),
            crd_missing: Gauge::default(),
            leader: Gauge::default(),
        };
        new.register(version);
        new
    }

    fn register(&mut self, version: &str) {
        let registry = &mut self.registry;
        registry.register("build", "The program", Info::new([("version", version.to_owned())]));
        registry.register("passes", "Passes by how they ended", self.passes.clone());
        let help = "How long passes took";
        registry.register_with_unit("pass_duration", help, Unit::Seconds, self.durations.clone());
        registry.register("people", "People or users of the last pass by state", self.people.clone());
        registry.register("pending_removals", "Removals that wait for approval", self.held.clone());
        registry.register("locks", "Locks of ours in force after the last pass", self.locks.clone());
        registry.register("ready", "1 while the condition Ready is True", self.ready.clone());
        registry.register("okta_calls", "Calls to Okta", self.okta_calls.clone());
        registry.register("teleport_writes", "Calls that wrote to Teleport", self.writes.clone());
        registry.register("teleport_calls", "Calls to Teleport by method and code", self.teleport_calls.clone());
        let help = "When the last pass that did all it had to do ended";
        registry.register_with_unit("last_success_timestamp", help, Unit::Seconds, self.succeeded.clone());
        let help = "When the certificate that Teleport knows this operator by runs out";
        registry.register_with_unit("identity_expiry_timestamp", help, Unit::Seconds, self.identity_expiry.clone());
        let help = "Resources that cannot be decoded and are left alone";
        registry.register("undecodable_resources", help, self.undecodable.clone());
        let help = "1 while the custom resource definition is missing";
        registry.register("crd_missing", help, self.crd_missing.clone());
        registry.register("leader", "1 while this process leads", self.leader.clone());
    }

    /// The text of a scrape.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail; what was written so far is the best answer if it does.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Counts one pass.
    pub fn pass(&self, of: &Resource, measured: Measured) {
        let result = measured.outcome.as_str();
        let labels = WithResult { namespace: of.namespace.clone(), name: of.name.clone(), result };
        self.passes.get_or_create(&labels).inc();
        self.durations.get_or_create(&OfResult { result }).observe(measured.took.as_secs_f64());
        self.okta_calls.get_or_create(of).inc_by(measured.okta_calls);
        self.writes.get_or_create(of).inc_by(measured.writes);
    }

    /// Counts the calls of one pass to Teleport: what `after` has more than `before` (both counted by one client).
    pub fn teleport_calls(&self, before: &[CallCount], after: &[CallCount]) {
        for now in after {
            let then = before.iter().find(|then| then.call == now.call && then.code == now.code);
            let more = now.count.saturating_sub(then.map_or(0, |then| then.count));
            let labels = OfCall { method: now.call.method(), code: now.code };
            self.teleport_calls.get_or_create(&labels).inc_by(more);
        }
    }

    /// Shows what the status of a resource says.
    pub fn status(&self, of: &Resource, status: &api::OktaUserSyncStatus) {
        let ready = api::condition::find(&status.conditions, api::condition::READY);
        self.ready.get_or_create(of).set(i64::from(ready.is_some_and(|ready| ready.status == "True")));
        self.held.get_or_create(of).set(status.pending_plan.as_ref().map_or(0, |plan| plan.removals));
        if let Some(last) = &status.last_successful_run {
            self.succeeded.get_or_create(of).set(seconds(last.0));
        }
        if let Some(users) = &status.users {
            self.locks.get_or_create(of).set(users.locked);
            for (state, count) in states(users) {
                let labels = WithState { namespace: of.namespace.clone(), name: of.name.clone(), state };
                self.people.get_or_create(&labels).set(count);
            }
        }
    }

    /// Shows when the identity for Teleport runs out.
    pub fn identity_expires(&self, of: &Resource, at: Timestamp) {
        self.identity_expiry.get_or_create(of).set(seconds(at));
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, of: &Resource) {
        for outcome in OUTCOMES {
            let labels =
                WithResult { namespace: of.namespace.clone(), name: of.name.clone(), result: outcome.as_str() };
            self.passes.remove(&labels);
        }
        for (state, _) in states(&UserCounts::default()) {
            self.people.remove(&WithState { namespace: of.namespace.clone(), name: of.name.clone(), state });
        }
        for gauge in [&self.held, &self.locks, &self.ready] {
            gauge.remove(of);
        }
        for counter in [&self.okta_calls, &self.writes] {
            counter.remove(of);
        }
        for time in [&self.succeeded, &self.identity_expiry] {
            time.remove(of);
        }
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

fn seconds(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Ending, Moment, ended, tests::report};

    fn resource() -> Resource {
        Resource { namespace: "home".into(), name: "acme".into() }
    }

    fn after_one_pass() -> Metrics {
        let metrics = Metrics::new("1.2.3");
        let took = SignedDuration::from_millis(300);
        metrics.pass(&resource(), Measured { outcome: Outcome::Succeeded, took, okta_calls: 4, writes: 250 });
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let moment = Moment { generation: 1, started: now, now, next_run: now, token: None, id: "p" };
        let status = ended(&api::OktaUserSyncStatus::default(), Ending::Report(&report(Outcome::Succeeded)), moment);
        metrics.status(&resource(), &status);
        metrics.identity_expires(&resource(), now);
        let call = |count| CallCount { call: teleport::Call::Ping, code: "Ok", count };
        metrics.teleport_calls(&[call(3)], &[call(5)]);
        metrics
    }

    #[test]
    fn a_scrape_tells_what_happened() {
        let text = after_one_pass().text();
        for line in [
            r#"okta_user_sync_build_info{version="1.2.3"} 1"#,
            r#"okta_user_sync_passes_total{namespace="home",name="acme",result="Succeeded"} 1"#,
            r#"okta_user_sync_pass_duration_seconds_count{result="Succeeded"} 1"#,
            r#"okta_user_sync_people{namespace="home",name="acme",state="in_scope"} 250"#,
            r#"okta_user_sync_okta_calls_total{namespace="home",name="acme"} 4"#,
            r#"okta_user_sync_teleport_writes_total{namespace="home",name="acme"} 250"#,
            r#"okta_user_sync_ready{namespace="home",name="acme"} 1"#,
            r#"okta_user_sync_last_success_timestamp_seconds{namespace="home",name="acme"} 1700000000.0"#,
            r#"okta_user_sync_identity_expiry_timestamp_seconds{namespace="home",name="acme"} 1700000000.0"#,
            r#"okta_user_sync_teleport_calls_total{method="Ping",code="Ok"} 2"#,
            "okta_user_sync_leader 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_resource_that_is_gone_leaves_no_series() {
        let metrics = after_one_pass();
        metrics.forget(&resource());
        assert!(!metrics.text().contains("acme"), "{}", metrics.text());
    }

    #[test]
    fn every_metric_has_help_and_a_name_in_base_units() {
        let text = after_one_pass().text();
        let named: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(named.len(), 15, "{text}");
        for name in named.iter().filter_map(|line| line.split(' ').next()) {
            assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
            assert!(!name.contains("milli") && !name.ends_with("_total"), "{name}");
        }
    }
}
