//! Teleport's rules for users, each as a story or a table (reference §0, §1.2, §1.4, §15–17).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use bytes::Bytes;
use common::{administrator, bot, labelled, lock, name, okta_service, refused, start, user, with_roles};
use prost::Message as _;
use teleport_proto::{
    time::{GO_ZERO_SECONDS, go_zero},
    types,
    users::{CreateUserRequest, GetUserRequest, ListUsersRequest, UpdateUserRequest},
};
use teleport_sim::{BOT_USER, Lag, Options, TeleportSim, Version};
use tonic::Code;

const ORIGIN: &str = "teleport.dev/origin";

async fn sim(version: Version) -> TeleportSim {
    start(Options { version, ..Options::default() }).await
}

#[tokio::test]
async fn created_by_is_kept_where_it_names_a_user_and_replaced_whole_where_not() {
    let sim = sim(Version::V17).await;
    let mut bot = bot(&sim);

    let kept = bot.create(&user("kept@acme.com")).await.unwrap().spec.unwrap().created_by.unwrap();
    assert_eq!(
        Some(kept),
        user("").spec.unwrap().created_by.map(|by| {
            let connector =
                by.connector.map(|connector| types::ConnectorRef { identity: "kept@acme.com".into(), ..connector });
            types::CreatedBy { connector, ..by }
        })
    );

    let mut nameless = user("nameless@acme.com");
    nameless.spec.as_mut().unwrap().created_by.as_mut().unwrap().user = None;
    let replaced = bot.create(&nameless).await.unwrap().spec.unwrap().created_by.unwrap();
    assert_eq!(replaced.connector, None, "the connector is lost silently");
    assert_eq!(replaced.user.unwrap().name, BOT_USER);
    assert!(replaced.time.unwrap().seconds > 1_700_000_000);

    let mut timeless = user("timeless@acme.com");
    timeless.spec.as_mut().unwrap().created_by.as_mut().unwrap().time = None;
    let timeless = bot.create(&timeless).await.unwrap().spec.unwrap().created_by.unwrap();
    assert_eq!(timeless.time, Some(go_zero()), "a missing time is not filled in when a user is named");
}

#[tokio::test]
async fn an_update_cannot_change_created_by_but_an_upsert_does() {
    let sim = sim(Version::V17).await;
    let mut bot = bot(&sim);
    let mut stored = bot.create(&user("ada@acme.com")).await.unwrap();
    let original = stored.spec.as_ref().unwrap().created_by.clone();

    stored.spec.as_mut().unwrap().created_by = None;
    let updated = bot.update(&stored).await.unwrap();
    assert_eq!(updated.spec.as_ref().unwrap().created_by, original);

    let mut fresh = user("ada@acme.com");
    fresh.spec.as_mut().unwrap().created_by = None;
    let upserted = bot.upsert(&fresh).await.unwrap().spec.unwrap().created_by.unwrap();
    assert_eq!((upserted.connector, upserted.time), (None, Some(go_zero())));
}

#[tokio::test]
async fn an_update_needs_the_revision_that_is_stored() {
    let sim = sim(Version::V17).await;
    let mut bot = bot(&sim);
    let first = bot.create(&user("ada@acme.com")).await.unwrap();
    let second = bot.update(&with_roles(first.clone(), &["auditor"])).await.unwrap();
    assert_ne!(first.metadata.as_ref().unwrap().revision, second.metadata.as_ref().unwrap().revision);

    let with_revision = |revision: &str| {
        let mut user = second.clone();
        user.metadata.as_mut().unwrap().revision = revision.into();
        user
    };
    let stale = first.metadata.unwrap().revision;
    for (revision, what) in [(stale.as_str(), "stale"), ("", "empty"), ("rubbish", "garbage")] {
        let (code, words) = refused(bot.update(&with_revision(revision)).await);
        assert_eq!(code, Code::FailedPrecondition, "{what}");
        assert!(words.starts_with("resource revision does not match"), "{words}");
    }
    assert_eq!(
        refused(bot.update(&user("nobody@acme.com")).await).0,
        Code::FailedPrecondition,
        "so does a user that is not there"
    );
    assert!(bot.update(&second).await.is_ok());
    assert!(bot.upsert(&with_revision("rubbish")).await.is_ok(), "an upsert does not look");
}

#[tokio::test]
async fn roles_must_exist_always_on_creation_and_from_17_on_update_too() {
    for (version, checks) in [(Version::V15, false), (Version::V17, true), (Version::V18, true)] {
        let sim = sim(version).await;
        let mut bot = bot(&sim);
        let missing = (Code::NotFound, "role nowhere is not found".to_owned());
        assert_eq!(refused(bot.create(&with_roles(user("a@acme.com"), &["access", "nowhere"])).await), missing);
        assert!(sim.user("a@acme.com").is_none());

        let stored = bot.create(&user("b@acme.com")).await.unwrap();
        let update = bot.update(&with_roles(stored, &["nowhere"])).await;
        let upsert = bot.upsert(&with_roles(user("b@acme.com"), &["nowhere"])).await;
        assert_eq!((update.is_err(), upsert.is_err()), (checks, checks), "{version:?}");
        if checks {
            assert_eq!(refused(update), missing);
            assert_eq!(sim.user("b@acme.com").unwrap().roles, ["access"]);
        }
    }
}

#[tokio::test]
async fn a_second_user_of_a_name_is_refused_and_case_makes_another_name() {
    let sim = sim(Version::V17).await;
    let mut bot = bot(&sim);
    bot.create(&user("ada@acme.com")).await.unwrap();
    let twice = (Code::AlreadyExists, r#"user "ada@acme.com" already registered"#.to_owned());
    assert_eq!(refused(bot.create(&user("ada@acme.com")).await), twice);
    assert!(bot.create(&user("Ada@acme.com")).await.is_ok());
}

#[tokio::test]
async fn names_and_label_keys_go_by_teleports_rules() {
    let sim = sim(Version::V17).await;
    let mut bot = bot(&sim);
    for (bad, words) in [
        ("ada lovelace", "special characters are not allowed in resource names"),
        ("adä@acme.com", "special characters are not allowed in resource names"),
        ("ada%40acme.com", "special characters are not allowed in resource names"),
        ("..", "special characters are not allowed in resource names"),
    ] {
        let (code, said) = refused(bot.create(&user(bad)).await);
        assert_eq!(code, Code::InvalidArgument, "{bad}");
        assert!(said.starts_with(words), "{bad}: {said}");
    }
    let nameless = types::UserV2 { kind: "user".into(), ..Default::default() };
    assert_eq!(refused(bot.create(&nameless).await), (Code::InvalidArgument, "missing parameter Name".into()));
    for good in ["ada+one@acme.com", "a.b-c_d@acme.com", "with/slash"] {
        assert!(bot.create(&user(good)).await.is_ok(), "{good}");
    }
    for (key, fine) in [("okta/org", true), ("usersync.dev/managed-by", true), ("Team", false), ("a team", false)] {
        let result = bot.create(&labelled(user(&format!("{}@acme.com", key.len())), key, "x")).await;
        assert_eq!(result.is_ok(), fine, "{key}");
        if !fine {
            assert_eq!(refused(result), (Code::InvalidArgument, format!("invalid label key: {key:?}")));
        }
    }
}

#[tokio::test]
async fn deletion_takes_along_what_the_name_is_a_prefix_of() {
    let sim = sim(Version::V17).await;
    let mut bot = bot(&sim);
    for name in ["p@x.com", "p@x.com/q", "p@x.com.au"] {
        bot.create(&user(name)).await.unwrap();
    }
    bot.delete("p@x.com").await.unwrap();
    assert!(sim.user("p@x.com/q").is_none(), "gone with it");
    assert!(sim.user("p@x.com.au").is_some());
    assert_eq!(refused(bot.delete("p@x.com").await).0, Code::NotFound);
    assert_eq!(refused(bot.delete("").await), (Code::InvalidArgument, "missing user name".into()));
}

#[tokio::test]
async fn only_the_okta_service_writes_its_origin_and_only_that() {
    let sim = sim(Version::V17).await;
    let (mut bot, mut okta) = (bot(&sim), okta_service(&sim));
    let okta_user = |name: &str| labelled(user(name), ORIGIN, "okta");
    let must_be = (Code::InvalidArgument, r#"Must be Okta service to set "okta" origin"#.to_owned());

    assert_eq!(refused(bot.create(&okta_user("ada@acme.com")).await), must_be);
    assert_eq!(refused(bot.upsert(&okta_user("ada@acme.com")).await), must_be);
    let without = (Code::InvalidArgument, r#"Okta service must supply "okta" origin"#.to_owned());
    assert_eq!(refused(okta.create(&user("ada@acme.com")).await), without);

    let theirs = okta.create(&okta_user("ada@acme.com")).await.unwrap();
    assert_eq!(
        theirs.spec.as_ref().unwrap().created_by,
        user("ada@acme.com").spec.unwrap().created_by,
        "kept verbatim"
    );
    assert_eq!(refused(bot.update(&theirs).await), must_be);
    let mut stripped = theirs.clone();
    stripped.metadata.as_mut().unwrap().labels.clear();
    assert_eq!(refused(bot.update(&stripped).await), (Code::InvalidArgument, "Okta origin may not be changed".into()));

    let ours = bot.create(&user("bob@acme.com")).await.unwrap();
    let taken_over = labelled(ours, ORIGIN, "okta");
    let only = (Code::PermissionDenied, "Okta service may only update Okta resources".to_owned());
    assert_eq!(refused(okta.update(&taken_over).await), only);
    let only = (Code::PermissionDenied, "Okta service may only delete Okta resources".to_owned());
    assert_eq!(refused(okta.delete("bob@acme.com").await), only);
    assert!(okta.update(&theirs).await.is_ok());
    bot.delete("ada@acme.com").await.expect("anybody who may delete may delete theirs");
}

#[tokio::test]
async fn origins_outside_the_list_are_refused_and_the_list_grows() {
    for (version, origin, fine) in [
        (Version::V15, "dynamic", true),
        (Version::V15, "scim", false),
        (Version::V17, "scim", true),
        (Version::V17, "aws-identity-center", false),
        (Version::V18, "aws-identity-center", true),
        (Version::V18, "mine", false),
    ] {
        let sim = sim(version).await;
        let result = bot(&sim).create(&labelled(user("ada@acme.com"), ORIGIN, origin)).await;
        assert_eq!(result.is_ok(), fine, "{version:?} {origin}");
        if !fine {
            let (code, words) = refused(result);
            assert_eq!(code, Code::InvalidArgument);
            assert!(words.starts_with(&format!("invalid origin value {origin:?}, must be one of")), "{words}");
        }
    }
}

#[tokio::test]
async fn a_request_without_its_user_takes_the_server_down_and_is_remembered() {
    let sim = sim(Version::V17).await;
    let mut bot = bot(&sim);
    assert_eq!(refused(bot.users.create_user(CreateUserRequest::default()).await).0, Code::Unavailable);
    assert_eq!(refused(bot.users.update_user(UpdateUserRequest::default()).await).0, Code::Unavailable);
    let outcomes: Vec<(String, String)> = sim.writes().into_iter().map(|write| (write.method, write.outcome)).collect();
    assert_eq!(outcomes, [("CreateUser".into(), "crash".into()), ("UpdateUser".into(), "crash".into())]);
}

#[tokio::test]
async fn secrets_are_given_to_nobody() {
    let sim = sim(Version::V17).await;
    for mut client in [bot(&sim), administrator(&sim)] {
        let get = GetUserRequest { name: "admin".into(), with_secrets: true, ..Default::default() };
        assert_eq!(refused(client.users.get_user(get).await).0, Code::PermissionDenied);
        let list = ListUsersRequest { with_secrets: true, ..Default::default() };
        assert_eq!(refused(client.users.list_users(list).await).0, Code::PermissionDenied);
    }
    let mut secretive = user("ada@acme.com");
    let secrets = types::LocalAuthSecrets { totp_key: "seed".into(), ..Default::default() };
    secretive.spec.as_mut().unwrap().local_auth = Some(secrets);
    assert_eq!(bot(&sim).create(&secretive).await.unwrap().spec.unwrap().local_auth, None);
}

// users.rs of the simulator, `create_user`: what is stored is what came, spliced, not encoded anew.
#[tokio::test]
async fn p07_fields_that_nobody_here_knows_survive_and_times_come_back_as_year_one() {
    let sim = sim(Version::V17).await;
    let mut bot = bot(&sim);
    let unknown = [0x82, 0xfa, 0x01, 0x03, b'n', b'e', b'w']; // field 4000 with "new"
    let mut raw = user("ada@acme.com").encode_to_vec();
    raw.extend(unknown);
    let answer = bot.users.create_user(CreateUserRequest { user: Bytes::from(raw) }).await.unwrap().into_inner().user;
    assert!(answer.windows(unknown.len()).any(|window| window == unknown));
    let got = bot
        .users
        .get_user(GetUserRequest { name: "ada@acme.com".into(), ..Default::default() })
        .await
        .unwrap()
        .into_inner()
        .user;
    assert_eq!(got, answer);

    let stored = types::UserV2::decode(got).unwrap();
    let spec = stored.spec.unwrap();
    assert_eq!(spec.expires.unwrap().seconds, GO_ZERO_SECONDS);
    assert_eq!(spec.status.unwrap().lock_expires.unwrap().seconds, GO_ZERO_SECONDS);
    assert_eq!(stored.metadata.unwrap().namespace, "default");
}

#[tokio::test]
async fn pages_run_in_the_order_of_keys_and_lose_nobody() {
    let sim = sim(Version::V17).await;
    for number in 0..1200 {
        sim.put_user(&user(&format!("u{number:04}@acme.com"))).unwrap();
    }
    // Names that differ only by what follows: '.' and '-' come before the '/' that ends a key, letters after.
    for name in ["zoe", "zoe-b", "zoe.b", "zoeb"] {
        sim.put_user(&user(name)).unwrap();
    }
    let mut bot = bot(&sim);
    for (asked, given) in [(0, 1000), (-3, 1000), (5000, 1000), (1000, 1000), (7, 7)] {
        assert_eq!(bot.page(asked, "").await.unwrap().users.len(), given, "{asked}");
    }
    for size in [1, 2, 3, 500, 1000] {
        let (mut names, mut token) = (Vec::new(), String::new());
        loop {
            let page = bot.page(size, &token).await.unwrap();
            names.extend(page.users.into_iter().map(|raw| name(&common::decoded(raw)).to_owned()));
            if page.next_page_token.is_empty() {
                break;
            }
            token = page.next_page_token;
            assert_eq!(token, format!("{}0", names.last().unwrap()));
        }
        assert_eq!(names, sim.user_names(), "page size {size}");
    }
    assert!(sim.user_names().ends_with(&["zoe-b".into(), "zoe.b".into(), "zoe".into(), "zoeb".into()]));
    let garbage = bot.page(0, "~garbage").await.unwrap();
    assert!(
        garbage.users.is_empty() && garbage.next_page_token.is_empty(),
        "a garbage token is a range start, not an error"
    );
}

#[tokio::test]
async fn a_list_can_be_filtered_by_words_and_holds_bots_and_the_caller() {
    let sim = sim(Version::V18).await;
    sim.put_user(&labelled(user("ada@acme.com"), "team", "Engines")).unwrap();
    sim.put_user(&user("bob@acme.com")).unwrap();
    let mut bot = bot(&sim);
    let mut names = async |words: &[&str], skip: bool| {
        let filter = types::UserFilter {
            search_keywords: words.iter().map(|word| (*word).to_owned()).collect(),
            skip_system_users: skip,
        };
        let request = ListUsersRequest { filter: Some(filter), ..Default::default() };
        let page = bot.users.list_users(request).await.unwrap().into_inner();
        page.users.into_iter().map(|raw| name(&common::decoded(raw)).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["engines"], false).await, ["ada@acme.com"]);
    assert_eq!(names(&["ACME", "bob"], false).await, ["bob@acme.com"]);
    assert_eq!(
        names(&[], false).await,
        ["@teleport-access-approval-bot", "ada@acme.com", "admin", "bob@acme.com", BOT_USER]
    );
    assert_eq!(names(&[], true).await, ["ada@acme.com", "admin", "bob@acme.com", BOT_USER]);
}

#[tokio::test]
async fn a_user_whose_end_has_come_is_gone() {
    let sim = sim(Version::V17).await;
    let mut bot = bot(&sim);
    let mut short = user("short@acme.com");
    short.metadata.as_mut().unwrap().expires =
        Some(prost_types::Timestamp { seconds: sim.now().as_second() + 600, nanos: 0 });
    bot.create(&short).await.unwrap();
    assert!(bot.get("short@acme.com").await.is_ok());
    sim.set_clock_offset(601);
    assert_eq!(refused(bot.get("short@acme.com").await), (Code::NotFound, r#"user "short@acme.com" not found"#.into()));
}

#[tokio::test]
async fn each_call_needs_its_verbs_and_the_refusal_names_them() {
    let sim = sim(Version::V17).await;
    sim.put_user(&user("ada@acme.com")).unwrap();
    let mut bot = bot(&sim);
    let stored = bot.get("ada@acme.com").await.unwrap();
    let denied = |verb: &str, kind: &str| {
        (Code::PermissionDenied, format!("access denied to perform action {verb:?} on {kind:?}"))
    };

    for verb in ["create", "update", "delete", "read"] {
        sim.drop_permission("user", verb);
    }
    assert_eq!(refused(bot.create(&user("bob@acme.com")).await), denied("create", "user"));
    assert_eq!(refused(bot.update(&stored).await), denied("update", "user"));
    assert_eq!(refused(bot.delete("ada@acme.com").await), denied("delete", "user"));
    assert_eq!(refused(bot.get("ada@acme.com").await), denied("read", "user"));
    assert_eq!(refused(bot.page(0, "").await), denied("read", "user"), "a list needs list and read");
    assert!(bot.get(BOT_USER).await.is_ok(), "one's own user is always readable");
    let both =
        r#"access denied to perform action "create" on "user", access denied to perform action "update" on "user""#;
    assert_eq!(refused(bot.upsert(&stored).await), (Code::PermissionDenied, both.into()));

    for verb in ["create", "update"] {
        sim.drop_permission("lock", verb);
    }
    let both =
        r#"access denied to perform action "create" on "lock", access denied to perform action "update" on "lock""#;
    assert_eq!(refused(bot.lock(lock("l", "ada@acme.com")).await), (Code::PermissionDenied, both.into()));
    sim.restore_permissions();
    assert!(bot.lock(lock("l", "ada@acme.com")).await.is_ok());
}

#[tokio::test]
async fn reads_are_stale_for_a_while_after_a_write() {
    let sim = sim(Version::V17).await;
    let mut bot = bot(&sim);
    let first = bot.create(&user("ada@acme.com")).await.unwrap();
    sim.set_lag(Lag { users_ms: 3_600_000, ..Lag::default() });

    let second = bot.update(&with_roles(first.clone(), &["auditor"])).await.unwrap();
    assert_eq!(bot.get("ada@acme.com").await.unwrap(), first, "the old revision");
    assert_eq!(refused(bot.update(&first).await).0, Code::FailedPrecondition, "which cannot be written from");
    let third = bot.update(&second).await.expect("what the write returned can");

    bot.create(&user("bob@acme.com")).await.unwrap();
    assert!(bot.get("bob@acme.com").await.is_ok(), "a name that the cache does not know is read from the backend");
    assert!(bot.page(0, "").await.unwrap().users.into_iter().all(|raw| name(&common::decoded(raw)) != "bob@acme.com"));
    sim.catch_up();
    assert_eq!(bot.get("ada@acme.com").await.unwrap(), third);

    bot.delete("ada@acme.com").await.unwrap();
    assert!(bot.get("ada@acme.com").await.is_ok(), "a deleted user may still be answered");
    sim.catch_up();
    assert_eq!(refused(bot.get("ada@acme.com").await).0, Code::NotFound);
}

#[tokio::test]
async fn a_message_over_four_mebibytes_is_refused() {
    let sim = sim(Version::V17).await;
    let mut bot = bot(&sim);
    let big = |kibibytes: usize| {
        let mut user = user("big@acme.com");
        user.metadata.as_mut().unwrap().description = "x".repeat(kibibytes * 1024);
        user
    };
    assert_eq!(refused(bot.create(&big(4097)).await).0, Code::ResourceExhausted);
    bot.create(&big(4090)).await.expect("just below");
    sim.put_user(&user("small@acme.com")).unwrap();
    sim.put_user(&{
        let mut second = big(100);
        second.metadata.as_mut().unwrap().name = "big2@acme.com".into();
        second
    })
    .unwrap();
    // The server sends pages over the limit all the same; tonic refuses them unless its limit is raised.
    assert_eq!(refused(bot.page(0, "").await).0, Code::OutOfRange);
    let mut patient = bot.users.clone().max_decoding_message_size(64 * 1024 * 1024);
    assert!(patient.list_users(ListUsersRequest::default()).await.is_ok());
}
