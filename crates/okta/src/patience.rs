//! How long and how often something is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::StatusCode;

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
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            tries: 5,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(15),
            longest_wait: Duration::from_secs(180),
        }
    }
}

/// What one call has left.
pub(crate) struct Effort {
    /// Waited for rate limits so far.
    pub(crate) waited: Duration,
    pauses: ExponentialBackoff,
    refusals: u32,
}

impl Patience {
    /// A fresh call.
    pub(crate) fn effort(&self) -> Effort {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_max_times(self.tries.saturating_sub(1))
            .with_jitter()
            .build();
        Effort { waited: Duration::ZERO, pauses, refusals: 0 }
    }
}

impl Effort {
    /// Waits where trying again can help; gives the error back where it cannot, or no longer.
    ///
    /// After 429 nothing is waited here: the governor keeps the next try until the reset. No other 4xx is tried again.
    pub(crate) async fn after(&mut self, error: OktaError) -> Result<(), OktaError> {
        let status = error.refusal().map(|refusal| refusal.status);
        if status == Some(StatusCode::TOO_MANY_REQUESTS.as_u16()) {
            self.refusals += 1;
            return if self.refusals < REFUSALS { Ok(()) } else { Err(error) };
        }
        if !error.is_fleeting() {
            return Err(error);
        }
        let Some(pause) = self.pauses.next() else { return Err(error) };
        tracing::debug!(%error, seconds = pause.as_secs_f32(), "trying again");
        tokio::time::sleep(pause).await;
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
    async fn pauses_grow_and_are_bounded() {
        let began = tokio::time::Instant::now();
        let mut effort = Patience::default().effort();
        while effort.after(refused(503)).await.is_ok() {}
        // 0.5 + 1 + 2 + 4 s, each with up to as much again of jitter.
        assert!((7.5..=15.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    }
}
