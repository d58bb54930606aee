//! The client: settings, the proof of our own identity, and the port of the engine.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{
    census::Census,
    cluster::{Cluster, ClusterFacts, ConnectorLookup, Deleted, OriginMode, WriteError},
    directory::Pages,
    failure::Failure,
    lock::Lock,
    role::Role,
    user::{NewUser, User, UserEdit},
};
use jiff::Timestamp;
use teleport_proto::{auth, types, users as proto};
use tonic::{Code, Response, Status};

use crate::{
    address::Address,
    answer::CallError,
    call::{Call, CallCount},
    denial::Cause,
    dial::Way,
    error::TeleportError,
    http_proxy::HttpProxy,
    identity::Identity,
    lines,
    link::{IDLE, Line, Link, Stubs},
    pace::Pace,
    users::EncodedUser,
};

/// How long a write waits that the server has no room for; then it has failed.
const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1)];

/// Creates and updates a second that are well under what delays the enforcement of locks.
pub const WRITE_RATE: u32 = 300;

/// Writes of a pass at once; more gained nothing.
pub const WRITES_AT_ONCE: usize = 8;

/// How to reach a cluster and how to behave there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port` of a Proxy or of an Auth Service.
    pub address: String,
    /// Who we are.
    pub identity: Identity,
    /// Which way to take.
    pub way: Way,
    /// Creates and updates a second, at most; 0: unbounded. Default 300, well under what delays the enforcement of locks; slowed down by itself (to 50
    /// at the least) where locks take long all the same.
    pub write_rate: u32,
    /// The pace of those writes, shared with other clients of the same cluster, which counts before `write_rate`. Default: one of its own.
    pub pace: Option<Arc<Pace>>,
    /// Calls at once, at most. Default 8.
    pub concurrency: usize,
    /// Of them those that make, change or delete users, at most. Default 8; more gained nothing.
    pub writes_at_once: usize,
    /// Longest wait for stored locks to be enforced. Default 20 s.
    pub lock_wait: Duration,
    /// Longest wait for one answer. Default 30 s.
    pub deadline: Duration,
    /// Longest time that a connection is kept unused; longer than `deadline`. Default 90 s.
    pub idle: Duration,
    /// An HTTP proxy on the way out. Default: what the environment prescribes for the address.
    pub http_proxy: Option<HttpProxy>,
    /// Further authorities (PEM) for the Proxy's web side, beside the system's; needed only behind balancers.
    pub web_authorities: Option<String>,
}

impl Settings {
    /// Settings with the defaults.
    #[must_use]
    pub fn new(address: impl Into<String>, identity: Identity) -> Self {
        let address = address.into();
        let http_proxy = Address::parse(&address).ok().and_then(|address| HttpProxy::from_environment(&address));
        Self {
            address,
            identity,
            way: Way::Auto,
            write_rate: WRITE_RATE,
            pace: None,
            concurrency: WRITES_AT_ONCE,
            writes_at_once: WRITES_AT_ONCE,
            lock_wait: Duration::from_secs(20),
            deadline: Duration::from_secs(30),
            idle: IDLE,
            http_proxy,
            web_authorities: None,
        }
    }
}

/// A Teleport cluster, as the engine sees it.
pub struct TeleportClient {
    pub(crate) link: Link,
}

impl TeleportClient {
    /// A client with a line of its own. Nothing is dialled before the first call; must be called within a tokio runtime.
    ///
    /// # Errors
    /// An address that cannot be read, or an identity that fits no TLS connection.
    pub fn connect(settings: Settings) -> Result<Self, TeleportError> {
        Ok(Self::over(Arc::new(Line::connect(settings)?)))
    }

    /// A client over a line that others may share.
    #[must_use]
    pub fn over(line: Arc<Line>) -> Self {
        Self { link: Link::over(line) }
    }

    /// The same client, whose calls are counted from nothing: for one of several passes that go on beside each other. If the one follows another
    /// line, so does the other.
    #[must_use]
    pub fn counting_anew(&self) -> Self {
        Self { link: self.link.counting_anew() }
    }

    /// Goes on over another line to the same cluster, and under its identity. Calls under way end on the old one.
    pub fn follow(&self, line: Arc<Line>) {
        self.link.follow(line);
    }

    /// The line in use.
    #[must_use]
    pub fn line(&self) -> Arc<Line> {
        self.link.line()
    }

    /// Goes on under a renewed identity, with all who share the line. Calls under way end with the old one. Answers whether it was not in use already.
    ///
    /// # Errors
    /// An identity that fits no TLS connection.
    pub fn renew(&self, identity: Identity) -> Result<bool, TeleportError> {
        self.link.line().renew(identity)
    }

    /// The identity in use.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.link.identity()
    }

    /// The way that worked last; `None` before the first connection.
    #[must_use]
    pub fn way(&self) -> Option<Way> {
        self.link.way()
    }

    /// Calls made so far, by method and code.
    #[must_use]
    pub fn calls(&self) -> Vec<CallCount> {
        self.link.counts()
    }

    /// Proves that our own identity is good, and answers our name. `Ping` would not do: it answers anybody.
    pub(crate) async fn prove(&self) -> Result<String, TeleportError> {
        let identity = self.link.identity();
        identity.check(Timestamp::now())?;
        let own = identity.user().to_owned();
        let gone = || TeleportError::IdentityGone { user: own.clone() };
        match identity.origin_mode() {
            OriginMode::Bot => {
                let answer: Result<types::UserV2, _> = self
                    .link
                    .read(Call::GetCurrentUser, |mut stubs| async move { stubs.auth.get_current_user(()).await })
                    .await;
                match answer {
                    Ok(user) => {
                        let server = user.metadata.unwrap_or_default().name;
                        if server == own {
                            Ok(own)
                        } else {
                            Err(TeleportError::IdentityDiffers { certificate: own, server })
                        }
                    }
                    Err(CallError::Answer(Code::NotFound, _)) => Err(gone()),
                    Err(error) => Err(error.explain(Call::GetCurrentUser, &own)),
                }
            }
            // A system role is no user; it is asked whether it may still do its work.
            OriginMode::Okta => {
                let request = proto::ListUsersRequest { page_size: 1, ..proto::ListUsersRequest::default() };
                let answer = self
                    .link
                    .read(Call::ListUsers, |mut stubs| {
                        let request = request.clone();
                        async move { stubs.users.list_users(request).await }
                    })
                    .await;
                match answer {
                    Ok(_) => Ok(own),
                    Err(CallError::Answer(Code::NotFound, _)) => Err(gone()),
                    Err(error) => Err(error.explain(Call::ListUsers, &own)),
                }
            }
        }
    }

    /// Calls a call that writes. It is sent once, whatever becomes of its answer; again only where the server has said that it did nothing because it
    /// has enough for now: then later, and all that follows more slowly.
    pub(crate) async fn write<R: Clone, T, F>(
        &self,
        call: Call,
        request: &R,
        send: impl Fn(Stubs, R) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut pauses = PAUSES.into_iter();
        loop {
            let answer = self.link.once(call, |stubs| send(stubs, request.clone())).await;
            match (&answer, pauses.next()) {
                (Err(CallError::Answer(Code::ResourceExhausted, message)), Some(pause)) if !is_too_large(message) => {
                    self.link.pace().hold_back();
                    tokio::time::sleep(pause).await;
                }
                _ => return answer,
            }
        }
    }

    /// The error for people. Two answers are looked into: a bare "access denied", which is all that 17 says to an identity that is locked, and a "not
    /// found" to a call that names nothing, which is what the identity of a deleted user gets.
    pub(crate) async fn explain(&self, call: Call, error: CallError) -> TeleportError {
        let error = error.explain(call, self.link.identity().user());
        let doubtful = match &error {
            TeleportError::Denied(denial) => denial.cause == Cause::Unsaid,
            TeleportError::Server { code, .. } => *code == Code::NotFound,
            _ => false,
        };
        if doubtful
            && let Err(worse) = self.prove().await
            && !worse.retry()
        {
            return worse;
        }
        error
    }

    async fn facts(&self) -> Result<ClusterFacts, TeleportError> {
        let identity = self.link.identity();
        identity.check(Timestamp::now())?;
        let ping: auth::PingResponse = self
            .link
            .read(Call::Ping, |mut stubs| async move { stubs.auth.ping(auth::PingRequest {}).await })
            .await
            .map_err(|error| error.explain(Call::Ping, identity.user()))?;
        lines::check(&ping.server_version)?;
        let own_name = self.prove().await?;
        Ok(ClusterFacts {
            name: ping.cluster_name,
            origin_mode: identity.origin_mode(),
            own_name,
            route: self.way().map(Way::as_str).unwrap_or_default().to_owned(),
            identity_expires: Some(identity.expires()),
            notices: lines::notice(&ping.server_version).into_iter().collect(),
            expiring: identity.notice(Timestamp::now()),
            version: ping.server_version,
        })
    }
}

/// Whether the server has said that a message is larger than it takes: no waiting helps.
fn is_too_large(message: &str) -> bool {
    message.contains("larger than max")
}

impl Cluster for TeleportClient {
    type Listed = EncodedUser;

    fn writes_at_once(&self) -> usize {
        self.link.writes_at_once()
    }

    async fn prove_identity(&self) -> Result<ClusterFacts, Failure> {
        Ok(self.facts().await?)
    }

    async fn roles(&self) -> Result<Vec<Role>, Failure> {
        Ok(self.list_roles().await?)
    }

    async fn connector(&self, name: &str) -> Result<ConnectorLookup, Failure> {
        Ok(self.look_up_connector(name).await?)
    }

    fn users(&self) -> Pages<'_, EncodedUser> {
        self.list_users()
    }

    async fn census(&self, facts: &ClusterFacts, since: Instant) -> Result<Arc<Census>, Failure> {
        self.link.line().shelf.take(since, Census::read(self, facts)).await
    }

    async fn user(&self, name: &str) -> Result<Option<User>, Failure> {
        Ok(self.get_user(name).await?)
    }

    async fn locks(&self) -> Result<Vec<Lock>, Failure> {
        Ok(self.list_locks().await?)
    }

    async fn create_user(&self, user: NewUser) -> Result<(), WriteError> {
        self.make_user(user).await
    }

    async fn update_user(&self, user: &User, edit: &UserEdit) -> Result<(), WriteError> {
        self.change_user(user, edit).await
    }

    async fn delete_user(&self, name: &str) -> Result<Deleted, WriteError> {
        self.drop_user(name).await
    }

    async fn put_lock(&self, lock: &Lock) -> Result<(), WriteError> {
        self.store_lock(lock).await
    }

    async fn remove_lock(&self, name: &str) -> Result<(), WriteError> {
        self.drop_lock(name).await
    }

    async fn in_force(&self, names: &[String]) -> Result<HashSet<String>, Failure> {
        Ok(self.wait_in_force(names).await?)
    }
}
