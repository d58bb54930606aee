//! What happens to our users when the resource is deleted (P15). Okta is not asked: the deletion is the order.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, AtomicUsize},
    time::Instant,
};

use api::{
    OktaUserSyncSpec,
    spec::{DeletionPolicy, RemovalAction, Traits},
    status::Problem,
};
use jiff::Timestamp;

use crate::{
    apply::{MayWrite, Writer},
    cluster::Cluster,
    failure::Failure,
    journal::{Grounds, Journal},
    lock::lock_life,
    observed::Observed,
    people::Cause,
    plan::Removal,
    policy::Policy,
    roster::Roster,
};

/// At most this many names and problems are kept.
const MAX_LEFT: usize = 20;

/// How the clean-up ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleanup {
    /// Users locked.
    pub locked: usize,
    /// Users deleted.
    pub deleted: usize,
    /// Users left as they are, because something failed; at most 20 are named.
    pub left: Vec<String>,
    /// What failed; at most 20.
    pub problems: Vec<Problem>,
}

/// What of a specification counts at the end of its resource. What people are given and who of them belongs plays no part any
/// more, so a role that may not be given, or a filter that cannot be read, leaves nobody behind.
#[must_use]
pub fn what_counts(spec: &OktaUserSyncSpec) -> OktaUserSyncSpec {
    let mut spec = spec.clone();
    spec.scope.filter.clear();
    spec.users.roles.clear();
    spec.users.traits = Traits::default();
    spec
}

/// Locks (and deletes) every user of ours, as `action` says; with `Orphan` nothing is read or written.
///
/// # Errors
/// Teleport could not be reached or read; nothing was written then.
pub async fn cleanup<C: Cluster>(
    cluster: &C,
    policy: &mut Policy,
    action: DeletionPolicy,
    pass: &str,
    now: Timestamp,
    may_write: MayWrite<'_>,
    journal: &dyn Journal,
) -> Result<Cleanup, Failure> {
    policy.action = match action {
        DeletionPolicy::Orphan => return Ok(Cleanup::default()),
        DeletionPolicy::Lock => RemovalAction::LockOnly,
        DeletionPolicy::Delete => RemovalAction::Delete,
    };
    let facts = cluster.prove_identity().await?;
    let lock_life = lock_life(&cluster.roles().await?, policy.lock_margin)?;
    let observed = Observed::read(cluster, &facts, Instant::now(), policy, &Roster::default(), now).await?;
    let removals = removals(&observed, policy);
    let writer = Writer {
        cluster,
        facts: &facts,
        policy,
        lock_life,
        roles: &HashMap::new(),
        now,
        pass,
        may_write,
        writes: &AtomicU64::new(0),
        written: &|| {},
        locked: &|_, _| {},
        ledger: None,
        failures: AtomicUsize::new(0),
        journal,
        grounds: Grounds::default(),
    };
    let mut done = Cleanup::default();
    for (removal, end) in removals.iter().zip(writer.remove(&removals).await) {
        match end.account {
            Ok(crate::apply::Removed::Locked) => done.locked += 1,
            Ok(crate::apply::Removed::Gone) => done.deleted += 1,
            Err(failure) if done.left.len() < MAX_LEFT => {
                done.problems.push(Problem {
                    class: failure.class.as_str().into(),
                    user: removal.name.clone(),
                    message: failure.message,
                    remedy: failure.remedy,
                });
                done.left.push(removal.name.clone());
            }
            Err(_) => {}
        }
    }
    Ok(done)
}

fn removals(observed: &Observed, policy: &Policy) -> Vec<Removal> {
    let mut removals: Vec<Removal> = observed
        .ours()
        .filter(|(_, name)| !policy.exclude.is_match(name))
        .map(|(okta_id, name)| Removal {
            okta_id: okta_id.to_owned(),
            name: name.to_string(),
            cause: Cause::ResourceDeleted,
            begun: false,
            after_creation: false,
        })
        .collect();
    removals.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    removals
}
