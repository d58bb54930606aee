//! What Teleport holds, kept small: for each user whose it is, and for ours one number that stands for all the rest.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::StreamExt as _;

use crate::{
    cluster::{Cluster, ClusterFacts},
    desired::digest_of,
    failure::{Class, Failure, Side},
    lock::Lock,
    ownership::{self, Ownership},
    policy::Policy,
    roster::Roster,
    user::User,
};

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose it is.
    pub ownership: Ownership,
    /// Digest of what is ours of it ([`digest_of`]); 0 for users that are not ours.
    pub digest: u64,
    /// A user of ours that a login has rewritten: recognised by the roster, its labels are gone.
    pub drifted: bool,
}

/// All users and locks of the cluster.
#[derive(Debug, Default)]
pub struct Observed {
    users: HashMap<Arc<str>, Row>,
    accounts: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// Locks in force that are this resource's, by the user name that they target.
    locks: HashMap<String, Vec<Lock>>,
    /// User names that a lock of somebody else targets: SCIM, an administrator, another resource.
    locked_by_others: HashMap<String, String>,
}

impl Observed {
    /// Reads every user and lock.
    ///
    /// # Errors
    /// The list could not be read to its end.
    pub async fn read<C: Cluster>(
        cluster: &C,
        facts: &ClusterFacts,
        policy: &Policy,
        roster: &Roster,
        now: jiff::Timestamp,
    ) -> Result<Self, Failure> {
        let former: HashMap<&str, &str> = roster.iter().map(|(id, name)| (name, id)).collect();
        let mut observed = Self::default();
        let mut pages = cluster.users();
        let mut complete = false;
        while let Some(page) = pages.next().await {
            let page = page?;
            complete = page.last;
            for user in &page.items {
                observed.note(user, facts, policy, &former);
            }
        }
        drop(pages);
        if !complete {
            return Err(Failure::new(
                Side::Teleport,
                Class::Transient,
                "ListIncomplete",
                "Teleport's list of users ended before its last page",
                "nothing was written; the next pass reads it again",
            ));
        }
        for lock in cluster.locks().await? {
            observed.note_lock(lock, policy, now);
        }
        Ok(observed)
    }

    /// Adds one user.
    pub fn note(&mut self, user: &User, facts: &ClusterFacts, policy: &Policy, former: &HashMap<&str, &str>) {
        let mut ownership = ownership::of(user, policy, facts);
        let mut drifted = false;
        if let (Ownership::Connector { same: true, .. }, Some(okta_id)) = (&ownership, former.get(user.name.as_str())) {
            ownership = Ownership::Ours { okta_id: (*okta_id).to_owned() };
            drifted = true;
        }
        let name: Arc<str> = user.name.as_str().into();
        let mut digest = 0;
        if let Ownership::Ours { okta_id } = &ownership {
            digest = digest_of(user, facts.origin_mode);
            self.accounts.entry(okta_id.as_str().into()).or_default().push(name.clone());
        }
        self.users.insert(name, Row { ownership, digest, drifted });
    }

    /// Adds one lock, if it is in force and targets a user.
    pub fn note_lock(&mut self, lock: Lock, policy: &Policy, now: jiff::Timestamp) {
        if lock.user.is_empty() || !lock.in_force(now) {
            return;
        }
        if lock.ours.as_ref().is_some_and(|mark| mark.owner == policy.owner && mark.org_url == policy.org_url) {
            self.locks.entry(lock.user.clone()).or_default().push(lock);
        } else {
            self.locked_by_others.insert(lock.user, lock.name);
        }
    }

    /// Leaves the accounts of these people alone in what is asked by person; users and locks stay known by name. A partial
    /// pass must not take for leavers whom it has not asked about.
    pub(crate) fn only(&mut self, people: &HashSet<&str>) {
        self.accounts.retain(|okta_id, _| people.contains(okta_id.as_ref()));
    }

    /// Name of a lock in force on that user name that is not ours.
    #[must_use]
    pub fn locked_by_others(&self, user: &str) -> Option<&str> {
        self.locked_by_others.get(user).map(String::as_str)
    }

    /// How many users there are, whosever they are.
    #[must_use]
    pub fn known(&self) -> usize {
        self.users.len()
    }

    /// The user of that name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&Row> {
        self.users.get(name)
    }

    /// Names of the accounts of ours that the person has: one, or two while a rename is under way.
    #[must_use]
    pub fn accounts(&self, okta_id: &str) -> &[Arc<str>] {
        self.accounts.get(okta_id).map_or(&[], Vec::as_slice)
    }

    /// Okta ids and accounts of everybody whose user is ours.
    pub fn ours(&self) -> impl Iterator<Item = (&str, &[Arc<str>])> {
        self.accounts.iter().map(|(id, names)| (id.as_ref(), names.as_slice()))
    }

    /// How many users are ours.
    #[must_use]
    pub fn owned(&self) -> usize {
        self.accounts.values().map(Vec::len).sum()
    }

    /// Our locks in force on that user name.
    #[must_use]
    pub fn locks(&self, user: &str) -> &[Lock] {
        self.locks.get(user).map_or(&[], Vec::as_slice)
    }

    /// How many locks of ours are in force.
    #[must_use]
    pub fn lock_count(&self) -> usize {
        self.locks.values().map(Vec::len).sum()
    }
}
