//! Locks: stored, and enforced a moment later.

use std::time::Duration;

use engine::{cluster::Cluster as _, lock::LockReason, user::label};
use jiff::SignedDuration;
use teleport_proto::types;
use teleport_sim::{Fault, IdentityKind, Lag, Options};
use tonic::Code;

use crate::fixture::{bot, client, new_lock, new_user, settings, start, started};

#[tokio::test]
async fn a_lock_is_in_force_only_once_the_server_enforces_it() {
    let (sim, client) = started().await;
    sim.set_lag(Lag { locks_ms: 700, ..Lag::default() });
    client.create_user(new_user("ada@acme.com")).await.unwrap();
    let certificate = sim.issue_certificate("ada@acme.com", SignedDuration::from_hours(10));
    let lock = new_lock("ada@acme.com");
    client.put_lock(&lock).await.unwrap();

    assert!(sim.locks().iter().any(|stored| stored.name == lock.name && !stored.enforced), "stored");
    assert!(client.locks().await.unwrap().is_empty(), "but not enforced");
    assert!(sim.certificate_usable(&certificate));

    let enforced = client.in_force(std::slice::from_ref(&lock.name)).await.unwrap();
    assert!(enforced.contains(&lock.name));
    assert!(!sim.certificate_usable(&certificate), "P4: no old certificate works any more");

    let listed = client.locks().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].expires, listed[0].ours.clone()), (lock.expires, lock.ours.clone()));
    assert!(listed[0].created.is_some());
    let stored = &sim.locks()[0];
    assert_eq!((stored.expires, stored.storage_expires), (lock.expires, lock.expires), "P10: both expiries");
    assert_eq!(stored.user, "ada@acme.com");
    assert!(!stored.labels.contains_key(label::ORIGIN), "a bot's lock carries no origin");
}

#[tokio::test]
async fn the_wait_for_enforcement_is_bounded_and_says_which_locks_made_it() {
    let sim = start(Options::default()).await;
    sim.set_lag(Lag { locks_ms: 0, ..Lag::default() });
    let mut settings = settings(&sim);
    settings.lock_wait = Duration::from_millis(600);
    let client = teleport::TeleportClient::connect(settings).unwrap();
    let (early, late) = (new_lock("ada@acme.com"), new_lock("bob@acme.com"));
    client.put_lock(&early).await.unwrap();
    sim.set_lag(Lag { locks_ms: 600_000, ..Lag::default() });
    client.put_lock(&late).await.unwrap();

    let enforced = client.in_force(&[early.name.clone(), late.name.clone()]).await.unwrap();
    assert_eq!(enforced, [early.name].into());
    assert!(client.in_force(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_stumbles_while_we_wait_is_waited_out() {
    let (sim, client) = started().await;
    let lock = new_lock("ada@acme.com");
    client.put_lock(&lock).await.unwrap();
    sim.fault(Fault::refuse("GetLocks", Code::Unavailable).times(2));
    assert_eq!(client.in_force(std::slice::from_ref(&lock.name)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn locks_are_made_twice_and_taken_away_twice_without_an_error() {
    let (sim, client) = started().await;
    let lock = new_lock("ada@acme.com");
    client.put_lock(&lock).await.unwrap();
    client.put_lock(&lock).await.unwrap();
    assert_eq!(sim.locks().len(), 1);
    client.remove_lock(&lock.name).await.unwrap();
    client.remove_lock(&lock.name).await.unwrap();
    assert!(sim.locks().is_empty());
}

// lock.rs, `read`: `NAME_PREFIX` and each label.
#[tokio::test]
async fn p06_locks_of_others_are_seen_as_such() {
    let (sim, client) = started().await;
    sim.set_lag(Lag { locks_ms: 0, ..Lag::default() });
    let target = |target| types::LockV2 {
        metadata: Some(types::Metadata { name: "of-others".into(), ..Default::default() }),
        spec: Some(types::LockSpecV2 { target: Some(target), ..Default::default() }),
        ..Default::default()
    };
    sim.put_lock(target(types::LockTarget { role: "access".into(), ..Default::default() }));
    // Made by somebody who copied our labels, or all of them but one and our name.
    let ours = new_lock("ada@acme.com");
    let labels = ours.ours.unwrap().labels();
    let copied = |name: String, labels: Vec<(&str, String)>| {
        let mut lock = target(types::LockTarget { user: "ada@acme.com".into(), ..Default::default() });
        let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        lock.metadata = Some(types::Metadata { name, labels, ..Default::default() });
        sim.put_lock(lock);
    };
    copied("copied".into(), labels.clone());
    for at in 0..labels.len() {
        let mut others = labels.clone();
        let (left_out, _) = others.remove(at);
        copied(format!("{}-{}", ours.name, left_out.replace('/', "-")), others);
    }
    let listed = client.locks().await.unwrap();
    assert_eq!(listed.len(), 6);
    let role = listed.iter().find(|lock| lock.name == "of-others").unwrap();
    assert_eq!((role.user.as_str(), role.expires), ("", None));
    for lock in listed {
        assert_eq!(lock.ours, None, "{}", lock.name);
    }
}

#[tokio::test]
async fn the_system_role_locks_users_of_its_origin_with_its_origin() {
    let sim = start(Options::default()).await;
    let service = client(&sim, IdentityKind::okta_service());
    service.create_user(new_user("ada@acme.com")).await.unwrap();
    let lock = new_lock("ada@acme.com");
    service.put_lock(&lock).await.unwrap();
    assert_eq!(sim.locks()[0].labels[label::ORIGIN], label::ORIGIN_OKTA);
    assert!(service.in_force(std::slice::from_ref(&lock.name)).await.unwrap().contains(&lock.name));
    let listed = bot(&sim).locks().await.unwrap();
    assert_eq!(listed[0].ours.as_ref().unwrap().reason, LockReason::Leaver);
    service.remove_lock(&lock.name).await.unwrap();
    service.remove_lock(&lock.name).await.unwrap();
}
