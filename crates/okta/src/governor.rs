//! Keeps every caller of one organisation within its share of Okta's rate limits (P14).
//!
//! Okta counts calls per minute in buckets by path (reference: okta-api §6). Each answer says how large its bucket is, how
//! much is left and when it is filled again. From that, and from its own count, the governor knows whether a further
//! call stays within the share (`budgetPercent`), and lets it wait otherwise. Pages of lists leave a fifth of the share to questions
//! about single people, so that a leaver does not wait until a long list is read. One governor serves all resources on the
//! same organisation, so they share one share.

mod bucket;
mod headers;
mod state;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

pub(crate) use self::state::pages;
pub use self::{
    bucket::{Bucket, Turn},
    state::BucketView,
};
use self::{headers::Reading, state::Bookkeeping};
use crate::error::OktaError;

/// Calls in flight at once to one organisation. Okta allows 35 to 75 for all its clients together.
const IN_FLIGHT: usize = 4;

/// Rate-limit bookkeeping for one organisation; clones share it.
#[derive(Clone)]
pub struct Governor {
    buckets: Arc<Mutex<HashMap<Bucket, Bookkeeping>>>,
    slots: Arc<Semaphore>,
}

/// What a caller may use and how long it may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Share of each bucket, 1 to 100.
    pub percent: u8,
    /// Longest wait of one call, all its waits together.
    pub longest: Duration,
}

/// Leave to make one call. Dropped without [`Permit::settle`] it counts as a call whose answer never came.
pub struct Permit {
    governor: Governor,
    bucket: Bucket,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Default for Governor {
    fn default() -> Self {
        Self::new()
    }
}

impl Governor {
    /// A governor that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { buckets: Arc::default(), slots: Arc::new(Semaphore::new(IN_FLIGHT)) }
    }

    /// What is known of every bucket that was used, in a fixed order.
    #[must_use]
    pub fn view(&self) -> Vec<BucketView> {
        let now = Instant::now();
        let mut views: Vec<BucketView> = self.lock().iter().map(|(bucket, books)| books.view(*bucket, now)).collect();
        views.sort_by_key(|view| view.bucket.path());
        views
    }

    /// Waits until a call into that bucket stays within the share. `waited` is what the call has waited already; what
    /// is waited here is added to it.
    ///
    /// # Errors
    /// The share is used up for longer than the call may wait.
    pub async fn admit(
        &self,
        (bucket, turn): (Bucket, Turn),
        share: Share,
        waited: &mut Duration,
    ) -> Result<Permit, OktaError> {
        loop {
            let slot = self.slots.clone().acquire_owned().await.ok();
            let Some(until) = self.lock().entry(bucket).or_default().admit(share.percent, turn, Instant::now()) else {
                return Ok(Permit { governor: self.clone(), bucket, _slot: slot });
            };
            drop(slot);
            let wait = until.saturating_duration_since(Instant::now());
            if *waited + wait > share.longest {
                return Err(OktaError::BudgetUsedUp { bucket, wait, allowed: share.longest.saturating_sub(*waited) });
            }
            tracing::debug!(%bucket, seconds = wait.as_secs_f32(), "waiting for Okta's rate limit");
            *waited += wait;
            self.lock().entry(bucket).or_default().waits(wait);
            sleep_until(until).await;
        }
    }

    /// A lock that a panicking holder could not have left half-changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<Bucket, Bookkeeping>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Tells the governor what the answer's headers say.
    pub fn settle(self, status: StatusCode, headers: &HeaderMap) {
        let reading = Reading::of(headers, Timestamp::now());
        self.governor.lock().entry(self.bucket).or_default().observe(
            status == StatusCode::TOO_MANY_REQUESTS,
            &reading,
            Instant::now(),
            jitter(),
        );
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.governor.lock().entry(self.bucket).or_default().landed();
    }
}

impl fmt::Debug for Governor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.view()).finish()
    }
}

/// A number in 0..1, so that several programs that were refused at once do not come back at once.
fn jitter() -> f64 {
    let [high, low, ..] = *uuid::Uuid::new_v4().as_bytes();
    f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests;
