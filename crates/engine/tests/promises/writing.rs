//! Which writes a pass makes, and what it tells of them (P8, P9, P13, P17).

use api::spec::Mode;
use engine::{
    failure::{Class, Failure, Side},
    person::PersonStatus,
    report::Outcome,
};
use serde_json::json;

use crate::world::{OWNER, World, id, name};

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
