//! A plain client: an identity file, cut by hand, and tonic. None of the product's own client code.
#![allow(dead_code)] // each test file uses its own part of it

use std::time::Duration;

use prost::Message as _;
use teleport_proto::{
    auth::auth_service_client::AuthServiceClient,
    types,
    users::{
        CreateUserRequest, DeleteUserRequest, GetUserRequest, ListUsersRequest, ListUsersResponse, UpdateUserRequest,
        UpsertUserRequest, users_service_client::UsersServiceClient,
    },
};
use teleport_sim::{IdentityKind, KeyForm, KeyKind, Options, TeleportSim};
use tonic::{
    Code, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

/// A simulator with quick keys.
pub async fn start(options: Options) -> TeleportSim {
    TeleportSim::start(Options { keys: KeyKind::Ecdsa, ..options }).await.expect("the simulator starts")
}

/// Both clients over one connection.
#[derive(Clone)]
pub struct Client {
    pub users: UsersServiceClient<Channel>,
    pub auth: AuthServiceClient<Channel>,
}

/// The PEM blocks of an identity file, in order.
pub fn pem_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        if line.starts_with("-----BEGIN") {
            block = Some(String::new());
        }
        if let Some(text) = block.as_mut() {
            text.push_str(line);
            text.push('\n');
        }
        if line.starts_with("-----END") {
            blocks.extend(block.take());
        }
    }
    blocks
}

/// TLS as reference §15 describes it for the direct way.
pub fn tls(identity: Option<&str>, ca: &str) -> ClientTlsConfig {
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)).domain_name("teleport.cluster.local");
    match identity {
        None => config,
        Some(text) => {
            let blocks = pem_blocks(text);
            config.identity(Identity::from_pem(&blocks[1], &blocks[0]))
        }
    }
}

/// A connection that is made with the first call.
pub fn channel(sim: &TeleportSim, identity: Option<&str>) -> Channel {
    let endpoint = Endpoint::from_shared(format!("https://{}", sim.ready().auth_address)).expect("an address");
    endpoint
        .timeout(Duration::from_secs(20))
        .tls_config(tls(identity, &sim.ca_pem()))
        .expect("a TLS configuration")
        .connect_lazy()
}

pub fn client(sim: &TeleportSim, identity: &str) -> Client {
    let channel = channel(sim, Some(identity));
    Client { users: UsersServiceClient::new(channel.clone()), auth: AuthServiceClient::new(channel) }
}

/// The operator's bot, by its identity file.
pub fn bot(sim: &TeleportSim) -> Client {
    client(sim, &std::fs::read_to_string(&sim.ready().identity_file).expect("the identity file"))
}

/// The administrator, by its identity file.
pub fn administrator(sim: &TeleportSim) -> Client {
    client(sim, &std::fs::read_to_string(&sim.ready().admin_identity_file).expect("the identity file"))
}

/// Whoever joined with the system role Okta.
pub fn okta_service(sim: &TeleportSim) -> Client {
    client(
        sim,
        &sim.identity(&IdentityKind::okta_service().with_key(KeyKind::Ecdsa, KeyForm::default())).expect("an identity"),
    )
}

impl Client {
    pub async fn create(&mut self, user: &types::UserV2) -> Result<types::UserV2, Status> {
        let answer = self.users.create_user(CreateUserRequest { user: user.encode_to_vec().into() }).await?;
        Ok(decoded(answer.into_inner().user))
    }

    pub async fn update(&mut self, user: &types::UserV2) -> Result<types::UserV2, Status> {
        let answer = self.users.update_user(UpdateUserRequest { user: user.encode_to_vec().into() }).await?;
        Ok(decoded(answer.into_inner().user))
    }

    pub async fn upsert(&mut self, user: &types::UserV2) -> Result<types::UserV2, Status> {
        let answer = self.users.upsert_user(UpsertUserRequest { user: user.encode_to_vec().into() }).await?;
        Ok(decoded(answer.into_inner().user))
    }

    pub async fn get(&mut self, name: &str) -> Result<types::UserV2, Status> {
        let answer = self.users.get_user(GetUserRequest { name: name.into(), ..Default::default() }).await?;
        Ok(decoded(answer.into_inner().user))
    }

    pub async fn delete(&mut self, name: &str) -> Result<(), Status> {
        self.users.delete_user(DeleteUserRequest { name: name.into() }).await.map(|_| ())
    }

    pub async fn page(&mut self, size: i32, token: &str) -> Result<ListUsersResponse, Status> {
        let request = ListUsersRequest { page_size: size, page_token: token.into(), ..Default::default() };
        self.users.list_users(request).await.map(tonic::Response::into_inner)
    }

    pub async fn lock(&mut self, lock: types::LockV2) -> Result<(), Status> {
        self.auth.upsert_lock(lock).await.map(|_| ())
    }
}

pub fn decoded(bytes: bytes::Bytes) -> types::UserV2 {
    types::UserV2::decode(bytes).expect("a user")
}

/// A user as a sync would write it.
pub fn user(name: &str) -> types::UserV2 {
    types::UserV2 {
        kind: "user".into(),
        version: "v2".into(),
        metadata: Some(types::Metadata { name: name.into(), ..Default::default() }),
        spec: Some(types::UserSpecV2 {
            roles: vec!["access".into()],
            created_by: Some(types::CreatedBy {
                connector: Some(types::ConnectorRef {
                    r#type: "saml".into(),
                    id: "okta".into(),
                    identity: name.into(),
                }),
                time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
                user: Some(types::UserRef { name: "system".into() }),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The same with a label.
pub fn labelled(mut user: types::UserV2, key: &str, value: &str) -> types::UserV2 {
    user.metadata.get_or_insert_default().labels.insert(key.into(), value.into());
    user
}

/// The same with other roles.
pub fn with_roles(mut user: types::UserV2, roles: &[&str]) -> types::UserV2 {
    user.spec.get_or_insert_default().roles = roles.iter().map(|role| (*role).to_owned()).collect();
    user
}

pub fn name(user: &types::UserV2) -> &str {
    user.metadata.as_ref().map_or("", |metadata| metadata.name.as_str())
}

/// A lock on a user, for ever unless said otherwise.
pub fn lock(name: &str, user: &str) -> types::LockV2 {
    types::LockV2 {
        metadata: Some(types::Metadata { name: name.into(), ..Default::default() }),
        spec: Some(types::LockSpecV2 {
            target: Some(types::LockTarget { user: user.into(), ..Default::default() }),
            message: "left the company".into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What a refusal said.
pub fn refused<T>(result: Result<T, Status>) -> (Code, String) {
    match result {
        Ok(_) => panic!("it was granted"),
        Err(status) => (status.code(), status.message().to_owned()),
    }
}

/// Waits until something holds, at most ten seconds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
