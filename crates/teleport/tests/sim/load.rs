//! Many calls at once: how many there are, how fast writes go, what a server that has enough brings about, what a quiet connection does.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use engine::cluster::Cluster as _;
use futures::future::join_all;
use teleport::{Line, Pace, TeleportClient};
use teleport_sim::{Fault, Lag, Options};
use tonic::Code;

use crate::fixture::{bot, new_lock, new_user, settings, start, started, until};

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_eight_calls_are_under_way() {
    let (sim, client) = started().await;
    sim.fault(Fault::delay("CreateUser", Duration::from_millis(50)));
    let names: Vec<_> = (0..60).map(|n| new_user(&format!("p{n}@acme.com"))).collect();
    for made in join_all(names.into_iter().map(|user| client.create_user(user))).await {
        made.unwrap();
    }
    assert_eq!(sim.counters().most_at_once["CreateUser"], 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_are_held_to_the_rate_that_was_set_and_locks_are_not() {
    let sim = start(Options::default()).await;
    let mut settings = settings(&sim);
    assert_eq!((settings.write_rate, settings.concurrency), (300, 8), "the defaults");
    settings.write_rate = 50;
    let client = TeleportClient::connect(settings).unwrap();
    client.prove_identity().await.unwrap();
    let begun = Instant::now();
    let users: Vec<_> = (0..40).map(|n| new_user(&format!("p{n}@acme.com"))).collect();
    let (made, took) = tokio::join!(join_all(users.into_iter().map(|user| client.create_user(user))), async {
        // A leaver who is found meanwhile does not stand in line.
        let begun = Instant::now();
        client.put_lock(&new_lock("leaver@acme.com")).await.unwrap();
        begun.elapsed()
    });
    assert!(made.into_iter().all(|made| made.is_ok()));
    let all = begun.elapsed();
    // Forty at fifty a second, less the burst of a tenth of a second: never faster, however slow the machine.
    assert!(all >= Duration::from_millis(650), "{all:?}");
    assert!(took < all, "the lock took {took:?}, the creates {all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_line_that_many_share_one_import_holds_up_no_lock_of_another() {
    let sim = start(Options::default()).await;
    let mut settings = settings(&sim);
    (settings.concurrency, settings.writes_at_once) = (3, 2);
    let line = Arc::new(Line::connect(settings).unwrap());
    let clients: Vec<_> = (0..4).map(|_| TeleportClient::over(line.clone())).collect();
    // Creates that no answer comes to for longer than the test has patience.
    sim.fault(Fault::delay("CreateUser", Duration::from_secs(25)));
    let users: Vec<_> = (0..32).map(|n| new_user(&format!("p{n}@acme.com"))).collect();
    let imports = join_all(users.into_iter().enumerate().map(|(n, user)| clients[n % 3].create_user(user)));
    let locking = async {
        until("both creates to be under way", async || sim.counters().most_at_once.get("CreateUser") == Some(&2)).await;
        clients[3].put_lock(&new_lock("leaver@acme.com")).await.unwrap();
    };
    tokio::select! {
        _ = imports => panic!("the creates were to hang"),
        () = locking => {}
    }
    assert_eq!((sim.locks().len(), sim.counters().most_at_once["CreateUser"]), (1, 2));
    assert_eq!(clients[3].calls().len(), 1, "a client counts its own calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_written_to_at_one_pace_whoever_writes() {
    let sim = start(Options::default()).await;
    let pace = Arc::new(Pace::new(50));
    let client = || {
        let mut settings = settings(&sim);
        settings.pace = Some(pace.clone());
        TeleportClient::connect(settings).unwrap()
    };
    let clients = [client(), client()];
    for client in &clients {
        client.prove_identity().await.unwrap();
    }
    let begun = Instant::now();
    let users: Vec<_> = (0..40).map(|n| new_user(&format!("p{n}@acme.com"))).collect();
    let made = join_all(users.into_iter().enumerate().map(|(n, user)| clients[n % 2].create_user(user))).await;
    assert!(made.into_iter().all(|made| made.is_ok()));
    // Forty at fifty a second, less the burst of a tenth of a second.
    assert!(begun.elapsed() >= Duration::from_millis(650), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_has_enough_is_given_time_and_then_less() {
    let (sim, client) = started().await;
    sim.fault(Fault::refuse("CreateUser", Code::ResourceExhausted).times(2));
    client.create_user(new_user("ada@acme.com")).await.unwrap();
    assert_eq!((sim.counters().of("CreateUser"), sim.writes().len()), (3, 1), "sent again, done once");
}

#[tokio::test]
async fn a_lock_that_writes_hold_up_is_waited_for() {
    let sim = start(Options::default()).await;
    // As the real server: so many changes reach the caches per second, so a burst delays the lock that comes after it.
    sim.set_lag(Lag { users_ms: 0, locks_ms: 100, changes_per_second: 100 });
    let client = bot(&sim);
    for n in 0..60 {
        sim.put_lock(teleport_proto::types::LockV2 {
            metadata: Some(teleport_proto::types::Metadata { name: format!("burst-{n}"), ..Default::default() }),
            ..Default::default()
        });
    }
    let lock = new_lock("ada@acme.com");
    let begun = Instant::now();
    client.put_lock(&lock).await.unwrap();
    assert!(client.in_force(std::slice::from_ref(&lock.name)).await.unwrap().contains(&lock.name));
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}: behind the burst", begun.elapsed());
}
