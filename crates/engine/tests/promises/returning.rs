//! Who comes back, after a suspension or an absence, and who takes over a name (P11).

use api::spec::{Returning, Suspended};
use engine::{person::PersonStatus, report::Outcome};
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{World, id, name};

// plan.rs, `newcomer`: `lift`.
#[tokio::test]
async fn p11_who_comes_back_is_made_again_and_unlocked_in_one_pass() {
    let mut world = World::imported(3).await;
    world.deactivate(&id(0));
    world.pass().await;
    assert!(world.locked(&name(0)) && !world.user_names().contains(&name(0)));
    world.reactivate(&id(0));
    let report = world.pass().await;
    assert_eq!((report.outcome, report.counts.created), (Outcome::Succeeded, 1));
    assert!(!world.locked(&name(0)) && world.user_names().contains(&name(0)));
}

// plan.rs, `locks`: `lifts`.
#[tokio::test]
async fn p11_who_comes_back_between_lock_and_delete_keeps_the_account() {
    let mut world = World::imported(3).await;
    world.deactivate(&id(0));
    world.teleport().dies_after = Some(1);
    world.pass().await;
    world.teleport().dies_after = None;
    world.reactivate(&id(0));
    world.pass().await;
    assert_eq!(world.writes(), ["lock user00", "unlock user00"]);
}

// plan.rs, `returns_at_once`.
#[tokio::test]
async fn p11_with_after_lock_who_comes_back_waits_until_old_certificates_are_dead() {
    let mut world = World::imported(3).await;
    world.spec.users.returning = Returning::AfterLock;
    world.deactivate(&id(0));
    world.pass().await;
    world.reactivate(&id(0));
    let report = world.pass().await;
    assert_eq!((report.counts.waiting, report.counts.created), (1, 0));
    world.now += SignedDuration::from_hours(32);
    assert_eq!(world.pass().await.counts.created, 1);
}

// plan.rs, `newcomer`: `own`.
#[tokio::test]
async fn p11_another_person_gets_the_name_only_when_no_old_certificate_can_live() {
    let mut world = World::imported(3).await;
    world.deactivate(&id(0));
    world.pass().await;
    world.hire(&id(50), &name(0));
    let report = world.pass().await;
    assert_eq!((report.counts.waiting, report.counts.created), (1, 0));
    assert!(report.problems[0].remedy.contains("handover"), "{:?}", report.problems);
    world.spec.users.handover = vec![name(0)];
    assert_eq!(world.pass().await.counts.created, 1, "a person decided otherwise for that one name");

    let mut patient = World::imported(3).await;
    patient.deactivate(&id(0));
    patient.pass().await;
    patient.hire(&id(50), &name(0));
    patient.now += SignedDuration::from_hours(32);
    assert_eq!(patient.pass().await.counts.created, 1, "the lock has run out");
}

#[tokio::test]
async fn suspended_people_are_locked_and_come_back() {
    let mut world = World::imported(3).await;
    world.set_status(&id(0), PersonStatus::Suspended);
    let report = world.pass().await;
    assert_eq!((report.counts.suspended, report.counts.locked), (1, 1));
    assert_eq!(world.writes(), ["lock user00"], "the account stays");
    assert_eq!(world.teleport().locks.values().next().unwrap().expires, None, "until they come back");
    world.set_status(&id(0), PersonStatus::Active);
    world.pass().await;
    assert_eq!(world.writes(), ["lock user00", "unlock user00"]);

    for (setting, writes) in [(Suspended::Ignore, vec![]), (Suspended::Remove, vec!["lock user00", "delete user00"])] {
        let mut world = World::imported(3).await;
        world.spec.users.suspended = setting;
        world.set_status(&id(0), PersonStatus::Suspended);
        world.pass().await;
        assert_eq!(world.writes(), writes, "{setting:?}");
    }
}

#[tokio::test]
async fn a_suspended_person_who_is_deactivated_becomes_a_leaver() {
    let mut world = World::imported(3).await;
    world.set_status(&id(0), PersonStatus::Suspended);
    world.pass().await;
    world.deactivate(&id(0));
    let report = world.pass().await;
    assert_eq!((report.counts.removed, world.teleport().locks.len()), (1, 1));
    assert!(world.teleport().locks.values().all(|lock| lock.expires.is_some()), "the lock runs out now");
}

// plan.rs, `member`: somebody suspended, by each word of `users.suspended`.
#[tokio::test]
async fn somebody_suspended_is_kept_in_step_where_the_account_stays_and_is_made_nowhere() {
    for (setting, writes) in [
        (Suspended::Lock, vec!["lock user00", "update user00"]),
        (Suspended::Ignore, vec!["create newcomer", "update user00"]),
        (Suspended::Remove, vec!["delete user00", "lock user00"]),
    ] {
        let mut world = World::imported(3).await;
        world.spec.users.suspended = setting;
        world.set_profile(&id(0), "title", json!("Boss"));
        world.hire(&id(50), "newcomer");
        for who in [id(0), id(50)] {
            world.set_status(&who, PersonStatus::Suspended);
        }
        let report = world.pass().await;
        let mut done = world.writes();
        done.sort();
        assert_eq!(done, writes, "{setting:?}");
        let suspended = if setting == Suspended::Ignore { 0 } else { 2 };
        assert_eq!((report.counts.in_scope, report.counts.suspended), (4, suspended), "{setting:?}");
    }
}

// apply.rs, `lift`: `is_none`. The fast path has removed the account, which a list that lags behind still shows.
#[tokio::test]
async fn p04_the_lock_on_an_account_that_is_gone_stays_until_the_account_is_made_anew() {
    let mut world = World::imported(3).await;
    let listed: Vec<_> = world.teleport().users.values().cloned().collect();
    world.deactivate(&id(0));
    world.partial(&[id(0)]).await;
    assert_eq!(world.writes(), ["lock user00", "delete user00"]);
    world.reactivate(&id(0));
    world.teleport().stale = Some(listed);
    let report = world.pass().await;
    assert_eq!((report.outcome, world.locked(&name(0))), (Outcome::Partial, true), "{:?}", report.problems);
    world.teleport().stale = None;
    world.teleport().writes.clear();
    let report = world.pass().await;
    assert_eq!(
        (report.outcome, world.writes()),
        (Outcome::Succeeded, vec!["create user00".into(), "unlock user00".into()])
    );
}
