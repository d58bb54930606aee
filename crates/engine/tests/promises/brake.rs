//! How many may go without a person's word (P5).

use api::spec::{Mode, OnSpecChange};
use engine::{ledger::Ledger, person::PersonStatus, report::Outcome};
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{World, id};

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

// ledger.rs, `rule`: `spend`.
#[tokio::test]
async fn p05_a_preview_spends_nothing_of_the_budget() {
    let mut world = World::imported(20).await;
    world.spec.mode = Mode::Preview;
    (0..4).for_each(|n| world.deactivate(&id(n)));
    for _ in 0..3 {
        let report = world.pass().await;
        assert_eq!((report.outcome, report.pending), (Outcome::Previewed, None));
    }
    world.spec.mode = Mode::Enforce;
    assert_eq!(world.pass().await.counts.removed, 4);
}

// guard.rs, `note_use`: `earlier_approvals`.
#[tokio::test]
async fn p05_no_approval_is_used_twice_not_even_after_another_one() {
    let mut world = World::imported(20).await;
    let mut hashes = Vec::new();
    for crowd in [0..6, 6..12] {
        crowd.for_each(|n| world.deactivate(&id(n)));
        world.now += SignedDuration::from_mins(61);
        hashes.push(world.pass().await.pending.unwrap().hash);
        // The first stays where it was given, as in Git.
        world.approvals.clone_from(&hashes);
        assert_eq!(world.pass().await.counts.removed, 6);
    }
    (0..6).for_each(|n| world.reactivate(&id(n)));
    assert_eq!(world.pass().await.counts.created, 6);
    (0..6).for_each(|n| world.deactivate(&id(n)));
    world.now += SignedDuration::from_mins(61);
    let report = world.pass().await;
    assert_eq!((report.outcome, report.counts.held), (Outcome::Held, 6), "the same six, of whom nobody was asked");
    assert_eq!(report.pending.unwrap().hash, hashes[0]);
    assert_eq!(report.approval, None);
}

// ruling.rs, `note_approval`.
#[tokio::test]
async fn p05_an_approval_of_which_there_is_no_need_any_more_is_said_so_once() {
    let mut world = World::imported(20).await;
    (0..6).for_each(|n| world.deactivate(&id(n)));
    let hash = world.pass().await.pending.unwrap().hash;
    (0..6).for_each(|n| world.reactivate(&id(n)));
    let without = (world.memory.clone(), world.pending.clone());
    assert_eq!(world.pass().await.approval, None, "nobody had approved anything");
    (world.memory, world.pending) = without;
    world.approvals = vec![hash];
    let report = world.pass().await;
    assert_eq!(report.approval.as_deref(), Some("the held plan needs no approval any more"));
    assert_eq!((report.counts.removed, report.pending), (0, None));
    assert_eq!(world.pass().await.approval, None, "nothing is held any more");
}

// pass.rs, `try_run`: `make_up`. Status is written at the end of a pass; the locks are there from the beginning.
#[tokio::test]
async fn p05_a_process_that_dies_before_it_writes_status_forgets_no_removal() {
    let mut world = World::imported(20).await;
    (0..4).for_each(|n| world.deactivate(&id(n)));
    let before = world.memory.clone();
    assert_eq!(world.pass().await.counts.removed, 4);
    world.memory = before;
    world.ledger = Ledger::default();
    (4..6).for_each(|n| world.deactivate(&id(n)));
    let report = world.pass().await;
    assert_eq!((report.outcome, report.counts.held), (Outcome::Held, 2), "4 and 2 are more than 5");
    let counted = |world: &World| world.memory.removals.iter().map(|tally| tally.count).sum::<i64>();
    assert_eq!(counted(&world), 4);
    // What the locks tell is not counted again by every pass, nor are suspensions.
    world.set_status(&id(9), PersonStatus::Suspended);
    world.pass().await;
    world.pass().await;
    assert_eq!(counted(&world), 4);
    world.now += SignedDuration::from_mins(61);
    assert_eq!(world.pass().await.counts.removed, 2);
}
