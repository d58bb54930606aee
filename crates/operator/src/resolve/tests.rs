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

/// What Okta's client is made of for that subject.
async fn okta(resolver: &Resolver, spec: &OktaUserSyncSpec, secrets: &MapSecrets) -> Result<Arc<OktaClient>, Failure> {
    let material = resolver.read(&subject(spec), secrets).await.unwrap();
    resolver.okta(&subject(spec), (&material.key, material.bundle.as_deref()))
}

#[tokio::test]
async fn the_client_for_okta_is_kept_until_its_key_or_settings_change() {
    let (resolver, mut spec, mut secrets) = (resolver(), complete(), secrets());
    let first = okta(&resolver, &spec, &secrets).await.unwrap();
    spec.users.roles.push("okta-more".into());
    let second = okta(&resolver, &spec, &secrets).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second), "roles are no business of Okta's client");
    spec.okta.budget_percent = 50;
    let third = okta(&resolver, &spec, &secrets).await.unwrap();
    assert!(!Arc::ptr_eq(&second, &third));

    // Another bundle under the same name is another client as well; one without a certificate is none.
    spec.okta.ca_bundle_ref = Some(BundleRef { kind: BundleKind::ConfigMap, name: "ca".into(), key: "ca.crt".into() });
    let ca = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem().into_bytes();
    let mut clients = Vec::new();
    for bundle in [ca("a"), ca("b")] {
        secrets.insert_config("home", "ca", "ca.crt", bundle);
        clients.push(okta(&resolver, &spec, &secrets).await.unwrap());
        let again = okta(&resolver, &spec, &secrets).await.unwrap();
        assert!(Arc::ptr_eq(&again, clients.last().unwrap()));
    }
    assert!(!Arc::ptr_eq(&clients[0], &clients[1]));
    secrets.insert_config("home", "ca", "ca.crt", b"no certificate".to_vec());
    let failure = okta(&resolver, &spec, &secrets).await.map(drop).unwrap_err();
    assert_eq!((failure.side, failure.reason), (Side::Okta, "CaBundleInvalid"), "{failure:?}");
    assert!(failure.remedy.contains("spec.okta.caBundleRef"), "{}", failure.remedy);
}

/// An identity file of a bot, as far as it matters: key, certificate, authority.
fn identity_file(cluster: &str, user: &str) -> Vec<u8> {
    let names = |common: &str, role: Option<&str>| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, common);
        if let Some(role) = role {
            params.distinguished_name.push(rcgen::DnType::OrganizationName, role);
        }
        params
    };
    let mut authority = names(cluster, None);
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let (authority_key, key) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let certificate = names(user, Some("okta-user-sync")).signed_by(&key, &issuer).unwrap();
    [key.serialize_pem(), certificate.pem(), authority_certificate.pem()].concat().into_bytes()
}

/// Resources that may differ in everything, and the resolver that they share.
struct Neighbours {
    resolver: Resolver,
    secrets: MapSecrets,
}

impl Neighbours {
    /// With a key `key` and an identity `identity`, which Secrets called so hold, and copies called `copy`.
    fn new() -> Self {
        let mut secrets = secrets();
        let identity = identity_file("home.example.com", "bot-sync");
        for name in ["teleport", "copy"] {
            secrets.insert("home", name, "identity", identity.clone());
        }
        Self { resolver: resolver(), secrets }
    }

    async fn clients(&self, spec: &OktaUserSyncSpec, former: Option<&Clients>) -> Clients {
        let material = self.resolver.read(&subject(spec), &self.secrets).await.unwrap();
        self.resolver.clients(&subject(spec), &material, former).unwrap()
    }
}

/// The clients of a resource that is complete.
pub(crate) async fn example_clients() -> Clients {
    Neighbours::new().clients(&complete(), None).await
}

fn with(change: impl FnOnce(&mut OktaUserSyncSpec)) -> OktaUserSyncSpec {
    let mut spec = complete();
    change(&mut spec);
    spec
}

/// Whether both have the same client for Okta, read the System Log by the same one, and share a line to Teleport.
fn shared(one: &Clients, other: &Clients) -> [bool; 3] {
    let feeds = one.feed().unwrap().1;
    [
        Arc::ptr_eq(&one.okta, &other.okta),
        Arc::ptr_eq(feeds, other.feed().unwrap().1),
        Arc::ptr_eq(&one.teleport().line(), &other.teleport().line()),
    ]
}

#[rstest]
#[case::nothing(|_: &mut OktaUserSyncSpec| (), [true, true, true])]
#[case::people_and_rules(|spec: &mut OktaUserSyncSpec| { spec.users.roles.push("okta-more".into()); spec.scope.app_id = Some("0oaother".into()); }, [true, true, true])]
#[case::a_copy_of_the_secret(|spec: &mut OktaUserSyncSpec| spec.teleport.identity_secret_ref = Some(reference("copy", "identity")), [true, true, true])]
#[case::organisation(|spec: &mut OktaUserSyncSpec| spec.okta.org_url = "https://other.okta.com".into(), [false, false, true])]
#[case::app(|spec: &mut OktaUserSyncSpec| spec.okta.client_id = "0oa2api3services4app".into(), [false, false, true])]
#[case::key(|spec: &mut OktaUserSyncSpec| spec.okta.private_key_secret_ref = Some(reference("other", "key")), [false, false, true])]
#[case::budget(|spec: &mut OktaUserSyncSpec| spec.okta.budget_percent = 50, [false, false, true])]
#[case::scopes(|spec: &mut OktaUserSyncSpec| spec.scope.groups = vec!["Engineering".into()], [false, true, true])]
#[case::patience(|spec: &mut OktaUserSyncSpec| spec.interval = "7m".parse().unwrap(), [false, true, true])]
#[case::address(|spec: &mut OktaUserSyncSpec| spec.teleport.address = Some("other.example.com:443".into()), [true, true, false])]
#[case::identity(|spec: &mut OktaUserSyncSpec| spec.teleport.identity_secret_ref = Some(reference("other", "identity")), [true, true, false])]
#[tokio::test]
async fn resources_share_what_is_alike_and_nothing_else(
    #[case] change: fn(&mut OktaUserSyncSpec),
    #[case] expected: [bool; 3],
) {
    let mut neighbours = Neighbours::new();
    let key = PrivateKey::generate(KeyKind::P256).unwrap().to_pkcs8_pem().unwrap();
    neighbours.secrets.insert("home", "other", "key", key.expose_secret().as_bytes().to_vec());
    neighbours.secrets.insert("home", "other", "identity", identity_file("home.example.com", "bot-other"));
    let one = neighbours.clients(&complete(), None).await;
    let other = neighbours.clients(&with(change), None).await;
    assert_eq!(shared(&one, &other), expected);
    assert!(!Arc::ptr_eq(one.teleport(), other.teleport()), "what a client learns in its pass is its own");
    // The key is what was counted: who is trusted and what is connected serves all of them.
    assert_eq!(neighbours.resolver.transports.len(), 1);
}

#[tokio::test]
async fn a_renewed_identity_that_two_share_is_put_under_both_and_made_once() {
    let mut neighbours = Neighbours::new();
    let spec = complete();
    let (one, two) = (neighbours.clients(&spec, None).await, neighbours.clients(&spec, None).await);
    let pass = one.of_pass();
    let renewed = identity_file("home.example.com", "bot-sync");
    neighbours.secrets.insert("home", "teleport", "identity", renewed);
    // The one is in the middle of a pass, the other at the beginning of its next.
    let identity = neighbours.resolver.refresh(&subject(&spec), &neighbours.secrets, &one).await.unwrap();
    let next = neighbours.clients(&spec, Some(&two)).await;
    assert_eq!(shared(&one, &next), [true, true, true]);
    assert!(Arc::ptr_eq(two.teleport(), next.teleport()), "and what the client had learned is kept");
    assert!(pass.teleport.identity().is(&identity) && next.teleport().identity().is(&identity));
    assert_eq!(neighbours.resolver.refresh(&subject(&spec), &neighbours.secrets, &one).await.map(drop), None);
    assert_eq!(neighbours.resolver.lines.len(), 1, "what nobody uses any more is gone");
}

#[tokio::test]
async fn two_that_share_a_line_part_when_the_secret_of_one_changes() {
    let mut neighbours = Neighbours::new();
    let copy = with(|spec| spec.teleport.identity_secret_ref = Some(reference("copy", "identity")));
    let (one, two) = (neighbours.clients(&complete(), None).await, neighbours.clients(&copy, None).await);
    let before = two.teleport().identity();
    assert_eq!(shared(&one, &two), [true, true, true]);
    neighbours.secrets.insert("home", "teleport", "identity", identity_file("home.example.com", "bot-sync"));
    let next = neighbours.clients(&complete(), Some(&one)).await;
    assert_eq!(shared(&next, &two), [true, true, false]);
    assert!(!next.teleport().identity().is(&before) && two.teleport().identity().is(&before));
    assert_eq!(neighbours.resolver.refresh(&subject(&copy), &neighbours.secrets, &two).await.map(drop), None);

    // Of somebody else it is another client altogether, and not in the middle of a pass.
    neighbours.secrets.insert("home", "copy", "identity", identity_file("home.example.com", "bot-else"));
    assert_eq!(neighbours.resolver.refresh(&subject(&copy), &neighbours.secrets, &two).await.map(drop), None);
    let third = neighbours.clients(&copy, Some(&two)).await;
    assert!(!Arc::ptr_eq(two.teleport(), third.teleport()));
    assert_eq!((two.teleport().identity().user(), third.teleport().identity().user()), ("bot-sync", "bot-else"));
}

#[tokio::test]
async fn a_changed_key_is_another_client_and_the_old_one_serves_who_still_has_it() {
    let mut neighbours = Neighbours::new();
    let old = okta(&neighbours.resolver, &complete(), &neighbours.secrets).await.unwrap();
    let key = PrivateKey::generate(KeyKind::P256).unwrap().to_pkcs8_pem().unwrap();
    neighbours.secrets.insert("home", "okta", "key", key.expose_secret().as_bytes().to_vec());
    let new = okta(&neighbours.resolver, &complete(), &neighbours.secrets).await.unwrap();
    assert!(!Arc::ptr_eq(&old, &new));
    assert_eq!(neighbours.resolver.oktas.len(), 2);
    drop(old);
    let again = okta(&neighbours.resolver, &complete(), &neighbours.secrets).await.unwrap();
    assert!(Arc::ptr_eq(&new, &again));
    assert_eq!(neighbours.resolver.oktas.len(), 1);
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
