//! Locks: what is stored, and what is enforced a moment later (reference §2, §15, §16 H).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use teleport_proto::{labels, types};

use crate::{clock::from_wire, replica::Expiring};

/// A lock as it is stored.
#[derive(Debug)]
pub(crate) struct StoredLock {
    pub(crate) lock: types::LockV2,
}

impl StoredLock {
    pub(crate) fn name(&self) -> &str {
        self.lock.metadata.as_ref().map_or("", |metadata| metadata.name.as_str())
    }

    pub(crate) fn target(&self) -> types::LockTarget {
        self.lock.spec.as_ref().and_then(|spec| spec.target.clone()).unwrap_or_default()
    }

    /// The user whom it hits; empty where it hits another.
    pub(crate) fn user(&self) -> &str {
        self.lock.spec.as_ref().and_then(|spec| spec.target.as_ref()).map_or("", |target| target.user.as_str())
    }

    pub(crate) fn message(&self) -> &str {
        self.lock.spec.as_ref().map_or("", |spec| spec.message.as_str())
    }

    /// Until when it is in force; `None`: for ever.
    pub(crate) fn force_ends(&self) -> Option<Timestamp> {
        from_wire(self.lock.spec.as_ref().and_then(|spec| spec.expires.as_ref()))
    }

    pub(crate) fn in_force(&self, now: Timestamp) -> bool {
        self.force_ends().is_none_or(|end| end > now)
    }

    pub(crate) fn is_okta(&self) -> bool {
        is_okta(&self.lock)
    }
}

impl Expiring for Arc<StoredLock> {
    fn expires(&self) -> Option<Timestamp> {
        from_wire(self.lock.metadata.as_ref().and_then(|metadata| metadata.expires.as_ref()))
    }
}

/// Whether a lock carries the origin label of the Okta service.
pub(crate) fn is_okta(lock: &types::LockV2) -> bool {
    lock.metadata
        .as_ref()
        .and_then(|metadata| metadata.labels.get(labels::ORIGIN))
        .is_some_and(|origin| origin == labels::ORIGIN_OKTA)
}

/// Whether a target names anybody.
pub(crate) fn names_somebody(target: &types::LockTarget) -> bool {
    *target != types::LockTarget::default()
}

/// Whether a lock's target is what was asked for: each field that was asked for agrees.
pub(crate) fn matches(asked: &types::LockTarget, target: &types::LockTarget) -> bool {
    let fields = |target: &types::LockTarget| {
        [
            target.user.clone(),
            target.role.clone(),
            target.login.clone(),
            target.mfa_device.clone(),
            target.windows_desktop.clone(),
            target.access_request.clone(),
            target.device.clone(),
            target.server_id.clone(),
            target.bot_instance_id.clone(),
            target.join_token.clone(),
        ]
    };
    fields(asked).iter().zip(fields(target)).all(|(asked, found)| asked.is_empty() || *asked == found)
}

/// Whom enforcement looks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    User(String),
    Role(String),
    Server(String),
}

impl Subject {
    /// Whom a target hits. Only users, roles and servers are enforced here.
    fn of(target: &types::LockTarget) -> Option<Self> {
        if !target.user.is_empty() {
            Some(Self::User(target.user.clone()))
        } else if !target.role.is_empty() {
            Some(Self::Role(target.role.clone()))
        } else if !target.server_id.is_empty() {
            Some(Self::Server(target.server_id.clone()))
        } else {
            None
        }
    }

    /// As the refusal names it.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::User(name) => format!("User:{name:?}"),
            Self::Role(name) => format!("Role:{name:?}"),
            Self::Server(name) => format!("ServerID:{name:?}"),
        }
    }
}

/// The locks that are enforced, by whom they hit.
#[derive(Debug, Default)]
pub(crate) struct Enforced {
    by_subject: BTreeMap<Subject, BTreeSet<String>>,
}

impl Enforced {
    pub(crate) fn add(&mut self, lock: &StoredLock) {
        if let Some(subject) = Subject::of(&lock.target()) {
            self.by_subject.entry(subject).or_default().insert(lock.name().to_owned());
        }
    }

    pub(crate) fn remove(&mut self, lock: &StoredLock) {
        let Some(subject) = Subject::of(&lock.target()) else { return };
        if let Some(names) = self.by_subject.get_mut(&subject) {
            names.remove(lock.name());
            if names.is_empty() {
                self.by_subject.remove(&subject);
            }
        }
    }

    /// The names of the locks that hit a subject.
    pub(crate) fn on(&self, subject: &Subject) -> impl Iterator<Item = &String> {
        self.by_subject.get(subject).into_iter().flatten()
    }
}
