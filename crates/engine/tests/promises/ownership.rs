//! What is ours, what is not, and what becomes of what others write (P6, P7).

use api::spec::{Adopt, OnSpecChange, RemovalAction};
use engine::{
    cluster::OriginMode,
    ledger::Ledger,
    lock::Lock,
    person::PersonStatus,
    report::Outcome,
    user::{ConnectorRef, User},
};
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{self, World, id, is_ours, local_user, name};

/// A user with one label.
fn labelled(name: &str, key: &str, value: &str) -> User {
    User { labels: [(key.to_owned(), value.to_owned())].into(), ..local_user(name) }
}

// ownership.rs, `of`; apply.rs, `is_theirs`.
#[tokio::test]
async fn p06_what_is_not_ours_is_never_touched() {
    let mut world = World::with_people(6);
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
    assert_eq!((report.counts.conflicts, report.counts.in_scope, report.counts.synced), (1, 3, 2));
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

// policy.rs, `Policy::new`: `exclude` with letter case aside.
#[tokio::test]
async fn p06_an_excluded_name_is_excluded_in_every_letter_case() {
    let mut world = World::imported(3).await;
    world.spec.scope.exclude = vec!["User00".into(), "USER*1".into()];
    world.spec.removal.brake.on_spec_change = OnSpecChange::Allow;
    (0..3).for_each(|n| world.deactivate(&id(n)));
    world.hire(&id(50), "uSER0001");
    let report = world.pass().await;
    assert_eq!(world.writes(), ["lock user02", "delete user02"], "{:?}", report.problems);
}

// ownership.rs, `adoptable`. On a cluster of local users, such as one of the Community Edition.
#[tokio::test]
async fn p06_local_users_that_were_taken_over_are_locked_when_they_leave_and_others_are_not() {
    let mut world = World::with_people(4);
    world.spec.users.adopt = Adopt::All;
    world.spec.removal.action = RemovalAction::LockOnly;
    (0..3).for_each(|n| drop(world.teleport().users.insert(name(n), local_user(&name(n)))));
    world.foreign_user(local_user("admin"));
    // Has left before anything was taken over.
    world.deactivate(&id(0));
    world.teleport().untouchable.insert(name(0));
    let report = world.pass().await;
    assert_eq!((report.counts.updated, report.counts.created), (2, 1), "{:?}", report.problems);
    world.deactivate(&id(1));
    world.pass().await;
    assert_eq!(world.writes().last().unwrap(), "lock user01");
    assert!(world.locked(&name(1)) && !world.locked(&name(0)) && !world.locked("admin"));
    let kept = world.teleport().users[&name(1)].clone();
    assert_eq!(kept.roles, ["editor", "okta-requester"]);
}

// ownership.rs, `of`: `written_as_okta`; plan.rs, `newcomer`: the lock of somebody else.
#[tokio::test]
async fn p06_beside_scim_the_label_decides_and_what_scim_missed_is_caught() {
    let mut world = World::with_people(5);
    world.mode = OriginMode::Okta;
    // SCIM made two of them, and writes the same origin as we do.
    (0..2).for_each(|n| world.foreign_user(labelled(&name(n), "teleport.dev/origin", "okta")));
    let report = world.pass().await;
    assert_eq!((report.counts.created, report.counts.conflicts), (3, 2), "without our label they are SCIM's");
    // One of them is taken over, by name.
    world.teleport().untouchable.remove(&name(0));
    world.spec.users.adopt = Adopt::Listed;
    world.spec.users.adopt_names = vec![name(0)];
    let report = world.pass().await;
    assert_eq!((report.counts.updated, report.counts.conflicts), (1, 1));
    // SCIM misses that two of ours leave.
    world.deactivate(&id(0));
    world.deactivate(&id(2));
    let report = world.pass().await;
    assert_eq!(report.counts.removed, 2);
    assert!(world.locked(&name(0)) && world.locked(&name(2)));
}

// plan.rs, `existing`: `locked_by_others`.
#[tokio::test]
async fn p06_one_whom_somebody_else_locked_is_told_of_kept_in_step_and_not_unlocked() {
    let mut world = World::imported(3).await;
    let lock = Lock {
        name: "scim-lock".into(),
        user: name(0),
        message: "disabled".into(),
        expires: None,
        created: None,
        ours: None,
    };
    world.teleport().locks.insert(lock.name.clone(), lock);
    world.teleport().enforced.insert("scim-lock".into());
    world.set_profile(&id(0), "title", json!("Boss"));
    let report = world.pass().await;
    assert_eq!(world.writes(), ["update user00"]);
    let told = report.problems.iter().find(|problem| problem.user == name(0)).unwrap();
    assert!(told.message.contains("scim-lock") && told.remedy.contains("tctl rm locks/scim-lock"), "{told:?}");
    assert_eq!((report.outcome, report.counts.conflicts), (Outcome::Succeeded, 0));
    // Whoever is suspended in Okta as well is meant to be out.
    world.set_status(&id(0), PersonStatus::Suspended);
    assert_eq!(world.pass().await.problem_count, 0);
    assert!(world.teleport().locks.contains_key("scim-lock"));
}

// observed.rs, `note`: `drifted`; desired.rs, `edit`: `expires`. A restart forgets the roster; then `adopt` decides.
#[tokio::test]
async fn after_a_restart_a_user_that_a_login_rewrote_is_taken_over_as_adopt_says() {
    for (adopt, taken) in [(Adopt::SSO, true), (Adopt::Never, false)] {
        let mut world = World::imported(2).await;
        world.spec.users.adopt = adopt;
        {
            let expires = world.now + SignedDuration::from_hours(8);
            let mut teleport = world.teleport();
            let user = teleport.users.get_mut(&name(0)).unwrap();
            user.labels.clear();
            user.traits.clear();
            user.expires = Some(expires);
        }
        world.ledger = Ledger::default();
        let report = world.pass().await;
        assert_eq!(
            (report.counts.updated, report.counts.conflicts),
            (i64::from(taken), i64::from(!taken)),
            "{adopt:?}"
        );
        let user = world.teleport().users[&name(0)].clone();
        assert_eq!((is_ours(&user), user.expires.is_none()), (taken, taken));
    }
}

// apply.rs, `is_theirs` and `is_account_of`.
#[tokio::test]
async fn p06_a_user_that_changed_hands_since_the_list_was_made_is_left_alone() {
    let mut world = World::imported(4).await;
    let old: Vec<_> = world.teleport().users.values().cloned().collect();
    world.deactivate(&id(0));
    world.set_profile(&id(1), "title", json!("Boss"));
    world.teleport().users.extend((0..2).map(|n| (name(n), local_user(&name(n)))));
    world.teleport().stale = Some(old);
    let report = world.pass().await;
    // Each account is looked at once more before it is changed or goes.
    assert_eq!((report.counts.removed, report.counts.updated, report.counts.failed), (0, 0, 2));
    let told: Vec<&str> = report.problems.iter().map(|problem| problem.user.as_str()).collect();
    assert_eq!(told, [name(0), name(1)]);
    for n in 0..2 {
        assert_eq!(world.teleport().users[&name(n)], local_user(&name(n)));
    }
}

/// A world of six after an import, whose lists lag behind from here on, and in which the first two users have changed hands.
async fn with_names_in_other_hands(change: impl FnOnce(&mut World)) -> World {
    let mut world = World::imported(6).await;
    change(&mut world);
    let listed: Vec<_> = world.teleport().users.values().cloned().collect();
    world.teleport().stale = Some(listed);
    for n in 0..2 {
        // A lock on such a one breaks a rule of this world.
        world.foreign_user(local_user(&name(n)));
    }
    world
}

// apply.rs, `remove`: `may_lock`; `is_account_of`. Nor is one locked whom `adopt` would let a member take over.
#[tokio::test]
async fn p06_who_bears_a_leavers_name_by_now_is_neither_locked_nor_deleted() {
    for (adopt, action) in [
        (Adopt::SSO, RemovalAction::Delete),
        (Adopt::All, RemovalAction::Delete),
        (Adopt::SSO, RemovalAction::LockOnly),
    ] {
        let mut world = with_names_in_other_hands(|world| {
            world.spec.users.adopt = adopt;
            world.spec.removal.action = action;
        })
        .await;
        // Two whose users are somebody else's, one whose user is gone and nobody's, one whose user is as it was.
        (0..4).for_each(|n| world.deactivate(&id(n)));
        world.teleport().users.remove(&name(2));
        let report = world.pass().await;
        let writes: Vec<String> = world.writes();
        let touched = |n: usize| writes.iter().any(|write| write.ends_with(&name(n)));
        assert!(!touched(0) && !touched(1), "{adopt:?} {action:?}: {writes:?}");
        assert!(world.locked(&name(2)) && world.locked(&name(3)), "{adopt:?} {action:?}: P4: {writes:?}");
        assert_eq!((report.counts.removed, report.counts.failed), (2, 2));
        for (told, n) in report.problems.iter().zip(0..2) {
            assert_eq!((told.user.as_str(), told.class.as_str()), (name(n).as_str(), "Conflict"));
            assert!(told.message.contains("left alone"), "{told:?}");
        }
        let counted: i64 = world.memory.removals.iter().map(|tally| tally.count).sum();
        assert_eq!(counted, 2, "P5: what did not come to a lock is given back");
        // Once the list shows it, there is nothing left to do.
        world.teleport().stale = None;
        world.teleport().writes.clear();
        let report = world.pass().await;
        assert_eq!((report.counts.failed, world.writes()), (0, vec![]), "{:?}", report.problems);
    }
}

// apply.rs, `suspend`: `may_lock`.
#[tokio::test]
async fn p06_who_bears_a_suspended_persons_name_by_now_is_not_locked() {
    let mut world = with_names_in_other_hands(|_| {}).await;
    (0..4).for_each(|n| world.set_status(&id(n), PersonStatus::Suspended));
    world.teleport().users.remove(&name(2));
    let report = world.pass().await;
    let mut writes = world.writes();
    writes.sort();
    assert_eq!(writes, ["lock user02", "lock user03"], "{:?}", report.problems);
    assert_eq!((report.counts.locked, report.counts.failed), (2, 2));
    let told: Vec<_> = report.problems.iter().map(|problem| (problem.user.clone(), problem.class.clone())).collect();
    assert_eq!(told, [(name(0), "Conflict".to_owned()), (name(1), "Conflict".to_owned())]);
}

// apply.rs, `suspend`: `is_theirs`: one who is taken over in this very pass is the suspended person's.
#[tokio::test]
async fn a_suspended_person_whose_user_is_taken_over_is_locked_at_once() {
    let mut world = World::with_people(2);
    world.spec.users.adopt = Adopt::All;
    world.teleport().users.insert(name(0), local_user(&name(0)));
    world.set_status(&id(0), PersonStatus::Suspended);
    let report = world.pass().await;
    assert!(world.locked(&name(0)) && is_ours(&world.teleport().users[&name(0)]), "{:?}", report.problems);
}

// apply.rs, `remove`: `may_lock`, where a partial pass has looked at the user already; `delete`: `changed_hands_locked`.
#[tokio::test]
async fn p06_a_name_may_change_hands_at_any_moment_of_a_partial_pass() {
    // After the look that it plans by.
    let mut world = World::imported(6).await;
    world.deactivate(&id(0));
    world.teleport().change_hands.insert(name(0), 1);
    let partial = world.partial(&[id(0)]).await;
    assert_eq!((world.writes(), partial.owed, partial.report.outcome), (vec![], vec![id(0)], Outcome::Partial));
    assert_eq!(world.memory.removals, []);
    let again = world.partial(&[id(0)]).await;
    assert_eq!((world.writes(), again.owed, again.report.problem_count), (vec![], vec![], 0));
    // After the look before the lock, which nobody can help; the report says what stands.
    world.deactivate(&id(1));
    world.teleport().change_hands.insert(name(1), 2);
    let partial = world.partial(&[id(1)]).await;
    assert_eq!(world.writes(), ["lock user01"]);
    assert_eq!(world.teleport().users[&name(1)], local_user(&name(1)));
    assert_eq!(world.memory.removals[0].count, 1, "P5: a lock that was made counts, whatever became of the account");
    let lock = world.teleport().locks.keys().next().unwrap().clone();
    let told = &partial.report.problems[0];
    assert!(told.message.contains(&lock) && told.remedy.contains(&format!("tctl rm locks/{lock}")), "{told:?}");
}

// apply.rs, `create_one`: `is_account_of`.
#[tokio::test]
async fn p06_what_a_new_user_takes_over_from_the_old_name_is_nobody_elses() {
    let mut world = with_names_in_other_hands(|world| world.ceiling.push("editor".into())).await;
    world.rename(&id(0), "moved");
    world.pass().await;
    assert_eq!(world.teleport().users["moved"].roles, ["okta-requester"]);
    assert_eq!(world.writes(), ["create moved"]);
}
