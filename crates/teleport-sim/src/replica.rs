//! A table and its cached copy, which is a moment behind. Teleport's backend stores at once; its caches, from which lists are answered and locks are
//! enforced, follow by an event feed (reference §15, §16 H).

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use jiff::Timestamp;

/// What may end by itself.
pub(crate) trait Expiring {
    /// When the storage drops it.
    fn expires(&self) -> Option<Timestamp>;
}

/// A change that reached the cache.
pub(crate) struct Settled<V> {
    pub(crate) before: Option<V>,
    pub(crate) after: Option<V>,
}

/// A table and its cached copy.
#[derive(Debug)]
pub(crate) struct Replica<V> {
    stored: BTreeMap<String, V>,
    cached: BTreeMap<String, V>,
    pending: VecDeque<(Instant, String, Option<V>)>,
    expiring: BTreeSet<(Timestamp, String)>,
}

impl<V: Expiring + Clone> Replica<V> {
    pub(crate) fn new() -> Self {
        Self { stored: BTreeMap::new(), cached: BTreeMap::new(), pending: VecDeque::new(), expiring: BTreeSet::new() }
    }

    /// Stores, and lets the cache know at `visible`.
    pub(crate) fn put(&mut self, key: String, value: V, visible: Instant) {
        if let Some(expires) = value.expires() {
            self.expiring.insert((expires, key.clone()));
        }
        self.stored.insert(key.clone(), value.clone());
        self.pending.push_back((visible, key, Some(value)));
    }

    /// Removes, and lets the cache know at `visible`. Answers what was stored.
    pub(crate) fn remove(&mut self, key: &str, visible: Instant) -> Option<V> {
        let removed = self.stored.remove(key)?;
        self.pending.push_back((visible, key.to_owned(), None));
        Some(removed)
    }

    /// Drops what has ended, and tells which keys.
    pub(crate) fn expire(&mut self, now: Timestamp, visible: Instant) -> Vec<String> {
        let mut ended = Vec::new();
        while self.expiring.first().is_some_and(|(at, _)| *at <= now) {
            let Some((at, key)) = self.expiring.pop_first() else { break };
            // The entry may have got another end, or none, since.
            if self.stored.get(&key).and_then(Expiring::expires) == Some(at) {
                self.remove(&key, visible);
                ended.push(key);
            }
        }
        ended
    }

    /// Lets the cache follow up to `now`, and hands over what changed in it.
    pub(crate) fn settle(&mut self, now: Instant, mut changed: impl FnMut(Settled<V>)) {
        while self.pending.front().is_some_and(|(visible, ..)| *visible <= now) {
            let Some((_, key, after)) = self.pending.pop_front() else { break };
            let before = match &after {
                Some(value) => self.cached.insert(key, value.clone()),
                None => self.cached.remove(&key),
            };
            changed(Settled { before, after });
        }
    }

    /// Lets the cache follow at once up to what is stored now.
    pub(crate) fn hurry(&mut self, now: Instant) {
        for (visible, ..) in &mut self.pending {
            *visible = (*visible).min(now);
        }
    }

    /// What is stored under a key.
    pub(crate) fn stored(&self, key: &str) -> Option<&V> {
        self.stored.get(key)
    }

    /// What the cache says of a key; where it knows nothing, what is stored. This is how reads by name are answered.
    pub(crate) fn read(&self, key: &str) -> Option<&V> {
        self.cached.get(key).or_else(|| self.stored.get(key))
    }

    /// The table as stored.
    pub(crate) fn all(&self) -> &BTreeMap<String, V> {
        &self.stored
    }

    /// The table as cached.
    pub(crate) fn cache(&self) -> &BTreeMap<String, V> {
        &self.cached
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Item(u8, Option<Timestamp>);

    impl Expiring for Item {
        fn expires(&self) -> Option<Timestamp> {
            self.1
        }
    }

    #[test]
    fn the_cache_follows_in_order_when_its_time_has_come() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut table = Replica::new();
        table.put("k".into(), Item(1, None), start);
        table.put("k".into(), Item(2, None), later);
        table.settle(start, |_| ());
        assert_eq!((table.cache().get("k"), table.stored("k")), (Some(&Item(1, None)), Some(&Item(2, None))));
        assert_eq!(table.read("k"), Some(&Item(1, None)), "a read by name may be stale");
        table.put("new".into(), Item(3, None), later);
        assert_eq!(
            table.read("new"),
            Some(&Item(3, None)),
            "and falls back to the backend for what the cache does not know"
        );
        table.remove("k", later);
        table.settle(later, |_| ());
        assert_eq!(table.cache().len(), 1);
    }

    #[test]
    fn an_end_that_was_moved_does_not_bite() {
        let start = Instant::now();
        let at = |second| Timestamp::new(second, 0).unwrap();
        let mut table = Replica::new();
        table.put("moved".into(), Item(1, Some(at(10))), start);
        table.put("moved".into(), Item(1, Some(at(20))), start);
        table.put("kept".into(), Item(2, Some(at(10))), start);
        table.put("kept".into(), Item(2, None), start);
        table.put("gone".into(), Item(3, Some(at(10))), start);
        assert_eq!(table.expire(at(10), start), ["gone"]);
        assert_eq!(table.expire(at(20), start), ["moved"]);
    }
}
