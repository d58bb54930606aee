//! What the passes over one resource share: who has which account, who goes under which name, what the brake has let
//! pass, and which person is in whose hands.
//!
//! A partial pass may run beside a full one. Three things keep the two from harming each other:
//!
//! * **People.** A partial pass claims its people. From then on the full pass that runs at that moment does nothing about
//!   them (what it planned is older), and a write on one of them that is under way is waited for. A lock that the full pass
//!   has stored is not in force yet, and so in no list: the ledger tells of it, or it would be made and told of twice.
//! * **The brake** (P5). Ruling and counting are one step, so that neither spends what the other has spent; what was
//!   counted and did not come to a lock is given back. Who made the lock counts it, and not who finishes the job.
//! * **Held removals.** From the moment that a set is held, a partial pass removes nobody, until a full pass lets go.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use api::status::RemovalTally;
use futures::channel::oneshot;
use jiff::Timestamp;

use crate::{
    guard::{self, Ruling},
    name_index::NameIndex,
    observed::Observed,
    plan::Removal,
    roster::Roster,
};

/// The ledger of one resource. It outlives passes; a fresh one knows nothing.
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the users were listed since the process began: without it the roster means nothing.
    listed: bool,
    roster: Arc<Roster>,
    /// Users of ours at the last list, less those that have gone since.
    owned: usize,
    /// From the last list of people that was read to its end.
    names: Option<NameIndex>,
    /// Removals of the last hour.
    removals: Vec<RemovalTally>,
    /// Removals wait for approval.
    held: bool,
    /// The last full pass that came so far found a reason to remove nobody at all.
    refused: bool,
    /// People whom a partial pass has dealt with since the full pass began, or is dealing with.
    claimed: HashMap<Box<str>, Claim>,
    /// People on whom the full pass is writing, with how many writes, and who waits for their end. Few at a time, and none
    /// between passes; then it takes no room, as there are many ledgers.
    busy: HashMap<Box<str>, Busy>,
    /// Locks on leavers that the full pass has stored: who left, and the lock's name.
    stored: Vec<(Box<str>, String)>,
    /// When a write of any pass ended last, whatever became of it.
    written: Option<Instant>,
}

#[derive(Debug, Default)]
struct Claim {
    ended: bool,
    found: Found,
}

/// Under which name a partial pass found a person to go.
#[derive(Debug, Default)]
enum Found {
    /// It has not come to that yet.
    #[default]
    NotYet,
    /// Under none: they do not belong.
    Nobody,
    /// Under this one.
    Member(Box<str>),
}

#[derive(Debug, Default)]
struct Busy {
    writes: usize,
    waiting: Vec<oneshot::Sender<()>>,
}

/// Leave of the full pass to write on one person; partial passes wait until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    ledger: &'a Ledger,
    okta_id: &'a str,
}

/// People in the hands of a partial pass.
#[derive(Debug)]
pub(crate) struct Claimed<'a> {
    ledger: &'a Ledger,
    people: Vec<String>,
    /// Locks on them that the full pass has stored.
    stored: Vec<(Box<str>, String)>,
}

impl Ledger {
    /// A full pass begins, with what status remembers of removals. What partial passes did before is seen by it.
    pub(crate) fn begin(&self, remembered: &[RemovalTally]) {
        let mut state = self.state();
        state.claimed.retain(|_, claim| !claim.ended);
        state.stored.clear();
        state.remember(remembered);
    }

    /// Takes up what status remembers of removals; what is counted already is not counted twice.
    pub fn remember(&self, remembered: &[RemovalTally], held: bool) {
        let mut state = self.state();
        state.remember(remembered);
        state.held |= held;
    }

    /// Takes up removals of which only the locks tell, made at these moments: those of a process that died before it could
    /// write down what it had done.
    pub(crate) fn make_up(&self, locks: impl Iterator<Item = Timestamp>, now: Timestamp) {
        let mut told = Vec::new();
        for made in locks {
            // The server's clock may be ahead by seconds.
            guard::tally(&mut told, 1, made.min(now));
        }
        let Some(newest) = told.iter().map(|tally| tally.minute).max() else { return };
        let mut state = self.state();
        let missing = guard::recent(&told, now) - guard::recent(&state.removals, now);
        if missing > 0 {
            state.remember_more(newest, missing);
        }
    }

    /// Who has which accounts.
    #[must_use]
    pub fn roster(&self) -> Arc<Roster> {
        self.state().roster.clone()
    }

    /// Whether people can be dealt with one by one: the users were listed, and nothing speaks against removals at all.
    #[must_use]
    pub fn ready(&self) -> bool {
        let state = self.state();
        state.listed && !state.refused
    }

    /// Whether it is known who goes under which name.
    #[must_use]
    pub fn knows_names(&self) -> bool {
        self.state().names.is_some()
    }

    /// When anything was written last, or may have been. A list of users that is older than that shows what is true no more.
    pub(crate) fn written(&self) -> Option<Instant> {
        self.state().written
    }

    /// Removals of the last hour, for status.
    #[must_use]
    pub fn removals(&self) -> Vec<RemovalTally> {
        self.state().removals.clone()
    }

    /// Users of ours, as far as they are known.
    pub(crate) fn owned(&self) -> usize {
        self.state().owned
    }

    /// All users were listed.
    pub(crate) fn listed(&self, observed: &Observed) {
        let mut roster = observed.roster().clone().settled();
        let mut state = self.state();
        state.keep_claimed(&mut roster);
        state.roster = roster;
        state.owned = observed.owned();
        state.listed = true;
    }

    /// All people were listed, and planned for: `roster` is who has which account if the plan succeeds. Accounts to be
    /// removed are theirs until they are gone.
    pub(crate) fn planned(&self, mut roster: Roster, removals: &[Removal], mut names: NameIndex) {
        for removal in removals {
            roster.also(&removal.okta_id, &removal.name);
        }
        let mut roster = Arc::new(roster).settled();
        let mut state = self.state();
        state.keep_claimed(&mut roster);
        for (okta_id, claim) in &state.claimed {
            match &claim.found {
                Found::NotYet => {}
                Found::Nobody => names.forget(okta_id),
                Found::Member(name) => {
                    names.forget(okta_id);
                    names.note(name, okta_id);
                }
            }
        }
        state.roster = roster;
        state.names = Some(names);
    }

    /// A full pass found a reason to remove nobody at all, or none.
    pub(crate) fn refused(&self, refused: bool) {
        self.state().refused = refused;
    }

    /// The account was made.
    pub(crate) fn made(&self, okta_id: &str, name: &str) {
        let mut state = self.state();
        state.owned += 1;
        if state.roster.name(okta_id) != Some(name) {
            let before = state.roster.name(okta_id).map(str::to_owned);
            let roster = Arc::make_mut(&mut state.roster);
            roster.note(okta_id, name);
            if let Some(before) = before {
                roster.also(okta_id, &before);
            }
        }
    }

    /// The account is not there: it could not be made, or was removed.
    pub(crate) fn gone(&self, okta_id: &str, name: &str, removed: bool) {
        let mut state = self.state();
        Arc::make_mut(&mut state.roster).drop_account(okta_id, name);
        if removed {
            state.owned = state.owned.saturating_sub(1);
        }
    }

    /// What a partial pass found of one person: the accounts that are theirs, and the name under which they go, if they
    /// belong.
    pub(crate) fn found(&self, okta_id: &str, accounts: impl Iterator<Item = impl AsRef<str>>, name: Option<&str>) {
        let mut state = self.state();
        let roster = Arc::make_mut(&mut state.roster);
        roster.forget(okta_id);
        for account in accounts {
            roster.also(okta_id, account.as_ref());
        }
        if let Some(claim) = state.claimed.get_mut(okta_id) {
            claim.found = name.map_or(Found::Nobody, |name| Found::Member(name.into()));
        }
        if let Some(names) = &mut state.names {
            names.forget(okta_id);
            if let Some(name) = name {
                names.note(name, okta_id);
            }
        }
    }

    /// Whether anybody but this person goes under the name; `None` if that is not known.
    pub(crate) fn wanted_by_others(&self, name: &str, okta_id: &str) -> Option<bool> {
        self.state().names.as_ref().map(|names| names.wanted_by_others(name, okta_id))
    }

    /// Rules on confirmed `removals` of a full pass and counts those that may happen, in one step; without `spend`, as in a
    /// preview, none does happen, and none is counted. Whom a partial pass has dealt with meanwhile is left out.
    pub(crate) fn rule(
        &self,
        mut removals: Vec<Removal>,
        now: Timestamp,
        spend: bool,
        brake: impl FnOnce(&[Removal], &[RemovalTally]) -> Ruling,
    ) -> (Vec<Removal>, Ruling) {
        let mut state = self.state();
        removals.retain(|removal| !state.claimed.contains_key(removal.okta_id.as_str()));
        let ruling = brake(&removals, &state.removals);
        state.held = matches!(ruling, Ruling::Hold(_));
        if !state.held && spend {
            guard::tally(&mut state.removals, fresh(&removals), now);
        }
        (removals, ruling)
    }

    /// Whether a partial pass may carry out these removals: nothing is held, and the brake (a reason to hold, or none) lets
    /// them pass. If so they are counted; if not, they are held for the full pass that has to follow.
    pub(crate) fn may_spend(
        &self,
        removals: &[Removal],
        now: Timestamp,
        reason_to_hold: impl FnOnce(&[RemovalTally]) -> Option<String>,
    ) -> Result<(), String> {
        let mut state = self.state();
        if fresh(removals) == 0 {
            return Ok(());
        }
        if state.held {
            return Err("removals wait for approval".into());
        }
        if let Some(reason) = reason_to_hold(&state.removals) {
            state.held = true;
            return Err(reason);
        }
        guard::tally(&mut state.removals, fresh(removals), now);
        Ok(())
    }

    /// Removals that were counted at `now` and have not come to a lock.
    pub(crate) fn give_back(&self, count: usize, now: Timestamp) {
        guard::untally(&mut self.state().removals, count, now);
    }

    /// The full pass has stored this lock on a leaver.
    pub(crate) fn stored(&self, okta_id: &str, lock: &str) {
        self.state().stored.push((okta_id.into(), lock.to_owned()));
    }

    /// Leave to write on a person; `None` if a partial pass has taken them in hand.
    pub(crate) fn turn<'a>(&'a self, okta_id: &'a str) -> Option<Turn<'a>> {
        let mut state = self.state();
        if state.claimed.contains_key(okta_id) {
            return None;
        }
        state.busy.entry(okta_id.into()).or_default().writes += 1;
        Some(Turn { ledger: self, okta_id })
    }

    /// Takes people in hand, once no write on any of them is under way.
    pub(crate) async fn claim(&self, people: &[String]) -> Claimed<'_> {
        let ends: Vec<oneshot::Receiver<()>> = {
            let mut state = self.state();
            state.claimed.extend(people.iter().map(|id| (id.as_str().into(), Claim::default())));
            let busy = |id: &String| {
                let (tell, told) = oneshot::channel();
                state.busy.get_mut(id.as_str())?.waiting.push(tell);
                Some(told)
            };
            people.iter().filter_map(busy).collect()
        };
        let mut claimed = Claimed { ledger: self, people: people.to_vec(), stored: Vec::new() };
        for end in ends {
            // The other end is dropped rather than used.
            let _ = end.await;
        }
        let theirs = |(okta_id, _): &mut (Box<str>, String)| people.iter().any(|id| **id == **okta_id);
        claimed.stored = self.state().stored.extract_if(.., theirs).collect();
        claimed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claimed<'_> {
    /// Whether the full pass has stored this lock.
    pub(crate) fn has_stored(&self, lock: &str) -> bool {
        self.stored.iter().any(|(_, stored)| stored == lock)
    }

    /// Gives a person back with nothing done: what the full pass planned for them stands.
    pub(crate) fn give_back(&mut self, okta_id: &str) {
        self.people.retain(|id| id != okta_id);
        let mut state = self.ledger.state();
        state.claimed.remove(okta_id);
        state.stored.extend(self.stored.extract_if(.., |(id, _)| **id == *okta_id));
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        let mut state = self.ledger.state();
        state.written = Some(Instant::now());
        for id in &self.people {
            if let Some(claim) = state.claimed.get_mut(id.as_str()) {
                claim.ended = true;
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.ledger.state();
        state.written = Some(Instant::now());
        if let Some(busy) = state.busy.get_mut(self.okta_id) {
            busy.writes -= 1;
            if busy.writes == 0 {
                // Dropping the senders wakes whoever waits.
                state.busy.remove(self.okta_id);
            }
        }
        if state.busy.is_empty() {
            state.busy = HashMap::new();
        }
    }
}

impl State {
    fn remember(&mut self, remembered: &[RemovalTally]) {
        for tally in remembered {
            match self.removals.iter_mut().find(|known| known.minute == tally.minute) {
                Some(known) => known.count = known.count.max(tally.count),
                None => self.removals.push(tally.clone()),
            }
        }
    }

    fn remember_more(&mut self, minute: i64, count: i64) {
        match self.removals.iter_mut().find(|known| known.minute == minute) {
            Some(known) => known.count += count,
            None => self.removals.push(RemovalTally { minute, count }),
        }
    }

    /// Of people whom partial passes deal with, the roster is newer than any list.
    fn keep_claimed(&self, roster: &mut Arc<Roster>) {
        if self.claimed.is_empty() {
            return;
        }
        let roster = Arc::make_mut(roster);
        for okta_id in self.claimed.keys() {
            roster.forget(okta_id);
            for name in self.roster.accounts(okta_id) {
                roster.also(okta_id, name);
            }
        }
    }
}

fn fresh(removals: &[Removal]) -> usize {
    removals.iter().filter(|removal| !removal.begun).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    // ledger.rs, `make_up`, `remember_more`.
    #[test]
    fn p05_locks_that_nobody_counted_are_counted_once_and_others_not_again() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let counted = |known: &[(i64, i64)], locks: &[i64]| {
            let ledger = Ledger::default();
            let tally = |(minute, count): &(i64, i64)| RemovalTally { minute: *minute, count: *count };
            ledger.begin(&known.iter().map(tally).collect::<Vec<_>>());
            for _ in 0..2 {
                ledger.make_up(locks.iter().map(|minute| at(*minute)), at(100));
            }
            ledger.removals().iter().map(|tally| (tally.minute, tally.count)).collect::<Vec<_>>()
        };
        assert_eq!(counted(&[], &[]), []);
        assert_eq!(counted(&[], &[98, 99, 99]), [(99, 3)]);
        assert_eq!(counted(&[(99, 1)], &[99, 99, 99]), [(99, 3)]);
        assert_eq!(counted(&[(98, 1)], &[98, 99, 99]), [(98, 1), (99, 2)]);
        assert_eq!(counted(&[(98, 3)], &[98, 99, 99]), [(98, 3)], "they stand under another minute");
        assert_eq!(counted(&[(98, 5)], &[99]), [(98, 5)], "some of them have come back");
        assert_eq!(counted(&[], &[40, 101]), [(100, 1)], "an hour ago; and a clock that is ahead");
    }

    #[test]
    fn whoever_was_written_on_takes_no_room_afterwards() {
        let ledger = Ledger::default();
        let turns = ["00u1", "00u2", "00u1"].map(|okta_id| ledger.turn(okta_id));
        assert_eq!((turns.iter().flatten().count(), ledger.state().busy.len()), (3, 2));
        drop(turns);
        assert_eq!(ledger.state().busy.capacity(), 0);
    }

    #[tokio::test]
    async fn who_is_given_back_is_free_at_once_and_the_others_at_the_next_full_pass() {
        let ledger = Ledger::default();
        let mut claimed = ledger.claim(&["00u1".into(), "00u2".into()]).await;
        claimed.give_back("00u1");
        assert!(ledger.turn("00u1").is_some() && ledger.turn("00u2").is_none());
        ledger.begin(&[]);
        assert!(ledger.turn("00u2").is_none(), "a partial pass has them in hand");
        drop(claimed);
        assert!(ledger.turn("00u2").is_none(), "the full pass under way has planned without what was done");
        ledger.begin(&[]);
        assert!(ledger.turn("00u2").is_some());
    }

    // ledger.rs, `keep_claimed`: a list is older than what a partial pass has found meanwhile.
    #[tokio::test]
    async fn a_list_does_not_take_back_what_a_partial_pass_found() {
        let ledger = Ledger::default();
        let claimed = ledger.claim(&["00u1".into()]).await;
        for okta_id in ["00u1", "00u2"] {
            ledger.found(okta_id, ["ada"].iter(), Some("ada"));
        }
        ledger.listed(&Observed::default());
        let accounts = |okta_id: &str| ledger.roster().accounts(okta_id).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!((accounts("00u1"), accounts("00u2")), (vec!["ada".to_owned()], vec![]));
        drop(claimed);
    }
}
