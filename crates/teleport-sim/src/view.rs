//! What the admin port shows of users and locks, for people and for tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use teleport_proto::{labels, types};

use crate::{
    Edition, Version, clock::from_wire, cluster::Cluster, ledger::LockState, lock::StoredLock, user::StoredUser,
    user::key,
};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    /// Its name.
    pub name: String,
    /// `sso` where a connector made it or an identity is known, else `local`.
    pub kind: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Traits.
    pub traits: BTreeMap<String, Vec<String>>,
    /// Who made it; the user's name.
    pub created_by: String,
    /// Through which connector; its name.
    pub connector: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// Revision.
    pub revision: String,
    /// Whether it is a bot.
    pub bot: bool,
    /// The lock on its name.
    pub lock: LockState,
}

/// A lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockView {
    /// Its name.
    pub name: String,
    /// The user whom it hits; empty where it hits another.
    pub user: String,
    /// Its message.
    pub message: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Until when it is in force; none: for ever.
    pub expires: Option<Timestamp>,
    /// When the storage drops it; none: never.
    pub storage_expires: Option<Timestamp>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Who made it.
    pub created_by: String,
    /// Whether the caches know it: then it is enforced, as long as it is in force.
    pub enforced: bool,
    /// Whether its time of force is not over.
    pub in_force: bool,
}

/// The cluster at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateView {
    /// Name of the cluster.
    pub cluster: String,
    /// Line of versions.
    pub version: Version,
    /// Edition.
    pub edition: Edition,
    /// The simulator's now.
    pub now: Timestamp,
    /// How far it is ahead of the machine's, in seconds.
    pub clock_offset_seconds: i64,
    /// How many users are stored.
    pub users: usize,
    /// How many locks are stored.
    pub locks: usize,
    /// Names of the roles.
    pub roles: Vec<String>,
    /// Names of the SAML connectors.
    pub connectors: Vec<String>,
    /// Number of the newest entry of the write log.
    pub writes: u64,
    /// How far the caches are behind.
    pub lag: crate::Lag,
    /// Whether it has fallen silent after a write, as it was told to.
    pub holding: bool,
    /// `host:port` of the Proxy, which routes by protocol names.
    pub proxy_address: String,
    /// `host:port` of a balancer before the Proxy, which takes protocol names away.
    pub balancer_address: String,
    /// File with the CA of the Proxy's web side, PEM.
    pub web_ca_file: String,
    /// The pin of the host CA, as `tctl status` shows it.
    pub ca_pin: String,
}

impl Cluster {
    /// A user as stored.
    pub(crate) fn view_user(&mut self, name: &str) -> Option<UserView> {
        self.settle();
        let user = self.users.stored(&key(name)).cloned()?;
        Some(user_view(&user, self.lock_state(name)))
    }

    /// The names of users after a name, in the order of lists.
    pub(crate) fn view_names(&mut self, after: &str, limit: usize) -> Vec<String> {
        self.settle();
        let from = if after.is_empty() { String::new() } else { format!("{after}0") };
        self.users.all().range(from..).take(limit).map(|(_, user)| user.name.clone()).collect()
    }

    /// All locks as stored.
    pub(crate) fn view_locks(&mut self) -> Vec<LockView> {
        self.settle();
        self.locks
            .all()
            .iter()
            .map(|(name, lock)| lock_view(lock, self.locks.cache().contains_key(name), self.now()))
            .collect()
    }
}

fn user_view(user: &StoredUser, lock: LockState) -> UserView {
    let message = user.message();
    let metadata = message.metadata.unwrap_or_default();
    let spec = message.spec.unwrap_or_default();
    let created_by = spec.created_by.unwrap_or_default();
    let identities =
        !(spec.oidc_identities.is_empty() && spec.saml_identities.is_empty() && spec.github_identities.is_empty());
    let traits = spec.traits.unwrap_or_default().values.into_iter().map(|(name, list)| (name, list.values));
    UserView {
        name: metadata.name,
        kind: if created_by.connector.is_some() || identities { "sso" } else { "local" }.to_owned(),
        bot: metadata.labels.contains_key(labels::BOT),
        labels: metadata.labels,
        roles: spec.roles,
        traits: traits.collect(),
        created_by: created_by.user.map(|user| user.name).unwrap_or_default(),
        connector: created_by.connector.map(|connector| connector.id),
        created_at: from_wire(created_by.time.as_ref()),
        expires: from_wire(metadata.expires.as_ref()).or_else(|| from_wire(spec.expires.as_ref())),
        revision: user.revision.clone(),
        lock,
    }
}

fn lock_view(stored: &StoredLock, enforced: bool, now: Timestamp) -> LockView {
    let types::LockV2 { metadata, spec, .. } = stored.lock.clone();
    let (metadata, spec) = (metadata.unwrap_or_default(), spec.unwrap_or_default());
    LockView {
        name: metadata.name,
        user: spec.target.unwrap_or_default().user,
        message: spec.message,
        labels: metadata.labels,
        expires: stored.force_ends(),
        storage_expires: from_wire(metadata.expires.as_ref()),
        created_at: from_wire(spec.created_at.as_ref()),
        created_by: spec.created_by,
        enforced,
        in_force: stored.in_force(now),
    }
}
