//! The next page is on its way while its reader has one in hand: never two, with no call more, and within the same bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use std::time::{Duration, Instant};

use common::{app, client, lists, org, read, settings, until};
use engine::{
    directory::{Directory, PeopleSource},
    failure::Class,
};
use futures::StreamExt as _;
use okta::{Governor, OktaClient};
use okta_sim::{OktaSim, Options};
use serde_json::{Value, json};

/// An organisation whose app lists so many people, one a page.
async fn pages_of_one(people: usize) -> OktaSim {
    let sim = org(Options::with_people(people, 7)).await;
    sim.org().switch(|switches| switches.page_entries = 1);
    sim
}

/// A fault on the app's list from its second page on, so many times.
fn on_second_page(sim: &OktaSim, kind: &Value, count: Option<u64>) {
    sim.org().clear_faults();
    sim.org()
        .fault_json(&json!({"path": "/api/v1/apps/*/users", "query": "after=", "count": count, "kind": kind}))
        .unwrap();
}

/// On one thread nothing happens by chance: what is counted when a page comes was asked for before it came.
#[tokio::test]
async fn each_page_but_the_last_comes_with_the_next_one_asked_for_and_none_after_that() {
    let sim = pages_of_one(5).await;
    let (okta, source) = (client(&sim), app(&sim));
    okta.organisation(&source).await.unwrap();
    let (before, beside) = (okta.calls(), okta.counting_anew());
    let mut pages = okta.people(&source);
    assert_eq!(okta.calls(), before, "nothing is asked for before the first page is wanted");
    for page in 1..=5 {
        assert_eq!(pages.next().await.unwrap().unwrap().last, page == 5);
        let asked = (page + 1).min(5);
        assert_eq!(okta.calls() - before, asked, "with page {page} in hand");
        // The answer comes without anybody waiting for it, and still the page after it is not asked for.
        until("the next page to be answered", || lists(&sim) == asked && sim.org().under_way() == 0).await;
        beside.organisation(&source).await.unwrap();
        assert_eq!(lists(&sim), asked, "with page {page} in hand");
    }
    assert!(pages.next().await.is_none());
    assert_eq!(lists(&sim), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_handed_on_while_the_next_is_held_back_and_giving_up_ends_the_call() {
    let sim = pages_of_one(4).await;
    on_second_page(&sim, &json!({"slow": {"millis": 600_000}}), None);
    let (okta, source) = (client(&sim), app(&sim));
    let mut pages = okta.people(&source);
    assert_eq!(pages.next().await.unwrap().unwrap().items.len(), 1);
    until("the second page to be asked for", || sim.org().under_way() == 1).await;
    // Its reader may ask other things meanwhile: nothing that they need is held.
    let someone = sim.org().assigned(&sim.ready().app_id).unwrap().remove(0);
    okta.person(&source, &someone).await.unwrap();
    assert_eq!(sim.org().under_way(), 1);
    drop(pages);
    until("Okta to see that nobody waits any more", || sim.org().under_way() == 0).await;
    assert_eq!(lists(&sim), 2, "one page more than was taken");
    // Nothing is left of it that a later reader would have to wait for.
    sim.org().clear_faults();
    assert!(read(&okta, &source).await.complete);
    assert_eq!(lists(&sim), 2 + 4);
}

/// On one thread, as above.
#[tokio::test]
async fn a_reader_that_stops_at_what_it_was_looking_for_asks_for_no_page_beyond() {
    let sim = pages_of_one(1).await;
    let someone = sim.org().assigned(&sim.ready().app_id).unwrap().remove(0);
    let groups: Vec<String> = (0..3).map(|at| sim.org().create_group(&format!("Group {at}")).unwrap()).collect();
    for group in &groups {
        sim.org().join(group, &someone).unwrap();
    }
    let okta = client(&sim);
    okta.organisation(&PeopleSource::Org).await.unwrap();
    let mut calls = Vec::new();
    for group in &groups {
        let before = okta.calls();
        assert!(okta.is_member(&someone, std::slice::from_ref(group)).await.unwrap());
        calls.push(okta.calls() - before);
    }
    let before = okta.calls();
    assert!(!okta.is_member(&someone, &["Nobody's".to_owned()]).await.unwrap());
    let all = okta.calls() - before;
    assert_eq!(calls, [all - 2, all - 1, all]);
}

/// On one thread, as above: what would be asked for in vain is counted before it could be given up.
#[tokio::test]
async fn a_list_that_is_read_to_its_end_takes_one_call_a_page_and_one_for_each_that_failed() {
    let sim = pages_of_one(4).await;
    #[rustfmt::skip]
    let table = [
        json!({"status": {"status": 500}}), json!({"html": {"status": 200}}), json!("dropConnection"),
        json!({"truncateBody": {"after": 100}}), json!({"cutJson": {"after": 100}}), json!("invalidToken"),
        json!({"wrongContentType": {"value": "text/plain"}}), json!({"concurrencyLimited": {"resetIn": 600}}),
    ];
    for kind in table {
        on_second_page(&sim, &kind, Some(1));
        let (okta, source) = (client(&sim), app(&sim));
        okta.organisation(&source).await.unwrap();
        let before = (okta.calls(), lists(&sim));
        let reading = read(&okta, &source).await;
        assert!(reading.complete && reading.pages == 4, "{kind}: {:?}", reading.failure);
        let token = u64::from(kind == "invalidToken");
        assert_eq!((okta.calls() - before.0, lists(&sim) - before.1), (4 + 1 + token, 4 + 1), "{kind}");
    }
}

// pager.rs, `look_ahead`: `following`.
#[tokio::test]
async fn p01_a_page_that_cannot_be_relied_on_is_the_last_one_that_is_handed_on_or_waited_for() {
    let sim = org(Options::with_people(1100, 7)).await;
    // What the headers show is seen before the next page is asked for; what an entry shows is seen after it.
    for (kind, reason, asked) in [
        (json!("nextLoop"), "PageLoop", 2),
        (json!({"status": {"status": 200, "body": "{\"errorCode\":\"E0000009\"}"}}), "AnswerUnexpected", 2),
        (json!("duplicateEntry"), "PageRepeated", 3),
        (json!({"missingEmbedded": {"every": 100}}), "PageEntry", 3),
    ] {
        on_second_page(&sim, &kind, None);
        let (okta, source) = (client(&sim), app(&sim));
        okta.organisation(&source).await.unwrap();
        let before = okta.calls();
        let reading = read(&okta, &source).await;
        let failure = reading.failure.unwrap();
        assert_eq!((reading.pages, reading.complete, failure.reason), (1, false, reason), "{kind}: {failure}");
        assert_eq!(okta.calls() - before, asked, "{kind}");
        until("nothing to be on its way any more", || sim.org().under_way() == 0).await;
    }
}

// state.rs, `refused`: the page that is asked for ahead as well.
#[tokio::test(flavor = "multi_thread")]
async fn p14_a_page_that_was_asked_for_ahead_and_refused_waits_like_any_other() {
    let sim = pages_of_one(3).await;
    on_second_page(&sim, &json!({"rateLimited": {"resetIn": 2}}), Some(1));
    let (okta, source) = (client(&sim), app(&sim));
    let mut pages = okta.people(&source);
    let began = Instant::now();
    assert!(!pages.next().await.unwrap().unwrap().last);
    until("the second page to be refused", || sim.org().counters().statuses.get(&429) == Some(&1)).await;
    assert_eq!(lists(&sim), 2);
    assert!(!pages.next().await.unwrap().unwrap().last);
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(pages.next().await.unwrap().unwrap().last);
    assert_eq!(lists(&sim), 3 + 1, "no call was made meanwhile");
}

// state.rs, `has_room`: the page that is asked for ahead as well.
#[tokio::test(flavor = "multi_thread")]
async fn p14_pages_asked_for_ahead_stay_within_the_share() {
    let sim = pages_of_one(20).await;
    assert!(sim.org().rate_limit("/api/v1/apps", 10));
    let mut settings = settings(&sim);
    settings.patience.longest_wait = Duration::from_secs(1);
    let okta = OktaClient::new(settings, Governor::new()).unwrap();
    let reading = read(&okta, &app(&sim)).await;
    let failure = reading.failure.unwrap();
    assert_eq!((reading.pages, failure.class, failure.reason), (8, Class::Budget, "BudgetUsedUp"), "{failure}");
    assert_eq!((lists(&sim), sim.org().counters().statuses.get(&429)), (8, None));
}
