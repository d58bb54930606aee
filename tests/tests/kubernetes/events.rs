//! Events tell what a person would want to read: once, on the resource, in few words, and without naming anybody unless the
//! operator is told to.

use std::collections::BTreeMap;

use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use suites::{House, condition, ground::SOON};
use teleport_proto::types;
use teleport_sim::IdentityKind;
use testkit::eventually;

/// The bot of the simulated cluster, and its role.
const BOT: (&str, &str) = ("bot-okta-user-sync", "okta-user-sync");

async fn events(house: &House) -> Vec<Event> {
    house.api::<Event>().list(&ListParams::default()).await.unwrap().items
}

/// Waits for so many Events of this reason, and answers them in the order in which they were told.
async fn told(house: &House, reason: &str, count: usize) -> Vec<Event> {
    eventually(SOON, reason, async || {
        let all = events(house).await;
        let mut found: Vec<Event> =
            all.iter().filter(|event| event.reason.as_deref() == Some(reason)).cloned().collect();
        found.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        let reasons: Vec<_> = all.iter().filter_map(|event| event.reason.clone()).collect();
        if found.len() == count { Ok(found) } else { Err(format!("{} of {count}; there are {reasons:?}", found.len())) }
    })
    .await
    .unwrap()
}

/// A user that an administrator has made by hand.
fn local_user(name: &str) -> types::UserV2 {
    types::UserV2 {
        kind: "user".into(),
        version: "v2".into(),
        metadata: Some(types::Metadata { name: name.into(), ..types::Metadata::default() }),
        spec: Some(types::UserSpecV2 { roles: vec!["access".into()], ..types::UserSpecV2::default() }),
        ..types::UserV2::default()
    }
}

fn note(event: &Event) -> &str {
    event.note.as_deref().unwrap_or_default()
}

/// User names of the people of the app, by Okta id, in a stable order.
fn people(house: &House) -> Vec<(String, String)> {
    let (app, org) = (house.okta.ready().app_id, house.okta.org());
    let name = |id: &String| org.app_user(&app, id).unwrap()["credentials"]["userName"].as_str().unwrap().to_owned();
    org.assigned(&app).unwrap().into_iter().map(|id| (id.clone(), name(&id))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_a_resource_is_told_once_and_names_nobody() {
    let mut house = House::with_people(40).await;
    let people = people(&house);
    // Somebody has made a user of the same name by hand.
    house.teleport.put_user(&local_user(&people[0].1)).unwrap();
    house.put_secrets().await;
    house.change(&house.spec()).await;
    house.until("the import", |object| object["status"]["users"]["created"] == 39).await;
    let conflict = told(&house, "Conflict", 1).await;
    assert!(note(&conflict[0]).starts_with("1 people cannot be synced"), "{conflict:?}");

    // Leavers are told of each time: the second one's words are not lost in a count.
    for (n, (id, _)) in people[1..3].iter().enumerate() {
        house.okta.org().deactivate(id).unwrap();
        house.pass().await;
        told(&house, "LeaversLocked", n + 1).await;
    }

    // More than the brake lets go, and then one more: another plan, which another hash approves.
    for (id, _) in &people[3..13] {
        house.okta.org().deactivate(id).unwrap();
    }
    house.pass().await;
    told(&house, "RemovalsHeld", 1).await;
    house.okta.org().deactivate(&people[13].0).unwrap();
    let plan = house.pass().await["status"]["pendingPlan"].clone();
    let held = told(&house, "RemovalsHeld", 2).await;
    assert!(note(&held[1]).contains(plan["hash"].as_str().unwrap()), "{held:#?}");
    house.annotate("usersync.dev/approve-plan", plan["hash"].as_str().unwrap()).await;
    told(&house, "ApprovalUsed", 1).await;

    // A state that comes and goes is one Event with a count.
    for _ in 0..2 {
        house.put_secret("okta-key", "no key at all").await;
        house.until("a bad key", |object| condition(object, "Stalled")["reason"] == "KeyUnreadable").await;
        house.put_secret("okta-key", &house.okta_key()).await;
        house.until("the good one", |object| condition(object, "Stalled").is_null()).await;
    }
    let twice = eventually(SOON, "both to be counted", async || {
        let counted = |events: Vec<Event>| events[0].series.as_ref().map(|series| series.count);
        let counts = (counted(told(&house, "KeyUnreadable", 1).await), counted(told(&house, "Recovered", 1).await));
        if counts == (Some(2), Some(2)) { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    twice.await.unwrap();

    // Nobody renews the identity: told once, in time.
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5);
    let identity = house.teleport.identity(&IdentityKind::user(BOT.0, &[BOT.1]).until(soon)).unwrap();
    house.put_secret("identity", &identity).await;
    told(&house, "IdentityExpiring", 1).await;
    house.pass().await;
    told(&house, "IdentityExpiring", 1).await;

    let resource = house.resource().await.unwrap();
    let all = events(&house).await;
    for event in &all {
        let regarding = event.regarding.as_ref().unwrap();
        assert_eq!((regarding.kind.as_deref(), regarding.name.as_deref()), (Some("OktaUserSync"), Some("acme")));
        assert_eq!(regarding.uid.as_deref(), resource["metadata"]["uid"].as_str());
        assert!(note(event).len() <= 1024 && !note(event).is_empty(), "{event:?}");
        for (_, name) in &people {
            assert!(!note(event).contains(name.as_str()), "{name} is named in {event:?}");
        }
    }
    let kinds: BTreeMap<_, _> =
        all.iter().map(|event| (event.reason.clone().unwrap(), event.type_.clone().unwrap())).collect();
    for (reason, kind) in [
        ("Conflict", "Warning"),
        ("LeaversLocked", "Normal"),
        ("RemovalsHeld", "Warning"),
        ("ApprovalUsed", "Normal"),
        ("KeyUnreadable", "Warning"),
        ("Recovered", "Normal"),
        ("IdentityExpiring", "Warning"),
    ] {
        assert_eq!(kinds[reason], kind, "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_it_was_is_told_where_the_operator_is_told_to_show_names() {
    let mut house = House::with_settings(3, |settings| settings.events_show_names = true).await;
    let people = people(&house);
    house.put_secrets().await;
    house.change(&house.spec()).await;
    house.until_ready().await;
    for (n, (id, _)) in people[..2].iter().enumerate() {
        house.okta.org().suspend(id).unwrap();
        house.pass().await;
        told(&house, "SuspendedLocked", n + 1).await;
    }
    let notes: Vec<String> =
        told(&house, "SuspendedLocked", 2).await.iter().map(|event| note(event).to_owned()).collect();
    let expected = |name: &str| format!("1 suspended people were locked: {name}");
    assert_eq!(notes, [expected(&people[0].1), expected(&people[1].1)]);
}
