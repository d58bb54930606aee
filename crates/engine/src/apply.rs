//! Carrying a plan out, in the order that leaves no window: locks first, then wait until they are *enforced*, then
//! delete (P4); only then the mass of creations and updates, so that they delay no lock.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use api::spec::RemovalAction;
use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use tracing::info;

use crate::{
    cluster::{Cluster, ClusterFacts, Deleted, WriteError},
    desired::{Carried, DesiredUser, carried, field_changes},
    failure::{Class, Failure, Side},
    journal::{Action, Grounds, Journal, Write},
    ledger::{Ledger, Turn},
    lock::{Lock, LockReason, Mark, lock_name},
    ownership::{self, Ownership},
    people::{Cause, People},
    plan::{Creation, Lift, Removal, Suspension, Update, UpdateKind},
    policy::Policy,
    role::Role,
    user::User,
};

/// After this many failures of the whole side in a row nothing more is tried in this pass.
const GIVE_UP_AFTER: usize = 10;

/// Asked before every write (P8): whether this process may still write.
pub type MayWrite<'a> = &'a (dyn Fn() -> bool + Sync);

/// Carries changes out.
pub struct Writer<'a, C> {
    /// The cluster.
    pub cluster: &'a C,
    /// What is known of it.
    pub facts: &'a ClusterFacts,
    /// The settings.
    pub policy: &'a Policy,
    /// Life of a leaver's lock.
    pub lock_life: SignedDuration,
    /// Roles that the cluster has, by name; none other is carried over to a new user name.
    pub roles: &'a HashMap<String, Role>,
    /// Now.
    pub now: Timestamp,
    /// Id of the pass, for lock messages and logs.
    pub pass: &'a str,
    /// P8.
    pub may_write: MayWrite<'a>,
    /// Writes made or tried.
    pub writes: &'a AtomicU64,
    /// Told after each creation or update.
    pub written: &'a (dyn Fn() + Sync),
    /// Told, by Okta id, of each person whose lock is in force.
    pub locked: &'a (dyn Fn(&str, LockReason) + Sync),
    /// Asked before anything is done about a person: a partial pass may have taken them in hand meanwhile. `None`: this is
    /// the only one to write on its people.
    pub ledger: Option<&'a Ledger>,
    /// Failures of the whole side in a row.
    pub failures: AtomicUsize,
    /// Told of every write, before and after it.
    pub journal: &'a dyn Journal,
    /// What the writes rest on.
    pub grounds: Grounds,
}

/// How the change of one user ended: its name, and the failure if it failed.
pub type Ended<T> = (String, Result<T, Failure>);

/// How a removal ended.
#[derive(Debug)]
pub struct RemovalEnd {
    /// The lock stands, whatever became of the account after it: so it counts for the brake.
    pub locked: bool,
    /// What became of the account.
    pub account: Result<Removed, Failure>,
}

/// What became of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// Locked, and the account is gone.
    Gone,
    /// Locked, and the account stays as `LockOnly` says.
    Locked,
}

impl<C: Cluster> Writer<'_, C> {
    /// Locks each account and, once its lock is enforced, deletes it. Whose it is, is looked at before each of the two.
    /// Answers in the order of the removals.
    pub async fn remove(&self, removals: &[Removal]) -> Vec<RemovalEnd> {
        let locked = self.each(removals, |removal| async move {
            let _turn = self.turn(&removal.okta_id)?;
            let lock = self.leaver_lock(removal);
            if !removal.begun {
                self.may_lock(&removal.name, |user| self.is_account_of(user, &removal.okta_id)).await?;
                self.put_lock(&lock, &removal.okta_id, &removal.cause, &removal.cause.words()).await?;
                if let Some(ledger) = self.ledger {
                    ledger.stored(&removal.okta_id, &lock.name);
                }
            }
            Ok(lock.name)
        });
        let locked: Vec<(&Removal, Result<String, Failure>)> = removals.iter().zip(locked.await).collect();
        let names: Vec<String> = locked.iter().filter_map(|(_, lock)| lock.as_ref().ok().cloned()).collect();
        let enforced = if names.is_empty() { Ok(HashSet::new()) } else { self.cluster.in_force(&names).await };
        let ended = self.each(&locked, |(removal, lock)| {
            let enforced = &enforced;
            async move {
                let lock = lock.clone()?;
                if !enforced.clone()?.contains(&lock) {
                    return Err(not_enforced(&removal.name));
                }
                (self.locked)(&removal.okta_id, reason(&removal.cause));
                if self.policy.action == RemovalAction::LockOnly {
                    return Ok(Removed::Locked);
                }
                let _turn = self.turn(&removal.okta_id)?;
                self.delete(removal).await.map(|()| Removed::Gone)
            }
        });
        let ended = ended.await;
        let end = |(account, (_, lock)): (_, &(&Removal, Result<String, Failure>))| RemovalEnd {
            locked: lock.is_ok(),
            account,
        };
        ended.into_iter().zip(&locked).map(end).collect()
    }

    /// Locks the users of suspended people until they come back; the account stays, so the lock has no end.
    pub async fn suspend(&self, suspensions: &[Suspension]) -> Vec<Ended<()>> {
        let ended = self
            .each(suspensions, |suspension| async move {
                let _turn = self.turn(&suspension.okta_id)?;
                let lock =
                    self.lock(&suspension.okta_id, &suspension.name, LockReason::Suspended, None, "suspended in Okta");
                // One who is suspended keeps the account, so theirs is also one that is about to be taken over.
                self.may_lock(&suspension.name, |user| self.is_theirs(user, &suspension.okta_id, true)).await?;
                self.put_lock(&lock, &suspension.okta_id, &Cause::Suspended, "suspended in Okta").await?;
                let enforced = self.cluster.in_force(std::slice::from_ref(&lock.name)).await?;
                if enforced.is_empty() {
                    return Err(not_enforced(&suspension.name));
                }
                (self.locked)(&suspension.okta_id, LockReason::Suspended);
                Ok(())
            })
            .await;
        suspensions.iter().map(|suspension| suspension.name.clone()).zip(ended).collect()
    }

    /// Lifts locks of ours on users who stay.
    pub async fn lift(&self, lifts: &[Lift]) -> Vec<Ended<()>> {
        let ended = self
            .each(lifts, |lift| async move {
                let _turn = self.turn(&lift.okta_id)?;
                // The list may show a user that a partial pass has deleted just now. Until the next pass makes it anew, which
                // lifts the lock then, nothing but the lock shuts out whoever has a certificate of before (P4).
                if self.cluster.user(&lift.name).await?.is_none() {
                    return Err(Self::failed(WriteError::Stale, &lift.name));
                }
                self.lift_one(&lift.lock, &lift.okta_id, &lift.name).await
            })
            .await;
        lifts.iter().map(|lift| lift.name.clone()).zip(ended).collect()
    }

    /// Makes users, then lifts the locks that stand against them.
    pub async fn create(&self, creations: &[Creation], people: &People) -> Vec<Ended<Carried>> {
        let ended = self
            .each(creations, |creation| async move {
                let result = match self.turn(&creation.okta_id) {
                    Ok(_turn) => self.create_one(creation, people).await,
                    Err(dealt_with) => Err(dealt_with),
                };
                (self.written)();
                result
            })
            .await;
        creations.iter().map(|creation| creation.name.clone()).zip(ended).collect()
    }

    /// Changes users; answers whether anything was left to change.
    pub async fn update(&self, updates: &[Update], people: &People) -> Vec<Ended<bool>> {
        let ended = self
            .each(updates, |update| async move {
                let result = match (self.turn(&update.okta_id), people.changed(&update.okta_id)) {
                    (Ok(_turn), Some(desired)) => self.update_one(&desired, update.kind).await,
                    (Ok(_), None) => Ok(false),
                    (Err(dealt_with), _) => Err(dealt_with),
                };
                (self.written)();
                result
            })
            .await;
        updates.iter().map(|update| update.name.clone()).zip(ended).collect()
    }

    async fn create_one(&self, creation: &Creation, people: &People) -> Result<Carried, Failure> {
        let Some(desired) = people.changed(&creation.okta_id) else { return Ok(Carried::default()) };
        let mut kept = Carried::default();
        if let Some(old) = creation.renamed_from.as_deref().filter(|_| self.policy.carry_over) {
            let user = self.cluster.user(old).await?.filter(|user| self.is_account_of(user, &creation.okta_id));
            kept = user.map(|user| carried(&user, self.policy, self.roles)).unwrap_or_default();
        }
        let why = "belongs, and has no user yet";
        let write = self.told(Action::CreateUser, &creation.okta_id, &creation.name, why);
        let new = desired.new_user(&self.policy.connector, &kept);
        match self.write(write, self.cluster.create_user(new)).await {
            Ok(()) => self.log("create", &creation.okta_id, &creation.name, why),
            // Made by an earlier pass that the cache has not shown yet, or by somebody else meanwhile.
            Err(WriteError::Exists) => {
                if let Some(desired) = people.changed(&creation.okta_id) {
                    self.update_one(&desired, UpdateKind::Adopted).await?;
                }
            }
            Err(error) => return Err(Self::failed(error, &creation.name)),
        }
        for lock in &creation.lift {
            self.lift_one(lock, &creation.okta_id, &creation.name).await?;
        }
        Ok(kept)
    }

    /// Reads the user afresh and changes it, once more if somebody else was faster.
    async fn update_one(&self, desired: &DesiredUser, kind: UpdateKind) -> Result<bool, Failure> {
        for last_try in [false, true] {
            let Some(user) = self.cluster.user(&desired.name).await? else { return Ok(false) };
            if !self.is_theirs(&user, &desired.okta_id, kind != UpdateKind::Adopted) {
                return Err(self.changed_hands(&user.name));
            }
            let Some(edit) = desired.edit(&user) else { return Ok(false) };
            let write = Write {
                changes: field_changes(&user, &edit),
                ..self.told(Action::UpdateUser, &desired.okta_id, &desired.name, kind.words())
            };
            match self.write(write, self.cluster.update_user(&user, &edit)).await {
                Ok(()) => {
                    self.log("update", &desired.okta_id, &desired.name, kind.words());
                    return Ok(true);
                }
                Err(WriteError::Stale) if !last_try => {}
                Err(error) => return Err(Self::failed(error, &desired.name)),
            }
        }
        Ok(false)
    }

    async fn delete(&self, removal: &Removal) -> Result<(), Failure> {
        // From the look before the lock until that was enforced, the name may have changed hands (P6).
        let Some(user) = self.cluster.user(&removal.name).await? else { return Ok(()) };
        if !self.is_account_of(&user, &removal.okta_id) {
            return Err(self.changed_hands_locked(removal));
        }
        let why = removal.cause.words();
        let write = Write {
            confirmed_by_id: removal.cause != Cause::ResourceDeleted,
            ..self.told(Action::DeleteUser, &removal.okta_id, &removal.name, removal.cause.nameless())
        };
        match self.write(write, self.cluster.delete_user(&removal.name)).await {
            Ok(Deleted::Now | Deleted::Before) => {
                self.log("delete", &removal.okta_id, &removal.name, &why);
                Ok(())
            }
            Err(error) => Err(Self::failed(error, &removal.name)),
        }
    }

    /// Looks at a user who is about to be locked: a lock shuts out whoever bears the name, and the list that the plan was
    /// made from may be minutes old, in which the name can have changed hands (P6). One who is gone is locked all the same:
    /// certificates of before live on (P4), and nobody else bears the name.
    ///
    /// A moment is left that nobody can close. A lock names a user and knows no condition, and Teleport answers this look
    /// from a cache that is behind by about a second. Whose user changes hands within that is locked; the look before the
    /// deletion sees it, spares the user, and says which name the lock stands on.
    async fn may_lock(&self, name: &str, theirs: impl Fn(&User) -> bool) -> Result<(), Failure> {
        match self.cluster.user(name).await? {
            Some(user) if !theirs(&user) => Err(self.changed_hands(name)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the user, read just now, is the account of ours that the person had (P6). A login may have rewritten it
    /// meanwhile: then it has lost its labels, but still names our connector.
    fn is_account_of(&self, user: &User, okta_id: &str) -> bool {
        match ownership::of(&user.view(), self.policy, self.facts) {
            Ownership::Ours { okta_id: owner } => owner == okta_id,
            Ownership::Connector { same, .. } => same,
            _ => false,
        }
    }

    /// Whether the user, read just now, is the person's, who `had` it by the list, or may be taken over for them (P6).
    fn is_theirs(&self, user: &User, okta_id: &str, had: bool) -> bool {
        let ownership = ownership::of(&user.view(), self.policy, self.facts);
        matches!(&ownership, Ownership::Ours { okta_id: owner } if owner == okta_id)
            || (had && self.is_account_of(user, okta_id))
            || ownership.adoptable(&user.name, self.policy, self.facts.origin_mode)
    }

    fn leaver_lock(&self, removal: &Removal) -> Lock {
        let expires = match self.policy.action {
            // The account stays, so nothing but the lock keeps it shut.
            RemovalAction::LockOnly => None,
            RemovalAction::Delete => Some(self.now.saturating_add(self.lock_life).unwrap_or(Timestamp::MAX)),
        };
        self.lock(&removal.okta_id, &removal.name, reason(&removal.cause), expires, &removal.cause.words())
    }

    fn lock(&self, okta_id: &str, name: &str, reason: LockReason, expires: Option<Timestamp>, why: &str) -> Lock {
        Lock {
            name: lock_name(&self.policy.owner, okta_id, name),
            user: name.to_owned(),
            message: format!("okta-user-sync {}: {why} ({okta_id}, pass {})", self.policy.owner, self.pass),
            expires,
            created: None,
            ours: Some(Mark {
                owner: self.policy.owner.clone(),
                org_url: self.policy.org_url.clone(),
                okta_id: okta_id.to_owned(),
                reason,
            }),
        }
    }

    async fn put_lock(&self, lock: &Lock, okta_id: &str, cause: &Cause, why: &str) -> Result<(), Failure> {
        let write = Write {
            lock: Some(&lock.name),
            made: Some(lock),
            confirmed_by_id: self.confirmed_by_id(cause, lock),
            ..self.told(Action::PutLock, okta_id, &lock.user, cause.nameless())
        };
        let put = self.write(write, self.cluster.put_lock(lock)).await;
        put.map_err(|error| Self::failed(error, &lock.user))?;
        self.log("lock", okta_id, &lock.user, why);
        Ok(())
    }

    async fn lift_one(&self, lock: &str, okta_id: &str, name: &str) -> Result<(), Failure> {
        let why = "belongs (again)";
        let write = Write { lock: Some(lock), ..self.told(Action::RemoveLock, okta_id, name, why) };
        let removed = self.write(write, self.cluster.remove_lock(lock)).await;
        removed.map_err(|error| Self::failed(error, name))?;
        self.log("unlock", okta_id, name, why);
        Ok(())
    }

    /// Runs `work` on each item, as many at a time as the cluster takes, answers in the order of the items; stops trying
    /// when the whole side fails again and again. A slow one holds no other up.
    async fn each<'i, I, T, W, F>(&self, items: &'i [I], work: W) -> Vec<Result<T, Failure>>
    where
        W: Fn(&'i I) -> F,
        F: Future<Output = Result<T, Failure>>,
    {
        let most = self.cluster.writes_at_once().clamp(1, items.len().max(1));
        let next = AtomicUsize::new(0);
        // Each lane takes the next item as soon as it is done with one, in the room that its first one took: a future is
        // large, and a mass of creations would move every one of them about.
        let lane = async || {
            let mut ended = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { return ended };
                ended.push((index, self.attempt(work(item)).await));
            }
        };
        let lanes: FuturesUnordered<_> = (0..most).map(|_| lane()).collect();
        let mut ended: Vec<(usize, Result<T, Failure>)> = lanes.concat().await;
        ended.sort_unstable_by_key(|(index, _)| *index);
        ended.into_iter().map(|(_, result)| result).collect()
    }

    async fn attempt<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        if self.failures.load(Ordering::Relaxed) >= GIVE_UP_AFTER {
            return Err(given_up());
        }
        let result = work.await;
        match &result {
            Err(failure) if matches!(failure.class, Class::Transient | Class::Credential) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.failures.store(0, Ordering::Relaxed),
        }
        result
    }

    /// A write, as the journal is told of it.
    fn told<'w>(&'w self, action: Action, okta_id: &'w str, user: &'w str, why: &'w str) -> Write<'w> {
        let grounds = &self.grounds;
        let (why, changes) = (why.into(), Vec::new());
        Write { action, okta_id, user, lock: None, made: None, why, confirmed_by_id: false, changes, grounds }
    }

    /// Makes one write, if it may still be made (P8), and tells the journal before and after it.
    async fn write<T>(
        &self,
        write: Write<'_>,
        call: impl Future<Output = Result<T, WriteError>>,
    ) -> Result<T, WriteError> {
        self.permitted()?;
        let number = self.journal.begins(&write);
        let ended = call.await;
        self.journal.ended(number, &write, ended.as_ref().map(|_| ()));
        ended
    }

    /// Whether the lock was asked for after Okta had been asked about that person (P3): it is for every removal, but those
    /// that the deletion of the resource itself orders; a full pass takes a suspension from the list.
    fn confirmed_by_id(&self, cause: &Cause, lock: &Lock) -> bool {
        let suspension = lock.ours.as_ref().is_some_and(|mark| mark.reason == LockReason::Suspended);
        *cause != Cause::ResourceDeleted && (!suspension || self.ledger.is_none())
    }

    /// Leave to deal with one person.
    fn turn<'t>(&'t self, okta_id: &'t str) -> Result<Option<Turn<'t>>, Failure> {
        match self.ledger {
            None => Ok(None),
            Some(ledger) => ledger.turn(okta_id).map(Some).ok_or_else(dealt_with),
        }
    }

    /// Leave to make one write (P8).
    fn permitted(&self) -> Result<(), Failure> {
        if (self.may_write)() {
            self.writes.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        Err(Failure::new(
            Side::Here,
            Class::Transient,
            "LeadershipLost",
            "this process is no longer the leader (or is stopping), so it writes nothing more",
            "nothing; the leader goes on",
        ))
    }

    fn log(&self, action: &'static str, okta_id: &str, user: &str, why: &str) {
        info!(target: "decision", pass = self.pass, owner = %self.policy.owner, action, okta_id, user, why);
    }

    fn changed_hands(&self, name: &str) -> Failure {
        Failure::new(
            Side::Teleport,
            Class::Conflict,
            USER_CHANGED_HANDS,
            format!("the user {name} is no longer {}'s, so it was left alone", self.policy.owner),
            "nothing; the next pass looks at it afresh",
        )
    }

    /// The same where the lock on the leaver stands already.
    fn changed_hands_locked(&self, removal: &Removal) -> Failure {
        let lock = lock_name(&self.policy.owner, &removal.okta_id, &removal.name);
        Failure::new(
            Side::Teleport,
            Class::Conflict,
            USER_CHANGED_HANDS,
            format!(
                "the user {} is no longer {}'s, so it was not deleted; the lock {lock}, made for its former owner, keeps it out",
                removal.name, self.policy.owner
            ),
            format!("take the lock away (tctl rm locks/{lock}) if the user is to get in before it runs out"),
        )
    }

    fn failed(error: WriteError, name: &str) -> Failure {
        match error {
            WriteError::Failed(failure) => failure,
            WriteError::Stale => Failure::new(
                Side::Teleport,
                Class::Conflict,
                "UserChangedMeanwhile",
                format!("somebody else changed the user {name} while it was being changed here"),
                "nothing; the next pass tries again",
            ),
            WriteError::Exists => Failure::new(
                Side::Teleport,
                Class::Conflict,
                "UserExists",
                format!("a user {name} exists already"),
                "nothing; the next pass looks at it afresh",
            ),
            WriteError::RoleMissing(role) => Failure::new(
                Side::Teleport,
                Class::Configuration,
                "RoleMissing",
                format!("Teleport refused the user {name}: {role}"),
                "make the role (tctl create), or take it out of users.roles",
            ),
        }
    }
}

/// Why the lock of somebody who goes for that cause stands.
fn reason(cause: &Cause) -> LockReason {
    match cause {
        Cause::Renamed(_) => LockReason::Renamed,
        _ => LockReason::Leaver,
    }
}

fn not_enforced(name: &str) -> Failure {
    Failure::new(
        Side::Teleport,
        Class::Waiting,
        "LockNotEnforced",
        format!("the lock on {name} is stored but not yet enforced (an account is not deleted before it is)"),
        "nothing; the next pass finishes the job",
    )
}

/// Reason of the failure that a user has become somebody else's since it was listed.
const USER_CHANGED_HANDS: &str = "UserChangedHands";

/// Reason of the failure that is none: a partial pass has dealt with the person, by what Okta said later.
pub(crate) const DEALT_WITH: &str = "DealtWith";

fn dealt_with() -> Failure {
    Failure::new(Side::Here, Class::Waiting, DEALT_WITH, "dealt with by the fast path meanwhile", "nothing")
}

fn given_up() -> Failure {
    Failure::new(
        Side::Teleport,
        Class::Transient,
        "GaveUp",
        "left for the next pass, because Teleport failed again and again",
        "see the first errors of this pass",
    )
}
