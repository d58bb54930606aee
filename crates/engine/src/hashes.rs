//! Very many things, each known by a hash of sixty-four bits, with a value beside it.
//!
//! A table that doubles takes up to two and a half times what is in it, and half as much again while it grows: a million
//! people are more than 7/8 of 2^20 places. Here it is about an eighth more than what is in it, at any number.

/// Hashes of a range, on average, before there are twice as many ranges: so many are looked through for each one.
const RANGE: usize = 64;

/// Hash to value.
#[derive(Clone, Debug)]
pub struct Hashes<V> {
    /// 2^n of them, or none yet. Each holds the hashes of one part of all numbers, in no order; the parts are equal.
    ranges: Vec<Vec<(u64, V)>>,
    count: usize,
}

impl<V> Default for Hashes<V> {
    fn default() -> Self {
        Self { ranges: Vec::new(), count: 0 }
    }
}

impl<V> Hashes<V> {
    /// Adds a hash. One that is there already stays as it is, and its value is answered.
    pub fn insert(&mut self, hash: u64, value: V) -> Option<&mut V> {
        if self.count >= self.ranges.len() * RANGE {
            self.split();
        }
        let range = range_of(hash, self.ranges.len());
        let range = self.ranges.get_mut(range)?;
        if let Some(at) = range.iter().position(|(known, _)| *known == hash) {
            return range.get_mut(at).map(|(_, value)| value);
        }
        if range.len() == range.capacity() {
            // Little by little: what doubles is half empty afterwards.
            range.reserve_exact(range.len() / 8 + 2);
        }
        range.push((hash, value));
        self.count += 1;
        None
    }

    /// The value of a hash.
    #[must_use]
    pub fn get(&self, hash: u64) -> Option<&V> {
        let range = self.ranges.get(range_of(hash, self.ranges.len()))?;
        range.iter().find(|(known, _)| *known == hash).map(|(_, value)| value)
    }

    /// Keeps only some.
    pub fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        for range in &mut self.ranges {
            range.retain(|(_, value)| keep(value));
        }
        self.count = self.ranges.iter().map(Vec::len).sum();
    }

    /// Makes two ranges of each one, one after the other, so that nothing is there twice.
    fn split(&mut self) {
        let twice = (self.ranges.len() * 2).max(1);
        let mut ranges = Vec::with_capacity(twice);
        for mut lower in std::mem::take(&mut self.ranges) {
            let at = ranges.len();
            let mut upper: Vec<_> = lower.extract_if(.., |(hash, _)| range_of(*hash, twice) > at).collect();
            lower.shrink_to_fit();
            upper.shrink_to_fit();
            ranges.extend([lower, upper]);
        }
        ranges.resize_with(twice, Vec::new);
        self.ranges = ranges;
    }

    /// Bytes that it takes.
    #[cfg(test)]
    fn size(&self) -> usize {
        let places: usize = self.ranges.iter().map(Vec::capacity).sum();
        places * size_of::<(u64, V)>() + self.ranges.capacity() * size_of::<Vec<(u64, V)>>()
    }
}

/// The range of a hash, of so many.
fn range_of(hash: u64, ranges: usize) -> usize {
    let scaled = u128::from(hash) * ranges as u128;
    // Less than `ranges`.
    usize::try_from(scaled >> 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    };

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_says_what_a_hash_map_says(
            steps in prop::collection::vec((any::<u64>(), 0..3_u8), 0..1000),
            again in prop::collection::vec(any::<prop::sample::Index>(), 0..100),
            kept in 0..3_u8,
        ) {
            let (mut hashes, mut map) = (Hashes::default(), HashMap::new());
            let again = again.iter().filter(|_| !steps.is_empty()).map(|index| *index.get(&steps));
            for (hash, value) in steps.iter().copied().chain(again).chain([(0, 0), (u64::MAX, 1), (0, 2)]) {
                prop_assert_eq!(hashes.insert(hash, value).copied(), map.get(&hash).copied());
                map.entry(hash).or_insert(value);
            }
            hashes.retain(|value| *value != kept);
            map.retain(|_, value| *value != kept);
            for (hash, _) in &steps {
                prop_assert_eq!(hashes.get(*hash), map.get(hash));
            }
            prop_assert_eq!((hashes.count, hashes.get(1)), (map.len(), map.get(&1)));
        }
    }

    #[test]
    fn it_takes_little_more_than_what_is_in_it_at_any_number() {
        let (mut hashes, build) = (Hashes::default(), BuildHasherDefault::<DefaultHasher>::new());
        for n in 1..300_000_u64 {
            assert!(hashes.insert(build.hash_one(n), ()).is_none());
            if n >= 10_000 && n.is_multiple_of(1000) {
                let each = hashes.size() as u64 * 100 / n;
                assert!(each < 1000, "{each} hundredths of a byte for each of {n}");
            }
        }
    }
}
