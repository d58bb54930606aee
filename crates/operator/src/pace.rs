//! When the next pass of a resource comes: the interval, the backoff after failures, and the jitter of both.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// Largest share of a wait that jitter adds or takes, in percent.
pub const JITTER_PERCENT: u32 = 10;

/// How long failing resources wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// At most; the resource's own interval when that is shorter.
    pub most: Duration,
}

impl Default for Backoff {
    /// 5 s, doubled up to 2 min: what a person mends (a key, a role) is seen soon, and a broken resource costs a few
    /// calls in two minutes.
    fn default() -> Self {
        Self { first: Duration::from_secs(5), most: Duration::from_secs(120) }
    }
}

impl Backoff {
    /// The wait after so many failures in a row (at least one), without jitter.
    #[must_use]
    pub fn after(&self, failures: u32, interval: Duration) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        doubled.min(self.most).min(interval)
    }
}

/// `wait`, shifted by up to [`JITTER_PERCENT`] either way. The shift depends on `seed` alone (a resource's uid and the
/// id of its pass), so that it differs between resources and from pass to pass, and can be tested.
#[must_use]
pub fn jittered(wait: Duration, seed: &str) -> Duration {
    let digest = Sha256::digest(seed.as_bytes());
    let dice = f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX);
    let share = f64::from(JITTER_PERCENT) / 100.0;
    wait.mul_f64(1.0 - share + 2.0 * share * dice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_or_the_interval() {
        let backoff = Backoff::default();
        let waits: Vec<_> = (1..8).map(|n| backoff.after(n, Duration::from_secs(600)).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 120, 120]);
        assert_eq!(backoff.after(u32::MAX, Duration::from_secs(60)).as_secs(), 60);
    }

    #[test]
    fn jitter_is_at_most_a_tenth_and_differs() {
        let wait = Duration::from_secs(600);
        let jittered: Vec<_> = (0..200).map(|n| jittered(wait, &format!("uid/{n}")).as_secs_f64()).collect();
        assert!(jittered.iter().all(|s| (540.0..=660.0).contains(s)));
        let (least, most) =
            jittered.iter().fold((f64::MAX, f64::MIN), |(least, most), s| (least.min(*s), most.max(*s)));
        assert!(least < 560.0 && most > 640.0, "spread over the whole range: {least} to {most}");
    }
}
