//! Which writes a pass makes, and what it tells of them (P8, P9, P13, P17).

use api::spec::Mode;
use engine::{
    failure::{Class, Failure, Side},
    journal::Action,
    pass::{Pass, Progress},
    person::PersonStatus,
    report::Outcome,
    role::Role,
};
use serde_json::json;

use crate::world::{World, id, name, role};

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
    assert_eq!((report.counts.in_scope, report.counts.synced), (29, 29));
    let again = world.pass().await;
    assert_eq!((report.counts, report.memory), (again.counts, again.memory));
}

// policy.rs, `Policy::new`: `may_allow`.
#[tokio::test]
async fn p13_a_role_above_the_ceiling_is_refused_whatever_the_resource_says() {
    let mut world = World::imported(1).await;
    world.spec.users.roles = vec!["editor".into()];
    for only_named_roles in [true, false] {
        world.only_named_roles = only_named_roles;
        let failure = world.try_policy(vec![]).unwrap_err();
        assert_eq!((failure.class, failure.reason), (Class::Configuration, "RoleAboveCeiling"));
    }
}

// ground.rs, `may_be_given`: `allows`.
#[tokio::test]
async fn p13_a_role_that_grants_nothing_may_be_given_for_as_long_as_it_grants_nothing() {
    let mut world = World::with_people(2);
    world.only_named_roles = false;
    world.spec.users.roles = vec!["newcomer".into()];
    world.teleport().roles.push(Role { grants_nothing: true, ..role("newcomer", None) });
    assert_eq!(world.pass().await.outcome, Outcome::Succeeded);
    assert_eq!(world.teleport().users[&name(0)].roles, ["newcomer"]);

    // Somebody gives the role a login on every server: from then on nobody gets it, and nothing is written.
    world.teleport().roles.last_mut().unwrap().grants_nothing = false;
    world.hire(&id(2), &name(2));
    world.teleport().writes.clear();
    let report = world.pass().await;
    let failure = report.failure.unwrap();
    assert_eq!(
        (report.outcome, failure.reason, failure.class),
        (Outcome::Refused, "RoleAboveCeiling", Class::Configuration)
    );
    assert!(failure.message.contains("any role that grants nothing"), "{failure}");
    let partial = world.partial(&[id(2)]).await;
    assert_eq!(partial.report.failure.unwrap().reason, "RoleAboveCeiling");
    assert_eq!(world.writes(), Vec::<String>::new());

    // Who runs the operator can name it all the same, or want named roles alone.
    world.ceiling.push("newcomer".into());
    assert_eq!(world.pass().await.counts.created, 1);
    (world.ceiling, world.only_named_roles) = (vec!["okta-requester".into()], true);
    assert_eq!(world.try_policy(vec![]).unwrap_err().reason, "RoleAboveCeiling");
}

// ground.rs, `may_be_given`: roles are looked up before the first write.
#[tokio::test]
async fn a_role_that_does_not_exist_is_refused_before_the_first_write() {
    let mut world = World::with_people(3);
    world.teleport().roles.remove(0);
    let report = world.pass().await;
    assert_eq!((report.outcome, report.failure.unwrap().reason), (Outcome::Refused, "RoleMissing"));
    assert_eq!(world.writes(), Vec::<String>::new());
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
    assert_eq!(report.problem_classes, [("Permission", 12)].into());
    assert_eq!((report.outcome, &report.undone), (Outcome::Partial, &(0..12).map(id).collect::<Vec<_>>()));
    // One word for all, as long as it is one and speaks of what we may.
    assert_eq!(report.only_refusal(), Some("Refused"));
    let another = Failure::new(Side::Teleport, Class::Permission, "SecondFactorDemanded", "no", "ask");
    world.teleport().refuses.insert(name(0), another);
    assert_eq!(world.pass().await.only_refusal(), None);
    world.teleport().refuses.clear();
    world.teleport().dies_after = Some(0);
    world.hire(&id(50), "newcomer");
    assert_eq!(world.pass().await.only_refusal(), None, "that passes by itself");
    // Whom something is left to do for is bounded as well, and nobody is there twice.
    let mut world = World::with_people(120);
    world.teleport().dies_after = Some(0);
    let mut undone = world.pass().await.undone;
    undone.dedup();
    assert_eq!(undone.len(), 100);
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

// pass.rs, `describe`: what is held; `fields_of_new`.
#[tokio::test]
async fn a_preview_tells_every_field_of_a_new_user_and_everybody_who_would_be_held() {
    let mut world = World::imported(30).await;
    world.teleport().users.get_mut(&name(29)).unwrap().roles.push("dev".into());
    world.spec.mode = Mode::Preview;
    (0..25).for_each(|n| world.deactivate(&id(n)));
    world.hire(&id(90), "new");
    world.rename(&id(29), "ann");
    let report = world.pass().await;
    assert_eq!((report.outcome, report.writes, world.writes().len()), (Outcome::Previewed, 0, 0));
    let of = |action: &str| report.changes.iter().filter(|change| change.action == action).collect::<Vec<_>>();
    assert!(of("remove").iter().all(|change| !change.applies));
    assert_eq!((of("remove").len(), report.pending.unwrap().sample.len()), (26, 20), "25 leavers and a rename");
    let fields = |action: &str| {
        let fields = of(action)[0].fields.iter();
        fields.map(|field| format!("{}: {} -> {}", field.field, field.from, field.to)).collect::<Vec<_>>()
    };
    assert_eq!(
        fields("create"),
        [
            "roles:  -> okta-requester",
            "traits.okta/email:  -> new@example.com",
            "traits.okta/login:  -> new",
            "labels.okta/org:  -> https://acme.okta.com",
            "labels.usersync.dev/okta-user-id:  -> 00u00000000000000090",
            "labels.usersync.dev/owner:  -> ns/acme",
            "labels.usersync.dev/roles:  -> okta-requester",
            "labels.usersync.dev/trait-prefix:  -> okta/",
        ]
    );
    assert_eq!(fields("rename")[0], "roles:  -> okta-requester, dev", "what was given by hand follows");
    // Under way, not previewed, nobody's fields are looked up.
    world.spec.mode = Mode::Enforce;
    assert!(world.pass().await.changes.iter().all(|change| change.fields.is_empty()));
}

// apply.rs: what each kind of write hands to `told`; writing.rs, `apply`: the `Grounds`.
#[tokio::test]
async fn p17_the_journal_is_told_what_each_write_rests_on() {
    let mut world = World::imported(20).await;
    let first = world.teleport().told[0].grounds.clone();
    assert_eq!((first.people_read, first.plan, first.approved), (Some(20), None, false));
    world.set_status(&id(7), PersonStatus::Suspended);
    world.pass().await;
    world.teleport().told.clear();

    // One goes, one is suspended, one comes back, one changes.
    world.deactivate(&id(0));
    world.set_status(&id(1), PersonStatus::Suspended);
    world.set_status(&id(7), PersonStatus::Active);
    world.set_profile(&id(2), "title", json!("Boss"));
    world.pass().await;
    let told = std::mem::take(&mut world.teleport().told);
    let of = |action: Action, n: usize| {
        let found = told.iter().find(|told| told.action == action && told.user == name(n));
        found.unwrap_or_else(|| panic!("{action:?} {n}: {told:?}")).clone()
    };
    let (lock, delete, suspend) = (of(Action::PutLock, 0), of(Action::DeleteUser, 0), of(Action::PutLock, 1));
    // P3: a leaver is asked about by id, a suspension is taken from the list.
    assert_eq!((lock.confirmed_by_id, delete.confirmed_by_id, suspend.confirmed_by_id), (true, true, false));
    for told in [&lock, &suspend] {
        assert!(
            told.lock.as_ref().is_some_and(|(name, whole)| name.starts_with("okta-user-sync") && *whole),
            "{told:?}"
        );
    }
    let (lift, update) = (of(Action::RemoveLock, 7), of(Action::UpdateUser, 2));
    assert!(lift.lock.as_ref().is_some_and(|(name, whole)| name.starts_with("okta-user-sync") && !whole), "{lift:?}");
    assert_eq!(update.fields, ["traits.okta/title"]);
    assert!(lock.grounds.plan.is_some() && !lock.grounds.approved);

    // A crowd goes, with leave.
    (8..16).for_each(|n| world.deactivate(&id(n)));
    let hash = world.pass().await.pending.unwrap().hash;
    world.approvals = vec![hash.clone()];
    world.teleport().told.clear();
    world.pass().await;
    let grounds = world.teleport().told[0].grounds.clone();
    assert_eq!((grounds.people_read, grounds.plan, grounds.approved), (Some(11), Some(hash), true));

    // What one person's pass rests on is no list, and a suspension there was asked about by id.
    world.teleport().told.clear();
    world.set_status(&id(3), PersonStatus::Suspended);
    world.partial(&[id(3)]).await;
    let told = world.teleport().told[0].clone();
    assert_eq!((told.confirmed_by_id, told.grounds.people_read, told.grounds.plan), (true, None, None));

    // Nor is a list what a pass rests on that did not see its end.
    world.teleport().told.clear();
    world.okta().cut_after_page = Some(2);
    world.set_profile(&id(2), "title", json!("Clerk"));
    world.pass().await;
    assert_eq!(world.teleport().told[0].grounds.people_read, None);
}

// writing.rs: the counts that each write changes.
#[tokio::test]
async fn p17_a_pass_that_writes_counts_what_the_next_one_finds() {
    let mut world = World::imported(12).await;
    world.set_status(&id(7), PersonStatus::Suspended);
    world.deactivate(&id(8));
    world.pass().await;
    // Everything that can happen to somebody, at once.
    world.hire(&id(20), "newcomer");
    world.rename(&id(1), "ann");
    world.set_profile(&id(2), "title", json!("Boss"));
    world.set_status(&id(3), PersonStatus::Suspended);
    world.set_status(&id(7), PersonStatus::Active);
    world.reactivate(&id(8));
    world.deactivate(&id(9));
    let wrote = world.pass().await.counts;
    assert_eq!((wrote.created, wrote.renamed, wrote.updated, wrote.removed, wrote.failed), (2, 1, 1, 1, 0));
    let found = world.pass().await.counts;
    assert_eq!(
        (wrote.in_scope, wrote.synced, wrote.suspended, wrote.locked),
        (found.in_scope, found.synced, found.suspended, found.locked)
    );
}

// apply.rs, `update_one`: `last_try`.
#[tokio::test]
async fn p08_a_user_that_somebody_else_changes_meanwhile_is_read_again_once_and_then_told() {
    let mut world = World::imported(3).await;
    (0..2).for_each(|n| world.set_profile(&id(n), "title", json!("Boss")));
    world.teleport().races.extend([(name(0), 1), (name(1), 2)]);
    let report = world.pass().await;
    assert_eq!((report.counts.updated, report.counts.failed, report.outcome), (1, 1, Outcome::Partial));
    assert_eq!((report.problem_count, report.problems[0].user.as_str()), (1, name(1).as_str()));
    assert_eq!(world.teleport().users[&name(0)].traits["okta/title"], ["Boss"]);
    assert_eq!(world.pass().await.counts.updated, 1, "the next pass does it");
}

// writing.rs, `update`: `!changed`.
#[tokio::test]
async fn what_somebody_else_has_put_right_since_the_list_was_made_is_not_counted() {
    let mut world = World::imported(3).await;
    world.set_profile(&id(0), "title", json!("Boss"));
    let old = world.teleport().users.values().cloned().collect();
    world.pass().await;
    world.teleport().stale = Some(old);
    let report = world.pass().await;
    assert_eq!((report.counts.updated, report.counts.synced, report.writes), (0, 3, 0));
}

// apply.rs, `attempt`: `fetch_add`.
#[tokio::test]
async fn a_side_that_fails_again_and_again_is_left_alone_for_the_rest_of_the_pass() {
    let mut world = World::with_people(40);
    world.teleport().dies_after = Some(0);
    let report = world.pass().await;
    assert_eq!((report.counts.failed, report.outcome), (40, Outcome::Partial));
    assert!((10..20).contains(&report.writes), "{} calls were made", report.writes);
    // A refusal of single people says nothing of the side.
    let mut world = World::with_people(40);
    for n in 0..30 {
        let failure = Failure::new(Side::Teleport, Class::Permission, "Refused", "no", "ask");
        world.teleport().refuses.insert(name(n), failure);
    }
    let report = world.pass().await;
    assert_eq!((report.counts.created, report.writes), (10, 40));
}

// apply.rs, `each`: `most`.
#[tokio::test]
async fn as_many_writes_are_under_way_as_the_cluster_takes() {
    let mut world = World::with_people(30);
    world.slow = 3;
    world.pass().await;
    assert_eq!(world.teleport().under_way, (0, 8));
}

// pass.rs, `note_left_out`.
#[tokio::test]
async fn p17_traits_that_are_too_large_for_a_user_are_left_out_and_told() {
    let mut world = World::with_people(2);
    world.set_profile(&id(0), "essay", json!("x".repeat(300 * 1024)));
    for _ in 0..2 {
        let report = world.pass().await;
        assert_eq!((report.counts.failed, report.outcome), (0, Outcome::Succeeded));
        // Told where it is written, and not again by a pass that has nothing to write.
        assert_eq!(report.problem_count, usize::try_from(report.counts.created / 2).unwrap(), "{:?}", report.problems);
        assert!(report.problems.iter().all(|p| p.user == name(0) && p.message.contains("okta/essay")));
    }
    let user = world.teleport().users[&name(0)].clone();
    assert!(user.traits.contains_key("okta/login") && !user.traits.contains_key("okta/essay"), "{:?}", user.traits);
}

// writing.rs, `apply`: `Progress::Writing`.
#[tokio::test]
async fn how_far_the_writing_has_come_is_told_with_each_user() {
    let mut world = World::imported(4).await;
    world.set_profile(&id(0), "title", json!("Boss"));
    (10..13).for_each(|n| world.hire(&id(n), &name(n)));
    world.now += jiff::SignedDuration::from_mins(1);
    let (policy, told) = (world.policy(vec![]), std::sync::Mutex::new(Vec::new()));
    let listen = |progress: Progress<'_>| {
        if let Progress::Writing { done, total } = progress {
            told.lock().unwrap().push((done, total));
        }
    };
    let pass = Pass { progress: &listen, ..world.fast(&policy, "told") };
    assert_eq!(pass.run(&world, &world).await.outcome, Outcome::Succeeded);
    assert_eq!(*told.lock().unwrap(), [(1, 4), (2, 4), (3, 4), (4, 4)]);
}
