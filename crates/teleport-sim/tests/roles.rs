//! Roles, connectors, the auth preference, and certificates for bots, by version and edition (reference §3, §4, §8.3, §16, §17).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{bot, channel, client, okta_service, refused, start};
use teleport_proto::{
    auth::{GetRoleRequest, ListRolesRequest, UserCertsRequest, auth_service_client::AuthServiceClient},
    types,
};
use teleport_sim::{BOT_ROLE, BOT_USER, Edition, IdentityKind, KeyKind, Options, TeleportSim, Version};
use tonic::Code;

async fn sim(version: Version) -> TeleportSim {
    start(Options { version, okta_app_id: "0oa9saml8app7teleport".into(), ..Options::default() }).await
}

#[tokio::test]
async fn each_version_lists_roles_in_its_own_way() {
    for (version, paged, at_once) in [
        (Version::V15, false, true),
        (Version::V17, true, true),
        (Version::V18, true, false),
        (Version::V19, true, false),
    ] {
        let sim = sim(version).await;
        let mut bot = bot(&sim);
        let by_page = bot.auth.list_roles(ListRolesRequest::default()).await;
        let all = bot.auth.get_roles(()).await;
        assert_eq!((by_page.is_ok(), all.is_ok()), (paged, at_once), "{version:?}");
        if !paged {
            assert_eq!(refused(by_page).0, Code::Unimplemented);
        }
    }
}

#[tokio::test]
async fn pages_of_roles_join_up_and_bounds_are_kept() {
    let sim = sim(Version::V17).await;
    for number in 0..150 {
        sim.put_plain_role(&format!("team-{number:03}"), 3600);
    }
    let mut bot = bot(&sim);
    let (mut names, mut key) = (Vec::new(), String::new());
    loop {
        let request = ListRolesRequest { limit: 0, start_key: key, filter: None };
        let page = bot.auth.list_roles(request).await.unwrap().into_inner();
        assert!(page.roles.len() <= 100, "no limit means 100");
        names.extend(page.roles.into_iter().map(|role| role.metadata.unwrap().name));
        key = page.next_key;
        if key.is_empty() {
            break;
        }
    }
    assert_eq!(names, sim.state().roles);
    let too_many = ListRolesRequest { limit: 16_001, ..Default::default() };
    assert_eq!(refused(bot.auth.list_roles(too_many).await).0, Code::InvalidArgument);
    let filter = Some(types::RoleFilter { search_keywords: vec!["TEAM-14".into()], skip_system_roles: false });
    let found =
        bot.auth.list_roles(ListRolesRequest { filter, ..Default::default() }).await.unwrap().into_inner().roles;
    assert_eq!(found.len(), 10);
}

#[tokio::test]
async fn a_role_tells_its_longest_session_in_nanoseconds() {
    let sim = sim(Version::V17).await;
    sim.put_plain_role("long", 48 * 3600);
    let mut bot = bot(&sim);
    let mut longest = async |name: &str| {
        let role = bot.auth.get_role(GetRoleRequest { name: name.into() }).await.unwrap().into_inner();
        role.spec.unwrap().options.unwrap().max_session_ttl
    };
    assert_eq!(longest("access").await, 30 * 3_600_000_000_000);
    assert_eq!(longest("long").await, 48 * 3_600_000_000_000);
    let missing = (Code::NotFound, "role nowhere is not found".to_owned());
    assert_eq!(refused(bot.auth.get_role(GetRoleRequest { name: "nowhere".into() }).await), missing);
    sim.drop_permission("role", "list");
    let denied = (Code::PermissionDenied, r#"access denied to perform action "list" on "role""#.to_owned());
    assert_eq!(refused(bot.auth.list_roles(ListRolesRequest::default()).await), denied);
}

#[tokio::test]
async fn a_connector_names_its_okta_app_and_a_missing_one_says_so() {
    let sim = sim(Version::V17).await;
    let mut bot = bot(&sim);
    let ask = |name: &str| types::ResourceWithSecretsRequest {
        name: name.into(),
        with_secrets: false,
        saml_validation_no_follow_urls: true,
    };
    let connector = bot.auth.get_saml_connector(ask("okta")).await.unwrap().into_inner();
    assert_eq!(connector.metadata.unwrap().labels["teleport.internal/okta-app-id"], "0oa9saml8app7teleport");
    let missing = (Code::NotFound, r#"SAML connector "other" is not configured"#.to_owned());
    assert_eq!(refused(bot.auth.get_saml_connector(ask("other")).await), missing);
    let with_secrets = types::ResourceWithSecretsRequest { with_secrets: true, ..ask("okta") };
    assert_eq!(refused(bot.auth.get_saml_connector(with_secrets).await).0, Code::PermissionDenied);
    let all = bot.auth.get_saml_connectors(types::ResourcesWithSecretsRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.saml_connectors.len(), 1);
    sim.drop_permission("saml", "list");
    let all = bot.auth.get_saml_connectors(types::ResourcesWithSecretsRequest::default()).await;
    let words = r#"access denied to perform action "list" on "saml""#;
    assert_eq!(refused(all), (Code::PermissionDenied, words.to_owned()));
    assert!(bot.auth.get_saml_connector(ask("okta")).await.is_ok(), "one can be read by its name all the same");

    let community = start(Options { edition: Edition::Community, ..Options::default() }).await;
    assert_eq!(refused(common::bot(&community).auth.get_saml_connector(ask("okta")).await).0, Code::NotFound);
}

#[tokio::test]
async fn the_okta_service_reads_what_its_version_lets_it() {
    for (version, connectors) in [(Version::V15, false), (Version::V17, true)] {
        let sim = sim(version).await;
        let mut okta = okta_service(&sim);
        let ask = types::ResourceWithSecretsRequest { name: "okta".into(), ..Default::default() };
        assert_eq!(okta.auth.get_saml_connector(ask).await.is_ok(), connectors, "{version:?}");
        assert!(okta.auth.get_roles(()).await.is_ok());
        assert!(okta.auth.get_auth_preference(()).await.is_ok());
        assert_eq!(refused(okta.auth.get_current_user(()).await), (Code::NotFound, "role Okta is not found".into()));
        assert_eq!(refused(okta.auth.generate_user_certs(UserCertsRequest::default()).await).0, Code::PermissionDenied);
    }
}

#[tokio::test]
async fn the_auth_preference_is_open_to_every_user() {
    let sim = sim(Version::V17).await;
    let preference = bot(&sim).auth.get_auth_preference(()).await.unwrap().into_inner();
    assert_eq!(preference.spec.unwrap().default_session_ttl, 12 * 3_600_000_000_000);
    assert_eq!(
        refused(AuthServiceClient::new(channel(&sim, None)).get_auth_preference(()).await).0,
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn a_bot_turns_its_own_certificate_into_one_for_its_roles() {
    let sim = sim(Version::V17).await;
    let own = IdentityKind { key: KeyKind::Ecdsa, ..IdentityKind::user(BOT_USER, &[BOT_USER]) };
    let mut joined = client(&sim, &sim.identity(&own).unwrap());
    assert_eq!(refused(joined.page(0, "").await).0, Code::PermissionDenied, "its own role does nothing else");

    let key = rcgen::KeyPair::generate().unwrap();
    let hour = prost_types::Timestamp { seconds: sim.now().as_second() + 3600, nanos: 0 };
    let request = UserCertsRequest {
        username: BOT_USER.into(),
        expires: Some(hour),
        role_requests: vec![BOT_ROLE.into()],
        use_role_requests: true,
        tls_public_key: key.public_key_pem().into_bytes().into(),
        ..Default::default()
    };
    let certs = joined.auth.generate_user_certs(request.clone()).await.unwrap().into_inner();
    assert!(certs.ssh.is_empty(), "a TLS key alone gives a TLS certificate alone");
    assert_eq!(certs.tls_ca_certs.len(), 1);
    assert_ne!(certs.tls_ca_certs[0], sim.ca_pem().as_bytes(), "the answer carries the user CA only");
    let identity = format!("{}{}", key.serialize_pem(), String::from_utf8(certs.tls.to_vec()).unwrap());
    assert!(client(&sim, &identity).page(0, "").await.is_ok());

    let changed = |change: fn(&mut UserCertsRequest)| {
        let mut request = request.clone();
        change(&mut request);
        request
    };
    for (what, request, code) in [
        ("no end", changed(|request| request.expires = None), Code::PermissionDenied),
        ("another user", changed(|request| request.username = "admin".into()), Code::PermissionDenied),
        ("unknown role", changed(|request| request.role_requests = vec!["nowhere".into()]), Code::NotFound),
        ("role not allowed", changed(|request| request.role_requests = vec!["editor".into()]), Code::PermissionDenied),
        ("no role", changed(|request| request.role_requests.clear()), Code::InvalidArgument),
        ("both forms of key", changed(|request| request.public_key = "ssh-ed25519 AAAA".into()), Code::InvalidArgument),
    ] {
        assert_eq!(refused(joined.auth.generate_user_certs(request).await).0, code, "{what}");
    }
}
