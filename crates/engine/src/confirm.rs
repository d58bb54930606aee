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
    let person = match directory.person(source, &removal.okta_id).await? {
        Standing::Gone => return Ok(Some(Cause::Deleted)),
        Standing::NotInSource(PersonStatus::Deprovisioned) => return Ok(Some(Cause::Deactivated)),
        Standing::NotInSource(_) => return Ok(Some(Cause::Unassigned)),
        Standing::Present(person) => person,
    };
    let is_member = match policy.narrowing_groups() {
        [] => true,
        groups => directory.is_member(&removal.okta_id, groups).await?,
    };
    Ok(match judge(&person, policy, |_| is_member) {
        Judgement::Leaver(cause) => Some(cause),
        Judgement::Member { suspended: true } if policy.suspended == api::spec::Suspended::Remove => {
            Some(Cause::Suspended)
        }
        Judgement::Member { .. } if matches!(removal.cause, Cause::Renamed(_)) => {
            let now = person.user_name.unwrap_or_default();
            (now != removal.name).then_some(Cause::Renamed(now))
        }
        Judgement::Member { .. } | Judgement::Keep(_) | Judgement::Excluded => None,
    })
}
