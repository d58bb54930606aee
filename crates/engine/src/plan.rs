//! The plan: from what is wished ([`People`]) and what is there ([`Observed`]) to what would have to be done. A pure
//! function; what of it may happen is decided by [`crate::guard`], and how by [`crate::apply`].

use std::collections::BTreeMap;

use api::{
    spec::{RemovalAction, Returning, Suspended},
    status::UserCounts,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    cluster::OriginMode,
    failure::Class,
    lock::{Lock, LockReason},
    observed::Observed,
    ownership::Ownership,
    people::{Cause, Entry, Judgement, People},
    policy::Policy,
    report::Read,
    roster::Roster,
};

/// A user to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// Okta id of the person.
    pub okta_id: String,
    /// User name.
    pub name: String,
    /// The person's older account, whose roles and traits given by hand are carried over.
    pub renamed_from: Option<String>,
    /// Locks of ours to be lifted once the user is there.
    pub lift: Vec<String>,
}

/// A user to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Okta id of the person.
    pub okta_id: String,
    /// User name.
    pub name: String,
    /// Why.
    pub kind: UpdateKind,
}

/// Why a user is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateKind {
    /// Something in Okta, in the specification, or by hand changed.
    Changed,
    /// A login rewrote a user of ours.
    Drifted,
    /// The user is taken over.
    Adopted,
}

impl UpdateKind {
    /// In words, for logs and previews.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Changed => "differs from what it should be",
            Self::Drifted => "was rewritten by a login and is put right",
            Self::Adopted => "is taken over as users.adopt says",
        }
    }
}

/// A user to be locked because the person is suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Okta id of the person.
    pub okta_id: String,
    /// User name.
    pub name: String,
}

/// A lock of ours to be lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lift {
    /// Name of the lock.
    pub lock: String,
    /// Okta id of the person.
    pub okta_id: String,
    /// User name that it targets.
    pub name: String,
}

/// An account to be locked and removed (or, with `LockOnly`, locked for good).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Removal {
    /// Okta id of the person.
    pub okta_id: String,
    /// User name.
    pub name: String,
    /// Why.
    pub cause: Cause,
    /// The lock of an earlier pass is in force already: finishing the job is no new removal.
    pub begun: bool,
    /// Only after the person's new account has been made in this very pass.
    pub after_creation: bool,
}

/// What stands in the way of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// Kind.
    pub class: Class,
    /// User name or Okta id.
    pub user: String,
    /// What.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// All that would have to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Users to be made.
    pub creations: Vec<Creation>,
    /// Users to be changed.
    pub updates: Vec<Update>,
    /// Users to be locked while their person is suspended.
    pub suspensions: Vec<Suspension>,
    /// Locks to be lifted.
    pub lifts: Vec<Lift>,
    /// Accounts to be removed.
    pub removals: Vec<Removal>,
    /// People who cannot be served, and why.
    pub obstacles: Vec<Obstacle>,
    /// Counts of what is there; counts of what was done are added as it is done.
    pub counts: UserCounts,
    /// Who has which account if the plan succeeds.
    pub roster: Roster,
    /// How many of our people another resource has the users of, by its owner label.
    pub overlaps: BTreeMap<String, i64>,
}

/// What a plan is made from.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// The settings.
    pub policy: &'a Policy,
    /// What Teleport holds.
    pub observed: &'a Observed,
    /// What Okta says.
    pub people: &'a People,
    /// How we are known to Teleport.
    pub mode: OriginMode,
    /// Life of a leaver's lock.
    pub lock_life: SignedDuration,
    /// Now.
    pub now: Timestamp,
}

/// The plan for `situation`. The same situation gives the same plan, in the same order.
#[must_use]
pub fn plan(situation: Situation<'_>) -> Plan {
    let mut plan = Plan { roster: Roster::beside(situation.observed), ..Plan::default() };
    for (okta_id, entry) in situation.people.in_order() {
        match entry.judgement {
            Judgement::Member { suspended } => situation.member(okta_id, entry.name, suspended, &mut plan),
            Judgement::Leaver(_) => {}
            Judgement::Keep { why, remedy, .. } => situation.kept(okta_id, entry.name, &why, remedy, &mut plan),
            Judgement::Excluded => plan.counts.skipped += 1,
        }
    }
    for (okta_id, name) in situation.observed.ours() {
        situation.account(okta_id, name, &mut plan);
    }
    plan.counts.locked = count(situation.observed.lock_count());
    plan
}

impl Situation<'_> {
    /// What a member's own user name needs: a user to be made or changed, a lock to be made or lifted.
    fn member(&self, okta_id: &str, name: &str, suspended: bool, plan: &mut Plan) {
        plan.counts.in_scope += 1;
        if suspended {
            plan.counts.suspended += 1;
            if self.policy.suspended == Suspended::Remove {
                return;
            }
        }
        if self.people.shared(name) {
            plan.counts.conflicts += 1;
            plan.obstacles.push(Obstacle {
                class: Class::Conflict,
                user: name.to_owned(),
                message: format!("several people in Okta have the user name {name:?} (letter case aside)"),
                remedy: "give each of them a user name of their own in Okta; until then neither gets an account, and an existing one stays as it is".into(),
            });
            return;
        }
        match self.observed.user(name).map(|row| (row.ownership, row.drifted)) {
            None => self.newcomer(okta_id, name, suspended, plan),
            Some((Ownership::Ours { okta_id: holder }, drifted)) if *holder == *okta_id => {
                let kind = if drifted { UpdateKind::Drifted } else { UpdateKind::Changed };
                self.existing(okta_id, name, suspended, kind, plan);
            }
            Some((Ownership::Ours { okta_id: holder }, _)) => self.held_by(&holder, name, plan),
            Some((ownership, _)) if ownership.adoptable(name, self.policy, self.mode) => {
                self.existing(okta_id, name, suspended, UpdateKind::Adopted, plan);
            }
            Some((ownership, _)) => {
                if let Ownership::OtherResource(owner) = &ownership {
                    *plan.overlaps.entry(owner.clone()).or_default() += 1;
                }
                let (message, remedy) = ownership.conflict();
                plan.counts.conflicts += 1;
                plan.obstacles.push(Obstacle {
                    class: Class::Conflict,
                    user: name.to_owned(),
                    message: format!("{name} cannot be synced: {message}"),
                    remedy: remedy.to_owned(),
                });
            }
        }
    }

    /// A member whose user name is another person's account of ours: one that goes, or one that stays.
    fn held_by(&self, holder: &str, name: &str, plan: &mut Plan) {
        let stays = match self.people.get(holder).map(|entry| entry.judgement) {
            Some(Judgement::Keep { .. } | Judgement::Excluded) => true,
            Some(Judgement::Member { .. } | Judgement::Leaver(_)) | None => {
                self.policy.action == RemovalAction::LockOnly
            }
        };
        if stays {
            plan.counts.conflicts += 1;
            plan.obstacles.push(Obstacle {
                class: Class::Conflict,
                user: name.to_owned(),
                message: format!("{name} cannot be synced: the account of another person (Okta id {holder}) has that user name and stays"),
                remedy: "give the person another user name in Okta, or delete that account (tctl users rm) once nobody needs it".into(),
            });
        } else {
            let until = self.now.saturating_add(self.lock_life).unwrap_or(Timestamp::MAX);
            waiting(plan, name, "another person's account still has that user name", until);
        }
    }

    /// A member whose user name is free. Nobody gets it while certificates of a former holder may live (P11): a name
    /// that is made again revives them.
    fn newcomer(&self, okta_id: &str, name: &str, suspended: bool, plan: &mut Plan) {
        if suspended {
            return;
        }
        if let Some(lock) = self.observed.locked_by_others(name) {
            // SCIM deletes a user and locks the name for good; making it again would be fighting over it.
            plan.counts.conflicts += 1;
            plan.obstacles.push(Obstacle {
                class: Class::Conflict,
                user: name.to_owned(),
                message: format!(
                    "{name} gets no account, because the lock {lock}, which is not ours, targets that user name"
                ),
                remedy: remedy_for_foreign_lock(lock),
            });
            return;
        }
        let mut lift = Vec::new();
        for lock in self.observed.locks(name) {
            let own = is_of(lock, okta_id);
            let decided = if own { self.returns_at_once(lock) } else { self.policy.handover.contains(name) };
            if !decided && !self.has_outlasted(lock) {
                let why = if own { "users.returning is AfterLock" } else { "it was another person's until lately" };
                waiting(plan, name, why, self.lock_end(lock));
                return;
            }
            lift.push(lock.name.clone());
        }
        let renamed_from = self.observed.accounts(okta_id).next().map(str::to_owned);
        plan.roster.note(okta_id, name);
        plan.creations.push(Creation { okta_id: okta_id.to_owned(), name: name.to_owned(), renamed_from, lift });
    }

    /// A member whose user exists and is (or becomes) ours.
    fn existing(&self, okta_id: &str, name: &str, suspended: bool, kind: UpdateKind, plan: &mut Plan) {
        match self.observed.account(name, okta_id) {
            Some((account, _)) => plan.roster.note_listed(self.observed, account),
            None => plan.roster.note(okta_id, name),
        }
        if self.people.is_changed(okta_id) {
            plan.updates.push(Update { okta_id: okta_id.to_owned(), name: name.to_owned(), kind });
        } else {
            plan.counts.synced += 1;
        }
        if !suspended && let Some(lock) = self.observed.locked_by_others(name) {
            plan.obstacles.push(Obstacle {
                class: Class::Conflict,
                user: name.to_owned(),
                message: format!("{name} belongs, but the lock {lock}, which is not ours, keeps them out"),
                remedy: remedy_for_foreign_lock(lock),
            });
        }
        if kind == UpdateKind::Adopted {
            self.locks(okta_id, name, suspended, plan);
        }
    }

    /// The locks of ours on an account that stays: one without end while its person is suspended, none of theirs else.
    fn locks(&self, okta_id: &str, name: &str, suspended: bool, plan: &mut Plan) {
        let own = self.observed.locks(name).iter().filter(|lock| is_of(lock, okta_id));
        if suspended {
            if !own.clone().any(|lock| lock.expires.is_none()) {
                plan.suspensions.push(Suspension { okta_id: okta_id.to_owned(), name: name.to_owned() });
            }
            return;
        }
        let theirs_now = || self.people.get(okta_id).is_some_and(|entry| entry.name == name);
        // A lock on a name that the person goes under no more stays, unless only a suspension made it.
        for lock in own.filter(|lock| is_for_suspension(lock) || theirs_now()) {
            if self.returns_at_once(lock) || self.has_outlasted(lock) {
                plan.lifts.push(Lift { lock: lock.name.clone(), okta_id: okta_id.to_owned(), name: name.to_owned() });
            } else {
                waiting(plan, name, "users.returning is AfterLock", self.lock_end(lock));
            }
        }
    }

    /// Whether the end of the person's own absence lifts this lock now.
    fn returns_at_once(&self, lock: &Lock) -> bool {
        self.policy.returning == Returning::AtOnce || is_for_suspension(lock)
    }

    /// Whether no certificate from before the lock can live any more.
    fn has_outlasted(&self, lock: &Lock) -> bool {
        self.lock_end(lock) <= self.now
    }

    /// When no certificate from before the lock can live any more.
    fn lock_end(&self, lock: &Lock) -> Timestamp {
        let by_age = lock.created.map(|made| made.saturating_add(self.lock_life).unwrap_or(Timestamp::MAX));
        lock.expires.or(by_age).unwrap_or(Timestamp::MAX)
    }

    /// A listed person who is left as they are.
    fn kept(&self, okta_id: &str, name: &str, why: &str, remedy: &str, plan: &mut Plan) {
        plan.counts.skipped += 1;
        let user = if name.is_empty() { okta_id } else { name };
        if let Some(account) = self.observed.accounts(okta_id).next() {
            plan.roster.note(okta_id, account);
        }
        plan.obstacles.push(left_alone(user, why, remedy));
    }

    /// What an account of ours needs: to go, or the right locks while it stays.
    fn account(&self, okta_id: &str, name: &str, plan: &mut Plan) {
        if self.policy.exclude.is_match(name) {
            return;
        }
        let entry = self.people.get(okta_id);
        let Some((cause, after_creation)) = self.cause(okta_id, name, entry.as_ref(), plan) else {
            return match entry.map(|entry| entry.judgement) {
                Some(Judgement::Member { suspended } | Judgement::Keep { suspended: suspended @ true, .. }) => {
                    self.locks(okta_id, name, suspended, plan);
                }
                Some(Judgement::Keep { .. } | Judgement::Leaver(_) | Judgement::Excluded) | None => {}
            };
        };
        let lock = self.observed.locks(name).iter().find(|lock| is_of(lock, okta_id) && !is_for_suspension(lock));
        if self.policy.action == RemovalAction::LockOnly && lock.is_some_and(|lock| lock.expires.is_none()) {
            return;
        }
        let begun = lock.is_some_and(|lock| lock.expires.is_some() && self.lasts(lock));
        plan.removals.push(Removal {
            okta_id: okta_id.to_owned(),
            name: name.to_owned(),
            cause,
            begun,
            after_creation,
        });
    }

    /// Whether a lock made earlier still outlasts every credential made before it (P10).
    fn lasts(&self, lock: &Lock) -> bool {
        match (lock.expires, lock.created) {
            (None, _) => true,
            (Some(expires), Some(made)) => made.saturating_add(self.lock_life).is_ok_and(|needed| {
                // Server and client clocks may differ by seconds.
                expires.saturating_add(SignedDuration::from_mins(1)).unwrap_or(Timestamp::MAX) >= needed
            }),
            (Some(_), None) => false,
        }
    }

    /// Why that account of that person has to go, and whether only after a new one has been made.
    fn cause(&self, okta_id: &str, name: &str, entry: Option<&Entry<'_>>, plan: &mut Plan) -> Option<(Cause, bool)> {
        // P1: nobody goes for not being in a list that was not read to its end.
        let complete = self.people.read == Read::Complete;
        let Some(entry) = entry else { return complete.then_some((Cause::Absent, false)) };
        match &entry.judgement {
            Judgement::Keep { .. } | Judgement::Excluded => None,
            Judgement::Leaver(cause) => complete.then(|| (cause.clone(), false)),
            Judgement::Member { suspended } => {
                if *suspended && self.policy.suspended == Suspended::Remove {
                    return complete.then_some((Cause::Suspended, false));
                }
                if entry.name == name {
                    return None;
                }
                let renamed = Cause::Renamed(entry.name.to_string());
                // Creations stand in the order of Okta ids, as members are gone through in it.
                if plan.creations.binary_search_by(|creation| creation.okta_id.as_str().cmp(okta_id)).is_ok() {
                    return complete.then_some((renamed, true));
                }
                let moved = plan.roster.name(okta_id) == Some(entry.name);
                // An account whose name is another person's now must not stay open to them.
                if moved || self.people.wanted_by_others(name, okta_id) {
                    return complete.then_some((renamed, false));
                }
                plan.roster.note(okta_id, name);
                None
            }
        }
    }
}

/// Whether a lock of ours stands because of this person.
fn is_of(lock: &Lock, okta_id: &str) -> bool {
    lock.ours.as_ref().is_some_and(|mark| mark.okta_id == okta_id)
}

/// Whether a lock of ours stands because its person is suspended.
fn is_for_suspension(lock: &Lock) -> bool {
    lock.ours.as_ref().is_some_and(|mark| mark.reason == LockReason::Suspended)
}

/// What stands in the way of somebody who is left as they are.
pub(crate) fn left_alone(user: &str, why: &str, remedy: &str) -> Obstacle {
    Obstacle {
        class: Class::Configuration,
        user: user.to_owned(),
        message: format!("{user} is left as they are: {why}"),
        remedy: remedy.to_owned(),
    }
}

fn remedy_for_foreign_lock(lock: &str) -> String {
    format!(
        "find out who made the lock (tctl get locks; Teleport's SCIM locks whom it disables), and take it away with tctl rm locks/{lock} if the person shall get in"
    )
}

fn waiting(plan: &mut Plan, name: &str, why: &str, until: Timestamp) {
    plan.counts.waiting += 1;
    plan.obstacles.push(Obstacle {
        class: Class::Waiting,
        user: name.to_owned(),
        message: format!("{name} waits, because {why} and certificates from before may live until {until:.0}"),
        remedy: "nothing, or name the user in users.handover to let the name pass at once".into(),
    });
}

/// A count as status wants it.
#[must_use]
pub fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
