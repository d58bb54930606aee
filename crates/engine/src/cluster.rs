//! The port through which the engine reads and writes Teleport.

use std::{collections::HashSet, future::Future, sync::Arc, time::Instant};

use jiff::Timestamp;

use crate::{
    census::Census,
    directory::Pages,
    failure::Failure,
    lock::Lock,
    role::Role,
    user::{NewUser, User, UserEdit},
    user_view::ListedUser,
};

/// How the operator is known to Teleport, and so how its users are marked (reference/design: origin mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginMode {
    /// A bot or user identity: our own labels.
    Bot,
    /// The system role `Okta`: origin `okta`, the very shape of Teleport's own sync, and our labels.
    Okta,
}

impl OriginMode {
    /// The word in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bot => "Bot",
            Self::Okta => "Okta",
        }
    }
}

/// What is known of the cluster once our own identity has been proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFacts {
    /// Name of the cluster.
    pub name: String,
    /// Version of the Auth Service.
    pub version: String,
    /// How we are known to it.
    pub origin_mode: OriginMode,
    /// Our own user name; never touched.
    pub own_name: String,
    /// The way that leads there, as status names it; empty if there is but one.
    pub route: String,
    /// When the identity that we are known by runs out.
    pub identity_expires: Option<Timestamp>,
    /// What is worth knowing of the cluster, and is no error.
    pub notices: Vec<String>,
    /// That the identity runs out soon and should have been renewed by now, and what to do.
    pub expiring: Option<String>,
}

/// The SAML connector, if it can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectorLookup {
    /// Found; with the Okta app id that its label, issuer or metadata URL names.
    Found {
        /// App id, if any of the three names one.
        app_id: Option<String>,
    },
    /// There is none of that name (Community Edition has none at all).
    Missing,
    /// The identity may not read connectors.
    Unreadable(String),
}

/// Why a write did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// A user of that name exists already.
    Exists,
    /// The user was changed, or deleted, since it was read.
    Stale,
    /// A role does not exist.
    RoleMissing(String),
    /// Anything else.
    Failed(Failure),
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// How a deletion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The user is gone by our call.
    Now,
    /// The user was gone already; our own identity was proved before this was believed.
    Before,
}

/// A Teleport cluster.
pub trait Cluster: Send + Sync {
    /// A user of a list.
    type Listed: ListedUser;

    /// How many writes of a pass may be under way at once. Default: 8; more gains nothing at Teleport (measured).
    fn writes_at_once(&self) -> usize {
        8
    }

    /// Proves that our own identity is good: a deleted bot is answered `NOT_FOUND` everywhere, which must never look like
    /// "already gone".
    fn prove_identity(&self) -> impl Future<Output = Result<ClusterFacts, Failure>> + Send;

    /// All roles.
    fn roles(&self) -> impl Future<Output = Result<Vec<Role>, Failure>> + Send;

    /// The SAML connector of that name.
    fn connector(&self, name: &str) -> impl Future<Output = Result<ConnectorLookup, Failure>> + Send;

    /// All users, from the server's cache: a list never proves absence.
    fn users(&self) -> Pages<'_, Self::Listed>;

    /// Everybody, by a list that was read to its end and begun no earlier than `since`. It may be one that was read for
    /// somebody else by the same identity. Default: one that is read now.
    fn census(&self, facts: &ClusterFacts, _since: Instant) -> impl Future<Output = Result<Arc<Census>, Failure>> + Send
    where
        Self: Sized,
    {
        async { Census::read(self, facts).await.map(Arc::new) }
    }

    /// One user, from the server's storage.
    fn user(&self, name: &str) -> impl Future<Output = Result<Option<User>, Failure>> + Send;

    /// All locks that are enforced or will be; those of others too.
    fn locks(&self) -> impl Future<Output = Result<Vec<Lock>, Failure>> + Send;

    /// Makes a user.
    fn create_user(&self, user: NewUser) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Changes a user if it is still at the revision that `user` carries. An expiry set by somebody else is cleared.
    fn update_user(&self, user: &User, edit: &UserEdit) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Deletes a user.
    fn delete_user(&self, name: &str) -> impl Future<Output = Result<Deleted, WriteError>> + Send;

    /// Stores a lock, replacing one of the same name. It is in force only once [`Cluster::in_force`] says so.
    fn put_lock(&self, lock: &Lock) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Takes a lock away; no error if there is none.
    fn remove_lock(&self, name: &str) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Waits, within the client's own bound, until these locks are enforced (P4), and answers the names of those that are.
    fn in_force(&self, names: &[String]) -> impl Future<Output = Result<HashSet<String>, Failure>> + Send;
}
