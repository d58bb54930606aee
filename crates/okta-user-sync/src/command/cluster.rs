//! The current Kubernetes cluster, as kubectl would choose it, and the resources in it.

use std::path::PathBuf;

use api::OktaUserSync;
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::exit::Stop;

/// Which cluster, by the flags that kubectl has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kubernetes")]
pub struct ContextArguments {
    /// How the cluster is reached [default: $KUBECONFIG, ~/.kube/config, else the pod's own ServiceAccount].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one].
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// Which cluster and which namespace.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kubernetes")]
pub struct ClusterArguments {
    #[command(flatten)]
    context: ContextArguments,
    /// Namespace of the OktaUserSync [default: that of the context].
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    /// The way to it.
    pub client: Client,
    /// The namespace that is meant.
    pub namespace: String,
}

impl ClusterArguments {
    /// The namespace, if the flag names one.
    pub fn named(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The cluster.
    ///
    /// # Errors
    /// As [`ContextArguments::connect`].
    pub async fn connect(&self) -> Result<Cluster, Stop> {
        self.context.connect(self.named()).await
    }
}

impl ContextArguments {
    /// Whether either flag was given.
    pub fn is_given(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    /// The cluster; `namespace` counts instead of that of the context.
    ///
    /// # Errors
    /// There is no kubeconfig, or it cannot be used.
    pub async fn connect(&self, namespace: Option<&str>) -> Result<Cluster, Stop> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match &self.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(|e| no_cluster(&e))?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(|e| no_cluster(&e))?
            }
            None if self.context.is_some() => Config::from_kubeconfig(&options).await.map_err(|e| no_cluster(&e))?,
            None => Config::infer().await.map_err(|e| no_cluster(&e))?,
        };
        let namespace = namespace.map_or_else(|| config.default_namespace.clone(), str::to_owned);
        let client = Client::try_from(config).map_err(|e| no_cluster(&e))?;
        Ok(Cluster { client, namespace })
    }
}

fn no_cluster(error: &dyn std::fmt::Display) -> Stop {
    Stop::bad_input(
        format!("there is no way to a Kubernetes cluster: {error}"),
        "set KUBECONFIG or --kubeconfig, or name a context of it with --context",
    )
}

impl Cluster {
    /// The resources of a namespace; of all, without one.
    pub fn resources(&self, namespace: Option<&str>) -> Api<OktaUserSync> {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// `NAME`, or `NAMESPACE/NAME`, as namespace and name.
    pub fn place<'a>(&'a self, name: &'a str) -> (&'a str, &'a str) {
        name.split_once('/').unwrap_or((&self.namespace, name))
    }

    /// One resource.
    ///
    /// # Errors
    /// It is not there, or may not be read.
    pub async fn resource(&self, name: &str) -> Result<OktaUserSync, Stop> {
        let (namespace, name) = self.place(name);
        self.resources(Some(namespace)).get(name).await.map_err(|error| refused(&format!("{namespace}/{name}"), &error))
    }
}

/// What the API server refused.
pub fn refused(what: &str, error: &kube::Error) -> Stop {
    match error {
        kube::Error::Api(status) if status.code == 404 => Stop::bad_input(
            format!("there is no OktaUserSync {what}"),
            "see kubectl get ous --all-namespaces; give the namespace with -n, or as NAMESPACE/NAME",
        ),
        kube::Error::Api(status) if status.code == 403 => Stop::undone(
            format!("OktaUserSync {what}: {}", status.message),
            "ask the cluster's administrator for get, list and patch on oktausersyncs.usersync.dev",
        ),
        error => Stop::undone(format!("OktaUserSync {what}: {error}"), "see whether kubectl reaches the cluster"),
    }
}
