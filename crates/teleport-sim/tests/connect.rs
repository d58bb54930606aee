//! Who gets in, with what, and what the files say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Client, administrator, bot, channel, client, okta_service, pem_blocks, refused, start};
use jiff::{SignedDuration, Timestamp};
use teleport_proto::auth::{PingRequest, auth_service_client::AuthServiceClient};
use teleport_sim::{BOT_ROLE, BOT_USER, Edition, IdentityKind, KeyForm, KeyKind, Options, TeleportSim, Version};
use tonic::Code;

#[tokio::test]
async fn the_ready_line_has_exactly_these_keys() {
    let sim = start(Options::default()).await;
    let ready = serde_json::to_value(sim.ready()).unwrap();
    let keys: Vec<&str> = ready.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["adminIdentityFile", "adminURL", "authAddress", "caFile", "cluster", "connector", "identityFile"]
    );
    assert_eq!(ready["connector"], "okta");
    assert_eq!(std::fs::read_to_string(&sim.ready().ca_file).unwrap(), sim.ca_pem());
}

#[tokio::test]
async fn an_identity_file_has_teleports_five_parts_in_order() {
    let sim = TeleportSim::start(Options { cluster: "acme".into(), ..Options::default() }).await.unwrap();
    let text = std::fs::read_to_string(&sim.ready().identity_file).unwrap();
    let heads: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("-----BEGIN") || line.contains(' ') && !line.starts_with("-----END"))
        .map(|line| line.split_inclusive(' ').take(3).collect::<String>().leak().trim())
        .collect();
    assert_eq!(heads[0], "-----BEGIN RSA PRIVATE");
    assert!(heads[1].starts_with("ssh-rsa-cert-v01@openssh.com AAAA"), "{}", heads[1]);
    assert_eq!(heads[2], "-----BEGIN CERTIFICATE-----");
    assert_eq!(heads[3], "@cert-authority acme,*.acme ssh-rsa");
    assert_eq!(heads[4], "-----BEGIN CERTIFICATE-----");
    assert_eq!(heads.len(), 5);
    assert_eq!(pem_blocks(&text)[2], sim.ca_pem());
}

#[tokio::test]
async fn the_bot_the_administrator_and_the_okta_service_get_in() {
    let sim = start(Options::default()).await;
    let own = bot(&sim).auth.get_current_user(()).await.unwrap().into_inner();
    assert_eq!(common::name(&own), BOT_USER);
    assert!(own.metadata.unwrap().labels.contains_key("teleport.internal/bot"));
    assert!(administrator(&sim).page(0, "").await.is_ok());
    assert!(okta_service(&sim).page(1, "").await.is_ok());
}

#[tokio::test]
async fn every_kind_and_form_of_key_gets_in() {
    let sim = start(Options::default()).await;
    for key in [KeyKind::Rsa, KeyKind::Ecdsa, KeyKind::Ed25519] {
        for form in [KeyForm::Native, KeyForm::Pkcs8, KeyForm::Traditional] {
            let identity = sim.identity(&IdentityKind::user(BOT_USER, &[BOT_ROLE]).with_key(key, form)).unwrap();
            assert!(client(&sim, &identity).auth.get_current_user(()).await.is_ok(), "{key:?} {form:?}");
        }
    }
}

#[tokio::test]
async fn without_a_certificate_only_ping_and_the_ca_answer() {
    let sim = start(Options { cluster: "acme".into(), version: Version::V18, ..Options::default() }).await;
    let mut nobody = AuthServiceClient::new(channel(&sim, None));
    let ping = nobody.ping(PingRequest {}).await.unwrap().into_inner();
    assert_eq!((ping.cluster_name.as_str(), ping.server_version.as_str()), ("acme", "18.0.0"));
    assert_eq!(nobody.get_cluster_ca_cert(()).await.unwrap().into_inner().tls_ca, sim.ca_pem().as_bytes());
    assert_eq!(refused(nobody.get_current_user(()).await), (Code::PermissionDenied, "access denied".into()));
}

#[tokio::test]
async fn an_expired_identity_fails_in_tls_and_not_as_a_permission() {
    let sim = start(Options::default()).await;
    let yesterday = Timestamp::now() - SignedDuration::from_hours(24);
    let identity = sim.identity(&IdentityKind::user(BOT_USER, &[BOT_ROLE]).until(yesterday)).unwrap();
    let (code, _) = refused(client(&sim, &identity).auth.get_current_user(()).await);
    assert!(!matches!(code, Code::PermissionDenied | Code::NotFound | Code::Unauthenticated), "{code:?}");
    assert_eq!(sim.counters().of("GetCurrentUser"), 0, "the call never arrived");

    // The same by moving the server's clock past the end of a good one; the connection that stands goes on.
    let mut standing = bot(&sim);
    standing.auth.get_current_user(()).await.unwrap();
    sim.set_clock_offset(60 * 24 * 3600);
    assert!(standing.auth.get_current_user(()).await.is_ok());
    assert!(bot(&sim).auth.get_current_user(()).await.is_err());
}

#[tokio::test]
async fn an_identity_of_another_cluster_is_refused() {
    let (one, other) = (start(Options::default()).await, start(Options::default()).await);
    let identity = std::fs::read_to_string(&other.ready().identity_file).unwrap();
    let mut foreign = client(&one, &identity);
    assert!(foreign.auth.get_current_user(()).await.is_err());
    assert_eq!(one.counters().of("GetCurrentUser"), 0);
}

#[tokio::test]
async fn the_servers_certificate_bears_both_forms_of_the_api_name() {
    let sim = start(Options { cluster: "acme".into(), ..Options::default() }).await;
    for (server_name, fits) in [
        ("teleport.cluster.local", true),
        ("61636d65.teleport.cluster.local", true),
        ("anything.teleport.cluster.local", true),
        ("localhost", false),
        ("acme", false),
    ] {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("https://{}", sim.auth_address())).unwrap();
        let channel =
            endpoint.tls_config(common::tls(None, &sim.ca_pem()).domain_name(server_name)).unwrap().connect().await;
        assert_eq!(channel.is_ok(), fits, "{server_name}");
    }
}

#[tokio::test]
async fn a_deleted_caller_hears_not_found_from_every_call() {
    let sim = start(Options::default()).await;
    let mut bot: Client = bot(&sim);
    bot.auth.get_current_user(()).await.unwrap();
    sim.remove_user(BOT_USER);
    let gone = (Code::NotFound, format!("user \"{BOT_USER}\" not found"));
    assert_eq!(refused(bot.auth.get_current_user(()).await), gone);
    assert_eq!(refused(bot.delete("ada@acme.com").await), gone);
    assert_eq!(refused(bot.create(&common::user("ada@acme.com")).await), gone);
    assert_eq!(refused(bot.page(0, "").await), gone);
    assert!(bot.auth.ping(PingRequest {}).await.is_ok(), "Ping proves nothing");
}

#[tokio::test]
async fn a_version_that_is_too_old_or_garbled_costs_the_connection() {
    let sim = start(Options { version: Version::V17, ..Options::default() }).await;
    for (version, fine) in [("17.1.0", true), ("99.0.0", true), ("16.0.0", true), ("15.9.9", false), ("rubbish", false)]
    {
        let mut request = tonic::Request::new(PingRequest {});
        request.metadata_mut().insert("version", version.parse().unwrap());
        assert_eq!(bot(&sim).auth.ping(request).await.is_ok(), fine, "{version}");
    }
}

#[tokio::test]
async fn community_edition_has_neither_connector_nor_okta_roles() {
    let sim = start(Options { edition: Edition::Community, ..Options::default() }).await;
    assert_eq!(sim.ready().connector, "");
    let state = sim.state();
    assert_eq!(
        state.roles,
        ["access", "auditor", "bot-okta-user-sync", "editor", "okta-user-sync", "terraform-provider"]
    );
    assert!(state.connectors.is_empty());
    let enterprise = start(Options::default()).await.state();
    assert!(["okta-access", "okta-requester"].iter().all(|role| enterprise.roles.iter().any(|known| known == role)));
}
