//! The list of users that was read last, for all who live on the same line.
//!
//! They see the cluster by one identity, so each of them would read the same: a hundred resources of one cluster would list
//! everybody in it a hundred times. Whoever needs a list while one is being read waits for it, and reads the next one if that
//! began too early.

use std::{sync::Arc, time::Instant};

use engine::{
    census::{Census, SHARED_FOR},
    failure::Failure,
};
use tokio::sync::Mutex;

/// What came of the last reading.
struct Last {
    began: Instant,
    read: Result<Arc<Census>, Failure>,
}

/// Where it is kept, for [`SHARED_FOR`] and no longer: a large cluster's list is megabytes.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Option<Last>>);

impl Shelf {
    /// A list that was begun no earlier than `since`: one that is there, or else what `read` reads. That a reading failed is
    /// told to those who were waiting when it began, and to nobody else.
    pub(crate) async fn take(
        self: &Arc<Self>,
        since: Instant,
        read: impl Future<Output = Result<Census, Failure>>,
    ) -> Result<Arc<Census>, Failure> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(Last { began, read }) = &*last
            && *began >= if read.is_ok() { since } else { asked }
        {
            return read.clone();
        }
        // Whoever still needs the old one has it.
        *last = None;
        let began = Instant::now();
        let read = read.await.map(Arc::new);
        *last = Some(Last { began, read: read.clone() });
        self.forget_later(began);
        read
    }

    fn forget_later(self: &Arc<Self>, began: Instant) {
        let there = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(SHARED_FOR).await;
            if let Some(there) = there.upgrade() {
                there.0.lock().await.take_if(|last| last.began <= began);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use engine::failure::{Class, Side};
    use futures::future::join_all;

    use super::*;

    fn failure() -> Failure {
        Failure::new(Side::Teleport, Class::Transient, "Down", "it is down", "wait")
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_for_a_reading_share_the_next_one() {
        let (shelf, readings) = (Arc::<Shelf>::default(), AtomicUsize::new(0));
        let read = || async {
            readings.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Census::default())
        };
        let first = shelf.take(Instant::now(), read());
        let others = join_all((0..9).map(|_| async {
            // By now the first one reads.
            tokio::task::yield_now().await;
            shelf.take(Instant::now(), read()).await.unwrap()
        }));
        let (first, others) = tokio::join!(first, others);
        assert_eq!(readings.load(Ordering::Relaxed), 2, "what began before they asked is too old for them");
        assert!(
            others.iter().all(|other| Arc::ptr_eq(other, &others[0]) && !Arc::ptr_eq(other, &first.clone().unwrap()))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_serves_whoever_may_take_an_older_one_and_is_forgotten_then() {
        let shelf = Arc::<Shelf>::default();
        let before = Instant::now();
        let list = shelf.take(before, async { Ok(Census::default()) }).await.unwrap();
        let taken = shelf.take(before, async { Err(failure()) }).await.unwrap();
        assert!(Arc::ptr_eq(&list, &taken), "nothing was read");
        drop((list, taken));
        assert_eq!(shelf.take(Instant::now(), async { Err(failure()) }).await.err(), Some(failure()));
        shelf.take(before, async { Ok(Census::default()) }).await.unwrap();
        let kept = || async { shelf.0.lock().await.is_some() };
        tokio::time::sleep(SHARED_FOR * 9 / 10).await;
        assert!(kept().await);
        tokio::time::sleep(SHARED_FOR).await;
        assert!(!kept().await, "a list takes memory");
    }

    #[tokio::test(start_paused = true)]
    async fn that_a_reading_failed_is_told_to_those_who_waited_for_it_alone() {
        let (shelf, readings) = (Arc::<Shelf>::default(), AtomicUsize::new(0));
        let before = Instant::now();
        let fail = || async {
            readings.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Err(failure())
        };
        let busy = shelf.take(before, fail());
        let waiting = join_all((0..9).map(|_| async {
            tokio::task::yield_now().await;
            shelf.take(before, fail()).await.err()
        }));
        let (_, told) = tokio::join!(busy, waiting);
        assert_eq!((told, readings.load(Ordering::Relaxed)), (vec![Some(failure()); 9], 2));
        assert!(
            shelf.take(before, async { Ok(Census::default()) }).await.is_ok(),
            "who comes later reads for themselves"
        );
    }

    #[tokio::test]
    async fn whoever_gives_up_while_reading_leaves_it_to_the_next() {
        let shelf = Arc::<Shelf>::default();
        let given_up =
            tokio::time::timeout(Duration::from_millis(1), shelf.take(Instant::now(), std::future::pending()));
        assert!(given_up.await.is_err());
        assert!(shelf.take(Instant::now(), async { Ok(Census::default()) }).await.is_ok());
    }
}
