//! Others at work on the same cluster, and what tests do to a server: Teleport's own Okta plugin, SCIM, silence, recorded requests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{bot, lock, okta_service, refused, start, until, user};
use jiff::SignedDuration;
use prost::Message as _;
use serde_json::json;
use teleport_proto::{auth, users};
use teleport_sim::{BOT_ROLE, BOT_USER, Edition, LockState, Options, PluginPass, TeleportSim};
use tonic::Code;

async fn sim() -> TeleportSim {
    start(Options::default()).await
}

fn pass(people: &[&str]) -> PluginPass {
    let traits = |name: &str| [("okta/login".to_owned(), vec![name.to_owned()])].into();
    PluginPass {
        org_url: "https://acme.okta.com".into(),
        people: people.iter().map(|name| ((*name).to_owned(), traits(name))).collect(),
    }
}

#[tokio::test]
async fn the_plugin_keeps_its_own_people_and_touches_no_others() {
    let sim = sim().await;
    let mut ours = bot(&sim);
    ours.create(&user("ours@acme.com")).await.unwrap();
    sim.plugin_pass(&pass(&["ada@acme.com", "bob@acme.com", "ours@acme.com"])).unwrap();
    let ada = sim.user("ada@acme.com").unwrap();
    assert_eq!((ada.labels["teleport.dev/origin"].as_str(), ada.kind.as_str()), ("okta", "sso"));
    assert_eq!(
        (ada.roles, ada.labels["okta/org"].as_str()),
        (vec!["okta-requester".to_owned()], "https://acme.okta.com")
    );
    assert!(!sim.user("ours@acme.com").unwrap().labels.contains_key("teleport.dev/origin"), "a name of somebody else");

    // What it made, a bot cannot write, and may delete.
    let stored = ours.get("bob@acme.com").await.unwrap();
    assert_eq!(refused(ours.update(&stored).await).0, Code::InvalidArgument);
    okta_service(&sim).update(&stored).await.unwrap();

    // Who is no longer among its people is locked for a time, and gone; ours stay.
    sim.plugin_pass(&pass(&["ada@acme.com"])).unwrap();
    assert!(sim.user("bob@acme.com").is_none() && sim.user("ours@acme.com").is_some());
    let locks = sim.locks();
    assert_eq!((locks.len(), locks[0].user.as_str()), (1, "bob@acme.com"));
    assert!(locks[0].expires.is_some() && locks[0].labels["teleport.dev/origin"] == "okta");

    let community = start(Options { edition: Edition::Community, ..Options::default() }).await;
    assert_eq!(community.plugin_pass(&pass(&[])).unwrap_err().code, Code::NotFound, "it is not there");
}

#[tokio::test]
async fn scim_locks_without_an_end_and_lifts_only_its_own_lock() {
    let sim = sim().await;
    let mut ours = bot(&sim);
    ours.create(&user("ada@acme.com")).await.unwrap();
    ours.lock(lock("by-hand", "ada@acme.com")).await.unwrap();
    sim.scim_lock("ada@acme.com");
    sim.catch_up();
    assert_eq!(sim.locks().iter().filter(|lock| lock.expires.is_none()).count(), 2);
    assert!(sim.user("ada@acme.com").is_some(), "the account stays");
    sim.scim_provision("ada@acme.com");
    sim.scim_provision("new@acme.com");
    sim.catch_up();
    assert_eq!(sim.locks().iter().map(|lock| lock.name.as_str()).collect::<Vec<_>>(), ["by-hand"]);
    assert_eq!(sim.user("new@acme.com").unwrap().labels["teleport.dev/origin"], "scim");
    assert_eq!(sim.session("ada@acme.com", None).lock, LockState::Enforced);
}

#[tokio::test]
async fn a_silent_server_has_done_its_last_write_and_lets_nobody_in() {
    let sim = sim().await;
    let mut client = bot(&sim);
    client.create(&user("ada@acme.com")).await.unwrap();
    sim.hold_after(2);
    client.create(&user("bob@acme.com")).await.unwrap();
    let mut second = client.clone();
    let last = tokio::spawn(async move { second.create(&user("cid@acme.com")).await });
    until("it is silent", async || sim.is_holding()).await;
    assert!(sim.user("cid@acme.com").is_some() && !last.is_finished(), "done, and not answered");
    let mut third = client.clone();
    let ask = tokio::spawn(async move { third.get("ada@acme.com").await });
    let mut fourth = client.clone();
    let write = tokio::spawn(async move { fourth.create(&user("dan@acme.com")).await });
    until("all three have arrived", async || sim.kept_waiting() == 3).await;
    assert!(!ask.is_finished() && !write.is_finished() && sim.user("dan@acme.com").is_none(), "nobody is let in");
    sim.release();
    last.await.unwrap().unwrap();
    ask.await.unwrap().unwrap();
    write.await.unwrap().unwrap();
}

#[tokio::test]
async fn requests_are_kept_as_they_came() {
    let sim = sim().await;
    let mut client = bot(&sim);
    client.get(BOT_USER).await.unwrap();
    assert!(sim.requests().is_empty(), "not before it was asked for");
    sim.record_requests();
    client.create(&user("ada@acme.com")).await.unwrap();
    client.delete("ada@acme.com").await.unwrap();
    let kept = sim.requests();
    assert_eq!(kept.iter().map(|request| request.method.as_str()).collect::<Vec<_>>(), ["CreateUser", "DeleteUser"]);
    let created = users::CreateUserRequest::decode(kept[0].message.clone()).unwrap();
    assert_eq!(created.user, user("ada@acme.com").encode_to_vec());
    assert_eq!(users::DeleteUserRequest::decode(kept[1].message.clone()).unwrap().name, "ada@acme.com");
}

#[tokio::test]
async fn a_certificate_lives_no_longer_than_its_roles_allow() {
    let sim = sim().await;
    sim.limit_session(BOT_ROLE, 60);
    let key = rcgen::KeyPair::generate().unwrap();
    let request = auth::UserCertsRequest {
        username: BOT_USER.into(),
        expires: Some(prost_types::Timestamp { seconds: sim.now().as_second() + 3600, nanos: 0 }),
        tls_public_key: key.public_key_pem().into(),
        ..Default::default()
    };
    bot(&sim).auth.generate_user_certs(request).await.unwrap();
    let last = sim.session(BOT_USER, None).certificates.pop().unwrap().certificate;
    assert!(last.issued_at.duration_until(last.expires_at) <= SignedDuration::from_secs(60), "{last:?}");
}

#[tokio::test]
async fn all_of_it_is_to_be_had_over_the_admin_port() {
    let sim = sim().await;
    let http = reqwest::Client::new();
    let post = async |path: &str, body: serde_json::Value| {
        http.post(format!("{}{path}", sim.ready().admin_url)).json(&body).send().await.unwrap().status().as_u16()
    };
    let people = json!({ "orgURL": "https://acme.okta.com", "people": { "ada@acme.com": {}, "bob@acme.com": {} } });
    assert_eq!(post("/okta-plugin", people).await, 204);
    assert_eq!(post("/scim-lock", json!({ "user": "ada@acme.com" })).await, 204);
    assert_eq!((sim.user_names().len(), sim.locks().len()), (5, 1));
    assert_eq!(post("/scim-provision", json!({ "user": "ada@acme.com" })).await, 204);
    assert_eq!(sim.locks().len(), 0);
    assert_eq!(post("/roles/access/session-ttl", json!({ "seconds": 60 })).await, 204);
    assert_eq!(post("/roles/nobody/session-ttl", json!({ "seconds": 60 })).await, 404);
    assert_eq!(post("/hold", json!({ "afterWrites": 0 })).await, 204);
    assert!(sim.is_holding() && sim.state().holding);
    http.delete(format!("{}/hold", sim.ready().admin_url)).send().await.unwrap();
    assert!(!sim.is_holding());
}
