//! Confirmation by id (P3): before anybody is removed, Okta is asked about that one person.

use futures::StreamExt as _;

use crate::{
    belonging::{self, Belonging},
    directory::{Directory, PeopleSource, Standing},
    failure::Failure,
    people::{Cause, Judgement, UNKNOWN_STATE, judge, unknown},
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
    /// What Okta says removes nobody, but keeps nobody in either.
    Kept(Removal, Keep),
    /// Okta could not be asked.
    Unanswered(Removal, Failure),
}

/// Why a person is left as they are, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Why.
    pub why: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What Okta's answer about one person means for their removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They leave, for this cause.
    Leaves(Cause),
    /// They belong.
    Belongs,
    /// They are left as they are.
    Kept(Keep),
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
                Ok(Verdict::Leaves(cause)) => Confirmation::Confirmed(Removal { cause, ..removal }),
                Ok(Verdict::Belongs) => Confirmation::Denied(removal),
                Ok(Verdict::Kept(keep)) => Confirmation::Kept(removal, keep),
                Err(failure) => Confirmation::Unanswered(removal, failure),
            }
        })
        .buffered(CONCURRENCY)
        .collect()
        .await
}

/// Whether and why the person leaves, as Okta says now.
async fn evidence<D: Directory>(
    directory: &D,
    source: &PeopleSource,
    policy: &Policy,
    removal: &Removal,
) -> Result<Verdict, Failure> {
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

/// Whether and why the person leaves, by where they stand now.
pub(crate) fn verdict(policy: &Policy, standing: &Standing, is_member: bool, removal: &Removal) -> Verdict {
    let person = match standing {
        Standing::Gone => return absent(belonging::of_absent(None)),
        Standing::NotInSource(status) => return absent(belonging::of_absent(Some(status))),
        Standing::Present(person) => person,
    };
    match judge(person, policy, |_| is_member) {
        Judgement::Leaver(cause) => Verdict::Leaves(cause),
        Judgement::Member { suspended: true } if policy.suspended == api::spec::Suspended::Remove => {
            Verdict::Leaves(Cause::Suspended)
        }
        Judgement::Member { .. } if matches!(removal.cause, Cause::Renamed(_)) => {
            let now = person.user_name.as_deref().unwrap_or_default();
            if now == removal.name { Verdict::Belongs } else { Verdict::Leaves(Cause::Renamed(now.to_owned())) }
        }
        Judgement::Member { .. } | Judgement::Excluded => Verdict::Belongs,
        Judgement::Keep { why, remedy, .. } => Verdict::Kept(Keep { why, remedy }),
    }
}

/// What it means that a person is not in the source.
fn absent(belonging: Belonging) -> Verdict {
    match belonging {
        Belonging::Deleted => Verdict::Leaves(Cause::Deleted),
        Belonging::Deactivated => Verdict::Leaves(Cause::Deactivated),
        Belonging::Unassigned | Belonging::Present | Belonging::Suspended => Verdict::Leaves(Cause::Unassigned),
        Belonging::Unknown(state) => Verdict::Kept(Keep { why: unknown(&state), remedy: UNKNOWN_STATE }),
    }
}
