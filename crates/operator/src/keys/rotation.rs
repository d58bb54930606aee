//! Which key is in use, and what is to be done next: a function over values.
//!
//! Keys are numbered; a later one has a higher number. A key goes through these stations:
//!
//! ```text
//!   made ──published──▶ next ──Okta accepts it──▶ in use ──the next one is accepted──▶ previous ──a day──▶ gone
//!                                                   ▲                                      │
//!                                                   └──────── Okta refuses its successor ──┘
//! ```
//!
//! The first key is in use from the start, accepted or not, as there is no other. What has happened is known from two
//! places that are never written together: the Secrets say which keys there are, status says which of them is in use. So
//! each rule below has to be right for any Secrets beside any former status, whichever of the two writes was lost:
//!
//! * a Secret above the key in use is its successor, whether status knows it or not: it is adopted, never made twice;
//! * a Secret below it that status does not call the previous one is of no use any more, and goes;
//! * a status that names a key without a Secret has lost it: its successor takes its place, else the one before, and then
//!   a successor is made.
//!
//! Status names a key before Okta is asked about it, because that is what publishes it.

use jiff::{SignedDuration, Timestamp};

/// A key that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its number; a later key has a higher one.
    pub number: u32,
    /// Its name.
    pub kid: String,
    /// When it was made.
    pub created: Timestamp,
}

/// What status remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Name of the key in use.
    pub in_use: Option<String>,
    /// When Okta was first seen to accept it.
    pub accepted: Option<Timestamp>,
    /// Name of the key before, and when it goes.
    pub previous: Option<(String, Timestamp)>,
    /// Last token of the annotation that was carried out.
    pub handled: Option<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// Token of the annotation.
    pub token: Option<&'a str>,
    /// Age at which a key is changed.
    pub every: Option<SignedDuration>,
}

/// What was seen of Okta.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sight<'a> {
    /// Name of the key that Okta has just refused.
    pub refused: Option<&'a str>,
    /// When Okta may be asked about the next key. `None`: it is not published yet.
    pub ask_at: Option<Timestamp>,
}

/// Why a key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There was none.
    First,
    /// The Secret of the one in use is gone.
    Lost,
    /// The annotation asks for it.
    Asked,
    /// The one in use is old.
    Age,
}

impl Why {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::First => "there is none",
            Self::Lost => "the Secret of the one in use is gone",
            Self::Asked => "the annotation usersync.dev/rotate-key asks for it",
            Self::Age => "the one in use has reached the age of okta.keyRotation",
        }
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a key of this number, then look again.
    Make(u32, Why),
    /// Ask Okta whether it accepts this key; if so [`State::accepted`].
    Ask(String),
    /// Take the one before back into use: [`State::revert`].
    Revert,
    /// Delete the Secret of this key: [`State::removed`].
    Remove(String),
    /// Nothing before that time.
    Rest(Option<Timestamp>),
}

/// All keys of a resource, and their stations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// By number, ascending.
    keys: Vec<Key>,
    /// What is to be remembered.
    memory: Memory,
    /// The key that status named has no Secret any more, and no successor.
    lost: bool,
    /// Status has never told of the key in use.
    fresh: bool,
}

impl State {
    /// The stations of these keys, as far as `memory` tells.
    #[must_use]
    pub fn new(mut keys: Vec<Key>, mut memory: Memory) -> Self {
        keys.sort_by_key(|key| key.number);
        let named = memory.in_use.take();
        let found = named.as_ref().and_then(|kid| keys.iter().find(|key| key.kid == *kid));
        let lost = named.is_some() && found.is_none();
        if found.is_none() {
            memory.accepted = None;
        }
        // Of several the oldest: if a newer one is good already, Okta will say so.
        let in_use = found.or(keys.first()).cloned();
        // A successor that was there already takes the place of a lost key; the one before only stands in for it.
        let stands_in = memory.previous.as_ref().map(|(kid, _)| kid) == in_use.as_ref().map(|key| &key.kid);
        let below = |kid: &str| {
            in_use.as_ref().is_some_and(|used| keys.iter().any(|key| key.kid == kid && key.number < used.number))
        };
        memory.previous = memory.previous.filter(|(kid, _)| below(kid));
        memory.in_use = in_use.map(|key| key.kid);
        Self { lost: lost && stands_in, keys, memory, fresh: named.is_none() }
    }

    /// What is to be remembered.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The key in use.
    #[must_use]
    pub fn in_use(&self) -> Option<&Key> {
        self.keys.iter().find(|key| self.memory.in_use.as_ref() == Some(&key.kid))
    }

    /// The one that follows it.
    #[must_use]
    pub fn next(&self) -> Option<&Key> {
        let used = self.in_use()?;
        self.keys.iter().find(|key| key.number > used.number)
    }

    /// The one before it, and when that goes.
    #[must_use]
    pub fn previous(&self) -> Option<(&Key, Timestamp)> {
        let (kid, until) = self.memory.previous.as_ref()?;
        Some((self.keys.iter().find(|key| key.kid == *kid)?, *until))
    }

    /// A key below the one in use that nobody needs.
    fn surplus(&self) -> Option<&Key> {
        let used = self.in_use()?;
        let kept = self.memory.previous.as_ref().map(|(kid, _)| kid);
        self.keys.iter().find(|key| key.number < used.number && Some(&key.kid) != kept)
    }

    /// What is to be done at `now`.
    #[must_use]
    pub fn step(&self, wish: Wish<'_>, sight: Sight<'_>, now: Timestamp) -> Step {
        let above = self.keys.last().map_or(1, |key| key.number.saturating_add(1));
        let Some(used) = self.in_use() else {
            return Step::Make(above, if self.lost { Why::Lost } else { Why::First });
        };
        let (next, previous) = (self.next(), self.previous());
        if next.is_none()
            && let Some(why) = self.wanted(used, wish, now)
        {
            return Step::Make(above, why);
        }
        if previous.is_some() && sight.refused == Some(used.kid.as_str()) {
            return Step::Revert;
        }
        if let Some(next) = next
            && sight.ask_at.is_some_and(|at| at <= now)
        {
            return Step::Ask(next.kid.clone());
        }
        if let Some((previous, until)) = previous
            && until <= now
        {
            return Step::Remove(previous.kid.clone());
        }
        if let Some(surplus) = self.surplus() {
            return Step::Remove(surplus.kid.clone());
        }
        let ask = next.and(sight.ask_at);
        let old = wish.every.filter(|_| next.is_none() && self.memory.accepted.is_some()).map(|age| used.created + age);
        Step::Rest([ask, previous.map(|(_, until)| until), old].into_iter().flatten().min())
    }

    /// Why a successor of `used` is wanted, if it is. The age of a key that Okta has never accepted does not count: a
    /// person who has not added the first will not add the second either.
    fn wanted(&self, used: &Key, wish: Wish<'_>, now: Timestamp) -> Option<Why> {
        if self.lost {
            return Some(Why::Lost);
        }
        if wish.token.is_some() && wish.token != self.memory.handled.as_deref() && !self.fresh {
            return Some(Why::Asked);
        }
        let old = wish.every.is_some_and(|age| used.created + age <= now);
        (old && self.memory.accepted.is_some()).then_some(Why::Age)
    }

    /// After a look at what is asked for: a token counts as carried out as soon as there is a key that is newer than it, or
    /// was on its way already.
    #[must_use]
    pub fn settled(mut self, wish: Wish<'_>) -> Self {
        if let Some(token) = wish.token
            && (self.next().is_some() || self.fresh)
        {
            self.memory.handled = Some(token.to_owned());
        }
        self
    }

    /// With a key that was made just now, or that another process has made.
    #[must_use]
    pub fn with(mut self, key: Key) -> Self {
        if self.keys.iter().all(|known| known.number != key.number) {
            self.keys.push(key);
            self.keys.sort_by_key(|key| key.number);
        }
        if self.memory.in_use.is_none() {
            self.memory.in_use = self.keys.first().map(|key| key.kid.clone());
            self.fresh = true;
        }
        self.lost = false;
        self
    }

    /// After Okta has accepted this key. If it is the next one it is in use from now on, and the one before stays for
    /// `overlap`, unless Okta never had it.
    #[must_use]
    pub fn accepted(mut self, kid: &str, now: Timestamp, overlap: SignedDuration) -> Self {
        let is_next = self.next().is_some_and(|next| next.kid == kid);
        if is_next {
            let before = self.memory.in_use.replace(kid.to_owned());
            let known_to_okta = self.memory.accepted.is_some();
            self.memory.previous = before.filter(|_| known_to_okta).map(|before| (before, now + overlap));
            self.memory.accepted = Some(now);
        } else if self.memory.in_use.as_deref() == Some(kid) && self.memory.accepted.is_none() {
            self.memory.accepted = Some(now);
        }
        self
    }

    /// With the previous key in use again; the one that Okta refused is the next one once more.
    #[must_use]
    pub fn revert(mut self, now: Timestamp) -> Self {
        if let Some((before, _)) = self.memory.previous.take() {
            self.memory.in_use = Some(before);
            self.memory.accepted = Some(now);
        }
        self
    }

    /// Without the key of that name.
    #[must_use]
    pub fn removed(mut self, kid: &str) -> Self {
        self.keys.retain(|key| key.kid != kid);
        self.memory.previous = self.memory.previous.filter(|(previous, _)| previous != kid);
        self
    }
}

#[cfg(test)]
mod tests;
