//! Leader election by a Lease, as client-go does it (P8).
//!
//! * A record is written only with the resourceVersion that was read, so of two candidates one loses.
//! * A foreign record has run out when it has not changed for its duration *by this process's own clock* since it was
//!   first seen so; the times inside it are for people and are never compared with a clock here.
//! * A claim is good for [`Times::renew`] from *before* the request that last renewed it. Others wait for
//!   [`Times::lease`] from when they saw that request's outcome, so writes stop here before anybody else may start.
//! * On an orderly end the lease is given back, so that the next leader need not wait.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// The three times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How long others wait without seeing a renewal before they take over. Whole seconds, at least one.
    pub lease: Duration,
    /// How long a claim counts after the last renewal; shorter than [`Times::lease`].
    pub renew: Duration,
    /// Between two attempts.
    pub retry: Duration,
}

impl Default for Times {
    /// client-go's own: 15 s, 10 s, 2 s.
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), renew: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

impl Times {
    /// Whether the three fit together: whole seconds for the lease, and each shorter than the one before.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.lease.as_secs() >= 1
            && self.lease.subsec_nanos() == 0
            && self.renew < self.lease
            && self.retry < self.renew
            && !self.retry.is_zero()
    }
}

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty when it was given back.
    pub holder: String,
    /// Seconds that it lasts without renewal.
    pub seconds: i32,
    /// When the holder got it.
    pub acquired: Option<Timestamp>,
    /// When it was last renewed. For people only.
    pub renewed: Option<Timestamp>,
    /// How often it changed hands.
    pub transitions: i32,
}

/// A record and the version that a write over it must carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The record.
    pub record: Record,
    /// resourceVersion of the Lease.
    pub version: String,
}

/// Why a write of the Lease did not happen.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else wrote it since it was read, or made it first.
    #[error("somebody else wrote the lease first")]
    Conflict,
    /// The API server could not be asked, or refused.
    #[error("{0}")]
    Failed(String),
}

/// Where the Lease is kept.
pub trait LeaseStore: Send + Sync + 'static {
    /// The Lease, if there is one.
    fn get(&self) -> impl Future<Output = Result<Option<Stored>, LeaseError>> + Send;
    /// Makes it; a [`LeaseError::Conflict`] if it is there already.
    fn create(&self, record: &Record) -> impl Future<Output = Result<Stored, LeaseError>> + Send;
    /// Replaces the very version that was read; a [`LeaseError::Conflict`] if it is another by now.
    fn replace(&self, record: &Record, version: &str) -> impl Future<Output = Result<Stored, LeaseError>> + Send;
}

/// The right to write, for as long as it lasts. Cheap to clone and to ask.
#[derive(Clone)]
pub struct Claim {
    epoch: Instant,
    /// Milliseconds after `epoch`; `u64::MAX`: without end.
    until: Arc<AtomicU64>,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("holds", &self.holds()).finish()
    }
}

impl Claim {
    /// A claim for a process that runs without election: it holds until it is dropped with [`Claim::end`].
    #[must_use]
    pub fn alone() -> Self {
        Self { epoch: Instant::now(), until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    fn none() -> Self {
        Self { epoch: Instant::now(), until: Arc::new(AtomicU64::new(0)) }
    }

    /// Whether this process may write now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.holds_at(Instant::now())
    }

    fn holds_at(&self, now: Instant) -> bool {
        millis(now.saturating_duration_since(self.epoch)) < self.until.load(Ordering::Acquire)
    }

    /// Ends it for good, before the lease is given back.
    pub fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    fn extend(&self, until: Instant) {
        self.until.store(millis(until.saturating_duration_since(self.epoch)), Ordering::Release);
    }

    fn left(&self, now: Instant) -> Duration {
        let until = self.epoch + Duration::from_millis(self.until.load(Ordering::Acquire));
        until.saturating_duration_since(now)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What to do about the Lease as it was just read.
#[derive(Debug, PartialEq, Eq)]
enum Move {
    /// There is none: make it.
    Create(Record),
    /// It is ours, given back, or has run out: write over this version of it.
    Replace(Record, String),
    /// Somebody else holds it.
    Wait,
}

/// What this process has seen of the Lease.
#[derive(Debug, Default)]
struct Seen {
    last: Option<(Record, Instant)>,
}

impl Seen {
    /// Notes the Lease as read at `now` (by the clock of this process and of the wall), and says what `me` does next.
    fn next(&mut self, stored: Option<Stored>, me: &str, times: &Times, now: Instant, wall: Timestamp) -> Move {
        let fresh = Record {
            holder: me.to_owned(),
            seconds: i32::try_from(times.lease.as_secs()).unwrap_or(i32::MAX),
            acquired: Some(wall),
            renewed: Some(wall),
            transitions: 0,
        };
        let Some(Stored { record, version }) = stored else {
            self.last = None;
            return Move::Create(fresh);
        };
        let since = match &self.last {
            Some((seen, since)) if *seen == record => *since,
            _ => now,
        };
        self.last = Some((record.clone(), since));
        if record.holder == me {
            let kept = Record { acquired: record.acquired, transitions: record.transitions, ..fresh };
            return Move::Replace(kept, version);
        }
        let lasts = Duration::from_secs(u64::try_from(record.seconds).unwrap_or(0));
        if !record.holder.is_empty() && now.saturating_duration_since(since) < lasts {
            return Move::Wait;
        }
        Move::Replace(Record { transitions: record.transitions.saturating_add(1), ..fresh }, version)
    }

    fn wrote(&mut self, record: Record, now: Instant) {
        self.last = Some((record, now));
    }
}

/// How an election that was won came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// We were told to end, and gave the lease back.
    Released,
    /// It could not be renewed in time, or somebody else has it. Nothing may be written any more.
    Lost,
}

/// One candidate.
pub struct Election<S> {
    store: S,
    me: String,
    times: Times,
    seen: Seen,
    claim: Claim,
}

impl<S: LeaseStore> Election<S> {
    /// A candidate by the name `me` (unique: a pod's name).
    pub fn new(store: S, me: impl Into<String>, times: Times) -> Self {
        Self { store, me: me.into(), times, seen: Seen::default(), claim: Claim::none() }
    }

    /// Waits until the lease is won. Dropping the future gives up the candidacy.
    pub async fn acquire(&mut self) -> Claim {
        info!(candidate = self.me, "standing by for the lease");
        loop {
            match self.attempt(self.times.renew).await {
                Ok(true) => {
                    info!(leader = self.me, "this process leads");
                    return self.claim.clone();
                }
                Ok(false) => debug!("somebody else leads"),
                Err(LeaseError::Conflict) => debug!("somebody else was faster"),
                Err(LeaseError::Failed(why)) => warn!("the lease cannot be had: {why}"),
            }
            sleep(self.times.retry).await;
        }
    }

    /// Renews the lease until `end` (then gives it back) or until it is lost. The claim ends either way.
    pub async fn keep(mut self, end: CancellationToken) -> Ended {
        let ended = loop {
            tokio::select! {
                () = end.cancelled() => break Ended::Released,
                () = sleep(self.times.retry) => {}
            }
            let left = self.claim.left(Instant::now());
            if left.is_zero() {
                break Ended::Lost;
            }
            match self.attempt(left).await {
                Ok(true) => {}
                Ok(false) => break Ended::Lost,
                // A conflict here means that our own last write arrived although its answer did not, or that somebody
                // else wrote: the next attempt reads, and knows.
                Err(why) => warn!("the lease was not renewed: {why}"),
            }
        };
        self.claim.end();
        if ended == Ended::Released {
            self.release().await;
        }
        ended
    }

    /// Reads, decides and writes once, within `bound`. Whether the lease is ours now.
    async fn attempt(&mut self, bound: Duration) -> Result<bool, LeaseError> {
        let started = Instant::now();
        let late = |_| LeaseError::Failed(format!("no answer within {} s", bound.as_secs_f32()));
        let stored = timeout(bound, self.store.get()).await.map_err(late)??;
        let decision = self.seen.next(stored, &self.me, &self.times, Instant::now(), Timestamp::now());
        // The claim counts from before the request that is about to be made, not from its answer.
        let asked = Instant::now();
        let left = bound.saturating_sub(asked.saturating_duration_since(started));
        let written = match decision {
            Move::Wait => return Ok(false),
            Move::Create(record) => timeout(left, self.store.create(&record)).await,
            Move::Replace(record, version) => timeout(left, self.store.replace(&record, &version)).await,
        };
        let stored = written.map_err(late)??;
        self.seen.wrote(stored.record, Instant::now());
        self.claim.extend(asked + self.times.renew);
        Ok(true)
    }

    /// Gives the lease back, if it is still ours.
    async fn release(&mut self) {
        let given_back = async {
            let Some(Stored { record, version }) = self.store.get().await? else { return Ok(()) };
            if record.holder != self.me {
                return Ok(());
            }
            let empty = Record { holder: String::new(), seconds: 1, renewed: Some(Timestamp::now()), ..record };
            self.store.replace(&empty, &version).await.map(drop)
        };
        match timeout(self.times.retry, given_back).await {
            Ok(Ok(())) => info!("gave the lease back"),
            Ok(Err(error)) => warn!("the lease could not be given back and has to run out: {error}"),
            Err(_) => warn!("the lease could not be given back in time and has to run out"),
        }
    }
}

#[cfg(test)]
mod tests;
