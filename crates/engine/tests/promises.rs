//! The promises that the engine keeps, each told as a short story over a world in memory. What a promise means for the
//! clients and the operator is told in their own tests under the same number.
//!
//! The comment over each test names the line whose removal makes it fail.

mod world;

use api::spec::{Adopt, Mode, OnSpecChange, RemovalAction, Returning, Suspended};
use engine::{
    cluster::{ConnectorLookup, OriginMode},
    failure::{Class, Failure, Side},
    lock::Lock,
    person::PersonStatus,
    report::{Outcome, Read},
    user::{ConnectorRef, User},
};
use jiff::SignedDuration;
use serde_json::json;
use world::{OWNER, World, id, is_ours, local_user, name};

// people.rs, `People::read`: taking the read for complete without a last page.
#[tokio::test]
async fn p01_a_read_that_does_not_reach_the_last_page_adds_and_updates_at_most() {
    for break_it in [
        (|w: &World| w.okta().fail_on_page = Some(3)) as fn(&World),
        |w: &World| w.okta().cut_after_page = Some(2),
        |w: &World| w.okta().fail_on_page = Some(1),
    ] {
        let mut world = World::imported(9).await;
        world.deactivate(&id(0));
        world.set_status(&id(1), PersonStatus::Suspended);
        world.set_profile(&id(2), "title", json!("Boss"));
        world.hire(&id(90), "newcomer");
        break_it(&world);
        let report = world.pass().await;
        assert!(matches!(report.read, Read::Incomplete { .. }), "{:?}", report.read);
        assert_eq!(report.outcome, Outcome::Partial);
        assert_eq!(report.failure.as_ref().map(|f| f.reason), Some("ReadIncomplete"));
        assert!(
            world.writes().iter().all(|w| w.starts_with("create") || w.starts_with("update")),
            "{:?}",
            world.writes()
        );
        // Mended, the next pass does the rest.
        world.okta().fail_on_page = None;
        world.okta().cut_after_page = None;
        let report = world.pass().await;
        assert_eq!((report.outcome, report.counts.removed), (Outcome::Succeeded, 1));
        assert!(world.locked(&name(0)) && world.locked(&name(1)));
    }
}

// guard.rs, `refusal`: the branch for an empty list.
#[tokio::test]
async fn p02_an_empty_scope_that_had_people_removes_nobody() {
    let mut world = World::imported(4).await;
    world.okta().assigned.clear();
    let report = world.pass().await;
    assert_eq!(report.failure.map(|f| f.reason), Some("EmptySource"));
    assert_eq!(world.writes(), Vec::<String>::new());
    // Also after a restart that has forgotten the count, because users of ours are still there.
    world.memory.people = 0;
    assert_eq!(world.pass().await.failure.map(|f| f.reason), Some("EmptySource"));
}

// pass.rs, `confirmed`: passing removals on without asking.
#[tokio::test]
async fn p03_absence_is_confirmed_by_id_before_anybody_is_removed() {
    let mut world = World::imported(6).await;
    world.okta().hidden.insert(id(1));
    world.deactivate(&id(2));
    world.okta().assigned.remove(&id(3));
    world.okta().assigned.remove(&id(4));
    world.okta().people.remove(&id(4));
    let report = world.pass().await;
    assert_eq!(report.counts.removed, 3);
    assert!(world.teleport().users.contains_key(&name(1)), "only the list had lost them");
    assert!(report.problems.iter().any(|p| p.user == name(1) && p.message.contains("by id")), "{:?}", report.problems);
    let evidence = |n: usize| {
        let teleport = world.teleport();
        teleport.locks.values().find(|lock| lock.user == name(n)).map(|lock| lock.message.clone()).unwrap()
    };
    assert!(evidence(2).contains("deactivated in Okta") && evidence(2).contains(&id(2)), "{}", evidence(2));
    assert!(evidence(3).contains("no longer assigned"), "{}", evidence(3));
    assert!(evidence(4).contains("deleted in Okta") && evidence(4).contains("pass2"), "{}", evidence(4));
}

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

// guard.rs, `brake`: letting part of a set pass.
#[tokio::test]
async fn p05_the_brake_holds_the_whole_set_until_that_very_plan_is_approved() {
    let mut world = World::imported(20).await;
    (0..6).for_each(|n| world.deactivate(&id(n)));
    world.hire(&id(90), "newcomer");
    let report = world.pass().await;
    assert_eq!((report.outcome, report.counts.held, report.counts.created), (Outcome::Held, 6, 1));
    assert_eq!(world.writes(), ["create newcomer"], "adds go on");
    let held = report.pending.unwrap();
    assert_eq!((held.removals, held.sample.len()), (6, 6));

    // The plan shrinks: the approval of the larger one does not fit.
    world.approvals = vec![held.hash.clone()];
    world.reactivate(&id(5));
    world.deactivate(&id(6));
    let report = world.pass().await;
    assert_eq!(report.outcome, Outcome::Held);
    assert!(report.approval.unwrap().contains("does not fit"));
    assert!(report.pending.unwrap().approval.unwrap().contains("does not fit"), "kubectl shows it beside the plan");

    // The plan is the old one again: now it is done, once.
    world.reactivate(&id(6));
    world.deactivate(&id(5));
    let report = world.pass().await;
    assert_eq!((report.outcome, report.counts.removed), (Outcome::Succeeded, 6));
    assert!(report.approval.unwrap().contains("was used"));
    assert!(report.pending.is_none());
}

// guard.rs, `recent` and `tally`.
#[tokio::test]
async fn p05_the_brake_counts_the_last_hour_too() {
    let mut world = World::imported(20).await;
    (0..4).for_each(|n| world.deactivate(&id(n)));
    assert_eq!(world.pass().await.counts.removed, 4);
    (4..6).for_each(|n| world.deactivate(&id(n)));
    let report = world.pass().await;
    assert_eq!((report.outcome, report.counts.held), (Outcome::Held, 2), "4 and 2 are more than 5");
    world.now += SignedDuration::from_mins(61);
    assert_eq!(world.pass().await.counts.removed, 2, "an hour later they are two of their own");
}

// guard.rs, `brake`: `expires`.
#[tokio::test]
async fn p05_an_approval_that_comes_too_late_is_said_so() {
    let mut world = World::imported(20).await;
    (0..6).for_each(|n| world.deactivate(&id(n)));
    let hash = world.pass().await.pending.unwrap().hash;
    world.approvals = vec![hash];
    world.now += SignedDuration::from_hours(25);
    let report = world.pass().await;
    assert_eq!(report.outcome, Outcome::Held);
    assert!(report.approval.unwrap().contains("expired"));
}

// guard.rs, `reason_to_hold`: `scope_changed`.
#[tokio::test]
async fn p05_removals_by_a_changed_scope_are_held_even_below_the_brake() {
    let mut world = World::imported(8).await;
    world.set_profile(&id(0), "department", json!("Sales"));
    (1..8).for_each(|n| world.set_profile(&id(n), "department", json!("Engineering")));
    world.pass().await;
    world.spec.scope.filter = r#"user.profile.department == "Engineering""#.into();
    let report = world.pass().await;
    assert_eq!((report.outcome, report.counts.held), (Outcome::Held, 1));
    assert!(report.pending.unwrap().reason.contains("scope"));
    world.spec.removal.brake.on_spec_change = OnSpecChange::Allow;
    assert_eq!(world.pass().await.counts.removed, 1);
}

// ownership.rs, `of`; apply.rs, `ours_to_change`.
#[tokio::test]
async fn p06_what_is_not_ours_is_never_touched() {
    let mut world = World::with_people(6);
    let labelled = |name: &str, key: &str, value: &str| User {
        labels: [(key.to_owned(), value.to_owned())].into(),
        ..local_user(name)
    };
    world.foreign_user(local_user(&name(0)));
    world.foreign_user(labelled(&name(1), "teleport.dev/origin", "okta"));
    world.foreign_user(labelled(&name(2), "teleport.internal/bot", "x"));
    world.foreign_user(labelled(&name(3), "usersync.dev/owner", "ns/other"));
    world.foreign_user(labelled(&name(4), "teleport.dev/origin", "scim"));
    world.foreign_user(local_user("somebody-else"));
    world.foreign_user(labelled("bot-okta-user-sync", "teleport.internal/bot", "x"));
    let report = world.pass().await;
    assert_eq!((report.counts.conflicts, report.counts.created), (5, 1));
    assert!(report.problems.iter().all(|p| p.class == "Conflict" && !p.remedy.is_empty()), "{:?}", report.problems);
    // They leave Okta: still nothing of theirs is ours.
    (0..5).for_each(|n| world.deactivate(&id(n)));
    world.pass().await;
    assert_eq!(world.user_names().len(), 8);
}

// observed.rs, `note_lock`; plan.rs, `newcomer`: the lock of somebody else.
#[tokio::test]
async fn p06_a_lock_of_somebody_else_is_neither_lifted_nor_fought_over() {
    let mut world = World::imported(3).await;
    // SCIM disables a person whom Okta's list still shows: it deletes the user and locks the name for good.
    {
        let mut teleport = world.teleport();
        teleport.users.remove(&name(0));
        let lock = Lock {
            name: "scim-lock".into(),
            user: name(0),
            message: "disabled".into(),
            expires: None,
            created: None,
            ours: None,
        };
        teleport.locks.insert(lock.name.clone(), lock);
        teleport.enforced.insert("scim-lock".into());
    }
    let report = world.pass().await;
    assert_eq!(world.writes(), Vec::<String>::new());
    assert!(
        report.problems.iter().any(|p| p.user == name(0) && p.remedy.contains("scim-lock")),
        "{:?}",
        report.problems
    );
}

#[tokio::test]
async fn two_resources_over_the_same_people_are_told_of_each_other() {
    let mut world = World::with_people(2);
    let labels = [("usersync.dev/owner".to_owned(), "ns/other".to_owned()), ("okta/org".into(), world::ORG_URL.into())];
    world.foreign_user(User { labels: labels.into(), ..local_user(&name(0)) });
    let report = world.pass().await;
    assert_eq!(report.overlaps, [("ns/other".to_owned(), 1)].into());
    assert_eq!((report.counts.created, report.counts.conflicts), (1, 1));
}

// people.rs, `judge`: the exclusion; plan.rs, `account`: the exclusion.
#[tokio::test]
async fn p06_excluded_names_are_never_touched() {
    let mut world = World::imported(4).await;
    world.spec.scope.exclude = vec!["user0[01]".into()];
    world.deactivate(&id(0));
    world.set_profile(&id(1), "title", json!("Boss"));
    let report = world.pass().await;
    assert_eq!(world.writes(), Vec::<String>::new(), "{:?}", report.problems);
    assert_eq!(report.counts.skipped, 1);
}

// ownership.rs, `adoptable`.
#[tokio::test]
async fn p06_a_foreign_user_is_taken_over_only_as_adopt_says() {
    let sso = |connector: &str| User {
        created_by: Some(ConnectorRef { kind: "saml".into(), id: connector.into(), identity: "x".into() }),
        ..local_user(&name(0))
    };
    let table = [
        (Adopt::Never, sso("okta"), false),
        (Adopt::SSO, sso("okta"), true),
        (Adopt::SSO, sso("other"), false),
        (Adopt::SSO, local_user(&name(0)), false),
        (Adopt::Listed, local_user(&name(0)), true),
        (Adopt::All, local_user(&name(0)), true),
    ];
    for (adopt, user, taken) in table {
        let mut world = World::with_people(1);
        world.spec.users.adopt = adopt;
        world.spec.users.adopt_names = vec![name(0)];
        world.teleport().users.insert(user.name.clone(), user.clone());
        let report = world.pass().await;
        assert_eq!(is_ours(&world.teleport().users[&name(0)]), taken, "{adopt:?} {user:?}");
        assert_eq!(report.counts.conflicts, i64::from(!taken));
        if taken {
            assert_eq!(world.teleport().users[&name(0)].roles, ["editor", "okta-requester"], "roles by hand stay");
        }
    }
}

// desired.rs, `edit`.
#[tokio::test]
async fn p07_roles_traits_and_labels_by_hand_survive_an_update() {
    let mut world = World::imported(1).await;
    {
        let mut teleport = world.teleport();
        let user = teleport.users.get_mut(&name(0)).unwrap();
        user.roles.insert(0, "by-hand".into());
        user.traits.insert("logins".into(), vec!["root".into()]);
        user.labels.insert("team".into(), "blue".into());
        user.traits.insert("okta/stale".into(), vec!["x".into()]);
    }
    world.spec.users.roles = vec!["dev".into()];
    world.pass().await;
    let user = world.teleport().users[&name(0)].clone();
    assert_eq!(user.roles, ["by-hand", "dev"], "ours replaced, theirs kept");
    assert_eq!(user.traits["logins"], ["root"]);
    assert_eq!(user.labels["team"], "blue");
    assert!(!user.traits.contains_key("okta/stale"), "a trait of ours that Okta does not have goes");
}

// apply.rs, `write`.
#[tokio::test]
async fn p08_a_lost_lease_stops_writes_before_the_next_call() {
    let mut world = World::with_people(12);
    let left = std::sync::atomic::AtomicI32::new(5);
    let report = world.pass_while(&|| left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) > 0).await;
    assert_eq!(world.writes().len(), 5);
    assert_eq!(report.outcome, Outcome::Partial);
    assert!(report.problems.iter().any(|p| p.message.contains("no longer the leader")), "{:?}", report.problems);
    assert_eq!(world.pass().await.counts.created, 7, "the next leader does the rest");
}

// desired.rs, `digest` and `digest_of`; people.rs, `note`: `unchanged`.
#[tokio::test]
async fn p09_nothing_changed_nothing_written() {
    let mut world = World::imported(30).await;
    world.set_status(&id(3), PersonStatus::Suspended);
    world.deactivate(&id(4));
    world.rename(&id(5), "new-name");
    world.pass().await;
    world.teleport().writes.clear();
    let report = world.pass().await;
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!((report.outcome, report.writes, report.changes.len()), (Outcome::Succeeded, 0, 0));
    let again = world.pass().await;
    assert_eq!((report.counts, report.memory), (again.counts, again.memory));
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

// pass.rs, `ground`: the life of a lock is computed before anything is written.
#[tokio::test]
async fn p10_without_roles_to_read_nothing_is_guessed() {
    let mut world = World::imported(2).await;
    world.teleport().roles.clear();
    world.deactivate(&id(0));
    assert_eq!(world.pass().await.outcome, Outcome::Refused);
    assert_eq!(world.writes(), Vec::<String>::new());
}

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

// plan.rs, `existing`: `lifts`.
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

// plan.rs, `may_return`.
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

// pass.rs, `apply`: the old account after the new one; `note_removals`: counted once.
#[tokio::test]
async fn p12_a_rename_makes_the_new_account_first_and_counts_once() {
    let mut world = World::imported(3).await;
    {
        let mut teleport = world.teleport();
        let user = teleport.users.get_mut(&name(0)).unwrap();
        user.roles.extend(["dev".to_owned(), "editor".to_owned()]);
        user.traits.insert("logins".into(), vec!["ann".into()]);
    }
    world.rename(&id(0), "ann");
    let report = world.pass().await;
    assert_eq!(world.writes(), ["create ann", "lock user00", "delete user00"]);
    assert_eq!((report.counts.renamed, report.counts.created, report.counts.removed), (1, 0, 0));
    let ann = world.teleport().users["ann"].clone();
    assert_eq!(ann.roles, ["okta-requester", "dev"], "roles by hand follow, under the ceiling");
    assert_eq!(ann.traits["logins"], ["ann"]);
    assert!(report.warnings.iter().any(|w| w.contains("editor")), "{:?}", report.warnings);
    assert!(world.locked(&name(0)));
}

// plan.rs, `cause`: `wanted`.
#[tokio::test]
async fn p12_two_people_who_swap_names_both_wait_behind_locks_and_nothing_sticks() {
    let mut world = World::imported(8).await;
    world.rename(&id(0), &name(1));
    world.rename(&id(1), &name(0));
    let report = world.pass().await;
    assert_eq!(report.counts.waiting, 2);
    assert!(world.locked(&name(0)) && world.locked(&name(1)), "neither may use what is the other's now");
    let report = world.pass().await;
    assert_eq!((report.counts.waiting, report.outcome), (2, Outcome::Succeeded));
    world.now += SignedDuration::from_hours(32);
    let report = world.pass().await;
    assert_eq!((report.counts.created, report.counts.waiting), (2, 0));
}

// plan.rs, `cause`: keeping an old account until its person has the new one.
#[tokio::test]
async fn p12_a_chain_of_renames_ends_with_everybody_served() {
    let mut world = World::imported(8).await;
    world.rename(&id(0), &name(1));
    world.rename(&id(1), "fresh");
    world.pass().await;
    assert!(world.user_names().contains(&name(0)), "the first keeps the old account until the name is free");
    assert!(world.user_names().contains(&"fresh".to_owned()) && !world.user_names().contains(&name(1)));
    world.now += SignedDuration::from_hours(32);
    world.pass().await;
    assert!(world.user_names().contains(&name(1)) && !world.user_names().contains(&name(0)));
}

// policy.rs, `Policy::new`: the ceiling.
#[tokio::test]
async fn p13_a_role_above_the_ceiling_is_refused_whatever_the_resource_says() {
    let mut world = World::imported(1).await;
    world.spec.users.roles = vec!["editor".into()];
    let refused =
        engine::policy::Policy::new(OWNER, &world.spec, &engine::role::Ceiling::new(&world.ceiling).unwrap(), vec![]);
    let failure = refused.unwrap_err();
    assert_eq!((failure.class, failure.reason), (Class::Configuration, "RoleAboveCeiling"));
}

// pass.rs, `ground`: roles are looked up before the first write.
#[tokio::test]
async fn a_role_that_does_not_exist_is_refused_before_the_first_write() {
    let mut world = World::with_people(3);
    world.teleport().roles.remove(0);
    let report = world.pass().await;
    assert_eq!((report.outcome, report.failure.unwrap().reason), (Outcome::Refused, "RoleMissing"));
    assert_eq!(world.writes(), Vec::<String>::new());
}

// cleanup.rs.
#[tokio::test]
async fn p15_deletion_of_the_resource_leaves_locks_or_deletes_as_it_says() {
    use api::spec::DeletionPolicy::{Delete, Lock, Orphan};
    for (action, users, locked) in [(Orphan, 4, 0), (Lock, 4, 3), (Delete, 1, 3)] {
        let world = World::imported(3).await;
        world.foreign_user(local_user("admin"));
        let ceiling = engine::role::Ceiling::new(&world.ceiling).unwrap();
        let mut policy = engine::policy::Policy::new(OWNER, &world.spec, &ceiling, vec![]).unwrap();
        let done =
            engine::cleanup::cleanup(&world, &mut policy, action, "end", world.now, &|| true, &world).await.unwrap();
        assert_eq!((done.left.len(), world.user_names().len()), (0, users), "{action:?}");
        assert_eq!(world.teleport().locks.len(), locked, "{action:?}");
        assert_eq!(world.teleport().violations, Vec::<String>::new());
    }
}

// apply.rs, `write`: telling the journal (world/mod.rs counts a write of which nothing was told as a broken rule).
#[tokio::test]
async fn p17_every_write_is_told_before_and_after_with_its_reason() {
    let mut world = World::imported(3).await;
    assert_eq!(world.teleport().journal.len(), 6, "three creations, two lines each");
    world.teleport().journal.clear();
    world.deactivate(&id(0));
    world.set_profile(&id(1), "title", json!("Boss"));
    let failure = Failure::new(Side::Teleport, Class::Permission, "Refused", "no", "ask");
    world.teleport().refuses.insert(name(1), failure);
    world.pass().await;
    let (left, differs) = ("deactivated in Okta", "differs from what it should be");
    let wanted = [
        format!("begins put_lock {} {left}", id(0)),
        format!("done put_lock {} {left}", id(0)),
        format!("begins delete_user {} {left}", id(0)),
        format!("done delete_user {} {left}", id(0)),
        format!("begins update_user {} {differs}", id(1)),
        format!("failed update_user {} {differs}", id(1)),
    ];
    assert_eq!(world.teleport().journal, wanted);
    assert_eq!(world.teleport().announced, Vec::<String>::new());
}

// report.rs, `problem`.
#[tokio::test]
async fn p17_one_failing_person_is_listed_and_stops_nobody() {
    let mut world = World::with_people(40);
    for n in 0..12 {
        let failure = Failure::new(Side::Teleport, Class::Permission, "Refused", format!("no {n}"), "ask");
        world.teleport().refuses.insert(name(n), failure);
    }
    let report = world.pass().await;
    assert_eq!((report.counts.created, report.counts.failed), (28, 12));
    assert_eq!((report.problems.len(), report.problem_count), (10, 12), "bounded, but counted");
    assert_eq!(report.outcome, Outcome::Partial);
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

#[tokio::test]
async fn an_unknown_state_removes_nobody_and_makes_nobody() {
    let mut world = World::imported(2).await;
    world.set_status(&id(0), PersonStatus::Other("VACATION".into()));
    world.hire(&id(7), "other");
    world.set_status(&id(7), PersonStatus::Other("VACATION".into()));
    let report = world.pass().await;
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!(report.counts.skipped, 2);
    assert!(report.problems[0].message.contains("VACATION"));
}

#[tokio::test]
async fn groups_and_filter_narrow_the_scope_and_a_failing_filter_keeps_people() {
    let mut world = World::with_people(5);
    world.okta().groups.insert("eng".into(), (0..4).map(id).collect());
    world.spec.scope.groups = vec!["eng".into()];
    world.spec.scope.filter = "user.profile.level > 3".into();
    (0..3).for_each(|n| world.set_profile(&id(n), "level", json!(n + 2)));
    let report = world.pass().await;
    assert_eq!(world.user_names(), [name(2)], "{:?}", report.problems);
    assert_eq!(report.counts.skipped, 1, "without the attribute the filter fails, and the person is left alone");
    world.okta().groups.get_mut("eng").unwrap().remove(&id(2));
    let report = world.pass().await;
    assert_eq!((report.counts.removed, world.locked(&name(2))), (1, true));
}

#[tokio::test]
async fn two_people_with_one_name_get_no_account_and_lose_none() {
    let mut world = World::imported(2).await;
    world.hire(&id(8), "USER00");
    world.hire(&id(9), "twin");
    world.hire(&id(10), "twin");
    world.set_profile(&id(0), "title", json!("Boss"));
    let report = world.pass().await;
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!(report.counts.conflicts, 4);
}

#[tokio::test]
async fn names_that_teleport_refuses_are_listed_and_nobody_is_lost() {
    let mut world = World::imported(2).await;
    world.rename(&id(0), "user00/x");
    world.hire(&id(8), "zoë");
    let report = world.pass().await;
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!(report.counts.skipped, 2);
    assert!(report.problems.iter().any(|p| p.message.contains("slash")), "{:?}", report.problems);
}

#[tokio::test]
async fn a_login_that_rewrote_a_user_is_drift_not_a_leaver_and_not_a_conflict() {
    let mut world = World::imported(3).await;
    world.spec.users.adopt = Adopt::Never;
    let login = |world: &World, n: usize| {
        let expires = world.now + SignedDuration::from_hours(8);
        let mut teleport = world.teleport();
        let user = teleport.users.get_mut(&name(n)).unwrap();
        user.labels.clear();
        user.traits.clear();
        user.roles = vec!["from-mapping".into()];
        user.expires = Some(expires);
    };
    login(&world, 0);
    let report = world.pass().await;
    assert_eq!((report.counts.drifted, report.counts.updated, report.counts.conflicts), (1, 0, 0));
    let user = world.teleport().users[&name(0)].clone();
    assert!(is_ours(&user) && user.expires.is_none());
    // And one who leaves at that moment is still locked and removed.
    login(&world, 1);
    world.deactivate(&id(1));
    let report = world.pass().await;
    assert_eq!((report.counts.removed, world.locked(&name(1))), (1, true));
}

#[tokio::test]
async fn another_organisation_and_a_wrong_app_are_refused() {
    let mut world = World::imported(3).await;
    world.deactivate(&id(0));
    world.okta().org_id = "00o2".into();
    let report = world.pass().await;
    assert_eq!((report.outcome, report.failure.unwrap().reason), (Outcome::Refused, "OrganisationChanged"));
    world.okta().org_id = "00o1".into();
    world.pinned_org = "00o1".into();
    for (status, mode, reason) in [("INACTIVE", "SAML_2_0", "AppNotActive"), ("ACTIVE", "OPENID_CONNECT", "AppNotSaml")]
    {
        world.okta().app = (status.into(), mode.into());
        assert_eq!(world.pass().await.failure.unwrap().reason, reason);
    }
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_connector_that_cannot_be_read_is_a_warning_when_the_app_is_given() {
    for lookup in [ConnectorLookup::Missing, ConnectorLookup::Unreadable("access denied".into())] {
        let mut world = World::with_people(1);
        world.teleport().connector = Some(lookup.clone());
        let report = world.pass().await;
        assert_eq!((report.outcome, report.warnings.len(), report.counts.created), (Outcome::Succeeded, 1, 1));
        world.spec.scope.app_id = None;
        assert_eq!(world.pass().await.failure.unwrap().reason, "AppUnknown");
    }
}

#[tokio::test]
async fn a_preview_writes_nothing_and_tells_everything() {
    let mut world = World::imported(4).await;
    world.spec.mode = Mode::Preview;
    world.deactivate(&id(0));
    world.set_profile(&id(1), "title", json!("Boss"));
    world.hire(&id(9), "new");
    let report = world.pass().await;
    assert_eq!((report.outcome, report.writes), (Outcome::Previewed, 0));
    assert_eq!(world.writes(), Vec::<String>::new());
    let told: Vec<_> = report.changes.iter().map(|change| format!("{} {}", change.action, change.user)).collect();
    assert_eq!(told, ["create new", "update user01", "remove user00"]);
    let field = &report.changes[1].fields[0];
    assert_eq!((field.field.as_str(), field.from.as_str(), field.to.as_str()), ("traits.okta/title", "", "Boss"));
}

#[tokio::test]
async fn with_the_system_role_okta_users_carry_its_origin() {
    let mut world = World::with_people(2);
    world.mode = OriginMode::Okta;
    world.pass().await;
    assert_eq!(world.teleport().users[&name(0)].labels["teleport.dev/origin"], "okta");
    world.teleport().writes.clear();
    world.pass().await;
    assert_eq!(world.writes(), Vec::<String>::new());
    // A bot that finds them later must not believe that it may write them.
    world.mode = OriginMode::Bot;
    let report = world.pass().await;
    assert_eq!((report.counts.conflicts, world.writes().len()), (2, 0));
}

#[tokio::test]
async fn one_person_explained() {
    let mut world = World::imported(8).await;
    world.foreign_user(local_user("local"));
    world.hire(&id(20), "local");
    world.hire(&id(21), "new");
    world.deactivate(&id(0));
    world.set_status(&id(1), PersonStatus::Suspended);
    world.okta().assigned.remove(&id(2));
    world.set_status(&id(3), PersonStatus::Other("VACATION".into()));
    world.rename(&id(4), "ann");
    let table = [
        (name(0), "not in the source", "lock the user user00 for 31h and delete it"),
        (id(0), "not in the source", "lock the user user00 for 31h and delete it"),
        (name(1), "suspended in Okta", "lock the user user01 until the person comes back"),
        (name(2), "not in the source", "delete it"),
        (name(3), "VACATION", "left as they are"),
        ("ann".into(), "belongs", "make the user ann (until now user04)"),
        (name(5), "belongs", "nothing"),
        ("new".into(), "belongs", "make the user new"),
        ("local".into(), "belongs", "a local user has that name"),
    ];
    for (who, rule, next) in table {
        let told = world.explain(&who).await.unwrap();
        assert!(told.rule.contains(rule), "{who}: {told:?}");
        assert!(told.next.iter().any(|line| line.contains(next)), "{who}: {told:?}");
        assert!(!told.okta.is_empty() && !told.teleport.is_empty(), "{who}: {told:?}");
    }
    assert_eq!(world.explain("nobody-at-all").await.unwrap_err().reason, "NobodyByThatName");
    assert_eq!(world.writes(), Vec::<String>::new());
    // After the pass the lock is what is left to tell.
    world.pass().await;
    let told = world.explain(&name(0)).await.unwrap();
    assert!(told.teleport.iter().any(|line| line.starts_with("locked by us until")), "{told:?}");
}
