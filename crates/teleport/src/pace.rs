//! How fast users are written.
//!
//! A server shows and enforces its newest locks only after all that was written before them: a burst of 15 000 creates delayed a lock by nine seconds.
//! So creates and updates are spread; locks and deletions never wait.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Writes that may go at once after a pause, as a share of a second.
const BURST: Duration = Duration::from_millis(100);

/// Spreads calls evenly: each takes the next slot.
pub(crate) struct Pace {
    /// Between two slots; `None`: unbounded.
    gap: Option<Duration>,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// At most `per_second` calls a second; 0: unbounded.
    pub(crate) fn new(per_second: u32) -> Self {
        let gap = (per_second > 0).then(|| Duration::from_secs(1) / per_second);
        Self { gap, next: Mutex::new(None) }
    }

    /// Returns when it is this call's turn.
    pub(crate) async fn turn(&self) {
        if let Some(at) = self.slot(Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }

    /// When the call that asks at `now` may go; `None`: at once.
    fn slot(&self, now: Instant) -> Option<Instant> {
        let gap = self.gap?;
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let slot = next.map_or(now, |next| next.max(earliest));
        *next = Some(slot + gap);
        (slot > now).then_some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_spread_and_a_pause_buys_a_short_burst() {
        let pace = Pace::new(100);
        let start = Instant::now();
        let waits: Vec<u128> = (0..5).map(|_| pace.slot(start).map_or(0, |at| (at - start).as_millis())).collect();
        assert_eq!(waits, [0, 10, 20, 30, 40]);

        let later = start + Duration::from_secs(10);
        let at_once = (0..30).take_while(|_| pace.slot(later).is_none()).count();
        assert_eq!(at_once, 11, "a tenth of a second's worth, and the one that is due");
    }

    #[test]
    fn no_rate_means_no_waiting() {
        let pace = Pace::new(0);
        let now = Instant::now();
        assert!((0..1000).all(|_| pace.slot(now).is_none()));
    }
}
