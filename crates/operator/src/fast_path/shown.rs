//! What status says of the fast path, and when it is worth a write (P9).

use std::time::{Duration, Instant};

use api::status::{FastPathState, FastPathStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Between two writes, unless somebody was dealt with: at most so long, and at least four polls.
const FLOOR: Duration = Duration::from_secs(60);

/// How far the position in status may lag behind while nothing happens: a restart goes on from it, and a gap of half an
/// hour costs a full pass.
const LAG: SignedDuration = SignedDuration::from_mins(10);

/// What is known, and what was written of it.
#[derive(Debug, Default)]
pub(super) struct Shown {
    now: FastPathStatus,
    written: Option<FastPathStatus>,
    written_at: Option<Instant>,
    floor: Duration,
    /// Somebody was dealt with since the last write.
    changed: bool,
}

impl Shown {
    /// Begins with what an earlier process wrote. Where none did, the log matters from `since` on.
    pub(super) fn after(written: Option<FastPathStatus>, since: Timestamp, interval: Duration) -> Self {
        let floor = FLOOR.min(interval * 4);
        let mut now = written.clone().unwrap_or_default();
        now.cursor.get_or_insert(Time(since));
        Self { now, written, floor, ..Self::default() }
    }

    /// The same log is read already, and that is what is known of it.
    pub(super) fn joins(&mut self, read: &FastPathStatus) {
        self.now.state = read.state;
        self.now.message.clone_from(&read.message);
    }

    /// What is known.
    pub(super) fn now(&self) -> &FastPathStatus {
        &self.now
    }

    /// The log was read as far as that.
    pub(super) fn read(&mut self, to: Timestamp) {
        self.now.state = FastPathState::Active;
        self.now.cursor = Some(Time(to));
        self.now.message.clear();
    }

    /// The log could not be read.
    pub(super) fn failed(&mut self, state: FastPathState, message: &str) {
        self.now.state = state;
        self.now.message = api::condition::cut(message, 512);
    }

    /// Somebody is looked at because of an event of that time.
    pub(super) fn looked(&mut self, event: Timestamp) {
        if self.now.last_event.as_ref().is_none_or(|last| last.0 < event) {
            self.now.last_event = Some(Time(event));
        }
    }

    /// Somebody was dealt with.
    pub(super) fn changed(&mut self) {
        self.changed = true;
    }

    /// Whether a write is due.
    pub(super) fn due(&self, now: Instant) -> bool {
        if self.changed {
            return true;
        }
        let rested = self.written_at.is_none_or(|at| now.duration_since(at) >= self.floor);
        let Some(written) = &self.written else { return rested };
        let told = (written.state, &written.message, &written.last_event)
            == (self.now.state, &self.now.message, &self.now.last_event);
        let position = |status: &FastPathStatus| status.cursor.as_ref().map(|cursor| cursor.0);
        let lag = match (position(written), position(&self.now)) {
            (Some(written), Some(now)) => now.duration_since(written) > LAG,
            (None, Some(_)) => true,
            _ => false,
        };
        rested && (!told || lag)
    }

    /// A full pass begins, whose record is going to tell of it as well.
    pub(super) fn pass_begins(&mut self, now: Instant) {
        self.written_at = Some(now);
    }

    /// The record of a full pass said that much.
    pub(super) fn told_by_pass(&mut self, status: FastPathStatus) {
        self.written = Some(status);
    }

    /// That much was written.
    pub(super) fn wrote(&mut self, status: FastPathStatus, now: Instant) {
        self.written = Some(status);
        self.written_at = Some(now);
        self.changed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn written(shown: &mut Shown, now: Instant) {
        let status = shown.now().clone();
        shown.wrote(status, now);
    }

    // shown.rs, `due`.
    #[test]
    fn p09_a_log_in_which_nothing_happens_is_written_every_ten_minutes() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut shown = Shown::after(None, at(0), Duration::from_secs(15));
        shown.read(at(0));
        assert!(shown.due(start), "nothing was written before");
        written(&mut shown, start);
        let writes = (1..240).filter(|poll| {
            let second = poll * 15;
            shown.read(at(i64::try_from(second).unwrap()));
            let due = shown.due(after(second));
            if due {
                written(&mut shown, after(second));
            }
            due
        });
        assert_eq!(writes.count(), 5, "within an hour");
    }

    #[test]
    fn a_state_that_flickers_is_written_once_a_minute_and_a_person_at_once() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut shown = Shown::after(None, at(0), Duration::from_secs(15));
        shown.read(at(0));
        written(&mut shown, start);
        let mut writes = 0;
        for second in 1..=120 {
            if second % 2 == 0 {
                shown.read(at(i64::try_from(second).unwrap()));
            } else {
                shown.failed(FastPathState::Behind, "down");
            }
            if shown.due(after(second)) {
                written(&mut shown, after(second));
                writes += 1;
            }
        }
        assert!(writes <= 2, "{writes} writes in two minutes");
        shown.read(at(121));
        written(&mut shown, after(121));
        shown.looked(at(119));
        shown.looked(at(60));
        assert_eq!(shown.now().last_event, Some(Time(at(119))), "never back");
        assert!(!shown.due(after(122)), "a look that changed nothing has time");
        shown.changed();
        assert!(shown.due(after(122)));
    }

    // shown.rs, `joins`.
    #[test]
    fn p09_who_joins_a_log_that_is_read_already_has_nothing_to_add_to_the_record_of_its_first_pass() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut read = Shown::after(None, at(-600), Duration::from_secs(15));
        read.read(at(0));
        let mut shown = Shown::after(None, at(7), Duration::from_secs(15));
        shown.joins(read.now());
        shown.pass_begins(start);
        shown.told_by_pass(shown.now().clone());
        assert_eq!((shown.now().state, &shown.now().cursor), (FastPathState::Active, &Some(Time(at(7)))));
        shown.read(at(15));
        assert!(!shown.due(after(75)), "the floor is over, and nothing is new");

        // The first of all is not known to be read before it has been.
        let mut shown = Shown::after(None, at(7), Duration::from_secs(15));
        shown.pass_begins(start);
        shown.told_by_pass(shown.now().clone());
        shown.read(at(15));
        assert!(!shown.due(after(15)) && shown.due(after(75)), "said once, a minute after the pass");
    }

    #[test]
    fn a_restart_goes_on_from_what_was_written() {
        let before =
            FastPathStatus { state: FastPathState::Active, cursor: Some(Time(at(0))), ..FastPathStatus::default() };
        let mut shown = Shown::after(Some(before.clone()), at(9), Duration::from_secs(15));
        assert_eq!(shown.now(), &before);
        shown.read(at(15));
        assert!(!shown.due(Instant::now()), "a restart is no reason to write");
    }
}
