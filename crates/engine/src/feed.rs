//! The port through which the engine learns that something happened to a person: a hint, and never more than a hint.
//!
//! Whatever it names is asked about by id ([`crate::partial`]); what it does not name, the next full pass finds. So a hint
//! that is lost or comes late costs time and nothing else.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    hash::{BuildHasher as _, RandomState},
};

use jiff::{SignedDuration, Timestamp};

use crate::failure::Failure;

mod texts;

pub use texts::{Place, Reading, Texts};

/// What is watched for one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Watch {
    /// The app whose assignments count; `None` when people do not come from an app.
    pub app: Option<String>,
    /// Whether memberships of groups count: people come from groups, or are narrowed by groups.
    pub groups: bool,
}

/// One person who is worth asking about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Okta id of the person.
    pub person: String,
    /// Okta's word for what happened, such as `user.lifecycle.suspend`.
    pub event: String,
    /// When, by Okta's clock.
    pub at: Timestamp,
    /// Whether such an event may take somebody's access away: those go first.
    pub leaving: bool,
}

/// What a poll found for one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Persons, each once, with the last event of each, oldest first.
    pub hints: Vec<Hint>,
    /// Why a full pass is due instead: an event about the app itself, or a gap.
    pub full_pass: Option<String>,
}

impl News {
    /// News of nobody in particular.
    #[must_use]
    pub fn full(why: impl Into<String>) -> Self {
        Self { hints: Vec::new(), full_pass: Some(why.into()) }
    }
}

/// How far a feed was read. The position is all that has to survive a restart.
#[derive(Clone, Debug)]
pub struct Cursor {
    position: Timestamp,
    /// Events that may be shown again: their ids, hashed, with the second of each. Sixteen bytes an event, as there may be
    /// tens of thousands; of two ids with one hash (once in 2^64) the second event would be lost, which costs time and
    /// nothing else.
    seen: HashMap<u64, i64>,
    /// How the events of the last reading stood there.
    texts: Texts,
    hasher: RandomState,
}

impl Cursor {
    /// A feed that begins at that time, by Okta's clock: where it was left, or when the last full pass began.
    #[must_use]
    pub fn since(position: Timestamp) -> Self {
        Self { position, seen: HashMap::new(), texts: Texts::default(), hasher: RandomState::new() }
    }

    /// Where it was read to.
    #[must_use]
    pub fn position(&self) -> Timestamp {
        self.position
    }

    /// Whether an event was told already.
    #[must_use]
    pub fn has_seen(&self, id: &str) -> bool {
        self.seen.contains_key(&self.hasher.hash_one(id))
    }

    /// Moves on to `now`, remembers what was told, and forgets what lies so far back that it is not asked for again.
    pub fn advance<'a>(
        &mut self,
        now: Timestamp,
        told: impl IntoIterator<Item = (&'a str, Timestamp)>,
        keep: SignedDuration,
    ) {
        self.position = self.position.max(now);
        let oldest = self.position.saturating_sub(keep).unwrap_or(self.position).as_second();
        self.seen.retain(|_, at| *at >= oldest);
        let told = told.into_iter().map(|(id, at)| (self.hasher.hash_one(id), at.as_second()));
        self.seen.extend(told);
        self.seen.shrink_to_fit();
    }

    /// Asks for everything since `position` once more, for somebody who was not there; who was knows it by its ids.
    pub fn rewind(&mut self, position: Timestamp) {
        self.position = self.position.min(position);
    }
}

/// A feed of hints.
pub trait Feed: Send + Sync {
    /// Reads what happened since `cursor`, and moves it on; one answer for each of `watches`, in their order. A failure
    /// leaves the cursor where it was.
    fn news(&self, cursor: &mut Cursor, watches: &[Watch]) -> impl Future<Output = Result<Vec<News>, Failure>> + Send;
}

/// Hints of which something is left to do, each person once, with the oldest event that was not dealt with.
#[derive(Debug, Default)]
pub struct Owed {
    hints: Vec<Hint>,
}

impl Owed {
    /// Adds hints; of a person who is owed already the older event stays, as the delay is counted from it.
    pub fn add(&mut self, hints: impl IntoIterator<Item = Hint>) {
        for hint in hints {
            match self.hints.iter_mut().find(|known| known.person == hint.person) {
                Some(known) => known.leaving |= hint.leaving,
                None => self.hints.push(hint),
            }
        }
    }

    /// Where it has become a crowd, a full pass is the cheaper way for all but those who may have left: drops the others, and
    /// answers whether there were any.
    pub fn disperse(&mut self, crowd: usize) -> bool {
        let before = self.hints.len();
        if before > crowd {
            self.hints.retain(|hint| hint.leaving);
            self.hints.shrink_to_fit();
        }
        self.hints.len() < before
    }

    /// Takes out at most so many, those who may have left before all others.
    pub fn take(&mut self, most: usize) -> Vec<Hint> {
        self.hints.sort_by_key(|hint| !hint.leaving);
        let most = most.min(self.hints.len());
        let taken = self.hints.drain(..most).collect();
        // There is one of these for each resource, and mostly nobody in it.
        self.hints.shrink_to_fit();
        taken
    }

    /// Drops whoever is in `people`.
    pub fn drop_people(&mut self, people: &HashSet<String>) {
        self.hints.retain(|hint| !people.contains(&hint.person));
        self.hints.shrink_to_fit();
    }

    /// Whom it holds.
    #[must_use]
    pub fn people(&self) -> HashSet<String> {
        self.hints.iter().map(|hint| hint.person.clone()).collect()
    }

    /// How many people it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hints.len()
    }

    /// Whether it holds nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hints.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn hint(person: &str, second: i64) -> Hint {
        Hint { person: person.into(), event: "user.lifecycle.suspend".into(), at: at(second), leaving: false }
    }

    #[test]
    fn a_cursor_moves_on_and_forgets_what_cannot_come_again() {
        let mut cursor = Cursor::since(at(100));
        let keep = SignedDuration::from_secs(60);
        cursor.advance(at(120), [("a", at(119))], keep);
        cursor.advance(at(110), [], keep);
        assert_eq!(cursor.position(), at(120), "never back by itself");
        assert!(cursor.has_seen("a") && !cursor.has_seen("b"));
        cursor.advance(at(200), [("b", at(199))], keep);
        assert!(!cursor.has_seen("a") && cursor.has_seen("b"));
        cursor.rewind(at(150));
        cursor.rewind(at(180));
        assert_eq!(cursor.position(), at(150));
    }

    #[test]
    fn whoever_is_owed_stands_once_with_the_oldest_event() {
        let mut owed = Owed::default();
        owed.add([hint("00u1", 1), hint("00u2", 2)]);
        owed.add([hint("00u1", 9), hint("00u3", 3)]);
        assert_eq!((owed.len(), owed.people().len()), (3, 3));
        assert_eq!(owed.take(2), [hint("00u1", 1), hint("00u2", 2)]);
        owed.drop_people(&["00u3".to_owned()].into());
        assert!(owed.is_empty() && owed.take(5).is_empty());
        assert_eq!(owed.hints.capacity(), 0, "nobody takes no room");
        // Those who may have left go first, and are not lost in a crowd.
        owed.add([hint("00u1", 1), hint("00u2", 2)]);
        owed.add([Hint { leaving: true, ..hint("00u2", 3) }]);
        assert!(!owed.disperse(2));
        assert_eq!(owed.take(1), [Hint { leaving: true, ..hint("00u2", 2) }]);
        owed.add([Hint { leaving: true, ..hint("00u3", 3) }]);
        assert!(owed.disperse(1));
        assert_eq!(owed.people(), ["00u3".to_owned()].into());
    }

    #[test]
    fn news_of_nobody_in_particular_asks_for_a_full_pass() {
        assert_eq!(News::full("a gap"), News { hints: vec![], full_pass: Some("a gap".into()) });
        let mut owed = Owed::default();
        assert!(owed.is_empty());
        owed.add([Hint { person: "00u1".into(), event: "user.session.start".into(), at: at(1), leaving: false }]);
        assert!(!owed.is_empty());
    }
}
