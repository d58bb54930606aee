//! What all parts of a running simulator share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::{cluster::Cluster, fault::Faults, identity::Pki, ledger::Counters};

/// What all parts of a running simulator share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cluster: Mutex<Cluster>,
    pub(crate) counters: Mutex<Counters>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) pki: Pki,
    /// Cancelled when every open connection shall be cut; then replaced.
    connections: Mutex<CancellationToken>,
    /// Nobody is let in before.
    down_until: Mutex<Option<tokio::time::Instant>>,
}

impl Shared {
    pub(crate) fn new(cluster: Cluster, pki: Pki) -> Arc<Self> {
        Arc::new(Self {
            cluster: Mutex::new(cluster),
            counters: Mutex::default(),
            faults: Mutex::default(),
            pki,
            connections: Mutex::default(),
            down_until: Mutex::default(),
        })
    }

    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        held(&self.cluster)
    }

    pub(crate) fn counters(&self) -> MutexGuard<'_, Counters> {
        held(&self.counters)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        held(&self.faults)
    }

    /// A token for a new connection: cancelled by the next restart.
    pub(crate) fn connection(&self) -> CancellationToken {
        held(&self.connections).child_token()
    }

    /// Cuts every connection and lets nobody in for a while. The state is kept.
    pub(crate) fn restart(&self, down: std::time::Duration) {
        *held(&self.down_until) = Some(tokio::time::Instant::now() + down);
        std::mem::take(&mut *held(&self.connections)).cancel();
    }

    /// Whether the server is down.
    pub(crate) fn is_down(&self) -> bool {
        held(&self.down_until).is_some_and(|until| until > tokio::time::Instant::now())
    }
}

/// The guarded value, also after a panic elsewhere: each operation leaves it whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
