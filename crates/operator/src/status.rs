//! From one status to the next, as a function over values.
//!
//! Conditions follow the Kubernetes API conventions and kstatus: `Ready` is always there; `Reconciling` (work goes on,
//! or is tried again by itself), `Stalled` (a person has to mend something), `RemovalsHeld` and `Warning` are there only
//! while True; `Reconciling` and `Stalled` never together, and neither beside `Ready=True`.
//!
//! | the pass | Ready | beside it |
//! |---|---|---|
//! | has begun on a new generation | Unknown `Progressing` | Reconciling |
//! | did all it had to do | True `Synced` or `Previewed` | |
//! | holds removals, did the rest | True `RemovalsHeld` | `RemovalsHeld` |
//! | failed, and may succeed by itself | False, reason of the failure | Reconciling `ProgressingWithRetry` |
//! | failed, and something must be mended | False, reason of the failure | Stalled, same reason |
//! | is suspended | False `Suspended` | |
//!
//! A stalled resource is looked at again all the same: what has to be mended may lie in Okta or Teleport, which tell
//! nobody.

use api::{
    OktaUserSyncStatus, condition,
    status::{LastRun, MAX_ERRORS, OktaStatus, Problem, TeleportStatus},
};
use engine::{
    failure::{Failure, Side},
    report::{Outcome, Read, Report},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Reason of `Ready` while `spec.suspend` is true.
pub const SUSPENDED: &str = "Suspended";
/// Reason of `Ready` when all is done.
pub const SYNCED: &str = "Synced";
/// Reason of `Ready` and `Reconciling` while the first pass of a generation runs.
pub const PROGRESSING: &str = "Progressing";
/// Reason of `Reconciling` while a failure is tried again.
pub const RETRYING: &str = "ProgressingWithRetry";
/// Reason of `Reconciling` while a deletion is being carried out.
pub const DELETING: &str = "Deleting";

/// When and for which generation a status is made.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Generation of the specification that the pass worked on.
    pub generation: i64,
    /// When the pass began.
    pub started: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// When the next pass is due.
    pub next_run: Timestamp,
    /// Token of `reconcile.fluxcd.io/requestedAt` that this pass carried out.
    pub token: Option<&'a str>,
    /// Id of the pass.
    pub id: &'a str,
}

/// How a pass came to its end.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// It ran.
    Report(&'a Report),
    /// It could not begin: something that the specification refers to is missing or unreadable.
    Refused(&'a Failure),
}

impl<'a> Ending<'a> {
    /// The failure that decides what happens next, if there is one.
    #[must_use]
    pub fn cause(self) -> Option<&'a Failure> {
        match self {
            Self::Refused(failure) => Some(failure),
            Self::Report(report) => report.failure.as_ref().or(match &report.read {
                Read::Incomplete { why, .. } => Some(why),
                Read::NotBegun | Read::Complete => None,
            }),
        }
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Refused(_) => Outcome::Refused,
            Self::Report(report) => report.outcome,
        }
    }

    /// Whether the next pass should come sooner than the interval says.
    #[must_use]
    pub fn failed(self) -> bool {
        matches!(self.outcome(), Outcome::Partial | Outcome::Refused)
    }
}

/// The status with which the first pass of a generation begins; `None` when `previous` says so already.
#[must_use]
pub fn begun(previous: &OktaUserSyncStatus, generation: i64, now: Timestamp) -> Option<OktaUserSyncStatus> {
    let mut next = previous.clone();
    next.observed_generation = Some(generation);
    let mut conditions = Writer::new(&mut next.conditions, generation, now);
    let message = "the first pass of this specification is under way";
    conditions.clear(condition::STALLED);
    conditions.set(condition::RECONCILING, "True", PROGRESSING, message);
    conditions.set(condition::READY, "Unknown", PROGRESSING, message);
    (next != *previous).then_some(next)
}

/// The status after a pass.
#[must_use]
pub fn ended(previous: &OktaUserSyncStatus, ending: Ending<'_>, moment: Moment<'_>) -> OktaUserSyncStatus {
    let mut next = previous.clone();
    next.observed_generation = Some(moment.generation);
    next.next_run = Some(Time(moment.next_run));
    if let Some(token) = moment.token {
        next.last_handled_reconcile_at = Some(token.to_owned());
    }
    next.last_run = Some(LastRun {
        id: moment.id.to_owned(),
        started: Time(moment.started),
        duration: seconds(moment.now.duration_since(moment.started)),
        okta_calls: 0,
        result: ending.outcome().as_str().to_owned(),
        read: Read::NotBegun.words(),
    });
    next.errors = match ending.cause() {
        Some(failure) => vec![problem(failure)],
        None => vec![],
    };
    if let Ending::Report(report) = ending {
        record(&mut next, report, moment.now);
    }
    let mut conditions = Writer::new(&mut next.conditions, moment.generation, moment.now);
    conditions.judge(ending);
    conditions.sides(ending);
    if let Ending::Report(report) = ending {
        conditions.held(report);
        conditions.warnings(report);
    }
    next
}

/// The status of a suspended resource; `None` when `previous` says so already.
#[must_use]
pub fn suspended(previous: &OktaUserSyncStatus, generation: i64, now: Timestamp) -> Option<OktaUserSyncStatus> {
    let mut next = previous.clone();
    next.observed_generation = Some(generation);
    next.next_run = None;
    let mut conditions = Writer::new(&mut next.conditions, generation, now);
    conditions.clear(condition::RECONCILING);
    conditions.clear(condition::STALLED);
    let message = "spec.suspend is true: people who leave are not locked; set it to false to go on";
    conditions.set(condition::READY, "False", SUSPENDED, message);
    (next != *previous).then_some(next)
}

/// The status of a resource whose deletion waits for its users to be locked or deleted; `None` when `previous` says so.
#[must_use]
pub fn leaving(
    previous: &OktaUserSyncStatus,
    generation: i64,
    now: Timestamp,
    why: &str,
) -> Option<OktaUserSyncStatus> {
    let mut next = previous.clone();
    next.observed_generation = Some(generation);
    next.next_run = None;
    let mut conditions = Writer::new(&mut next.conditions, generation, now);
    conditions.clear(condition::STALLED);
    conditions.set(condition::RECONCILING, "True", DELETING, why);
    conditions.set(condition::READY, "False", DELETING, why);
    (next != *previous).then_some(next)
}

/// Everything of a report that is not a condition.
fn record(next: &mut OktaUserSyncStatus, report: &Report, now: Timestamp) {
    if let Some(run) = &mut next.last_run {
        run.okta_calls = i64::try_from(report.okta_calls).unwrap_or(i64::MAX);
        run.read = condition::cut(&report.read.words(), 512);
    }
    // A pass that read nobody has nothing to say about people: `0 users` while Okta is down would be false.
    if report.read != Read::NotBegun {
        next.users = Some(report.counts);
    }
    if report.outcome == Outcome::Succeeded {
        next.last_successful_run = Some(Time(now));
    }
    let told = report.problems.iter().filter(|problem| !next.errors.contains(problem)).cloned();
    next.errors = next.errors.iter().cloned().chain(told).take(MAX_ERRORS).collect();
    next.pending_plan.clone_from(&report.pending);
    next.memory = Some(report.memory.clone());
    if let Some(organisation) = &report.organisation {
        let pinned = next.okta.take().map(|okta| okta.org_id).filter(|id| !id.is_empty());
        let app = organisation.app.clone().unwrap_or_default();
        next.okta = Some(OktaStatus {
            // First seen, kept for ever: another organisation behind the same URL must not become ours by one failed pass.
            org_id: pinned.unwrap_or_else(|| organisation.id.clone()),
            app_id: app.id,
            app_label: app.label,
            scopes: organisation.scopes.clone(),
            dpop: organisation.dpop,
        });
    }
    if let Some(cluster) = &report.cluster {
        let known = next.teleport.take().map(|teleport| teleport.lock_lifetime).unwrap_or_default();
        next.teleport = Some(TeleportStatus {
            cluster: cluster.name.clone(),
            version: cluster.version.clone(),
            origin_mode: cluster.origin_mode.as_str().to_owned(),
            lock_lifetime: report.lock_life.map_or(known, hours),
        });
    }
}

/// Conditions of one generation at one moment.
struct Writer<'a> {
    conditions: &'a mut Vec<Condition>,
    generation: i64,
    now: Time,
}

impl<'a> Writer<'a> {
    fn new(conditions: &'a mut Vec<Condition>, generation: i64, now: Timestamp) -> Self {
        Self { conditions, generation, now: Time(now) }
    }

    fn set(&mut self, type_: &str, status: &str, reason: &str, message: &str) {
        let mut made = condition::condition(type_, true, reason, message, self.generation, &self.now);
        status.clone_into(&mut made.status);
        condition::set(self.conditions, made);
    }

    fn clear(&mut self, type_: &str) {
        condition::remove(self.conditions, type_);
    }

    /// Ready, Reconciling, Stalled.
    fn judge(&mut self, ending: Ending<'_>) {
        if !ending.failed() {
            self.clear(condition::RECONCILING);
            self.clear(condition::STALLED);
            let (reason, message) = match ending {
                Ending::Report(report) => success(report),
                Ending::Refused(failure) => (failure.reason, failure.message.clone()),
            };
            return self.set(condition::READY, "True", reason, &message);
        }
        let (reason, message, mends_itself) = match (ending.cause(), ending) {
            (Some(failure), _) | (None, Ending::Refused(failure)) => {
                (failure.reason, sentence(failure), failure.class.retry())
            }
            (None, Ending::Report(report)) => ("PartlyFailed", partly(report), true),
        };
        if mends_itself {
            self.clear(condition::STALLED);
            self.set(condition::RECONCILING, "True", RETRYING, &message);
        } else {
            self.clear(condition::RECONCILING);
            self.set(condition::STALLED, "True", reason, &message);
        }
        self.set(condition::READY, "False", reason, &message);
    }

    /// `OktaReady` and `TeleportReady`: whether that side could be reached and used in this pass.
    fn sides(&mut self, ending: Ending<'_>) {
        let (organisation, cluster) = match ending {
            Ending::Report(report) => (report.organisation.is_some(), report.cluster.is_some()),
            Ending::Refused(_) => (false, false),
        };
        let cause = ending.cause();
        for (type_, side, reached, what) in [
            (condition::OKTA_READY, Side::Okta, organisation, "Okta could be read"),
            (condition::TELEPORT_READY, Side::Teleport, cluster, "Teleport could be reached"),
        ] {
            match cause.filter(|failure| failure.side == side) {
                Some(failure) => self.set(type_, "False", failure.reason, &sentence(failure)),
                None if reached => self.set(type_, "True", "Reached", what),
                None => self.set(type_, "Unknown", "NotAsked", "the last pass ended before it came to this"),
            }
        }
    }

    fn held(&mut self, report: &Report) {
        let Some(plan) = &report.pending else { return self.clear(condition::REMOVALS_HELD) };
        let approval = report.approval.as_deref().map(|said| format!(" {said}.")).unwrap_or_default();
        let message = format!(
            "{} removals wait for approval: {}.{approval} Read status.pendingPlan; to approve exactly this plan set \
             spec.removal.approvedPlan or the annotation usersync.dev/approve-plan to {}",
            plan.removals, plan.reason, plan.hash
        );
        self.set(condition::REMOVALS_HELD, "True", "BrakeApplied", &message);
    }

    fn warnings(&mut self, report: &Report) {
        let mut words = report.warnings.clone();
        if report.pending.is_none() {
            words.extend(report.approval.clone());
        }
        if words.is_empty() {
            return self.clear(condition::WARNING);
        }
        self.set(condition::WARNING, "True", "WorthKnowing", &words.join("; "));
    }
}

fn success(report: &Report) -> (&'static str, String) {
    let counts = &report.counts;
    let people = format!("{} people in scope, {} users in sync", counts.in_scope, counts.synced);
    match report.outcome {
        Outcome::Held => ("RemovalsHeld", format!("{people}, {} removals held", counts.held)),
        Outcome::Previewed => {
            ("Previewed", format!("{} people in scope; mode is Preview, so nothing was written", counts.in_scope))
        }
        Outcome::Succeeded | Outcome::Partial | Outcome::Refused => (SYNCED, people),
    }
}

fn partly(report: &Report) -> String {
    let first = report.problems.first();
    let first = first.map(|problem| format!("; first: {}", problem.message)).unwrap_or_default();
    format!("{} things were left undone, see status.errors{first}", report.problem_count)
}

/// What happened, and what to do.
#[must_use]
pub fn sentence(failure: &Failure) -> String {
    let message = failure.message.trim_end_matches('.');
    if failure.remedy.is_empty() { message.to_owned() } else { format!("{message}. To do: {}", failure.remedy) }
}

fn problem(failure: &Failure) -> Problem {
    Problem {
        class: failure.class.as_str().to_owned(),
        user: String::new(),
        message: condition::cut(&failure.message, 512),
        remedy: condition::cut(&failure.remedy, 512),
    }
}

fn seconds(duration: SignedDuration) -> String {
    format!("{:.1}s", duration.as_secs_f64().max(0.0))
}

/// `31h`, or `31h30m`.
fn hours(duration: SignedDuration) -> String {
    let minutes = duration.as_mins();
    match minutes % 60 {
        0 => format!("{}h", minutes / 60),
        rest => format!("{}h{rest}m", minutes / 60),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use api::{OktaUserSync, OktaUserSyncSpec, status::UserCounts};
    use engine::{
        cluster::{ClusterFacts, OriginMode},
        directory::{App, Organisation},
        failure::Class,
        roster::Roster,
    };
    use serde_json::json;
    use testkit::{Status, check_settled, check_step, kstatus};

    use super::*;

    /// A resource with the least that a person must write.
    pub(crate) fn example() -> OktaUserSync {
        let spec = json!({ "okta": { "orgURL": "https://acme.okta.com", "clientID": "0oa1api2services3app" } });
        let spec: OktaUserSyncSpec = serde_json::from_value(spec).unwrap();
        let mut object = OktaUserSync::new("acme", spec);
        object.metadata.namespace = Some("home".into());
        object.metadata.uid = Some("uid-1".into());
        object.metadata.generation = Some(1);
        object
    }

    const NOW: i64 = 1_700_000_000;

    pub(crate) fn report(outcome: Outcome) -> Report {
        Report {
            id: "pass-1".into(),
            started: at(NOW),
            outcome,
            read: Read::Complete,
            failure: None,
            counts: UserCounts { in_scope: 250, synced: 249, suspended: 1, ..UserCounts::default() },
            problems: vec![],
            problem_count: 0,
            pending: None,
            approval: None,
            warnings: vec![],
            okta_calls: 4,
            organisation: Some(Organisation {
                id: "00o1".into(),
                app: Some(App { id: "0oa9".into(), label: "Teleport".into(), ..App::default() }),
                ..Organisation::default()
            }),
            cluster: Some(ClusterFacts {
                name: "example".into(),
                version: "18.5.0".into(),
                origin_mode: OriginMode::Bot,
                own_name: "bot-okta-user-sync".into(),
            }),
            lock_life: Some(SignedDuration::from_hours(31)),
            memory: api::status::Memory { people: 250, ..api::status::Memory::default() },
            roster: Roster::default(),
            changes: vec![],
            writes: 0,
            overlaps: BTreeMap::new(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn failure(side: Side, class: Class) -> Failure {
        Failure::new(side, class, "KeyUnreadable", "the key cannot be read", "put a PEM or JWK there")
    }

    /// A resource in time: each step is checked by the rules for conditions, alone and against the one before.
    struct Life {
        generation: i64,
        seconds: i64,
        status: OktaUserSyncStatus,
    }

    impl Life {
        fn begin() -> Self {
            let mut life = Self { generation: 0, seconds: 0, status: OktaUserSyncStatus::default() };
            assert_eq!(life.change(), Status::InProgress);
            life
        }

        fn now(&self) -> Timestamp {
            at(NOW + self.seconds)
        }

        fn object(&self) -> serde_json::Value {
            json!({ "metadata": { "generation": self.generation }, "status": self.status })
        }

        fn step(&mut self, next: OktaUserSyncStatus) -> Status {
            let before = self.object();
            self.status = next;
            let after = self.object();
            assert_eq!(check_settled(&after), Vec::<String>::new(), "{after:#}");
            assert_eq!(check_step(&before, &after), Vec::<String>::new(), "{before:#} {after:#}");
            self.seconds += 10;
            kstatus(&after)
        }

        /// A new generation, whose first pass begins.
        fn change(&mut self) -> Status {
            self.generation += 1;
            let next = begun(&self.status, self.generation, self.now()).expect("a new generation is shown");
            self.step(next)
        }

        fn pass(&mut self, ending: Ending<'_>) -> Status {
            let moment = Moment {
                generation: self.generation,
                started: self.now() - SignedDuration::from_millis(1234),
                now: self.now(),
                next_run: self.now() + SignedDuration::from_mins(10),
                token: Some("token"),
                id: "pass-1",
            };
            self.step(ended(&self.status, ending, moment))
        }

        fn find(&self, type_: &str) -> Option<(&str, &str)> {
            condition::find(&self.status.conditions, type_).map(|c| (c.status.as_str(), c.reason.as_str()))
        }
    }

    #[test]
    fn each_ending_is_judged_rightly_by_gitops_tools() {
        let incomplete = |class| Report {
            read: Read::Incomplete { page: 3, why: failure(Side::Okta, class) },
            ..report(Outcome::Partial)
        };
        let refused = |side, class| Report { failure: Some(failure(side, class)), ..report(Outcome::Refused) };
        let table = [
            (report(Outcome::Succeeded), "True", "Synced", Status::Current),
            (report(Outcome::Previewed), "True", "Previewed", Status::Current),
            (report(Outcome::Held), "True", "RemovalsHeld", Status::Current),
            (report(Outcome::Partial), "False", "PartlyFailed", Status::InProgress),
            (incomplete(Class::Transient), "False", "KeyUnreadable", Status::InProgress),
            (incomplete(Class::Bug), "False", "KeyUnreadable", Status::Failed),
            (refused(Side::Okta, Class::Transient), "False", "KeyUnreadable", Status::InProgress),
            (refused(Side::Okta, Class::Budget), "False", "KeyUnreadable", Status::InProgress),
            (refused(Side::Okta, Class::Credential), "False", "KeyUnreadable", Status::Failed),
            (refused(Side::Teleport, Class::Permission), "False", "KeyUnreadable", Status::Failed),
            (refused(Side::Here, Class::Configuration), "False", "KeyUnreadable", Status::Failed),
        ];
        for (report, ready, reason, judged) in table {
            let mut life = Life::begin();
            assert_eq!(life.pass(Ending::Report(&report)), judged, "{report:?}");
            assert_eq!(life.find(condition::READY), Some((ready, reason)), "{report:?}");
            // And from each of them on: all well, a new specification, all well.
            assert_eq!(life.pass(Ending::Report(&self::report(Outcome::Succeeded))), Status::Current);
            assert_eq!(life.change(), Status::InProgress);
            assert_eq!(life.pass(Ending::Report(&report)), judged);
            assert_eq!(life.change(), Status::InProgress, "also from a stalled one");
        }
    }

    #[test]
    fn the_condition_of_the_side_that_failed_says_so() {
        let mut life = Life::begin();
        life.pass(Ending::Report(&report(Outcome::Succeeded)));
        assert_eq!(life.find(condition::OKTA_READY), Some(("True", "Reached")));
        let unreadable = failure(Side::Okta, Class::Configuration);
        assert_eq!(life.pass(Ending::Refused(&unreadable)), Status::Failed);
        assert_eq!(life.find(condition::OKTA_READY), Some(("False", "KeyUnreadable")));
        assert_eq!(life.find(condition::TELEPORT_READY), Some(("Unknown", "NotAsked")));
        assert_eq!(life.find(condition::STALLED), Some(("True", "KeyUnreadable")));
        let ready = condition::find(&life.status.conditions, condition::READY).unwrap();
        assert_eq!(ready.message, "the key cannot be read. To do: put a PEM or JWK there");
    }

    #[test]
    fn a_pass_that_could_not_begin_keeps_what_was_known() {
        let mut life = Life::begin();
        life.pass(Ending::Report(&report(Outcome::Succeeded)));
        let known = life.status.clone();
        life.pass(Ending::Refused(&failure(Side::Okta, Class::Credential)));
        let status = &life.status;
        assert_eq!((&status.users, &status.memory, &status.okta), (&known.users, &known.memory, &known.okta));
        assert_eq!(status.last_successful_run, known.last_successful_run);
        assert_eq!(status.last_run.as_ref().unwrap().result, "Refused");
        assert_eq!(status.errors.len(), 1);
        assert_eq!(status.errors[0].remedy, "put a PEM or JWK there");
    }

    #[test]
    fn the_first_seen_organisation_stays_pinned() {
        let mut life = Life::begin();
        life.pass(Ending::Report(&report(Outcome::Succeeded)));
        let mut other = report(Outcome::Refused);
        other.organisation.as_mut().unwrap().id = "00oOther".into();
        other.failure = Some(failure(Side::Okta, Class::Configuration));
        life.pass(Ending::Report(&other));
        assert_eq!(life.status.okta.as_ref().unwrap().org_id, "00o1");
    }

    #[test]
    fn suspending_is_said_and_resuming_goes_on() {
        let mut life = Life::begin();
        life.pass(Ending::Report(&report(Outcome::Succeeded)));
        life.generation += 1;
        let next = suspended(&life.status, life.generation, life.now()).unwrap();
        life.step(next);
        assert_eq!(life.find(condition::READY), Some(("False", SUSPENDED)));
        assert_eq!(life.status.next_run, None);
        assert_eq!(suspended(&life.status, life.generation, life.now()), None, "said once");
        assert_eq!(life.change(), Status::InProgress);
        assert_eq!(life.pass(Ending::Report(&report(Outcome::Succeeded))), Status::Current);
    }

    #[test]
    fn held_removals_are_a_condition_until_they_are_gone() {
        let mut life = Life::begin();
        let mut held = report(Outcome::Held);
        held.pending = Some(api::status::PendingPlan {
            hash: "abc".into(),
            reason: "40 of 250 users would be removed".into(),
            removals: 40,
            sample: vec![],
            held_since: Time(at(NOW)),
            expires: Time(at(NOW + 3600)),
        });
        life.pass(Ending::Report(&held));
        let condition = condition::find(&life.status.conditions, condition::REMOVALS_HELD).unwrap();
        assert!(condition.message.contains("40 removals") && condition.message.ends_with("abc"), "{condition:?}");
        life.pass(Ending::Refused(&failure(Side::Okta, Class::Transient)));
        assert!(life.find(condition::REMOVALS_HELD).is_some(), "a failed pass releases nothing");
        life.pass(Ending::Report(&report(Outcome::Succeeded)));
        assert_eq!((life.find(condition::REMOVALS_HELD), &life.status.pending_plan), (None, &None));
    }

    #[test]
    fn errors_are_bounded_and_the_failure_of_the_pass_comes_first() {
        let mut life = Life::begin();
        let mut many = report(Outcome::Partial);
        many.read = Read::Incomplete { page: 2, why: failure(Side::Okta, Class::Transient) };
        for n in 0..20 {
            many.problem(Class::Conflict, &format!("user-{n}"), "x".repeat(2000), "y".repeat(2000));
        }
        life.pass(Ending::Report(&many));
        assert_eq!(life.status.errors.len(), MAX_ERRORS);
        assert_eq!(life.status.errors[0].message, "the key cannot be read");
        let size = serde_json::to_vec(&life.status).unwrap().len();
        assert!(size < 64 * 1024, "{size}");
    }

    #[test]
    fn times_are_shown_as_people_write_them() {
        assert_eq!(hours(SignedDuration::from_hours(31)), "31h");
        assert_eq!(hours(SignedDuration::from_mins(31 * 60 + 30)), "31h30m");
        assert_eq!(seconds(SignedDuration::from_millis(1234)), "1.2s");
    }
}
