//! One call to one organisation, with its budget, its clock and its count.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;

use crate::{
    clock::ServerClock,
    error::OktaError,
    governor::{Bucket, Governor, Share, Turn},
    http::{Answer, Credentials, Http, Target},
    patience::Patience,
};

/// What goes to the token endpoint.
pub(crate) struct TokenRequest {
    pub(crate) form: Vec<(&'static str, String)>,
    pub(crate) proof: Option<HeaderValue>,
}

/// The way to one organisation.
pub(crate) struct Wire {
    pub(crate) http: Arc<Http>,
    pub(crate) clock: Arc<ServerClock>,
    pub(crate) patience: Patience,
    governor: Governor,
    percent: u8,
    calls: AtomicU64,
}

impl Wire {
    pub(crate) fn new(http: Http, governor: Governor, percent: u8, patience: Patience) -> Self {
        let (http, clock) = (Arc::new(http), Arc::new(ServerClock::new()));
        Self { http, clock, patience, governor, percent, calls: AtomicU64::new(0) }
    }

    /// The same way, whose calls are counted from nothing.
    pub(crate) fn counting_anew(&self) -> Self {
        let (http, clock, governor) = (self.http.clone(), self.clock.clone(), self.governor.clone());
        Self { http, clock, patience: self.patience, governor, percent: self.percent, calls: AtomicU64::new(0) }
    }

    /// Calls made so far, whatever came of them.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// What is known of the rate limits.
    pub(crate) fn governor(&self) -> &Governor {
        &self.governor
    }

    /// Share of each rate limit that may be used, in percent.
    pub(crate) fn percent(&self) -> u8 {
        self.percent
    }

    /// One GET. The credentials are made after the wait for the budget, as a proof grows old.
    pub(crate) async fn get(
        &self,
        target: &Target,
        waited: &mut Duration,
        credentials: impl FnOnce() -> Result<Credentials, OktaError>,
    ) -> Result<Answer, OktaError> {
        let place = (Bucket::of(&target.path), Turn::of(&target.path));
        self.within_budget(place, waited, async || self.http.get(target, credentials()?).await).await
    }

    /// One POST to the token endpoint; form and proof are made after the wait for the budget.
    pub(crate) async fn post_token(
        &self,
        waited: &mut Duration,
        content: impl FnOnce() -> Result<TokenRequest, OktaError>,
    ) -> Result<Answer, OktaError> {
        self.within_budget((Bucket::Token, Turn::Ahead), waited, async || {
            let TokenRequest { form, proof } = content()?;
            let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            self.http.post_token(&form, proof).await
        })
        .await
    }

    async fn within_budget(
        &self,
        place: (Bucket, Turn),
        waited: &mut Duration,
        call: impl AsyncFnOnce() -> Result<Answer, OktaError>,
    ) -> Result<Answer, OktaError> {
        let share = Share { percent: self.percent, longest: self.patience.longest_wait };
        let permit = self.governor.admit(place, share, waited).await?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = call().await?;
        self.clock.observe(&answer.headers);
        permit.settle(answer.status, &answer.headers);
        Ok(answer)
    }
}
