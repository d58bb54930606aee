//! What a pass must have read, and whom it must have asked, before anybody goes (P1 to P3).

use engine::{
    cluster::ConnectorLookup,
    person::PersonStatus,
    report::{Outcome, Read},
};
use serde_json::json;

use crate::world::{World, id, name};

// people.rs, `People::read`: taking the read for complete without a last page.
#[tokio::test]
async fn p01_a_read_that_does_not_reach_the_last_page_adds_and_updates_at_most() {
    for (ended, break_it) in [
        (3, (|w: &World| w.okta().fail_on_page = Some(3)) as fn(&World)),
        (3, |w: &World| w.okta().cut_after_page = Some(2)),
        (1, |w: &World| w.okta().fail_on_page = Some(1)),
    ] {
        let mut world = World::imported(9).await;
        world.deactivate(&id(0));
        world.set_status(&id(1), PersonStatus::Suspended);
        world.set_profile(&id(2), "title", json!("Boss"));
        world.hire(&id(90), "newcomer");
        break_it(&world);
        let report = world.pass().await;
        assert!(matches!(report.read, Read::Incomplete { page, .. } if page == ended), "{:?}", report.read);
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

// pass.rs, `observe`; ledger.rs, `written`.
#[tokio::test]
async fn p01_a_list_that_another_resource_has_read_serves_unless_something_of_ours_was_written_since() {
    let mut world = World::imported(3).await;
    let lists = |world: &World| std::mem::take(&mut world.teleport().lists);
    world.neighbour_lists().await;
    lists(&world);
    assert_eq!((world.pass().await.outcome, lists(&world)), (Outcome::Succeeded, 0), "it is taken");
    assert_eq!((world.pass().await.outcome, lists(&world)), (Outcome::Succeeded, 0), "and again: nothing was written");

    // The fast path makes a user, whom that list does not show.
    world.hire(&id(7), "newcomer");
    assert_eq!(world.partial(&[id(7)]).await.owed, Vec::<String>::new());
    let report = world.pass().await;
    assert_eq!((report.counts.created, report.problem_count, lists(&world)), (0, 0, 1), "{:?}", report.problems);

    // So does a full pass.
    world.neighbour_lists().await;
    world.hire(&id(8), "another");
    assert_eq!((world.pass().await.counts.created, lists(&world)), (1, 1));
    let report = world.pass().await;
    assert_eq!((report.counts.created, report.problem_count, lists(&world)), (0, 0, 1), "{:?}", report.problems);
}

// guard.rs, `refusal`: the branch for an empty list.
#[tokio::test]
async fn p02_an_empty_scope_that_had_people_removes_nobody() {
    let mut world = World::imported(4).await;
    assert_eq!(world.memory.people, 4);
    world.okta().assigned.clear();
    let report = world.pass().await;
    assert_eq!(report.failure.map(|f| f.reason), Some("EmptySource"));
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!(report.counts.in_scope, 0);
    // Also after a restart that has forgotten the count, because users of ours are still there.
    world.memory.people = 0;
    assert_eq!(world.pass().await.failure.map(|f| f.reason), Some("EmptySource"));
}

// ruling.rs, `confirmed`: passing removals on without asking.
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

// people.rs, `sight`.
#[tokio::test]
async fn p02_groups_without_any_member_remove_nobody() {
    let mut world = World::with_people(4);
    world.okta().groups.insert("eng".into(), (0..4).map(id).collect());
    world.spec.scope.groups = vec!["eng".into()];
    assert_eq!(world.pass().await.counts.created, 4);
    world.teleport().writes.clear();
    // Whoever may not see a group is answered by an empty one, in a list and by id.
    world.okta().groups.get_mut("eng").unwrap().clear();
    let report = world.pass().await;
    let refusal = report.failure.unwrap();
    assert_eq!((refusal.reason, report.outcome), ("EmptySource", Outcome::Partial));
    assert!(refusal.message.contains("in the groups"), "{refusal}");
    assert_eq!(world.writes(), Vec::<String>::new());
    world.okta().groups.get_mut("eng").unwrap().extend((1..4).map(id));
    assert_eq!(world.pass().await.counts.removed, 1, "one is out of the group, and others are seen in it");
}

// ruling.rs, `confirmed`: `Unanswered`.
#[tokio::test]
async fn p03_whom_okta_cannot_be_asked_about_stays_and_is_counted() {
    let mut world = World::imported(5).await;
    (0..3).for_each(|n| world.deactivate(&id(n)));
    world.okta().silent.extend([id(0), id(1)]);
    let report = world.pass().await;
    assert_eq!((report.counts.removed, report.counts.failed, report.outcome), (1, 2, Outcome::Partial));
    assert_eq!(world.writes(), ["lock user02", "delete user02"]);
    world.okta().silent.clear();
    assert_eq!(world.pass().await.counts.removed, 2);
}

// belonging.rs, `of_absent`.
#[tokio::test]
async fn p03_an_unknown_state_of_somebody_who_is_not_listed_removes_nobody() {
    let mut world = World::imported(4).await;
    world.set_status(&id(0), PersonStatus::Other("ARCHIVED".into()));
    world.okta().assigned.remove(&id(0));
    let report = world.pass().await;
    assert_eq!((report.outcome, report.counts.skipped), (Outcome::Succeeded, 1));
    assert!(report.problems[0].message.contains("ARCHIVED"), "{:?}", report.problems);
    assert_eq!(world.writes(), Vec::<String>::new());
}

// confirm.rs, `verdict`: `Belongs`.
#[tokio::test]
async fn p03_who_is_missing_from_the_list_and_suspended_or_renamed_in_truth_is_no_leaver() {
    let mut world = World::imported(6).await;
    world.okta().hidden.extend([id(0), id(1)]);
    world.set_status(&id(0), PersonStatus::Suspended);
    world.rename(&id(1), "ann");
    let report = world.pass().await;
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!((report.problem_count, report.outcome), (2, Outcome::Succeeded), "{:?}", report.problems);
}
