//! Times between the wire and this program.

use jiff::Timestamp;
use teleport_proto::time;

/// The instant that the server means; `None` for an absent time and for the year 1, which is how Go writes "no time".
pub(crate) fn read(time: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    let time = time::set(time)?;
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// The instant as it goes on the wire.
pub(crate) fn write(instant: Timestamp) -> prost_types::Timestamp {
    let mut time = prost_types::Timestamp { seconds: instant.as_second(), nanos: instant.subsec_nanosecond() };
    // jiff's fraction has the sign of the second; protobuf's counts forward from it.
    time.normalize();
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn year_one_is_no_time_and_others_make_the_round_trip() {
        assert_eq!(read(None), None);
        assert_eq!(read(Some(&time::go_zero())), None);
        for nanos in [0, 1_790_000_000_123_456_789, -1_500_000_001] {
            let instant = Timestamp::from_nanosecond(nanos).unwrap();
            assert_eq!(read(Some(&write(instant))), Some(instant));
            assert!(write(instant).nanos >= 0);
        }
    }
}
