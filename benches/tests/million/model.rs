//! What cannot run here: an organisation of a million people under Okta's real rate limits.
//!
//! The governor is the product's own; time is virtual (tokio's paused clock), so that hours pass at once; and what stands on
//! the other side is Okta's arithmetic alone: calls counted by bucket in windows of a minute that begin with their first
//! call. Everything else that takes time is a constant of [`Rates`], named with its source. The same day gives the same figures.

use std::{collections::HashMap, future::Future, time::Duration};

use http::{HeaderMap, StatusCode};
use okta::{
    Bucket, Governor, OktaError,
    governor::{Share, Turn},
};
use tokio::time::{Instant, sleep, sleep_until};

/// People on one page of an app.
const PAGE: u64 = 500;

/// Longest wait of a list's call for its budget; a window is a minute.
const PATIENCE: Duration = Duration::from_secs(600);

/// How fast everything but Okta's rate limits is.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// One page of 500 people with their users. Reference: between half a second and two in real organisations.
    pub page: Duration,
    /// One person by id.
    pub single: Duration,
    /// Users made a second: the operator's default bound.
    pub creates: u32,
    /// Teleport's list of as many users, per thousand.
    pub thousand_users: Duration,
    /// From a lock's storing to its being in force: a second (measured on a real server at rest).
    pub lock: Duration,
    /// Between two looks at the System Log: the operator's default.
    pub poll: Duration,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            page: Duration::from_secs(1),
            single: Duration::from_millis(150),
            creates: 300,
            thousand_users: Duration::from_millis(100),
            lock: Duration::from_secs(1),
            poll: Duration::from_secs(15),
        }
    }
}

/// A licence of Okta's, with its limits in calls a minute (reference: okta-api §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Licence {
    /// One App and Enterprise.
    Enterprise,
    /// Workforce.
    Workforce,
}

impl Licence {
    fn limit(self, bucket: Bucket) -> u32 {
        let [enterprise, workforce] = match bucket {
            Bucket::Apps => [100, 100],
            Bucket::App | Bucket::Groups => [600, 500],
            Bucket::Group => [600, 1000],
            Bucket::Users => [600, 600],
            Bucket::User => [1000, 2000],
            Bucket::Logs => [50, 120],
            Bucket::Other => [600, 1200],
            Bucket::Token => [1200, 2000],
            Bucket::Free => [u32::MAX; 2],
        };
        match self {
            Self::Enterprise => enterprise,
            Self::Workforce => workforce,
        }
    }
}

/// What answers calls: the model's arithmetic, or the simulator in a test.
pub trait Answers {
    /// The answer to one call in that bucket, at that time since the beginning.
    fn answer(&mut self, bucket: Bucket, at: Duration) -> impl Future<Output = (StatusCode, HeaderMap)>;
}

/// Okta's arithmetic.
pub struct Arithmetic {
    licence: Licence,
    /// Calls in the window, and when it ends.
    windows: HashMap<Bucket, (u32, Duration)>,
    refusals: u64,
}

/// Any moment: only differences matter.
const EPOCH: i64 = 1_770_000_000;

impl Arithmetic {
    /// Nothing called yet.
    pub fn of(licence: Licence) -> Self {
        Self { licence, windows: HashMap::new(), refusals: 0 }
    }
}

impl Answers for Arithmetic {
    async fn answer(&mut self, bucket: Bucket, at: Duration) -> (StatusCode, HeaderMap) {
        let limit = self.licence.limit(bucket);
        let window = self.windows.entry(bucket).or_insert((0, at + Duration::from_secs(60)));
        if window.1 <= at {
            *window = (0, at + Duration::from_secs(60));
        }
        window.0 += 1;
        let refused = window.0 > limit;
        self.refusals += u64::from(refused);
        let seconds = |at: Duration| EPOCH + i64::try_from(at.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        let date = jiff::Timestamp::from_second(EPOCH + i64::try_from(at.as_secs()).unwrap_or_default());
        let date = date.map(|date| date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).unwrap_or_default();
        let headers = [
            ("x-rate-limit-limit", limit.to_string()),
            ("x-rate-limit-remaining", limit.saturating_sub(window.0).to_string()),
            ("x-rate-limit-reset", seconds(window.1).to_string()),
            ("date", date),
        ];
        let headers = headers.into_iter().filter_map(|(name, value)| {
            Some((http::HeaderName::from_static(name), http::HeaderValue::from_str(&value).ok()?))
        });
        (if refused { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK }, headers.collect())
    }
}

/// What the model says of an organisation.
#[derive(Clone, Copy, Debug)]
pub struct Forecast {
    /// Reading and making everybody.
    pub first_import: Duration,
    /// A pass that finds nothing to do.
    pub no_change: Duration,
    /// From an event to a lock in force, while a full pass reads: the middle, and all but one in twenty.
    pub lock_middle: Duration,
    /// All but one in twenty.
    pub lock_most: Duration,
    /// Answers 429 in all of it.
    pub refusals: u64,
}

/// A drive through the calls, under the product's governor.
pub struct Drive<'a, A> {
    /// The product's.
    pub governor: Governor,
    /// Share of each bucket.
    pub percent: u8,
    /// When the model's time began.
    pub began: Instant,
    /// The other side.
    pub answers: &'a tokio::sync::Mutex<A>,
}

impl<A: Answers> Drive<'_, A> {
    /// One call, with its wait for the budget and the time that it takes.
    async fn call(&self, bucket: Bucket, turn: Turn, takes: Duration) -> Result<(), OktaError> {
        let share = Share { percent: self.percent, longest: PATIENCE };
        let mut waited = Duration::ZERO;
        loop {
            let permit = self.governor.admit((bucket, turn), share, &mut waited).await?;
            let (status, headers) = self.answers.lock().await.answer(bucket, self.began.elapsed()).await;
            sleep(takes).await;
            permit.settle(status, &headers);
            if status == StatusCode::OK {
                return Ok(());
            }
        }
    }

    /// Token and app, and everybody page by page.
    async fn read(&self, people: u64, rates: &Rates) -> Result<Duration, OktaError> {
        let began = Instant::now();
        self.call(Bucket::Token, Turn::Ahead, rates.single).await?;
        self.call(Bucket::App, Turn::Ahead, rates.single).await?;
        self.read_pages(people, rates).await?;
        Ok(began.elapsed())
    }

    /// Everybody, page by page.
    pub async fn read_pages(&self, people: u64, rates: &Rates) -> Result<Duration, OktaError> {
        let began = Instant::now();
        for _ in 0..people.div_ceil(PAGE) {
            self.call(Bucket::Apps, Turn::Page, rates.page).await?;
        }
        Ok(began.elapsed())
    }

    /// From the event to the lock in force, for each of so many leavers, one every `apart`.
    async fn leavers(&self, leavers: u32, apart: Duration, rates: &Rates) -> Result<Vec<Duration>, OktaError> {
        let mut taken = Vec::new();
        let began = Instant::now();
        let mut next_poll = began + rates.poll;
        let (mut seen, mut told) = (0, 0);
        while told < leavers {
            sleep_until(next_poll).await;
            next_poll = Instant::now() + rates.poll;
            self.call(Bucket::Logs, Turn::Ahead, rates.single).await?;
            while seen < leavers && began + apart * seen <= Instant::now() {
                seen += 1;
            }
            for leaver in told..seen {
                self.call(Bucket::User, Turn::Ahead, rates.single).await?;
                taken.push((began + apart * leaver).elapsed() + rates.lock);
            }
            told = seen;
        }
        taken.sort_unstable();
        Ok(taken)
    }
}

/// What an organisation of so many people has to expect, at that share of the rate limits. Needs a paused clock.
pub async fn forecast(licence: Licence, percent: u8, people: u64, rates: Rates) -> Result<Forecast, OktaError> {
    let answers = tokio::sync::Mutex::new(Arithmetic::of(licence));
    let drive = Drive { governor: Governor::new(), percent, began: Instant::now(), answers: &answers };
    let (read, locks) =
        tokio::join!(drive.read(people, &rates), drive.leavers(100, Duration::from_millis(7300), &rates));
    let (read, locks) = (read?, locks?);
    let list = rates.thousand_users * u32::try_from(people.div_ceil(1000)).unwrap_or(u32::MAX);
    let creating = Duration::from_secs(people.div_ceil(u64::from(rates.creates)));
    let at = |share: usize| locks.get((locks.len() * share / 100).min(locks.len() - 1)).copied().unwrap_or_default();
    let refusals = answers.lock().await.refusals;
    Ok(Forecast {
        first_import: read + creating,
        no_change: list + read,
        lock_middle: at(50),
        lock_most: at(95),
        refusals,
    })
}
