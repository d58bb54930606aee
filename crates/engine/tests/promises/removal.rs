//! How somebody goes: the lock first, long enough, then the account (P4, P10, P15).

use api::spec::RemovalAction;
use engine::{
    failure::{Class, Failure, Side},
    lock::LockReason,
    person::PersonStatus,
    report::Outcome,
};
use jiff::SignedDuration;

use crate::world::{World, id, local_user, name};

// apply.rs, `remove`: not asking whether the lock is enforced. (The world itself notes a deletion without a lock.)
#[tokio::test]
async fn p04_lock_is_in_force_before_the_account_goes() {
    let mut world = World::imported(3).await;
    world.deactivate(&id(0));
    world.teleport().enforces = false;
    let report = world.pass().await;
    assert_eq!(world.writes(), ["lock user00"], "stored, not enforced: the account stays");
    assert_eq!((report.outcome, report.counts.removed), (Outcome::Partial, 0));
    world.teleport().enforces = true;
    let report = world.pass().await;
    assert_eq!((report.outcome, report.counts.removed), (Outcome::Succeeded, 1));
    assert_eq!(world.writes().last().map(String::as_str), Some("delete user00"));
}

// plan.rs, `account`: `begun`; apply.rs, `remove`: finishing what was begun.
#[tokio::test]
async fn p04_a_crash_between_lock_and_delete_is_finished_by_the_next_pass() {
    let mut world = World::imported(3).await;
    world.deactivate(&id(0));
    world.teleport().dies_after = Some(1);
    assert_eq!(world.pass().await.outcome, Outcome::Partial);
    assert_eq!(world.writes(), ["lock user00"]);
    assert!(world.locked(&name(0)), "nobody can use the account meanwhile");
    world.teleport().dies_after = None;
    let report = world.pass().await;
    assert_eq!(world.writes(), ["lock user00", "delete user00"], "no second lock");
    assert_eq!(report.counts.removed, 1);
}

// apply.rs, `leaver_lock`: `expires`; lock.rs, `lock_life`.
#[tokio::test]
async fn p10_the_lock_lasts_longer_than_any_credential() {
    let mut world = World::imported(2).await;
    world.teleport().roles[1].max_session_ttl = Some(SignedDuration::from_hours(100));
    world.deactivate(&id(0));
    let report = world.pass().await;
    assert_eq!(report.lock_life, Some(SignedDuration::from_hours(101)));
    let expires = world.teleport().locks.values().next().and_then(|lock| lock.expires).unwrap();
    assert_eq!(expires.duration_since(world.now), SignedDuration::from_hours(101));
}

// ground.rs, `ground`: the life of a lock is computed before anything is written.
#[tokio::test]
async fn p10_without_roles_to_read_nothing_is_guessed() {
    let mut world = World::imported(2).await;
    world.teleport().roles.clear();
    world.deactivate(&id(0));
    assert_eq!(world.pass().await.outcome, Outcome::Refused);
    assert_eq!(world.writes(), Vec::<String>::new());
}

// cleanup.rs.
#[tokio::test]
async fn p15_deletion_of_the_resource_leaves_locks_or_deletes_as_it_says() {
    use api::spec::DeletionPolicy::{Delete, Lock, Orphan};
    for (action, users, locked) in [(Orphan, 4, 0), (Lock, 4, 3), (Delete, 1, 3)] {
        let world = World::imported(3).await;
        world.foreign_user(local_user("admin"));
        let mut policy = world.policy(vec![]);
        let done =
            engine::cleanup::cleanup(&world, &mut policy, action, "end", world.now, &|| true, &world).await.unwrap();
        assert_eq!((done.left.len(), world.user_names().len()), (0, users), "{action:?}");
        let told = if action == Delete { (done.deleted, done.locked) } else { (done.locked, done.deleted) };
        assert_eq!(told, (locked, 0), "{action:?}");
        assert_eq!(world.teleport().locks.len(), locked, "{action:?}");
        assert_eq!(world.teleport().violations, Vec::<String>::new());
        // P3: nobody was asked about; the writes say so.
        assert!(world.teleport().told.iter().skip(3).all(|told| !told.confirmed_by_id), "{action:?}");
    }
}

// cleanup.rs, `cleanup`: `MAX_LEFT`.
#[tokio::test]
async fn p15_what_an_attempt_leaves_is_named_as_far_as_a_person_reads() {
    let world = World::imported(30).await;
    for n in 0..25 {
        let failure = Failure::new(Side::Teleport, Class::Permission, "Refused", format!("no {n}"), "ask");
        world.teleport().refuses.insert(name(n), failure);
    }
    let (mut policy, action) = (world.policy(vec![]), api::spec::DeletionPolicy::Delete);
    let done = engine::cleanup::cleanup(&world, &mut policy, action, "end", world.now, &|| true, &world).await.unwrap();
    assert_eq!((done.deleted, done.left.len(), done.problems.len()), (5, 20, 20));
    assert_eq!((done.left[0].as_str(), done.problems[0].message.as_str()), ("user00", "no 0"));
}

#[tokio::test]
async fn with_lock_only_the_account_stays_and_the_lock_never_ends() {
    let mut world = World::imported(3).await;
    world.spec.removal.action = RemovalAction::LockOnly;
    world.deactivate(&id(0));
    world.pass().await;
    world.pass().await;
    assert_eq!(world.writes(), ["lock user00"]);
    assert_eq!(world.teleport().locks.values().next().unwrap().expires, None);
    world.reactivate(&id(0));
    world.pass().await;
    assert_eq!(world.writes(), ["lock user00", "unlock user00"]);
}

// plan.rs, `account`: a lock because of a suspension is none of a leaver.
#[tokio::test]
async fn with_lock_only_who_was_suspended_and_leaves_is_locked_as_a_leaver() {
    let mut world = World::imported(3).await;
    world.spec.removal.action = RemovalAction::LockOnly;
    world.set_status(&id(0), PersonStatus::Suspended);
    world.pass().await;
    world.deactivate(&id(0));
    world.pass().await;
    assert_eq!(world.writes(), ["lock user00", "lock user00"]);
    let reason = world.teleport().locks.values().next().and_then(|lock| lock.ours.clone()).map(|mark| mark.reason);
    assert_eq!(reason, Some(LockReason::Leaver));
    world.pass().await;
    assert_eq!(world.writes().len(), 2, "once is enough");
}

// plan.rs, `account`: `begun` with a lock that ends.
#[tokio::test]
async fn a_lock_without_end_gets_one_when_the_account_is_to_go_after_all() {
    let mut world = World::imported(3).await;
    world.spec.removal.action = RemovalAction::LockOnly;
    world.deactivate(&id(0));
    world.pass().await;
    world.spec.removal.action = RemovalAction::Delete;
    world.pass().await;
    assert_eq!(world.writes(), ["lock user00", "lock user00", "delete user00"]);
    assert!(world.teleport().locks.values().all(|lock| lock.expires.is_some()), "the name is free one day");
}

// plan.rs, `lasts`.
#[tokio::test]
async fn p10_a_lock_that_has_become_too_short_is_made_anew_before_the_account_goes() {
    let mut world = World::imported(3).await;
    world.deactivate(&id(0));
    world.teleport().dies_after = Some(1);
    world.pass().await;
    world.teleport().dies_after = None;
    world.teleport().roles[1].max_session_ttl = Some(SignedDuration::from_hours(100));
    world.pass().await;
    assert_eq!(world.writes(), ["lock user00", "lock user00", "delete user00"]);
    let expires = world.teleport().locks.values().next().and_then(|lock| lock.expires).unwrap();
    assert_eq!(expires.duration_since(world.now), SignedDuration::from_hours(101));
}
