//! The fast path of one resource: how far its log was read, and whom it owes a look.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use api::{
    OktaUserSyncStatus,
    spec::FastPath as Wanted,
    status::{FastPathState, FastPathStatus},
};
use engine::{
    failure::Failure,
    feed::{Hint, Owed, Watch},
    report::Read,
};
use jiff::{SignedDuration, Timestamp};

use self::happening::Happening;
use super::shown::Shown;
use crate::{reconcile::Generation, resolve::Print};

mod happening;
mod setup;
mod work;

pub(crate) use setup::Setup;

/// Of so many people a full pass is the cheaper way.
const CROWD: usize = 200;

/// Between two wishes for a full pass.
const WISH_WAIT: Duration = Duration::from_secs(60);

/// The fast path of one resource.
pub(crate) struct Lane {
    uid: String,
    setup: Mutex<Setup>,
    state: Mutex<State>,
    /// Held while a partial pass runs: there is one at a time.
    working: tokio::sync::Mutex<()>,
    /// Nothing more begins here, and nothing more is written.
    shut: Happening,
    /// What has written is not waited for any longer either.
    given_up: Happening,
    /// A full pass is under way.
    passing: AtomicBool,
    /// A poll has had an answer for it.
    polled: Happening,
}

struct State {
    shown: Shown,
    owed: Owed,
    /// How often somebody who is owed was tried.
    tries: HashMap<String, u32>,
    /// Why the log may not be read; mostly it may.
    refusal: Option<Box<Failure>>,
    /// An earlier process read the log as far as that, and this one has not told it yet what came then.
    left_at: Option<Timestamp>,
    wished: Option<Instant>,
    wish: Option<String>,
    /// Seconds that Okta's clock is ahead.
    ahead: SignedDuration,
}

impl Lane {
    pub(super) fn new(uid: String, setup: Setup, written: Option<FastPathStatus>, interval: Duration) -> Self {
        // Where an earlier process was; else from now on, as the full pass that begins reads everybody.
        let left_at = written.as_ref().and_then(|status| status.cursor.as_ref()).map(|cursor| cursor.0);
        let since = left_at.unwrap_or_else(Timestamp::now);
        let state = State {
            shown: Shown::after(written, since, interval),
            owed: Owed::default(),
            tries: HashMap::new(),
            refusal: None,
            left_at,
            wished: None,
            wish: None,
            ahead: SignedDuration::ZERO,
        };
        Self {
            uid,
            setup: Mutex::new(setup),
            state: Mutex::new(state),
            working: tokio::sync::Mutex::new(()),
            shut: Happening::default(),
            given_up: Happening::default(),
            passing: AtomicBool::new(false),
            polled: Happening::default(),
        }
    }

    /// Begins with what another lane knows of the same log: the poll that both share has told it already (P9: so the record
    /// of the first pass says all there is to say, and nothing has to be written after it).
    pub(super) fn join(&self, other: &Self) {
        let (read, refusal) = {
            let other = other.state();
            (other.shown.now().clone(), other.refusal.clone())
        };
        let mut state = self.state();
        state.shown.joins(&read);
        state.refusal = refusal;
        drop(state);
        self.polled.happens();
    }

    /// Whether a poll has had an answer for it.
    pub(super) fn has_polled(&self) -> bool {
        self.polled.has_happened()
    }

    pub(super) fn set_up(&self, setup: Setup) {
        *self.setup() = setup;
    }

    /// A full pass has ended with this status: what it remembers counts from now on, and whoever was owed when it began
    /// was dealt with if it read everybody.
    pub(crate) fn passed(&self, status: &OktaUserSyncStatus, read: &Read, owed_before: &HashSet<String>) {
        self.passing.store(false, Ordering::Release);
        self.setup().learn(status);
        let mut state = self.state();
        if *read == Read::Complete {
            state.owed.drop_people(owed_before);
            state.tries.retain(|okta_id, _| !owed_before.contains(okta_id));
        }
        if let Some(written) = &status.fast_path {
            state.shown.told_by_pass(written.clone());
        }
    }

    /// A full pass begins. Answers who is owed now: whoever it reads everybody after.
    pub(crate) fn begins(&self) -> HashSet<String> {
        self.passing.store(true, Ordering::Release);
        let mut state = self.state();
        state.shown.pass_begins(Instant::now());
        state.owed.people()
    }

    /// What status says of it.
    pub(crate) fn status(&self) -> FastPathStatus {
        self.state().shown.now().clone()
    }

    /// Returns when the log has answered once, with whatever.
    pub(crate) async fn polled(&self) {
        self.polled.wait().await;
    }

    /// Why the log may not be read, if that was the last answer.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        self.state().refusal.as_deref().cloned()
    }

    pub(super) fn uid(&self) -> &str {
        &self.uid
    }

    pub(super) fn generation(&self) -> Generation {
        self.setup().generation.clone()
    }

    pub(super) fn print(&self) -> Print {
        self.setup().print
    }

    pub(super) fn watch(&self) -> Watch {
        self.setup().watch.clone()
    }

    pub(super) fn demands(&self, wanted: Wanted) -> bool {
        self.setup().wanted == wanted
    }

    /// From where on the log matters to it.
    pub(super) fn since(&self) -> Timestamp {
        let state = self.state();
        state
            .left_at
            .or_else(|| state.shown.now().cursor.as_ref().map(|cursor| cursor.0))
            .unwrap_or_else(Timestamp::now)
    }

    /// Where an earlier process left the log, if nothing has been told since.
    pub(super) fn left_at(&self) -> Option<Timestamp> {
        self.state().left_at
    }

    /// The log was read to there, and named these people. Answers whether it had not been granted before.
    pub(super) fn read(&self, to: Timestamp, hints: &[Arc<Hint>], ahead: SignedDuration) -> bool {
        let mut state = self.state();
        state.left_at = None;
        state.ahead = ahead;
        state.shown.read(to);
        for hint in hints {
            state.shown.looked(hint.at);
        }
        state.owed.add(hints.iter().cloned());
        if state.owed.disperse(CROWD) {
            state.wish = Some(format!("more than {CROWD} people are named at once"));
        }
        let granted_now = state.refusal.take().is_some();
        drop(state);
        self.polled.happens();
        granted_now
    }

    /// The log could not be read. Answers whether it had been granted before.
    pub(super) fn failed(&self, to: FastPathState, message: &str, refusal: Option<Failure>) -> bool {
        let mut state = self.state();
        let refused_now = refusal.is_some() && state.refusal.is_none() && self.polled.has_happened();
        state.shown.failed(to, message);
        // What cannot be read at the moment is not thereby granted.
        state.refusal = refusal.map(Box::new).or_else(|| state.refusal.take());
        drop(state);
        self.polled.happens();
        refused_now
    }

    /// Whether a full pass may be wished for now; else the wish is kept.
    pub(super) fn may_want(&self, why: &str) -> bool {
        let mut state = self.state();
        if state.wished.is_some_and(|at| at.elapsed() < WISH_WAIT) {
            state.wish = Some(why.to_owned());
            return false;
        }
        state.wished = Some(Instant::now());
        state.wish = None;
        true
    }

    /// A wish that came too soon after another.
    pub(super) fn waiting_wish(&self) -> Option<String> {
        self.state().wish.clone()
    }

    /// Nothing more begins, and what is under way writes nothing more; if it has written nothing so far, it ends at once.
    pub(super) fn shut(&self) {
        self.shut.happens();
    }

    /// The same, and waits for the end of what is under way, but for so long at most: an answer that does not come must not
    /// hold up the end of the resource (P15).
    pub(super) async fn close(&self, most: Duration) {
        self.shut();
        if tokio::time::timeout(most, self.working.lock()).await.is_err() {
            self.given_up.happens();
            drop(self.working.lock().await);
        }
    }

    /// Returns when a partial pass is to be broken off. One that has written is waited for a while, so that a write under way
    /// is not overtaken by what comes after it.
    async fn broken_off(&self, wrote: &AtomicBool) {
        self.shut.wait().await;
        if wrote.load(Ordering::Relaxed) {
            self.given_up.wait().await;
        }
    }

    fn is_shut(&self) -> bool {
        self.shut.has_happened()
    }

    fn setup(&self) -> MutexGuard<'_, Setup> {
        self.setup.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one for each resource, whether anything happens or not: what is large and rare is kept elsewhere.
    #[test]
    fn what_is_kept_of_a_lane_is_small() {
        assert!(size_of::<Lane>() <= 1040, "{}", size_of::<Lane>());
    }
}
