//! Proving who calls: tokens, proofs, clocks, and every credential that is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use std::sync::Arc;

use common::{app, client, lists, org, read, settings, until};
use engine::{
    directory::{Directory, PeopleSource},
    failure::{Class, Failure},
};
use okta::{
    Dpop, Governor, OktaClient, OrgUrl, Scope, Settings,
    key::{Algorithm, KeyKind as MadeKey, PrivateKey},
};
use okta_sim::{CustomRole, DpopMode, KeyKind, OktaSim, Options, Role, Visible};
use serde_json::json;

/// A client with changed settings.
fn changed(sim: &OktaSim, change: impl FnOnce(&mut Settings)) -> OktaClient {
    let mut settings = settings(sim);
    change(&mut settings);
    OktaClient::new(settings, Governor::new()).unwrap()
}

fn tokens(sim: &OktaSim) -> u64 {
    sim.org().counters().of("POST", "/oauth2/v1/token")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_both_kinds_get_a_token() {
    for kind in [KeyKind::Rsa, KeyKind::Ec] {
        let sim = org(Options { client_key: kind, ..Options::with_people(2, 7) }).await;
        assert!(read(&client(&sim), &app(&sim)).await.complete, "{kind:?}");
    }
    let sim = org(Options::with_people(2, 7)).await;
    for algorithm in [Algorithm::Rs384, Algorithm::Rs512] {
        let key = settings(&sim).key.with_algorithm(algorithm).unwrap();
        assert!(read(&changed(&sim, |s| s.key = key), &app(&sim)).await.complete, "{algorithm}");
    }
    for kind in [MadeKey::P256, MadeKey::Rsa2048] {
        let key = PrivateKey::generate(kind).unwrap();
        let kid = sim.org().add_key(&serde_json::to_value(key.public_jwk()).unwrap()).unwrap();
        assert_eq!(kid, key.kid());
        assert!(read(&changed(&sim, |s| s.key = key), &app(&sim)).await.complete);
    }
}

// token.rs, `request`: the scopes that are asked for.
#[tokio::test(flavor = "multi_thread")]
async fn p18_a_write_scope_that_was_granted_is_in_no_token_of_ours_and_one_that_comes_unasked_is_told() {
    let sim = org(Options::with_people(2, 7)).await;
    let asked = ["okta.apps.read", "okta.users.read"];
    sim.org().set_scopes(&[asked[0], asked[1], "okta.apps.manage", "okta.users.manage"]);
    let organisation = client(&sim).organisation(&app(&sim)).await.unwrap();
    assert_eq!(organisation.scopes, asked, "a token carries what was asked for, of what was granted");
    assert!(organisation.warnings.is_empty(), "{:?}", organisation.warnings);

    // Okta gives more than was asked for: not known to happen, and told if it does. (This token is good for nothing.)
    let more = json!({"token_type": "Bearer", "access_token": "t", "expires_in": 3600,
                      "scope": "okta.apps.read okta.users.read okta.users.manage"});
    let given = json!({"path": "/oauth2/v1/token", "kind": {"status": {"status": 200, "body": more.to_string()}}});
    sim.org().fault_json(&given).unwrap();
    let lines = client(&sim)
        .preflight(&okta::preflight::Intent {
            source: Ok(app(&sim)),
            groups: &[],
            known: None,
            pinned_org: "",
            fast_path: okta::preflight::FastPath::Off,
        })
        .await;
    let scopes = lines.iter().find(|line| line.name == okta::preflight::SCOPES).unwrap();
    assert!(scopes.found.contains("okta.users.manage are too many"), "{scopes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_serves_all_calls_until_shortly_before_it_expires() {
    let sim = org(Options::with_people(10, 7)).await;
    let okta = Arc::new(client(&sim));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (okta, source) = (okta.clone(), app(&sim));
            tokio::spawn(async move { assert!(read(&okta, &source).await.complete) })
        })
        .collect();
    for reader in readers {
        reader.await.unwrap();
    }
    assert_eq!(tokens(&sim), 1, "one renewal in flight");
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let sim = org(Options::with_people(2, 7)).await;
    let okta = client(&sim);
    // The client's own time passes; Okta lets a token live for an hour.
    let pass = async |minutes: u64| {
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(minutes * 60)).await;
        tokio::time::resume();
        assert!(read(&okta, &app(&sim)).await.complete);
        tokens(&sim)
    };
    assert_eq!([pass(0).await, pass(54).await, pass(2).await, pass(53).await, pass(3).await], [1, 1, 2, 2, 3]);
    assert_eq!(sim.org().counters().statuses.get(&401), None, "none was used to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_taken_is_replaced_once() {
    let sim = org(Options::with_people(10, 7)).await;
    let okta = client(&sim);
    assert!(read(&okta, &app(&sim)).await.complete);
    sim.org().revoke_tokens();
    assert!(read(&okta, &app(&sim)).await.complete);
    assert_eq!(tokens(&sim), 2);

    sim.org().fault_json(&json!({"path": "/api/v1/apps/*/users", "kind": "invalidToken"})).unwrap();
    let failure = read(&okta, &app(&sim)).await.failure.unwrap();
    assert_eq!((failure.class, failure.reason), (Class::Credential, "TokenRefused"));
    assert_eq!(tokens(&sim), 3, "no storm of tokens");
    sim.org().clear_faults();
    assert!(read(&okta, &app(&sim)).await.complete, "recovers by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_expire_in_the_middle_of_a_walk() {
    let sim = org(Options::with_people(1100, 7)).await;
    let okta = client(&sim);
    let source = app(&sim);
    let mut pages = okta.people(&source);
    let first = futures::StreamExt::next(&mut pages).await.unwrap().unwrap();
    // The second page is asked for already, with the first token; the third one is not.
    until("the second page to be asked for", || lists(&sim) == 2).await;
    sim.org().clock().advance_millis(3_700_000);
    let second = futures::StreamExt::next(&mut pages).await.unwrap().unwrap();
    let third = futures::StreamExt::next(&mut pages).await.unwrap().unwrap();
    assert_eq!((first.items.len(), second.items.len()), (500, 500));
    assert_eq!((third.items.len(), third.last), (100, true));
    assert_eq!((tokens(&sim), lists(&sim)), (2, 4), "the third page was refused once");
}

#[tokio::test(flavor = "multi_thread")]
async fn dpop_is_found_out_by_asking_and_remembered() {
    let sim = org(Options { dpop: DpopMode::Required, ..Options::with_people(600, 7) }).await;
    let okta = client(&sim);
    let organisation = okta.organisation(&app(&sim)).await.unwrap();
    assert!(organisation.dpop);
    assert!(read(&okta, &app(&sim)).await.complete);
    // Without a proof, with one, with one that has the nonce.
    assert_eq!(tokens(&sim), 3);
    sim.org().revoke_tokens();
    assert!(read(&okta, &app(&sim)).await.complete);
    assert_eq!(tokens(&sim), 4, "mode and nonce are known by now");
    sim.org().rotate_nonce(true);
    sim.org().revoke_tokens();
    assert!(read(&okta, &app(&sim)).await.complete);
    assert_eq!(tokens(&sim), 6, "a new nonce costs one request");
}

#[tokio::test(flavor = "multi_thread")]
async fn dpop_may_be_switched_on_and_off_in_okta_while_we_run() {
    let sim = org(Options::with_people(3, 7)).await;
    let okta = client(&sim);
    for mode in [DpopMode::NotRequired, DpopMode::Required, DpopMode::NotRequired] {
        sim.org().set_dpop(mode);
        sim.org().revoke_tokens();
        assert!(read(&okta, &app(&sim)).await.complete, "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dpop_can_be_demanded_or_forbidden_here() {
    let sim = org(Options { dpop: DpopMode::NotRequired, ..Options::with_people(3, 7) }).await;
    let okta = changed(&sim, |s| s.dpop = Dpop::Required);
    assert!(okta.organisation(&app(&sim)).await.unwrap().dpop);
    let okta = changed(&sim, |s| s.dpop = Dpop::Disabled);
    assert!(!okta.organisation(&app(&sim)).await.unwrap().dpop);
    sim.org().set_dpop(DpopMode::Required);
    let okta = changed(&sim, |s| s.dpop = Dpop::Disabled);
    let failure = okta.organisation(&app(&sim)).await.unwrap_err();
    assert_eq!((failure.class, failure.reason), (Class::Configuration, "DpopDemanded"));
    assert!(failure.remedy.contains("spec.okta.dpop"), "{}", failure.remedy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_corrected_and_told() {
    for (minutes, dpop) in
        [(10, DpopMode::Required), (-10, DpopMode::Required), (10, DpopMode::NotRequired), (-90, DpopMode::NotRequired)]
    {
        let sim = org(Options { dpop, ..Options::with_people(3, 7) }).await;
        sim.org().clock().set_offset_millis(minutes * 60_000);
        let okta = client(&sim);
        let organisation = okta.organisation(&app(&sim)).await.unwrap();
        assert!(organisation.warnings[0].contains("clock"), "{:?}", organisation.warnings);
        assert!((okta.clock_offset() - minutes * 60).abs() <= 2, "{}", okta.clock_offset());
        assert!(read(&okta, &app(&sim)).await.complete, "{minutes} {dpop:?}");
        // Without the description, which tells the time, the token endpoint's own answer does.
        assert!(read(&client(&sim), &app(&sim)).await.complete, "{minutes} {dpop:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_scopes_that_are_needed_are_asked_for() {
    let sim = org(Options::with_people(3, 7)).await;
    sim.org().create_group("G").unwrap();
    let okta = changed(&sim, |s| s.scopes = vec![Scope::Logs]);
    let organisation = okta.organisation(&app(&sim)).await.unwrap();
    assert_eq!(organisation.scopes, ["okta.apps.read", "okta.users.read", "okta.logs.read"]);
    okta.members(&["G".to_owned()]).await.unwrap();
    let organisation = okta.organisation(&app(&sim)).await.unwrap();
    assert!(organisation.scopes.contains(&"okta.groups.read".to_owned()), "{:?}", organisation.scopes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_named_and_its_grant_is_noticed() {
    let sim = org(Options::with_people(3, 7)).await;
    sim.org().set_scopes(&["okta.apps.read"]);
    let okta = client(&sim);
    let failure = okta.organisation(&app(&sim)).await.unwrap_err();
    assert_eq!((failure.class, failure.reason), (Class::Permission, "ScopeMissing"));
    assert!(failure.remedy.contains("okta.users.read") && failure.remedy.contains("Okta API Scopes"));
    sim.org().set_scopes(&["okta.apps.read", "okta.users.read"]);
    let okta = client(&sim);
    okta.organisation(&app(&sim)).await.unwrap();
}

/// What a wrong setting comes to.
async fn failure(okta: &OktaClient, source: &PeopleSource) -> Failure {
    okta.organisation(source).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_setting_has_its_class_reason_and_remedy() {
    let sim = org(Options::with_people(3, 7)).await;
    let saml = app(&sim);
    let stranger = PrivateKey::generate(MadeKey::P256).unwrap();
    let right = settings(&sim).key;

    let found = failure(&changed(&sim, |s| s.key = stranger.clone()), &saml).await;
    assert_eq!((found.class, found.reason), (Class::Credential, "KeyUnknown"));
    assert!(found.remedy.contains(stranger.kid()) && found.remedy.contains("PUBLIC KEYS"), "{}", found.remedy);

    let posing = PrivateKey::generate(MadeKey::Rsa2048).unwrap().with_kid(right.kid());
    let found = failure(&changed(&sim, |s| s.key = posing), &saml).await;
    assert_eq!((found.class, found.reason), (Class::Credential, "KeyMismatch"));

    let found = failure(&changed(&sim, |s| s.client_id = "0oaNoSuchClient00000".to_owned()), &saml).await;
    assert_eq!((found.class, found.reason), (Class::Configuration, "ClientUnknown"), "{found}");

    let found = failure(&client(&sim), &PeopleSource::App("0oaNoSuchApp00000000".to_owned())).await;
    assert_eq!((found.class, found.reason), (Class::Configuration, "AppNotFound"));

    let found = failure(&client(&sim), &PeopleSource::App(sim.ready().client_id)).await;
    assert_eq!((found.class, found.reason), (Class::Configuration, "AppIsClient"));
    assert!(found.remedy.contains("SAML"));

    let found = failure(&client(&sim), &PeopleSource::App("not an id".to_owned())).await;
    assert_eq!((found.class, found.reason), (Class::Configuration, "IdInvalid"));

    let found = failure(&changed(&sim, |s| s.ca_bundle = None), &saml).await;
    assert_eq!((found.class, found.reason), (Class::Configuration, "CertificateUntrusted"), "{found}");

    let closed = OrgUrl::parse("https://127.0.0.1:1").unwrap();
    let found = failure(&changed(&sim, |s| s.org_url = closed), &saml).await;
    assert_eq!((found.class, found.reason), (Class::Transient, "OktaUnreachable"));

    sim.org().set_scopes(&[]);
    let found = failure(&client(&sim), &saml).await;
    assert_eq!((found.class, found.reason), (Class::Permission, "ScopesNotGranted"), "{found}");
    assert!(found.remedy.contains("Okta API Scopes"));
    sim.org().set_scopes(&["okta.apps.read", "okta.users.read"]);

    sim.org().set_role(Role::None);
    let found = failure(&client(&sim), &saml).await;
    assert_eq!((found.class, found.reason), (Class::Permission, "AdminRoleMissing"), "{found}");
    assert!(found.remedy.contains("Admin roles"));
    sim.org().set_role(Role::Custom(CustomRole { apps: Visible::None, ..CustomRole::default() }));
    let found = failure(&client(&sim), &saml).await;
    assert_eq!((found.class, found.reason), (Class::Permission, "AdminRoleMissing"), "{found}");
    sim.org().switch(|switches| switches.hidden_object_status = 404);
    let found = failure(&client(&sim), &saml).await;
    assert_eq!((found.class, found.reason), (Class::Configuration, "AppNotFound"), "{found}");
    assert!(found.remedy.contains("resource set"));
    sim.org().set_role(Role::ReadOnlyAdmin);

    sim.org().deny_network(true);
    let found = failure(&client(&sim), &saml).await;
    assert_eq!((found.class, found.reason), (Class::Permission, "NetworkZone"), "{found}");
    assert!(found.remedy.contains("Security > Networks"), "{}", found.remedy);
    sim.org().deny_network(false);

    sim.org().set_client_active(false);
    let found = failure(&client(&sim), &saml).await;
    assert!(!found.class.retry() && !found.remedy.is_empty(), "{found:?}");
    sim.org().set_client_active(true);

    sim.org().remove_key(right.kid());
    let found = failure(&client(&sim), &saml).await;
    assert_eq!(found.class, Class::Credential, "{found}");
    assert!(found.remedy.contains("Add key"), "{}", found.remedy);
    sim.org().add_key(&serde_json::to_value(right.public_jwk()).unwrap()).unwrap();
    client(&sim).organisation(&saml).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_okta_is_named_before_a_credential_is_shown() {
    let sim = org(Options::with_people(3, 7)).await;
    for kind in [
        json!({"html": {"status": 200}}),
        json!({"html": {"status": 404}}),
        json!({"redirect": {"location": "https://login.example.com/"}}),
        json!({"status": {"status": 404}}),
        json!({"status": {"status": 200, "body": "{\"hello\":1}"}}),
        json!({"status": {"status": 200, "body": "ok", "content_type": "text/plain"}}),
    ] {
        let kind: serde_json::Value =
            serde_json::from_str(&kind.to_string().replace("content_type", "contentType")).unwrap();
        sim.org().clear_faults();
        sim.org().fault_json(&json!({"path": "*", "kind": kind})).unwrap();
        let found = failure(&client(&sim), &app(&sim)).await;
        assert_eq!((found.class, found.reason), (Class::Configuration, "NotOkta"), "{kind}: {found}");
    }
    assert_eq!(tokens(&sim), 0);
    assert_eq!(sim.org().counters().hosts.len(), 1, "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_nothing_is_told() {
    let sim = org(Options::with_people(3, 7)).await;
    let patch = json!({"status": "INACTIVE", "settings": {"signOn": {"subjectNameIdTemplate": "${source.login}"}}});
    sim.org().patch_app(&sim.ready().app_id, &patch).unwrap();
    let organisation = client(&sim).organisation(&app(&sim)).await.unwrap();
    assert_eq!(organisation.app.unwrap().status, "INACTIVE");
    assert!(organisation.warnings[0].contains("${source.login}"), "{:?}", organisation.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_are_refused_before_any_call() {
    let sim = org(Options::default()).await;
    for id in ["", " ", "{clientId}", "0oa1/../x", "two words"] {
        let mut settings = settings(&sim);
        settings.client_id = id.to_owned();
        let error = OktaClient::new(settings, Governor::new()).err().unwrap();
        assert_eq!(error.reason(), "ClientIdInvalid", "{id}");
    }
    let mut settings = settings(&sim);
    settings.ca_bundle = Some(b"nothing".to_vec());
    let error = OktaClient::new(settings, Governor::new()).err().unwrap();
    assert_eq!(error.reason(), "CaBundleInvalid");
    assert_eq!(sim.org().counters().total, 0);
}
