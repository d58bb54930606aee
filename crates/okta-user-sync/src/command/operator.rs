//! `okta-user-sync operator`: the controller.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use operator::admin::{Admin, LogLevels};
use operator::controller::Reach;
use operator::journal::Target;
use operator::leader::Times;
use operator::resolve::Defaults;
use operator::{LeaderElection, Settings};

use crate::command::joining::TeleportArguments;
use crate::command::sync::ceiling;
use crate::exit::{Exit, Stop};

/// Shown below `--help`.
pub const EXAMPLES: &str = "\
Examples:
  In a cluster (the chart does this):
    okta-user-sync operator --teleport-address teleport.example.com:443 --log-format json

  From a terminal, against the current context, for one namespace:
    okta-user-sync operator --no-leader-election --watch-namespace acme --listen 127.0.0.1:8080

  One of two shards, each with a Lease of its own:
    okta-user-sync operator --watch-label-selector shard=a

  Known to Teleport by the pod's own token, without any secret:
    okta-user-sync operator --teleport-address teleport.example.com:443 --teleport-join-token okta-user-sync

  Two roles may be given to people, and all that begin with okta-, and no others:
    okta-user-sync operator --only-allowed-roles --allowed-role staff --allowed-role guest --allowed-role 'okta-*'

It ends with 0 when it is told to stop (SIGTERM, SIGINT), with 1 when it loses its lease or cannot serve.";

/// What the command takes.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    kubernetes: KubernetesArguments,
    #[command(flatten)]
    election: ElectionArguments,
    #[command(flatten)]
    resources: ResourceArguments,
    #[command(flatten)]
    teleport: TeleportArguments,
    /// Where /healthz, /readyz, /metrics and the public keys (/.well-known/...) are served.
    #[arg(long, value_name = "ADDRESS", env = "OKTA_USER_SYNC_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Where the level of the log is shown and changed while the operator runs (GET and PUT /log-level); an address of
    /// this machine, such as 127.0.0.1:8081 [default: nowhere].
    #[arg(long, value_name = "ADDRESS", env = "OKTA_USER_SYNC_ADMIN_LISTEN")]
    admin_listen: Option<SocketAddr>,
    /// Where every write to Teleport is told as lines of JSON (docs/journal.md): a file, or - for standard output.
    #[arg(long, value_name = "PATH|-", env = "OKTA_USER_SYNC_AUDIT_JOURNAL")]
    audit_journal: Option<Target>,
    /// Name people in Events. Whoever may read Events of a resource's namespace sees the names then.
    #[arg(long, env = "OKTA_USER_SYNC_EVENTS_SHOW_NAMES")]
    events_show_names: bool,
    /// Where the public keys are served and nothing else, for a port that Okta can reach through an Ingress
    /// [default: nowhere].
    #[arg(long, value_name = "ADDRESS", env = "OKTA_USER_SYNC_JWKS_LISTEN")]
    jwks_listen: Option<SocketAddr>,
    /// Seconds that passes under way may take to end after a stop. Keep it below the pod's grace period.
    #[arg(long, value_name = "SECONDS", env = "OKTA_USER_SYNC_GRACE_SECONDS", default_value_t = 20)]
    grace_seconds: u64,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Kubernetes")]
struct KubernetesArguments {
    /// How the cluster is reached [default: $KUBECONFIG, ~/.kube/config, else the pod's own ServiceAccount].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Serve the resources of this namespace alone [default: of all].
    #[arg(long, value_name = "NAMESPACE", env = "OKTA_USER_SYNC_WATCH_NAMESPACE")]
    watch_namespace: Option<String>,
    /// Serve resources with these labels alone, such as shard=a, to share hundreds of them between several operators.
    /// Let every resource match one operator and no more [default: whatever their labels].
    #[arg(long, value_name = "SELECTOR", env = "OKTA_USER_SYNC_WATCH_LABEL_SELECTOR")]
    watch_label_selector: Option<String>,
    /// Resources worked on at the same time.
    #[arg(
        long,
        value_name = "N",
        env = "OKTA_USER_SYNC_CONCURRENCY",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    concurrency: u16,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Leader election")]
struct ElectionArguments {
    /// Work at once, without a Lease: for a single process only.
    #[arg(long, env = "OKTA_USER_SYNC_NO_LEADER_ELECTION")]
    no_leader_election: bool,
    /// Namespace of the Lease: the operator's own [default: that of the pod, or of the kubeconfig].
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// Name of the Lease. With --watch-namespace or --watch-label-selector a suffix made from them is added, so that each
    /// shard has its own.
    #[arg(long, value_name = "NAME", env = "OKTA_USER_SYNC_LEASE", default_value = "okta-user-sync")]
    lease: String,
    /// Name of this process among its replicas [default: a random one].
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    instance: Option<String>,
    /// Seconds that others wait without seeing a renewal before they take over.
    #[arg(long, value_name = "SECONDS", env = "OKTA_USER_SYNC_LEASE_SECONDS", default_value_t = Times::default().lease.as_secs())]
    lease_seconds: u64,
    /// Seconds that the lease counts after its last renewal; fewer than the former.
    #[arg(long, value_name = "SECONDS", env = "OKTA_USER_SYNC_RENEW_SECONDS", default_value_t = Times::default().renew.as_secs())]
    renew_seconds: u64,
    /// Seconds between two attempts; fewer than the former.
    #[arg(long, value_name = "SECONDS", env = "OKTA_USER_SYNC_RETRY_SECONDS", default_value_t = Times::default().retry.as_secs())]
    retry_seconds: u64,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What holds for all resources")]
struct ResourceArguments {
    /// host:port of the Teleport cluster of resources that name none.
    #[arg(long, value_name = "ADDRESS", env = "OKTA_USER_SYNC_TELEPORT_ADDRESS")]
    teleport_address: Option<String>,
    /// A role that may be given at all, whatever a resource says; exact, or with * and ?. A pattern never allows
    /// editor, auditor and access. May be repeated.
    #[arg(
        long,
        value_name = "ROLE",
        env = "OKTA_USER_SYNC_ALLOWED_ROLES",
        value_delimiter = ',',
        default_value = "okta-requester"
    )]
    allowed_role: Vec<String>,
    /// Give the roles of --allowed-role and no others. Without this, a role that grants nothing by itself (it allows at most
    /// to ask for access) may be given as well, whatever its name, but for editor, auditor and access.
    #[arg(long, env = "OKTA_USER_SYNC_ONLY_ALLOWED_ROLES")]
    only_allowed_roles: bool,
    /// Seconds between two looks at Okta's System Log (the fast path); each is one call for all resources that read the
    /// same organisation by the same credential.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "OKTA_USER_SYNC_FAST_PATH_INTERVAL",
        default_value_t = operator::fast_path::INTERVAL.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=600)
    )]
    fast_path_interval: u64,
    /// Certificate authorities (PEM) that are trusted for Okta beside the system's.
    #[arg(long, value_name = "FILE", env = "OKTA_USER_SYNC_OKTA_CA")]
    okta_ca: Option<PathBuf>,
}

/// Runs the operator until it is told to stop.
///
/// # Errors
/// A setting or file cannot be used, the address is taken, or the lease is lost.
pub async fn run(arguments: Arguments, levels: Arc<dyn LogLevels>) -> Result<Exit, Stop> {
    let admin = arguments.admin_listen.map(|listen| Admin { listen, levels });
    let settings = Settings { admin, ..settings(arguments).await? };
    operator::run(settings).await.map(|()| Exit::Done).map_err(|error| Stop::undone(error.to_string(), ""))
}

async fn settings(arguments: Arguments) -> Result<Settings, Stop> {
    let Arguments {
        kubernetes,
        election,
        resources,
        teleport,
        listen,
        admin_listen: _,
        jwks_listen,
        audit_journal,
        events_show_names,
        grace_seconds,
    } = arguments;
    let kube = config(&kubernetes).await?;
    let own_namespace = election.namespace.clone().unwrap_or_else(|| kube.default_namespace.clone());
    let defaults = Defaults {
        okta_ca: resources.okta_ca.as_deref().map(read).transpose()?,
        teleport: teleport.defaults(resources.teleport_address.as_deref(), &own_namespace)?,
        teleport_address: resources.teleport_address,
        ceiling: ceiling(&resources.allowed_role, resources.only_allowed_roles)?,
    };
    let times = Times {
        lease: Duration::from_secs(election.lease_seconds),
        renew: Duration::from_secs(election.renew_seconds),
        retry: Duration::from_secs(election.retry_seconds),
    };
    if !times.sound() {
        return Err(Stop::bad_input(
            "the times of leader election do not fit together",
            "keep --retry-seconds below --renew-seconds, and that below --lease-seconds",
        ));
    }
    Ok(Settings {
        reach: kubernetes.watch_namespace.map_or(Reach::Cluster, Reach::Namespace),
        selector: kubernetes.watch_label_selector.filter(|selector| !selector.trim().is_empty()),
        listen,
        jwks_listen,
        instance: election.instance.unwrap_or_else(|| format!("okta-user-sync-{}", uuid::Uuid::new_v4().simple())),
        leader_election: (!election.no_leader_election).then_some(LeaderElection {
            namespace: own_namespace,
            lease: election.lease,
            times,
        }),
        concurrency: kubernetes.concurrency,
        fast_path_interval: Duration::from_secs(resources.fast_path_interval),
        audit_journal,
        events_show_names,
        grace: Duration::from_secs(grace_seconds),
        ..Settings::new(kube, defaults)
    })
}

async fn config(arguments: &KubernetesArguments) -> Result<kube::Config, Stop> {
    let unusable = |e: &dyn std::fmt::Display| {
        Stop::bad_input(
            format!("there is no way to a Kubernetes cluster: {e}"),
            "set KUBECONFIG or --kubeconfig, or run in a pod with a ServiceAccount",
        )
    };
    match &arguments.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|e| unusable(&e))?;
            let options = KubeConfigOptions::default();
            kube::Config::from_custom_kubeconfig(file, &options).await.map_err(|e| unusable(&e))
        }
        None => kube::Config::infer().await.map_err(|e| unusable(&e)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Stop> {
    std::fs::read(path).map_err(|e| Stop::bad_input(format!("{}: {e}", path.display()), "name a file that can be read"))
}
