//! What all parts of a running simulator share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::{
    TeleportSimError, cluster::Cluster, doors::Doors, fault::Faults, files::Site, hold::Hold, identity::Pki,
    join_token::Tokens, ledger::Counters, record::Recorder,
};

/// What all parts of a running simulator share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cluster: Mutex<Cluster>,
    pub(crate) counters: Mutex<Counters>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) hold: Hold,
    recorder: Mutex<Recorder>,
    pki: Mutex<Arc<Pki>>,
    doors: Mutex<Arc<Doors>>,
    pub(crate) tokens: Mutex<Tokens>,
    /// Cancelled when every open connection shall be cut; then replaced.
    connections: Mutex<CancellationToken>,
    /// Held by every open connection.
    open: Arc<()>,
    pub(crate) site: Site,
    /// Nobody is let in before.
    down_until: Mutex<Option<tokio::time::Instant>>,
}

impl Shared {
    pub(crate) fn new(cluster: Cluster, pki: Pki, doors: Doors, site: Site) -> Arc<Self> {
        Arc::new(Self {
            cluster: Mutex::new(cluster),
            counters: Mutex::default(),
            faults: Mutex::default(),
            hold: Hold::default(),
            recorder: Mutex::default(),
            pki: Mutex::new(Arc::new(pki)),
            doors: Mutex::new(Arc::new(doors)),
            tokens: Mutex::default(),
            connections: Mutex::default(),
            open: Arc::default(),
            site,
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

    pub(crate) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        held(&self.recorder)
    }

    /// The authorities.
    pub(crate) fn pki(&self) -> Arc<Pki> {
        Arc::clone(&held(&self.pki))
    }

    /// TLS of each door.
    pub(crate) fn doors(&self) -> Arc<Doors> {
        Arc::clone(&held(&self.doors))
    }

    /// The provision tokens.
    pub(crate) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        held(&self.tokens)
    }

    /// Makes a new host CA, writes the identity files anew and cuts all connections.
    pub(crate) fn rotate_host_ca(&self) -> Result<(), TeleportSimError> {
        let clock = self.cluster().clock.clone();
        let pki = self.pki().rotated(self.site.keys, clock.now())?;
        let doors = Doors::new(&pki, self.site.keys, &clock)?;
        self.site.write(&pki, clock.now())?;
        *held(&self.pki) = Arc::new(pki);
        *held(&self.doors) = Arc::new(doors);
        self.restart(std::time::Duration::ZERO);
        Ok(())
    }

    /// A token for a new connection: cancelled by the next restart.
    pub(crate) fn connection(&self) -> CancellationToken {
        held(&self.connections).child_token()
    }

    /// Counts a connection for as long as it is held.
    pub(crate) fn opened(&self) -> Arc<()> {
        Arc::clone(&self.open)
    }

    /// Connections that are open now.
    pub(crate) fn open_connections(&self) -> usize {
        Arc::strong_count(&self.open) - 1
    }

    /// Cuts every connection and lets nobody in for a while. The state is kept.
    pub(crate) fn restart(&self, down: std::time::Duration) {
        *held(&self.down_until) = Some(tokio::time::Instant::now() + down);
        std::mem::take(&mut *held(&self.connections)).cancel();
    }

    /// Whether the Proxy routes by protocol names.
    pub(crate) fn routes_tls(&self) -> bool {
        self.site.tls_routing
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
