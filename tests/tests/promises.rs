//! Promises that need both wires to be seen: the real clients between both simulators.
#![allow(clippy::unwrap_used)]

use engine::report::Outcome;
use jiff::SignedDuration;
use serde_json::json;
use suites::Stage;
use teleport_proto::types;
use teleport_sim::TeleportSim;
use testkit::eventually;

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

// apply.rs, `remove`: `may_lock`.
#[tokio::test]
async fn p06_a_name_that_changes_hands_within_a_pass_is_not_locked_for_its_former_owner() {
    let mut stage = Stage::with_people(3).await;
    assert_eq!(stage.pass().await.outcome, Outcome::Succeeded);
    let (app, org) = (stage.app(), stage.okta.org().clone());
    let leaver = org.assigned(&app).unwrap()[0].clone();
    let name = org.app_user(&app, &leaver).unwrap()["credentials"]["userName"].as_str().unwrap().to_owned();
    org.deactivate(&leaver).unwrap();
    // Teleport's users are listed before Okta is asked about the leaver; that answer takes its time.
    org.fault_json(&json!({ "path": format!("*{leaver}"), "count": 1, "kind": { "slow": { "millis": 2000 } } }))
        .unwrap();
    let changes_hands = async |teleport: &TeleportSim| {
        let asked = async || if org.faults()[0].struck > 0 { Ok(()) } else { Err("not asked yet") };
        eventually(suites::ground::SOON, "Okta to be asked about the leaver", asked).await.unwrap();
        let metadata = types::Metadata { name: name.clone(), ..types::Metadata::default() };
        teleport.remove_user(&name);
        teleport.put_user(&types::UserV2 { metadata: Some(metadata), ..types::UserV2::default() }).unwrap();
    };
    let report = stage.pass_while(changes_hands).await;
    assert_eq!((report.counts.removed, report.counts.failed), (0, 1), "{:?}", report.problems);
    assert_eq!((report.problems[0].class.as_str(), report.problems[0].user.as_str()), ("Conflict", name.as_str()));
    assert!(stage.teleport.locks().is_empty() && stage.teleport.user(&name).is_some());
    let session = stage.teleport.session(&name, None);
    assert!(session.user_exists && session.usable, "nobody keeps its new owner out");
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
