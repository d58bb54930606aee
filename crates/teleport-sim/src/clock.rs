//! The simulator's own time: the machine's, moved by an offset that tests set. Expiries, certificates and time stamps go by it; the cache lag does not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rustls::{pki_types::UnixTime, time_provider::TimeProvider};

/// A clock that can be moved. Clones share their offset.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_seconds: Arc<AtomicI64>,
}

impl Clock {
    /// The simulator's now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_secs(self.offset_seconds.load(Ordering::Relaxed));
        let now = Timestamp::now();
        now.checked_add(offset).unwrap_or(now)
    }

    /// Sets how far the simulator's time is ahead of the machine's, in seconds; negative: behind.
    pub fn set_offset(&self, seconds: i64) {
        self.offset_seconds.store(seconds, Ordering::Relaxed);
    }

    /// How far the simulator's time is ahead of the machine's, in seconds.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset_seconds.load(Ordering::Relaxed)
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// A time as it is written on the wire.
pub(crate) fn to_wire(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

/// A time from the wire; `None` where it is absent, Go's zero time, or out of range.
pub(crate) fn from_wire(time: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    teleport_proto::time::set(time).and_then(|time| Timestamp::new(time.seconds, time.nanos).ok())
}
