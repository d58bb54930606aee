//! What all parts of a running org share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::api::page::Sealer;
use crate::auth::Auth;
use crate::clock::{Clock, Stamp};
use crate::faults::FaultBoard;
use crate::org::state::State;
use crate::rate::Rates;
use crate::seed::SeededApps;
use crate::tally::Tally;

/// The addresses under which the org answers.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// Authorities (`host:port`) that count as this org; the first is the canonical one.
    pub authorities: Vec<String>,
}

/// A running org.
#[derive(Debug)]
pub(crate) struct Shared {
    pub clock: Clock,
    pub seed: u64,
    pub seeded: SeededApps,
    addresses: OnceLock<Addresses>,
    state: RwLock<State>,
    auth: Mutex<Auth>,
    rates: Mutex<Rates>,
    faults: Mutex<FaultBoard>,
    tally: Mutex<Tally>,
    requests: AtomicU64,
    pub under_way: AtomicUsize,
}

impl Shared {
    pub fn new(seed: u64, seeded: SeededApps, clock: Clock, state: State, auth: Auth, rates: Rates) -> Self {
        Self {
            clock,
            seed,
            seeded,
            addresses: OnceLock::new(),
            state: RwLock::new(state),
            auth: Mutex::new(auth),
            rates: Mutex::new(rates),
            faults: Mutex::new(FaultBoard::new(seed)),
            tally: Mutex::new(Tally::default()),
            requests: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
        }
    }

    /// Says where the org answers. Once.
    pub fn listen_at(&self, addresses: Addresses) {
        let _ = self.addresses.set(addresses);
    }

    /// Whether a `Host` names this org.
    pub fn answers_to(&self, authority: &str) -> bool {
        self.addresses.get().is_some_and(|a| a.authorities.iter().any(|known| known.eq_ignore_ascii_case(authority)))
    }

    /// The canonical authority, `host:port`.
    pub fn authority(&self) -> &str {
        self.addresses.get().and_then(|a| a.authorities.first()).map_or("", String::as_str)
    }

    /// The canonical address, without a slash at the end.
    pub fn base(&self) -> String {
        format!("https://{}", self.authority())
    }

    // A poisoned lock means that some thread panicked while it held one; the data is still whole enough to answer from.

    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn auth(&self) -> MutexGuard<'_, Auth> {
        self.auth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn faults(&self) -> MutexGuard<'_, FaultBoard> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fresh request id, shaped like the vendor's.
    pub fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("sim{:08x}{number:013x}", self.seed & 0xffff_ffff)
    }

    /// Seals and opens page cursors.
    pub fn sealer(&self, state: &State) -> Sealer {
        Sealer {
            key: self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            life: state.switches.cursor_seconds,
            entries: state.switches.page_entries,
        }
    }

    /// Does the jobs that have come due.
    pub fn catch_up(&self, now: Stamp) {
        let due = self.state().next_due().is_some_and(|due| due <= now);
        if due {
            self.state_mut().run_jobs(now);
        }
    }
}
