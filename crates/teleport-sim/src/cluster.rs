//! The cluster's state, and who is let in. One mutex around all of it: every operation is short, and none waits.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use teleport_proto::{labels, types};

use crate::{
    Edition, Refusal, Version,
    caller::Caller,
    clock::Clock,
    ledger::{LockState, WriteLog, WriteRecord, code_name},
    lock::{Enforced, StoredLock, Subject},
    preset, rbac,
    replica::Replica,
    session::Certificates,
    user::StoredUser,
};

/// How far the caches are behind the backend (reference §15, §16 H). The real thing: about a second, more after bursts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lag {
    /// Of users: how long lists and reads may be stale, in milliseconds.
    pub users_ms: u64,
    /// Of locks: how long after its storing a lock is enforced and listed by `GetLocks`, in milliseconds.
    pub locks_ms: u64,
    /// How many changes the caches take in per second; 0 for any number. With 512, as in the real thing, a burst of 5,000 writes delays a lock that
    /// comes after it by about ten seconds.
    pub changes_per_second: u32,
}

impl Default for Lag {
    fn default() -> Self {
        Self { users_ms: 0, locks_ms: 150, changes_per_second: 0 }
    }
}

/// The state of a cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) edition: Edition,
    pub(crate) clock: Clock,
    pub(crate) lag: Lag,
    pub(crate) users: Replica<Arc<StoredUser>>,
    pub(crate) locks: Replica<Arc<StoredLock>>,
    pub(crate) enforced: Enforced,
    pub(crate) roles: BTreeMap<String, types::RoleV6>,
    pub(crate) connectors: BTreeMap<String, types::SamlConnectorV2>,
    pub(crate) auth_preference: types::AuthPreferenceV2,
    pub(crate) certificates: Certificates,
    pub(crate) writes: WriteLog,
    /// Writes by hand need a second factor.
    pub(crate) demands_mfa: bool,
    /// When the caches will have taken in all that was written so far.
    backlog: Instant,
}

impl Cluster {
    pub(crate) fn new(name: &str, version: Version, edition: Edition, clock: Clock, lag: Lag) -> Self {
        Self {
            name: name.to_owned(),
            version,
            edition,
            clock,
            lag,
            users: Replica::new(),
            locks: Replica::new(),
            enforced: Enforced::default(),
            roles: preset::roles(edition),
            connectors: BTreeMap::new(),
            auth_preference: preset::auth_preference(),
            certificates: Certificates::default(),
            writes: WriteLog::default(),
            demands_mfa: false,
            backlog: Instant::now(),
        }
    }

    /// The simulator's now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Drops what has ended, and lets the caches follow. Every operation begins with it.
    pub(crate) fn settle(&mut self) {
        let now = self.now();
        let users_visible = Instant::now() + Duration::from_millis(self.lag.users_ms);
        let locks_visible = Instant::now() + Duration::from_millis(self.lag.locks_ms);
        self.users.expire(now, users_visible);
        self.locks.expire(now, locks_visible);
        self.users.settle(Instant::now(), |_| ());
        let enforced = &mut self.enforced;
        self.locks.settle(Instant::now(), |change| {
            if let Some(lock) = change.before {
                enforced.remove(&lock);
            }
            if let Some(lock) = change.after {
                enforced.add(&lock);
            }
        });
    }

    /// Lets the caches follow at once up to what is stored now, whatever the lag.
    pub(crate) fn catch_up(&mut self) {
        let now = Instant::now();
        self.users.hurry(now);
        self.locks.hurry(now);
        self.backlog = now;
        self.settle();
    }

    /// When the caches will know of a change to users that is made now.
    pub(crate) fn users_visible(&mut self) -> Instant {
        let lag = Duration::from_millis(self.lag.users_ms);
        self.next_change() + lag
    }

    /// When the caches will know of a change to locks that is made now.
    pub(crate) fn locks_visible(&mut self) -> Instant {
        let lag = Duration::from_millis(self.lag.locks_ms);
        self.next_change() + lag
    }

    fn next_change(&mut self) -> Instant {
        let each = match self.lag.changes_per_second {
            0 => Duration::ZERO,
            per_second => Duration::from_secs(1) / per_second,
        };
        self.backlog = self.backlog.max(Instant::now()) + each;
        self.backlog
    }

    /// Lets a caller in, or not: unknown, locked, or deleted.
    pub(crate) fn admit(&mut self, caller: &Caller) -> Result<(), Refusal> {
        self.settle();
        caller.known()?;
        if let Some((subject, lock)) = self.lock_on_caller(caller) {
            return Err(Refusal::access_denied(if self.version.tells_of_locks() {
                format!("lock targeting {} is in force: {}", subject.described(), lock.message())
            } else {
                "access denied".to_owned()
            }));
        }
        match caller {
            Caller::User { name, .. } if self.users.read(&crate::user::key(name)).is_none() => {
                Err(Refusal::not_found(format!("user {name:?} not found")))
            }
            _ => Ok(()),
        }
    }

    fn lock_on_caller(&self, caller: &Caller) -> Option<(Subject, Arc<StoredLock>)> {
        let subjects = match caller {
            Caller::Nobody => Vec::new(),
            Caller::User { name, roles } => {
                std::iter::once(Subject::User(name.clone())).chain(roles.iter().cloned().map(Subject::Role)).collect()
            }
            Caller::System { role, host_id, .. } => vec![Subject::Server(host_id.clone()), Subject::Role(role.clone())],
        };
        subjects.into_iter().find_map(|subject| Some((subject.clone(), self.enforced_lock(&subject)?)))
    }

    /// An enforced lock that hits a subject now.
    pub(crate) fn enforced_lock(&self, subject: &Subject) -> Option<Arc<StoredLock>> {
        let now = self.now();
        self.enforced
            .on(subject)
            .filter_map(|name| self.locks.cache().get(name))
            .find(|lock| lock.in_force(now))
            .cloned()
    }

    /// Whether old certificates of a user are locked.
    pub(crate) fn lock_state(&self, user: &str) -> LockState {
        let now = self.now();
        if self.enforced_lock(&Subject::User(user.to_owned())).is_some() {
            LockState::Enforced
        } else if self.locks.all().values().any(|lock| lock.user() == user && lock.in_force(now)) {
            LockState::Stored
        } else {
            LockState::None
        }
    }

    /// Refuses unless the caller may do all of this.
    pub(crate) fn require(&self, caller: &Caller, kind: &str, verbs: &[&str]) -> Result<(), Refusal> {
        rbac::require(caller, &self.roles, self.version, kind, verbs)
    }

    /// Refuses a write by hand where a second factor is demanded. Bots, hosts, and the administrator (whose identity was signed on the server) need
    /// none (reference §11).
    pub(crate) fn require_mfa(&self, caller: &Caller) -> Result<(), Refusal> {
        let Caller::User { name, .. } = caller else { return Ok(()) };
        let user = self.users.stored(&crate::user::key(name)).map(|user| user.message());
        let bot = user.and_then(|user| user.metadata).is_some_and(|metadata| metadata.labels.contains_key(labels::BOT));
        if !self.demands_mfa || bot || name == preset::ADMIN_USER {
            return Ok(());
        }
        Err(Refusal::access_denied("admin-level API request requires MFA verification"))
    }

    /// Does a write and logs it, granted or not.
    pub(crate) fn write<T>(
        &mut self,
        who: &str,
        method: &str,
        name: &str,
        does: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.settle();
        let lock = (method == "DeleteUser" || method == "scim-delete").then(|| self.lock_state(name));
        let result = does(self);
        let outcome = match &result {
            Ok(_) => "ok",
            Err(refusal) if refusal.message == CRASH => "crash",
            Err(refusal) => code_name(refusal.code),
        };
        self.writes.add(WriteRecord {
            sequence: 0,
            at: self.now(),
            who: who.to_owned(),
            method: method.to_owned(),
            name: name.to_owned(),
            outcome: outcome.to_owned(),
            lock,
        });
        result
    }
}

/// What a client hears when its request has taken the server down (reference §15: a create or update without its user).
pub(crate) const CRASH: &str = "error reading from server: EOF";
