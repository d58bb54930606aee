//! What a status says of Okta's rate limits and of Okta's clock, as the client knows them at the end of a pass.

use std::time::Duration;

use api::{
    OktaUserSyncStatus,
    status::{BucketUse, Budget},
};
use okta::{BucketView, OktaClient};

/// A difference of clocks that is worth telling, in seconds; below it the number would only flicker.
const SKEW: i64 = 30;

/// Writes it into `status`, once the organisation is known at all.
pub(crate) fn note(status: &mut OktaUserSyncStatus, client: &OktaClient) {
    let Some(okta) = &mut status.okta else { return };
    let offset = client.clock_offset();
    okta.clock_skew_seconds = (offset.abs() > SKEW).then_some(offset);
    okta.budget = Some(budget(&client.rate_limits()));
}

/// The rate limits of one organisation, by all its clients in this process.
fn budget(buckets: &[BucketView]) -> Budget {
    let sum = |number: fn(&BucketView) -> u64| whole(buckets.iter().map(number).sum());
    let waited: Duration = buckets.iter().map(|bucket| bucket.waited).sum();
    Budget {
        calls: sum(|bucket| bucket.calls),
        waits: sum(|bucket| bucket.waits),
        waited: format!("{:.1}s", waited.as_secs_f64()),
        refusals: sum(|bucket| bucket.refusals),
        buckets: buckets
            .iter()
            .map(|bucket| BucketUse {
                path: bucket.bucket.path().to_owned(),
                limit: bucket.limit.map(i64::from),
                remaining: bucket.remaining.map(i64::from),
                used: i64::from(bucket.used),
            })
            .collect(),
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use okta::Bucket;

    use super::*;

    // budget.rs, `budget`.
    #[test]
    fn p14_calls_waits_and_what_is_left_are_told() {
        let view = |bucket, calls, waits| BucketView {
            bucket,
            limit: Some(100),
            remaining: Some(80),
            used: 20,
            calls,
            refusals: 1,
            waits,
            waited: Duration::from_millis(1250) * u32::try_from(waits).unwrap(),
        };
        let told = budget(&[view(Bucket::Apps, 40, 2), BucketView { remaining: None, ..view(Bucket::User, 2, 0) }]);
        assert_eq!((told.calls, told.waits, told.waited.as_str(), told.refusals), (42, 2, "2.5s", 2));
        let apps = &told.buckets[0];
        assert_eq!(
            (apps.path.as_str(), apps.limit, apps.remaining, apps.used),
            ("/api/v1/apps", Some(100), Some(80), 20)
        );
        assert_eq!(told.buckets[1].remaining, None);
    }
}
