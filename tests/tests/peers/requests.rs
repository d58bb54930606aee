//! Every request that our client sends, taken off the wire and read by Teleport's own generated types, field by field: `requests.txt` beside this file.
//! `UPDATE=1` writes it anew; then read the difference. And a user with every field set, before and after our update.

use std::{fmt::Write as _, path::PathBuf};

use engine::{
    cluster::Cluster as _,
    lock::{Lock, LockReason, Mark, lock_name},
    user::{ConnectorRef, NewUser, UserEdit},
};
use futures::TryStreamExt as _;
use prost::Message as _;
use serde_json::Value;
use suites::House;
use teleport::{Identity, JoinRole, JoinSettings, JoinTrust, Joiner, TeleportClient, Way};
use teleport_proto::{types, wrappers};
use teleport_sim::{BOT_ROLE, Fault, Options, TeleportSim, Version};
use tonic::Code;

use super::{Peers, conversation};

const NAME: &str = "ada@example.com";

fn client(sim: &TeleportSim) -> TeleportClient {
    let identity = Identity::parse(&std::fs::read_to_string(&sim.ready().identity_file).unwrap()).unwrap();
    TeleportClient::connect(teleport::Settings::new(sim.auth_address().to_string(), identity)).unwrap()
}

fn new_user() -> NewUser {
    NewUser {
        name: NAME.into(),
        labels: [("usersync.dev/owner".to_owned(), "home/acme".to_owned())].into(),
        roles: vec!["access".into(), "okta-requester".into()],
        traits: [("okta/email".to_owned(), vec![NAME.to_owned(), "a@example.com".to_owned()])].into(),
        created_by: ConnectorRef { kind: "saml".into(), id: "okta".into(), identity: NAME.into() },
    }
}

fn lock() -> Lock {
    let ours = Mark {
        owner: "home/acme".into(),
        org_url: "https://acme.okta.com".into(),
        okta_id: "00u1".into(),
        reason: LockReason::Leaver,
    };
    Lock {
        name: lock_name("home/acme", "00u1", NAME),
        user: NAME.into(),
        message: "deactivated".into(),
        expires: Some("2100-01-01T00:00:00Z".parse().unwrap()),
        created: None,
        ours: Some(ours),
    }
}

/// Every call that a sync makes, once.
async fn sync(client: &TeleportClient) {
    client.prove_identity().await.unwrap();
    client.roles().await.unwrap();
    client.connector("okta").await.unwrap();
    client.connectors().await.unwrap();
    client.users().try_collect::<Vec<_>>().await.unwrap();
    client.create_user(new_user()).await.unwrap();
    let user = client.user(NAME).await.unwrap().unwrap();
    let mut edit = UserEdit { labels: user.labels.clone(), roles: user.roles.clone(), traits: user.traits.clone() };
    edit.traits.insert("okta/department".into(), vec!["Lighthouses".into()]);
    client.update_user(&user, &edit).await.unwrap();
    client.put_lock(&lock()).await.unwrap();
    client.locks().await.unwrap();
    client.delete_user(NAME).await.unwrap();
    client.remove_lock(&lock().name).await.unwrap();
}

/// Joining as a bot and as a host by the conversation, then as a bot by the unary call, and what follows it.
async fn joins(house: &House, folder: &std::path::Path) {
    let bot = || JoinRole::Bot { roles: vec![BOT_ROLE.into()] };
    join(house, folder, "Bot", bot()).await;
    let host_id = "5b8ea2f4-0c7d-4a57-9f52-6e0f0a6c7c11".into();
    join(house, folder, "Okta", JoinRole::Okta { host_id }).await;
    house.teleport.fault(Fault::refuse("Join", Code::Unimplemented));
    join(house, folder, "Bot", bot()).await;
}

async fn join(house: &House, folder: &std::path::Path, of: &str, role: JoinRole) {
    let sim = &house.teleport;
    sim.put_token(house.provision_token(of).await);
    let token = folder.join("token");
    std::fs::write(&token, house.projected_token("teleport.sim").await).unwrap();
    let trust = JoinTrust::Pins(vec![sim.ca_pin()]);
    let mut settings = JoinSettings::new(sim.auth_address().to_string(), "okta-user-sync", role, trust);
    (settings.way, settings.jwt_file) = (Way::Auth, token);
    Joiner::new(settings).unwrap().join().await.unwrap();
}

/// What is another each time: keys, tokens, instants of this run, revisions.
fn settled(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let fresh =
                    ["time", "revision", "expires", "public_tls_key", "public_ssh_key", "id_token", "tls_public_key"];
                let fixed = field.as_str().is_some_and(|text| text.starts_with("2100-") || text.starts_with("0001-"));
                let named = fresh
                    .iter()
                    .any(|fresh| fresh.eq_ignore_ascii_case(&name.replace("TLSPublicKey", "tls_public_key")));
                let instant = field.get("seconds").is_some();
                if named && (field.is_string() || instant) && !fixed {
                    *field = Value::from("(another each time)");
                } else {
                    settled(field);
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(settled),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn teleports_own_types_read_every_request_of_ours() {
    let Some(peers) = Peers::provide().await else { return };
    let house = House::vacant(1, Options { version: Version::V18, ..Options::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    house.teleport.record_requests();
    let client = client(&house.teleport);
    sync(&client).await;
    // Without a list before it, a deletion looks for names that it would take along.
    self::client(&house.teleport).delete_user("nobody@example.com").await.unwrap();
    joins(&house, folder.path()).await;

    let mut text = String::from("What Teleport's own generated types read in the requests of our client.\n");
    let mut seen = std::collections::BTreeSet::new();
    for request in house.teleport.requests() {
        let mut read = if request.method == "Join" {
            let (fields, unknown) = conversation::read(&request.message);
            serde_json::json!({ "fields": fields, "unknown": unknown })
        } else {
            peers.decode(&request.method, &request.message).await
        };
        // The wish that the server does not fetch a metadata URL is of a later version than these types: one tag, one truth.
        let later = if request.method.starts_with("GetSAMLConnector") { 2 } else { 0 };
        assert_eq!(read["unknown"], later, "{}: a field that Teleport does not know: {read}", request.method);
        settled(&mut read["fields"]);
        let line = format!("\n{}\n{:#}\n", request.method, read["fields"]);
        if seen.insert(line.clone()) {
            let _ = write!(text, "{line}");
        }
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers/requests.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&file).unwrap_or_default(), "UPDATE=1 writes it anew");
}

/// A field with the number 1000 and this text: something that a later Teleport may have.
fn later(text: &str) -> Vec<u8> {
    [&[0xc2, 0x3e, u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat()
}

/// `message` as the field `number` of another, which is under 16.
fn field(number: u8, message: &[u8]) -> Vec<u8> {
    let mut length = Vec::new();
    prost::encoding::encode_varint(message.len() as u64, &mut length);
    [&[number << 3 | 2][..], &length, message].concat()
}

/// A user in whom everything is set that Teleport knows and gives away, and at each depth something that it does not know.
fn everything() -> Vec<u8> {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 123_000_000 });
    let zero = Some(teleport_proto::time::go_zero());
    let identity = |n: &str| types::ExternalIdentity {
        connector_id: format!("connector-{n}"),
        username: format!("user-{n}"),
        saml_single_logout_url: format!("https://logout.example.com/{n}"),
        user_id: format!("id-{n}"),
    };
    let metadata = types::Metadata {
        name: NAME.into(),
        namespace: "default".into(),
        description: "Ada, by hand".into(),
        labels: [("usersync.dev/owner", "home/acme"), ("team", "lighthouses")]
            .map(|(k, v)| (k.into(), v.into()))
            .into(),
        expires: at(4_102_444_800),
        revision: "0e7b1a5c".into(),
    };
    let values = |all: &[&str]| wrappers::StringValues { values: all.iter().map(|one| (*one).to_owned()).collect() };
    let traits = [("logins", values(&["ada", "root"])), ("okta/email", values(&[NAME])), ("empty", values(&[]))];
    let mut spec = types::UserSpecV2 {
        oidc_identities: vec![identity("oidc")],
        saml_identities: vec![identity("saml-1"), identity("saml-2")],
        github_identities: vec![identity("github")],
        roles: vec!["access".into(), "editor".into()],
        traits: Some(wrappers::LabelValues { values: traits.map(|(name, values)| (name.to_owned(), values)).into() }),
        status: Some(types::LoginStatus {
            is_locked: true,
            locked_message: "too many attempts".into(),
            locked_time: at(1_700_000_000),
            lock_expires: at(4_000_000_000),
        }),
        expires: zero,
        created_by: Some(types::CreatedBy {
            connector: Some(types::ConnectorRef { r#type: "saml".into(), id: "okta".into(), identity: NAME.into() }),
            time: at(1_600_000_000),
            user: Some(types::UserRef { name: "system".into() }),
        }),
        // Never shown without a wish for secrets, but a server that showed it would get it back as it was.
        local_auth: Some(types::LocalAuthSecrets {
            password_hash: b"$2a$10$hash".to_vec().into(),
            totp_key: "JBSWY3DPEHPK3PXP".into(),
            mfa: vec![],
            webauthn: Some(types::WebauthnLocalAuth { user_id: b"handle".to_vec().into() }),
        }),
        trusted_device_ids: vec!["device-1".into(), "device-2".into()],
    }
    .encode_to_vec();
    spec.extend(later("in the spec"));
    let mut head =
        types::UserV2 { kind: "user".into(), sub_kind: "human".into(), version: "v2".into(), ..Default::default() };
    // A password state that does not exist yet.
    head.status = Some(types::UserStatusV2 { password_state: 7, mfa_weakest_device: 3 });
    let metadata = [metadata.encode_to_vec(), later("in the metadata")].concat();
    [head.encode_to_vec(), field(4, &metadata), field(5, &spec), later("in the user")].concat()
}

// splice.rs, `replace_messages`.
#[tokio::test]
async fn p07_a_user_with_every_field_set_comes_through_our_update_whole() {
    let Some(peers) = Peers::provide().await else { return };
    let sim = TeleportSim::start(Options::default()).await.unwrap();
    sim.put_raw_user_with_secrets(&everything()).unwrap();
    let before = peers.decode("whole", &sim.raw_user(NAME).unwrap()).await;
    let foreign = ["in the spec", "in the metadata", "in the user"].iter().map(|text| later(text).len()).sum::<usize>();
    assert_eq!(before["unknown"], foreign);
    // Teleport's own types see each field that was set.
    let seen = before["fields"].to_string();
    for set in [
        "Ada, by hand",
        "user-oidc",
        "saml-2",
        "github",
        "too many attempts",
        "device-2",
        "logins",
        "human",
        "JBSWY3DPEHPK3PXP",
    ] {
        assert!(seen.contains(set), "{set} in {seen}");
    }

    let client = client(&sim);
    let user = client.user(NAME).await.unwrap().unwrap();
    let mut edit = UserEdit { labels: user.labels.clone(), roles: vec!["access".into()], traits: user.traits.clone() };
    edit.traits.insert("okta/department".into(), vec!["Lighthouses".into()]);
    sim.record_requests();
    client.update_user(&user, &edit).await.unwrap();

    // As it was sent; what the server does with it (secrets are kept elsewhere, the revision is another) is the server's affair.
    let sent = sim.requests().into_iter().find(|request| request.method == "UpdateUser").unwrap();
    let mut sent = peers.decode("UpdateUser", &sent.message).await;
    assert_eq!(sent["unknown"], before["unknown"]);
    let (was, is) = (&before["fields"], &mut sent["fields"]["user"]);
    assert_eq!(is["spec"]["roles"], serde_json::json!(["access"]));
    assert_eq!(is["spec"]["traits"]["okta/department"], serde_json::json!(["Lighthouses"]));
    // A login leaves an end behind; a synced user has none.
    assert!(is["metadata"]["expires"].is_null());
    is["metadata"]["expires"] = was["metadata"]["expires"].clone();
    is["spec"]["roles"] = was["spec"]["roles"].clone();
    is["spec"]["traits"] = was["spec"]["traits"].clone();
    assert_eq!(is, was);

    // And as it is stored: the same, but for the secrets.
    let mut after = peers.decode("whole", &sim.raw_user(NAME).unwrap()).await;
    assert_eq!(after["unknown"], before["unknown"]);
    let stored = &mut after["fields"];
    assert!(stored["spec"]["local_auth"].is_null());
    assert_ne!(stored["metadata"]["revision"], was["metadata"]["revision"]);
    for (part, changed) in [
        ("spec", "local_auth"),
        ("spec", "roles"),
        ("spec", "traits"),
        ("metadata", "expires"),
        ("metadata", "revision"),
    ] {
        stored[part][changed] = was[part][changed].clone();
    }
    assert_eq!(stored, was);
}
