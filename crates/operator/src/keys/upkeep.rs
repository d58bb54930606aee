//! What is kept in memory of a resource's keys between two looks: when to look again, and when Okta may be asked.

use api::{OktaUserSync, OktaUserSyncStatus, status::PublicKey};
use engine::failure::{Class, Failure, Side};
use jiff::{SignedDuration, Timestamp};

use super::{token, words};
use crate::pace::{self, Backoff};

/// How fast keys are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two questions to Okta about the next key. Okta throttles how often it reads a JWKS URL, so minutes.
    pub ask: Backoff,
    /// How long the former key stays after the next one is accepted. Tokens live an hour; what Okta keeps of a JWKS URL is
    /// not documented, so a day.
    pub overlap: SignedDuration,
}

impl Default for Pace {
    fn default() -> Self {
        let ask = Backoff { first: std::time::Duration::from_secs(30), most: std::time::Duration::from_secs(600) };
        Self { ask, overlap: SignedDuration::from_hours(24) }
    }
}

/// What is kept in memory of a resource's keys between two looks.
#[derive(Debug, Default)]
pub struct Upkeep {
    /// Whether this process has looked already.
    pub(super) looked: bool,
    /// When to look again, whatever else happens.
    pub(super) wake: Option<Timestamp>,
    /// Why a key could not be made or kept.
    pub(super) trouble: Option<Failure>,
    /// Name of the key that Okta refused in the last pass.
    pub(super) refused: Option<String>,
    /// What was asked about the next key.
    pub(super) asked: Option<Asked>,
}

/// A key that Okta is asked about.
#[derive(Debug)]
pub(super) struct Asked {
    kid: String,
    times: u32,
    pub(super) again: Timestamp,
}

impl Upkeep {
    /// When to look again.
    pub(crate) fn wake(&self) -> Option<Timestamp> {
        self.wake
    }

    /// Whether a look is due although no pass is.
    pub(super) fn due(&self, object: &OktaUserSync, status: &OktaUserSyncStatus, now: Timestamp) -> bool {
        let handled = status.public_key.as_ref().and_then(|key| key.last_handled_rotation.as_deref());
        !self.looked
            || self.wake.is_some_and(|wake| wake <= now)
            || (self.trouble.is_none() && token(object).is_some_and(|token| handled != Some(token)))
    }

    /// When Okta may be asked about the key `kid`; its first time is a moment after it was seen first.
    pub(super) fn ask_at(&mut self, kid: &str, pace: &Pace, now: Timestamp) -> Timestamp {
        match &self.asked {
            Some(asked) if asked.kid == kid => asked.again,
            _ => {
                let again = now + pace.ask.first;
                self.asked = Some(Asked { kid: kid.to_owned(), times: 0, again });
                again
            }
        }
    }

    /// Okta has said no.
    pub(super) fn said_no(&mut self, pace: &Pace, now: Timestamp) {
        if let Some(asked) = &mut self.asked {
            asked.times = asked.times.saturating_add(1);
            let wait = pace.ask.after(asked.times, pace.ask.most);
            asked.again = now + pace::jittered(wait, &format!("{}/{}", asked.kid, asked.times));
        }
    }

    /// Puts a refusal of the key into words that fit one that the operator made; answers the words before.
    pub(super) fn retell(&mut self, object: &OktaUserSync, key: &PublicKey, failure: &mut Failure) -> Option<String> {
        let refused = failure.side == Side::Okta && failure.class == Class::Credential;
        if !refused || !matches!(failure.reason, "KeyUnknown" | "KeyNotRegistered") {
            return None;
        }
        self.refused = Some(key.kid.clone());
        let before = api::condition::cut(&failure.message, 512);
        *failure = words::not_accepted(object, key, &failure.message);
        Some(before)
    }
}
