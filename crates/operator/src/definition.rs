//! Waiting for the custom resource definition, and what it declares.
//!
//! An operator that is installed before its CRD (or while it is being replaced) waits, and says so in `/readyz` and in
//! a metric. Discovery is used, because every authenticated client may ask it.

use std::time::Duration;

use kube::{Client, Resource as _};
use tracing::{info, warn};

use crate::{http::Readiness, kubernetes::within_limit, metrics::Metrics};

mod declared;

pub(crate) use declared::Declared;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Name of the obstacle in [`Readiness`].
pub(crate) const OBSTACLE: &str = "definition";

/// Returns when the API server serves the resource.
pub async fn wait(client: &Client, readiness: &Readiness, metrics: &Metrics) {
    let mut told = false;
    while let Err(why) = served(client).await {
        if !told {
            warn!("waiting: {why}");
            told = true;
        }
        metrics.crd_missing(true);
        readiness.blocked(OBSTACLE, why);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    if told {
        info!("the custom resource definition is there");
    }
    metrics.crd_missing(false);
    readiness.cleared(OBSTACLE);
}

/// Whether it is served; else why not.
async fn served(client: &Client) -> Result<(), String> {
    let version = api::OktaUserSync::api_version(&());
    let missing =
        || format!("the API server does not know {version} OktaUserSync; install the custom resource definition");
    match within_limit(client.list_api_group_resources(&version)).await {
        Ok(list) if list.resources.iter().any(|resource| resource.name == "oktausersyncs") => Ok(()),
        Ok(_) => Err(missing()),
        Err(error) if error.is_not_found() => Err(missing()),
        Err(error) => Err(error.to_string()),
    }
}
