//! The guard: what of a plan's removals may happen.
//!
//! The order: complete read → not empty → the same organisation, a healthy app → each removal confirmed by id → the
//! brake. Everything that adds or updates goes on whatever the guard says about removals.

use api::{
    spec::OnSpecChange,
    status::{MAX_SAMPLE, Memory, PendingPlan, RemovalTally},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sha2::{Digest as _, Sha256};

use crate::{
    directory::{App, Organisation},
    failure::{Class, Failure, Side},
    plan::{Removal, count},
    policy::Policy,
    report::Read,
};

/// How long an approval of a held plan counts, from the moment it was first held.
pub const APPROVAL_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// Window of the brake.
const WINDOW_MINUTES: i64 = 60;

/// Refuses another organisation than the one that was seen first: its people are other people.
///
/// # Errors
/// The organisation's id is not `pinned`.
pub fn same_organisation(organisation: &Organisation, pinned: &str) -> Result<(), Failure> {
    if pinned.is_empty() || organisation.id == pinned {
        return Ok(());
    }
    Err(Failure::new(
        Side::Okta,
        Class::Configuration,
        "OrganisationChanged",
        format!(
            "the URL answers for the Okta organisation {}, but this resource was used with {pinned} until now",
            organisation.id
        ),
        "point okta.orgURL back at the organisation it was made for, or make a new OktaUserSync for the new one",
    ))
}

/// Why nobody may be removed in this pass, whoever it is; `None` if the evidence is good.
#[must_use]
pub fn refusal(read: &Read, listed: usize, owned: usize, memory: &Memory, app: Option<&App>) -> Option<Failure> {
    if let Read::Incomplete { page, why } = read {
        return Some(Failure {
            reason: "ReadIncomplete",
            message: format!("the people could not be read to the end (page {page}): {}", why.message),
            ..why.clone()
        });
    }
    if listed == 0 && (memory.people > 0 || owned > 0) {
        return Some(Failure::new(
            Side::Okta,
            Class::Permission,
            "EmptySource",
            format!("Okta lists nobody, although there were {} people and {owned} users are ours", memory.people),
            "check that the API Services app still has an admin role whose resource set holds the SAML app and its people (a missing role is answered by an empty list); if everybody really left, delete this OktaUserSync with deletionPolicy: Delete",
        ));
    }
    let app = app?;
    if app.status != "ACTIVE" {
        return Some(Failure::new(
            Side::Okta,
            Class::Configuration,
            "AppNotActive",
            format!(
                "the app {} ({}) is {} in Okta, where assignments say nothing about people",
                app.label, app.id, app.status
            ),
            "activate the app (Applications > the app > Active), or point scope.appID at the right one in a new OktaUserSync",
        ));
    }
    if app.sign_on_mode != "SAML_2_0" {
        return Some(Failure::new(
            Side::Okta,
            Class::Configuration,
            "AppNotSaml",
            format!("the app {} ({}) signs on by {}, not by SAML 2.0", app.label, app.id, app.sign_on_mode),
            "set scope.appID to the id of the SAML app that the Teleport connector belongs to",
        ));
    }
    None
}

/// What the brake says.
#[derive(Clone, Debug, PartialEq)]
pub enum Ruling {
    /// The removals may happen; with the hash of the approval that allows them, if it took one.
    Go(Option<String>),
    /// The whole set is held.
    Hold(Box<PendingPlan>),
}

/// The hash of exactly these removals with their evidence.
#[must_use]
pub fn plan_hash(removals: &[Removal]) -> String {
    let mut lines: Vec<String> =
        removals.iter().map(|r| format!("{}\t{}\t{}", r.name, r.okta_id, r.cause.words())).collect();
    lines.sort_unstable();
    hex::encode(&Sha256::digest(lines.join("\n").as_bytes())[..16])
}

/// Rules on confirmed `removals` of a resource that owns `owned` users. `pending` is what was held until now.
#[must_use]
pub fn brake(
    removals: &[Removal],
    owned: usize,
    policy: &Policy,
    memory: &Memory,
    pending: Option<&PendingPlan>,
    now: Timestamp,
) -> Ruling {
    let fresh: Vec<&Removal> = removals.iter().filter(|removal| !removal.begun).collect();
    let Some(reason) = reason_to_hold(fresh.len(), owned, policy, memory, now) else { return Ruling::Go(None) };
    let hash = plan_hash(removals);
    let known = pending.filter(|pending| pending.hash == hash);
    let held_since = known.map_or_else(|| Time(now), |pending| pending.held_since.clone());
    let expires = held_since.0.saturating_add(APPROVAL_LIFE).unwrap_or(Timestamp::MAX);
    let approved = policy.approvals.contains(&hash) && memory.used_approval != hash;
    if approved && now <= expires {
        return Ruling::Go(Some(hash));
    }
    // An expired plan is offered anew, so that it can be approved anew under a new date.
    let (held_since, expires) = if now > expires && !approved {
        (Time(now), now.saturating_add(APPROVAL_LIFE).unwrap_or(Timestamp::MAX))
    } else {
        (held_since, expires)
    };
    let mut sample: Vec<String> = removals.iter().map(|r| format!("{}: {}", r.name, r.cause.words())).collect();
    sample.sort_unstable();
    sample.truncate(MAX_SAMPLE);
    Ruling::Hold(Box::new(PendingPlan {
        hash,
        reason,
        removals: count(removals.len()),
        sample,
        held_since,
        expires: Time(expires),
        approval: None,
    }))
}

fn reason_to_hold(fresh: usize, owned: usize, policy: &Policy, memory: &Memory, now: Timestamp) -> Option<String> {
    if fresh == 0 {
        return None;
    }
    let scope_changed = !memory.scope_hash.is_empty() && memory.scope_hash != policy.scope_hash;
    if scope_changed && policy.brake.on_spec_change == OnSpecChange::Hold {
        return Some(format!(
            "the scope (source, groups, filter or exclude) was changed, and {fresh} would be removed by it"
        ));
    }
    let recent = recent(memory, now);
    let limit = limit(owned, policy);
    let total = count(fresh).saturating_add(recent);
    (total > limit).then(|| {
        let hour = if recent > 0 { format!(" and {recent} within the last hour") } else { String::new() };
        format!("{fresh} removals{hour} are more than the brake allows ({limit} of {owned} users)")
    })
}

/// How many removals the brake lets pass: the larger of both numbers.
fn limit(owned: usize, policy: &Policy) -> i64 {
    let percent = count(owned).saturating_mul(i64::from(policy.brake.max_percent)) / 100;
    percent.max(i64::from(policy.brake.max_users))
}

/// Removals within the window.
#[must_use]
pub fn recent(memory: &Memory, now: Timestamp) -> i64 {
    let minute = now.as_second() / 60;
    memory.removals.iter().filter(|tally| tally.minute > minute - WINDOW_MINUTES).map(|tally| tally.count).sum()
}

/// Notes `removed` removals at `now`, and forgets those that the window has passed.
pub fn tally(memory: &mut Memory, removed: usize, now: Timestamp) {
    let minute = now.as_second() / 60;
    memory.removals.retain(|tally| tally.minute > minute - WINDOW_MINUTES);
    if removed == 0 {
        return;
    }
    match memory.removals.iter_mut().find(|tally| tally.minute == minute) {
        Some(tally) => tally.count += count(removed),
        None => memory.removals.push(RemovalTally { minute, count: count(removed) }),
    }
}
