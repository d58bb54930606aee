//! Bookkeeping of one bucket: pure, fed with answers and the time.

use std::time::Duration;

use tokio::time::Instant;

use super::{Bucket, bucket::Turn, headers::Reading};

/// Added to every reset, as Okta's own SDKs do: both times are whole seconds.
const SLACK: Duration = Duration::from_secs(1);

/// Okta's window, for answers that do not say when it ends.
const WINDOW: Duration = Duration::from_secs(60);

/// Longest pause after a refusal because of too many simultaneous calls.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);

/// What is known of one bucket.
#[derive(Debug, Default)]
pub(super) struct Bookkeeping {
    /// Calls per window, as told last.
    limit: Option<u32>,
    /// Calls left, as told last, less those that were made since.
    remaining: Option<u32>,
    /// Okta's name of the window.
    window: Option<i64>,
    /// When the window ends.
    ends: Option<Instant>,
    /// Own calls in this window.
    used: u32,
    /// Own calls without answer yet.
    in_flight: u32,
    /// No call before this, whatever the numbers say.
    blocked: Option<Instant>,
    /// Refusals in a row that did not say when to come back.
    strikes: u32,
    /// All calls ever.
    calls: u64,
    /// All refusals ever.
    refusals: u64,
    /// All waits ever.
    waits: u64,
    /// Time spent in them.
    waited: Duration,
}

/// One bucket as metrics and status show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketView {
    /// Which one.
    pub bucket: Bucket,
    /// Calls per minute that Okta allows, as it said last.
    pub limit: Option<u32>,
    /// Calls left in this window, of all clients; `None` when nothing is known of this window.
    pub remaining: Option<u32>,
    /// Calls of this program in this window.
    pub used: u32,
    /// Calls of this program ever.
    pub calls: u64,
    /// Answers 429 ever.
    pub refusals: u64,
    /// Waits ever.
    pub waits: u64,
    /// Time waited ever.
    pub waited: Duration,
}

impl Bookkeeping {
    /// Books one call, or says when to ask again.
    pub(super) fn admit(&mut self, percent: u8, turn: Turn, now: Instant) -> Option<Instant> {
        self.roll(now);
        if let Some(until) = self.blocked {
            return Some(until);
        }
        if !self.has_room(percent, turn) {
            let until = self.ends.unwrap_or(now + WINDOW);
            self.ends = Some(until);
            return Some(until);
        }
        self.used += 1;
        self.in_flight += 1;
        self.calls += 1;
        self.remaining = self.remaining.map(|left| left.saturating_sub(1));
        None
    }

    /// Whether one more call stays within the share, and leaves the others theirs.
    fn has_room(&self, percent: u8, turn: Turn) -> bool {
        let Some(limit) = self.limit.filter(|limit| *limit > 0) else { return true };
        let allowance = allowance(limit, percent);
        // What is left for others is not ours to use up, even where our own share would allow it.
        let reserve = (limit / 10).max(2).min(limit - allowance);
        self.used < allowance - turn.leaves(allowance) && self.remaining.is_none_or(|left| left > reserve)
    }

    /// Starts anew once the window is over.
    fn roll(&mut self, now: Instant) {
        if self.blocked.is_some_and(|until| until <= now) {
            self.blocked = None;
        }
        if self.ends.is_some_and(|end| end <= now) {
            self.ends = None;
            self.remaining = None;
            self.used = self.in_flight;
        }
    }

    /// Takes in what an answer says; `jitter` is in 0..1.
    pub(super) fn observe(&mut self, refused: bool, reading: &Reading, now: Instant, jitter: f64) {
        self.roll(now);
        if refused {
            self.refused(reading, now, jitter);
        } else {
            self.strikes = 0;
        }
        if reading.is_concurrency() {
            return;
        }
        let older = matches!((reading.reset, self.window), (Some(told), Some(known)) if told < known);
        if older {
            return;
        }
        if reading.reset > self.window {
            // The answer belongs to a window that began after the one that was counted.
            if self.window.is_some() {
                self.used = self.in_flight.max(1);
                self.remaining = None;
            }
            self.window = reading.reset;
        }
        self.limit = reading.limit.or(self.limit);
        self.remaining = match (reading.remaining, self.remaining) {
            (Some(told), Some(known)) => Some(told.min(known)),
            (told, known) => told.or(known),
        };
        if let Some(seconds) = reading.reset_in {
            self.ends = Some(now + Duration::from_secs(seconds) + SLACK);
        } else if self.limit.is_some() && self.ends.is_none() {
            self.ends = Some(now + WINDOW);
        }
    }

    /// 429: nobody calls into this bucket for a while.
    fn refused(&mut self, reading: &Reading, now: Instant, jitter: f64) {
        self.refusals += 1;
        let told = match (reading.retry_after, reading.reset_in) {
            (Some(seconds), _) => Some(Duration::from_secs(seconds)),
            (None, Some(seconds)) if !reading.is_concurrency() => Some(Duration::from_secs(seconds) + SLACK),
            _ => None,
        };
        let pause = if let Some(pause) = told.filter(|pause| *pause > SLACK) {
            pause + Duration::from_secs(1).mul_f64(jitter)
        } else {
            // 1, 2, 4, 8, 15 s, each between half and the whole of it.
            let full = Duration::from_secs(1 << self.strikes.min(4)).min(LONGEST_BACKOFF);
            self.strikes += 1;
            full.mul_f64(0.5 + jitter / 2.0)
        };
        self.blocked = self.blocked.max(Some(now + pause));
    }

    /// An answer came, or never will.
    pub(super) fn landed(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Counts a wait.
    pub(super) fn waits(&mut self, wait: Duration) {
        self.waits += 1;
        self.waited += wait;
    }

    /// For metrics and status.
    pub(super) fn view(&self, bucket: Bucket, now: Instant) -> BucketView {
        let over = self.ends.is_some_and(|end| end <= now);
        BucketView {
            bucket,
            limit: self.limit,
            remaining: self.remaining.filter(|_| !over),
            used: if over { self.in_flight } else { self.used },
            calls: self.calls,
            refusals: self.refusals,
            waits: self.waits,
            waited: self.waited,
        }
    }
}

/// Pages per window that a share of `limit` allows.
pub(crate) fn pages(limit: u32, percent: u8, turn: Turn) -> u32 {
    let allowance = allowance(limit, percent);
    allowance - turn.leaves(allowance)
}

/// Calls per window that a share allows; always at least one, or nothing would ever move.
fn allowance(limit: u32, percent: u8) -> u32 {
    let calls = u64::from(limit) * u64::from(percent.clamp(1, 100)) / 100;
    u32::try_from(calls).unwrap_or(limit).max(1).min(limit)
}
