//! Joining with a projected service account token, in each of the three forms (reference §8, §16 D–F, §17).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{channel, client, refused, start};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use rcgen::KeyPair;
use serde_json::{Value, json};
use teleport_proto::{
    auth::{UserCertsRequest, join_service_client::JoinServiceClient},
    join::{
        BotParams, ClientInit, ClientParams, JoinRequest, OidcInit, PublicKeys, client_params, join_request,
        join_response, join_service_client::JoinServiceClient as JoinConversationClient, result,
    },
    types::RegisterUsingTokenRequest,
};
use teleport_sim::{BOT_ROLE, BOT_USER, KubernetesJoin, Options, ProvisionToken, TeleportSim, Version};
use tonic::Code;

const CLUSTER: &str = "acme";
/// An Ed25519 public key of `authorized_keys` form. Its owner is of no interest.
const SSH_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdHCVFmdgFKTvJbQlDsqIv6cpKiEZRrVtcf7nJYbZE";

/// A Kubernetes cluster's signing key.
struct Signer {
    key: EncodingKey,
    kid: &'static str,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        Self { key: EncodingKey::from_ec_der(&KeyPair::generate().unwrap().serialize_der()), kid }
    }

    fn jwks(&self) -> String {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(self.kid.into());
        json!({"keys": [jwk]}).to_string()
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.into()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

fn claims() -> Value {
    let now = Timestamp::now().as_second();
    json!({
        "aud": [CLUSTER],
        "iat": now,
        "exp": now + 600,
        "iss": "https://kubernetes.default.svc",
        "sub": "system:serviceaccount:okta-user-sync:operator",
        "kubernetes.io": {"namespace": "okta-user-sync", "pod": {"name": "operator-0"}},
    })
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims();
    change(&mut claims);
    claims
}

async fn sim(version: Version, signer: &Signer) -> TeleportSim {
    let sim = start(Options { cluster: CLUSTER.into(), version, ..Options::default() }).await;
    for (name, role) in [("bots", "Bot"), ("hosts", "Okta")] {
        sim.put_token(ProvisionToken {
            name: name.into(),
            role: role.into(),
            bot_name: "okta-user-sync".into(),
            kind: KubernetesJoin::StaticJwks,
            allow: vec!["okta-user-sync:operator".into()],
            jwks: signer.jwks(),
        });
    }
    sim
}

/// Joins by HTTP straight at the Auth Service: status and JSON.
async fn by_http(sim: &TeleportSim, body: &Value) -> (u16, Value) {
    let ca = reqwest::Certificate::from_pem(sim.ca_pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([ca])
        .resolve("teleport.cluster.local", sim.auth_address())
        .http1_only()
        .build()
        .unwrap();
    let url = format!("https://teleport.cluster.local:{}/v1/tokens/register", sim.auth_address().port());
    let answer = client.post(url).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn body(token: &str, role: &str, jwt: &str, key: &KeyPair) -> Value {
    json!({
        "hostID": "0d9f2d5c-0000-4000-8000-000000000001",
        "node_name": "operator",
        "role": role,
        "token": token,
        "public_tls_key": STANDARD.encode(key.public_key_pem()),
        "public_ssh_key": STANDARD.encode(SSH_KEY),
        "id_token": jwt,
    })
}

fn text(value: &Value) -> String {
    String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_bot_joins_by_http_and_turns_its_certificate_into_a_working_one() {
    let signer = Signer::new("k1");
    let sim = sim(Version::V17, &signer).await;
    let key = KeyPair::generate().unwrap();
    let (status, answer) = by_http(&sim, &body("bots", "Bot", &signer.sign(&claims()), &key)).await;
    assert_eq!(status, 200, "{answer}");
    assert!(text(&answer["ssh"]).starts_with("ssh-ed25519-cert-v01@openssh.com "));
    assert_eq!(text(&answer["tls_ca_certs"][1]), sim.ca_pem(), "the user CA, then the host CA");

    let joined = format!("{}{}", key.serialize_pem(), text(&answer["tls"]));
    let mut bot = client(&sim, &joined);
    assert_eq!(common::name(bot.auth.get_current_user(()).await.unwrap().get_ref()), BOT_USER);
    assert_eq!(refused(bot.page(0, "").await).0, Code::PermissionDenied);
    let request = UserCertsRequest {
        username: BOT_USER.into(),
        expires: Some(prost_types::Timestamp { seconds: sim.now().as_second() + 3600, nanos: 0 }),
        role_requests: vec![BOT_ROLE.into()],
        use_role_requests: true,
        tls_public_key: key.public_key_pem().into_bytes().into(),
        ..Default::default()
    };
    let certs = bot.auth.generate_user_certs(request).await.unwrap().into_inner();
    let working = format!("{}{}", key.serialize_pem(), String::from_utf8(certs.tls.to_vec()).unwrap());
    assert!(client(&sim, &working).page(0, "").await.is_ok());
}

#[tokio::test]
async fn a_host_joins_as_okta_by_the_proxy_for_ten_years() {
    let signer = Signer::new("k1");
    let sim = sim(Version::V17, &signer).await;
    let key = KeyPair::generate().unwrap();
    let ca = reqwest::Certificate::from_pem(sim.web_ca_pem().as_bytes()).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([ca]).build().unwrap();
    let url = format!("https://localhost:{}/v1/webapi/host/credentials", sim.proxy_address().port());
    let answer = http.post(url).json(&body("hosts", "Okta", &signer.sign(&claims()), &key)).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let certificate = text(&answer["tls"]);
    let mut okta = client(&sim, &format!("{}{certificate}", key.serialize_pem()));
    okta.create(&common::labelled(common::user("ada@acme.com"), "teleport.dev/origin", "okta")).await.unwrap();
    sim.set_clock_offset(9 * 365 * 24 * 3600);
    let mut later = client(&sim, &format!("{}{certificate}", key.serialize_pem()));
    assert!(later.page(1, "").await.is_ok());
}

#[tokio::test]
async fn each_refusal_has_its_code_and_words() {
    let (signer, rotated) = (Signer::new("k1"), Signer::new("k2"));
    let forged = Signer { kid: "k1", ..Signer::new("forged") };
    let sim = sim(Version::V17, &signer).await;
    let key = KeyPair::generate().unwrap();
    let good = signer.sign(&claims());
    let ask = |jwt: &str| body("bots", "Bot", jwt, &key);
    let no_tls_key = {
        let mut body = ask(&good);
        body["public_tls_key"] = "".into();
        body
    };
    for (what, body, status, words) in [
        ("audience", ask(&signer.sign(&changed(|c| c["aud"] = json!("other")))), 500, "invalid audience claim (aud)"),
        (
            "expired",
            ask(&signer.sign(&changed(|c| c["exp"] = json!(Timestamp::now().as_second() - 60)))),
            500,
            "token is expired (exp)",
        ),
        (
            "account",
            ask(&signer.sign(&changed(|c| c["sub"] = json!("system:serviceaccount:a:b")))),
            403,
            "did not match any allow rules",
        ),
        (
            "no pod",
            ask(&signer.sign(&changed(|c| c["kubernetes.io"] = json!({})))),
            400,
            "requires the use of projected pod bound service account token",
        ),
        (
            "too long",
            ask(&signer.sign(&changed(|c| c["exp"] = json!(Timestamp::now().as_second() + 3600)))),
            400,
            "TTL of less than 30m0s",
        ),
        ("unknown key", ask(&rotated.sign(&claims())), 500, "unsupported key type/format"),
        ("forged", ask(&forged.sign(&claims())), 500, "error in cryptographic primitive"),
        ("unknown token", body("nowhere", "Bot", &good, &key), 403, "token expired or not found"),
        ("another role", body("hosts", "Bot", &good, &key), 400, "does not allow"),
        ("no TLS key", no_tls_key, 400, "failed to decode public key PEM block"),
    ] {
        let (got, answer) = by_http(&sim, &body).await;
        let said = answer["error"]["message"].as_str().unwrap();
        assert_eq!(got, status, "{what}: {said}");
        assert!(said.contains(words), "{what}: {said}");
    }
}

#[tokio::test]
async fn in_cluster_asks_neither_for_audience_nor_for_a_short_life() {
    let signer = Signer::new("k1");
    let sim = sim(Version::V17, &signer).await;
    sim.put_token(ProvisionToken {
        name: "inside".into(),
        role: "Bot".into(),
        bot_name: "okta-user-sync".into(),
        kind: KubernetesJoin::InCluster,
        allow: vec!["okta-user-sync:operator".into()],
        jwks: signer.jwks(),
    });
    let claims = changed(|c| {
        c["aud"] = json!("https://kubernetes.default.svc");
        c["exp"] = json!(Timestamp::now().as_second() + 365 * 24 * 3600);
    });
    let (status, answer) =
        by_http(&sim, &body("inside", "Bot", &signer.sign(&claims), &KeyPair::generate().unwrap())).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_past_end_yields_a_dead_certificate_without_an_error() {
    let signer = Signer::new("k1");
    let sim = sim(Version::V17, &signer).await;
    let key = KeyPair::generate().unwrap();
    let mut ask = body("bots", "Bot", &signer.sign(&claims()), &key);
    ask["expires"] = json!("2020-01-01T00:00:00Z");
    let (status, answer) = by_http(&sim, &ask).await;
    assert_eq!(status, 200);
    let dead = format!("{}{}", key.serialize_pem(), text(&answer["tls"]));
    assert!(client(&sim, &dead).auth.get_current_user(()).await.is_err());
}

fn unary(key: &KeyPair, jwt: &str) -> RegisterUsingTokenRequest {
    RegisterUsingTokenRequest {
        role: "Bot".into(),
        token: "bots".into(),
        public_tls_key: key.public_key_pem().into_bytes().into(),
        public_ssh_key: SSH_KEY.into(),
        id_token: jwt.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_grpc_forms_are_there_from_18_on() {
    let signer = Signer::new("k1");
    for (version, there) in [(Version::V17, false), (Version::V18, true)] {
        let sim = sim(version, &signer).await;
        let key = KeyPair::generate().unwrap();
        let answer = JoinServiceClient::new(channel(&sim, None))
            .register_using_token(unary(&key, &signer.sign(&claims())))
            .await;
        if there {
            let certs = answer.unwrap().into_inner();
            let joined = format!("{}{}", key.serialize_pem(), String::from_utf8(certs.tls.to_vec()).unwrap());
            assert!(client(&sim, &joined).auth.get_current_user(()).await.is_ok());
        } else {
            assert_eq!(refused(answer).0, Code::Unimplemented);
        }
    }
}

#[tokio::test]
async fn the_conversation_ends_with_certificates() {
    let signer = Signer::new("k1");
    let sim = sim(Version::V18, &signer).await;
    let key = KeyPair::generate().unwrap();
    let ssh = STANDARD.decode(SSH_KEY.split_whitespace().nth(1).unwrap()).unwrap();
    let question = |payload| JoinRequest { payload: Some(payload) };
    let (say, questions) = tokio::sync::mpsc::channel(2);
    let init = ClientInit { token_name: "bots".into(), system_role: "Bot".into(), ..Default::default() };
    say.send(question(join_request::Payload::ClientInit(init))).await.unwrap();
    let mut conversation = JoinConversationClient::new(channel(&sim, None));
    let mut answers =
        conversation.join(tokio_stream::wrappers::ReceiverStream::new(questions)).await.unwrap().into_inner();
    let Some(join_response::Payload::Init(init)) = answers.message().await.unwrap().unwrap().payload else {
        panic!("no ServerInit")
    };
    assert_eq!(init.join_method, "kubernetes");

    let keys = PublicKeys {
        public_tls_key: rcgen::PublicKeyData::subject_public_key_info(&key).into(),
        public_ssh_key: ssh.into(),
    };
    let bot = BotParams { public_keys: Some(keys), expires: None };
    let shown = OidcInit {
        client_params: Some(ClientParams { payload: Some(client_params::Payload::BotParams(bot)) }),
        id_token: signer.sign(&claims()).into_bytes().into(),
    };
    say.send(question(join_request::Payload::OidcInit(shown))).await.unwrap();
    let Some(join_response::Payload::Result(outcome)) = answers.message().await.unwrap().unwrap().payload else {
        panic!("no Result")
    };
    let Some(result::Payload::BotResult(bot)) = outcome.payload else { panic!("no BotResult") };
    let certificates = bot.certificates.unwrap();
    assert_eq!(certificates.tls_ca_certs.len(), 2);
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        STANDARD.encode(&certificates.tls_cert)
    );
    assert!(client(&sim, &format!("{}{pem}", key.serialize_pem())).auth.get_current_user(()).await.is_ok());
}

#[tokio::test]
async fn where_a_second_factor_is_demanded_bots_write_and_people_do_not() {
    let sim = start(Options::default()).await;
    sim.put_user(&common::with_roles(common::user("ada@acme.com"), &["editor"])).unwrap();
    sim.demand_mfa(true);
    let ada = sim.identity(&teleport_sim::IdentityKind::user("ada@acme.com", &["editor"])).unwrap();
    let words = "admin-level API request requires MFA verification".to_owned();
    let mut ada = client(&sim, &ada);
    assert_eq!(refused(ada.create(&common::user("bob@acme.com")).await), (Code::PermissionDenied, words.clone()));
    assert_eq!(refused(ada.lock(common::lock("l", "bob@acme.com")).await), (Code::PermissionDenied, words));
    assert!(ada.page(0, "").await.is_ok(), "reading needs none");
    assert!(common::bot(&sim).create(&common::user("bob@acme.com")).await.is_ok());
    assert!(common::administrator(&sim).delete("bob@acme.com").await.is_ok());
}
