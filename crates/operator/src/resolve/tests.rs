use api::spec::{BundleKind, BundleRef};
use engine::failure::Side;
use okta::{
    OrgUrl,
    key::{KeyKind, PrivateKey},
};
use rstest::rstest;

use super::*;
use crate::{secrets::MapSecrets, status::tests::example};

fn resolver() -> Resolver {
    Resolver::new(Defaults {
        okta_ca: None,
        teleport_address: Some("teleport.example.com:443".into()),
        teleport: TeleportDefaults::default(),
        ceiling: Ceiling::new(&["okta-*".into()]).unwrap(),
    })
}

fn reference(name: &str, key: &str) -> SecretKeyRef {
    SecretKeyRef { name: name.into(), key: key.into() }
}

fn complete() -> OktaUserSyncSpec {
    let mut spec = example().spec;
    spec.okta.private_key_secret_ref = Some(reference("okta", "key"));
    spec.teleport.identity_secret_ref = Some(reference("teleport", "identity"));
    spec
}

fn secrets() -> MapSecrets {
    let mut secrets = MapSecrets::default();
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    secrets.insert("home", "okta", "key", key.to_pkcs8_pem().unwrap().expose_secret().as_bytes().to_vec());
    secrets.insert("home", "okta", "garbage", b"-----BEGIN".to_vec());
    secrets.insert("home", "teleport", "identity", b"no identity".to_vec());
    secrets
}

fn subject(spec: &OktaUserSyncSpec) -> Subject<'_> {
    Subject { namespace: "home", name: "acme", spec, own_key: None, approvals: vec![] }
}

async fn failure(spec: &OktaUserSyncSpec) -> Failure {
    let (resolver, subject) = (resolver(), subject(spec));
    match resolver.read(&subject, &secrets()).await {
        Ok(material) => resolver.clients(&subject, &material, None).map(drop).unwrap_err(),
        Err(failure) => failure,
    }
}

#[rstest]
#[case::no_key(|spec: &mut OktaUserSyncSpec| spec.okta.private_key_secret_ref = None, Side::Okta, "KeySecretMissing")]
#[case::no_secret(|spec: &mut OktaUserSyncSpec| spec.okta.private_key_secret_ref = Some(reference("gone", "key")), Side::Okta, "KeySecretMissing")]
#[case::no_such_key(|spec: &mut OktaUserSyncSpec| spec.okta.private_key_secret_ref = Some(reference("okta", "gone")), Side::Okta, "KeySecretMissing")]
#[case::no_identity(|spec: &mut OktaUserSyncSpec| spec.teleport.identity_secret_ref = None, Side::Teleport, "IdentitySecretMissing")]
#[case::no_identity_secret(|spec: &mut OktaUserSyncSpec| spec.teleport.identity_secret_ref = Some(reference("gone", "x")), Side::Teleport, "IdentitySecretMissing")]
#[case::unreadable_identity(|_: &mut OktaUserSyncSpec| (), Side::Teleport, "IdentityUnreadable")]
#[tokio::test]
async fn what_leads_nowhere_is_named_with_a_remedy(
    #[case] change: fn(&mut OktaUserSyncSpec),
    #[case] side: Side,
    #[case] reason: &str,
) {
    let mut spec = complete();
    change(&mut spec);
    let failure = failure(&spec).await;
    assert_eq!((failure.side, failure.reason), (side, reason), "{failure:?}");
    assert!(!failure.class.retry(), "a person has to mend it: {failure:?}");
    assert!(!failure.remedy.is_empty());
}

#[tokio::test]
async fn an_unreadable_key_is_okta_s_side() {
    let mut spec = complete();
    spec.okta.private_key_secret_ref = Some(reference("okta", "garbage"));
    let failure = failure(&spec).await;
    assert_eq!(failure.side, Side::Okta);
    assert!(!failure.class.retry() && !failure.remedy.is_empty(), "{failure:?}");
}

#[tokio::test]
async fn prints_change_with_the_content_and_nothing_else() {
    let (resolver, spec, mut secrets) = (resolver(), complete(), secrets());
    let before = resolver.read(&subject(&spec), &secrets).await.unwrap().prints();
    assert_eq!(resolver.read(&subject(&spec), &secrets).await.unwrap().prints(), before);
    secrets.insert("home", "teleport", "identity", b"renewed".to_vec());
    let after = resolver.read(&subject(&spec), &secrets).await.unwrap().prints();
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1]);
}

#[tokio::test]
async fn the_client_for_okta_is_kept_until_its_key_or_settings_change() {
    let (resolver, mut spec, mut secrets) = (resolver(), complete(), secrets());
    let material = resolver.read(&subject(&spec), &secrets).await.unwrap();
    let first = resolver.okta(&subject(&spec), (&material.key, material.bundle.as_deref()), None).unwrap();
    spec.users.roles.push("okta-more".into());
    let second = resolver.okta(&subject(&spec), (&material.key, material.bundle.as_deref()), Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&first.client, &second.client), "roles are no business of Okta's client");
    spec.okta.budget_percent = 50;
    let third = resolver.okta(&subject(&spec), (&material.key, material.bundle.as_deref()), Some(&second)).unwrap();
    assert!(!Arc::ptr_eq(&second.client, &third.client));

    // Another bundle under the same name is another client as well; one without a certificate is none.
    spec.okta.ca_bundle_ref = Some(BundleRef { kind: BundleKind::ConfigMap, name: "ca".into(), key: "ca.crt".into() });
    let ca = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem().into_bytes();
    let mut clients = Vec::new();
    for bundle in [ca("a"), ca("b")] {
        secrets.insert_config("home", "ca", "ca.crt", bundle);
        let material = resolver.read(&subject(&spec), &secrets).await.unwrap();
        clients
            .push(resolver.okta(&subject(&spec), (&material.key, material.bundle.as_deref()), clients.last()).unwrap());
        let again =
            resolver.okta(&subject(&spec), (&material.key, material.bundle.as_deref()), clients.last()).unwrap();
        assert!(Arc::ptr_eq(&again.client, &clients.last().unwrap().client));
    }
    assert!(!Arc::ptr_eq(&clients[0].client, &clients[1].client));
    secrets.insert_config("home", "ca", "ca.crt", b"no certificate".to_vec());
    let material = resolver.read(&subject(&spec), &secrets).await.unwrap();
    let failure = resolver
        .okta(&subject(&spec), (&material.key, material.bundle.as_deref()), clients.last())
        .map(drop)
        .unwrap_err();
    assert_eq!((failure.side, failure.reason), (Side::Okta, "CaBundleInvalid"), "{failure:?}");
    assert!(failure.remedy.contains("spec.okta.caBundleRef"), "{}", failure.remedy);
}

// governors.rs, `of`.
#[test]
fn p14_resources_on_one_organisation_share_one_governor() {
    let resolver = resolver();
    for org in ["https://acme.okta.com", "https://acme.okta.com", "https://other.okta.com"] {
        let _ = resolver.governors().of(OrgUrl::parse(org).unwrap());
    }
    assert_eq!(resolver.governors().view().len(), 2);
}

// policy.rs, `new`: the ceiling, `may_allow`.
#[test]
fn p13_a_role_above_the_ceiling_is_refused() {
    let mut spec = complete();
    spec.users.roles = vec!["editor".into()];
    assert_eq!(resolver().policy(&subject(&spec)).unwrap_err().reason, "RoleAboveCeiling");
}
