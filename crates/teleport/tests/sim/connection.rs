//! The way to the server: what goes wrong on it, and that it recovers.

use std::{sync::Arc, time::Duration};

use engine::{
    cluster::Cluster as _,
    failure::{Class, Failure},
};
use jiff::{SignedDuration, Timestamp};
use teleport::{Identity, Line, Settings, TeleportClient, Way};
use teleport_sim::{Fault, IdentityKind, KeyForm, KeyKind, Options, TeleportSim};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tonic::Code;

use crate::fixture::{bot, failure, new_user, settings, start, started, until};

fn with(sim: &TeleportSim, kind: &IdentityKind) -> Settings {
    let text = sim.identity(kind).unwrap();
    Settings::new(sim.ready().auth_address.clone(), Identity::parse(&text).unwrap())
}

#[tokio::test]
async fn every_kind_of_key_and_every_way_reaches_the_server() {
    let sim = start(Options::default()).await;
    let text = std::fs::read_to_string(&sim.ready().identity_file).unwrap();
    let user = Identity::parse(&text).unwrap();
    for (key, form) in [
        (KeyKind::Rsa, KeyForm::Traditional),
        (KeyKind::Rsa, KeyForm::Pkcs8),
        (KeyKind::Ecdsa, KeyForm::Traditional),
        (KeyKind::Ecdsa, KeyForm::Pkcs8),
        (KeyKind::Ed25519, KeyForm::Pkcs8),
    ] {
        for way in [Way::Auto, Way::Auth, Way::Proxy] {
            let roles: Vec<&str> = user.roles().iter().map(String::as_str).collect();
            let mut settings = with(&sim, &IdentityKind::user(user.user(), &roles).with_key(key, form));
            settings.way = way;
            let client = TeleportClient::connect(settings).unwrap();
            assert_eq!(client.way(), None);
            let facts = client.prove_identity().await.unwrap();
            assert_eq!(facts.own_name, user.user(), "{key:?} {form:?} {way:?}");
            assert!(client.way().is_some_and(|taken| way == Way::Auto || taken == way));
        }
    }
}

#[tokio::test]
async fn an_expired_identity_is_refused_before_anything_is_dialled() {
    let (sim, _) = started().await;
    let settings =
        with(&sim, &IdentityKind::user("bot-x", &["r"]).until(Timestamp::now() - SignedDuration::from_mins(5)));
    let client = TeleportClient::connect(settings).unwrap();
    let refused = client.prove_identity().await.unwrap_err();
    assert_eq!((refused.class, refused.reason), (Class::Credential, "IdentityExpired"));
    let refused = failure(client.create_user(new_user("ada@acme.com")).await.unwrap_err());
    assert_eq!(refused.reason, "IdentityExpired");
    assert_eq!(sim.counters().connections + sim.counters().refused_connections, 0);

    // A renewed one mends it, without a new client.
    let renewed = with(&sim, &IdentityKind::user(bot(&sim).identity().user(), &["r"])).identity;
    client.renew(renewed).unwrap();
    client.prove_identity().await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_the_server_holds_for_expired_is_a_matter_of_identity() {
    let (sim, _) = started().await;
    // Our clock says an hour to go, the server's that it is over.
    let settings =
        with(&sim, &IdentityKind::user("bot-x", &["r"]).until(Timestamp::now() + SignedDuration::from_hours(1)));
    sim.set_clock_offset(7200);
    let client = TeleportClient::connect(settings).unwrap();
    let refused = client.prove_identity().await.unwrap_err();
    assert_eq!((refused.class, refused.reason), (Class::Credential, "IdentityRefused"), "{refused}");
    assert!(refused.remedy.contains("clock"), "{}", refused.remedy);
}

#[tokio::test]
async fn an_identity_of_another_cluster_is_a_matter_of_identity() {
    let (here, other) = (start(Options::default()).await, start(Options::default()).await);
    let settings = Settings { address: other.ready().auth_address.clone(), ..settings(&here) };
    let refused = TeleportClient::connect(settings).unwrap().prove_identity().await.unwrap_err();
    assert_eq!((refused.class, refused.reason), (Class::Credential, "TeleportNotTrusted"), "{refused}");
}

#[tokio::test]
async fn the_authorities_to_trust_can_be_given_by_hand() {
    let (here, other) = (start(Options::default()).await, start(Options::default()).await);
    let mut trusting = settings(&here);
    trusting.identity = trusting.identity.trusting(&other.ca_pem()).unwrap();
    let refused = TeleportClient::connect(trusting.clone()).unwrap().prove_identity().await.unwrap_err();
    assert_eq!(refused.reason, "TeleportNotTrusted");
    trusting.identity = trusting.identity.trusting(&(other.ca_pem() + &here.ca_pem())).unwrap();
    TeleportClient::connect(trusting).unwrap().prove_identity().await.unwrap();
    assert!(settings(&here).identity.trusting("no PEM").is_err());
}

/// What a client says of a server that answers each connection with this.
async fn refusal_of(answer: &'static [u8], sim: &TeleportSim) -> Failure {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 1024];
            let _ = stream.read(&mut hello).await;
            let _ = stream.write_all(answer).await;
        }
    });
    let settings = Settings { address, ..settings(sim) };
    let refused = TeleportClient::connect(settings).unwrap().prove_identity().await.unwrap_err();
    server.abort();
    refused
}

#[tokio::test]
async fn what_is_no_teleport_is_told_so() {
    let (sim, _) = started().await;
    let refused = refusal_of(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>", &sim).await;
    assert_eq!((refused.class, refused.reason), (Class::Configuration, "NotTeleport"), "{refused}");
    // A fatal alert: no application protocol.
    let refused = refusal_of(&[21, 3, 3, 0, 2, 2, 120], &sim).await;
    assert_eq!((refused.class, refused.reason), (Class::Configuration, "NotTeleport"), "{refused}");
    let refused = refusal_of(b"", &sim).await;
    assert_eq!((refused.class, refused.reason), (Class::Transient, "TeleportHandshakeFailed"), "{refused}");
}

#[tokio::test]
async fn nobody_there_and_no_such_host_are_told_apart() {
    let (sim, _) = started().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (address, reason) in
        [(free.to_string(), "TeleportUnreachable"), ("no-such-host.invalid:443".into(), "TeleportNameUnresolved")]
    {
        let settings = Settings { address, ..settings(&sim) };
        let refused = TeleportClient::connect(settings).unwrap().prove_identity().await.unwrap_err();
        assert_eq!((refused.class, refused.reason), (Class::Transient, reason), "{refused}");
    }
    let settings = Settings { address: "ftp://x".into(), ..settings(&sim) };
    assert_eq!(TeleportClient::connect(settings).err().unwrap().reason(), "TeleportAddressUnreadable");
}

#[tokio::test]
async fn reads_outlive_a_stumble_and_the_client_a_restart() {
    let (sim, client) = started().await;
    client.prove_identity().await.unwrap();
    sim.fault(Fault::refuse("ListUsers", Code::Unavailable).times(1));
    sim.fault(Fault::cut("GetUser").times(1));
    crate::fixture::all_users(&client).await.unwrap();
    client.user("ada@acme.com").await.unwrap();

    sim.restart(Duration::from_millis(300));
    until("the server is back", async || client.prove_identity().await.is_ok()).await;
    client.create_user(new_user("ada@acme.com")).await.unwrap();
}

#[tokio::test]
async fn a_write_is_sent_once_whatever_becomes_of_its_answer() {
    let (sim, client) = started().await;
    sim.fault(Fault { applied: true, ..Fault::cut("CreateUser") }.times(1));
    let refused = failure(client.create_user(new_user("ada@acme.com")).await.unwrap_err());
    assert_eq!(refused.class, Class::Transient, "{refused}");
    assert_eq!(sim.counters().of("CreateUser"), 1);
}

#[tokio::test]
async fn a_silent_server_is_given_up_after_the_deadline_and_dialled_anew() {
    let sim = start(Options::default()).await;
    let mut settings = settings(&sim);
    settings.deadline = Duration::from_millis(300);
    let client = TeleportClient::connect(settings).unwrap();
    client.prove_identity().await.unwrap();
    let before = sim.counters().connections;
    sim.fault(Fault::delay("CreateUser", Duration::from_secs(60)).times(1));
    let refused = failure(client.create_user(new_user("ada@acme.com")).await.unwrap_err());
    assert_eq!((refused.class, refused.reason), (Class::Transient, "TeleportTimeout"));
    client.prove_identity().await.unwrap();
    assert!(sim.counters().connections > before);
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let (_sim, client) = started().await;
    client.user("nobody").await.unwrap();
    let counts = client.calls();
    let count = |method: &str, code: &str| {
        counts.iter().find(|count| count.call.method() == method && count.code == code).map_or(0, |count| count.count)
    };
    assert_eq!((count("GetUser", "NotFound"), count("GetCurrentUser", "Ok")), (1, 1), "{counts:?}");
}

#[tokio::test]
async fn a_rotation_of_the_hosts_authority_is_survived_with_the_identity_that_tbot_writes_anew() {
    let (sim, client) = started().await;
    client.prove_identity().await.unwrap();
    sim.rotate_host_ca().unwrap();
    until("the old identity no longer trusts the server", async || {
        client.prove_identity().await.is_err_and(|refused| refused.reason == "TeleportNotTrusted")
    })
    .await;
    client.renew(settings(&sim).identity).unwrap();
    client.prove_identity().await.unwrap();
    client.create_user(new_user("ada@acme.com")).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_and_made_anew_when_it_is_needed() {
    let sim = start(Options::default()).await;
    let mut settings = settings(&sim);
    settings.idle = Duration::from_millis(200);
    let client = TeleportClient::connect(settings).unwrap();
    client.prove_identity().await.unwrap();
    assert_eq!((sim.counters().connections, sim.open_connections()), (1, 1));
    until("the connection to be closed", async || sim.open_connections() == 0).await;
    // No call sees anything of it, not even one that writes.
    client.create_user(new_user("ada@acme.com")).await.unwrap();
    assert_eq!((sim.counters().connections, sim.counters().of("CreateUser")), (2, 1));
}

#[tokio::test]
async fn clients_over_one_line_share_its_connection_and_its_identity_until_one_follows_another() {
    let sim = start(Options::default()).await;
    let line = Arc::new(Line::connect(settings(&sim)).unwrap());
    let (one, two) = (TeleportClient::over(line.clone()), TeleportClient::over(line));
    let pass = one.counting_anew();
    for client in [&one, &two, &pass] {
        client.prove_identity().await.unwrap();
    }
    assert_eq!(sim.counters().connections, 1);

    // Renewed, it is so for all; what is there already changes nothing.
    let user = one.identity();
    let roles: Vec<&str> = user.roles().iter().map(String::as_str).collect();
    let renewed = with(&sim, &IdentityKind::user(user.user(), &roles)).identity;
    assert!(one.renew(renewed.clone()).unwrap() && !two.renew(renewed.clone()).unwrap());
    assert!(two.identity().is(&renewed));

    // Another goes on over a line of its own, and the pass that is under way with it.
    let other = Arc::new(Line::connect(settings(&sim)).unwrap());
    one.follow(other.clone());
    assert!(Arc::ptr_eq(&pass.line(), &other) && !Arc::ptr_eq(&two.line(), &other));
    assert!(!pass.identity().is(&renewed) && two.identity().is(&renewed));
    pass.prove_identity().await.unwrap();
    let calls = |client: &TeleportClient| client.calls().iter().map(|count| count.count).sum::<u64>();
    assert_eq!((calls(&one), calls(&two), calls(&pass)), (2, 2, 4), "each counts its own");
}
