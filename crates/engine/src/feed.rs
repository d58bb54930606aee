//! The port through which the engine learns that something happened to a person: a hint, and never more than a hint.
//!
//! Whatever it names is asked about by id ([`crate::partial`]); what it does not name, the next full pass finds. So a hint
//! that is lost or comes late costs time and nothing else.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use crate::{failure::Failure, words::Index};

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
    pub event: &'static str,
    /// When, by Okta's clock.
    pub at: Timestamp,
    /// Whether such an event may take somebody's access away: those go first.
    pub leaving: bool,
}

/// What a poll found for all resources that watch the same. They share its hints: after a mass change they are thousands,
/// and resources are hundreds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Persons, each once, with the last event of each, oldest first.
    pub hints: Vec<Arc<Hint>>,
    /// Why a full pass is due instead: an event about the app itself, or a gap.
    pub full_pass: Option<String>,
}

impl News {
    /// News of the people of these hints, which come oldest first.
    #[must_use]
    pub fn of(hints: impl DoubleEndedIterator<Item = Arc<Hint>>) -> Self {
        // Backwards, the last event of a person is the one that is met first.
        let mut last = Owed::default();
        last.add(hints.rev());
        last.hints.reverse();
        Self { hints: last.hints, full_pass: None }
    }

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
}

/// A feed of hints.
pub trait Feed: Send + Sync {
    /// What a reading found, for whoever watches.
    type Found: Send + Sync;

    /// Reads what happened since `cursor` and matters to one of `watches` at least, and moves it on. A failure leaves the
    /// cursor where it was.
    fn read(&self, cursor: &mut Cursor, watches: &[Watch])
    -> impl Future<Output = Result<Self::Found, Failure>> + Send;

    /// What of it matters to who watches this. To be worked out once for all who watch the same.
    fn news(&self, found: &Self::Found, watch: &Watch) -> News;

    /// How far its clock is ahead of this machine's.
    fn ahead(&self) -> SignedDuration;
}

/// Hints of which something is left to do, each person once, with the oldest event that was not dealt with.
#[derive(Debug, Default)]
pub struct Owed {
    hints: Vec<Arc<Hint>>,
}

impl Owed {
    /// Adds hints; of a person who is owed already the older event stays, as the delay is counted from it.
    pub fn add(&mut self, hints: impl IntoIterator<Item = Arc<Hint>>) {
        // Where each person stands. It is made anew each time, as mostly there is nobody.
        let mut places = Index::with_room(self.hints.len());
        for (place, _) in (0..).zip(&self.hints) {
            places.add(place, |at| person(&self.hints, at));
        }
        for hint in hints {
            let known = places.find(&hint.person, |at| asked(person(&self.hints, at)));
            match known.map(|at| self.hints.get_mut(at as usize)) {
                None => {
                    let Ok(place) = u32::try_from(self.hints.len()) else { return };
                    self.hints.push(hint);
                    places.add(place, |at| person(&self.hints, at));
                }
                // It is shared with others, who are owed it as it was told.
                Some(Some(known)) if hint.leaving && !known.leaving => Arc::make_mut(known).leaving = true,
                Some(_) => {}
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
    pub fn take(&mut self, most: usize) -> Vec<Arc<Hint>> {
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

/// The person of the hint at that place.
fn person(hints: &[Arc<Hint>], at: u32) -> &[u8] {
    hints.get(at as usize).map_or_else(Default::default, |hint| hint.person.as_bytes())
}

/// That person, who is compared with another.
fn asked(person: &[u8]) -> &[u8] {
    #[cfg(test)]
    tests::COMPARED.with(|compared| compared.set(compared.get() + 1));
    person
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    thread_local! {
        /// How often one person was compared with another.
        pub(super) static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    fn hint(person: &str, second: i64) -> Arc<Hint> {
        Arc::new(Hint { person: person.into(), event: "user.lifecycle.suspend", at: at(second), leaving: false })
    }

    fn leaving(person: &str, second: i64) -> Arc<Hint> {
        Arc::new(Hint { leaving: true, ..Hint::clone(&hint(person, second)) })
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
        owed.add([leaving("00u2", 3)]);
        assert!(!owed.disperse(2));
        assert_eq!(owed.take(1), [leaving("00u2", 2)]);
        owed.add([leaving("00u3", 3)]);
        assert!(owed.disperse(1));
        assert_eq!(owed.people(), ["00u3".to_owned()].into());
    }

    #[test]
    fn news_of_nobody_in_particular_asks_for_a_full_pass() {
        assert_eq!(News::full("a gap"), News { hints: vec![], full_pass: Some("a gap".into()) });
        let mut owed = Owed::default();
        assert!(owed.is_empty());
        owed.add([hint("00u1", 1)]);
        assert!(!owed.is_empty());
    }

    #[test]
    fn ten_thousand_hints_cost_ten_thousand_looks_and_are_held_once() {
        const MANY: usize = 10_000;
        let compared = || COMPARED.with(Cell::take);
        let people = || (0..MANY).map(|n| leaving(&format!("00u{n}"), 1));
        compared();
        // Everybody twice: each is compared when they come again, and now and then with somebody else by chance.
        let news = News::of(people().chain(people()));
        let looks = compared();
        assert!((MANY..MANY + MANY / 2).contains(&looks), "{looks} looks");
        assert_eq!(news.hints.len(), MANY);

        let mut lanes: Vec<Owed> = (0..3).map(|_| Owed::default()).collect();
        for owed in &mut lanes {
            owed.add(news.hints.iter().cloned());
            owed.add(news.hints.iter().cloned());
            let looks = compared();
            assert!((MANY..MANY + MANY / 2).contains(&looks), "{looks} looks");
        }
        // A lane holds a pointer to each, and what somebody else learns of one is not told to it.
        assert!(
            lanes.iter().all(|owed| owed.hints.iter().zip(&news.hints).all(|(ours, told)| Arc::ptr_eq(ours, told)))
        );
        assert!(news.hints.iter().all(|hint| Arc::strong_count(hint) == 1 + lanes.len()));
    }

    #[test]
    fn of_a_crowd_a_lane_keeps_nothing_and_what_it_learns_stays_with_it() {
        let news = News::of((0..1_000).map(|n| hint(&format!("00u{n}"), n)));
        let mut owed = Owed::default();
        owed.add(news.hints.iter().cloned());
        assert!(owed.disperse(200));
        assert_eq!(owed.hints.capacity(), 0);
        assert!(news.hints.iter().all(|hint| Arc::strong_count(hint) == 1));

        owed.add(news.hints[..2].iter().cloned());
        owed.add([leaving("00u1", 9)]);
        assert_eq!(owed.hints, [hint("00u0", 0), leaving("00u1", 1)]);
        assert_eq!(news.hints[1], hint("00u1", 1), "shared with others");
    }

    /// The rules, as simple as they can be said.
    fn add_one_by_one(owed: &mut Vec<Hint>, hints: &[Arc<Hint>]) {
        for hint in hints {
            match owed.iter_mut().find(|known| known.person == hint.person) {
                Some(known) => known.leaving |= hint.leaving,
                None => owed.push(Hint::clone(hint)),
            }
        }
    }

    fn last_one_by_one(hints: &[Arc<Hint>]) -> Vec<Hint> {
        let mut news: Vec<Hint> = Vec::new();
        for hint in hints {
            let before = news.iter().position(|known| known.person == hint.person);
            let before = before.is_some_and(|place| news.remove(place).leaving);
            news.push(Hint { leaving: before || hint.leaving, ..Hint::clone(hint) });
        }
        news
    }

    fn plain(hints: &[Arc<Hint>]) -> Vec<Hint> {
        hints.iter().map(|hint| Hint::clone(hint)).collect()
    }

    fn some_hints() -> impl Strategy<Value = Vec<Arc<Hint>>> {
        let one = (0_u8..12, 0_i64..50, any::<bool>()).prop_map(|(person, second, leaves)| {
            let person = format!("00u{person}");
            if leaves { leaving(&person, second) } else { hint(&person, second) }
        });
        prop::collection::vec(one, 0..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn the_oldest_is_owed_the_last_is_news_and_a_crowd_disperses(
            batches in prop::collection::vec(some_hints(), 0..4),
            crowd in 0_usize..12,
        ) {
            let (mut owed, mut simple) = (Owed::default(), Vec::new());
            for batch in &batches {
                prop_assert_eq!(plain(&News::of(batch.iter().cloned()).hints), last_one_by_one(batch));
                owed.add(batch.iter().cloned());
                add_one_by_one(&mut simple, batch);
                prop_assert_eq!(&plain(&owed.hints), &simple);
                let before = simple.len();
                if before > crowd {
                    simple.retain(|hint| hint.leaving);
                }
                prop_assert_eq!(owed.disperse(crowd), simple.len() < before);
                prop_assert_eq!(&plain(&owed.hints), &simple);
            }
        }
    }
}
