//! Everything that can go wrong while a list is read, and what comes of it: complete, incomplete, refused. Never a
//! shorter list that calls itself complete (P1).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use std::time::{Duration, Instant};

use common::{app, client, lists, org, read, settings, until};
use engine::{
    directory::Directory,
    failure::Class,
    person::{AssignmentStatus, PersonStatus},
};
use okta::{Governor, OktaClient};
use okta_sim::Options;
use serde_json::{Value, json};

/// People in the organisation: three pages.
const PEOPLE: usize = 1100;

/// What has to come of a fault.
enum Outcome {
    /// Everybody was read.
    Complete,
    /// So many pages were read, then this class and reason.
    Incomplete(usize, Class, &'static str),
}
use Class::{Budget, Configuration, Credential, Permission, Transient};
use Outcome::{Complete, Incomplete};

/// The fault on the app's list, from its second page on. It is told by its cursor: the page that a former walk has asked for
/// and given up may come in late, and would be counted.
fn on_second_page(kind: &Value, count: Option<u64>) -> Value {
    json!({"path": "/api/v1/apps/*/users", "query": "after=", "count": count, "kind": kind})
}

// pager.rs, `step`: the end of the walk at an error.
#[tokio::test(flavor = "multi_thread")]
async fn p01_each_fault_on_a_page_has_its_outcome() {
    let sim = org(Options::with_people(PEOPLE, 7)).await;
    #[rustfmt::skip]
    let table = [
        // Passes by itself within a call's patience.
        (json!({"status": {"status": 500}}), Some(1), Complete),
        (json!({"status": {"status": 503}}), Some(2), Complete),
        (json!({"html": {"status": 502}}), Some(1), Complete),
        (json!({"html": {"status": 200}}), Some(1), Complete),
        (json!("dropConnection"), Some(2), Complete),
        (json!({"truncateBody": {"after": 1000}}), Some(1), Complete),
        (json!({"cutJson": {"after": 1000}}), Some(1), Complete),
        (json!({"wrongContentType": {"value": "text/plain"}}), Some(1), Complete),
        (json!("invalidToken"), Some(1), Complete),
        (json!("revokeToken"), Some(1), Complete),
        (json!({"rateLimited": {"resetIn": 1}}), Some(1), Complete),
        (json!({"rateLimited": {"resetIn": 1, "withoutDate": true}}), Some(1), Complete),
        (json!({"rateLimited": {"resetIn": 1, "withoutHeaders": true}}), Some(1), Complete),
        (json!({"concurrencyLimited": {"resetIn": 600}}), Some(1), Complete),
        // Does not matter.
        (json!("foldLinks"), None, Complete),
        (json!({"foreignNext": {"base": "https://evil.example.com"}}), None, Complete),
        (json!("stripRateHeaders"), None, Complete),
        (json!("doubleRateHeaders"), None, Complete),
        (json!("stripDate"), None, Complete),
        (json!("extraFields"), None, Complete),
        (json!("unknownStatus"), None, Complete),
        (json!("omitNulls"), None, Complete),
        (json!("reverse"), None, Complete),
        (json!({"padding": {"bytes": 2_000_000}}), None, Complete),
        (json!({"slow": {"millis": 50}}), None, Complete),
        // Does not pass.
        (json!({"status": {"status": 500}}), None, Incomplete(1, Transient, "OktaUnavailable")),
        (json!({"html": {"status": 502}}), None, Incomplete(1, Transient, "OktaUnavailable")),
        (json!({"status": {"status": 503}}), None, Incomplete(1, Transient, "OktaReadOnly")),
        (json!({"html": {"status": 200}}), None, Incomplete(1, Transient, "NotOkta")),
        (json!("dropConnection"), None, Incomplete(1, Transient, "OktaUnavailable")),
        (json!({"truncateBody": {"after": 1000}}), None, Incomplete(1, Transient, "OktaUnavailable")),
        (json!({"cutJson": {"after": 1000}}), None, Incomplete(1, Transient, "OktaUnavailable")),
        (json!({"wrongContentType": {"value": "text/plain"}}), None, Incomplete(1, Transient, "NotOkta")),
        (json!({"padding": {"bytes": 40_000_000}}), None, Incomplete(1, Transient, "AnswerTooBig")),
        (json!({"redirect": {"location": "https://evil.example.com"}}), None, Incomplete(1, Transient, "NotOkta")),
        (json!("invalidToken"), None, Incomplete(1, Credential, "TokenRefused")),
        (json!({"status": {"status": 400}}), None, Incomplete(1, Configuration, "RequestRefused")),
        (json!({"status": {"status": 403}}), None, Incomplete(1, Permission, "AdminRoleMissing")),
        (json!({"status": {"status": 404}}), None, Incomplete(1, Configuration, "NotFound")),
        (json!({"rateLimited": {"resetIn": 100}}), None, Incomplete(1, Budget, "BudgetUsedUp")),
        // The answer is one, but not to be relied on.
        (json!({"missingEmbedded": {"every": 100}}), None, Incomplete(1, Transient, "PageEntry")),
        (json!({"emptyEmbedded": {"every": 100}}), None, Incomplete(1, Transient, "PageEntry")),
        (json!("foreignEmbedded"), None, Incomplete(1, Transient, "PageEntry")),
        (json!("duplicateEntry"), None, Incomplete(1, Transient, "PageRepeated")),
        (json!("nextLoop"), None, Incomplete(1, Transient, "PageLoop")),
        (json!({"status": {"status": 200, "body": "{\"errorCode\":\"E0000009\"}"}}), None,
            Incomplete(1, Transient, "AnswerUnexpected")),
    ];
    let everybody = sim.org().assigned(&sim.ready().app_id).unwrap();
    for (kind, count, outcome) in table {
        sim.org().clear_faults();
        sim.org().fault_json(&on_second_page(&kind, count)).unwrap();
        let reading = read(&client(&sim), &app(&sim)).await;
        let struck: u64 = sim.org().faults().iter().map(|posted| posted.struck).sum();
        assert!(struck > 0, "{kind} never struck");
        match outcome {
            Complete => {
                assert!(reading.complete, "{kind}: {:?}", reading.failure);
                assert_eq!(reading.people.len(), everybody.len(), "{kind}");
            }
            Incomplete(pages, class, reason) => {
                assert!(!reading.complete, "{kind} was taken for complete");
                let failure = reading.failure.unwrap();
                assert_eq!((reading.pages, failure.class, failure.reason), (pages, class, reason), "{kind}: {failure}");
                assert!(failure.message.contains("page 2 of /api/v1/apps/"), "{kind}: {failure}");
                assert!(failure.remedy.len() > 20, "{kind}: {}", failure.remedy);
                assert!(!failure.message.contains("after="), "{kind} shows a cursor: {failure}");
            }
        }
    }
    let counters = sim.org().counters();
    assert_eq!(counters.hosts.len(), 1, "no call went to another host: {:?}", counters.hosts);
}

/// What looks like a whole list and is none cannot be seen from one page. It is the engine that then asks by id (P3).
#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_engine_can_notice_is_handed_on_as_it_is() {
    let sim = org(Options::with_people(20, 7)).await;
    for (kind, people) in [(json!("emptyList"), 0), (json!({"shortList": {"keep": 5}}), 5)] {
        sim.org().clear_faults();
        sim.org().fault_json(&json!({"path": "/api/v1/apps/*/users", "kind": kind})).unwrap();
        let okta = client(&sim);
        let reading = read(&okta, &app(&sim)).await;
        assert_eq!((reading.complete, reading.people.len()), (true, people));
        for id in sim.org().assigned(&sim.ready().app_id).unwrap() {
            let standing = okta.person(&app(&sim), &id).await.unwrap();
            assert!(matches!(standing, engine::directory::Standing::Present(_)));
        }
    }
}

// pager.rs, `step`: the end of the walk at an error.
#[tokio::test(flavor = "multi_thread")]
async fn p01_a_cursor_that_has_expired_ends_the_walk() {
    let sim = org(Options::with_people(1100, 7)).await;
    sim.org().switch(|switches| switches.cursor_seconds = 60);
    let okta = client(&sim);
    let source = app(&sim);
    let mut pages = okta.people(&source);
    assert!(!futures::StreamExt::next(&mut pages).await.unwrap().unwrap().last);
    // The second page is asked for already, and names the third.
    until("the second page to be asked for", || lists(&sim) == 2).await;
    sim.org().clock().advance_millis(120_000);
    assert!(!futures::StreamExt::next(&mut pages).await.unwrap().unwrap().last);
    let failure = futures::StreamExt::next(&mut pages).await.unwrap().unwrap_err();
    assert!(failure.class.retry(), "{failure:?}");
    assert!(futures::StreamExt::next(&mut pages).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_words_of_okta_are_kept() {
    let sim = org(Options::with_people(3, 7)).await;
    sim.org().fault_json(&json!({"path": "/api/v1/apps/*/users", "kind": "unknownStatus"})).unwrap();
    let reading = read(&client(&sim), &app(&sim)).await;
    assert!(reading.complete);
    for person in reading.people {
        assert_eq!(person.status, PersonStatus::Other("HIBERNATING".to_owned()));
        assert_eq!(person.assignment, Some(AssignmentStatus::Other("LEVITATING".to_owned())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_ends_at_the_bound() {
    let sim = org(Options::with_people(300, 7)).await;
    sim.org()
        .fault_json(&json!({"path": "/api/v1/apps/*/users", "kind": {"slowBody": {"piece": 100, "millis": 200}}}))
        .unwrap();
    let mut settings = settings(&sim);
    settings.patience.timeout = Duration::from_secs(2);
    settings.patience.tries = 1;
    let okta = OktaClient::new(settings, Governor::new()).unwrap();
    let began = Instant::now();
    let failure = read(&okta, &app(&sim)).await.failure.unwrap();
    assert_eq!((failure.class, failure.reason), (Transient, "OktaUnavailable"), "{failure}");
    assert!(failure.message.contains("not answered within 2 s"), "{failure}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

// state.rs, `refused`.
#[tokio::test(flavor = "multi_thread")]
async fn p14_a_rate_limit_is_waited_out_and_no_call_is_made_meanwhile() {
    let sim = org(Options::with_people(3, 7)).await;
    let okta = client(&sim);
    assert!(read(&okta, &app(&sim)).await.complete);
    sim.org()
        .fault_json(&json!({"path": "/api/v1/apps/*/users", "count": 1, "kind": {"rateLimited": {"resetIn": 2}}}))
        .unwrap();
    let (began, before) = (Instant::now(), lists(&sim));
    assert!(read(&okta, &app(&sim)).await.complete);
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(lists(&sim), before + 2, "one refused, one taken");
}

// state.rs, `has_room`.
#[tokio::test(flavor = "multi_thread")]
async fn p14_a_real_bucket_is_never_overdrawn() {
    let sim = org(Options::with_people(3, 7)).await;
    assert!(sim.org().rate_limit("/api/v1/apps", 10));
    let mut settings = settings(&sim);
    settings.patience.longest_wait = Duration::from_secs(1);
    let okta = OktaClient::new(settings, Governor::new()).unwrap();
    let mut outcomes = Vec::new();
    for _ in 0..15 {
        outcomes.push(read(&okta, &app(&sim)).await.failure.map(|failure| failure.class));
    }
    // Lists leave a fifth to questions about single people, which use up the rest, and no more than that.
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_none()).count(), 8);
    assert!(outcomes[8..].iter().all(|outcome| *outcome == Some(Budget)));
    let person = sim.org().assigned(&sim.ready().app_id).unwrap().remove(0);
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(okta.person(&app(&sim), &person).await.err().map(|failure| failure.class));
    }
    assert_eq!(asked, [None, None, Some(Budget), Some(Budget)]);
    assert_eq!(sim.org().counters().statuses.get(&429), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trouble_of_one_list_is_bounded_over_all_its_pages() {
    let sim = org(Options::with_people(20, 7)).await;
    sim.org().switch(|switches| switches.page_entries = 1);
    // Every page fails at first: one try more each, and none where no time may be lost.
    for (longest_trouble, pages) in [(Duration::from_secs(600), 20), (Duration::ZERO, 0)] {
        let mut settings = settings(&sim);
        settings.patience.longest_trouble = longest_trouble;
        let okta = OktaClient::new(settings, Governor::new()).unwrap();
        okta.organisation(&app(&sim)).await.unwrap();
        sim.org().fault_json(&json!({"path": "/api/v1/apps/*/users", "count": 1, "kind": "dropConnection"})).unwrap();
        let reading = read(&okta, &app(&sim)).await;
        assert_eq!((reading.complete, reading.pages), (pages > 0, pages), "{:?}", reading.failure);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_token_endpoint_pass_or_are_told() {
    #[rustfmt::skip]
    let table = [
        (json!({"status": {"status": 503}}), Some(1), None),
        (json!("dropConnection"), Some(1), None),
        (json!({"rateLimited": {"resetIn": 1}}), Some(1), None),
        (json!({"oauthError": {"status": 401, "error": "invalid_client", "description": "The client_assertion token has already been used."}}), Some(1), None),
        (json!({"oauthError": {"status": 401, "error": "invalid_client", "description": "Error retrieving the client JWKSet from jwks_uri."}}), None, Some((Transient, "JwksUnreachable"))),
        (json!({"status": {"status": 500}}), None, Some((Transient, "OktaUnavailable"))),
        (json!({"html": {"status": 200}}), None, Some((Configuration, "NotOkta"))),
        (json!({"status": {"status": 200, "body": "{}"}}), None, Some((Transient, "AnswerUnexpected"))),
    ];
    let sim = org(Options::with_people(3, 7)).await;
    for (kind, count, expected) in table {
        sim.org().clear_faults();
        sim.org().fault_json(&json!({"path": "/oauth2/v1/token", "count": count, "kind": kind})).unwrap();
        let failure = client(&sim).organisation(&app(&sim)).await.err();
        assert_eq!(failure.as_ref().map(|f| (f.class, f.reason)), expected, "{kind}: {failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_and_a_strange_one_is_not() {
    let sim = org(Options::with_people(3, 7)).await;
    sim.org().renew_certificate().unwrap();
    assert!(read(&client(&sim), &app(&sim)).await.complete);
    sim.org().foreign_certificate().unwrap();
    let failure = read(&client(&sim), &app(&sim)).await.failure.unwrap();
    assert_eq!((failure.class, failure.reason), (Configuration, "CertificateUntrusted"), "{failure}");
}
