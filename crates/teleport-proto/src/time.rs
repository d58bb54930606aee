//! Times as Teleport writes them. It is written in Go, whose "no time" is the first second of year 1 and is sent as such.

use prost_types::Timestamp;

/// Seconds of Go's zero time, 0001-01-01T00:00:00Z, since 1970.
pub const GO_ZERO_SECONDS: i64 = -62_135_596_800;

/// Go's zero time.
#[must_use]
pub fn go_zero() -> Timestamp {
    Timestamp { seconds: GO_ZERO_SECONDS, nanos: 0 }
}

/// Whether a time says anything: neither absent, nor Go's zero time.
#[must_use]
pub fn is_set(time: Option<&Timestamp>) -> bool {
    set(time).is_some()
}

/// The time, unless it is absent or Go's zero time.
#[must_use]
pub fn set(time: Option<&Timestamp>) -> Option<&Timestamp> {
    time.filter(|time| time.seconds != GO_ZERO_SECONDS || time.nanos != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn year_one_and_absence_say_nothing_but_1970_does() {
        assert!(!is_set(None));
        assert!(!is_set(Some(&go_zero())));
        assert!(is_set(Some(&Timestamp { seconds: 0, nanos: 0 })));
        assert!(is_set(Some(&Timestamp { seconds: GO_ZERO_SECONDS, nanos: 1 })));
    }
}
