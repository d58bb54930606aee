//! Rate buckets: how many requests a minute each group of paths takes, and what the three headers say about it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::route::BUCKETS;
use crate::clock::Stamp;

/// Length of a rate window, in milliseconds. Windows begin with the first request, not with the minute.
const WINDOW: i64 = 60_000;

/// A table of limits, in requests a minute and bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RatePlan {
    /// So much that nobody is held back.
    #[default]
    Generous,
    /// The free Integrator plan.
    Integrator,
    /// One App.
    OneApp,
    /// Enterprise.
    Enterprise,
    /// Workforce.
    Workforce,
}

impl RatePlan {
    /// Limits in the order of [`BUCKETS`].
    fn limits(self) -> [u64; 9] {
        match self {
            Self::Generous => [1_000_000; 9],
            Self::Integrator => [20, 100, 100, 100, 100, 100, 20, 100, 300],
            Self::OneApp | Self::Enterprise => [100, 600, 600, 600, 600, 1000, 50, 600, 1200],
            Self::Workforce => [100, 500, 500, 1000, 600, 2000, 120, 1200, 2000],
        }
    }
}

/// What a request found in its bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    pub limit: u64,
    pub remaining: u64,
    /// When the window ends, in whole seconds since the epoch.
    pub reset: i64,
    /// The request is one too many.
    pub exceeded: bool,
}

#[derive(Debug, Clone)]
struct Window {
    ends: Stamp,
    used: u64,
}

/// The buckets of an org.
#[derive(Debug)]
pub(crate) struct Rates {
    limits: BTreeMap<String, u64>,
    windows: BTreeMap<(String, String), Window>,
}

impl Rates {
    pub fn new(plan: RatePlan) -> Self {
        let mut rates = Self { limits: BTreeMap::new(), windows: BTreeMap::new() };
        rates.choose(plan);
        rates
    }

    /// Takes another table of limits and starts new windows.
    pub fn choose(&mut self, plan: RatePlan) {
        self.limits = BUCKETS.iter().zip(plan.limits()).map(|(bucket, limit)| ((*bucket).to_owned(), limit)).collect();
        self.windows.clear();
    }

    /// Sets one bucket's limit; `false` when there is no such bucket.
    pub fn set(&mut self, bucket: &str, limit: u64) -> bool {
        match self.limits.get_mut(bucket) {
            Some(slot) => {
                *slot = limit;
                self.windows.retain(|(name, _), _| name != bucket);
                true
            }
            None => false,
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> &BTreeMap<String, u64> {
        &self.limits
    }

    /// Counts a request. `share` is the part of the bucket, in percent, that one client may use.
    pub fn take(&mut self, bucket: &str, client: Option<&str>, share: u8, now: Stamp) -> Quota {
        let limit = self.limits.get(bucket).copied().unwrap_or(u64::MAX);
        let whole = self.count(bucket, "", limit, now);
        let Some(client) = client.filter(|_| share < 100) else {
            return whole;
        };
        let part = self.count(bucket, client, (limit * u64::from(share) / 100).max(1), now);
        if part.remaining < whole.remaining || part.exceeded { part } else { whole }
    }

    fn count(&mut self, bucket: &str, client: &str, limit: u64, now: Stamp) -> Quota {
        let fresh = Window { ends: now.plus_millis(WINDOW), used: 0 };
        let window = self.windows.entry((bucket.to_owned(), client.to_owned())).or_insert_with(|| fresh.clone());
        if window.ends <= now {
            *window = fresh;
        }
        window.used += 1;
        Quota {
            limit,
            remaining: limit.saturating_sub(window.used),
            reset: window.ends.seconds() + i64::from(window.ends.millis() % 1000 != 0),
            exceeded: window.used > limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_empty_after_its_limit_and_full_again_after_its_window() {
        let mut rates = Rates::new(RatePlan::Integrator);
        let now = Stamp::from_millis(1_000_000);
        for left in (0..20).rev() {
            let quota = rates.take("/api/v1/apps", None, 100, now);
            assert_eq!((quota.remaining, quota.exceeded), (left, false));
        }
        let quota = rates.take("/api/v1/apps", None, 100, now);
        assert!(quota.exceeded);
        assert_eq!(quota.reset, 1060);
        assert!(!rates.take("/api/v1/users", None, 100, now).exceeded);
        assert!(!rates.take("/api/v1/apps", None, 100, now.plus_millis(60_000)).exceeded);
    }

    #[test]
    fn one_client_gets_its_share_only() {
        let mut rates = Rates::new(RatePlan::Integrator);
        let now = Stamp::from_millis(1_000_000);
        for _ in 0..10 {
            assert!(!rates.take("/api/v1/apps", Some("a"), 50, now).exceeded);
        }
        assert!(rates.take("/api/v1/apps", Some("a"), 50, now).exceeded);
        assert!(!rates.take("/api/v1/apps", Some("b"), 50, now).exceeded);
    }
}
