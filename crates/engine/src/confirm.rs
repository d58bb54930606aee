//! Confirmation by id (P3): before anybody is removed, Okta is asked about that one person.

use futures::StreamExt as _;

use crate::{
    directory::{Directory, PeopleSource, Standing},
    failure::Failure,
    people::{Cause, Judgement, judge},
    person::PersonStatus,
    plan::Removal,
    policy::Policy,
};

/// Questions asked at the same time.
const CONCURRENCY: usize = 4;

/// What became of one removal when Okta was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// It stands, on this evidence.
    Confirmed(Removal),
    /// Okta says that the person belongs after all.
    Denied(Removal),
    /// Okta could not be asked.
    Unanswered(Removal, Failure),
}

/// Asks about each of `removals`.
pub async fn confirm<D: Directory>(
    directory: &D,
    source: &PeopleSource,
    policy: &Policy,
    removals: Vec<Removal>,
) -> Vec<Confirmation> {
    futures::stream::iter(removals)
        .map(|removal| async move {
            match evidence(directory, source, policy, &removal).await {
                Ok(Some(cause)) => Confirmation::Confirmed(Removal { cause, ..removal }),
                Ok(None) => Confirmation::Denied(removal),
                Err(failure) => Confirmation::Unanswered(removal, failure),
            }
        })
        .buffered(CONCURRENCY)
        .collect()
        .await
}

/// Why the person leaves, as Okta says now; `None` if they do not.
async fn evidence<D: Directory>(
    directory: &D,
    source: &PeopleSource,
    policy: &Policy,
    removal: &Removal,
) -> Result<Option<Cause>, Failure> {
    let (standing, is_member) = ask(directory, source, policy, &removal.okta_id).await?;
    Ok(verdict(policy, &standing, is_member, removal))
}

/// Where a person stands, asked by id, and whether they are in one of the groups that narrow the scope.
pub(crate) async fn ask<D: Directory>(
    directory: &D,
    source: &PeopleSource,
    policy: &Policy,
    okta_id: &str,
) -> Result<(Standing, bool), Failure> {
    let standing = directory.person(source, okta_id).await?;
    let is_member = match (&standing, policy.narrowing_groups()) {
        (Standing::Present(_), groups @ [_, ..]) => directory.is_member(okta_id, groups).await?,
        _ => true,
    };
    Ok((standing, is_member))
}

/// Why the person leaves, by where they stand now; `None` if they do not.
pub(crate) fn verdict(policy: &Policy, standing: &Standing, is_member: bool, removal: &Removal) -> Option<Cause> {
    let person = match standing {
        Standing::Gone => return Some(Cause::Deleted),
        Standing::NotInSource(PersonStatus::Deprovisioned) => return Some(Cause::Deactivated),
        Standing::NotInSource(_) => return Some(Cause::Unassigned),
        Standing::Present(person) => person,
    };
    match judge(person, policy, |_| is_member) {
        Judgement::Leaver(cause) => Some(cause),
        Judgement::Member { suspended: true } if policy.suspended == api::spec::Suspended::Remove => {
            Some(Cause::Suspended)
        }
        Judgement::Member { .. } if matches!(removal.cause, Cause::Renamed(_)) => {
            let now = person.user_name.as_deref().unwrap_or_default();
            (now != removal.name).then(|| Cause::Renamed(now.to_owned()))
        }
        Judgement::Member { .. } | Judgement::Keep(_) | Judgement::Excluded => None,
    }
}
