//! A simulator, and clients with this identity or that.

use std::{fs, time::Duration};

use engine::{
    cluster::{Cluster as _, WriteError},
    failure::Failure,
    lock::{Lock, LockReason, Mark, lock_name},
    user::{ConnectorRef, NewUser, User, UserEdit},
    user_view::{ListedUser, UserView},
};
use futures::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use teleport::{Identity, Settings, TeleportClient};
use teleport_sim::{IdentityKind, KeyForm, KeyKind, Options, TeleportSim};

pub const OWNER: &str = "sync/acme";
pub const ORG: &str = "https://acme.okta.com";

/// A simulator with quick keys.
pub async fn start(options: Options) -> TeleportSim {
    TeleportSim::start(Options { keys: KeyKind::Ecdsa, ..options }).await.unwrap()
}

/// A simulator of the default kind, and the operator's bot.
pub async fn started() -> (TeleportSim, TeleportClient) {
    let sim = start(Options::default()).await;
    let client = bot(&sim);
    (sim, client)
}

/// Settings of the operator's bot.
pub fn settings(sim: &TeleportSim) -> Settings {
    let text = fs::read_to_string(&sim.ready().identity_file).unwrap();
    Settings::new(sim.ready().auth_address.clone(), Identity::parse(&text).unwrap())
}

/// The operator's bot.
pub fn bot(sim: &TeleportSim) -> TeleportClient {
    TeleportClient::connect(settings(sim)).unwrap()
}

/// A client with an identity of its own.
pub fn client(sim: &TeleportSim, kind: IdentityKind) -> TeleportClient {
    let text = sim.identity(&kind.with_key(KeyKind::Ecdsa, KeyForm::default())).unwrap();
    TeleportClient::connect(Settings::new(sim.ready().auth_address.clone(), Identity::parse(&text).unwrap())).unwrap()
}

/// A user as the sync would make it.
pub fn new_user(name: &str) -> NewUser {
    NewUser {
        name: name.into(),
        labels: [("usersync.dev/owner".to_owned(), OWNER.to_owned()), ("okta/org".to_owned(), ORG.to_owned())].into(),
        roles: vec!["access".into()],
        traits: [("okta/email".to_owned(), vec![name.to_owned()]), ("okta/empty".to_owned(), vec![])].into(),
        created_by: ConnectorRef { kind: "saml".into(), id: "okta".into(), identity: name.into() },
    }
}

/// A lock as the sync would make it, for an hour.
pub fn new_lock(user: &str) -> Lock {
    Lock {
        name: lock_name(OWNER, "00u1", user),
        user: user.into(),
        message: "left".into(),
        expires: Some(Timestamp::from_second(Timestamp::now().as_second()).unwrap() + SignedDuration::from_hours(1)),
        created: None,
        ours: Some(Mark {
            owner: OWNER.into(),
            org_url: ORG.into(),
            okta_id: "00u1".into(),
            reason: LockReason::Leaver,
        }),
    }
}

/// The edit that changes nothing.
pub fn same(user: &User) -> UserEdit {
    UserEdit { labels: user.labels.clone(), roles: user.roles.clone(), traits: user.traits.clone() }
}

/// The whole list of users.
pub async fn all_users(client: &TeleportClient) -> Result<Vec<User>, Failure> {
    let pages: Vec<_> = client.users().try_collect().await?;
    assert!(pages.last().is_some_and(|page| page.last), "the list ends with its last page");
    pages.iter().flat_map(|page| &page.items).map(owned).collect()
}

fn owned(listed: &impl ListedUser) -> Result<User, Failure> {
    let mut view = UserView::default();
    listed.read(&mut view)?;
    Ok(User::from(&view))
}

/// The failure behind a write that did not happen.
pub fn failure(error: WriteError) -> Failure {
    match error {
        WriteError::Failed(failure) => failure,
        other => panic!("{other:?}"),
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
