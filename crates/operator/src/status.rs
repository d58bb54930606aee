//! From one status to the next, as a function over values.
//!
//! Conditions follow the Kubernetes API conventions and kstatus: `Ready` is always there; `Reconciling` (work goes on,
//! or is tried again by itself), `Stalled` (a person has to mend something), `RemovalsHeld`, `DriftSeen` and `Warning` are
//! there only while True; `Reconciling` and `Stalled` never together, and neither beside `Ready=True`. Every reason is
//! one of [`api::reason`].
//!
//! | the pass | Ready | beside it |
//! |---|---|---|
//! | has begun on a new generation | Unknown `Progressing` | Reconciling |
//! | did all it had to do | True `Synced` or `Previewed` | |
//! | holds removals, did the rest | True `RemovalsHeld` | `RemovalsHeld` |
//! | left something undone | False `PartlyFailed`, or the refusal that all of it failed for | Reconciling `ProgressingWithRetry` |
//! | failed, and may succeed by itself | False, reason of the failure | Reconciling `ProgressingWithRetry` |
//! | failed, and something must be mended | False, reason of the failure | Stalled, same reason |
//! | is suspended | False `Suspended` | |
//!
//! A stalled resource whose pass got as far as Okta or Teleport is looked at again all the same, after the backoff: what
//! has to be mended may lie there, and they tell nobody. One whose pass could not begin waits for a change of what it
//! refers to, which is watched.

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

mod bounds;

/// Reason of `Ready` while `spec.suspend` is true.
pub const SUSPENDED: &str = "Suspended";
/// Reason of `Ready` when all is done.
pub const SYNCED: &str = "Synced";
/// Reason of `Ready` and `Reconciling` while the first pass of a generation runs.
pub const PROGRESSING: &str = "Progressing";
/// Reason of `Reconciling` while a failure is tried again.
pub const RETRYING: &str = "ProgressingWithRetry";
/// In the message of `Ready`: what follows tells of the first person concerned, by name.
pub(crate) const FIRST: &str = "; first: ";
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
        conditions.drift(report);
        conditions.warnings(report);
    }
    bounds::keep(&mut next);
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

/// The status that says what of `status` the definition has no place for; `None` when it says so already.
#[must_use]
pub fn declared(
    status: &OktaUserSyncStatus,
    left_out: &[String],
    generation: i64,
    now: Timestamp,
) -> Option<OktaUserSyncStatus> {
    let mut next = status.clone();
    let mut conditions = Writer::new(&mut next.conditions, generation, now);
    if left_out.is_empty() {
        conditions.clear(condition::DEFINITION_OUTDATED);
    } else {
        let message = format!(
            "the installed definition is older than the operator and does not know {}: this is not recorded, and a restart \
             of the operator forgets it. To do: apply the definition of this version (the chart's files/crd.yaml)",
            left_out.join(", ")
        );
        conditions.set(condition::DEFINITION_OUTDATED, "True", "FieldsNotDeclared", &message);
    }
    (next != *status).then_some(next)
}

/// Everything of a report that is not a condition.
fn record(next: &mut OktaUserSyncStatus, report: &Report, now: Timestamp) {
    if let Some(run) = &mut next.last_run {
        run.okta_calls = i64::try_from(report.okta_calls).unwrap_or(i64::MAX);
        run.read = report.read.words();
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
    next.pending_plan = report.pending.clone().map(Box::new);
    next.memory = Some(report.memory.clone());
    if let Some(organisation) = &report.organisation {
        let former = next.okta.take().unwrap_or_default();
        let pinned = Some(former.org_id).filter(|id| !id.is_empty());
        let app = organisation.app.clone().unwrap_or_default();
        next.okta = Some(OktaStatus {
            // First seen, kept for ever: another organisation behind the same URL must not become ours by one failed pass.
            org_id: pinned.unwrap_or_else(|| organisation.id.clone()),
            app_id: app.id,
            app_label: app.label,
            scopes: organisation.scopes.clone(),
            dpop: organisation.dpop,
            clock_skew_seconds: former.clock_skew_seconds,
            budget: former.budget,
        });
    }
    if let Some(cluster) = &report.cluster {
        let known = next.teleport.take().map(|teleport| teleport.lock_lifetime).unwrap_or_default();
        next.teleport = Some(TeleportStatus {
            cluster: cluster.name.clone(),
            version: cluster.version.clone(),
            origin_mode: cluster.origin_mode.as_str().to_owned(),
            route: cluster.route.clone(),
            identity_expires: cluster.identity_expires.map(Time),
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
        let message = bounds::tidy(message, condition::MESSAGE_LIMIT);
        let mut made = condition::condition(type_, true, reason, &message, self.generation, &self.now);
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
            (None, Ending::Report(report)) => (report.only_refusal().unwrap_or("PartlyFailed"), partly(report), true),
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

    /// Whether users had to be put right that nobody's profile or specification had changed.
    fn drift(&mut self, report: &Report) {
        if report.read == Read::NotBegun {
            return;
        }
        let drifted = report.counts.drifted;
        if drifted == 0 {
            return self.clear(condition::DRIFT_SEEN);
        }
        let message =
            format!("{drifted} users had been rewritten by somebody else, such as a login, and were put right");
        self.set(condition::DRIFT_SEEN, "True", "RewrittenByOthers", &message);
    }

    fn warnings(&mut self, report: &Report) {
        let expiring = report.cluster.as_ref().and_then(|cluster| cluster.expiring.as_ref());
        // First what stops everything when nobody minds it; the reason is that of the first.
        let mut words: Vec<&str> = expiring.into_iter().chain(&report.warnings).map(String::as_str).collect();
        if report.pending.is_none() {
            words.extend(report.approval.as_deref());
        }
        if words.is_empty() {
            return self.clear(condition::WARNING);
        }
        let reason = if expiring.is_some() { "IdentityExpiring" } else { "WorthKnowing" };
        self.set(condition::WARNING, "True", reason, &words.join("; "));
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
    let first = report.problems.first().map(|Problem { message, remedy, .. }| {
        let message = message.trim_end_matches('.');
        if remedy.is_empty() { format!("{FIRST}{message}") } else { format!("{FIRST}{message}. To do: {remedy}") }
    });
    let first = first.unwrap_or_default();
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
        message: failure.message.clone(),
        remedy: failure.remedy.clone(),
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
pub(crate) mod tests;
