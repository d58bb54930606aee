//! Who goes under another name, or under one that nobody may have (P12).

use api::spec::RemovalAction;
use engine::{lock::LockReason, person::PersonStatus, report::Outcome, role::Role};
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{World, id, local_user, name, role};

// writing.rs, `apply`: the old account after the new one; `note_removals`: counted once.
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
    let reason = world.teleport().locks.values().next().and_then(|lock| lock.ours.clone()).map(|mark| mark.reason);
    assert_eq!(reason, Some(LockReason::Renamed), "and the lock says that nobody left");
    let ann = world.teleport().users["ann"].clone();
    assert_eq!(ann.roles, ["okta-requester", "dev"], "roles by hand follow, under the ceiling");
    assert_eq!(ann.traits["logins"], ["ann"]);
    assert!(report.warnings.iter().any(|w| w.contains("editor")), "{:?}", report.warnings);
    assert!(world.locked(&name(0)));
}

// plan.rs, `cause`: `wanted_by_others`.
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

// plan.rs, `cause`, `moved`: keeping an old account until its person has the new one.
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

// plan.rs, `cause`: `wanted_by_others`.
#[tokio::test]
async fn p12_an_old_account_stays_while_the_new_name_differs_by_letter_case_alone_and_is_taken() {
    let mut world = World::imported(4).await;
    world.foreign_user(local_user("USER00"));
    world.rename(&id(0), "USER00");
    let report = world.pass().await;
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!((report.counts.conflicts, report.outcome), (1, Outcome::Succeeded), "{:?}", report.problems);
    // The name is free: the change of letter case is a rename like any other.
    world.teleport().users.remove("USER00");
    world.teleport().untouchable.clear();
    let report = world.pass().await;
    assert_eq!(world.writes(), ["create USER00", "lock user00", "delete user00"]);
    assert_eq!((report.counts.renamed, report.counts.removed), (1, 0));
}

// apply.rs, `create_one`: `carry_over`.
#[tokio::test]
async fn p12_without_carry_over_the_new_account_is_as_new() {
    let mut world = World::imported(2).await;
    world.spec.users.carry_over = false;
    {
        let mut teleport = world.teleport();
        let user = teleport.users.get_mut(&name(0)).unwrap();
        user.roles.push("dev".into());
        user.traits.insert("logins".into(), vec!["ann".into()]);
    }
    world.rename(&id(0), "ann");
    let report = world.pass().await;
    let ann = world.teleport().users["ann"].clone();
    assert_eq!((ann.roles, ann.traits.contains_key("logins")), (vec!["okta-requester".to_owned()], false));
    assert_eq!((report.counts.renamed, report.warnings.len()), (1, 0));
}

// desired.rs, `carried`: `missing`.
#[tokio::test]
async fn p12_a_role_by_hand_that_is_no_more_stops_no_rename() {
    let mut world = World::imported(2).await;
    world.teleport().users.get_mut(&name(0)).unwrap().roles.extend(["dev".to_owned(), "editor".to_owned()]);
    world.teleport().roles.retain(|role| role.name != "dev");
    world.rename(&id(0), "ann");
    let report = world.pass().await;
    assert_eq!((report.outcome, report.counts.renamed), (Outcome::Succeeded, 1), "{:?}", report.problems);
    assert_eq!(world.teleport().users["ann"].roles, ["okta-requester"]);
    let told = |role: &str, why: &str| report.warnings.iter().any(|w| w.contains(role) && w.contains(why));
    assert!(told("dev", "do not exist any more") && told("editor", "above the ceiling"), "{:?}", report.warnings);
}

// desired.rs, `carried`: `allows`.
#[tokio::test]
async fn p13_what_follows_a_person_to_a_new_name_is_held_to_what_it_grants_now() {
    let mut world = World::imported(2).await;
    world.only_named_roles = false;
    world.teleport().roles.push(Role { grants_nothing: true, ..role("asker", None) });
    world.teleport().roles.push(role("root", None));
    let by_hand = ["asker", "root", "editor"].map(str::to_owned);
    world.teleport().users.get_mut(&name(0)).unwrap().roles.extend(by_hand);
    world.rename(&id(0), "ann");
    let report = world.pass().await;
    assert_eq!(world.teleport().users["ann"].roles, ["okta-requester", "asker"]);
    let told = report.warnings.iter().any(|warning| warning.contains("root, editor") && warning.contains("ceiling"));
    assert!(told, "{:?}", report.warnings);
}

/// One corner of a rename: what happens, who is told of it, and what the remedy speaks of.
type Corner = (&'static str, fn(&mut World), &'static [&'static str], &'static str);

// plan.rs, `member`: any of its branches. Each corner ends with a word about that person, and the pass goes on.
#[tokio::test]
async fn p12_every_corner_ends_as_an_outcome_of_that_person_with_a_remedy() {
    let corners: [Corner; 9] = [
        ("two swap", |w| (w.rename(&id(0), &name(1)), w.rename(&id(1), &name(0))).0, &["user00", "user01"], "handover"),
        ("a chain", |w| (w.rename(&id(0), &name(1)), w.rename(&id(1), "fresh")).0, &["user01"], "handover"),
        ("a leaver's name", |w| (w.deactivate(&id(1)), w.rename(&id(0), &name(1))).0, &["user01"], "handover"),
        ("letter case", |w| w.rename(&id(0), "USER01"), &["USER01", "user01"], "user name of their own"),
        ("one name for two", |w| w.rename(&id(0), &name(1)), &["user01"], "user name of their own"),
        (
            "a local user's",
            |w| (w.foreign_user(local_user("admin")), w.rename(&id(0), "admin")).1,
            &["admin"],
            "adoptNames",
        ),
        ("a blank", |w| w.rename(&id(0), "user 00"), &["user 00"], "another user name"),
        ("a percent sign", |w| w.rename(&id(0), "user%00"), &["user%00"], "another user name"),
        ("a slash", |w| w.rename(&id(0), "user00/x"), &["user00/x"], "another user name"),
    ];
    for (corner, happens, told, remedy) in corners {
        let mut world = World::imported(8).await;
        happens(&mut world);
        world.set_profile(&id(7), "title", json!("Boss"));
        // In the first pass a name may still be held by the account that goes in it; in the second its lock is what stands.
        for _ in 0..2 {
            let report = world.pass().await;
            assert_eq!(report.outcome, Outcome::Succeeded, "{corner}: {:?}", report.problems);
            for name in told {
                let problem = report.problems.iter().find(|problem| problem.user == *name);
                let problem = problem.unwrap_or_else(|| panic!("{corner}: nothing of {name} in {:?}", report.problems));
                assert!(problem.remedy.contains(remedy), "{corner}: {problem:?}");
            }
        }
        assert!(world.writes().contains(&"update user07".to_owned()), "{corner}: others are not served");
        let open = world.user_names().into_iter().filter(|name| !world.locked(name)).count();
        assert!(open >= 6, "{corner}: {:?}", world.user_names());
        // Where the name came to be free, time alone serves everybody.
        world.now += SignedDuration::from_hours(32);
        let report = world.pass().await;
        assert_eq!(report.counts.waiting, 0, "{corner}: {:?}", report.problems);
    }
}

// plan.rs, `held_by`: with LockOnly an account stays, and so does its name.
#[tokio::test]
async fn p12_with_lock_only_the_name_of_one_who_left_is_a_conflict_that_says_what_to_do() {
    let mut world = World::imported(4).await;
    world.spec.removal.action = RemovalAction::LockOnly;
    world.deactivate(&id(0));
    world.pass().await;
    world.hire(&id(50), &name(0));
    let report = world.pass().await;
    assert_eq!((report.counts.conflicts, report.counts.waiting), (1, 0));
    assert!(report.problems[0].remedy.contains("tctl users rm"), "{:?}", report.problems);
    // An administrator deletes it. The lock never ends, but what it was made against has: the certificates.
    world.teleport().users.remove(&name(0));
    assert_eq!(world.pass().await.counts.waiting, 1);
    world.now += SignedDuration::from_hours(32);
    let report = world.pass().await;
    assert_eq!((report.counts.created, world.locked(&name(0))), (1, false), "{:?}", report.problems);
}

// plan.rs, `account`: `locks` of one who is left as they are.
#[tokio::test]
async fn somebody_suspended_is_locked_whatever_is_wrong_with_their_name_and_unlocked_after_it() {
    for happens in [
        (|w| w.rename(&id(0), "user 00")) as fn(&World),
        |w| w.hire(&id(50), &name(0)),
        |w| {
            w.okta().people.get_mut(&id(0)).unwrap().user_name = None;
        },
    ] {
        let mut world = World::imported(4).await;
        happens(&world);
        world.set_status(&id(0), PersonStatus::Suspended);
        let report = world.pass().await;
        assert_eq!(world.writes(), ["lock user00"], "{:?}", report.problems);
        assert_eq!(world.teleport().locks.values().next().unwrap().expires, None);
        world.pass().await;
        assert_eq!(world.writes().len(), 1, "once is enough");
        world.set_status(&id(0), PersonStatus::Active);
        world.rename(&id(0), &name(0));
        world.okta().assigned.remove(&id(50));
        world.pass().await;
        assert_eq!(world.writes(), ["lock user00", "unlock user00"]);
    }
}

// plan.rs, `account`: `locks` of an account under an older name.
#[tokio::test]
async fn who_waits_for_a_new_name_is_locked_and_unlocked_under_the_old_one() {
    let mut world = World::imported(4).await;
    world.foreign_user(local_user("admin"));
    world.rename(&id(0), "admin");
    world.set_status(&id(0), PersonStatus::Suspended);
    world.pass().await;
    world.set_status(&id(0), PersonStatus::Active);
    world.pass().await;
    assert_eq!(world.writes(), ["lock user00", "unlock user00"]);
}
