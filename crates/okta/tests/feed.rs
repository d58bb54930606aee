//! The System Log as a hint: what happened is told once, soon, and without gaps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use std::ops::Range;

use common::{app, org, settings};
use engine::{
    directory::Directory,
    failure::{Class, Failure},
    feed::{Cursor, Feed as _, News, Watch},
};
use jiff::Timestamp;
use okta::{Governor, OktaClient, Scope};
use okta_sim::{OktaSim, Options, Role};
use serde_json::json;

/// A client that may read the log, an organisation whose clock stands some minutes after everything that was set up,
/// and a feed that begins there.
async fn feed() -> (OktaSim, OktaClient, Cursor, Watch) {
    let sim = org(Options::with_people(20, 7)).await;
    sim.org().clock().advance_millis(600_000);
    let mut settings = settings(&sim);
    settings.scopes = vec![Scope::Logs];
    let okta = OktaClient::new(settings, Governor::new()).unwrap();
    okta.organisation(&app(&sim)).await.unwrap();
    let watch = Watch { app: Some(sim.ready().app_id), groups: false };
    let begin = Timestamp::from_millisecond(sim.org().clock().now().millis()).unwrap();
    (sim, okta, Cursor::since(begin), watch)
}

/// One poll of one watch.
async fn news(okta: &OktaClient, cursor: &mut Cursor, watch: &Watch) -> Result<News, Failure> {
    let found = okta.read(cursor, std::slice::from_ref(watch)).await?;
    Ok(okta.news(&found, watch))
}

/// Persons and events of a poll, a moment later.
async fn poll(sim: &OktaSim, okta: &OktaClient, feed: &mut Cursor, watch: &Watch) -> Vec<(String, String)> {
    sim.org().clock().advance_millis(15_000);
    // The client learns the time from an answer.
    okta.organisation(&app(sim)).await.unwrap();
    let news = news(okta, feed, watch).await.unwrap();
    assert_eq!(news.full_pass, None);
    news.hints.into_iter().map(|hint| (hint.person.clone(), hint.event.to_owned())).collect()
}

fn told(person: &str, event: &str) -> (String, String) {
    (person.to_owned(), event.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_person_is_told_once() {
    let (sim, okta, mut feed, watch) = feed().await;
    let ids = sim.org().assigned(&sim.ready().app_id).unwrap();
    assert_eq!(poll(&sim, &okta, &mut feed, &watch).await, []);

    sim.org().suspend(&ids[0]).unwrap();
    sim.org().unassign(&sim.ready().app_id, &ids[1]).unwrap();
    let found = poll(&sim, &okta, &mut feed, &watch).await;
    let expected = [told(&ids[0], "user.lifecycle.suspend"), told(&ids[1], "application.user_membership.remove")];
    assert_eq!(found, expected);
    assert_eq!(poll(&sim, &okta, &mut feed, &watch).await, [], "told twice");

    sim.org().deactivate(&ids[2]).unwrap();
    sim.org().update_profile(&ids[3], &json!({"department": "Night"})).unwrap();
    let found = poll(&sim, &okta, &mut feed, &watch).await;
    assert!(found.iter().any(|(person, _)| *person == ids[2]), "{found:?}");
    assert!(found.contains(&told(&ids[3], "user.account.update_profile")), "{found:?}");

    // A restart knows the position only: what is told again does no harm, nothing is left out.
    let mut again = Cursor::since(feed.position());
    sim.org().unsuspend(&ids[0]).unwrap();
    let found = poll(&sim, &okta, &mut again, &watch).await;
    assert!(found.contains(&told(&ids[0], "user.lifecycle.unsuspend")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_arrive_late_and_out_of_order_are_told_as_well() {
    let (sim, okta, mut feed, watch) = feed().await;
    let ids = sim.org().assigned(&sim.ready().app_id).unwrap();
    sim.org().switch(|switches| {
        switches.log_delay_millis = 20_000;
        switches.log_out_of_order = true;
    });
    let mut found = Vec::new();
    for id in &ids[..6] {
        sim.org().suspend(id).unwrap();
        found.extend(poll(&sim, &okta, &mut feed, &watch).await);
    }
    for _ in 0..4 {
        found.extend(poll(&sim, &okta, &mut feed, &watch).await);
    }
    found.sort();
    let mut expected: Vec<_> = ids[..6].iter().map(|id| told(id, "user.lifecycle.suspend")).collect();
    expected.sort();
    assert_eq!(found, expected);
}

// feed.rs, `pages_read_by`; again.rs, `one_by_one`.
#[tokio::test(flavor = "multi_thread")]
async fn p01_a_page_of_events_that_were_told_has_to_be_as_good_as_any_other() {
    let (sim, okta, mut feed, watch) = feed().await;
    let ids = sim.org().assigned(&sim.ready().app_id).unwrap();
    for id in &ids[..10] {
        sim.org().suspend(id).unwrap();
    }
    assert_eq!(poll(&sim, &okta, &mut feed, &watch).await.len(), 10);
    assert_eq!(poll(&sim, &okta, &mut feed, &watch).await, []);
    let position = feed.position();
    for (kind, reason) in [
        (json!("duplicateEntry"), "PageRepeated"),
        (json!({"cutJson": {"after": 3000}}), "OktaUnavailable"),
        (json!({"status": {"status": 200, "body": "[{}]"}}), "PageEntry"),
        (json!({"status": {"status": 200, "body": "[7]"}}), "AnswerUnexpected"),
    ] {
        sim.org().fault_json(&json!({"path": "/api/v1/logs", "kind": kind})).unwrap();
        sim.org().clock().advance_millis(1_000);
        okta.organisation(&app(&sim)).await.unwrap();
        let failure = news(&okta, &mut feed, &watch).await.unwrap_err();
        assert_eq!((failure.reason, feed.position()), (reason, position), "{kind}: {failure}");
        sim.org().clear_faults();
    }
    // A page that is damaged once is read anew; what it brings is told once.
    sim.org().suspend(&ids[10]).unwrap();
    let once = json!({"path": "/api/v1/logs", "kind": {"cutJson": {"after": 3000}}, "count": 1});
    sim.org().fault_json(&once).unwrap();
    assert_eq!(poll(&sim, &okta, &mut feed, &watch).await, [told(&ids[10], "user.lifecycle.suspend")]);
    assert_eq!(poll(&sim, &okta, &mut feed, &watch).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_events_than_a_poll_reads_are_a_gap_though_most_of_them_were_told() {
    let (sim, okta, mut feed, watch) = feed().await;
    let ids = sim.org().assigned(&sim.ready().app_id).unwrap();
    let change = |shifts: Range<usize>| {
        for at in shifts {
            sim.org().update_profile(&ids[at % 10], &json!({"department": format!("Shift {at}")})).unwrap();
        }
    };
    change(0..9_999);
    assert_eq!(poll(&sim, &okta, &mut feed, &watch).await.len(), 10);
    change(9_999..10_000);
    assert_eq!(poll(&sim, &okta, &mut feed, &watch).await, [told(&ids[9], "user.account.update_profile")]);
    change(10_000..10_001);
    sim.org().clock().advance_millis(15_000);
    okta.organisation(&app(&sim)).await.unwrap();
    let News { hints, full_pass } = news(&okta, &mut feed, &watch).await.unwrap();
    assert!(hints.is_empty() && full_pass.unwrap().contains("more than 10000 events"));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_apps_are_of_no_account_and_our_own_app_is() {
    let (sim, okta, mut feed, watch) = feed().await;
    let ids = sim.org().assigned(&sim.ready().app_id).unwrap();
    let other = sim.org().create_saml_app("Another");
    sim.org().assign(&other, &ids[0], None).unwrap();
    assert_eq!(poll(&sim, &okta, &mut feed, &watch).await, []);

    let group = sim.org().create_group("Night shift").unwrap();
    sim.org().assign_group(&sim.ready().app_id, &group).unwrap();
    sim.org().clock().advance_millis(15_000);
    okta.organisation(&app(&sim)).await.unwrap();
    let news = news(&okta, &mut feed, &watch).await.unwrap();
    assert!(news.full_pass.unwrap().contains("group.application_assignment.add"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_was_left_for_long_asks_for_a_full_pass() {
    let (sim, okta, mut feed, watch) = feed().await;
    sim.org().clock().advance_millis(31 * 60_000);
    // Okta's token outlives this; the client learns the time.
    okta.organisation(&app(&sim)).await.unwrap();
    let before = okta.calls();
    let News { hints, full_pass } = news(&okta, &mut feed, &watch).await.unwrap();
    assert!(hints.is_empty() && full_pass.unwrap().contains("30 minutes"));
    assert_eq!(okta.calls(), before, "nothing is read that the full pass reads anyway");
    assert_eq!(poll(&sim, &okta, &mut feed, &watch).await, [], "goes on from now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_leaves_the_feed_where_it_was_and_names_scope_or_role() {
    let (sim, okta, mut feed, watch) = feed().await;
    let ids = sim.org().assigned(&sim.ready().app_id).unwrap();
    sim.org().suspend(&ids[0]).unwrap();
    sim.org().clock().advance_millis(15_000);
    okta.organisation(&app(&sim)).await.unwrap();
    let position = feed.position();
    sim.org().set_role(Role::None);
    let failure = news(&okta, &mut feed, &watch).await.unwrap_err();
    assert_eq!((failure.class, failure.reason), (Class::Permission, "AdminRoleMissing"));
    assert_eq!(feed.position(), position);
    sim.org().set_role(Role::ReadOnlyAdmin);
    let found = poll(&sim, &okta, &mut feed, &watch).await;
    assert_eq!(found, [told(&ids[0], "user.lifecycle.suspend")]);

    sim.org().set_scopes(&["okta.apps.read", "okta.users.read"]);
    let okta = common::client(&sim);
    okta.organisation(&app(&sim)).await.unwrap();
    let failure = news(&okta, &mut Cursor::since(Timestamp::now()), &watch).await.unwrap_err();
    assert_eq!((failure.class, failure.reason), (Class::Permission, "ScopeMissing"), "{failure}");
    assert!(failure.remedy.contains("okta.logs.read"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_watches_share_one_call_and_each_is_told_its_own() {
    let (sim, okta, mut feed, ours) = feed().await;
    let ids = sim.org().assigned(&sim.ready().app_id).unwrap();
    let other = sim.org().create_saml_app("Another");
    let group = sim.org().create_group("Night shift").unwrap();
    poll(&sim, &okta, &mut feed, &ours).await;
    sim.org().unassign(&sim.ready().app_id, &ids[0]).unwrap();
    sim.org().assign(&other, &ids[1], None).unwrap();
    sim.org().join(&group, &ids[2]).unwrap();
    sim.org().clock().advance_millis(15_000);
    okta.organisation(&app(&sim)).await.unwrap();
    let watches = [ours, Watch { app: Some(other), groups: false }, Watch { app: None, groups: true }];
    let calls = okta.calls();
    let found = okta.read(&mut feed, &watches).await.unwrap();
    assert_eq!(okta.calls() - calls, 1);
    let told = watches
        .map(|watch| okta.news(&found, &watch).hints.iter().map(|hint| hint.person.clone()).collect::<Vec<String>>());
    assert_eq!(told, [vec![ids[0].clone()], vec![ids[1].clone()], vec![ids[2].clone()]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_okta_does_not_take_is_given_up_for_a_full_pass() {
    let (sim, okta, mut feed, watch) = feed().await;
    let gone = json!({"path": "/api/v1/logs", "kind": {"status": {"status": 410}}});
    sim.org().fault_json(&gone).unwrap();
    sim.org().clock().advance_millis(15_000);
    okta.organisation(&app(&sim)).await.unwrap();
    news(&okta, &mut feed, &watch).await.expect_err("it may pass");
    sim.org().clock().advance_millis(240_000);
    okta.organisation(&app(&sim)).await.unwrap();
    let news = news(&okta, &mut feed, &watch).await.unwrap();
    assert!(news.full_pass.unwrap().contains("from where it was left"));
    sim.org().clear_faults();
    assert_eq!(poll(&sim, &okta, &mut feed, &watch).await, []);
}
