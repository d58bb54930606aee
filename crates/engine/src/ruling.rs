//! What of a plan's removals a pass may carry out: asked about by id, ruled on by the [`guard`], and told of.

use api::{
    spec::Mode,
    status::{Memory, PendingPlan},
};
use tracing::debug;

use crate::{
    confirm::{Confirmation, confirm},
    directory::Directory,
    failure::Class,
    ground::Ground,
    guard::{self, Ruling},
    observed::Observed,
    pass::Pass,
    people::People,
    plan::{Removal, left_alone},
    report::{Outcome, Read, Report},
};

/// What the guard says of a plan's removals.
#[derive(Default)]
pub(crate) struct Ruled {
    /// These may happen.
    pub(crate) removals: Vec<Removal>,
    /// These wait for approval.
    pub(crate) held: Vec<Removal>,
}

impl Pass<'_> {
    /// The removals that may happen.
    pub(crate) async fn guard<D: Directory>(
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
}
