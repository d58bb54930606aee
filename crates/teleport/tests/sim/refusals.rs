//! What the server refuses, and what is said about it.

use engine::{
    cluster::{Cluster as _, ConnectorLookup, WriteError},
    failure::{Class, Failure},
};
use teleport_proto::types;
use teleport_sim::{BOT_USER, IdentityKind, Lag, Options, Version};

use crate::fixture::{all_users, bot, client, failure, new_lock, new_user, same, start, started};

#[tokio::test]
async fn each_missing_permission_is_named_with_the_rule_that_mends_it() {
    let (sim, client) = started().await;
    client.create_user(new_user("ada@acme.com")).await.unwrap();
    let user = client.user("ada@acme.com").await.unwrap().unwrap();
    let lock = new_lock("ada@acme.com");
    client.put_lock(&lock).await.unwrap();

    let written = |result: Result<(), WriteError>| failure(result.unwrap_err());
    for (kind, verb) in [
        ("user", "list"),
        ("user", "read"),
        ("user", "create"),
        ("user", "update"),
        ("user", "delete"),
        ("lock", "list"),
        ("lock", "create"),
        ("lock", "update"),
        ("lock", "delete"),
        ("role", "list"),
        ("saml", "list"),
    ] {
        sim.drop_permission(kind, verb);
        let refused: Failure = match (kind, verb) {
            ("user", "list") => all_users(&client).await.unwrap_err(),
            ("user", "read") => client.user("ada@acme.com").await.unwrap_err(),
            ("user", "create") => written(client.create_user(new_user("bob@acme.com")).await),
            ("user", "update") => written(client.update_user(&user, &same(&user)).await),
            ("user", _) => failure(client.delete_user("ada@acme.com").await.unwrap_err()),
            ("lock", "list") => client.locks().await.unwrap_err(),
            ("lock", "delete") => written(client.remove_lock(&lock.name).await),
            ("lock", _) => written(client.put_lock(&lock).await),
            ("saml", _) => client.connectors().await.unwrap_err().into(),
            _ => client.roles().await.unwrap_err(),
        };
        assert_eq!(
            (refused.class, refused.reason),
            (Class::Permission, "PermissionMissing"),
            "{kind}:{verb}: {refused}"
        );
        assert!(refused.message.contains(&format!("{kind}:{verb}")), "{kind}:{verb}: {refused}");
        assert!(refused.message.contains(BOT_USER), "{refused}");
        assert!(
            refused.remedy.contains(&format!("resources: [{kind}]")) && refused.remedy.contains(verb),
            "{kind}:{verb}: {}",
            refused.remedy
        );
        sim.restore_permissions();
    }
    client.roles().await.unwrap();
}

#[tokio::test]
async fn missing_permissions_are_seen_before_anything_is_written() {
    let (sim, bot) = started().await;
    assert_eq!(bot.missing_permissions().await.unwrap(), []);
    sim.drop_permission("lock", "update");
    let missing = bot.missing_permissions().await.unwrap();
    assert_eq!(missing.iter().map(|missing| (missing.kind, missing.verb)).collect::<Vec<_>>(), [("lock", "update")]);
    assert_eq!(client(&sim, IdentityKind::okta_service()).missing_permissions().await.unwrap(), []);
    assert!(sim.writes().is_empty());
}

#[tokio::test]
async fn a_connector_that_may_not_be_read_is_told_from_one_that_is_not_there() {
    let (sim, client) = started().await;
    for verb in ["read", "readnosecrets"] {
        sim.drop_permission("saml", verb);
    }
    let ConnectorLookup::Unreadable(why) = client.connector("okta").await.unwrap() else { panic!("readable") };
    assert!(why.contains("saml"), "{why}");
}

#[tokio::test]
async fn a_deleted_bot_never_looks_like_already_gone() {
    let (sim, client) = started().await;
    client.create_user(new_user("ada@acme.com")).await.unwrap();
    let lock = new_lock("ada@acme.com");
    client.put_lock(&lock).await.unwrap();
    sim.remove_user(BOT_USER);

    let gone = |failure: Failure| {
        assert_eq!((failure.class, failure.reason), (Class::Credential, "IdentityDeleted"), "{failure}");
        assert!(failure.message.contains(BOT_USER), "{failure}");
    };
    gone(client.prove_identity().await.unwrap_err());
    gone(client.user("nobody").await.unwrap_err());
    gone(failure(client.delete_user("ada@acme.com").await.unwrap_err()));
    gone(failure(client.remove_lock(&lock.name).await.unwrap_err()));
    gone(failure(client.create_user(new_user("bob@acme.com")).await.unwrap_err()));
    gone(client.connector("okta").await.unwrap_err());
    gone(client.roles().await.unwrap_err());
    gone(client.locks().await.unwrap_err());
    gone(client.in_force(&["okta-user-sync-x".to_owned()]).await.unwrap_err());
    gone(all_users(&client).await.unwrap_err());
    gone(failure(client.put_lock(&lock).await.unwrap_err()));
    assert!(sim.user("ada@acme.com").is_some());
}

#[tokio::test]
async fn a_lock_on_the_operator_itself_is_recognised_on_every_line() {
    for version in [Version::V15, Version::V17, Version::V18] {
        let sim = start(Options { version, ..Options::default() }).await;
        sim.set_lag(Lag { locks_ms: 0, ..Lag::default() });
        let client = bot(&sim);
        client.prove_identity().await.unwrap();
        sim.put_lock(types::LockV2 {
            metadata: Some(types::Metadata { name: "incident".into(), ..Default::default() }),
            spec: Some(types::LockSpecV2 {
                target: Some(types::LockTarget { user: BOT_USER.into(), ..Default::default() }),
                message: "under investigation".into(),
                ..Default::default()
            }),
            ..Default::default()
        });
        for refused in [
            client.prove_identity().await.unwrap_err(),
            client.roles().await.unwrap_err(),
            failure(client.create_user(new_user("ada@acme.com")).await.unwrap_err()),
        ] {
            assert_eq!(
                (refused.class, refused.reason),
                (Class::Permission, "IdentityLocked"),
                "{version:?}: {refused}"
            );
            assert!(refused.remedy.contains("tctl"), "{}", refused.remedy);
        }
    }
}

#[tokio::test]
async fn an_identity_of_a_user_who_does_not_exist_is_no_identity() {
    let sim = start(Options::default()).await;
    let stranger = client(&sim, IdentityKind::user("stranger", &["access"]));
    assert_eq!(stranger.prove_identity().await.unwrap_err().reason, "IdentityDeleted");
}

#[tokio::test]
async fn a_persons_login_cannot_do_what_wants_a_second_factor() {
    let sim = start(Options::default()).await;
    sim.put_user(&types::UserV2 {
        metadata: Some(types::Metadata { name: "alice".into(), ..Default::default() }),
        ..Default::default()
    })
    .unwrap();
    sim.demand_mfa(true);
    let alice = client(&sim, IdentityKind::user("alice", &[teleport_sim::BOT_ROLE]));
    alice.prove_identity().await.unwrap();
    let refused = failure(alice.create_user(new_user("ada@acme.com")).await.unwrap_err());
    assert_eq!((refused.class, refused.reason), (Class::Permission, "SecondFactorDemanded"));
    assert!(refused.remedy.contains("bot"), "{}", refused.remedy);
    bot(&sim).create_user(new_user("ada@acme.com")).await.unwrap();
}
