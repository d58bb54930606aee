//! How fast users are written.
//!
//! A server shows and enforces its newest locks only after all that was written before them: a burst of 15 000 creates delayed a lock by nine seconds.
//! So creates and updates are spread, and slow down where locks take long to be enforced; locks and deletions never wait.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Writes that may go at once after a pause, as a share of a second.
const BURST: Duration = Duration::from_millis(100);

/// A lock that takes longer than this is held up by writes. (About a second is what it takes at rest.)
const HELD_UP: Duration = Duration::from_secs(3);

/// A lock that takes no longer than this is not.
const AT_REST: Duration = Duration::from_millis(1500);

/// Fewer writes a second than this are never asked for.
const SLOWEST: u32 = 50;

/// How fast users are made and changed in one cluster. Calls are spread evenly: each takes the next slot, whoever it comes
/// from.
pub struct Pace {
    /// Between two slots, at full speed; `None`: unbounded.
    full: Option<Duration>,
    state: Mutex<State>,
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pace({:?})", self.full)
    }
}

struct State {
    gap: Duration,
    next: Option<Instant>,
}

impl Pace {
    /// At most `per_second` calls a second; 0: unbounded.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        let full = (per_second > 0).then(|| Duration::from_secs(1) / per_second);
        Self { full, state: Mutex::new(State { gap: full.unwrap_or_default(), next: None }) }
    }

    /// Returns when it is this call's turn.
    pub(crate) async fn turn(&self) {
        if let Some(at) = self.slot(Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }

    /// Learns how long locks took to be enforced: half the speed when writes hold them up, back by a quarter when they do not.
    pub(crate) fn learn(&self, lag: Duration) {
        let Some(full) = self.full else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let slowest = full.max(Duration::from_secs(1) / SLOWEST);
        let gap = if lag > HELD_UP {
            (state.gap * 2).min(slowest)
        } else if lag <= AT_REST {
            (state.gap * 4 / 5).max(full)
        } else {
            state.gap
        };
        if gap != state.gap {
            tracing::info!(?lag, ?gap, "pace of writes changed by the time that locks take");
            state.gap = gap;
        }
    }

    /// The server has said that it has enough: half the speed, until locks are seen to be quick.
    pub(crate) fn hold_back(&self) {
        self.learn(Duration::MAX);
    }

    /// When the call that asks at `now` may go; `None`: at once.
    fn slot(&self, now: Instant) -> Option<Instant> {
        self.full?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let slot = state.next.map_or(now, |next| next.max(earliest));
        state.next = Some(slot + state.gap);
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
        pace.learn(Duration::from_secs(60));
        assert!((0..1000).all(|_| pace.slot(now).is_none()));
    }

    #[test]
    fn slow_locks_slow_the_writes_and_quick_ones_speed_them_up_again() {
        let pace = Pace::new(400);
        let gap = || pace.state.lock().unwrap().gap;
        let full = gap();
        pace.learn(Duration::from_secs(2));
        assert_eq!(gap(), full, "neither slow nor quick");
        pace.learn(Duration::from_secs(9));
        assert_eq!(gap(), full * 2);
        for _ in 0..10 {
            pace.learn(Duration::from_secs(9));
        }
        assert_eq!(gap(), Duration::from_millis(20), "50 a second at the least");
        for _ in 0..20 {
            pace.learn(Duration::from_secs(1));
        }
        assert_eq!(gap(), full);
        pace.hold_back();
        assert_eq!(gap(), full * 2);
        let slow = Pace::new(10);
        slow.learn(Duration::from_secs(9));
        assert_eq!(slow.state.lock().unwrap().gap, Duration::from_millis(100), "never faster than it was set");
    }
}
