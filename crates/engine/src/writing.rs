//! What a pass writes, in its order, and what it notes of each write.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use crate::{
    apply::{DEALT_WITH, RemovalEnd, Removed, Writer},
    cluster::Cluster,
    failure::Failure,
    ground::Ground,
    guard,
    journal::Grounds,
    ledger::Ledger,
    pass::{Pass, Progress},
    people::{Cause, People},
    plan::{Plan, Removal, UpdateKind, count},
    report::{Outcome, Read, Report},
};

/// What is to be carried out.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) people: &'a People,
    /// Those removals of the plan that may happen.
    pub(crate) removals: &'a [Removal],
}

impl Pass<'_> {
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
            roles: &ground.roles,
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
        // What the brake let pass was counted at once; what did not come to a lock does not count. A lock that was made does,
        // also when a partial pass has taken the person in hand after it.
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
    fn note_removals(&self, removals: &[Removal], ended: Vec<RemovalEnd>, report: &mut Report) -> usize {
        let mut fresh = 0;
        for (removal, end) in removals.iter().zip(ended) {
            if end.locked && !removal.begun {
                fresh += 1;
                report.counts.locked += 1;
            }
            if let Some(removed) = note(&removal.okta_id, &removal.name, end.account, report) {
                // P12: a rename is counted where the new account is made, once.
                if !matches!(removal.cause, Cause::Renamed(_)) {
                    report.counts.removed += 1;
                }
                if removed == Removed::Gone {
                    self.ledger.gone(&removal.okta_id, &removal.name, true);
                }
            }
        }
        fresh
    }
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
