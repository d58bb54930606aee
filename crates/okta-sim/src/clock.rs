//! Time as the org sees it: the real clock, moved by an offset or held still.

use std::num::NonZeroI64;
use std::sync::atomic::{AtomicI64, Ordering};

/// A moment in milliseconds since the Unix epoch.
///
/// Shown as Okta shows it: `YYYY-MM-DDTHH:mm:ss.SSSZ`. `Option<Stamp>` takes eight bytes, which matters for a million people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(NonZeroI64);

/// One millisecond after the epoch.
const FIRST: NonZeroI64 = match NonZeroI64::new(1) {
    Some(one) => one,
    None => NonZeroI64::MAX,
};

impl Stamp {
    /// A moment from milliseconds since the epoch (the epoch itself becomes one millisecond later).
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        match NonZeroI64::new(millis) {
            Some(millis) => Self(millis),
            None => Self(FIRST),
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.get()
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.get().div_euclid(1000)
    }

    /// This moment moved by some milliseconds.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.millis().saturating_add(millis))
    }

    /// Reads an RFC 3339 timestamp; `None` when it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let moment: jiff::Timestamp = text.parse().ok()?;
        Some(Self::from_millis(moment.as_millisecond()))
    }

    /// Appends the vendor's text form, without a detour through a formatter (a page of 500 people carries 4 500 of these).
    pub(crate) fn write(self, out: &mut String) {
        let millis = self.millis();
        let days = millis.div_euclid(86_400_000);
        let of_day = millis.rem_euclid(86_400_000);
        let (year, month, day) = civil_from_days(days);
        digits(out, year, 4);
        out.push('-');
        digits(out, month, 2);
        out.push('-');
        digits(out, day, 2);
        out.push('T');
        digits(out, of_day / 3_600_000, 2);
        out.push(':');
        digits(out, of_day / 60_000 % 60, 2);
        out.push(':');
        digits(out, of_day / 1000 % 60, 2);
        out.push('.');
        digits(out, of_day % 1000, 3);
        out.push('Z');
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::with_capacity(24);
        self.write(&mut text);
        f.write_str(&text)
    }
}

/// Appends `value` in decimal, padded with zeros to `width` digits.
fn digits(out: &mut String, value: i64, width: u32) {
    let mut unit = 10_i64.pow(width - 1);
    while unit > 0 {
        let digit = u8::try_from(value / unit % 10).unwrap_or(0);
        out.push(char::from(b'0' + digit));
        unit /= 10;
    }
}

/// Year, month and day of a number of days since the epoch, in the proleptic Gregorian calendar (years counted from
/// March, in eras of 400 years).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The org's clock. Every rule that depends on time (assertion windows, token life, rate windows, asynchronous jobs)
/// reads this one, so a test can move it.
#[derive(Debug)]
pub struct Clock {
    offset: AtomicI64,
    frozen: AtomicI64,
}

/// "Not frozen" in [`Clock::frozen`].
const RUNNING: i64 = i64::MIN;

impl Default for Clock {
    fn default() -> Self {
        Self { offset: AtomicI64::new(0), frozen: AtomicI64::new(RUNNING) }
    }
}

impl Clock {
    /// Now, by the org's clock.
    pub fn now(&self) -> Stamp {
        let frozen = self.frozen.load(Ordering::Relaxed);
        let base = if frozen == RUNNING { jiff::Timestamp::now().as_millisecond() } else { frozen };
        Stamp::from_millis(base.saturating_add(self.offset.load(Ordering::Relaxed)))
    }

    /// Sets the offset against the machine's clock, in milliseconds (positive: the org is ahead).
    pub fn set_offset_millis(&self, millis: i64) {
        self.offset.store(millis, Ordering::Relaxed);
    }

    /// Moves the clock onwards from where it stands, in milliseconds.
    pub fn advance_millis(&self, millis: i64) {
        self.offset.fetch_add(millis, Ordering::Relaxed);
    }

    /// Holds the clock still at the present moment, or lets it run again.
    pub fn freeze(&self, still: bool) {
        let value = if still { jiff::Timestamp::now().as_millisecond() } else { RUNNING };
        self.frozen.store(value, Ordering::Relaxed);
    }

    /// The offset in milliseconds, and whether the clock stands still.
    pub fn setting(&self) -> (i64, bool) {
        (self.offset.load(Ordering::Relaxed), self.frozen.load(Ordering::Relaxed) != RUNNING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_back_what_it_shows() {
        for text in [
            "2026-02-02T11:16:15.000Z",
            "1999-12-31T23:59:59.999Z",
            "2024-02-29T00:00:00.001Z",
            "1969-07-20T20:17:40.000Z",
            "2100-03-01T00:00:00.000Z",
        ] {
            assert_eq!(Stamp::parse(text).unwrap().to_string(), text);
        }
        assert!(Stamp::parse("yesterday").is_none());
    }

    #[test]
    fn the_epoch_itself_is_still_a_stamp() {
        assert_eq!(Stamp::from_millis(0).millis(), 1);
        assert_eq!(std::mem::size_of::<Option<Stamp>>(), 8);
    }

    #[test]
    fn a_frozen_clock_moves_only_when_it_is_moved() {
        let clock = Clock::default();
        clock.freeze(true);
        let before = clock.now();
        clock.advance_millis(5000);
        assert_eq!(clock.now().millis() - before.millis(), 5000);
    }
}
