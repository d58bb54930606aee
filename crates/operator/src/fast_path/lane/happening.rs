//! Something that happens once in the life of a lane.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Something that happens once, which can be asked for and waited for. It takes 40 bytes, where a token or a channel takes
/// hundreds: lanes are many.
#[derive(Debug, Default)]
pub(super) struct Happening {
    happened: AtomicBool,
    told: Notify,
}

impl Happening {
    /// Now. Not for the first time, perhaps.
    pub(super) fn happens(&self) {
        self.happened.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    /// Whether it has happened.
    pub(super) fn has_happened(&self) -> bool {
        self.happened.load(Ordering::Acquire)
    }

    /// Returns when it has happened.
    pub(super) async fn wait(&self) {
        // Asked for before the look, so that what happens between the two is not missed.
        let told = self.told.notified();
        if !self.has_happened() {
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_is_told_and_whoever_comes_later_need_not_wait() {
        let happening = Happening::default();
        let (mut first, mut second) = (Box::pin(happening.wait()), Box::pin(happening.wait()));
        assert!(first.as_mut().now_or_never().is_none() && !happening.has_happened());
        happening.happens();
        happening.happens();
        assert!(happening.has_happened());
        first.await;
        assert!(second.as_mut().now_or_never().is_some(), "it had not looked before");
        happening.wait().await;
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<Happening>() <= 40, "{}", size_of::<Happening>());
    }
}
