//! The guard: what of a plan's removals may happen.
//!
//! The order: complete read → not empty → the same organisation, a healthy app → each removal confirmed by id → the
//! brake. Everything that adds or updates goes on whatever the guard says about removals.

use api::{
    spec::OnSpecChange,
    status::{MAX_EARLIER_APPROVALS, MAX_SAMPLE, Memory, PendingPlan, RemovalTally},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sha2::{Digest as _, Sha256};

use crate::{
    directory::{App, Organisation},
    failure::{Class, Failure, Side},
    people::Sight,
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
pub fn refusal(read: &Read, sight: Sight, owned: usize, memory: &Memory, app: Option<&App>) -> Option<Failure> {
    if let Read::Incomplete { page, why } = read {
        return Some(Failure {
            reason: "ReadIncomplete",
            message: format!("the people could not be read to the end (page {page}): {}", why.message),
            ..why.clone()
        });
    }
    let nobody = match sight {
        Sight::Somebody => None,
        Sight::Nobody => Some("nobody"),
        Sight::NobodyInGroups => Some("nobody in the groups of scope.groups"),
    };
    if let Some(nobody) = nobody.filter(|_| memory.people > 0 || owned > 0) {
        return Some(Failure::new(
            Side::Okta,
            Class::Permission,
            "EmptySource",
            format!("Okta lists {nobody}, although there were {} people and {owned} users are ours", memory.people),
            "check that the API Services app still has an admin role whose resource set holds the SAML app, its people and the groups (a missing role is answered by an empty list); if everybody really left, delete this OktaUserSync with deletionPolicy: Delete",
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
    let approved = policy.approvals.contains(&hash) && !was_used(memory, &hash);
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

/// Whether the approval of that plan was used before: it counts once, and not again when the same people leave again.
#[must_use]
pub fn was_used(memory: &Memory, hash: &str) -> bool {
    memory.used_approval == hash || memory.earlier_approvals.iter().any(|earlier| earlier == hash)
}

/// Notes that the approval of that plan was used. Of earlier ones those are remembered that are `given` still: no other
/// could be used again.
pub(crate) fn note_use(memory: &mut Memory, hash: &str, given: &[String]) {
    let last = std::mem::replace(&mut memory.used_approval, hash.to_owned());
    memory.earlier_approvals.push(last);
    memory.earlier_approvals.retain(|earlier| earlier != hash && given.contains(earlier));
    memory.earlier_approvals.truncate(MAX_EARLIER_APPROVALS);
}

/// Why so many new removals have to wait; `None` if they need not.
pub(crate) fn reason_to_hold(
    fresh: usize,
    owned: usize,
    policy: &Policy,
    memory: &Memory,
    now: Timestamp,
) -> Option<String> {
    if fresh == 0 {
        return None;
    }
    let scope_changed = !memory.scope_hash.is_empty() && memory.scope_hash != policy.scope_hash;
    if scope_changed && policy.brake.on_spec_change == OnSpecChange::Hold {
        return Some(format!(
            "the scope (source, groups, filter or exclude) was changed, and {fresh} would be removed by it"
        ));
    }
    let recent = recent(&memory.removals, now);
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
pub fn recent(removals: &[RemovalTally], now: Timestamp) -> i64 {
    let minute = now.as_second() / 60;
    removals.iter().filter(|tally| tally.minute > minute - WINDOW_MINUTES).map(|tally| tally.count).sum()
}

/// Notes `removed` removals at `now`, and forgets those that the window has passed.
pub fn tally(removals: &mut Vec<RemovalTally>, removed: usize, now: Timestamp) {
    let minute = now.as_second() / 60;
    removals.retain(|tally| tally.minute > minute - WINDOW_MINUTES);
    if removed == 0 {
        return;
    }
    match removals.iter_mut().find(|tally| tally.minute == minute) {
        Some(tally) => tally.count += count(removed),
        None => removals.push(RemovalTally { minute, count: count(removed) }),
    }
}

/// Takes back what was noted at `now` and has not happened.
pub(crate) fn untally(removals: &mut Vec<RemovalTally>, undone: usize, now: Timestamp) {
    let minute = now.as_second() / 60;
    for tally in removals.iter_mut().filter(|tally| tally.minute == minute) {
        tally.count -= count(undone);
    }
    removals.retain(|tally| tally.count > 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{people::Cause, test_values::policy_with};

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn leavers(n: usize) -> Vec<Removal> {
        let leaver = |n| Removal {
            okta_id: format!("00u{n}"),
            name: format!("user{n}"),
            cause: Cause::Deactivated,
            begun: false,
            after_creation: false,
        };
        (0..n).map(leaver).collect()
    }

    /// Rules with the default brake on so many removals among so many users.
    fn rule(removals: usize, owned: usize, memory: &Memory, pending: Option<&PendingPlan>, now: Timestamp) -> Ruling {
        brake(&leavers(removals), owned, &policy_with(|_| {}), memory, pending, now)
    }

    fn held(ruling: Ruling) -> PendingPlan {
        match ruling {
            Ruling::Hold(plan) => *plan,
            Ruling::Go(_) => panic!("let go"),
        }
    }

    // guard.rs, `refusal`: `sight`.
    #[test]
    fn p02_only_a_scope_that_never_had_anybody_may_be_empty() {
        for (people, owned, refused) in [(0, 0, false), (1, 0, true), (0, 1, true), (7, 7, true)] {
            let memory = Memory { people, ..Memory::default() };
            for sight in [Sight::Nobody, Sight::NobodyInGroups] {
                assert_eq!(
                    refusal(&Read::Complete, sight, owned, &memory, None).is_some(),
                    refused,
                    "{people} {owned}"
                );
            }
            assert_eq!(refusal(&Read::Complete, Sight::Somebody, owned, &memory, None), None);
        }
    }

    // guard.rs, `limit`.
    #[test]
    fn p05_the_larger_of_both_numbers_passes_and_one_more_is_held() {
        for (owned, limit) in [(0, 5), (10, 5), (50, 5), (59, 5), (60, 6), (1000, 100)] {
            assert_eq!(rule(limit, owned, &Memory::default(), None, at(0)), Ruling::Go(None), "{owned}");
            let reason = held(rule(limit + 1, owned, &Memory::default(), None, at(0))).reason;
            assert!(reason.contains(&format!("({limit} of {owned} users)")) && !reason.contains("hour"), "{reason}");
        }
        assert_eq!(rule(0, 0, &Memory::default(), None, at(0)), Ruling::Go(None));
    }

    // guard.rs, `recent` and `tally`.
    #[test]
    fn p05_an_hour_is_sixty_minutes_to_the_minute() {
        let mut memory = Memory::default();
        tally(&mut memory.removals, 2, at(100));
        tally(&mut memory.removals, 1, Timestamp::from_second(100 * 60 + 59).unwrap());
        tally(&mut memory.removals, 1, at(101));
        assert_eq!(memory.removals.iter().map(|t| (t.minute, t.count)).collect::<Vec<_>>(), [(100, 3), (101, 1)]);
        for (minute, counted) in [(101, 4), (159, 4), (160, 1), (161, 0)] {
            assert_eq!(recent(&memory.removals, at(minute)), counted, "{minute}");
        }
        assert_eq!(rule(1, 0, &memory, None, at(101)), Ruling::Go(None), "4 and 1 are 5");
        assert!(held(rule(2, 0, &memory, None, at(101))).reason.contains("and 4 within the last hour"));
        tally(&mut memory.removals, 0, at(160));
        assert_eq!(memory.removals.len(), 1, "what the window has passed is forgotten");
    }

    // guard.rs, `brake`: `known`, `held_since`.
    #[test]
    fn p05_a_held_plan_keeps_its_date_until_it_expires_and_is_offered_anew_then() {
        let first = held(rule(6, 0, &Memory::default(), None, at(0)));
        assert_eq!((first.held_since.0, first.expires.0), (at(0), at(24 * 60)));
        let last_moment = held(rule(6, 0, &Memory::default(), Some(&first), at(24 * 60)));
        assert_eq!(last_moment.held_since.0, at(0));
        let late = held(rule(6, 0, &Memory::default(), Some(&first), at(24 * 60 + 1)));
        assert_eq!((late.held_since.0, late.expires.0), (at(24 * 60 + 1), at(48 * 60 + 1)));
        let other = held(rule(7, 0, &Memory::default(), Some(&first), at(60)));
        assert_eq!(other.held_since.0, at(60), "another plan begins anew");
    }

    // guard.rs, `brake`: `expires`, `was_used`.
    #[test]
    fn p05_an_approval_counts_to_the_last_moment_once_and_not_a_moment_longer() {
        let first = held(rule(6, 0, &Memory::default(), None, at(0)));
        let approved = policy_with(|spec| spec.removal.approved_plan.clone_from(&first.hash));
        let rule = |memory: &Memory, now| brake(&leavers(6), 0, &approved, memory, Some(&first), now);
        assert_eq!(rule(&Memory::default(), at(24 * 60)), Ruling::Go(Some(first.hash.clone())));
        let late = held(rule(&Memory::default(), at(24 * 60 + 1)));
        assert_eq!(late.held_since, first.held_since, "an approval that came late does not renew the plan by itself");
        let used = Memory { used_approval: first.hash.clone(), ..Memory::default() };
        held(rule(&used, at(1)));
    }

    // guard.rs, `note_use`, `was_used`.
    #[test]
    fn p05_used_approvals_are_remembered_as_long_as_they_are_given() {
        let given = |hashes: &[&str]| hashes.iter().map(|hash| (*hash).to_owned()).collect::<Vec<_>>();
        let mut memory = Memory::default();
        assert!(!was_used(&memory, "a"));
        note_use(&mut memory, "a", &given(&["a"]));
        assert_eq!((memory.used_approval.as_str(), memory.earlier_approvals.len()), ("a", 0));
        note_use(&mut memory, "b", &given(&["a", "b"]));
        assert!(was_used(&memory, "a") && was_used(&memory, "b") && !was_used(&memory, "c"));
        note_use(&mut memory, "c", &given(&["b", "c"]));
        assert!(!was_used(&memory, "a"), "nobody gives it any more");
        assert_eq!((memory.used_approval.as_str(), memory.earlier_approvals), ("c", given(&["b"])));
        let many: Vec<String> = (0..40).map(|n| format!("{n}")).collect();
        let mut memory = Memory::default();
        for hash in &many {
            note_use(&mut memory, hash, &many);
        }
        assert_eq!(memory.earlier_approvals.len(), MAX_EARLIER_APPROVALS);
    }

    #[test]
    fn an_incomplete_read_says_which_page_and_why() {
        let why = Failure::new(Side::Okta, Class::Transient, "Unreachable", "Okta is down", "wait");
        let told = refusal(&Read::Incomplete { page: 7, why }, Sight::Somebody, 1, &Memory::default(), None).unwrap();
        assert_eq!(told.reason, "ReadIncomplete");
        assert!(told.message.contains("page 7") && told.message.contains("Okta is down"), "{told}");
    }

    // guard.rs, `plan_hash`: `sort_unstable`.
    #[test]
    fn p05_the_hash_stands_for_the_people_and_the_evidence_in_whatever_order() {
        let plan = leavers(3);
        let mut turned = plan.clone();
        turned.reverse();
        assert_eq!(plan_hash(&plan), plan_hash(&turned));
        let mut other = plan.clone();
        other[0].cause = Cause::Deleted;
        assert_ne!(plan_hash(&plan), plan_hash(&other));
        assert_ne!(plan_hash(&plan), plan_hash(&plan[..2]));
    }
}
