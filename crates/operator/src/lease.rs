//! The Lease of leader election, in the cluster.

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

use crate::{
    kubernetes::{ApiError, within_limit},
    leader::{LeaseError, LeaseStore, Record, Stored},
};

/// One Lease object.
pub struct KubeLease {
    api: Api<Lease>,
    namespace: String,
    name: String,
}

impl KubeLease {
    /// The Lease `name` in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn object(&self, record: &Record, version: Option<&str>) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                resource_version: version.map(str::to_owned),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(record.holder.clone()),
                lease_duration_seconds: Some(record.seconds),
                acquire_time: record.acquired.map(MicroTime),
                renew_time: record.renewed.map(MicroTime),
                lease_transitions: Some(record.transitions),
                ..LeaseSpec::default()
            }),
        }
    }
}

fn stored(lease: Lease) -> Stored {
    let spec = lease.spec.unwrap_or_default();
    Stored {
        record: Record {
            holder: spec.holder_identity.unwrap_or_default(),
            seconds: spec.lease_duration_seconds.unwrap_or_default(),
            acquired: spec.acquire_time.map(|time| time.0),
            renewed: spec.renew_time.map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
        },
        version: lease.metadata.resource_version.unwrap_or_default(),
    }
}

fn failed(error: &ApiError) -> LeaseError {
    if error.is_conflict() { LeaseError::Conflict } else { LeaseError::Failed(error.to_string()) }
}

impl LeaseStore for KubeLease {
    async fn get(&self) -> Result<Option<Stored>, LeaseError> {
        match within_limit(self.api.get(&self.name)).await {
            Ok(lease) => Ok(Some(stored(lease))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn create(&self, record: &Record) -> Result<Stored, LeaseError> {
        let lease = self.object(record, None);
        within_limit(self.api.create(&PostParams::default(), &lease)).await.map(stored).map_err(|error| failed(&error))
    }

    async fn replace(&self, record: &Record, version: &str) -> Result<Stored, LeaseError> {
        let lease = self.object(record, Some(version));
        let replaced = within_limit(self.api.replace(&self.name, &PostParams::default(), &lease)).await;
        replaced.map(stored).map_err(|error| failed(&error))
    }
}
