//! A status answers at a glance, and is not written when there is nothing to say.

use serde_json::{Value, json};
use suites::House;

// reconcile.rs: the `observed_generation` is compared before `begun` is written.
#[tokio::test(flavor = "multi_thread")]
async fn p09_a_pass_that_finds_nothing_is_one_status_write_and_nothing_else() {
    let mut house = House::with_people(5).await;
    house.put_secrets().await;
    house.change(&house.spec()).await;
    house.until_ready().await;
    house.witness.catch_up(suites::ground::SOON).await.unwrap();
    let (before, writes) = (house.witness.versions("acme").len(), house.teleport.writes().len());
    for _ in 0..3 {
        house.pass().await;
    }
    house.witness.catch_up(suites::ground::SOON).await.unwrap();
    let versions = house.witness.versions("acme");
    assert_eq!(versions.len() - before, 3 * 2, "for each pass: the annotation that asked for it, and one status");
    assert_eq!(house.teleport.writes().len(), writes);
    // But for the record of the run itself, what they say is the same.
    let said = |version: &Value| {
        let mut status = version["status"].clone();
        for of_the_run in ["lastRun", "lastSuccessfulRun", "nextRun", "lastHandledReconcileAt", "okta"] {
            status.as_object_mut().unwrap().remove(of_the_run);
        }
        // How far the log was read by then.
        status["fastPath"].as_object_mut().unwrap().remove("cursor");
        status
    };
    assert_eq!(said(&versions[before + 1]), said(versions.last().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_answers_at_a_glance() {
    let mut house = House::with_people(20).await;
    house.put_secrets().await;
    house.change(&house.spec()).await;
    house.until_ready().await;
    let org = house.okta.org();
    let people = org.assigned(&house.okta.ready().app_id).unwrap();
    org.suspend(&people[0]).unwrap();
    for person in &people[1..9] {
        org.deactivate(person).unwrap();
    }
    let status = house.pass().await["status"].clone();
    let users = &status["users"];
    for (count, number) in [
        ("inScope", 12),
        ("synced", 12),
        ("created", 0),
        ("updated", 0),
        ("suspended", 1),
        ("locked", 1),
        ("removed", 0),
        ("conflicts", 0),
        ("skipped", 0),
        ("held", 8),
    ] {
        assert_eq!(users[count], number, "{count} in {users:#}");
    }
    let run = &status["lastRun"];
    assert_eq!((&run["result"], &run["read"]), (&json!("Held"), &json!("complete")), "{run:#}");
    assert!(run["oktaCalls"].as_i64().is_some_and(|calls| calls > 0), "{run:#}");
    assert!(run["duration"].as_str().is_some_and(|duration| duration.ends_with('s')), "{run:#}");
    for time in [&run["started"], &status["lastSuccessfulRun"], &status["nextRun"]] {
        assert!(time.as_str().is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok()), "{status:#}");
    }
    let plan = &status["pendingPlan"];
    assert_eq!((plan["removals"].as_i64(), plan["sample"].as_array().map(Vec::len)), (Some(8), Some(8)), "{plan:#}");

    // A list that breaks off says at which page, and every problem has a class and a remedy.
    house.okta.org().fault_json(&json!({ "path": "*/users*", "kind": { "status": { "status": 503 } } })).unwrap();
    let status = house.pass().await["status"].clone();
    let problem = &status["errors"][0];
    assert!(["class", "message", "remedy"].iter().all(|field| problem[field].is_string()), "{problem:#}");
    assert!(
        status["lastRun"]["read"].as_str().is_some_and(|read| read.starts_with("incomplete at page 1")),
        "{status:#}"
    );
    assert_eq!(status["pendingPlan"]["hash"], plan["hash"], "a failed read releases nothing");
}
