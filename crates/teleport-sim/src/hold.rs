//! A server that falls silent after its n-th write: the write is done, nobody hears of it, and no further call is let in. So a test can end a client
//! between any two of its writes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The calls that write.
const WRITES: [&str; 6] = ["CreateUser", "UpdateUser", "UpsertUser", "DeleteUser", "UpsertLock", "DeleteLock"];

/// Whether calls are answered.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// So many writes more are answered but for the last one's answer; `None`: all.
    left: Mutex<Option<u64>>,
    silent: watch::Sender<bool>,
}

impl Hold {
    /// Falls silent after so many writes from now on; at once for 0.
    pub(crate) fn after(&self, writes: u64) {
        *self.left() = Some(writes).filter(|writes| *writes > 0);
        self.silent.send_replace(writes == 0);
    }

    /// Answers again, what was left unanswered first.
    pub(crate) fn release(&self) {
        *self.left() = None;
        self.silent.send_replace(false);
    }

    /// Whether it is silent.
    pub(crate) fn is_silent(&self) -> bool {
        *self.silent.borrow()
    }

    /// Calls that wait to be let in or to be answered.
    pub(crate) fn waiting(&self) -> usize {
        // Each of them looks on for the end of the silence.
        self.silent.receiver_count()
    }

    /// Returns when calls are answered.
    pub(crate) async fn answering(&self) {
        // An error would mean that the sender is gone, which is ours.
        let _ = self.silent.subscribe().wait_for(|silent| !silent).await;
    }

    /// Counts a call that was done.
    pub(crate) fn count(&self, method: &str) {
        let mut left = self.left();
        if let Some(writes) = left.filter(|_| WRITES.contains(&method)) {
            *left = Some(writes - 1).filter(|writes| *writes > 0);
            if left.is_none() {
                self.silent.send_replace(true);
            }
        }
    }

    fn left(&self) -> MutexGuard<'_, Option<u64>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
