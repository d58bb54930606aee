//! The fast path of the real operator, over a real API server, between both simulators. Full passes are a day apart, so what
//! is seen here within seconds comes from Okta's System Log, or from a full pass that the fast path asked for.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use kube::api::PostParams;
use okta_sim::Role;
use serde_json::{Value, json};
use suites::{House, Scrape, condition};
use teleport_sim::Fault;
use testkit::eventually;

const SOON: Duration = Duration::from_secs(60);

/// A specification with a day between full passes, and a brake that does not hold.
fn spec(house: &House) -> Value {
    let mut spec = house.spec();
    spec["interval"] = "24h".into();
    spec["removal"] = json!({ "brake": { "maxUsers": 1000 } });
    spec
}

/// A house with everybody imported, whose fast path works; and the id of that one pass.
async fn settled(people: usize, change: impl FnOnce(&mut Value)) -> (House, String) {
    let house = House::with_people(people).await;
    house.put_secrets().await;
    let mut spec = spec(&house);
    change(&mut spec);
    house.change(&spec).await;
    let resource = house.until_ready().await;
    house.until("the System Log to be read", |r| r["status"]["fastPath"]["state"] == "Active").await;
    (house, last_run(&resource))
}

fn last_run(resource: &Value) -> String {
    resource["status"]["lastRun"]["id"].as_str().unwrap().to_owned()
}

fn people(house: &House) -> Vec<String> {
    house.okta.org().assigned(&house.okta.ready().app_id).unwrap()
}

fn name(house: &House, person: &str) -> String {
    let user = house.okta.org().app_user(&house.okta.ready().app_id, person).unwrap();
    user["credentials"]["userName"].as_str().unwrap().to_owned()
}

/// Waits until `done`.
async fn until(what: &str, done: impl Fn() -> bool) {
    eventually(SOON, what, async || if done() { Ok(()) } else { Err("not yet") }).await.unwrap();
}

/// Waits until no session can be opened by a certificate from before, and the user is there, or is not.
async fn until_shut(house: &House, user: &str, exists: bool) {
    until(&format!("{user} to be shut out"), || {
        let session = house.teleport.session(user, None);
        !session.usable && session.user_exists == exists
    })
    .await;
}

async fn until_open(house: &House, user: &str) {
    until(&format!("{user} to be let in"), || {
        let session = house.teleport.session(user, None);
        session.usable && session.user_exists
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_in_okta_is_seen_and_done_without_a_full_pass() {
    let (house, pass) = settled(20, |_| {}).await;
    let (app, org, people) = (house.okta.ready().app_id, house.okta.org(), people(&house));
    let names: Vec<String> = people.iter().map(|person| name(&house, person)).collect();
    org.deactivate(&people[0]).unwrap();
    org.suspend(&people[1]).unwrap();
    org.unassign(&app, &people[2]).unwrap();
    org.deactivate(&people[3]).unwrap();
    org.delete_user(&people[3]).unwrap();
    org.update_profile(&people[4], &json!({ "department": "Night watch" })).unwrap();
    org.rename(&app, &people[5], "renamed@example.com").unwrap();
    for (n, exists) in [(0, false), (1, true), (2, false), (3, false), (5, false)] {
        until_shut(&house, &names[n], exists).await;
    }
    until_open(&house, "renamed@example.com").await;
    until("the new trait", || {
        let user = house.teleport.user(&names[4]).unwrap();
        user.traits.values().flatten().any(|value| value == "Night watch")
    })
    .await;

    // How long each took is measured, by Okta's clock.
    let observed = async || {
        let text = house.get("/metrics", "application/openmetrics-text; version=1.0.0").await;
        let scrape = Scrape::read(&text);
        let of = |part: &str| scrape.by(&format!("okta_user_sync_event_to_lock_seconds_{part}"), "reason");
        (of("count"), of("sum"))
    };
    let (count, sum) = observed().await;
    let expected = [("leaver", 3.0), ("renamed", 1.0), ("suspended", 1.0)].map(|(why, count)| (why.to_owned(), count));
    assert_eq!(count, expected.into());
    assert!(sum.values().all(|seconds| (0.0..3.0 * SOON.as_secs_f64()).contains(seconds)), "{sum:?}");

    // They come back.
    org.unsuspend(&people[1]).unwrap();
    org.assign(&app, &people[2], Some(&names[2])).unwrap();
    until_open(&house, &names[1]).await;
    until_open(&house, &names[2]).await;

    let resource = house.resource().await.unwrap();
    assert_eq!(last_run(&resource), pass, "no full pass ran");
    let remembered = resource["status"]["memory"]["removals"].as_array().unwrap();
    let removed: i64 = remembered.iter().map(|tally| tally["count"].as_i64().unwrap()).sum();
    assert_eq!(removed, 4, "P5: three leavers and one old name, in status: {resource:#}");
    assert!(resource["status"]["fastPath"]["lastEvent"].is_string());
}

// shown.rs, `due`.
#[tokio::test(flavor = "multi_thread")]
async fn p09_a_quiet_log_costs_no_write_to_kubernetes_and_one_call_a_poll() {
    let (house, _) = settled(6, |_| {}).await;
    let version = |resource: &Value| resource["metadata"]["resourceVersion"].clone();
    let before = version(&house.resource().await.unwrap());
    let (writes, counted) = (house.teleport.writes().len(), house.okta.org().counters());
    let polls = || house.okta.org().counters().of("GET", "/api/v1/logs") - counted.of("GET", "/api/v1/logs");
    until("ten polls", || polls() >= 10).await;
    let (polls, all) = (polls(), house.okta.org().counters().total - counted.total);
    assert!(all <= polls + 1, "{all} calls for {polls} polls");
    assert_eq!(version(&house.resource().await.unwrap()), before);
    assert_eq!(house.teleport.writes().len(), writes);
}

// shown.rs, `joins`.
#[tokio::test(flavor = "multi_thread")]
async fn p09_one_more_resource_on_a_log_that_is_read_writes_its_first_status_and_no_other() {
    let (house, _) = settled(2, |_| {}).await;
    // Another cluster takes the same people from the same organisation.
    let options = teleport_sim::Options { okta_app_id: house.okta.ready().app_id, ..teleport_sim::Options::default() };
    let other = teleport_sim::TeleportSim::start(options).await.unwrap();
    house.put_secret("other", &std::fs::read_to_string(&other.ready().identity_file).unwrap()).await;
    let mut spec = spec(&house);
    spec["teleport"]["address"] = other.ready().auth_address.clone().into();
    spec["teleport"]["identitySecretRef"]["name"] = "other".into();
    let object = json!({ "apiVersion": "usersync.dev/v1alpha1", "kind": "OktaUserSync",
                         "metadata": { "name": "second", "namespace": house.namespace }, "spec": spec });
    let resources = house.api::<api::OktaUserSync>();
    resources.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    let ready = eventually(SOON, "the second to be Ready", async || {
        let second = serde_json::to_value(resources.get("second").await.unwrap()).unwrap();
        let ready = condition(&second, "Ready")["status"] == "True";
        if ready { Ok(second) } else { Err(second["status"].to_string()) }
    });
    let first = ready.await.unwrap();
    assert_eq!(first["status"]["fastPath"]["state"], "Active", "the record of the first pass says it: {first:#}");

    // Many polls later, and long after the shortest time between two writes, nothing has been added.
    let before = house.okta.org().counters().of("GET", "/api/v1/logs");
    until("ten polls", || house.okta.org().counters().of("GET", "/api/v1/logs") - before >= 10).await;
    let second = resources.get("second").await.unwrap();
    assert_eq!(second.metadata.resource_version.as_deref(), first["metadata"]["resourceVersion"].as_str());
    // And it takes part: who leaves is shut out of both.
    let leaver = people(&house).remove(0);
    let user = name(&house, &leaver);
    house.okta.org().deactivate(&leaver).unwrap();
    until_shut(&house, &user, false).await;
    until("the leaver to be shut out of the second", || !other.session(&user, None).usable).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_groups_come_and_go_by_the_fast_path() {
    let house = House::with_people(6).await;
    let (org, people) = (house.okta.org(), people(&house));
    let group = org.create_group("Staff of the fast path").unwrap();
    for person in &people[..4] {
        org.join(&group, person).unwrap();
    }
    house.put_secrets().await;
    let mut spec = spec(&house);
    spec["scope"]["groups"] = json!(["Staff of the fast path"]);
    house.change(&spec).await;
    let resource = house.until_ready().await;
    assert_eq!(resource["status"]["users"]["created"], 4);
    house.until("the System Log to be read", |r| r["status"]["fastPath"]["state"] == "Active").await;
    org.leave(&group, &people[0]).unwrap();
    org.join(&group, &people[4]).unwrap();
    until_shut(&house, &name(&house, &people[0]), false).await;
    until_open(&house, &name(&house, &people[4])).await;
    assert_eq!(last_run(&house.resource().await.unwrap()), last_run(&resource));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_come_late_and_out_of_order_and_a_busy_log_are_coped_with() {
    let (house, pass) = settled(12, |_| {}).await;
    let (org, people) = (house.okta.org(), people(&house));
    let names: Vec<String> = people.iter().map(|person| name(&house, person)).collect();
    org.switch(|switches| {
        switches.log_delay_millis = 1500;
        switches.log_out_of_order = true;
    });
    for person in &people[..6] {
        org.suspend(person).unwrap();
    }
    for user in &names[..6] {
        until_shut(&house, user, true).await;
    }
    org.switch(|switches| {
        switches.log_delay_millis = 0;
        switches.log_out_of_order = false;
    });
    // The log refuses for a while, and fails for a while. What happens meanwhile is done afterwards.
    for kind in [json!({ "rateLimited": { "resetIn": 1 } }), json!({ "status": { "status": 503 } })] {
        org.fault_json(&json!({ "path": "/api/v1/logs", "count": 1, "kind": kind })).unwrap();
    }
    org.suspend(&people[6]).unwrap();
    until_shut(&house, &names[6], true).await;
    assert_eq!(last_run(&house.resource().await.unwrap()), pass);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_log_and_an_event_about_the_app_end_in_a_full_pass() {
    let (house, pass) = settled(6, |_| {}).await;
    let (org, people) = (house.okta.org(), people(&house));
    let leaver = name(&house, &people[0]);
    // Half an hour and more in which nothing was read: as after a long sleep of the machine.
    org.clock().advance_millis(31 * 60_000);
    org.deactivate(&people[0]).unwrap();
    let resource = house.until("a full pass", |resource| last_run(resource) != pass).await;
    until_shut(&house, &leaver, false).await;
    assert_eq!(condition(&resource, "Ready")["status"], "True");
}

// partial.rs, `grant`: `may_spend`.
#[tokio::test(flavor = "multi_thread")]
async fn p05_a_set_that_the_brake_holds_is_held_whole_by_a_full_pass() {
    let (house, pass) =
        settled(20, |spec| spec["removal"] = json!({ "brake": { "maxUsers": 2, "maxPercent": 0 } })).await;
    let (org, people) = (house.okta.org(), people(&house));
    let names: Vec<String> = people.iter().map(|person| name(&house, person)).collect();
    for person in &people[..4] {
        org.deactivate(person).unwrap();
    }
    org.suspend(&people[4]).unwrap();
    let resource = house.until("removals to be held", |r| r["status"]["pendingPlan"].is_object()).await;
    assert_ne!(last_run(&resource), pass);
    until_shut(&house, &names[4], true).await;
    let held = resource["status"]["pendingPlan"]["removals"].as_i64().unwrap();
    let gone = names[..4].iter().filter(|name| house.teleport.user(name).is_none()).count();
    assert!(held + i64::try_from(gone).unwrap() == 4 && gone <= 2, "{gone} gone, {held} held");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_scope_full_passes_go_on_and_status_says_what_to_grant() {
    let house = House::with_settings(4, |settings| settings.fast_path_interval = Duration::from_millis(50)).await;
    let org = house.okta.org();
    org.set_scopes(&["okta.apps.read", "okta.users.read"]);
    house.put_secrets().await;
    let mut spec = spec(&house);
    house.change(&spec).await;
    let resource = house.until("the refusal in status", |r| r["status"]["fastPath"]["state"] == "NotGranted").await;
    let told = resource["status"]["fastPath"]["message"].as_str().unwrap();
    assert!(told.contains("okta.logs.read"), "{told}");
    let resource = house.until_ready().await;
    assert_eq!(resource["status"]["users"]["created"], 4, "a pass needs no more than it did");

    // Demanded, it is an error with a remedy; nobody is left out for that.
    spec["okta"]["fastPath"] = "Required".into();
    house.change(&spec).await;
    let failed = |resource: &Value| condition(resource, "Ready")["reason"] == "FastPathNotGranted";
    let resource = house.until("the missing scope to be an error", failed).await;
    assert_eq!(condition(&resource, "Stalled")["status"], "True");
    assert!(resource["status"]["errors"][0]["remedy"].as_str().unwrap().contains("okta.logs.read"), "{resource:#}");
    assert_eq!(resource["status"]["users"]["synced"], 4);

    // Granted, it is seen without a hand moved.
    org.set_scopes(&["okta.apps.read", "okta.users.read", "okta.logs.read"]);
    house.until_ready().await;
    let leaver = people(&house).remove(0);
    let user = name(&house, &leaver);
    org.deactivate(&leaver).unwrap();
    until_shut(&house, &user, false).await;

    // The scope is granted, and no admin role shows the log.
    org.set_role(Role::None);
    org.revoke_tokens();
    house.until("the missing role in status", |r| r["status"]["fastPath"]["state"] == "NotGranted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaver_is_locked_while_an_import_is_running() {
    let house = House::with_people(400).await;
    house.teleport.fault(Fault::delay("CreateUser", Duration::from_millis(400)));
    house.put_secrets().await;
    house.change(&spec(&house)).await;
    let made = || house.teleport.user_names().len();
    let before = made();
    until("the import to be under way", || made() > before + 30).await;
    house.until("the System Log to be read", |r| r["status"]["fastPath"]["state"] == "Active").await;
    // Whoever has a user already leaves.
    let org = house.okta.org();
    let there = people(&house).into_iter().find(|person| house.teleport.user(&name(&house, person)).is_some()).unwrap();
    let user = name(&house, &there);
    let left = Instant::now();
    org.deactivate(&there).unwrap();
    until_shut(&house, &user, false).await;
    let took = left.elapsed();
    let done = made() - before;
    assert!(done < 390, "the import was still running: {done} users after {took:?}");
    // Whoever leaves before their turn gets no user.
    let resource = house.until_ready().await;
    assert_eq!(resource["status"]["users"]["created"].as_i64().unwrap(), 400, "made, and removed beside it");
    assert_eq!(made() - before, 399);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_the_log_was_left_without_a_full_pass_for_nothing() {
    let (mut house, pass) = settled(6, |_| {}).await;
    let (org, people) = (house.okta.org().clone(), people(&house));
    let names: Vec<String> = people.iter().map(|person| name(&house, person)).collect();
    let polls = |house: &House| house.okta.org().counters().of("GET", "/api/v1/logs");
    house.restart().await;
    let before = polls(&house);
    until("the new process to poll", || polls(&house) > before + 1).await;
    assert_eq!(last_run(&house.resource().await.unwrap()), pass, "a restart is no storm on Okta");
    org.deactivate(&people[0]).unwrap();
    until_shut(&house, &names[0], false).await;
    let resource = house.until("the full pass to end", |resource| last_run(resource) != pass).await;
    // From then on it knows who has which account.
    org.deactivate(&people[1]).unwrap();
    until_shut(&house, &names[1], false).await;
    assert_eq!(last_run(&house.resource().await.unwrap()), last_run(&resource));

    // Switched off, nothing is read.
    let mut spec = spec(&house);
    spec["okta"]["fastPath"] = "Disabled".into();
    house.change(&spec).await;
    house.until("it to be off", |r| r["status"]["fastPath"]["state"] == "Off").await;
    let before = polls(&house);
    house.pass().await;
    assert!(polls(&house) <= before + 1, "at most the poll under way");
}
