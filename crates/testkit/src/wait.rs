//! Waiting for a condition with a deadline: what tests do instead of sleeping.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Between the first two looks; doubled after each, up to [`SLOWEST`].
const FASTEST: Duration = Duration::from_millis(10);

/// Between two looks at most.
const SLOWEST: Duration = Duration::from_millis(200);

/// The time was up before the condition held.
#[derive(thiserror::Error)]
#[error("after {} s still waiting for {what}; last seen: {last}", within.as_secs_f64())]
pub struct TimedOut {
    /// How long it was given.
    pub within: Duration,
    /// What was waited for.
    pub what: String,
    /// What the last look saw.
    pub last: String,
}

/// The same words as `Display`: a test that unwraps should show the sentence.
impl fmt::Debug for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Looks until `look` answers `Ok`, and gives that value. `Err` says what was seen instead; the last one goes into the
/// error when `within` is over. A look that hangs counts as none.
///
/// ```
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut looks = 0;
/// let third = testkit::eventually(Duration::from_secs(5), "the third look", async || {
///     looks += 1;
///     if looks >= 3 { Ok(looks) } else { Err(format!("look {looks}")) }
/// });
/// assert_eq!(third.await.unwrap(), 3);
/// # }
/// ```
///
/// # Errors
/// [`TimedOut`] with the last thing seen.
pub async fn eventually<T, E: fmt::Display>(
    within: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, TimedOut> {
    let deadline = Instant::now() + within;
    let mut pause = FASTEST;
    let mut last = "nothing".to_owned();
    loop {
        match timeout_at(deadline, look()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => last = seen.to_string(),
            Err(_) => {}
        }
        if Instant::now() + pause >= deadline {
            return Err(TimedOut { within, what: what.to_owned(), last });
        }
        sleep(pause).await;
        pause = (pause * 2).min(SLOWEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_error_says_what_was_awaited_and_what_was_seen_last() {
        let error = eventually(Duration::from_millis(50), "a lock on ada", async || Err::<(), _>("no locks"))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "after 0.05 s still waiting for a lock on ada; last seen: no locks");
        assert_eq!(format!("{error:?}"), error.to_string());
    }

    #[tokio::test]
    async fn a_look_that_hangs_ends_at_the_deadline_with_what_was_seen_before() {
        let mut looks = 0;
        let error = eventually(Duration::from_millis(50), "an answer", async || {
            looks += 1;
            if looks > 1 {
                std::future::pending::<()>().await;
            }
            Err::<(), _>("a shrug")
        })
        .await
        .unwrap_err();
        assert_eq!(error.last, "a shrug");
    }
}
