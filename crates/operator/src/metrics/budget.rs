//! How each of Okta's rate limits stands. Read from the governors at every scrape, so that it is true between passes too.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use std::sync::atomic::AtomicU64;

use crate::governors::Governors;

fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

/// A rate limit of one organisation.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfBucket {
    org: String,
    bucket: &'static str,
}

type FloatCounter = Counter<f64, AtomicU64>;

#[derive(Default)]
pub(super) struct Budget {
    calls: Family<OfBucket, Counter>,
    refusals: Family<OfBucket, Counter>,
    waits: Family<OfBucket, Counter>,
    waited: Family<OfBucket, FloatCounter>,
    limit: Family<OfBucket, Gauge>,
    remaining: Family<OfBucket, Gauge>,
}

impl Budget {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("okta_bucket_calls", "Calls to Okta by rate limit", self.calls.clone());
        let help = "Answers 429 of Okta (too many requests) by rate limit";
        registry.register("okta_bucket_refusals", help, self.refusals.clone());
        let help = "Calls that waited so as to stay within okta.budgetPercent";
        registry.register("okta_bucket_waits", help, self.waits.clone());
        let help = "Time that calls waited so as to stay within okta.budgetPercent";
        registry.register_with_unit("okta_bucket_wait", help, Unit::Seconds, self.waited.clone());
        let help = "Calls a minute that Okta allows to all its clients together, as it said last";
        registry.register("okta_bucket_limit", help, self.limit.clone());
        let help = "Calls that Okta has left for all its clients together in this minute, as far as known";
        registry.register("okta_bucket_remaining", help, self.remaining.clone());
    }

    /// Takes in what the governors know.
    pub(super) fn read(&self, governors: &Governors) {
        for (org, views) in governors.view() {
            for view in views {
                let of = OfBucket { org: org.clone(), bucket: view.bucket.path() };
                raise(&self.calls.get_or_create(&of), view.calls);
                raise(&self.refusals.get_or_create(&of), view.refusals);
                raise(&self.waits.get_or_create(&of), view.waits);
                let waited = self.waited.get_or_create(&of);
                waited.inc_by((view.waited.as_secs_f64() - waited.get()).max(0.0));
                if let Some(limit) = view.limit {
                    self.limit.get_or_create(&of).set(i64::from(limit));
                    // Of a minute that no call has been made in yet, everything is left as far as we know.
                    self.remaining.get_or_create(&of).set(i64::from(view.remaining.unwrap_or(limit)));
                }
            }
        }
    }
}

#[cfg(test)]
impl Budget {
    /// A series of each metric.
    pub(super) fn example(&self) {
        let of = OfBucket { org: "acme.okta.com".into(), bucket: okta::Bucket::Apps.path() };
        for counter in [&self.calls, &self.refusals, &self.waits] {
            counter.get_or_create(&of).inc();
        }
        self.waited.get_or_create(&of).inc_by(0.5);
        self.limit.get_or_create(&of).set(100);
        self.remaining.get_or_create(&of).set(80);
    }
}
