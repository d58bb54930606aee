//! The operator's own place in a Teleport cluster, got by the pod's token and held without a secret.
//!
//! One membership serves all resources that name no identity of their own: one join, whose certificates are kept in memory, renewed at half
//! their life, and handed to every client that lives on them, also in the middle of a pass. Nothing is joined before a resource needs it, and
//! nothing is renewed when none does any more.
//!
//! It holds for one address alone, the operator's own: whoever answers there is shown the pod's token, so an address that a resource names
//! must not be.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use engine::failure::{Class, Failure, Side};
use jiff::{SignedDuration, Timestamp};
use teleport::{Identity, JoinRole, JoinSettings, JoinTrust, Joiner, TeleportClient, Way};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// A refusal is everybody's for so long: resources that ask together cause one try.
const SHARED: Duration = Duration::from_secs(2);

/// First and longest wait between two tries to renew.
const SOONEST: SignedDuration = SignedDuration::from_secs(1);
const LATEST: SignedDuration = SignedDuration::from_mins(1);

/// Longest sleep before the clock is looked at again, which may have been set.
const LOOK: SignedDuration = SignedDuration::from_mins(5);

/// How the operator joins.
#[derive(Clone, Debug)]
pub struct JoinOffer {
    /// Name of the provision token.
    pub token: String,
    /// File with the pod's projected token; read anew at each join.
    pub token_file: PathBuf,
    /// As what.
    pub role: JoinRole,
    /// Name of the cluster; `None`: asked of the Proxy.
    pub cluster: Option<String>,
    /// Pins of the cluster's authority.
    pub pins: Vec<String>,
    /// File with the cluster's authorities (PEM), read anew at each join; counts before pins. With neither, the Proxy's web certificate is
    /// trusted.
    pub authorities: Option<PathBuf>,
}

/// The way to the cluster, the same for joining and for working there.
#[derive(Clone, Debug)]
pub struct Passage {
    /// `host:port`.
    pub address: String,
    /// Which way to take.
    pub way: Way,
    /// Further authorities (PEM) for the Proxy's web side.
    pub web_authorities: Option<String>,
}

/// Who lives on the membership: a resource's client.
struct Member {
    namespace: String,
    name: String,
    client: Weak<TeleportClient>,
}

#[derive(Default)]
struct State {
    identity: Option<Identity>,
    /// Half of what the identity's life was when it came. (Its certificate begins a while before, for clocks that differ.)
    renew: Timestamp,
    /// Something spoke against the identity: it is not handed out again.
    doubted: bool,
    refused: Option<(Instant, Failure)>,
    members: Vec<Member>,
    joins: u64,
}

/// The operator's own place in a cluster.
pub struct Membership {
    offer: JoinOffer,
    passage: Passage,
    state: Mutex<State>,
    /// Somebody has joined: there is something to renew.
    joined: Notify,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Membership({} at {})", self.offer.token, self.passage.address)
    }
}

impl Membership {
    /// A membership that has yet to be joined.
    #[must_use]
    pub fn new(offer: JoinOffer, passage: Passage) -> Self {
        Self { offer, passage, state: Mutex::default(), joined: Notify::new() }
    }

    /// The address that it holds for.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.passage.address
    }

    /// The identity; joins if there is none that holds. Whoever asks meanwhile waits for the same join.
    ///
    /// # Errors
    /// The server's refusal, the way there, a file that cannot be read.
    pub async fn identity(&self) -> Result<Identity, Failure> {
        let mut state = self.state.lock().await;
        let now = Timestamp::now();
        match &state.identity {
            Some(identity) if !state.doubted && identity.check(now).is_ok() => Ok(identity.clone()),
            _ => self.join(&mut state).await,
        }
    }

    /// The identity is not to be trusted any more: the server refuses it, or it does not know the server's authority. The next to ask joins anew.
    pub async fn doubt(&self) {
        self.state.lock().await.doubted = true;
    }

    /// Has `client`, of that resource, live on the membership: it is renewed with it.
    pub async fn enrol(&self, namespace: &str, name: &str, client: &Arc<TeleportClient>) {
        let mut state = self.state.lock().await;
        state.members.retain(|member| {
            member.client.strong_count() > 0 && (member.namespace != namespace || member.name != name)
        });
        let member = Member { namespace: namespace.into(), name: name.into(), client: Arc::downgrade(client) };
        state.members.push(member);
        drop(state);
        self.joined.notify_one();
    }

    /// Whether an identity is held now.
    pub async fn is_joined(&self) -> bool {
        self.state.lock().await.identity.is_some()
    }

    /// What stands in the way of renewing an identity that still holds, and until when it does.
    pub async fn trouble(&self) -> Option<String> {
        let state = self.state.lock().await;
        let (_, failure) = state.refused.as_ref()?;
        let expires = state.identity.as_ref()?.expires();
        let Failure { message, remedy, .. } = failure;
        Some(format!(
            "the operator's identity for Teleport cannot be renewed and runs out at {expires}: {message}. To do: {remedy}"
        ))
    }

    /// Renews at half life, for as long as somebody lives on it, until `stop`. `told` hears of each renewal, for each resource.
    pub async fn keep(&self, stop: &CancellationToken, told: impl Fn(&str, &str, &Identity)) {
        let mut wait = SOONEST;
        loop {
            let pause = self.pause(wait).await;
            tokio::select! {
                () = stop.cancelled() => return,
                // Once there is something to renew, its time is known.
                () = self.joined.notified(), if pause.is_none() => continue,
                () = sleep(pause) => {}
            }
            let mut state = self.state.lock().await;
            state.members.retain(|member| member.client.strong_count() > 0);
            if state.members.is_empty() {
                // Nobody needs it: it is forgotten, and joined anew for whoever comes.
                state.identity = None;
            }
            if state.identity.is_none() || Timestamp::now() < state.renew {
                continue;
            }
            match self.join(&mut state).await {
                Ok(identity) => {
                    wait = SOONEST;
                    for member in &state.members {
                        told(&member.namespace, &member.name, &identity);
                    }
                }
                Err(failure) => {
                    wait = (wait * 2).min(LATEST);
                    warn!(reason = failure.reason, "the identity for Teleport could not be renewed: {failure}");
                }
            }
        }
    }

    /// How long to wait before the next look, at least `wait`; `None`: until somebody joins.
    async fn pause(&self, wait: SignedDuration) -> Option<SignedDuration> {
        let state = self.state.lock().await;
        state.identity.as_ref()?;
        Some(Timestamp::now().duration_until(state.renew).min(LOOK).max(wait))
    }

    async fn join(&self, state: &mut State) -> Result<Identity, Failure> {
        if let Some((at, failure)) = &state.refused
            && at.elapsed() < SHARED
        {
            return Err(failure.clone());
        }
        // A join is rare, and large.
        match Box::pin(self.ask()).await {
            Ok(identity) => {
                state.joins += 1;
                info!(user = identity.user(), cluster = identity.cluster(), expires = %identity.expires(), joins = state.joins, "joined Teleport");
                for client in state.members.iter().filter_map(|member| member.client.upgrade()) {
                    if let Err(error) = client.renew(identity.clone()) {
                        warn!("a client could not be renewed: {error}");
                    }
                }
                (state.doubted, state.refused) = (false, None);
                let now = Timestamp::now();
                state.renew = now.saturating_add(now.duration_until(identity.expires()) / 2).unwrap_or(Timestamp::MAX);
                state.identity = Some(identity.clone());
                Ok(identity)
            }
            Err(failure) => {
                state.refused = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    async fn ask(&self) -> Result<Identity, Failure> {
        let identity = Joiner::new(self.settings().await?)?.join().await?;
        identity.check(Timestamp::now())?;
        Ok(identity)
    }

    async fn settings(&self) -> Result<JoinSettings, Failure> {
        let (offer, passage) = (&self.offer, &self.passage);
        let trust = match &offer.authorities {
            Some(file) => JoinTrust::Authorities(tokio::fs::read_to_string(file).await.map_err(|error| {
                Failure::new(
                    Side::Teleport,
                    Class::Credential,
                    "AuthorityUnreadable",
                    format!("the cluster's authorities cannot be read from {}: {error}", file.display()),
                    "put there what tctl auth export --type=tls-host prints, or give pins instead (--teleport-ca-pin)",
                )
            })?),
            None if !offer.pins.is_empty() => JoinTrust::Pins(offer.pins.clone()),
            None => JoinTrust::Web,
        };
        let mut settings = JoinSettings::new(passage.address.clone(), offer.token.clone(), offer.role.clone(), trust);
        settings.jwt_file.clone_from(&offer.token_file);
        settings.cluster.clone_from(&offer.cluster);
        settings.way = passage.way;
        settings.web_authorities.clone_from(&passage.web_authorities);
        Ok(settings)
    }
}

/// Sleeps so long; without a time, for ever.
async fn sleep(pause: Option<SignedDuration>) {
    match pause {
        Some(pause) => tokio::time::sleep(Duration::try_from(pause).unwrap_or_default()).await,
        None => std::future::pending().await,
    }
}
