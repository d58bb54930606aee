//! One pass: read, desire, plan, guard, apply, report.

use std::time::{Duration, Instant};

use api::{
    spec::{Mode, RemovalAction},
    status::{Memory, PendingPlan, UserCounts},
};
use jiff::Timestamp;
use tracing::debug;

use crate::{
    apply::MayWrite,
    cluster::Cluster,
    desired::{carried, field_changes, fields_of},
    directory::Directory,
    failure::{Class, Failure},
    ground::Ground,
    journal::Journal,
    ledger::Ledger,
    lock::LockReason,
    observed::Observed,
    people::People,
    plan::{Creation, Plan, Removal, Situation, count, plan},
    policy::Policy,
    report::{Change, FieldChange, Outcome, Read, Report},
    ruling::Ruled,
    writing::Work,
};

/// How far a pass has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// So many people have been read.
    Reading {
        /// People.
        people: usize,
    },
    /// So many users of all that need it have been written.
    Writing {
        /// Written.
        done: usize,
        /// To be written.
        total: usize,
    },
    /// The lock of the person with this Okta id is in force, for this reason.
    Locked(&'a str, LockReason),
}

/// One full pass, with all it has to know.
pub struct Pass<'a> {
    /// The settings.
    pub policy: &'a Policy,
    /// What former passes left to know (`status.memory`).
    pub memory: Memory,
    /// What was held until now (`status.pendingPlan`).
    pub pending: Option<PendingPlan>,
    /// Id of the organisation that was seen first (`status.okta.orgID`); empty at the first pass.
    pub pinned_org: &'a str,
    /// What the passes over this resource share.
    pub ledger: &'a Ledger,
    /// Now.
    pub started: Timestamp,
    /// How old a list of Teleport's users may be that another resource's pass has read; see
    /// [`SHARED_FOR`](crate::census::SHARED_FOR). Zero: none that began before this pass.
    pub list_age: Duration,
    /// Id of the pass, for lock messages, logs and status.
    pub id: String,
    /// Asked before every write (P8).
    pub may_write: MayWrite<'a>,
    /// Whether the report lists every change.
    pub detail: bool,
    /// Told how far the pass has come.
    pub progress: &'a (dyn Fn(Progress<'_>) + Sync),
    /// Told of every write, before and after it.
    pub journal: &'a dyn Journal,
}

impl Pass<'_> {
    /// Runs the pass. Every outcome is in the report; nothing is thrown away.
    pub async fn run<D: Directory, C: Cluster>(self, directory: &D, cluster: &C) -> Report {
        let mut report = self.empty_report();
        let calls = directory.calls();
        self.ledger.begin(&self.memory.removals);
        if let Err(failure) = self.try_run(directory, cluster, &mut report).await {
            report.failed("", &failure);
            report.outcome = Outcome::Refused;
            report.failure = Some(failure);
        }
        report.okta_calls = directory.calls().saturating_sub(calls);
        if self.policy.mode != Mode::Preview {
            report.memory.removals = self.ledger.removals();
        }
        report
    }

    pub(crate) fn empty_report(&self) -> Report {
        Report {
            id: self.id.clone(),
            started: self.started,
            outcome: Outcome::Succeeded,
            read: Read::NotBegun,
            failure: None,
            counts: UserCounts::default(),
            problems: Vec::new(),
            problem_count: 0,
            problem_classes: std::collections::BTreeMap::new(),
            failure_reasons: std::collections::BTreeMap::new(),
            pending: self.pending.clone(),
            approval: None,
            warnings: Vec::new(),
            okta_calls: 0,
            organisation: None,
            cluster: None,
            lock_life: None,
            memory: self.memory.clone(),
            changes: Vec::new(),
            writes: 0,
            undone: Vec::new(),
            overlaps: std::collections::BTreeMap::new(),
        }
    }

    async fn try_run<D: Directory, C: Cluster>(
        &self,
        directory: &D,
        cluster: &C,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let ground = self.ground(directory, cluster, report).await?;
        let observed = self.observe(cluster, &ground).await?;
        self.ledger.listed(&observed);
        self.ledger.make_up(observed.removal_locks(), self.started);
        let progress = |people| (self.progress)(Progress::Reading { people });
        let mode = ground.cluster.origin_mode;
        let mut people = People::read(directory, &ground.source, self.policy, mode, &observed, &progress).await;
        report.read = people.read.clone();
        let mut plan = plan(Situation {
            policy: self.policy,
            observed: &observed,
            people: &people,
            mode,
            lock_life: ground.lock_life,
            now: self.started,
        });
        self.note_plan(&mut plan, &people, report);
        let removals = std::mem::take(&mut plan.removals);
        if people.read == Read::Complete {
            self.ledger.planned(std::mem::take(&mut plan.roster), &removals, people.take_names());
        }
        let Ruled { removals, held } = self.guard(directory, &ground, &observed, &people, removals, report).await;
        if people.read == Read::Complete {
            report.memory.people = count(people.len());
        } else {
            // P1: a read that did not reach its end adds and updates at most.
            plan.suspensions.clear();
        }
        if self.detail {
            let work = Work { plan: &plan, people: &people, removals: &removals };
            self.describe(cluster, &ground, work, &held, report).await;
        }
        if self.policy.mode == Mode::Preview {
            report.memory = self.memory.clone();
            report.outcome = if report.failure.is_some() { Outcome::Partial } else { Outcome::Previewed };
            return Ok(());
        }
        let work = Work { plan: &plan, people: &people, removals: &removals };
        self.apply(cluster, &ground, work, Some(self.ledger), report).await;
        Ok(())
    }

    /// Reads what Teleport holds, or takes a list that does not miss anything that this resource has written.
    pub(crate) async fn observe<C: Cluster>(&self, cluster: &C, ground: &Ground) -> Result<Observed, Failure> {
        let now = Instant::now();
        let oldest = now.checked_sub(self.list_age).unwrap_or(now);
        let since = self.ledger.written().map_or(oldest, |written| written.max(oldest));
        Observed::read(cluster, &ground.cluster, since, self.policy, &self.ledger.roster(), self.started).await
    }

    pub(crate) fn note_plan(&self, plan: &mut Plan, people: &People, report: &mut Report) {
        // Who could not be asked about, in a partial pass, has been counted already.
        report.counts = UserCounts { failed: report.counts.failed, ..plan.counts };
        report.overlaps = std::mem::take(&mut plan.overlaps);
        for obstacle in &plan.obstacles {
            let (class, why) = (obstacle.class.as_str(), &obstacle.message);
            debug!(target: "decision", pass = self.id, owner = %self.policy.owner, action = "leave", user = obstacle.user, class, why);
            report.problem(obstacle.class, &obstacle.user, &obstacle.message, &obstacle.remedy);
        }
        for creation in &plan.creations {
            self.note_left_out(people, &creation.okta_id, report);
        }
        for update in &plan.updates {
            self.note_left_out(people, &update.okta_id, report);
        }
    }

    fn note_left_out(&self, people: &People, okta_id: &str, report: &mut Report) {
        let (left_out, Some(entry)) = (people.left_out(okta_id), people.get(okta_id)) else { return };
        if left_out.is_empty() {
            return;
        }
        report.problem(
            Class::Configuration,
            entry.name,
            format!(
                "traits left out because a user holds at most {} bytes of them: {}",
                crate::traits::MAX_BYTES,
                left_out.join(", ")
            ),
            format!("leave large attributes out by users.traits.exclude in {}", self.policy.owner),
        );
    }

    /// Lists every change, for a preview or the command line.
    async fn describe<C: Cluster>(
        &self,
        cluster: &C,
        ground: &Ground,
        work: Work<'_>,
        held: &[Removal],
        report: &mut Report,
    ) {
        let Work { plan, people, removals } = work;
        let mut changes = Vec::new();
        let mut note = |action, okta_id: &str, user: &str, why: String, fields| {
            changes.push(Change { action, user: user.into(), okta_id: okta_id.into(), why, applies: true, fields });
        };
        for creation in &plan.creations {
            let (action, why) = match &creation.renamed_from {
                Some(old) => ("rename", format!("goes under this name now, was {old}")),
                None => ("create", "belongs, and has no user yet".into()),
            };
            let fields = self.fields_of_new(cluster, ground, creation, people).await;
            note(action, &creation.okta_id, &creation.name, why, fields);
        }
        for update in &plan.updates {
            let fields = match (cluster.user(&update.name).await, people.changed(&update.okta_id)) {
                (Ok(Some(user)), Some(desired)) => {
                    desired.edit(&user).map(|edit| field_changes(&user, &edit)).unwrap_or_default()
                }
                _ => Vec::new(),
            };
            note("update", &update.okta_id, &update.name, update.kind.words().into(), fields);
        }
        for suspension in &plan.suspensions {
            note("lock", &suspension.okta_id, &suspension.name, "suspended in Okta".into(), Vec::new());
        }
        for lift in &plan.lifts {
            note("unlock", &lift.okta_id, &lift.name, "belongs (again)".into(), Vec::new());
        }
        let action = if self.policy.action == RemovalAction::LockOnly { "lock" } else { "remove" };
        for removal in removals.iter().chain(held) {
            note(action, &removal.okta_id, &removal.name, removal.cause.words(), Vec::new());
        }
        let first_held = changes.len() - held.len();
        for change in &mut changes[first_held..] {
            change.applies = false;
        }
        report.changes = changes;
    }

    /// The fields of a user that is to be made, as far as a preview shows them; a pass that makes it does not look them up.
    async fn fields_of_new<C: Cluster>(
        &self,
        cluster: &C,
        ground: &Ground,
        creation: &Creation,
        people: &People,
    ) -> Vec<FieldChange> {
        let Some(desired) = people.changed(&creation.okta_id).filter(|_| self.policy.mode == Mode::Preview) else {
            return Vec::new();
        };
        let old = match creation.renamed_from.as_deref().filter(|_| self.policy.carry_over) {
            Some(old) => cluster.user(old).await.ok().flatten(),
            None => None,
        };
        let kept = old.map(|user| carried(&user, self.policy, &ground.roles)).unwrap_or_default();
        fields_of(&desired.new_user(&self.policy.connector, &kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pass runs on a multi-threaded runtime.
    #[allow(dead_code)]
    fn a_pass_can_be_sent<D: Directory, C: Cluster>(pass: Pass<'_>, directory: &D, cluster: &C) {
        fn is_send<T: Send>(_: T) {}
        is_send(pass.run(directory, cluster));
    }
}
