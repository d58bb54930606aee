//! Teleport in memory: users, locks, what is enforced, and a watch that notes every write and every rule broken by one; the
//! engine's ports [`Cluster`] and [`Journal`].

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Instant,
};

use engine::{
    census::Census,
    cluster::{Cluster, ClusterFacts, ConnectorLookup, Deleted, WriteError},
    directory::{Page, Pages},
    failure::{Failure, Side},
    journal::{Action, Grounds, Journal, Write},
    lock::Lock,
    role::Role,
    user::{NewUser, User, UserEdit},
};
use futures::StreamExt as _;

use super::{APP, OWNER, World, down, local_user};

/// Teleport: users, locks, and what is enforced.
#[derive(Default)]
pub struct Teleport {
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// What lists answer instead, as a server's cache that lags behind its storage.
    pub stale: Option<Vec<User>>,
    /// A list that another resource has read, and when it was begun.
    pub shelf: Option<(Instant, Arc<Census>)>,
    /// How often everybody was listed.
    pub lists: usize,
    /// Stored locks by name.
    pub locks: BTreeMap<String, Lock>,
    /// Names of stored locks that are enforced.
    pub enforced: BTreeSet<String>,
    /// Locks are enforced when waited for, unless false.
    pub enforces: bool,
    /// Roles.
    pub roles: Vec<Role>,
    /// What the connector look-up answers.
    pub connector: Option<ConnectorLookup>,
    /// Every write, in order, in words.
    pub writes: Vec<String>,
    /// What the journal was told: `begins` or the outcome, action, Okta id, why.
    pub journal: Vec<String>,
    /// What the journal was told of each write that began, beside that.
    pub told: Vec<Told>,
    /// Users of whom the journal was told that a write begins, and not yet that it ended.
    pub announced: Vec<String>,
    /// Rules that a write broke.
    pub violations: Vec<String>,
    /// So many writes more succeed, then the process is dead.
    pub dies_after: Option<usize>,
    /// Users whose writes fail, with what.
    pub refuses: BTreeMap<String, Failure>,
    /// Names that belong to nobody of ours, whatever happens: a write to one is a violation.
    pub untouchable: BTreeSet<String>,
    /// Users that somebody else changes between our read and our write, and how often.
    pub races: BTreeMap<String, u32>,
    /// Users who become somebody else's local users once they have been looked at so many times more.
    pub change_hands: BTreeMap<String, u32>,
    /// How many users are being made at this moment, and the most at any.
    pub under_way: (usize, usize),
    /// The revision that was given last.
    pub revision: u64,
}

/// What a write rests on, as the journal is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub action: Action,
    pub user: String,
    pub confirmed_by_id: bool,
    /// The lock's name, and whether the lock is there whole.
    pub lock: Option<(String, bool)>,
    /// Fields that an update changes.
    pub fields: Vec<String>,
    pub grounds: Grounds,
}

impl Teleport {
    fn begin(&mut self, what: String, user: &str) -> Result<(), WriteError> {
        if let Some(left) = self.dies_after.as_mut() {
            if *left == 0 {
                return Err(down(Side::Teleport).into());
            }
            *left -= 1;
        }
        if let Some(failure) = self.refuses.get(user) {
            return Err(failure.clone().into());
        }
        // Taking a lock of ours away touches nobody; that it is ours is held against that write itself.
        if self.untouchable.contains(user) && !what.starts_with("unlock ") {
            self.violations.push(format!("{what}: not ours"));
        }
        if !self.announced.iter().any(|told| told == user) {
            self.violations.push(format!("{what}: the journal was told nothing"));
        }
        self.writes.push(what);
        Ok(())
    }

    fn next_revision(&mut self) -> String {
        self.revision += 1;
        self.revision.to_string()
    }

    fn enforced_on(&self, user: &str) -> bool {
        self.locks.values().any(|lock| lock.user == user && self.enforced.contains(&lock.name))
    }
}

impl Cluster for World {
    type Listed = User;

    async fn prove_identity(&self) -> Result<ClusterFacts, Failure> {
        Ok(ClusterFacts {
            name: "test".into(),
            version: "17.0.0".into(),
            origin_mode: self.mode,
            own_name: "bot-okta-user-sync".into(),
            route: "Proxy".into(),
            identity_expires: None,
            notices: vec![],
            expiring: None,
        })
    }

    async fn roles(&self) -> Result<Vec<Role>, Failure> {
        Ok(self.teleport().roles.clone())
    }

    async fn connector(&self, _name: &str) -> Result<ConnectorLookup, Failure> {
        Ok(self.teleport().connector.clone().unwrap_or(ConnectorLookup::Found { app_id: Some(APP.into()) }))
    }

    fn users(&self) -> Pages<'_, User> {
        let mut teleport = self.teleport();
        teleport.lists += 1;
        let users = teleport.stale.clone().unwrap_or_else(|| teleport.users.values().cloned().collect());
        drop(teleport);
        let mut pages: Vec<Result<Page<User>, Failure>> =
            users.chunks(2).map(|chunk| Ok(Page { items: chunk.to_vec(), last: false })).collect();
        pages.push(Ok(Page { items: vec![], last: true }));
        futures::stream::iter(pages).boxed()
    }

    async fn census(&self, facts: &ClusterFacts, since: Instant) -> Result<Arc<Census>, Failure> {
        let kept = self.teleport().shelf.clone();
        match kept {
            Some((began, census)) if began >= since => Ok(census),
            _ => Census::read(self, facts).await.map(Arc::new),
        }
    }

    async fn user(&self, name: &str) -> Result<Option<User>, Failure> {
        let mut teleport = self.teleport();
        let user = teleport.users.get(name).cloned();
        if let Some(left) = teleport.change_hands.get_mut(name) {
            *left -= 1;
            if *left == 0 {
                teleport.change_hands.remove(name);
                teleport.users.insert(name.to_owned(), local_user(name));
            }
        }
        Ok(user)
    }

    async fn locks(&self) -> Result<Vec<Lock>, Failure> {
        let teleport = self.teleport();
        Ok(teleport.locks.values().filter(|lock| teleport.enforced.contains(&lock.name)).cloned().collect())
    }

    async fn create_user(&self, user: NewUser) -> Result<(), WriteError> {
        {
            let mut teleport = self.teleport();
            teleport.under_way.0 += 1;
            teleport.under_way.1 = teleport.under_way.1.max(teleport.under_way.0);
        }
        for _ in 0..self.slow {
            tokio::task::yield_now().await;
        }
        let mut teleport = self.teleport();
        teleport.under_way.0 -= 1;
        if teleport.users.contains_key(&user.name) {
            return Err(WriteError::Exists);
        }
        teleport.begin(format!("create {}", user.name), &user.name)?;
        let revision = teleport.next_revision();
        teleport.users.insert(
            user.name.clone(),
            User {
                name: user.name,
                revision,
                labels: user.labels,
                roles: user.roles,
                traits: user.traits,
                created_by: Some(user.created_by),
                ..User::default()
            },
        );
        Ok(())
    }

    async fn update_user(&self, user: &User, edit: &UserEdit) -> Result<(), WriteError> {
        let mut teleport = self.teleport();
        if let Some(left) = teleport.races.get_mut(&user.name).filter(|left| **left > 0) {
            *left -= 1;
            let revision = teleport.next_revision();
            teleport.users.get_mut(&user.name).unwrap().revision = revision;
        }
        if teleport.users.get(&user.name).is_none_or(|stored| stored.revision != user.revision) {
            return Err(WriteError::Stale);
        }
        teleport.begin(format!("update {}", user.name), &user.name)?;
        let revision = teleport.next_revision();
        let stored = teleport.users.get_mut(&user.name).unwrap();
        stored.revision = revision;
        stored.labels.clone_from(&edit.labels);
        stored.roles.clone_from(&edit.roles);
        stored.traits.clone_from(&edit.traits);
        stored.expires = None;
        Ok(())
    }

    async fn delete_user(&self, name: &str) -> Result<Deleted, WriteError> {
        let mut teleport = self.teleport();
        teleport.begin(format!("delete {name}"), name)?;
        if !teleport.enforced_on(name) {
            teleport.violations.push(format!("P4: {name} was deleted before its lock was enforced"));
        }
        Ok(if teleport.users.remove(name).is_some() { Deleted::Now } else { Deleted::Before })
    }

    async fn put_lock(&self, lock: &Lock) -> Result<(), WriteError> {
        let mut teleport = self.teleport();
        teleport.begin(format!("lock {}", lock.user), &lock.user)?;
        teleport.locks.insert(lock.name.clone(), Lock { created: Some(self.now), ..lock.clone() });
        Ok(())
    }

    async fn remove_lock(&self, name: &str) -> Result<(), WriteError> {
        let mut teleport = self.teleport();
        let Some(lock) = teleport.locks.get(name).cloned() else { return Ok(()) };
        teleport.begin(format!("unlock {}", lock.user), &lock.user)?;
        let ours = lock.ours.as_ref().is_some_and(|mark| mark.owner == OWNER);
        if !ours {
            teleport.violations.push(format!("P6: the lock {name} is not ours"));
        }
        teleport.locks.remove(name);
        teleport.enforced.remove(name);
        Ok(())
    }

    async fn in_force(&self, lock_names: &[String]) -> Result<HashSet<String>, Failure> {
        for _ in 0..self.slow {
            tokio::task::yield_now().await;
        }
        let mut teleport = self.teleport();
        if teleport.enforces {
            let stored: Vec<String> = lock_names.iter().filter(|n| teleport.locks.contains_key(*n)).cloned().collect();
            teleport.enforced.extend(stored);
        }
        Ok(lock_names.iter().filter(|n| teleport.enforced.contains(*n)).cloned().collect())
    }
}

impl Journal for World {
    fn begins(&self, write: &Write<'_>) -> u64 {
        let mut teleport = self.teleport();
        teleport.announced.push(write.user.to_owned());
        teleport.told.push(Told {
            action: write.action,
            user: write.user.to_owned(),
            confirmed_by_id: write.confirmed_by_id,
            lock: write.lock.map(|name| (name.to_owned(), write.made.is_some())),
            fields: write.changes.iter().map(|change| change.field.clone()).collect(),
            grounds: write.grounds.clone(),
        });
        teleport.journal.push(format!("begins {} {} {}", write.action.as_str(), write.okta_id, write.why));
        0
    }

    fn ended(&self, _: u64, write: &Write<'_>, outcome: Result<(), &WriteError>) {
        let mut teleport = self.teleport();
        let at = teleport.announced.iter().position(|user| user == write.user).expect("what ended has begun");
        teleport.announced.remove(at);
        let outcome = if outcome.is_ok() { "done" } else { "failed" };
        teleport.journal.push(format!("{outcome} {} {} {}", write.action.as_str(), write.okta_id, write.why));
    }
}
