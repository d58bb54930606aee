//! One pass: read, desire, plan, guard, apply, report.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use api::{
    spec::{Mode, RemovalAction},
    status::{Memory, PendingPlan, UserCounts},
};
use jiff::{SignedDuration, Timestamp};
use tracing::debug;

use crate::{
    apply::{DEALT_WITH, Ended, MayWrite, Removed, Writer},
    cluster::{Cluster, ClusterFacts, ConnectorLookup},
    confirm::{Confirmation, confirm},
    desired::{carried, field_changes, fields_of},
    directory::{Directory, Organisation, PeopleSource},
    failure::{Class, Failure, Side},
    guard::{self, Ruling},
    journal::{Grounds, Journal},
    ledger::Ledger,
    lock::{LockReason, lock_life},
    observed::Observed,
    people::{Cause, People},
    plan::{Creation, Plan, Removal, Situation, UpdateKind, count, left_alone, plan},
    policy::Policy,
    report::{Change, FieldChange, Outcome, Read, Report},
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

/// What is known before people are read.
pub(crate) struct Ground {
    pub(crate) cluster: ClusterFacts,
    pub(crate) organisation: Organisation,
    pub(crate) source: PeopleSource,
    pub(crate) lock_life: SignedDuration,
    /// Roles that the cluster has.
    pub(crate) role_names: HashSet<String>,
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
        let observed =
            Observed::read(cluster, &ground.cluster, self.policy, &self.ledger.roster(), self.started).await?;
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

    /// Proves both sides before anything else: our own identity, the roles, the life of a lock, the organisation, the app.
    pub(crate) async fn ground<D: Directory, C: Cluster>(
        &self,
        directory: &D,
        cluster: &C,
        report: &mut Report,
    ) -> Result<Ground, Failure> {
        let facts = cluster.prove_identity().await?;
        report.warnings.extend(facts.notices.iter().cloned());
        report.cluster = Some(facts.clone());
        let roles = cluster.roles().await?;
        let role_names: HashSet<String> = roles.iter().map(|role| role.name.clone()).collect();
        for wanted in &self.policy.roles {
            if !role_names.contains(wanted) {
                return Err(Failure::new(
                    Side::Teleport,
                    Class::Configuration,
                    "RoleMissing",
                    format!("the role {wanted:?} of users.roles does not exist on the cluster {}", facts.name),
                    "make the role (tctl create), or name another in users.roles; okta-requester exists on Enterprise clusters only",
                ));
            }
        }
        let lock_life = lock_life(&roles, self.policy.lock_margin)?;
        report.lock_life = Some(lock_life);
        let source = self.policy.source(self.connector_app(cluster, report).await?)?;
        let organisation = directory.organisation(&source).await?;
        guard::same_organisation(&organisation, self.pinned_org)?;
        report.warnings.extend(organisation.warnings.iter().cloned());
        report.organisation = Some(organisation.clone());
        if source == PeopleSource::Org {
            report.warnings.push("scope.source is Org: everybody in the Okta organisation gets a user, whether or not the SAML app is assigned to them; App takes those alone".into());
        }
        Ok(Ground { cluster: facts, organisation, source, lock_life, role_names })
    }

    /// The app that the connector names. A connector that cannot be seen stops nothing as long as `scope.appID` is given:
    /// Community Edition has none, and the system role may not read it.
    async fn connector_app<C: Cluster>(&self, cluster: &C, report: &mut Report) -> Result<Option<String>, Failure> {
        let name = &self.policy.connector;
        match cluster.connector(name).await? {
            ConnectorLookup::Found { app_id } => {
                if let (Some(theirs), Some(ours)) = (&app_id, &self.policy.app_id)
                    && theirs != ours
                {
                    report.warnings.push(format!(
                        "scope.appID is {ours}, but the connector {name:?} belongs to the Okta app {theirs}"
                    ));
                }
                Ok(app_id)
            }
            ConnectorLookup::Missing => {
                report.warnings.push(format!(
                    "Teleport has no SAML connector {name:?}: people cannot log in through it until there is one"
                ));
                Ok(None)
            }
            ConnectorLookup::Unreadable(why) => {
                report.warnings.push(format!("the SAML connector {name:?} could not be read: {why}"));
                Ok(None)
            }
        }
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

    /// The removals that may happen.
    async fn guard<D: Directory>(
        &self,
        directory: &D,
        ground: &Ground,
        observed: &Observed,
        people: &People,
        removals: Vec<Removal>,
        report: &mut Report,
    ) -> Ruled {
        let app = ground.organisation.app.as_ref();
        let refusal = guard::refusal(&people.read, people.sight(), observed.owned(), &self.memory, app);
        // A read that failed on its way says nothing against the people in it, unlike an empty one or a dead app.
        if people.read == Read::Complete {
            self.ledger.refused(refusal.is_some());
        }
        if let Some(refusal) = refusal {
            report.failed("", &refusal);
            report.outcome = Outcome::Partial;
            report.failure = Some(refusal);
            return Ruled::default();
        }
        let confirmed = self.confirmed(directory, ground, removals, report).await;
        let spend = self.policy.mode != Mode::Preview;
        let (confirmed, ruling) = self.ledger.rule(confirmed, self.started, spend, |confirmed, removals| {
            let memory = Memory { removals: removals.to_vec(), ..self.memory.clone() };
            guard::brake(confirmed, observed.owned(), self.policy, &memory, self.pending.as_ref(), self.started)
        });
        match ruling {
            Ruling::Go(approval) => {
                report.pending = None;
                self.note_approval(approval, report);
                if report.outcome == Outcome::Succeeded {
                    report.memory.scope_hash.clone_from(&self.policy.scope_hash);
                }
                Ruled { removals: confirmed, held: Vec::new() }
            }
            Ruling::Hold(mut pending) => {
                let (removals, held): (Vec<_>, Vec<_>) = confirmed.into_iter().partition(|removal| removal.begun);
                for removal in &held {
                    self.undone("hold", removal, &removal.cause.words());
                }
                self.note_unfitting_approval(&pending, report);
                pending.approval.clone_from(&report.approval);
                report.counts.held = pending.removals;
                report.outcome = Outcome::Held;
                report.pending = Some(*pending);
                Ruled { removals, held }
            }
        }
    }

    async fn confirmed<D: Directory>(
        &self,
        directory: &D,
        ground: &Ground,
        removals: Vec<Removal>,
        report: &mut Report,
    ) -> Vec<Removal> {
        let mut confirmed = Vec::new();
        for answer in confirm(directory, &ground.source, self.policy, removals).await {
            match answer {
                Confirmation::Confirmed(removal) => confirmed.push(removal),
                Confirmation::Denied(removal) => {
                    self.undone("keep", &removal, "Okta says by id that the person belongs");
                    report.problem(
                        Class::Transient,
                        &removal.name,
                        format!("{} was missing from Okta's list, but Okta says by id that the person belongs; nothing was done", removal.name),
                        "nothing; if it stays so, check the resource set of the API Services app's admin role",
                    );
                }
                Confirmation::Kept(removal, keep) => {
                    self.undone("keep", &removal, &keep.why);
                    let told = left_alone(&removal.name, &keep.why, keep.remedy);
                    report.problem(told.class, &told.user, told.message, told.remedy);
                    report.counts.skipped += 1;
                }
                Confirmation::Unanswered(removal, failure) => {
                    report.counts.failed += 1;
                    report.outcome = Outcome::Partial;
                    report.failed(&removal.name, &failure);
                }
            }
        }
        confirmed
    }

    /// The line of a decision not to remove somebody. The next pass decides the same, so it is for who asks for it.
    fn undone(&self, action: &'static str, removal: &Removal, why: &str) {
        let (okta_id, user) = (&removal.okta_id, &removal.name);
        debug!(target: "decision", pass = self.id, owner = %self.policy.owner, action, okta_id, user, why);
    }

    fn note_approval(&self, approval: Option<String>, report: &mut Report) {
        match approval {
            Some(hash) => {
                report.approval = Some(format!("the approval of plan {hash} was used"));
                guard::note_use(&mut report.memory, &hash, &self.policy.approvals);
            }
            None if !self.policy.approvals.is_empty() && self.pending.is_some() => {
                report.approval = Some("the held plan needs no approval any more".into());
            }
            None => {}
        }
    }

    fn note_unfitting_approval(&self, pending: &PendingPlan, report: &mut Report) {
        let fresh = self.policy.approvals.iter().find(|hash| !guard::was_used(&self.memory, hash));
        report.approval = match fresh {
            Some(hash) if *hash == pending.hash => {
                Some(format!("the approval of plan {hash} came after the plan had expired; approve it anew"))
            }
            Some(hash) => {
                Some(format!("the approval of plan {hash} does not fit the plan that is held now ({})", pending.hash))
            }
            None => None,
        };
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
        let kept = old.map(|user| carried(&user, self.policy, &ground.role_names)).unwrap_or_default();
        fields_of(&desired.new_user(&self.policy.connector, &kept))
    }

    /// Locks and deletions first, the mass of creations and updates after them. `ledger` is asked for a turn on each person;
    /// a partial pass, which has them in hand, gives none.
    pub(crate) async fn apply<C: Cluster>(
        &self,
        cluster: &C,
        ground: &Ground,
        work: Work<'_>,
        ledger: Option<&Ledger>,
        report: &mut Report,
    ) {
        let Work { plan, people, removals } = work;
        let (calls, done) = (AtomicU64::new(0), AtomicUsize::new(0));
        let total = plan.creations.len() + plan.updates.len();
        let written = || (self.progress)(Progress::Writing { done: done.fetch_add(1, Ordering::Relaxed) + 1, total });
        let locked = |okta_id: &str, reason| (self.progress)(Progress::Locked(okta_id, reason));
        let writer = Writer {
            cluster,
            facts: &ground.cluster,
            policy: self.policy,
            lock_life: ground.lock_life,
            role_names: &ground.role_names,
            now: self.started,
            pass: &self.id,
            may_write: self.may_write,
            writes: &calls,
            written: &written,
            locked: &locked,
            ledger,
            failures: AtomicUsize::new(0),
            journal: self.journal,
            grounds: Grounds {
                // A partial pass, which needs no turns, has read no list.
                people_read: (people.read == Read::Complete && ledger.is_some()).then(|| people.len()),
                plan: (!removals.is_empty()).then(|| guard::plan_hash(removals)),
                approved: report.memory.used_approval != self.memory.used_approval,
            },
        };
        let (after_creation, at_once): (Vec<Removal>, Vec<Removal>) =
            removals.iter().cloned().partition(|removal| removal.after_creation);
        let (removed, suspended) = futures::join!(writer.remove(&at_once), writer.suspend(&plan.suspensions));
        let mut fresh = self.note_removals(&at_once, removed, report);
        for (suspension, (name, ended)) in plan.suspensions.iter().zip(suspended) {
            if note(&suspension.okta_id, &name, ended, report).is_some() {
                report.counts.locked += 1;
            }
        }
        for (lift, (name, ended)) in plan.lifts.iter().zip(writer.lift(&plan.lifts).await) {
            if note(&lift.okta_id, &name, ended, report).is_some() {
                report.counts.locked -= 1;
            }
        }
        let made = self.create(&writer, plan, people, report).await;
        self.update(&writer, plan, people, report).await;
        // P12: the old account goes only when the new one stands.
        let made: Vec<Removal> =
            after_creation.into_iter().filter(|removal| made.contains(removal.okta_id.as_str())).collect();
        fresh += self.note_removals(&made, writer.remove(&made).await, report);
        // What the brake let pass was counted at once; what did not come to a lock does not count.
        let counted = removals.iter().filter(|removal| !removal.begun).count();
        self.ledger.give_back(counted.saturating_sub(fresh), self.started);
        report.writes = calls.load(Ordering::Relaxed);
        if report.counts.failed > 0 {
            report.outcome = Outcome::Partial;
        }
    }

    /// Makes users; answers for whom that succeeded.
    async fn create<'p, C: Cluster>(
        &self,
        writer: &Writer<'_, C>,
        plan: &'p Plan,
        people: &People,
        report: &mut Report,
    ) -> HashSet<&'p str> {
        let mut made = HashSet::new();
        for (creation, (name, ended)) in plan.creations.iter().zip(writer.create(&plan.creations, people).await) {
            let failed = ended.as_ref().is_err_and(|failure| failure.reason != DEALT_WITH);
            let Some(carried) = note(&creation.okta_id, &name, ended, report) else {
                if failed {
                    self.ledger.gone(&creation.okta_id, &name, false);
                }
                continue;
            };
            self.ledger.made(&creation.okta_id, &name);
            made.insert(creation.okta_id.as_str());
            report.counts.synced += 1;
            if creation.renamed_from.is_some() {
                report.counts.renamed += 1;
            } else {
                report.counts.created += 1;
            }
            report.counts.locked -= count(creation.lift.len());
            for (roles, why) in
                [(&carried.refused, "lie above the ceiling"), (&carried.missing, "do not exist any more")]
            {
                if !roles.is_empty() {
                    report.warnings.push(format!(
                        "{name} was renamed; roles given to the old user by hand {why} and were not given again: {}",
                        roles.join(", ")
                    ));
                }
            }
        }
        made
    }

    async fn update<C: Cluster>(&self, writer: &Writer<'_, C>, plan: &Plan, people: &People, report: &mut Report) {
        for (update, (name, ended)) in plan.updates.iter().zip(writer.update(&plan.updates, people).await) {
            let Some(changed) = note(&update.okta_id, &name, ended, report) else { continue };
            report.counts.synced += 1;
            match update.kind {
                _ if !changed => {}
                UpdateKind::Drifted => report.counts.drifted += 1,
                UpdateKind::Changed | UpdateKind::Adopted => report.counts.updated += 1,
            }
        }
    }

    /// Notes how removals ended; answers how many new ones count for the brake.
    fn note_removals(&self, removals: &[Removal], ended: Vec<Ended<Removed>>, report: &mut Report) -> usize {
        let mut fresh = 0;
        for (removal, (name, ended)) in removals.iter().zip(ended) {
            // A lock that was made counts, whether or not the account has gone yet.
            let locked = match &ended {
                Ok(_) => true,
                Err(failure) => failure.reason == "LockNotEnforced",
            };
            if locked && !removal.begun {
                fresh += 1;
                report.counts.locked += 1;
            }
            if let Some(removed) = note(&removal.okta_id, &name, ended, report) {
                // P12: a rename is counted where the new account is made, once.
                if !matches!(removal.cause, Cause::Renamed(_)) {
                    report.counts.removed += 1;
                }
                if removed == Removed::Gone {
                    self.ledger.gone(&removal.okta_id, &name, true);
                }
            }
        }
        fresh
    }
}

/// What the guard says of a plan's removals.
#[derive(Default)]
struct Ruled {
    /// These may happen.
    removals: Vec<Removal>,
    /// These wait for approval.
    held: Vec<Removal>,
}

/// What is to be carried out.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) people: &'a People,
    /// Those removals of the plan that may happen.
    pub(crate) removals: &'a [Removal],
}

/// Notes how the change of one user ended.
fn note<T>(okta_id: &str, name: &str, ended: Result<T, Failure>, report: &mut Report) -> Option<T> {
    match ended {
        Ok(value) => Some(value),
        Err(failure) if failure.reason == DEALT_WITH => None,
        Err(failure) => {
            report.counts.failed += 1;
            report.failed(name, &failure);
            report.undone(okta_id);
            None
        }
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
