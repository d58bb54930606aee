//! P15 where the world has gone: a resource that is deleted while Teleport does not answer, or Okta is no more.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use k8s_openapi::api::{core::v1::Secret, events::v1::Event};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serde_json::{Value, json};
use suites::{House, Log};
use teleport_sim::Lag;
use testkit::eventually;
use tokio::sync::OnceCell;

/// What the operators of this process log. The houses are told apart by their namespaces.
async fn log() -> &'static Log {
    static LOG: OnceCell<Log> = OnceCell::const_new();
    LOG.get_or_init(async || {
        let log = Log::default();
        tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).init();
        log
    })
    .await
}

/// The lines of the log that speak of this house.
fn lines(log: &Log, house: &House) -> Vec<String> {
    log.text().lines().filter(|line| line.contains(&house.namespace)).map(str::to_owned).collect()
}

/// A house of three people whose resource locks them at its end, and a second for that.
async fn house() -> House {
    house_with("Auto").await
}

/// The same with that word for the fast path.
async fn house_with(fast_path: &str) -> House {
    let house = House::with_settings(3, |settings| settings.cleanup_within = Duration::from_secs(1)).await;
    house.put_secrets().await;
    let mut spec = house.spec();
    spec["deletionPolicy"] = "Lock".into();
    spec["okta"]["fastPath"] = fast_path.into();
    house.change(&spec).await;
    house.until_ready().await;
    house
}

/// Somebody leaves, whose lock will be stored and not come into force, so that whoever makes it asks about it again and again.
fn somebody_leaves(house: &House) {
    house.teleport.set_lag(Lag { locks_ms: 3_600_000, ..Lag::default() });
    let org = house.okta.org();
    org.deactivate(&org.assigned(&house.okta.ready().app_id).unwrap()[0]).unwrap();
}

/// Teleport falls silent once that lock is stored.
async fn teleport_falls_silent(house: &House) {
    let locked = async || if house.teleport.locks().len() == 1 { Ok(()) } else { Err("not yet") };
    eventually(suites::ground::SOON, "the leaver to be locked", locked).await.unwrap();
    house.teleport.hold_after(0);
}

/// The resource is deleted, and goes, though Teleport, which has so many users and one lock on them, is silent.
async fn ends_with_what_is_left_behind(house: &House, users: usize) {
    house.remove().await;
    let told = event(house, "LeftBehind").await;
    assert!(told.contains("Teleport did not answer in time"), "{told}");
    assert_eq!((house.teleport.locks().len(), house.teleport.state().users), (1, users));
}

/// What the Event with this reason says.
async fn event(house: &House, reason: &str) -> String {
    let events: Api<Event> = house.api();
    eventually(suites::ground::SOON, reason, async || {
        let all = events.list(&ListParams::default()).await.unwrap().items;
        let told: Vec<String> = all.iter().filter_map(|event| event.reason.clone()).collect();
        let found = all.into_iter().find(|event| event.reason.as_deref() == Some(reason));
        found.and_then(|event| event.note).ok_or(format!("{told:?}"))
    })
    .await
    .unwrap()
}

// finalizer.rs, `clean_up`: `within`; `end`: `leave_behind`; attempt.rs, `run`: `deleted`.
#[tokio::test(flavor = "multi_thread")]
async fn p15_deletion_ends_although_teleport_does_not_answer() {
    let log = log().await;
    let house = house().await;
    let owner = format!("usersync.dev/owner={}/acme", house.namespace);
    let users = house.teleport.state().users;
    // Every call is heard, and none is answered; a pass is waiting for one already.
    house.teleport.hold_after(0);
    house.request().await;
    eventually(suites::ground::SOON, "a call", async || match house.teleport.kept_waiting() {
        0 => Err("none has come"),
        _ => Ok(()),
    })
    .await
    .unwrap();
    house.remove().await;
    let told = event(&house, "LeftBehind").await;
    assert!(told.contains(&owner) && told.contains("Teleport did not answer in time"), "{told}");
    let left = lines(log, &house);
    let left = left.iter().find(|line| line.contains("without its deletionPolicy being carried out")).unwrap();
    assert!(left.contains("WARN") && left.contains("Teleport did not answer in time"), "{left}");
    // Nothing was half done: the users are there, and none of them is locked.
    assert_eq!((house.teleport.locks().len(), house.teleport.state().users), (0, users));
}

/// The same once its fast path works.
async fn with_fast_path() -> House {
    let house = house().await;
    house.until("the System Log to be read", |r| r["status"]["fastPath"]["state"] == "Active").await;
    house
}

// lane.rs, `broken_off`: `shut`.
#[tokio::test(flavor = "multi_thread")]
async fn p15_deletion_does_not_wait_for_a_partial_pass_to_which_okta_does_not_answer() {
    let _ = log().await;
    let house = with_fast_path().await;
    let org = house.okta.org();
    let leaver = org.assigned(&house.okta.ready().app_id).unwrap()[0].clone();
    let silence = json!({ "path": format!("*{leaver}"), "kind": { "slow": { "millis": 3_600_000 } } });
    org.fault_json(&silence).unwrap();
    org.deactivate(&leaver).unwrap();
    let asked = async || if org.faults()[0].struck > 0 { Ok(()) } else { Err("not asked yet") };
    eventually(suites::ground::SOON, "the fast path to ask about the leaver", asked).await.unwrap();
    house.remove().await;
    assert_eq!(event(&house, "CleanedUp").await, "3 users locked, 0 locked and deleted");
    assert_eq!(house.teleport.locks().len(), 3);
}

// lane.rs, `close`: `given_up`.
#[tokio::test(flavor = "multi_thread")]
async fn p15_deletion_ends_although_teleport_falls_silent_on_a_partial_pass_that_has_written() {
    let _ = log().await;
    let house = with_fast_path().await;
    let users = house.teleport.state().users;
    somebody_leaves(&house);
    teleport_falls_silent(&house).await;
    ends_with_what_is_left_behind(&house, users).await;
}

// attempt.rs, `run`: `patience`.
#[tokio::test(flavor = "multi_thread")]
async fn p15_deletion_ends_although_teleport_falls_silent_on_a_full_pass_that_has_written() {
    let _ = log().await;
    let house = house_with("Disabled").await;
    let users = house.teleport.state().users;
    somebody_leaves(&house);
    house.request().await;
    teleport_falls_silent(&house).await;
    ends_with_what_is_left_behind(&house, users).await;
}

// finalizer.rs, `clean_up`: `for_cleanup`.
#[tokio::test(flavor = "multi_thread")]
async fn p15_deletion_needs_nothing_of_an_okta_that_is_gone() {
    let log = log().await;
    let mut house = house().await;
    // The organisation is deleted, and with it its address.
    let gone = okta_sim::OktaSim::start(okta_sim::Options::with_people(0, 1)).await.unwrap();
    drop(std::mem::replace(&mut house.okta, gone));
    house.request().await;
    house
        .until("Okta to be missed", |resource: &Value| suites::condition(resource, "OktaReady")["status"] == "False")
        .await;
    // So is the key, which is of no use any more.
    house.api::<Secret>().delete("okta-key", &DeleteParams::default()).await.unwrap();
    house.remove().await;
    assert_eq!(event(&house, "CleanedUp").await, "3 users locked, 0 locked and deleted");
    assert_eq!(house.teleport.locks().len(), 3);
    let lines = lines(log, &house);
    assert!(lines.iter().any(|line| line.contains("released the deleted resource")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("are left in Teleport")), "{lines:#?}");
}

// cleanup.rs, `what_counts`: `roles`, `filter`, `traits`.
#[tokio::test(flavor = "multi_thread")]
async fn p15_deletion_needs_nothing_that_says_who_belongs_and_what_they_are_given() {
    let _ = log().await;
    let house = house().await;
    let mut spec = house.spec();
    spec["deletionPolicy"] = "Lock".into();
    spec["scope"]["filter"] = "user.profile.".into();
    spec["users"] = json!({ "roles": ["editor"], "traits": { "include": ["[a-"] } });
    house.change(&spec).await;
    house.until("a refusal", |resource: &Value| resource["status"]["lastRun"]["result"] == "Refused").await;
    house.remove().await;
    assert_eq!(event(&house, "CleanedUp").await, "3 users locked, 0 locked and deleted");
    assert_eq!(house.teleport.locks().len(), 3);
}
