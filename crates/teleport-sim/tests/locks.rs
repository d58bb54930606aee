//! Locks, sessions and what deletion does not do (reference §2, §15, §16 H).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Client, administrator, bot, client, labelled, lock, okta_service, refused, start, until, user};
use jiff::SignedDuration;
use teleport_proto::{
    auth::{DeleteLockRequest, GetLockRequest, GetLocksRequest},
    types,
};
use teleport_sim::{BOT_USER, IdentityKind, KeyKind, Lag, LockState, Options, SamlLogin, TeleportSim, Version};
use tonic::Code;

async fn sim() -> TeleportSim {
    start(Options::default()).await
}

async fn listed(client: &mut Client, in_force_only: bool) -> Vec<String> {
    let request = GetLocksRequest { targets: Vec::new(), in_force_only };
    let locks = client.auth.get_locks(request).await.unwrap().into_inner().locks;
    locks.into_iter().map(|lock| lock.metadata.unwrap().name).collect()
}

/// A person's own client.
fn person(sim: &TeleportSim, name: &str) -> Client {
    client(sim, &sim.identity(&IdentityKind { key: KeyKind::Ecdsa, ..IdentityKind::user(name, &["access"]) }).unwrap())
}

#[tokio::test]
async fn a_lock_is_stored_at_once_and_listed_exactly_when_it_is_enforced() {
    let sim = sim().await;
    sim.put_user(&user("ada@acme.com")).unwrap();
    let (mut bot, mut ada) = (bot(&sim), person(&sim, "ada@acme.com"));
    let certificate = sim.issue_certificate("ada@acme.com", SignedDuration::from_hours(12));
    assert!(ada.auth.get_current_user(()).await.is_ok());

    sim.set_lag(Lag { locks_ms: 3_600_000, ..Lag::default() });
    bot.lock(lock("l", "ada@acme.com")).await.unwrap();
    assert!(bot.auth.get_lock(GetLockRequest { name: "l".into() }).await.is_ok(), "stored");
    assert!(listed(&mut bot, false).await.is_empty(), "not yet enforced");
    assert!(sim.certificate_usable(&certificate));
    assert!(ada.auth.get_current_user(()).await.is_ok());

    sim.catch_up();
    assert_eq!(listed(&mut bot, true).await, ["l"]);
    assert!(!sim.certificate_usable(&certificate));
    assert_eq!(refused(ada.auth.get_current_user(()).await), (Code::PermissionDenied, "access denied".into()));

    bot.auth.delete_lock(DeleteLockRequest { name: "l".into() }).await.unwrap();
    assert!(ada.auth.get_current_user(()).await.is_err(), "unlocking takes its time, too");
    sim.catch_up();
    assert!(ada.auth.get_current_user(()).await.is_ok());
    assert!(sim.certificate_usable(&certificate));
}

#[tokio::test]
async fn the_15_line_tells_the_locked_caller_why() {
    let sim = start(Options { version: Version::V15, ..Options::default() }).await;
    sim.put_user(&user("ada@acme.com")).unwrap();
    let (mut bot, mut ada) = (bot(&sim), person(&sim, "ada@acme.com"));
    bot.lock(lock("l", "ada@acme.com")).await.unwrap();
    until("the lock bites", async || ada.auth.get_current_user(()).await.is_err()).await;
    let words = r#"lock targeting User:"ada@acme.com" is in force: left the company"#;
    assert_eq!(refused(ada.auth.get_current_user(()).await), (Code::PermissionDenied, words.into()));
}

#[tokio::test]
async fn the_lag_grows_with_a_burst_of_writes() {
    let sim = sim().await;
    sim.set_lag(Lag { users_ms: 0, locks_ms: 0, changes_per_second: 1 });
    let mut bot = bot(&sim);
    for number in 0..30 {
        bot.create(&user(&format!("u{number}@acme.com"))).await.unwrap();
    }
    bot.lock(lock("l", "u1@acme.com")).await.unwrap();
    assert!(listed(&mut bot, false).await.is_empty(), "half a minute behind");
    sim.catch_up();
    assert_eq!(listed(&mut bot, false).await, ["l"]);
}

#[tokio::test]
async fn the_server_fills_in_who_and_when_and_a_second_upsert_replaces() {
    let sim = sim().await;
    let mut bot = bot(&sim);
    for _ in 0..2 {
        bot.lock(lock("l", "nobody@acme.com")).await.expect("the user need not exist");
    }
    let stored = bot.auth.get_lock(GetLockRequest { name: "l".into() }).await.unwrap().into_inner();
    let spec = stored.spec.unwrap();
    assert_eq!(spec.created_by, BOT_USER);
    assert!(spec.created_at.unwrap().seconds > 1_700_000_000);
    assert_eq!(sim.locks().len(), 1);

    let nobody = types::LockV2 { spec: None, ..lock("l2", "") };
    assert_eq!(refused(bot.lock(nobody).await).0, Code::InvalidArgument);
    let nameless = types::LockV2 { metadata: None, ..lock("", "ada@acme.com") };
    assert_eq!(refused(bot.lock(nameless).await), (Code::InvalidArgument, "missing parameter Name".into()));
    for name in ["missing"] {
        assert_eq!(refused(bot.auth.get_lock(GetLockRequest { name: name.into() }).await).0, Code::NotFound);
        assert_eq!(refused(bot.auth.delete_lock(DeleteLockRequest { name: name.into() }).await).0, Code::NotFound);
    }
}

#[tokio::test]
async fn both_expiries_count_force_first_storage_later() {
    let sim = sim().await;
    sim.set_lag(Lag { locks_ms: 0, ..Lag::default() });
    let mut bot = bot(&sim);
    let at = |seconds: i64| Some(prost_types::Timestamp { seconds: sim.now().as_second() + seconds, nanos: 0 });
    let mut both = lock("both", "ada@acme.com");
    both.metadata.as_mut().unwrap().expires = at(200);
    both.spec.as_mut().unwrap().expires = at(100);
    let mut force_only = lock("force-only", "bob@acme.com");
    force_only.spec.as_mut().unwrap().expires = at(100);
    bot.lock(both).await.unwrap();
    bot.lock(force_only).await.unwrap();
    bot.lock(lock("for-ever", "cid@acme.com")).await.unwrap();
    assert_eq!(listed(&mut bot, true).await, ["both", "for-ever", "force-only"]);

    sim.set_clock_offset(150);
    assert_eq!(listed(&mut bot, true).await, ["for-ever"]);
    assert_eq!(listed(&mut bot, false).await, ["both", "for-ever", "force-only"], "dead ones are listed still");
    assert_eq!(sim.session("ada@acme.com", None).lock, LockState::None);

    sim.set_clock_offset(250);
    assert_eq!(
        listed(&mut bot, false).await,
        ["for-ever", "force-only"],
        "the storage dropped the one with its own end"
    );
}

#[tokio::test]
async fn locks_can_be_asked_for_by_target() {
    let sim = sim().await;
    sim.set_lag(Lag { locks_ms: 0, ..Lag::default() });
    let mut bot = bot(&sim);
    bot.lock(lock("a", "ada@acme.com")).await.unwrap();
    bot.lock(lock("b", "bob@acme.com")).await.unwrap();
    let target = types::LockTarget { user: "bob@acme.com".into(), ..Default::default() };
    let request = GetLocksRequest { targets: vec![target], in_force_only: true };
    let found = bot.auth.get_locks(request).await.unwrap().into_inner().locks;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].metadata.as_ref().unwrap().name, "b");
}

// session.rs of the simulator, `usable`: a certificate lives without its user.
#[tokio::test]
async fn p04_deletion_alone_leaves_sessions_open_and_a_returning_name_revives_them() {
    let sim = sim().await;
    sim.put_user(&user("ada@acme.com")).unwrap();
    let mut bot = bot(&sim);
    let mut ada = person(&sim, "ada@acme.com");
    let certificate = sim.issue_certificate("ada@acme.com", SignedDuration::from_hours(12));

    bot.delete("ada@acme.com").await.unwrap();
    assert!(sim.certificate_usable(&certificate), "on a node");
    assert_eq!(refused(ada.auth.get_current_user(()).await).0, Code::NotFound, "on the Auth Service");
    let session = sim.session("ada@acme.com", None);
    assert_eq!((session.usable, session.api_usable, session.user_exists), (true, false, false));

    bot.create(&user("ada@acme.com")).await.unwrap();
    assert!(ada.auth.get_current_user(()).await.is_ok(), "the old certificate lives again");

    bot.lock(lock("l", "ada@acme.com")).await.unwrap();
    until("the lock is enforced", async || sim.session("ada@acme.com", None).lock == LockState::Enforced).await;
    bot.delete("ada@acme.com").await.unwrap();
    bot.create(&user("ada@acme.com")).await.unwrap();
    assert!(!sim.certificate_usable(&certificate), "the lock outlives the user");

    let locks: Vec<Option<LockState>> =
        sim.writes().into_iter().filter(|write| write.method == "DeleteUser").map(|write| write.lock).collect();
    assert_eq!(
        locks,
        [Some(LockState::None), Some(LockState::Enforced)],
        "the log tells which deletion kept the promise"
    );
}

#[tokio::test]
async fn a_certificate_that_has_run_out_is_of_no_use_and_the_probe_looks_at_older_ones_only() {
    let sim = sim().await;
    sim.put_user(&user("ada@acme.com")).unwrap();
    let old = sim.issue_certificate("ada@acme.com", SignedDuration::from_mins(10));
    let between = sim.now();
    sim.set_clock_offset(300);
    let young = sim.issue_certificate("ada@acme.com", SignedDuration::from_mins(10));
    sim.set_clock_offset(700);
    assert!(!sim.certificate_usable(&old));
    assert!(sim.certificate_usable(&young));
    assert!(!sim.session("ada@acme.com", Some(between)).usable);
    assert!(sim.session("ada@acme.com", None).usable);
}

#[tokio::test]
async fn a_lock_on_the_bot_or_its_role_stops_the_bot() {
    for target in [
        types::LockTarget { user: BOT_USER.into(), ..Default::default() },
        types::LockTarget { role: "okta-user-sync".into(), ..Default::default() },
    ] {
        let sim = sim().await;
        sim.set_lag(Lag { locks_ms: 0, ..Lag::default() });
        let mut bot = bot(&sim);
        bot.auth.get_current_user(()).await.unwrap();
        let mut on_bot = lock("l", "");
        on_bot.spec.as_mut().unwrap().target = Some(target);
        administrator(&sim).lock(on_bot).await.unwrap();
        assert_eq!(refused(bot.page(0, "").await), (Code::PermissionDenied, "access denied".into()));
    }
}

#[tokio::test]
async fn the_okta_service_locks_its_own_people_only() {
    let sim = sim().await;
    let origin = |lock: types::LockV2| {
        let mut lock = lock;
        lock.metadata.as_mut().unwrap().labels.insert("teleport.dev/origin".into(), "okta".into());
        lock
    };
    sim.put_user(&labelled(user("ada@acme.com"), "teleport.dev/origin", "okta")).unwrap();
    sim.put_user(&user("bob@acme.com")).unwrap();
    let (mut bot, mut okta) = (bot(&sim), okta_service(&sim));

    assert_eq!(refused(bot.lock(origin(lock("l", "ada@acme.com"))).await).0, Code::InvalidArgument);
    assert_eq!(refused(okta.lock(lock("l", "ada@acme.com")).await).0, Code::InvalidArgument);
    let only = (Code::PermissionDenied, "Okta service may only lock okta user".to_owned());
    assert_eq!(refused(okta.lock(origin(lock("l", "bob@acme.com"))).await), only);
    okta.lock(origin(lock("l", "ada@acme.com"))).await.unwrap();
    bot.lock(lock("ours", "bob@acme.com")).await.unwrap();
    assert_eq!(
        refused(okta.auth.delete_lock(DeleteLockRequest { name: "ours".into() }).await).0,
        Code::PermissionDenied
    );
    okta.auth.delete_lock(DeleteLockRequest { name: "l".into() }).await.unwrap();
}

#[tokio::test]
async fn a_saml_login_rewrites_a_synced_user_and_refuses_a_local_one() {
    let sim = sim().await;
    sim.put_user(&labelled(user("ada@acme.com"), "okta/org", "https://acme.okta.com")).unwrap();
    let mut local = user("local@acme.com");
    local.spec.as_mut().unwrap().created_by = None;
    sim.put_user(&local).unwrap();
    sim.put_user(&labelled(user("theirs@acme.com"), "teleport.dev/origin", "okta")).unwrap();

    let certificate = sim.saml_login(&SamlLogin { ttl_seconds: 600, ..SamlLogin::of("ada@acme.com") }).unwrap();
    let ada = sim.user("ada@acme.com").unwrap();
    assert_eq!((ada.kind.as_str(), ada.roles.as_slice()), ("sso", ["okta-requester".to_owned()].as_slice()));
    assert!(ada.labels.is_empty() && ada.expires.is_some(), "labels vanish, an end appears");
    assert!(sim.certificate_usable(&certificate));
    sim.set_clock_offset(700);
    assert!(sim.user("ada@acme.com").is_none(), "and when it has come, the user is gone");

    assert_eq!(sim.saml_login(&SamlLogin::of("local@acme.com")).unwrap_err().code, Code::AlreadyExists);
    sim.saml_login(&SamlLogin::of("theirs@acme.com")).unwrap();
    assert_eq!(sim.user("theirs@acme.com").unwrap().expires, None, "the integration's own users are spared");
    sim.saml_login(&SamlLogin::of("new@acme.com")).unwrap();
    assert!(sim.user("new@acme.com").unwrap().expires.is_some());
}

#[tokio::test]
async fn scim_deletes_and_locks_for_ever() {
    let sim = sim().await;
    sim.put_user(&user("ada@acme.com")).unwrap();
    sim.scim_delete("ada@acme.com");
    assert!(sim.user("ada@acme.com").is_none());
    let locks = sim.locks();
    assert_eq!((locks.len(), locks[0].user.as_str(), locks[0].expires), (1, "ada@acme.com", None));
}
