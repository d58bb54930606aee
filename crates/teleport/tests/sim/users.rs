//! Users: their life, and what an update leaves alone.

use std::{sync::Arc, time::Instant};

use engine::{
    cluster::{Cluster as _, ConnectorLookup, Deleted, OriginMode, WriteError},
    failure::Class,
    user::{User, UserEdit, label},
};
use prost::Message as _;
use teleport::{Line, TeleportClient};
use teleport_proto::types;
use teleport_sim::{BOT_USER, Edition, Fault, IdentityKind, Options, SamlLogin, Version};
use tonic::Code;

use crate::fixture::{all_users, bot, client, failure, new_user, same, settings, start, started};

#[tokio::test]
async fn a_user_is_made_read_listed_changed_and_deleted() {
    let (sim, client) = started().await;
    assert_eq!(client.user("ada@acme.com").await.unwrap(), None);

    client.create_user(new_user("ada@acme.com")).await.unwrap();
    let stored = sim.user("ada@acme.com").unwrap();
    assert_eq!((stored.kind.as_str(), stored.connector.as_deref()), ("sso", Some("okta")));
    assert_eq!(stored.created_by, BOT_USER);
    assert_eq!(stored.expires, None);
    assert_eq!(client.create_user(new_user("ada@acme.com")).await, Err(WriteError::Exists));

    let user = client.user("ada@acme.com").await.unwrap().unwrap();
    assert_eq!(user.traits, new_user("ada@acme.com").traits);
    assert_eq!(user.labels, new_user("ada@acme.com").labels);
    assert_eq!(user.created_by, Some(new_user("ada@acme.com").created_by));
    // A list is for looking: it brings no original, so nobody can be changed by what may be an old copy.
    let listed = User { original: bytes::Bytes::new(), ..user.clone() };
    assert!(all_users(&client).await.unwrap().contains(&listed));

    let mut edit = same(&user);
    edit.roles.push("editor".into());
    edit.traits.insert("okta/title".into(), vec!["Countess".into(), "Analyst".into()]);
    edit.traits.remove("okta/empty");
    edit.labels.insert("team".into(), "blue".into());
    client.update_user(&user, &edit).await.unwrap();
    let stored = sim.user("ada@acme.com").unwrap();
    assert_eq!((stored.labels, stored.roles), (edit.labels.clone(), edit.roles.clone()));
    assert_eq!(stored.traits, edit.traits);
    assert_eq!(stored.created_by, BOT_USER);

    assert_eq!(
        client.update_user(&user, &edit).await,
        Err(WriteError::Stale),
        "the revision is that of the first read"
    );
    assert_eq!(client.delete_user("ada@acme.com").await, Ok(Deleted::Now));
    assert_eq!(client.delete_user("ada@acme.com").await, Ok(Deleted::Before));
    assert_eq!(client.update_user(&user, &edit).await, Err(WriteError::Stale), "gone");
    assert_eq!(sim.user("ada@acme.com"), None);
}

// shelf.rs, `take`.
#[tokio::test]
async fn clients_of_one_line_share_a_list_and_what_it_shows_and_a_client_of_another_line_reads_its_own() {
    let sim = start(Options::default()).await;
    let line = Arc::new(Line::connect(settings(&sim)).unwrap());
    let (one, two, other) = (TeleportClient::over(line.clone()), TeleportClient::over(line), bot(&sim));
    let facts = one.prove_identity().await.unwrap();
    one.create_user(new_user("ada@acme.com")).await.unwrap();
    let lists = || sim.counters().of("ListUsers");

    let began = Instant::now();
    let list = one.census(&facts, began).await.unwrap();
    assert!(Arc::ptr_eq(&list, &two.census(&facts, began).await.unwrap()));
    assert_eq!(lists(), 1);
    // By the list it is known that nobody's name begins with hers and a slash, so nobody is asked.
    assert_eq!(two.delete_user("ada@acme.com").await, Ok(Deleted::Now));
    assert_eq!(lists(), 1);
    let after = two.census(&facts, Instant::now()).await.unwrap();
    assert_eq!((after.len() + 1, lists()), (list.len(), 2), "that one is too old");
    let apart = other.census(&facts, began).await.unwrap();
    assert!(!Arc::ptr_eq(&apart, &after));
    assert_eq!((apart.len(), lists()), (after.len(), 3));
}

// splice.rs, `replace_messages`; users.rs, `encode_edited`.
#[tokio::test]
async fn p07_what_a_newer_server_keeps_in_a_user_survives_our_update() {
    let (sim, client) = started().await;
    client.create_user(new_user("ada@acme.com")).await.unwrap();

    // A newer server adds fields of its own to the user, its metadata and its specification.
    let mut unknown = Vec::new();
    prost::encoding::bytes::encode(4000, &b"from a newer server".to_vec(), &mut unknown);
    let mut stored = types::UserV2::decode(sim.raw_user("ada@acme.com").unwrap()).unwrap();
    stored.status = Some(types::UserStatusV2 { password_state: 77, mfa_weakest_device: 3 });
    let mut metadata = stored.metadata.take().unwrap().encode_to_vec();
    metadata.extend(&unknown);
    let mut spec = stored.spec.take().unwrap();
    spec.trusted_device_ids = vec!["laptop".into()];
    let mut spec = spec.encode_to_vec();
    spec.extend(&unknown);
    let mut raw = stored.encode_to_vec();
    prost::encoding::bytes::encode(4, &metadata, &mut raw);
    prost::encoding::bytes::encode(5, &spec, &mut raw);
    raw.extend(&unknown);
    sim.put_raw_user(&raw).unwrap();

    let user = client.user("ada@acme.com").await.unwrap().unwrap();
    let edit = UserEdit { roles: vec!["access".into(), "auditor".into()], ..same(&user) };
    client.update_user(&user, &edit).await.unwrap();

    let after = sim.raw_user("ada@acme.com").unwrap();
    assert_eq!(after.windows(unknown.len()).filter(|bytes| *bytes == unknown).count(), 3);
    let after = types::UserV2::decode(after).unwrap();
    assert_eq!(after.status.unwrap().password_state, 77, "a value that is not known yet");
    let spec = after.spec.unwrap();
    assert_eq!((spec.roles, spec.trusted_device_ids), (edit.roles, vec!["laptop".to_owned()]));
}

#[tokio::test]
async fn the_expiry_that_a_login_leaves_behind_is_cleared() {
    let (sim, client) = started().await;
    client.create_user(new_user("ada@acme.com")).await.unwrap();
    let login: SamlLogin = serde_json::from_value(serde_json::json!({ "user": "ada@acme.com" })).unwrap();
    sim.saml_login(&login).unwrap();

    let user = client.user("ada@acme.com").await.unwrap().unwrap();
    assert!(user.expires.is_some(), "the login has rewritten the user");
    let wanted = new_user("ada@acme.com");
    let edit = UserEdit { labels: wanted.labels, roles: wanted.roles, traits: wanted.traits };
    client.update_user(&user, &edit).await.unwrap();
    let user = client.user("ada@acme.com").await.unwrap().unwrap();
    assert_eq!((user.expires, user.traits), (None, edit.traits));
    assert_eq!(sim.user("ada@acme.com").unwrap().expires, None);
}

#[tokio::test]
async fn a_list_goes_over_all_pages_and_shrinks_them_where_they_are_too_large() {
    let (sim, client) = started().await;
    for number in 0..2_100 {
        let name = format!("user-{number:04}@acme.com");
        let metadata = types::Metadata { name, ..Default::default() };
        sim.put_user(&types::UserV2 { metadata: Some(metadata), ..Default::default() }).unwrap();
    }
    let everybody = sim.user_names();
    let names = |users: Vec<engine::user::User>| users.into_iter().map(|user| user.name).collect::<Vec<_>>();
    assert_eq!(names(all_users(&client).await.unwrap()), everybody);
    assert_eq!(sim.counters().of("ListUsers"), 3);

    // The first four tries of one page are too large for the server.
    sim.reset_counters();
    sim.fault(Fault::refuse("ListUsers", Code::ResourceExhausted).times(4));
    assert_eq!(names(all_users(&client).await.unwrap()), everybody);
    assert!(sim.counters().of("ListUsers") >= 4 + 9, "in pages of 250: {}", sim.counters().of("ListUsers"));
}

// users.rs, `list_users`: the error of a page.
#[tokio::test]
async fn p01_a_list_that_breaks_off_ends_in_an_error() {
    let (sim, client) = started().await;
    for number in 0..1_500 {
        let metadata = types::Metadata { name: format!("u{number:04}"), ..Default::default() };
        sim.put_user(&types::UserV2 { metadata: Some(metadata), ..Default::default() }).unwrap();
    }
    sim.fault(Fault::refuse("ListUsers", Code::Unavailable).after(1));
    let failure = all_users(&client).await.unwrap_err();
    assert_eq!(failure.class, Class::Transient);
}

#[tokio::test]
async fn deleting_a_user_never_takes_another_along() {
    let (sim, client) = started().await;
    client.create_user(new_user("p@acme.com")).await.unwrap();
    let other = |name: &str| {
        let metadata = types::Metadata { name: name.into(), ..Default::default() };
        sim.put_user(&types::UserV2 { metadata: Some(metadata), ..Default::default() }).unwrap();
    };
    other("p@acme.com.au");
    other("p@acme.com/q");

    // With no list before, the client asks.
    let refused = failure(client.delete_user("p@acme.com").await.unwrap_err());
    assert_eq!((refused.class, refused.reason), (Class::Conflict, "DeletionWouldTakeOthers"));
    assert!(refused.message.contains("p@acme.com/q"), "{}", refused.message);
    // After a list it knows.
    all_users(&client).await.unwrap();
    assert!(client.delete_user("p@acme.com").await.is_err());
    assert!(sim.user("p@acme.com").is_some() && sim.user("p@acme.com/q").is_some());

    sim.remove_user("p@acme.com/q");
    assert_eq!(client.delete_user("p@acme.com").await, Ok(Deleted::Now));
    assert!(sim.user("p@acme.com.au").is_some());
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_named() {
    let (sim, client) = started().await;
    let mut user = new_user("ada@acme.com");
    user.roles = vec!["access".into(), "nobody-made-this".into()];
    assert_eq!(client.create_user(user.clone()).await, Err(WriteError::RoleMissing("nobody-made-this".into())));
    assert_eq!(sim.user("ada@acme.com"), None);

    client.create_user(new_user("ada@acme.com")).await.unwrap();
    let read = client.user("ada@acme.com").await.unwrap().unwrap();
    let edit = UserEdit { roles: user.roles, ..same(&read) };
    assert_eq!(client.update_user(&read, &edit).await, Err(WriteError::RoleMissing("nobody-made-this".into())));
}

#[tokio::test]
async fn names_that_must_not_be_written_are_refused_before_the_call() {
    let (sim, client) = started().await;
    for name in ["", "a/b", "zoë@acme.com", "a b", ".."] {
        let refused = failure(client.create_user(new_user(name)).await.unwrap_err());
        assert_eq!(refused.reason, "UserNameRefused", "{name}");
    }
    assert!(sim.writes().is_empty());
}

// roles.rs, `grants_nothing`: `decode_varint`.
#[tokio::test]
async fn p13_roles_that_grant_nothing_are_told_apart_on_every_line() {
    for version in [Version::V15, Version::V17, Version::V18, Version::V19] {
        let sim = start(Options { version, ..Options::default() }).await;
        sim.put_plain_role("newcomer", 3600);
        // The same with a field that only a newer server knows.
        let mut newer = sim.role("newcomer").unwrap();
        newer.metadata.as_mut().unwrap().name = "newer".into();
        let spec = newer.spec.as_mut().unwrap();
        let mut allow = spec.allow.to_vec();
        prost::encoding::bytes::encode(4000, &b"from a newer server".to_vec(), &mut allow);
        spec.allow = allow.into();
        sim.put_role(newer);
        let roles = bot(&sim).roles().await.unwrap();
        let nothing: Vec<&str> =
            roles.iter().filter(|role| role.grants_nothing).map(|role| role.name.as_str()).collect();
        assert_eq!(nothing, ["newcomer", "okta-requester"], "{version:?}");
    }
}

#[tokio::test]
async fn roles_are_listed_on_every_line_and_connectors_where_there_are_any() {
    for version in [Version::V15, Version::V17, Version::V18, Version::V19] {
        let options = Options { version, okta_app_id: "0oa9saml8app7".into(), ..Options::default() };
        let sim = start(options).await;
        sim.put_plain_role("long", 7 * 24 * 3600);
        let client = bot(&sim);
        let roles = client.roles().await.unwrap();
        assert!(roles.iter().any(|role| role.name == "okta-requester"), "{version:?}");
        let long = roles.iter().find(|role| role.name == "long").unwrap();
        assert_eq!(long.max_session_ttl.unwrap().as_hours(), 7 * 24);
        let app_id = Some("0oa9saml8app7".to_owned());
        assert_eq!(client.connector("okta").await.unwrap(), ConnectorLookup::Found { app_id });
        assert_eq!(client.connector("other").await.unwrap(), ConnectorLookup::Missing);
        let facts = client.prove_identity().await.unwrap();
        assert_eq!((facts.version.as_str(), facts.own_name.as_str()), (version.server_version(), BOT_USER));
        assert_eq!((facts.name.as_str(), facts.origin_mode), ("teleport.sim", OriginMode::Bot));
    }
}

#[tokio::test]
async fn community_edition_has_no_connector_and_no_requester() {
    let sim = start(Options { edition: Edition::Community, ..Options::default() }).await;
    let client = bot(&sim);
    assert_eq!(client.connector("okta").await.unwrap(), ConnectorLookup::Missing);
    assert!(client.roles().await.unwrap().iter().all(|role| role.name != "okta-requester"));
    // The connector need not exist for users to be made in its name.
    client.create_user(new_user("ada@acme.com")).await.unwrap();
    assert_eq!(sim.user("ada@acme.com").unwrap().kind, "sso");
}

#[tokio::test]
async fn the_system_role_writes_users_of_origin_okta_and_a_bot_may_only_delete_them() {
    let sim = start(Options::default()).await;
    let service = client(&sim, IdentityKind::okta_service());
    let facts = service.prove_identity().await.unwrap();
    assert_eq!(facts.origin_mode, OriginMode::Okta);
    assert!(facts.own_name.ends_with(".teleport.sim"));

    service.create_user(new_user("ada@acme.com")).await.unwrap();
    let user = service.user("ada@acme.com").await.unwrap().unwrap();
    assert_eq!(user.labels[label::ORIGIN], label::ORIGIN_OKTA);
    let edit = UserEdit { roles: vec!["auditor".into()], labels: new_user("ada@acme.com").labels, ..same(&user) };
    service.update_user(&user, &edit).await.unwrap();
    assert_eq!(sim.user("ada@acme.com").unwrap().labels[label::ORIGIN], label::ORIGIN_OKTA);
    assert_eq!(service.user("nobody").await.unwrap(), None);

    let bot = bot(&sim);
    let user = bot.user("ada@acme.com").await.unwrap().unwrap();
    let refused = failure(bot.update_user(&user, &same(&user)).await.unwrap_err());
    assert_eq!((refused.class, refused.reason), (Class::Configuration, "OriginRefused"));
    assert_eq!(bot.delete_user("ada@acme.com").await, Ok(Deleted::Now));

    bot.create_user(new_user("bob@acme.com")).await.unwrap();
    let refused = failure(service.delete_user("bob@acme.com").await.unwrap_err());
    assert_eq!(refused.reason, "OriginRefused");
}

#[tokio::test]
async fn writes_keep_their_pace() {
    let sim = start(Options::default()).await;
    let mut settings = settings(&sim);
    settings.write_rate = 50;
    let client = teleport::TeleportClient::connect(settings).unwrap();
    let start = std::time::Instant::now();
    let makes = (0..40).map(|number| {
        let user = new_user(&format!("u{number}@acme.com"));
        let client = &client;
        async move { client.create_user(user).await.unwrap() }
    });
    futures::future::join_all(makes).await;
    let seconds = start.elapsed().as_secs_f64();
    assert!(seconds > 0.65, "40 at 50 a second, less the burst: {seconds}");
    assert!(sim.counters().most_at_once["CreateUser"] <= 8);
}
