//! How long and how often something is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::StatusCode;
use tokio::time::Instant;

use crate::error::OktaError;

/// Refusals because of a rate limit that one call sits out before it gives up.
const REFUSALS: u32 = 8;

/// Bounds for one call to Okta, tries and waits together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Longest time from the first byte sent to the last byte read of one try.
    pub timeout: Duration,
    /// Tries in all after server errors and broken connections; at least 1.
    pub tries: usize,
    /// Pause before the second try; doubles with each further one, with jitter.
    pub first_pause: Duration,
    /// Longest pause between two tries.
    pub longest_pause: Duration,
    /// Longest wait for rate limits, all waits of one call together. Okta's windows last a minute.
    pub longest_wait: Duration,
    /// Longest time that is lost to tries that failed and the pauses after them, over all pages of one list. What is
    /// waited for rate limits does not count.
    pub longest_trouble: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            tries: 5,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(15),
            longest_wait: Duration::from_secs(180),
            longest_trouble: Duration::from_secs(600),
        }
    }
}

/// What one call has left.
pub(crate) struct Effort {
    /// Waited for rate limits so far.
    pub(crate) waited: Duration,
    /// Lost to failed tries so far.
    pub(crate) lost: Duration,
    longest_trouble: Duration,
    began: Instant,
    /// How long the try took that was answered last; the answer may lie for a while before somebody looks at it.
    took: Option<Duration>,
    /// What of `waited` is known not to have been lost.
    excused: Duration,
    pauses: ExponentialBackoff,
    refusals: u32,
}

impl Patience {
    /// The same, for passes that follow each other at this interval: the trouble of one must not last into the next.
    #[must_use]
    pub fn within(self, interval: Duration) -> Self {
        Self { longest_wait: self.longest_wait.min(interval), longest_trouble: interval, ..self }
    }

    /// A fresh call.
    pub(crate) fn effort(&self) -> Effort {
        self.effort_after(Duration::ZERO)
    }

    /// A call of which others like it have lost this much time before.
    pub(crate) fn effort_after(&self, lost: Duration) -> Effort {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_max_times(self.tries.saturating_sub(1))
            .with_jitter()
            .build();
        Effort {
            waited: Duration::ZERO,
            lost,
            longest_trouble: self.longest_trouble,
            began: Instant::now(),
            took: None,
            excused: Duration::ZERO,
            pauses,
            refusals: 0,
        }
    }
}

impl Effort {
    /// The try was answered. Should the answer turn out to be useless, what went by until then is not lost to it.
    pub(crate) fn answered(&mut self) {
        self.took = Some(self.began.elapsed());
    }

    /// Waits where trying again can help; gives the error back where it cannot, or no longer.
    ///
    /// After 429 nothing is waited here: the governor keeps the next try until the reset. No other 4xx is tried again.
    pub(crate) async fn after(&mut self, error: OktaError) -> Result<(), OktaError> {
        let began = std::mem::replace(&mut self.began, Instant::now());
        let tried = self.took.take().unwrap_or_else(|| began.elapsed());
        let status = error.refusal().map(|refusal| refusal.status);
        if status == Some(StatusCode::TOO_MANY_REQUESTS.as_u16()) {
            self.refusals += 1;
            return if self.refusals < REFUSALS { Ok(()) } else { Err(error) };
        }
        if !error.is_fleeting() {
            return Err(error);
        }
        let excused = self.waited.saturating_sub(std::mem::replace(&mut self.excused, self.waited));
        self.lost += tried.saturating_sub(excused);
        if self.lost >= self.longest_trouble {
            return Err(error);
        }
        let Some(pause) = self.pauses.next() else { return Err(error) };
        tracing::debug!(%error, seconds = pause.as_secs_f32(), "trying again");
        tokio::time::sleep(pause).await;
        self.began = Instant::now();
        self.lost += pause;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Refusal;

    fn refused(status: u16) -> OktaError {
        OktaError::Refused(Box::new(Refusal { status, ..Refusal::default() }))
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_pass_is_tried_again_and_not_for_ever() {
        let broken = || OktaError::Unreachable { host: "h".to_owned(), cause: "c".to_owned() };
        for (error, tries) in [
            (refused(500), 5),
            (refused(502), 5),
            (refused(503), 5),
            (broken(), 5),
            (refused(429), 8),
            (refused(400), 1),
            (refused(401), 1),
            (refused(403), 1),
            (refused(404), 1),
            (OktaError::DpopDemanded, 1),
        ] {
            let mut effort = Patience::default().effort();
            let mut made = 1;
            while effort.after(error.clone()).await.is_ok() {
                made += 1;
            }
            assert_eq!(made, tries, "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_is_bounded_over_all_pages_of_a_list() {
        let patience = Patience::default().within(Duration::from_secs(60));
        assert_eq!(patience.longest_wait, Duration::from_secs(60));
        let (mut lost, mut failed) = (Duration::ZERO, 0);
        for _ in 0..100 {
            let mut effort = patience.effort_after(lost);
            tokio::time::advance(Duration::from_secs(7)).await;
            failed += usize::from(effort.after(refused(503)).await.is_err());
            lost = effort.lost;
        }
        // One try of 7 s and a pause of 0.5 to 1 s a page, until a minute is lost; from then on each failure is the end.
        assert!((91..=93).contains(&failed), "{failed}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_lay_until_it_was_found_useless_has_lost_only_the_time_it_took() {
        let mut effort = Patience::default().effort();
        tokio::time::advance(Duration::from_secs(7)).await;
        effort.answered();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(effort.after(refused(503)).await.is_ok());
        assert!((7.5..=8.0).contains(&effort.lost.as_secs_f64()), "{:?}", effort.lost);
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(effort.after(refused(503)).await.is_ok());
        assert!((15.5..=17.0).contains(&effort.lost.as_secs_f64()), "{:?}", effort.lost);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_are_bounded() {
        let began = tokio::time::Instant::now();
        let mut effort = Patience::default().effort();
        while effort.after(refused(503)).await.is_ok() {}
        // 0.5 + 1 + 2 + 4 s, each with up to as much again of jitter.
        assert!((7.5..=15.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    }
}
