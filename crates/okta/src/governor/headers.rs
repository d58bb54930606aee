//! The rate-limit headers of an answer.

use http::HeaderMap;
use jiff::Timestamp;

use crate::clock;

/// What an answer says about its bucket. Anything may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Calls per window.
    pub(super) limit: Option<u32>,
    /// Calls left in this window.
    pub(super) remaining: Option<u32>,
    /// When the window ends, in seconds since the Unix epoch by Okta's clock. Names the window.
    pub(super) reset: Option<i64>,
    /// Seconds from the answer until then, by Okta's own `Date`; the local clock stands in where that is missing.
    pub(super) reset_in: Option<u64>,
    /// `Retry-After` in seconds: not Okta's, but proxies add it.
    pub(super) retry_after: Option<u64>,
}

impl Reading {
    /// Reads the headers. Where one comes several times, which happens, the value that is more careful counts.
    pub(super) fn of(headers: &HeaderMap, local: Timestamp) -> Self {
        let reset = numbers(headers, "x-rate-limit-reset").max();
        let now = clock::date(headers).unwrap_or(local).as_second();
        Self {
            limit: numbers(headers, "x-rate-limit-limit").min().and_then(|n| u32::try_from(n).ok()),
            remaining: numbers(headers, "x-rate-limit-remaining").min().and_then(|n| u32::try_from(n).ok()),
            reset,
            reset_in: reset.map(|reset| u64::try_from(reset.saturating_sub(now)).unwrap_or(0)),
            retry_after: numbers(headers, "retry-after").max().and_then(|n| u64::try_from(n).ok()),
        }
    }

    /// Whether it is the limit on simultaneous calls: both numbers are 0, and the reset is only a guess of Okta's.
    pub(super) fn is_concurrency(&self) -> bool {
        self.limit == Some(0) && self.remaining == Some(0)
    }
}

/// All values of a header that are numbers; several in one line are separated by commas.
fn numbers<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = i64> + use<'a> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|number| number.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn the_reset_is_measured_by_oktas_own_clock() {
        let reading = Reading::of(
            &headers(&[
                ("date", "Mon, 02 Feb 2026 11:09:15 GMT"),
                ("x-rate-limit-limit", "100"),
                ("x-rate-limit-remaining", "99"),
                ("x-rate-limit-reset", "1770030600"),
            ]),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(reading.reset_in, Some(45));
        assert_eq!((reading.limit, reading.remaining), (Some(100), Some(99)));
    }

    #[test]
    fn doubled_headers_are_read_carefully() {
        let map = headers(&[
            ("x-rate-limit-limit", "100"),
            ("x-rate-limit-limit", "50"),
            ("x-rate-limit-remaining", "40, 30"),
            ("x-rate-limit-reset", "10"),
            ("x-rate-limit-reset", "20"),
        ]);
        let reading = Reading::of(&map, Timestamp::from_second(5).unwrap());
        assert_eq!((reading.limit, reading.remaining, reading.reset_in), (Some(50), Some(30), Some(15)));
    }

    #[test]
    fn missing_and_odd_headers_are_no_headers() {
        let map = headers(&[("x-rate-limit-limit", "many"), ("x-rate-limit-reset", "3")]);
        let reading = Reading::of(&map, Timestamp::from_second(5).unwrap());
        assert_eq!(reading, Reading { reset: Some(3), reset_in: Some(0), ..Reading::default() });
        assert!(!reading.is_concurrency());
    }
}
