//! Joining with the pod's own token: on every line, by every way, as a bot and as the system role.

use engine::{
    cluster::{Cluster as _, OriginMode},
    failure::Class,
};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use rcgen::KeyPair;
use serde_json::{Value, json};
use teleport::{
    JoinRole, JoinSettings, JoinTrust, Joiner, Settings, TeleportClient, TeleportError, Way, join::refusal::JoinCause,
};
use teleport_sim::{BOT_ROLE, BOT_USER, KubernetesJoin, Options, ProvisionToken, TeleportSim, Version};
use tempfile::NamedTempFile;

use crate::fixture::{new_user, start};

const TOKEN: &str = "okta-user-sync";

/// A Kubernetes cluster's key, and a pod's token on disk.
struct Kubernetes {
    key: EncodingKey,
    jwt: NamedTempFile,
}

impl Kubernetes {
    fn new() -> Self {
        let key = EncodingKey::from_ec_der(&KeyPair::generate().unwrap().serialize_der());
        let kubernetes = Self { key, jwt: NamedTempFile::new().unwrap() };
        kubernetes.mount(&claims());
        kubernetes
    }

    fn jwks(&self) -> String {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("k1".into());
        json!({ "keys": [jwk] }).to_string()
    }

    fn mount(&self, claims: &Value) {
        let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::ES256) };
        std::fs::write(self.jwt.path(), jsonwebtoken::encode(&header, claims, &self.key).unwrap() + "\n").unwrap();
    }

    fn token(&self, role: &str) -> ProvisionToken {
        ProvisionToken {
            name: TOKEN.into(),
            role: role.into(),
            bot_name: BOT_USER.trim_start_matches("bot-").into(),
            kind: KubernetesJoin::StaticJwks,
            allow: vec!["okta-user-sync:operator".into()],
            jwks: self.jwks(),
        }
    }

    fn joiner(&self, address: std::net::SocketAddr, role: JoinRole, trust: JoinTrust) -> JoinSettings {
        JoinSettings {
            jwt_file: self.jwt.path().to_owned(),
            ..JoinSettings::new(address.to_string(), TOKEN, role, trust)
        }
    }
}

fn claims() -> Value {
    let now = Timestamp::now().as_second();
    json!({
        "aud": ["teleport.sim"],
        "iat": now,
        "exp": now + 1200,
        "sub": "system:serviceaccount:okta-user-sync:operator",
        "kubernetes.io": {"pod": {"name": "operator-0", "uid": "1"}},
    })
}

fn bot() -> JoinRole {
    JoinRole::Bot { roles: vec![BOT_ROLE.into()] }
}

async fn with_token(version: Version, role: &str) -> (TeleportSim, Kubernetes) {
    let sim = start(Options { version, ..Options::default() }).await;
    let kubernetes = Kubernetes::new();
    sim.put_token(kubernetes.token(role));
    (sim, kubernetes)
}

#[tokio::test]
async fn a_bot_joins_on_every_line_and_works_under_its_roles() {
    for version in [Version::V15, Version::V17, Version::V18, Version::V19] {
        let (sim, kubernetes) = with_token(version, "Bot").await;
        let mut settings = kubernetes.joiner(sim.auth_address(), bot(), JoinTrust::Pins(vec![sim.ca_pin()]));
        settings.way = Way::Auth;
        let identity = Joiner::new(settings).unwrap().join().await.unwrap();
        assert_eq!((identity.user(), identity.roles()), (BOT_USER, &[BOT_ROLE.to_owned()][..]), "{version:?}");
        assert_eq!((identity.cluster(), identity.origin_mode()), ("teleport.sim", OriginMode::Bot));
        let life = Timestamp::now().duration_until(identity.expires());
        assert!(life > SignedDuration::from_mins(50) && life <= SignedDuration::from_mins(61), "{version:?}: {life:?}");
        let half = teleport::join::renewal(&identity);
        assert!(half > Timestamp::now() && half < identity.expires());

        let client = TeleportClient::connect(Settings::new(sim.auth_address().to_string(), identity)).unwrap();
        client.prove_identity().await.unwrap();
        client.create_user(new_user("ada@acme.com")).await.unwrap();
    }
}

#[tokio::test]
async fn every_way_and_every_trust_leads_in() {
    let (sim, kubernetes) = with_token(Version::V17, "Bot").await;
    let pins = || JoinTrust::Pins(vec!["sha256:00".into(), sim.ca_pin()]);
    for (address, trust) in [
        (sim.auth_address(), JoinTrust::Authorities(sim.ca_pem())),
        (sim.proxy_address(), pins()),
        (sim.proxy_address(), JoinTrust::Web),
        (sim.balancer_address(), pins()),
        (sim.balancer_address(), JoinTrust::Web),
    ] {
        let mut settings = kubernetes.joiner(address, bot(), trust.clone());
        settings.web_authorities = Some(sim.web_ca_pem());
        settings.cluster = (address == sim.auth_address()).then(|| "teleport.sim".into());
        let identity = Joiner::new(settings).unwrap().join().await.unwrap();
        assert_eq!(identity.authorities().len(), 1, "the hosts' authority, not the users': {trust:?}");
        let mut settings = Settings::new(address.to_string(), identity);
        settings.web_authorities = Some(sim.web_ca_pem());
        let client = TeleportClient::connect(settings).unwrap();
        assert_eq!(client.prove_identity().await.unwrap().own_name, BOT_USER, "{address} {trust:?}");
        let way = if address == sim.balancer_address() { Way::Upgrade } else { Way::Proxy };
        assert_eq!(client.way(), Some(way));
    }
}

#[tokio::test]
async fn the_system_role_joins_as_a_host_and_writes_users_of_its_origin() {
    for version in [Version::V17, Version::V18] {
        let (sim, kubernetes) = with_token(version, "Okta").await;
        let role = JoinRole::Okta { host_id: "5f5fbcaa-9c33-4fd1-a3f9-3bfbd2d4a3a1".into() };
        let mut settings = kubernetes.joiner(sim.proxy_address(), role, JoinTrust::Pins(vec![sim.ca_pin()]));
        settings.web_authorities = Some(sim.web_ca_pem());
        let identity = Joiner::new(settings).unwrap().join().await.unwrap();
        assert_eq!(identity.origin_mode(), OriginMode::Okta, "{version:?}");
        let client = TeleportClient::connect(Settings::new(sim.auth_address().to_string(), identity)).unwrap();
        assert_eq!(client.prove_identity().await.unwrap().origin_mode, OriginMode::Okta);
        client.create_user(new_user("ada@acme.com")).await.unwrap();
        assert_eq!(sim.user("ada@acme.com").unwrap().labels["teleport.dev/origin"], "okta");
    }
}

#[tokio::test]
async fn each_refusal_is_recognised_in_every_form_of_joining() {
    for version in [Version::V15, Version::V17, Version::V18] {
        let (sim, kubernetes) = with_token(version, "Bot").await;
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut claims = claims();
            change(&mut claims);
            claims
        };
        let now = Timestamp::now().as_second();
        let table: [(&str, Value, JoinCause); 5] = [
            ("audience", changed(&|c| c["aud"] = json!("kubernetes")), JoinCause::Audience),
            ("expired", changed(&|c| c["exp"] = json!(now - 60)), JoinCause::Expired),
            ("another account", changed(&|c| c["sub"] = json!("system:serviceaccount:a:b")), JoinCause::NotAllowed),
            ("no pod", changed(&|c| c["kubernetes.io"] = json!({})), JoinCause::NotPodBound),
            ("too long", changed(&|c| c["exp"] = json!(now + 3600)), JoinCause::TooLong),
        ];
        let mut settings = kubernetes.joiner(sim.auth_address(), bot(), JoinTrust::Pins(vec![sim.ca_pin()]));
        settings.way = Way::Auth;
        let joiner = Joiner::new(settings.clone()).unwrap();
        for (what, claims, cause) in table {
            kubernetes.mount(&claims);
            let TeleportError::Join(refusal) = joiner.join().await.unwrap_err() else { panic!("{what}") };
            assert_eq!(refusal.cause, cause, "{version:?} {what}: {}", refusal.text);
        }
        kubernetes.mount(&claims());
        sim.put_token(ProvisionToken { jwks: Kubernetes::new().jwks(), ..kubernetes.token("Bot") });
        let TeleportError::Join(refusal) = joiner.join().await.unwrap_err() else { panic!("signature") };
        assert_eq!(refusal.cause, JoinCause::SignatureBad, "{version:?}: {}", refusal.text);
        sim.put_token(kubernetes.token("Okta"));
        let TeleportError::Join(refusal) = joiner.join().await.unwrap_err() else { panic!("role") };
        assert_eq!(refusal.cause, JoinCause::RoleNotAllowed, "{version:?}: {}", refusal.text);

        // Mended, the next try succeeds: the token file is read anew each time.
        sim.put_token(kubernetes.token("Bot"));
        joiner.join().await.unwrap();
    }
}

#[tokio::test]
async fn a_token_that_was_just_made_is_waited_for() {
    let sim = start(Options::default()).await;
    let kubernetes = Kubernetes::new();
    let mut settings = kubernetes.joiner(sim.auth_address(), bot(), JoinTrust::Pins(vec![sim.ca_pin()]));
    settings.way = Way::Auth;
    let joiner = Joiner::new(settings).unwrap();
    let make = async {
        crate::fixture::until("a try was made", async || sim.counters().of("tokens/register") > 0).await;
        sim.put_token(kubernetes.token("Bot"));
    };
    let (identity, ()) = tokio::join!(joiner.join(), make);
    assert_eq!(identity.unwrap().user(), BOT_USER);
}

#[tokio::test]
async fn what_stands_in_the_way_before_the_token_is_shown_is_told() {
    let (sim, kubernetes) = with_token(Version::V17, "Bot").await;
    let refused = async |change: &dyn Fn(&mut JoinSettings)| {
        let mut settings = kubernetes.joiner(sim.auth_address(), bot(), JoinTrust::Pins(vec![sim.ca_pin()]));
        settings.way = Way::Auth;
        change(&mut settings);
        let error = Joiner::new(settings).unwrap().join().await.unwrap_err();
        (error.class(), error.reason())
    };
    let pins = JoinTrust::Pins(vec!["sha256:1234".into()]);
    assert_eq!(refused(&|s| s.trust = pins.clone()).await, (Class::Credential, "AuthorityPinMismatch"));
    assert_eq!(refused(&|s| s.jwt_file = "/nowhere".into()).await, (Class::Credential, "JoinTokenUnreadable"));
    assert_eq!(
        refused(&|s| s.role = JoinRole::Bot { roles: vec!["editor".into()] }).await,
        (Class::Permission, "RolesNotAllowedToBot")
    );
    // Over the web, with a certificate that nobody vouches for.
    let (address, web) = (sim.proxy_address().to_string(), JoinTrust::Web);
    assert_eq!(
        refused(&|s| (s.address, s.trust) = (address.clone(), web.clone())).await,
        (Class::Configuration, "NotTeleportProxy")
    );
    let other = start(Options::default()).await;
    assert_eq!(
        refused(&|s| s.trust = JoinTrust::Authorities(other.ca_pem())).await,
        (Class::Credential, "TeleportNotTrusted")
    );
}
