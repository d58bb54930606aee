//! Who belongs.

use api::spec::Source;
use engine::person::PersonStatus;
use serde_json::json;

use crate::world::{World, id, name};

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

// people.rs, `judge`; ground.rs, `ground`: the word about Org.
#[tokio::test]
async fn the_source_says_who_belongs_and_org_says_so_loudly() {
    let mut world = World::with_people(4);
    world.okta().groups.insert("eng".into(), (0..2).map(id).collect());
    world.okta().assigned.clear();
    world.spec.scope.source = Source::Groups;
    world.spec.scope.groups = vec!["eng".into()];
    let report = world.pass().await;
    assert_eq!((world.user_names(), report.warnings.len()), (vec![name(0), name(1)], 0));
    world.spec.scope.source = Source::Org;
    world.spec.scope.groups.clear();
    let report = world.pass().await;
    assert_eq!(world.user_names().len(), 4);
    assert!(report.warnings.iter().any(|warning| warning.contains("everybody")), "{:?}", report.warnings);
}
