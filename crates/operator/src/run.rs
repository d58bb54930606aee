//! The life of the operator's process: serve probes, wait for the CRD, win the lease, reconcile, stop.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use kube::Client;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{info, warn};

use crate::{
    admin::{self, Admin},
    controller::{Controller, GRACE, Reach, Shard},
    definition,
    events::Announcer,
    fast_path::{self, FastPath},
    http::{self, Readiness, Role},
    journal::{self, Journal},
    keys::{self, jwks::Board, vault::Vault},
    kubernetes::tuned,
    leader::{Claim, Election, Ended, Times},
    lease::KubeLease,
    metrics::{Metrics, Resource},
    pace::Backoff,
    reconcile::Context,
    records::Records,
    resolve::{Defaults, Resolver},
    secrets::KubeSecrets,
    store::Store,
};

/// How replicas agree on who works.
#[derive(Clone, Debug)]
pub struct LeaderElection {
    /// Namespace of the Lease: the operator's own.
    pub namespace: String,
    /// Name of the Lease; that of a shard gets a suffix ([`Shard::lease`]).
    pub lease: String,
    /// The three times.
    pub times: Times,
}

/// Everything that the operator is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster.
    pub kube: kube::Config,
    /// Where resources are watched.
    pub reach: Reach,
    /// Only resources with these labels are served, as `kubectl --selector` writes it.
    pub selector: Option<String>,
    /// Where `/healthz`, `/readyz`, `/metrics` and the public keys are served; port 0 takes any.
    pub listen: SocketAddr,
    /// Where administrators may change the level of the log, if anywhere.
    pub admin: Option<Admin>,
    /// Where the public keys are served and nothing else: a port that Okta may reach. `None`: nowhere.
    pub jwks_listen: Option<SocketAddr>,
    /// Name of this process among its replicas: the pod's name.
    pub instance: String,
    /// `None`: this is the only process, and works at once.
    pub leader_election: Option<LeaderElection>,
    /// Resources worked on at once.
    pub concurrency: u16,
    /// What holds for all resources.
    pub defaults: Defaults,
    /// Between two polls of one System Log.
    pub fast_path_interval: Duration,
    /// How failing resources wait.
    pub backoff: Backoff,
    /// How fast keys that the operator made are changed.
    pub keys: keys::Pace,
    /// How long a deletion policy is tried after the deletion before the resource is let go (P15).
    pub cleanup_within: Duration,
    /// How long the passes under way may take to end after a stop. Keep it below the pod's grace period.
    pub grace: Duration,
    /// Where every write to Teleport is told, if anywhere.
    pub audit_journal: Option<journal::Target>,
    /// Whether Events on resources name people (anybody who may read Events sees them then).
    pub events_show_names: bool,
    /// Version of the program.
    pub version: String,
}

impl Settings {
    /// Settings for one process that serves the whole cluster, with the defaults.
    #[must_use]
    pub fn new(kube: kube::Config, defaults: Defaults) -> Self {
        Self {
            kube,
            reach: Reach::Cluster,
            selector: None,
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            admin: None,
            jwks_listen: None,
            instance: "okta-user-sync".into(),
            leader_election: None,
            concurrency: 4,
            defaults,
            fast_path_interval: fast_path::INTERVAL,
            backoff: Backoff::default(),
            keys: keys::Pace::default(),
            cleanup_within: Duration::from_secs(300),
            grace: GRACE,
            audit_journal: None,
            events_show_names: false,
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// What this process serves.
    #[must_use]
    pub fn shard(&self) -> Shard {
        Shard { reach: self.reach.clone(), selector: self.selector.clone() }
    }
}

/// Why the operator ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address of probes and metrics cannot be had.
    #[error("cannot listen on {0}: {1}; choose another address")]
    Listen(SocketAddr, #[source] io::Error),
    /// The door for administrators would be open to other machines.
    #[error("administrators are listened to on an address of this machine only, and {0} is none; give 127.0.0.1:PORT")]
    AdminNotLocal(SocketAddr),
    /// The audit journal cannot be opened.
    #[error("the audit journal {0} cannot be opened: {1}; name a file in a folder that can be written to")]
    Journal(journal::Target, #[source] io::Error),
    /// The client for the cluster cannot be made.
    #[error("no client for the cluster: {0}; check the kubeconfig")]
    Client(#[from] kube::Error),
    /// The times of leader election do not fit together.
    #[error(
        "leader election: the lease lasts whole seconds, the renew deadline is shorter, the retry period shorter still"
    )]
    Times,
    /// Signals cannot be listened to.
    #[error("signals cannot be listened to: {0}")]
    Signals(#[source] io::Error),
    /// Another process leads now, or may. This one ends, and is started anew.
    #[error("the lease was lost; this process ends, so that nothing of it goes on")]
    LeaseLost,
    /// The server of probes ended.
    #[error("the server of probes and metrics ended: {0}")]
    Server(String),
}

/// Runs the operator until SIGTERM or SIGINT. The write in hand is ended, then the lease is given back.
///
/// # Errors
/// [`RunError`]; the process should then end with a failure.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        info!("told to stop");
        stopping.cancel();
    });
    Operator::bind(settings).await?.run(stop).await
}

/// An operator whose probes have an address already.
pub struct Operator {
    settings: Settings,
    client: Client,
    journal: Journal,
    admin: Option<(TcpListener, Admin)>,
    listener: TcpListener,
    address: SocketAddr,
    jwks: Option<(TcpListener, SocketAddr)>,
}

impl Operator {
    /// Takes the address of probes and metrics, and makes the client.
    ///
    /// # Errors
    /// The address is taken, the kubeconfig is unusable, or settings contradict each other.
    pub async fn bind(settings: Settings) -> Result<Self, RunError> {
        if settings.leader_election.as_ref().is_some_and(|election| !election.times.sound()) {
            return Err(RunError::Times);
        }
        let journal = match &settings.audit_journal {
            Some(target) => {
                Journal::open(target, &settings.instance).map_err(|error| RunError::Journal(target.clone(), error))?
            }
            None => Journal::none(),
        };
        let client = Client::try_from(tuned(settings.kube.clone()))?;
        let listener = bind(settings.listen).await?;
        let address = listener.local_addr().map_err(|error| RunError::Listen(settings.listen, error))?;
        let admin = match settings.admin.clone() {
            Some(admin) if !admin.listen.ip().is_loopback() => return Err(RunError::AdminNotLocal(admin.listen)),
            Some(admin) => {
                let listener = bind(admin.listen).await?;
                // Port 0 takes any; the log says which.
                let listen = listener.local_addr().map_err(|error| RunError::Listen(admin.listen, error))?;
                Some((listener, Admin { listen, ..admin }))
            }
            None => None,
        };
        let jwks = match settings.jwks_listen {
            Some(wanted) => {
                let listener = bind(wanted).await?;
                let address = listener.local_addr().map_err(|error| RunError::Listen(wanted, error))?;
                Some((listener, address))
            }
            None => None,
        };
        Ok(Self { settings, client, journal, admin, listener, address, jwks })
    }

    /// Where probes and metrics are served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where public keys are served alone.
    #[must_use]
    pub fn jwks_address(&self) -> Option<SocketAddr> {
        self.jwks.as_ref().map(|(_, address)| *address)
    }

    /// Runs until `stop`.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self { settings, client, journal, admin, listener, address, jwks } = self;
        let (readiness, metrics) = (Readiness::default(), Arc::new(Metrics::new(&settings.version)));
        info!(%address, version = settings.version, "serving probes and metrics");
        let (end, board) = (CancellationToken::new(), Board::default());
        let public = keys::jwks::router(board.clone());
        let serving = http::serve(listener, readiness.clone(), metrics.clone(), public.clone(), end.clone());
        let serving_keys = jwks.map(|(listener, address)| {
            info!(%address, "serving public keys");
            http::serve_alone(listener, public, end.clone())
        });
        let mut server = tokio::spawn(async move {
            match serving_keys {
                Some(keys) => futures::future::try_join(serving, keys).await.map(drop),
                None => serving.await,
            }
        });
        if let Some((listener, Admin { listen, levels })) = admin {
            info!(address = %listen, "serving administrators");
            tokio::spawn(admin::serve(listener, levels, end.clone()));
        }
        let life = Life { settings, client, journal, readiness, metrics, board, stop };
        let ended = tokio::select! {
            ended = life.lead_and_work() => ended,
            ended = &mut server => return Err(RunError::Server(format!("{ended:?}"))),
        };
        end.cancel();
        // Probes that hang must not hold up the end.
        let _ = tokio::time::timeout(Duration::from_secs(1), server).await;
        info!("ended");
        ended
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|error| RunError::Listen(address, error))
}

/// What the stations of the process's life share.
struct Life {
    settings: Settings,
    client: Client,
    journal: Journal,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    board: Board,
    stop: CancellationToken,
}

impl Life {
    async fn lead_and_work(&self) -> Result<(), RunError> {
        tokio::select! {
            () = definition::wait(&self.client, &self.readiness, &self.metrics) => {}
            () = self.stop.cancelled() => return Ok(()),
        }
        // Every process serves the public keys, whether it leads or stands by.
        let follow = self.board.clone().follow(self.client.clone(), self.settings.reach.clone());
        let _following = AbortOnDropHandle::new(tokio::spawn(follow));
        let Some(election) = &self.settings.leader_election else {
            self.metrics.leader(true);
            self.work(Claim::alone()).await;
            return Ok(());
        };
        self.readiness.role(Role::StandingBy);
        let lease =
            KubeLease::new(self.client.clone(), &election.namespace, &self.settings.shard().lease(&election.lease));
        let mut candidate = Election::new(lease, self.settings.instance.clone(), election.times);
        let claim = tokio::select! {
            claim = candidate.acquire() => claim,
            () = self.stop.cancelled() => return Ok(()),
        };
        self.readiness.role(Role::Starting);
        self.metrics.leader(true);
        let release = CancellationToken::new();
        // A task of its own: whatever the controller does, the lease is renewed, or known to be lost.
        let mut keeping = tokio::spawn(candidate.keep(release.clone()));
        tokio::select! {
            () = self.work(claim.clone()) => {}
            ended = &mut keeping => return Err(lost(&ended, &claim)),
        }
        claim.end();
        release.cancel();
        settle(keeping).await
    }

    /// Reconciles until the stop, and then as long as passes under way need, within the grace period.
    async fn work(&self, claim: Claim) {
        let settings = &self.settings;
        let (watched, writer) = kube::runtime::reflector::store();
        let resolver = Resolver::new(settings.defaults.clone());
        self.metrics.watch(resolver.governors());
        let (fast_path, wants) = FastPath::new(settings.fast_path_interval, settings.cleanup_within);
        let context = Arc::new(Context {
            store: Store::new(self.client.clone()),
            secrets: KubeSecrets::new(self.client.clone()),
            vault: Vault::new(self.client.clone()),
            keys: settings.keys,
            resolver,
            watched,
            records: Records::default(),
            fast_path,
            claim,
            stop: self.stop.clone(),
            metrics: self.metrics.clone(),
            announcer: Announcer::new(self.client.clone(), &settings.instance, settings.events_show_names),
            journal: self.journal.clone(),
            backoff: settings.backoff,
            cleanup_within: settings.cleanup_within,
        });
        let keeper = context.clone();
        let keeping = async {
            let told = |namespace: &str, name: &str, identity: &teleport::Identity| {
                let resource = Resource { namespace: namespace.to_owned(), name: name.to_owned() };
                keeper.metrics.identity(&resource, identity.from(), identity.expires());
            };
            keeper.resolver.keep(&self.stop, told).await;
            // Passes under way end after the stop, with the identity that they have.
            std::future::pending::<()>().await;
        };
        let controller = Controller {
            client: self.client.clone(),
            shard: settings.shard(),
            concurrency: settings.concurrency,
            readiness: self.readiness.clone(),
            context: context.clone(),
            writer,
            wants,
        };
        let too_long = async {
            self.stop.cancelled().await;
            self.readiness.role(Role::Starting);
            tokio::time::sleep(settings.grace).await;
        };
        let all = async {
            controller.run().await;
            context.fast_path.end().await;
        };
        tokio::select! {
            () = all => {}
            () = keeping => {}
            () = too_long => warn!("a pass did not end within the grace period and is broken off"),
        }
    }
}

fn lost(ended: &Result<Ended, tokio::task::JoinError>, claim: &Claim) -> RunError {
    claim.end();
    warn!(?ended, "the lease is lost");
    RunError::LeaseLost
}

async fn settle(keeping: JoinHandle<Ended>) -> Result<(), RunError> {
    match keeping.await {
        Ok(Ended::Released) => Ok(()),
        Ok(Ended::Lost) | Err(_) => Err(RunError::LeaseLost),
    }
}
