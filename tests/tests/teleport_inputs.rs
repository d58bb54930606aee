//! What a person can get wrong about Teleport, over the operator: each a condition that names the command or the YAML that mends it, and no write.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use suites::{House, condition};
use teleport_sim::{BOT_ROLE, IdentityKind, Options, TeleportSim};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// Waits until a pass was refused for this reason, and holds its words against these.
async fn refused(house: &House, what: &str, reason: &str, words: &[&str]) {
    let refused = |resource: &Value| condition(resource, "TeleportReady")["reason"] == reason;
    let resource = house.until(what, refused).await;
    let ready = condition(&resource, "Ready");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!(reason)), "{what}: {ready}");
    let told = ready["message"].as_str().unwrap();
    for word in words {
        assert!(told.contains(word), "{what}: {word} is missing in: {told}");
    }
    assert_eq!(house.teleport.writes().len(), 0, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_about_teleport_is_a_condition_that_names_what_mends_it() {
    let house = House::with_people(2).await;
    house.put_secrets().await;

    // An identity of another cluster.
    let other = TeleportSim::start(Options::default()).await.unwrap();
    house.put_secret("identity", &std::fs::read_to_string(&other.ready().identity_file).unwrap()).await;
    house.change(&house.spec()).await;
    let words = ["same cluster", "tctl auth sign --format=file", "tctl status"];
    refused(&house, "an identity of another cluster", "TeleportNotTrusted", &words).await;

    // A role without rights on locks. Nothing is written, not even what the role would allow.
    house.teleport.drop_permission("lock", "list");
    house.put_secret("identity", &house.identity()).await;
    let words = ["lock:list", "resources: [lock]", "verbs: [list"];
    refused(&house, "a role without rights on locks", "PermissionMissing", &words).await;
    house.teleport.restore_permissions();

    // An identity that was pieced together, and one that is none.
    let (mine, theirs) = (house.identity(), std::fs::read_to_string(&other.ready().identity_file).unwrap());
    let end = "PRIVATE KEY-----\n";
    let cut = |text: &str| text.rfind(end).unwrap() + end.len();
    let pieced = format!("{}{}", &theirs[..cut(&theirs)], &mine[cut(&mine)..]);
    house.put_secret("identity", &pieced).await;
    refused(&house, "two identities in one", "IdentityKeyMismatch", &["tctl auth sign --format=file", "tbot"]).await;
    house.put_secret("identity", "hello").await;
    refused(&house, "no identity", "IdentityUnreadable", &["tctl auth sign --format=file", "tbot"]).await;
    house.put_secret("identity", &house.identity()).await;
    house.until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_identity_that_wants_a_second_factor_is_told_so() {
    let house = House::with_people(2).await;
    house.put_secrets().await;
    let person = teleport_proto_user("alice");
    house.teleport.put_raw_user(&person).unwrap();
    house.teleport.demand_mfa(true);
    let identity = house.teleport.identity(&IdentityKind::user("alice", &[BOT_ROLE])).unwrap();
    house.put_secret("identity", &identity).await;
    house.change(&house.spec()).await;
    let partly = |resource: &Value| resource["status"]["errors"].as_array().is_some_and(|errors| !errors.is_empty());
    let resource = house.until("the refused writes", partly).await;
    let told = resource["status"]["errors"].to_string();
    assert!(
        told.contains("second factor") && told.contains("tctl bots add") && told.contains("tctl auth sign"),
        "{told}"
    );
    let ready = condition(&resource, "Ready");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("SecondFactorDemanded")), "{ready}");
    let told = ready["message"].as_str().unwrap();
    assert!(told.contains("second factor") && told.contains("tctl bots add"), "{told}");
    assert!(house.teleport.writes().iter().all(|write| !write.done()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_runs_out_soon_is_a_warning_with_a_reason_of_its_own() {
    let house = House::with_people(2).await;
    house.put_secrets().await;
    // The last tenth of its life.
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5);
    let short = IdentityKind::user(teleport_sim::BOT_USER, &[BOT_ROLE]).until(soon);
    house.put_secret("identity", &house.teleport.identity(&short).unwrap()).await;
    house.change(&house.spec()).await;
    let resource = house.until_ready().await;
    let warning = condition(&resource, "Warning");
    assert_eq!((&warning["status"], &warning["reason"]), (&json!("True"), &json!("IdentityExpiring")), "{warning}");
    let told = warning["message"].as_str().unwrap();
    assert!(told.contains("runs out at") && told.contains("issue a new identity"), "{told}");
    house.put_secret("identity", &house.identity()).await;
    let renewed =
        |resource: &Value| condition(resource, "Warning").is_null() && condition(resource, "Ready")["status"] == "True";
    house.until("the renewed identity to be used", renewed).await;
}

/// A user with nothing but a name, encoded: field 4 (metadata) holding field 1 (name).
fn teleport_proto_user(name: &str) -> Vec<u8> {
    let name = [&[0x0a, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
    [&[0x22, u8::try_from(name.len()).unwrap()], &name[..]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_that_answers_html_is_no_proxy() {
    let (address, certificate) = html().await;
    let house =
        House::with_settings(2, |settings| settings.defaults.teleport.web_authorities = Some(certificate)).await;
    house.put_secrets().await;
    let mut spec = house.spec();
    spec["teleport"]["address"] = address.to_string().into();
    house.change(&spec).await;
    // Its certificate is trusted, so what it says counts: 200 and a page, where a Proxy would change protocols.
    let words = ["connectionupgrade answers 200 OK", "spec.teleport.address", "--teleport-web-ca"];
    refused(&house, "a page from a trusted web server", "NotTeleportProxy", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_that_nobody_vouches_for_is_not_trusted() {
    let (address, _) = html().await;
    let house = House::with_people(2).await;
    house.put_secrets().await;
    let mut spec = house.spec();
    spec["teleport"]["address"] = address.to_string().into();
    house.change(&spec).await;
    let words = ["address and identity belong to the same cluster", "tctl status"];
    refused(&house, "a certificate of nobody's", "TeleportNotTrusted", &words).await;
}

/// A web server that answers everything with a friendly page, under a certificate of this authority (PEM).
async fn html() -> (SocketAddr, String) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let vouches = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let own_key = rcgen::KeyPair::generate().unwrap();
    let own =
        rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&own_key, &issuer).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own_key.serialize_der()).into();
    // One provider for the process; a second installation fails, and that is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![own.der().clone()], key);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let page = "<html>Welcome to nginx!</html>";
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
                    page.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (address, vouches)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_is_renewed_in_its_secret_is_taken_up_in_the_middle_of_a_pass() {
    let house = House::with_people(24).await;
    house.put_secrets().await;
    // It runs out while the pass goes on.
    let life = jiff::SignedDuration::from_secs(25);
    let until = jiff::Timestamp::now() + life;
    let short = IdentityKind::user(teleport_sim::BOT_USER, &[BOT_ROLE]).until(until);
    house.put_secret("identity", &house.teleport.identity(&short).unwrap()).await;
    house.teleport.hold_after(1);
    house.change(&house.spec()).await;
    let holding = async || house.teleport.is_holding().then_some(()).ok_or("no write yet");
    testkit::eventually(Duration::from_secs(24), "the first write", holding).await.unwrap();
    house.put_secret("identity", &house.identity()).await;
    let over = async || (jiff::Timestamp::now() > until).then_some(()).ok_or("the old one holds");
    testkit::eventually(Duration::from_secs(60), "the old identity to run out", over).await.unwrap();

    // All connections are cut: who goes on has to log in anew, and the old identity cannot.
    house.teleport.restart(Duration::ZERO);
    house.teleport.release();
    let ended = |resource: &Value| resource["status"]["lastRun"]["result"].is_string();
    let first = house.until("the first pass to end", ended).await;
    let made = house.teleport.writes().iter().filter(|write| write.done()).count();
    // Eight were under way and lost their answers; the rest went through in the same pass.
    assert!(made >= 16, "{made} of 24; {:#}", first["status"]);
    assert!(!first["status"]["errors"].to_string().contains("expired"), "{:#}", first["status"]["errors"]);
    house.until_ready().await;
    assert_eq!(house.teleport.user_names().len(), 24 + 3);
}
