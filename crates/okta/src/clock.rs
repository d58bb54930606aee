//! Okta's clock, as far as its `Date` headers tell.
//!
//! Assertions and proofs carry times that Okta compares with its own clock: a time in its future is refused, however
//! little. So every answer's `Date` is compared with the local clock, and what is signed is corrected by the difference.
//! `Date` has whole seconds and is read after it was written, so the corrected time lags a little and never leads.

use std::sync::atomic::{AtomicI64, Ordering};

use http::HeaderMap;
use jiff::Timestamp;

/// The offset has not been measured yet.
const UNKNOWN: i64 = i64::MIN;

/// Difference between Okta's clock and the local one, measured from answers.
#[derive(Debug)]
pub(crate) struct ServerClock(AtomicI64);

impl ServerClock {
    /// A clock that is taken to be right until the first answer.
    pub(crate) fn new() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }

    /// Measures from an answer's headers. An answer without a readable `Date` changes nothing.
    pub(crate) fn observe(&self, headers: &HeaderMap) {
        if let Some(date) = date(headers) {
            self.0.store(date.as_second() - Timestamp::now().as_second(), Ordering::Relaxed);
        }
    }

    /// Seconds that Okta's clock is ahead of the local one (negative: behind); 0 while unknown.
    pub(crate) fn offset(&self) -> i64 {
        match self.0.load(Ordering::Relaxed) {
            UNKNOWN => 0,
            offset => offset,
        }
    }

    /// Seconds since the Unix epoch by Okta's clock.
    pub(crate) fn now(&self) -> i64 {
        Timestamp::now().as_second().saturating_add(self.offset())
    }
}

/// The `Date` header (RFC 9110 §6.6.1).
pub(crate) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(http::header::DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn dated(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::header::DATE, HeaderValue::from_str(text).unwrap())])
    }

    #[test]
    fn a_date_header_is_read_as_http_writes_it() {
        let date = date(&dated("Mon, 02 Feb 2026 11:09:15 GMT")).unwrap();
        assert_eq!(date.to_string(), "2026-02-02T11:09:15Z");
    }

    #[test]
    fn the_offset_follows_the_last_readable_date() {
        let clock = ServerClock::new();
        assert_eq!(clock.offset(), 0);
        let ahead = Timestamp::now() + jiff::SignedDuration::from_secs(600);
        let text = ahead.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        clock.observe(&dated(&text));
        assert!((598..=600).contains(&clock.offset()), "{}", clock.offset());
        clock.observe(&dated("yesterday"));
        clock.observe(&HeaderMap::new());
        assert!((598..=600).contains(&clock.offset()));
        assert!(clock.now() > Timestamp::now().as_second() + 590);
    }
}
