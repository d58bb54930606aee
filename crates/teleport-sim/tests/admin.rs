//! The admin port, faults, counters and restarts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{bot, lock, refused, start, until, user};
use serde_json::{Value, json};
use teleport_sim::{
    BOT_USER, Counters, Fault, LockView, Options, Session, StateView, TeleportSim, UserView, WriteRecord,
};
use tonic::Code;

async fn sim() -> TeleportSim {
    start(Options::default()).await
}

async fn get<T: serde::de::DeserializeOwned>(sim: &TeleportSim, path: &str) -> T {
    let response = reqwest::get(format!("{}{path}", sim.ready().admin_url)).await.unwrap();
    assert!(response.status().is_success(), "{path}: {}", response.status());
    response.json().await.unwrap()
}

async fn post(sim: &TeleportSim, path: &str, body: &Value) -> reqwest::Response {
    reqwest::Client::new().post(format!("{}{path}", sim.ready().admin_url)).json(body).send().await.unwrap()
}

#[tokio::test]
async fn the_admin_port_shows_what_happened() {
    let sim = sim().await;
    let mut bot = bot(&sim);
    bot.create(&user("ada@acme.com")).await.unwrap();
    bot.create(&user("ada@acme.com")).await.unwrap_err();
    bot.lock(lock("l", "ada@acme.com")).await.unwrap();

    let state: StateView = get(&sim, "/state").await;
    assert_eq!((state.users, state.locks, state.writes), (4, 1, 3));
    let counters: Counters = get(&sim, "/counters").await;
    assert_eq!(counters.calls["CreateUser"], [("ALREADY_EXISTS".to_owned(), 1), ("OK".to_owned(), 1)].into());
    assert_eq!((counters.of("UpsertLock"), counters.connections), (1, 1));
    let writes: Vec<WriteRecord> = get(&sim, "/writes").await;
    let told: Vec<(u64, &str, &str, &str, &str)> = writes
        .iter()
        .map(|w| (w.sequence, w.who.as_str(), w.method.as_str(), w.name.as_str(), w.outcome.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (1, BOT_USER, "CreateUser", "ada@acme.com", "ok"),
            (2, BOT_USER, "CreateUser", "ada@acme.com", "ALREADY_EXISTS"),
            (3, BOT_USER, "UpsertLock", "l", "ok"),
        ]
    );
    let later: Vec<WriteRecord> = get(&sim, "/writes?after=2").await;
    assert_eq!(later.len(), 1);
    let view: UserView = get(&sim, "/users/ada@acme.com").await;
    assert_eq!((view.kind.as_str(), view.connector.as_deref(), view.bot), ("sso", Some("okta"), false));
    assert_eq!(view, sim.user("ada@acme.com").unwrap());
    let names: Vec<String> = get(&sim, "/users?after=@teleport-access-approval-bot&limit=2").await;
    assert_eq!(names, ["ada@acme.com", "admin"]);
    let locks: Vec<LockView> = get(&sim, "/locks").await;
    assert_eq!((locks[0].user.as_str(), locks[0].in_force), ("ada@acme.com", true));
    let missing = reqwest::get(format!("{}/users/nobody", sim.ready().admin_url)).await.unwrap();
    assert_eq!(missing.status(), 404);
}

#[tokio::test]
async fn sessions_can_be_probed_over_the_admin_port() {
    let sim = sim().await;
    sim.put_user(&user("ada@acme.com")).unwrap();
    assert!(post(&sim, "/sessions/ada@acme.com", &json!({"ttlSeconds": 3600})).await.status().is_success());
    let before: Session = get(&sim, "/sessions/ada@acme.com").await;
    assert!(before.usable && before.certificates.len() == 1);
    bot(&sim).lock(lock("l", "ada@acme.com")).await.unwrap();
    until("the session is cut off", async || !get::<Session>(&sim, "/sessions/ada@acme.com").await.usable).await;
    let none: Session = get(&sim, "/sessions/ada@acme.com?issuedBefore=2020-01-01T00:00:00Z").await;
    assert!(none.certificates.is_empty());
}

#[tokio::test]
async fn everything_can_be_switched_over_the_admin_port() {
    let sim = sim().await;
    let mut bot = bot(&sim);
    for (path, body) in [
        ("/clock", json!({"offsetSeconds": 3600})),
        ("/lag", json!({"locksMs": 10})),
        ("/permissions", json!({"drop": "user:create"})),
        ("/roles/team", json!({"maxSessionTtlSeconds": 7200})),
        ("/connectors/second", json!({"oktaAppId": "0oa1"})),
        ("/faults", json!({"method": "GetUser", "code": "UNAVAILABLE", "count": 1})),
    ] {
        assert!(post(&sim, path, &body).await.status().is_success(), "{path}");
    }
    let state = sim.state();
    assert_eq!((state.clock_offset_seconds, state.lag.locks_ms, state.lag.users_ms), (3600, 10, 0));
    assert!(state.roles.contains(&"team".to_owned()) && state.connectors.contains(&"second".to_owned()));
    assert_eq!(refused(bot.create(&user("ada@acme.com")).await).0, Code::PermissionDenied);
    assert_eq!(refused(bot.get("admin").await).0, Code::Unavailable);
    assert!(bot.get("admin").await.is_ok(), "used up");
    assert!(post(&sim, "/permissions", &json!({})).await.status().is_success());
    assert!(bot.create(&user("ada@acme.com")).await.is_ok());

    let login = post(&sim, "/saml-login", &json!({"user": "ada@acme.com", "ttlSeconds": 60})).await;
    assert!(login.status().is_success());
    let refusal = post(&sim, "/saml-login", &json!({"user": "admin"})).await;
    assert_eq!(
        (refusal.status().as_u16(), refusal.json::<Value>().await.unwrap()["code"].clone()),
        (409, json!("ALREADY_EXISTS"))
    );
    assert!(post(&sim, "/scim-delete", &json!({"user": "ada@acme.com"})).await.status().is_success());
    assert!(sim.user("ada@acme.com").is_none());
    let nonsense = post(&sim, "/faults", &json!({"method": "GetUser", "code": "NO_SUCH_CODE"})).await;
    assert_eq!(nonsense.status(), 400);
    assert_eq!(post(&sim, "/clock", &json!({"offset": 1})).await.status(), 422, "a misspelt word is not swallowed");
}

#[tokio::test]
async fn faults_refuse_delay_cut_and_lose_answers() {
    let sim = sim().await;
    let mut bot = bot(&sim);
    sim.fault(Fault::refuse("CreateUser", Code::ResourceExhausted).times(1));
    assert_eq!(refused(bot.create(&user("ada@acme.com")).await).0, Code::ResourceExhausted);
    assert!(sim.writes().is_empty(), "a refused call never arrives");

    sim.fault(Fault::refuse("CreateUser", Code::Unavailable).times(1).applied());
    assert_eq!(refused(bot.create(&user("ada@acme.com")).await).0, Code::Unavailable);
    assert!(sim.user("ada@acme.com").is_some(), "it was done all the same");

    sim.fault(Fault::cut("GetUser").times(1));
    assert!(bot.get("ada@acme.com").await.is_err());
    assert!(bot.get("ada@acme.com").await.is_ok(), "the channel finds its way back");

    sim.fault(Fault::delay("GetUser", Duration::from_millis(80)).times(1));
    let started = std::time::Instant::now();
    assert!(bot.get("ada@acme.com").await.is_ok());
    assert!(started.elapsed() >= Duration::from_millis(80));

    sim.fault(Fault::refuse("*", Code::Internal));
    assert_eq!(refused(bot.page(0, "").await).0, Code::Internal);
    sim.clear_faults();
    assert!(bot.page(0, "").await.is_ok());
}

#[tokio::test]
async fn a_restart_cuts_connections_and_keeps_the_state() {
    let sim = sim().await;
    let mut bot = bot(&sim);
    bot.create(&user("ada@acme.com")).await.unwrap();
    sim.restart(Duration::from_millis(900));
    assert!(bot.get("ada@acme.com").await.is_err());
    until("the server is back", async || bot.get("ada@acme.com").await.is_ok()).await;
}

#[tokio::test]
async fn counters_know_how_many_calls_were_under_way_at_once() {
    let sim = sim().await;
    sim.fault(Fault::delay("GetUser", Duration::from_millis(100)));
    let calls = (0..5).map(|_| {
        let mut bot = bot(&sim);
        async move { bot.get("admin").await }
    });
    assert!(futures::future::join_all(calls).await.iter().all(Result::is_ok));
    let counters = sim.counters();
    assert!((2..=5).contains(&counters.most_at_once["GetUser"]), "{counters:?}");
    sim.reset_counters();
    assert_eq!(sim.counters(), Counters::default());
}

#[tokio::test]
async fn a_dropped_simulator_is_gone() {
    let sim = sim().await;
    let (address, folder) = (sim.auth_address(), std::path::PathBuf::from(&sim.ready().ca_file));
    drop(sim);
    until("its port is free", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    assert!(!folder.exists());
}
