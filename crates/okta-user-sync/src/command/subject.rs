//! Which OktaUserSync a command looks at, and where it and its Secrets are read: from manifests in a file, or from a
//! cluster. `check` and `explain` take the same flags.

use std::path::PathBuf;

use api::OktaUserSync;
use api::spec::SecretKeyRef;
use clap::Args;
use operator::secrets::{KubeSecrets, MapSecrets, SecretBytes, SecretError, Secrets};

use super::cluster::ContextArguments;
use super::sync::{OktaArguments, TeleportArguments, manifests};
use crate::exit::Stop;
use crate::manifest::{Manifests, Pick};

/// Namespace of manifests that name none.
const NAMESPACE: &str = "default";

/// Which OktaUserSync is looked at, and what is given beside it.
#[derive(Debug, Args)]
pub struct SubjectArguments {
    /// Manifests: one OktaUserSync and its Secrets, as YAML or JSON; - is standard input.
    #[arg(short, long, value_name = "FILE", required_unless_present = "from_cluster")]
    file: Option<PathBuf>,
    /// An OktaUserSync in the cluster, and the Secrets that it refers to: NAME or NAMESPACE/NAME.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "name"])]
    from_cluster: Option<String>,
    /// Which OktaUserSync is meant, if the file holds several.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Namespace of the OktaUserSync [default: that of the context; "default" for manifests that name none].
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    context: ContextArguments,
    /// For Okta.
    #[command(flatten)]
    pub okta: OktaArguments,
    /// For Teleport.
    #[command(flatten)]
    pub teleport: TeleportArguments,
}

/// What is looked at.
pub struct Found {
    /// The resource.
    pub resource: OktaUserSync,
    /// Where the key lies that an operator has made for it.
    pub own_key: Option<SecretKeyRef>,
    /// Where its Secrets are read.
    pub secrets: Place,
}

/// Where Secrets are read.
pub enum Place {
    /// In a file, beside the resource.
    File(MapSecrets),
    /// In the cluster, with the rights of who asks.
    Cluster(KubeSecrets),
}

impl SubjectArguments {
    /// Reads it.
    ///
    /// # Errors
    /// Bad input, or a cluster that cannot be reached or refuses.
    pub async fn find(&self) -> Result<Found, Stop> {
        match (&self.from_cluster, &self.file) {
            (Some(name), _) => self.in_cluster(name).await,
            (None, Some(_)) if self.context.is_given() => Err(Stop::bad_input(
                "--kubeconfig and --context have nothing to say about manifests in a file",
                "leave them out, or name the resource with --from-cluster instead of -f",
            )),
            (None, Some(file)) => {
                let pick =
                    Pick { name: self.name.as_deref(), namespace: self.namespace.as_deref().unwrap_or(NAMESPACE) };
                let Manifests { resource, own_key, secrets, .. } = manifests(file, pick, &self.okta, &self.teleport)?;
                Ok(Found { resource, own_key, secrets: Place::File(secrets) })
            }
            (None, None) => {
                Err(Stop::bad_input("nothing says which OktaUserSync is meant", "give -f or --from-cluster"))
            }
        }
    }

    async fn in_cluster(&self, name: &str) -> Result<Found, Stop> {
        let cluster = self.context.connect(self.namespace.as_deref()).await?;
        let resource = cluster.resource(name).await?;
        let own_key = resource.status.as_ref().and_then(operator::keys::reference);
        Ok(Found { resource, own_key, secrets: Place::Cluster(KubeSecrets::new(cluster.client)) })
    }
}

impl Secrets for Place {
    async fn get(&self, namespace: &str, name: &str, key: &str) -> Result<SecretBytes, SecretError> {
        match self {
            Self::File(secrets) => secrets.get(namespace, name, key).await,
            Self::Cluster(secrets) => secrets.get(namespace, name, key).await,
        }
    }

    async fn get_config(&self, namespace: &str, name: &str, key: &str) -> Result<Vec<u8>, SecretError> {
        match self {
            Self::File(secrets) => secrets.get_config(namespace, name, key).await,
            Self::Cluster(secrets) => secrets.get_config(namespace, name, key).await,
        }
    }
}
