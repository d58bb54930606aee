//! Promises that need both wires to be seen: the real clients between both simulators.
#![allow(clippy::unwrap_used)]

use engine::report::Outcome;
use jiff::SignedDuration;
use suites::Stage;

// apply.rs, `remove`: `in_force`.
#[tokio::test]
async fn p04_no_certificate_of_a_leaver_works_from_the_lock_on() {
    let mut stage = Stage::with_people(3).await;
    assert_eq!(stage.pass().await.outcome, Outcome::Succeeded);
    let (app, leaver) = (stage.app(), stage.okta.org().assigned(&stage.app()).unwrap()[0].clone());
    let name =
        stage.okta.org().app_user(&app, &leaver).unwrap()["credentials"]["userName"].as_str().unwrap().to_owned();
    let certificate = stage.teleport.issue_certificate(&name, SignedDuration::from_hours(30));
    assert!(stage.teleport.certificate_usable(&certificate));

    stage.okta.org().deactivate(&leaver).unwrap();
    let report = stage.pass().await;

    assert_eq!((report.outcome, report.counts.removed), (Outcome::Succeeded, 1), "{:?}", report.problems);
    assert!(stage.teleport.user(&name).is_none());
    assert!(!stage.teleport.certificate_usable(&certificate));
    let writes: Vec<String> = stage.teleport.writes().iter().map(|write| write.method.clone()).collect();
    let last = writes.iter().rev().take(2).rev().collect::<Vec<_>>();
    assert!(last[0].ends_with("UpsertLock") && last[1].ends_with("DeleteUser"), "{last:?}");
}

// people.rs, `note`: `unchanged`.
#[tokio::test]
async fn p09_a_pass_without_changes_costs_two_pages_and_no_write() {
    let mut stage = Stage::with_people(501).await;
    assert_eq!(stage.pass().await.outcome, Outcome::Succeeded);
    let writes = stage.teleport.writes().len();
    stage.teleport.record_requests();
    let report = stage.pass().await;
    assert_eq!((report.outcome, report.writes), (Outcome::Succeeded, 0));
    assert_eq!(stage.teleport.writes().len(), writes);
    // Whoever is as they should be is not even looked up.
    let asked = stage.teleport.requests();
    assert!(!asked.is_empty() && !asked.iter().any(|call| call.method == "GetUser"), "{} calls", asked.len());
    assert!(report.okta_calls <= 2 + 3, "ceil(501/500) + 3, but made {}", report.okta_calls);
}

// http.rs, `get`.
#[tokio::test]
async fn p18_okta_sees_nothing_but_get_and_the_token_request() {
    let mut stage = Stage::with_people(5).await;
    stage.pass().await;
    let leaver = stage.okta.org().assigned(&stage.app()).unwrap()[0].clone();
    stage.okta.org().deactivate(&leaver).unwrap();
    stage.pass().await;
    for write in stage.okta.org().writes() {
        assert_eq!((write.method.as_str(), write.path.as_str()), ("POST", "/oauth2/v1/token"));
    }
}
