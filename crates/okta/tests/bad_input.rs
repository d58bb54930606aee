//! What people get wrong when they set this up: each mistake has a class, a reason, and a sentence that names the page of
//! Okta's Admin Console to open.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use common::{app, org, settings};
use engine::{
    directory::Directory,
    failure::{Class, Failure},
};
use okta::{
    Dpop, Governor, OktaClient, OktaError, Settings,
    key::{KeyKind, PrivateKey},
};
use okta_sim::{CustomRole, DpopMode, OktaSim, Options, Role, Visible};
use serde_json::json;

/// A mistake, what comes of it, and the page that its remedy names.
struct Mistake {
    what: &'static str,
    /// Changes the organisation and the settings; an error is that of the settings themselves.
    make: fn(&OktaSim, &OktaSim, &mut Settings) -> Result<(), OktaError>,
    class: Class,
    reason: &'static str,
    page: &'static str,
}

/// Reads a key as the Secret holds it.
fn key(settings: &mut Settings, text: &[u8]) -> Result<(), OktaError> {
    settings.key = PrivateKey::parse(text)?;
    Ok(())
}

#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    Mistake { what: "malformed PEM", class: Class::Credential, reason: "KeyUnreadable", page: "General > Client Credentials",
        make: |_, _, settings| key(settings, b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----\n") },
    Mistake { what: "RSA below 2048 bits", class: Class::Credential, reason: "KeyTooShort", page: "General > Client Credentials",
        make: |_, _, settings| key(settings, include_bytes!("keys/rsa1024.pkcs8.pem")) },
    Mistake { what: "another key under the right kid", class: Class::Credential, reason: "KeyMismatch", page: "Client Credentials > PUBLIC KEYS",
        make: |_, _, settings| {
            settings.key = PrivateKey::generate(KeyKind::Rsa2048)?.with_kid(settings.key.kid());
            Ok(())
        } },
    Mistake { what: "a kid that is not registered", class: Class::Credential, reason: "KeyUnknown", page: "PUBLIC KEYS > Add key",
        make: |_, _, settings| {
            settings.key = settings.key.clone().with_kid("of-nobody");
            Ok(())
        } },
    Mistake { what: "a clock that is ten minutes ahead, and no Date to correct it by", class: Class::Configuration, reason: "ClockSkew",
        page: "Reports > System Log",
        make: |sim, _, _| {
            sim.org().clock().set_offset_millis(-600_000);
            sim.org().fault_json(&json!({"path": "*", "kind": "stripDate"})).unwrap();
            Ok(())
        } },
    Mistake { what: "a clock that is ten minutes behind, and no Date to correct it by", class: Class::Configuration, reason: "ClockSkew",
        page: "Reports > System Log",
        make: |sim, _, _| {
            sim.org().clock().set_offset_millis(600_000);
            sim.org().fault_json(&json!({"path": "*", "kind": "stripDate"})).unwrap();
            Ok(())
        } },
    Mistake { what: "a client of another organisation", class: Class::Configuration, reason: "ClientUnknown", page: "your API Services app > General",
        make: |_, other, settings| {
            settings.client_id = other.ready().client_id;
            Ok(())
        } },
    Mistake { what: "no scope granted", class: Class::Permission, reason: "ScopesNotGranted", page: "Okta API Scopes",
        make: |sim, _, _| {
            sim.org().set_scopes(&[]);
            Ok(())
        } },
    Mistake { what: "one scope not granted", class: Class::Permission, reason: "ScopeMissing", page: "Okta API Scopes and grant okta.users.read",
        make: |sim, _, _| {
            sim.org().set_scopes(&["okta.apps.read"]);
            Ok(())
        } },
    Mistake { what: "no admin role", class: Class::Permission, reason: "AdminRoleMissing", page: "your API Services app > Admin roles",
        make: |sim, _, _| {
            sim.org().set_role(Role::None);
            Ok(())
        } },
    Mistake { what: "a resource set without the app", class: Class::Permission, reason: "AdminRoleMissing", page: "resource set",
        make: |sim, _, _| {
            sim.org().set_role(Role::Custom(CustomRole { apps: Visible::None, ..CustomRole::default() }));
            Ok(())
        } },
    Mistake { what: "the same, in an organisation that hides what it does not show", class: Class::Configuration, reason: "AppNotFound",
        page: "resource set in Applications > your API Services app > Admin roles",
        make: |sim, _, _| {
            sim.org().set_role(Role::Custom(CustomRole { apps: Visible::None, ..CustomRole::default() }));
            sim.org().switch(|switches| switches.hidden_object_status = 404);
            Ok(())
        } },
    Mistake { what: "DPoP demanded by the app and disabled here", class: Class::Configuration, reason: "DpopDemanded",
        page: "your API Services app > General",
        make: |sim, _, settings| {
            sim.org().set_dpop(DpopMode::Required);
            settings.dpop = Dpop::Disabled;
            Ok(())
        } },
];

/// What the first contact says with these settings.
async fn found(sim: &OktaSim, settings: Settings) -> Failure {
    OktaClient::new(settings, Governor::new()).unwrap().organisation(&app(sim)).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_names_the_page_to_open() {
    let other = org(Options::with_people(1, 8)).await;
    for mistake in MISTAKES {
        let sim = org(Options::with_people(2, 7)).await;
        let mut settings = settings(&sim);
        let failure = match (mistake.make)(&sim, &other, &mut settings) {
            Err(error) => Failure::from(error),
            Ok(()) => found(&sim, settings).await,
        };
        let Mistake { what, class, reason, page, .. } = mistake;
        assert_eq!((failure.class, failure.reason), (*class, *reason), "{what}: {failure}");
        assert!(failure.remedy.contains(page), "{what}: {page:?} is not in {:?}", failure.remedy);
        assert!(!failure.class.retry(), "{what}: a person has to mend it");
        assert!(failure.remedy.chars().count() <= 512, "{what}: status would cut {:?}", failure.remedy);
    }
}

/// Where Okta's `Date` can be read, a clock that is off by ten minutes stops nothing: it is corrected for, and told.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_corrected_and_told() {
    for (minutes, words) in [(10, "600 s behind"), (-10, "600 s ahead of")] {
        let sim = org(Options::with_people(2, 7)).await;
        sim.org().clock().set_offset_millis(minutes * 60_000);
        let okta = OktaClient::new(settings(&sim), Governor::new()).unwrap();
        let organisation = okta.organisation(&app(&sim)).await.unwrap();
        let told = organisation.warnings.iter().find(|warning| warning.contains("clock")).unwrap();
        // A second may pass between the answer's Date and the look at the local clock.
        let near = [words.to_owned(), words.replace("600", "599"), words.replace("600", "601")];
        assert!(near.iter().any(|words| told.contains(words.as_str())), "{told}");
    }
}
