//! A partial pass: a few people, asked about by id, through the same rules as everybody.
//!
//! Each person is read by id and judged by the same [`crate::people::judge`], held against the user (found by the roster, by
//! the name in Okta, by our locks) by the same [`plan`], confirmed by the same [`verdict`], counted by the same brake, and
//! written by the same [`crate::apply`]. What a full pass knows from having read everybody, it takes from the [`Ledger`]; where
//! that does not know enough, or would be guessing, the person is left to a full pass:
//!
//! * Removals are held, or the brake holds these: a full pass says so, and nothing of the set is done.
//! * Nobody else of the source can be seen (P2): then Okta may be hiding people, and a person's absence proves nothing.
//! * It is not known who goes under which name: nobody is made, renamed, changed or unlocked; leavers and suspended people
//!   are locked all the same.
//!
//! [`Ledger`]: crate::ledger::Ledger

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use api::{spec::Mode, status::Memory};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::{
    census::Census,
    cluster::Cluster,
    confirm::{Verdict, ask, verdict},
    directory::{Directory, Standing},
    failure::Failure,
    ground::Ground,
    guard,
    lock::lock_name,
    observed::Observed,
    pass::Pass,
    people::{Cause, Judgement, People, Sight},
    person::PersonStatus,
    plan::{Plan, Removal, Situation, plan},
    report::{Outcome, Read, Report},
    writing::Work,
};

/// Questions asked of one side at the same time.
const CONCURRENCY: usize = 4;

/// People who are looked at to prove that people can be seen at all.
const WITNESSES: usize = 3;

/// What a partial pass came to.
#[derive(Debug)]
pub struct Partial {
    /// What was done, and what went wrong.
    pub report: Report,
    /// People for whom something is left to do, to be asked about again.
    pub owed: Vec<String>,
    /// Why a full pass is due.
    pub full_pass: Option<String>,
}

/// Where people stand, by Okta id, and whether each is in one of the groups that narrow the scope.
type Stands = BTreeMap<String, (Standing, bool)>;

impl Pass<'_> {
    /// Deals with these people alone (Okta ids). It may run beside a full pass with the same ledger.
    pub async fn partial<D: Directory, C: Cluster>(self, directory: &D, cluster: &C, people: &[String]) -> Partial {
        let mut partial = Partial { report: self.empty_report(), owed: Vec::new(), full_pass: None };
        if people.is_empty() || self.policy.mode == Mode::Preview {
            return partial;
        }
        let calls = directory.calls();
        self.ledger.remember(&self.memory.removals, self.pending.is_some());
        if !self.ledger.ready() {
            partial.full_pass = Some("who has which account is not known".into());
            partial.owed = people.to_vec();
        } else if let Err(failure) = self.try_partial(directory, cluster, people, &mut partial).await {
            partial.report.failed("", &failure);
            partial.report.outcome = Outcome::Refused;
            partial.report.failure = Some(failure);
            partial.owed = people.to_vec();
        }
        partial.report.okta_calls = directory.calls().saturating_sub(calls);
        partial.report.memory.removals = self.ledger.removals();
        partial
    }

    async fn try_partial<D: Directory, C: Cluster>(
        &self,
        directory: &D,
        cluster: &C,
        people: &[String],
        partial: &mut Partial,
    ) -> Result<(), Failure> {
        let ground = self.ground(directory, cluster, &mut partial.report).await?;
        let mut claimed = self.ledger.claim(people).await;
        let stands = self.stands(directory, &ground, people, partial).await;
        let observed = self.look(cluster, &ground, &stands).await.inspect_err(|_| {
            // Nothing was written: what a full pass plans for them stands.
            for okta_id in people {
                claimed.give_back(okta_id);
            }
        })?;
        for okta_id in &partial.owed {
            claimed.give_back(okta_id);
        }
        let (judged, known) = self.judged(&stands, &observed, &ground);
        let mut plan = plan(Situation {
            policy: self.policy,
            observed: &observed,
            people: &judged,
            mode: ground.cluster.origin_mode,
            lock_life: ground.lock_life,
            now: self.started,
        });
        let put_off = if known { BTreeSet::new() } else { locks_only(&mut plan) };
        self.note_plan(&mut plan, &judged, &mut partial.report);
        for okta_id in stands.keys() {
            let name = judged.get(okta_id).filter(|entry| matches!(entry.judgement, Judgement::Member { .. }));
            self.ledger.found(okta_id, observed.accounts(okta_id), name.map(|entry| entry.name));
        }
        let mut removals = std::mem::take(&mut plan.removals);
        for removal in &mut removals {
            // The full pass has made and counted the lock, and leaves the rest to this one: no matter for the brake.
            removal.begun |= claimed.has_stored(&lock_name(&self.policy.owner, &removal.okta_id, &removal.name));
        }
        let removals = self.grant(directory, &ground, &stands, removals, partial).await;
        let work = Work { plan: &plan, people: &judged, removals: &removals };
        self.apply(cluster, &ground, work, None, &mut partial.report).await;
        partial.owed.extend(put_off);
        partial.owed.append(&mut partial.report.undone);
        partial.owed.sort_unstable();
        partial.owed.dedup();
        Ok(())
    }

    /// Asks Okta about each person. Who could not be asked about is owed.
    async fn stands<D: Directory>(
        &self,
        directory: &D,
        ground: &Ground,
        people: &[String],
        partial: &mut Partial,
    ) -> Stands {
        let mut answers = futures::stream::iter(people.to_vec())
            .map(|okta_id| async move {
                let answer = ask(directory, &ground.source, self.policy, &okta_id).await;
                (okta_id, answer)
            })
            .buffered(CONCURRENCY);
        let mut stands = Stands::new();
        while let Some((okta_id, answer)) = answers.next().await {
            match answer {
                Ok(stand) => drop(stands.insert(okta_id, stand)),
                Err(failure) => {
                    partial.report.counts.failed += 1;
                    partial.report.failed(&okta_id, &failure);
                    partial.report.failure.get_or_insert(failure);
                    partial.owed.push(okta_id);
                }
            }
        }
        stands
    }

    /// What Teleport holds under any name that these people have or had.
    async fn look<C: Cluster>(&self, cluster: &C, ground: &Ground, stands: &Stands) -> Result<Observed, Failure> {
        let roster = self.ledger.roster();
        let locks = cluster.locks().await?;
        let mut names = BTreeSet::new();
        for (okta_id, (standing, _)) in stands {
            names.extend(roster.accounts(okta_id).map(str::to_owned));
            if let Standing::Present(person) = standing {
                names.extend(person.user_name.clone());
            }
        }
        let theirs = |okta_id: &str| stands.contains_key(okta_id);
        names.extend(
            locks.iter().filter(|l| l.ours.as_ref().is_some_and(|m| theirs(&m.okta_id))).map(|l| l.user.clone()),
        );
        let users: Vec<_> = futures::stream::iter(names)
            .map(|name| async move { cluster.user(&name).await })
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let mut census = Census::default();
        for user in users.iter().flatten() {
            census.add(&user.view(), &ground.cluster);
        }
        // One that a login rewrote is known by the roster alone, whoever's it is.
        let mut observed = Observed::of(Arc::new(census), self.policy, &roster);
        observed.only(&stands.keys().map(String::as_str).collect::<HashSet<_>>());
        for lock in locks {
            observed.note_lock(lock, self.policy, self.started);
        }
        Ok(observed)
    }

    /// What is to become of each, and whether it is known who else goes under their names.
    fn judged(&self, stands: &Stands, observed: &Observed, ground: &Ground) -> (People, bool) {
        let mut people = People::default();
        people.read = Read::Complete;
        for (standing, is_member) in stands.values() {
            if let Standing::Present(person) = standing {
                people.note(person, self.policy, ground.cluster.origin_mode, observed, |_| *is_member);
            }
        }
        let mut known = true;
        for (okta_id, (standing, _)) in stands {
            let own = match standing {
                Standing::Present(person) => person.user_name.as_deref(),
                Standing::NotInSource(_) | Standing::Gone => None,
            };
            for name in own.into_iter().chain(observed.accounts(okta_id)) {
                match self.ledger.wanted_by_others(name, okta_id) {
                    // Who is asked about now goes by what Okta says now.
                    Some(true) if !self.by_those_here(name, okta_id, stands) => people.note_elsewhere(name),
                    Some(_) => {}
                    None => known = false,
                }
            }
        }
        (people, known)
    }

    /// Whether the one who goes under that name, by the last full list, is asked about in this pass too.
    fn by_those_here(&self, name: &str, okta_id: &str, stands: &Stands) -> bool {
        stands.keys().any(|other| other != okta_id && self.ledger.wanted_by_others(name, other) == Some(false))
    }

    /// The removals that may happen.
    async fn grant<D: Directory>(
        &self,
        directory: &D,
        ground: &Ground,
        stands: &Stands,
        removals: Vec<Removal>,
        partial: &mut Partial,
    ) -> Vec<Removal> {
        // P3: each stands on what Okta said of that very person.
        let confirmed: Vec<Removal> = removals
            .into_iter()
            .filter_map(|removal| {
                let (standing, is_member) = stands.get(&removal.okta_id)?;
                match verdict(self.policy, standing, *is_member, &removal) {
                    Verdict::Leaves(cause) => Some(Removal { cause, ..removal }),
                    // A full pass says so.
                    Verdict::Belongs | Verdict::Kept(_) => None,
                }
            })
            .collect();
        if confirmed.is_empty() {
            return confirmed;
        }
        let owned = self.ledger.owned();
        if let Some(refusal) =
            guard::refusal(&Read::Complete, Sight::Somebody, owned, &self.memory, ground.organisation.app.as_ref())
        {
            partial.full_pass = Some(refusal.message.clone());
            partial.report.failed("", &refusal);
            partial.report.failure = Some(refusal);
            return Vec::new();
        }
        if confirmed.iter().any(|removal| proves_by_absence(stands, removal))
            && !self.others_are_seen(directory, ground, stands).await
        {
            partial.full_pass = Some("nobody else of the source can be seen".into());
            return Vec::new();
        }
        let fresh = confirmed.iter().filter(|removal| !removal.begun).count();
        let spent = self.ledger.may_spend(&confirmed, self.started, |removals| {
            let memory = Memory { removals: removals.to_vec(), ..self.memory.clone() };
            guard::reason_to_hold(fresh, owned, self.policy, &memory, self.started)
        });
        match spent {
            Ok(()) => confirmed,
            Err(reason) => {
                partial.full_pass = Some(reason);
                partial.report.outcome = Outcome::Held;
                confirmed.into_iter().filter(|removal| removal.begun).collect()
            }
        }
    }

    /// Whether somebody is still shown in the source, and in the groups that narrow it: one of those who were asked about
    /// anyway, or else somebody who had an account.
    async fn others_are_seen<D: Directory>(&self, directory: &D, ground: &Ground, stands: &Stands) -> bool {
        if stands.values().any(|stand| matches!(stand, (Standing::Present(_), true))) {
            return true;
        }
        let roster = self.ledger.roster();
        let others = roster.iter().map(|(okta_id, _)| okta_id).filter(|okta_id| !stands.contains_key(*okta_id));
        for okta_id in others.take(WITNESSES) {
            if let Ok((Standing::Present(_), true)) = ask(directory, &ground.source, self.policy, okta_id).await {
                return true;
            }
        }
        false
    }
}

/// Whether the evidence is that Okta does not show the person where they were.
fn proves_by_absence(stands: &Stands, removal: &Removal) -> bool {
    match stands.get(&removal.okta_id) {
        Some((Standing::Gone, _)) => true,
        Some((Standing::NotInSource(status), _)) => *status != PersonStatus::Deprovisioned,
        // Out of the groups: the groups may have gone out of sight as well as the person out of them.
        Some((Standing::Present(_), is_member)) => !is_member,
        None => false,
    }
}

/// Leaves of a plan what only locks people out; answers for whom something was taken out of it.
fn locks_only(plan: &mut Plan) -> BTreeSet<String> {
    let creations = plan.creations.drain(..).map(|creation| creation.okta_id);
    let updates = plan.updates.drain(..).map(|update| update.okta_id);
    let lifts = plan.lifts.drain(..).map(|lift| lift.okta_id);
    let mut put_off: BTreeSet<String> = creations.chain(updates).chain(lifts).collect();
    plan.removals.retain(|removal| {
        let renamed = matches!(removal.cause, Cause::Renamed(_));
        if renamed {
            put_off.insert(removal.okta_id.clone());
        }
        !renamed
    });
    put_off
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partial pass runs on a task of its own.
    #[allow(dead_code)]
    fn a_partial_pass_can_be_sent<D: Directory, C: Cluster>(
        pass: Pass<'_>,
        directory: &D,
        cluster: &C,
        ids: &[String],
    ) {
        fn is_send<T: Send>(_: T) {}
        is_send(pass.partial(directory, cluster, ids));
    }
}
