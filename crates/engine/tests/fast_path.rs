//! The promises as a partial pass keeps them: a few people, asked about by id, through the same rules as everybody, alone and
//! beside a full pass.
//!
//! The comment over each test names the line whose removal makes it fail.

// Helpers of tests say what they expect; clippy.toml allows that only inside #[test] functions themselves.
#![allow(clippy::unwrap_used)]

mod world;

use api::spec::{Mode, RemovalAction, Suspended};
use engine::{
    person::PersonStatus,
    report::{Outcome, Report},
};
use jiff::SignedDuration;
use serde_json::json;
use world::{World, id, local_user, name};

fn ids(people: &[usize]) -> Vec<String> {
    people.iter().map(|n| id(*n)).collect()
}

/// Writes of a partial pass over these people.
async fn writes(world: &mut World, people: &[usize]) -> Vec<String> {
    let before = world.writes().len();
    let partial = world.partial(&ids(people)).await;
    assert_eq!((partial.report.problem_count, partial.owed.len()), (0, 0), "{:?}", partial.report.problems);
    assert_eq!(partial.full_pass, None);
    world.writes().split_off(before)
}

// partial.rs, `try_partial`: any of its steps.
#[tokio::test]
async fn whatever_happens_to_a_person_is_done_without_a_full_pass() {
    let mut world = World::imported(20).await;
    world.deactivate(&id(0));
    assert_eq!(writes(&mut world, &[0]).await, ["lock user00", "delete user00"]);
    world.okta().assigned.remove(&id(1));
    assert_eq!(writes(&mut world, &[1]).await, ["lock user01", "delete user01"]);
    world.okta().assigned.remove(&id(2));
    world.okta().people.remove(&id(2));
    assert_eq!(writes(&mut world, &[2]).await, ["lock user02", "delete user02"]);
    world.set_status(&id(3), PersonStatus::Suspended);
    assert_eq!(writes(&mut world, &[3]).await, ["lock user03"]);
    assert!(world.locked(&name(3)));
    world.set_status(&id(3), PersonStatus::Active);
    assert_eq!(writes(&mut world, &[3]).await, ["unlock user03"]);
    world.reactivate(&id(0));
    assert_eq!(writes(&mut world, &[0]).await, ["create user00", "unlock user00"]);
    world.hire(&id(90), "newcomer");
    assert_eq!(writes(&mut world, &[90]).await, ["create newcomer"]);
    world.set_profile(&id(4), "title", json!("Boss"));
    assert_eq!(writes(&mut world, &[4]).await, ["update user04"]);
    world.rename(&id(5), "fiver");
    assert_eq!(writes(&mut world, &[5]).await, ["create fiver", "lock user05", "delete user05"]);
    world.rename(&id(90), "oldcomer");
    assert_eq!(writes(&mut world, &[90]).await, ["create oldcomer", "lock newcomer", "delete newcomer"]);
    // P9: a hint about somebody to whom nothing happened, twice, and a full pass after all that.
    assert_eq!(writes(&mut world, &[6, 90, 3]).await, Vec::<String>::new());
    let before = world.writes().len();
    let report = world.pass().await;
    assert_eq!((report.outcome, world.writes().len()), (Outcome::Succeeded, before), "{:?}", report.changes);
}

// partial.rs, `grant`: `verdict`. A hint names somebody; what counts is what Okta says of them by id.
#[tokio::test]
async fn p03_a_hint_removes_nobody_whom_okta_shows_by_id() {
    let mut world = World::imported(6).await;
    world.okta().hidden.insert(id(1));
    assert_eq!(writes(&mut world, &[0, 1, 2]).await, Vec::<String>::new());
    world.okta().assigned.remove(&id(2));
    assert_eq!(writes(&mut world, &[0, 1, 2]).await, ["lock user02", "delete user02"]);
    let teleport = world.teleport();
    let lock = teleport.locks.values().find(|lock| lock.user == name(2)).unwrap();
    assert!(lock.message.contains("no longer assigned") && lock.message.contains("partial"), "{}", lock.message);
}

// partial.rs, `others_are_seen`.
#[tokio::test]
async fn p02_absence_proves_nothing_where_nobody_can_be_seen() {
    let mut world = World::imported(4).await;
    world.okta().assigned.clear();
    let partial = world.partial(&ids(&[0])).await;
    assert!(partial.full_pass.unwrap().contains("nobody else"));
    assert_eq!(world.writes(), Vec::<String>::new());
    // The full pass says why, and from then on nobody is dealt with one by one.
    assert_eq!(world.pass().await.failure.map(|f| f.reason), Some("EmptySource"));
    world.okta().assigned.extend([id(1), id(2)]);
    let partial = world.partial(&ids(&[0])).await;
    assert_eq!((partial.owed, partial.full_pass.is_some()), (ids(&[0]), true));
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!(world.pass().await.counts.removed, 2);
    // Who is shown as deactivated needs no witness: that is no absence.
    world.deactivate(&id(1));
    world.okta().assigned.remove(&id(2));
    let mut writes = writes(&mut world, &[1]).await;
    assert_eq!(writes.split_off(0), ["lock user01", "delete user01"]);
}

// partial.rs, `proves_by_absence`: of the groups; `others_are_seen`: in the groups.
#[tokio::test]
async fn p02_out_of_the_groups_proves_nothing_where_nobody_else_is_in_them() {
    let mut world = World::with_people(4);
    world.spec.scope.groups = vec!["staff".into()];
    world.okta().groups.insert("staff".into(), (0..4).map(id).collect());
    world.pass().await;
    world.teleport().writes.clear();
    let staff = world.okta().groups.remove("staff").unwrap();
    let partial = world.partial(&ids(&[0])).await;
    assert!(partial.full_pass.unwrap().contains("nobody else"));
    assert_eq!(world.writes(), Vec::<String>::new());
    world.okta().groups.insert("staff".into(), staff.into_iter().skip(1).collect());
    assert_eq!(writes(&mut world, &[0]).await, ["lock user00", "delete user00"]);
}

// ledger.rs, `may_spend`: the count, and `held`.
#[tokio::test]
async fn p05_the_fast_path_spends_from_the_same_budget() {
    let mut world = World::imported(20).await;
    (0..3).for_each(|n| world.deactivate(&id(n)));
    assert_eq!(writes(&mut world, &[0, 1, 2]).await.len(), 6);
    assert_eq!(world.memory.removals.iter().map(|tally| tally.count).sum::<i64>(), 3, "status remembers them");
    (3..6).for_each(|n| world.deactivate(&id(n)));
    world.set_status(&id(7), PersonStatus::Suspended);
    let before = world.writes().len();
    let partial = world.partial(&ids(&[3, 4, 5, 7])).await;
    assert!(partial.full_pass.unwrap().contains("3 within the last hour"));
    assert_eq!(partial.report.outcome, Outcome::Held);
    assert_eq!(world.writes().split_off(before), ["lock user07"], "nothing of the set; the rest goes on");
    // One alone would be within the limit, but belongs to the set that is held.
    let before = world.writes().len();
    assert!(world.partial(&ids(&[3])).await.full_pass.is_some());
    let report = world.pass().await;
    assert_eq!((report.outcome, report.counts.held), (Outcome::Held, 3));
    assert!(world.partial(&ids(&[3])).await.full_pass.is_some());
    assert_eq!(world.writes().len(), before);
    // The other way round: what a full pass spends, the fast path has not.
    world.now += SignedDuration::from_mins(61);
    assert_eq!(world.pass().await.counts.removed, 3);
    (8..11).for_each(|n| world.deactivate(&id(n)));
    assert!(world.partial(&ids(&[8, 9, 10])).await.full_pass.is_some());
    assert!(!world.locked(&name(8)));
}

// ledger.rs, `remember`: a restart knows from status what was spent, and that removals are held.
#[tokio::test]
async fn p05_a_restart_forgets_no_removal() {
    let mut world = World::imported(20).await;
    (0..5).for_each(|n| world.deactivate(&id(n)));
    assert_eq!(writes(&mut world, &[0, 1, 2, 3, 4]).await.len(), 10);
    world.ledger = engine::ledger::Ledger::default();
    world.deactivate(&id(5));
    let partial = world.partial(&ids(&[5])).await;
    assert_eq!((partial.owed, partial.full_pass.is_some()), (ids(&[5]), true), "no roster: a full pass first");
    let report = world.pass().await;
    assert_eq!((report.outcome, report.counts.held), (Outcome::Held, 1));
    let fresh = engine::ledger::Ledger::default();
    fresh.remember(&world.memory.removals, world.pending.is_some());
    assert_eq!(fresh.removals(), world.memory.removals);
}

// writing.rs, `apply`: `give_back`.
#[tokio::test]
async fn p05_what_did_not_come_to_a_lock_is_given_back() {
    let mut world = World::imported(20).await;
    world.teleport().dies_after = Some(0);
    (0..5).for_each(|n| world.deactivate(&id(n)));
    let partial = world.partial(&ids(&[0, 1, 2, 3, 4])).await;
    assert_eq!((partial.owed.len(), partial.report.outcome), (5, Outcome::Partial));
    assert_eq!(world.memory.removals, []);
    world.teleport().dies_after = None;
    assert_eq!(writes(&mut world, &[0, 1, 2, 3, 4]).await.len(), 10);
}

// partial.rs, `try_partial`: `ground`; `grant`: `refusal`.
#[tokio::test]
async fn what_stops_a_full_pass_stops_a_partial_one() {
    for (break_it, reason) in [
        ((|w: &mut World| w.okta().org_id = "00o2".into()) as fn(&mut World), "OrganisationChanged"),
        (|w| w.okta().app.0 = "INACTIVE".into(), "AppNotActive"),
        (|w| w.okta().app.1 = "BOOKMARK".into(), "AppNotSaml"),
        (|w| w.teleport().roles.retain(|role| role.name != "okta-requester"), "RoleMissing"),
    ] {
        let mut world = World::imported(6).await;
        world.deactivate(&id(0));
        break_it(&mut world);
        let partial = world.partial(&ids(&[0])).await;
        assert_eq!(partial.report.failure.map(|failure| failure.reason), Some(reason));
        assert_eq!(world.writes(), Vec::<String>::new(), "{reason}");
    }
    let mut world = World::imported(6).await;
    world.deactivate(&id(0));
    world.spec.mode = Mode::Preview;
    assert_eq!(writes(&mut world, &[0]).await, Vec::<String>::new());
    world.spec.mode = Mode::Enforce;
    // A changed scope makes removals wait.
    world.spec.scope.filter = "user.profile.login != 'x'".into();
    assert!(world.partial(&ids(&[0])).await.full_pass.unwrap().contains("scope"));
    assert_eq!(world.writes(), Vec::<String>::new());
}

// people.rs, `judge`, as `partial.rs` uses it.
#[tokio::test]
async fn exclusion_filter_groups_and_states_decide_as_in_a_full_pass() {
    let mut world = World::with_people(8);
    world.spec.scope.filter = "!has(user.profile.department) || user.profile.department != 'Sales'".into();
    world.spec.scope.groups = vec!["staff".into()];
    world.spec.scope.exclude = vec!["user02".into()];
    world.spec.users.suspended = Suspended::Remove;
    world.okta().groups.insert("staff".into(), (0..8).map(id).collect());
    assert_eq!(world.pass().await.counts.created, 7);
    world.teleport().writes.clear();
    world.set_profile(&id(0), "department", json!("Sales"));
    world.okta().groups.get_mut("staff").unwrap().remove(&id(1));
    world.deactivate(&id(2));
    world.set_status(&id(3), PersonStatus::Suspended);
    world.set_status(&id(4), PersonStatus::Other("ON_LEAVE".into()));
    world.okta().people.get_mut(&id(5)).unwrap().user_name = None;
    let partial = world.partial(&ids(&[0, 1, 2, 3, 4, 5])).await;
    assert_eq!(partial.full_pass, None);
    let mut done = world.writes();
    done.sort();
    assert_eq!(done, ["delete user00", "delete user01", "delete user03", "lock user00", "lock user01", "lock user03"]);
    assert_eq!(partial.report.counts.skipped, 2, "unknown state, no name");
}

// partial.rs, `judged`: `note_elsewhere`; `look`: `only`; roster.rs, `holder`.
#[tokio::test]
async fn names_of_others_are_respected() {
    let mut world = World::imported(6).await;
    world.foreign_user(local_user("admin"));
    // Another person's name, letter case aside; another person's account; somebody else's user.
    world.hire(&id(90), "USER01");
    world.rename(&id(2), "user03");
    world.hire(&id(91), "admin");
    let partial = world.partial(&ids(&[90, 2, 91])).await;
    assert_eq!(world.writes(), Vec::<String>::new(), "{:?}", partial.report.problems);
    assert_eq!(partial.report.counts.conflicts, 3);
    assert_eq!(world.pass().await.counts.conflicts, 5, "a full pass says so of both sides");
    assert_eq!(world.writes(), Vec::<String>::new());
    // Two who change names with each other at once are seen as they are now, not as they were.
    let mut world = World::imported(6).await;
    world.rename(&id(1), "one");
    assert_eq!(writes(&mut world, &[1]).await, ["create one", "lock user01", "delete user01"]);
    world.rename(&id(2), "user01");
    let partial = world.partial(&ids(&[2])).await;
    assert_eq!(partial.report.counts.waiting, 1, "P11: certificates of the first may live");
    let mut world = World::imported(6).await;
    world.rename(&id(1), "one");
    world.rename(&id(2), "user01");
    let partial = world.partial(&ids(&[1, 2])).await;
    assert_eq!((partial.report.counts.waiting, partial.report.counts.conflicts), (1, 0));
    assert_eq!(world.writes(), ["create one", "lock user01", "delete user01"]);
}

// partial.rs, `locks_only`; ledger.rs, `listed`.
#[tokio::test]
async fn a_restart_locks_leavers_as_soon_as_users_were_listed() {
    let mut world = World::imported(8).await;
    world.ledger = engine::ledger::Ledger::default();
    world.okta().fail_on_page = Some(2);
    world.pass().await;
    assert!(world.ledger.ready() && !world.ledger.knows_names());
    world.deactivate(&id(0));
    world.set_status(&id(1), PersonStatus::Suspended);
    world.set_profile(&id(2), "title", json!("Boss"));
    world.rename(&id(3), "three");
    world.hire(&id(90), "newcomer");
    let before = world.writes().len();
    let partial = world.partial(&ids(&[0, 1, 2, 3, 90])).await;
    let mut done = world.writes().split_off(before);
    done.sort();
    assert_eq!(done, ["delete user00", "lock user00", "lock user01"]);
    assert_eq!(partial.owed, ids(&[2, 3, 90]), "until everybody has been read");
    world.okta().fail_on_page = None;
    assert_eq!(world.pass().await.outcome, Outcome::Succeeded);
}

// partial.rs, `look`; roster.rs, `holder`.
#[tokio::test]
async fn a_login_that_rewrote_a_user_hides_no_leaver() {
    let mut world = World::imported(6).await;
    {
        let mut teleport = world.teleport();
        let user = teleport.users.get_mut("user01").unwrap();
        user.labels.clear();
        user.roles = vec!["sso".into()];
        user.created_by.as_mut().unwrap().identity = "user01".into();
    }
    world.deactivate(&id(1));
    assert_eq!(writes(&mut world, &[1]).await, ["lock user01", "delete user01"]);
    world.spec.removal.action = RemovalAction::LockOnly;
    world.deactivate(&id(2));
    assert_eq!(writes(&mut world, &[2]).await, ["lock user02"]);
    assert_eq!(writes(&mut world, &[2]).await, Vec::<String>::new());
}

/// A full pass and, once it has made so many users, a partial one beside it.
async fn beside(world: &World, made: usize, happens: impl Fn(&World), people: &[usize]) -> (Report, Report) {
    let policy = world.policy(vec![]);
    let full = world.fast(&policy, "full").run(world, world);
    let fast = async {
        while world.teleport().users.len() < made {
            tokio::task::yield_now().await;
        }
        happens(world);
        world.fast(&policy, "partial").partial(world, world, &ids(people)).await
    };
    let (report, partial) = futures::join!(full, fast);
    assert_eq!((partial.full_pass, partial.owed), (None, vec![]), "{:?}", partial.report.problems);
    assert_eq!(world.teleport().violations, Vec::<String>::new());
    (report, partial.report)
}

// ledger.rs, `turn` and `claim`.
#[tokio::test]
async fn a_leaver_is_locked_while_an_import_runs_and_is_not_made_again_by_it() {
    let mut world = World::with_people(100);
    world.slow = 20;
    let happens = |world: &World| {
        world.deactivate(&id(0));
        world.deactivate(&id(99));
        world.set_status(&id(1), PersonStatus::Suspended);
        world.rename(&id(98), "late");
    };
    let (report, partial) = beside(&world, 30, happens, &[0, 1, 98, 99]).await;
    assert_eq!(partial.outcome, Outcome::Succeeded);
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.problems);
    let writes = world.writes();
    let at = |what: &str| writes.iter().position(|write| write == what);
    assert!(at("delete user00").unwrap() < writes.len() - 20, "the import went on after it: {writes:?}");
    assert!(world.locked(&name(0)) && world.locked(&name(1)));
    assert_eq!(at("create user99"), None, "left before it was their turn");
    assert_eq!(at("create user98"), None, "goes under another name by now");
    assert_eq!(world.teleport().users.len(), 98);
    let before = world.writes().len();
    let again = world.pass().await;
    assert_eq!((again.outcome, world.writes().len()), (Outcome::Succeeded, before), "{:?}", again.changes);
}

// writing.rs, `create`: `DEALT_WITH`.
#[tokio::test]
async fn whom_a_partial_pass_made_beside_an_import_is_found_again_when_they_leave() {
    let mut world = World::with_people(100);
    world.slow = 20;
    let (report, partial) = beside(&world, 30, |_| {}, &[99]).await;
    assert_eq!((report.counts.created, partial.counts.created, world.teleport().users.len()), (99, 1, 100));
    world.deactivate(&id(99));
    world.partial(&ids(&[99])).await;
    assert_eq!(world.writes().last().map(String::as_str), Some("delete user99"));
}

// partial.rs, `stands`: who could not be asked about is owed; ledger.rs, `give_back`: what a full pass planned for them stands.
#[tokio::test]
async fn who_could_not_be_asked_about_is_owed_and_the_full_pass_beside_it_goes_on_with_them() {
    let mut world = World::with_people(100);
    world.slow = 20;
    world.okta().silent.extend([id(98), id(99)]);
    let policy = world.policy(vec![]);
    let full = world.fast(&policy, "full").run(&world, &world);
    let fast = async {
        while world.teleport().users.len() < 30 {
            tokio::task::yield_now().await;
        }
        world.fast(&policy, "partial").partial(&world, &world, &ids(&[97, 98, 99])).await
    };
    let (report, partial) = futures::join!(full, fast);
    assert_eq!((partial.owed, partial.report.counts.failed), (ids(&[98, 99]), 2));
    assert_eq!(partial.report.outcome, Outcome::Partial);
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.problems);
    assert_eq!(world.teleport().users.len(), 100, "those two by the full pass, the third by the partial one");
}

// ledger.rs, `owned`: the percentage is one of the users that are ours; `gone`: who left has no account any more.
#[tokio::test]
async fn p05_the_fast_path_knows_how_many_users_a_percentage_is_of() {
    let mut world = World::imported(100).await;
    assert!(world.ledger.knows_names());
    let leavers: Vec<usize> = (0..10).collect();
    for n in &leavers {
        world.deactivate(&id(*n));
    }
    assert_eq!(writes(&mut world, &leavers).await.len(), 20, "ten in a hundred");
    assert_eq!(world.ledger.roster().accounts(&id(0)).count(), 0);
    assert_eq!(world.ledger.roster().accounts(&id(10)).collect::<Vec<_>>(), [name(10)]);
    world.deactivate(&id(10));
    assert!(world.partial(&ids(&[10])).await.full_pass.unwrap().contains("of 90 users"));
}

// ledger.rs, `rule`: one step for both.
#[tokio::test]
async fn p05_a_full_pass_and_a_partial_one_at_once_share_one_budget() {
    let mut world = World::imported(20).await;
    (0..4).for_each(|n| world.deactivate(&id(n)));
    (100..160).for_each(|n| world.hire(&id(n), &format!("new{n}")));
    world.slow = 20;
    world.now += SignedDuration::from_mins(1);
    let policy = world.policy(vec![]);
    let full = world.fast(&policy, "full").run(&world, &world);
    let fast = async {
        while world.teleport().users.len() < 30 {
            tokio::task::yield_now().await;
        }
        world.deactivate(&id(4));
        let first = world.fast(&policy, "partial").partial(&world, &world, &ids(&[4])).await;
        world.deactivate(&id(5));
        let second = world.fast(&policy, "partial").partial(&world, &world, &ids(&[5])).await;
        (first, second)
    };
    let (report, (first, second)) = futures::join!(full, fast);
    assert_eq!((report.counts.removed, first.report.counts.removed), (4, 1));
    assert!(second.full_pass.is_some() && !world.locked(&name(5)), "4 and 1 are all that the hour has");
    assert_eq!(report.memory.removals.iter().map(|tally| tally.count).sum::<i64>(), 5);
}

// partial.rs, `try_partial`: `has_stored`. A lock that is not in force yet is in no list.
#[tokio::test]
async fn p05_a_lock_that_a_full_pass_has_stored_is_not_made_again_and_counts_once() {
    let mut world = World::imported(200).await;
    (0..12).for_each(|n| world.deactivate(&id(n)));
    world.slow = 20;
    world.now += SignedDuration::from_mins(1);
    let before = world.writes().len();
    let policy = world.policy(vec![]);
    let full = world.fast(&policy, "full").run(&world, &world);
    let fast = async {
        while world.teleport().locks.is_empty() {
            tokio::task::yield_now().await;
        }
        world.fast(&policy, "partial").partial(&world, &world, &ids(&[0])).await
    };
    let (report, partial) = futures::join!(full, fast);
    assert_eq!((report.counts.removed, partial.report.counts.removed), (11, 1));
    let writes = world.writes().split_off(before);
    let of_first: Vec<&String> = writes.iter().filter(|write| write.ends_with(&name(0))).collect();
    assert_eq!(of_first, [&format!("lock {}", name(0)), &format!("delete {}", name(0))]);
    assert_eq!(world.teleport().violations, Vec::<String>::new());
    assert_eq!(world.ledger.removals().iter().map(|tally| tally.count).sum::<i64>(), 12);
}

// partial.rs, `try_partial`: `has_stored`, before `grant`; writing.rs, `note_removals`: `locked`.
#[tokio::test]
async fn p05_a_lock_that_a_full_pass_has_stored_counts_also_when_the_hour_has_no_more_and_a_partial_pass_goes_on() {
    let mut world = World::imported(20).await;
    (0..5).for_each(|n| world.deactivate(&id(n)));
    world.slow = 20;
    world.now += SignedDuration::from_mins(1);
    let policy = world.policy(vec![]);
    let full = world.fast(&policy, "full").run(&world, &world);
    let fast = async {
        while world.teleport().locks.is_empty() {
            tokio::task::yield_now().await;
        }
        let first = world.fast(&policy, "partial").partial(&world, &world, &ids(&[0])).await;
        world.deactivate(&id(5));
        let second = world.fast(&policy, "partial").partial(&world, &world, &ids(&[5])).await;
        (first, second)
    };
    let (report, (first, second)) = futures::join!(full, fast);
    assert_eq!((first.full_pass, first.owed), (None, vec![]), "the brake has let this one pass already");
    assert_eq!((report.counts.removed, first.report.counts.removed), (4, 1));
    assert!((0..5).all(|n| world.locked(&name(n)) && !world.teleport().users.contains_key(&name(n))));
    assert_eq!(report.memory.removals.iter().map(|tally| tally.count).sum::<i64>(), 5);
    assert!(second.full_pass.is_some() && !world.locked(&name(5)), "five are all that the hour has");
    assert_eq!(world.teleport().violations, Vec::<String>::new());
}

// apply.rs, `write`.
#[tokio::test]
async fn p08_a_partial_pass_writes_nothing_once_the_claim_is_lost() {
    let world = World::imported(4).await;
    world.deactivate(&id(0));
    let policy = world.policy(vec![]);
    let mut pass = world.fast(&policy, "partial");
    pass.may_write = &|| false;
    let partial = pass.partial(&world, &world, &ids(&[0])).await;
    assert_eq!((partial.owed, world.writes().len()), (ids(&[0]), 0));
    assert_eq!(partial.report.memory.removals, []);
}

// partial.rs, `grant`: `stands`.
#[tokio::test]
async fn p03_nobody_is_a_leaver_whom_a_partial_pass_has_not_asked_about() {
    let mut world = World::imported(6).await;
    // One takes the name of another, who has left; the log has told of the first alone so far.
    world.deactivate(&id(1));
    world.rename(&id(0), &name(1));
    world.partial(&ids(&[0])).await;
    assert_eq!(world.writes(), Vec::<String>::new());
    world.partial(&ids(&[1])).await;
    assert_eq!(world.writes(), ["lock user01", "delete user01"]);
}
