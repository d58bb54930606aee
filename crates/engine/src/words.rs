//! Texts kept one after the other. A pass names everybody several times over (a user, a person, an account); here a text lies in
//! memory once, without an allocation of its own, and is named by four bytes.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

/// Bytes of a chunk; a longer text gets a chunk of its own.
const CHUNK: usize = 1 << 16;

/// Names one text of a [`Words`], or of those that it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u32);

/// Texts, added and never taken away: up to 65 536 chunks, 4 GiB.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    /// Older texts, which are shared, and may stand on others in their turn.
    base: Option<Arc<Words>>,
    /// The number of the first chunk: how many there are below.
    first: usize,
    chunks: Vec<Vec<u8>>,
}

impl Words {
    /// Texts that stand on those of `base`: whatever names one of these names it here too.
    pub(crate) fn over(base: &Arc<Words>) -> Self {
        Self { first: base.first + base.chunks.len(), base: Some(base.clone()), chunks: Vec::new() }
    }

    /// Whether a word of `base` names its text here too.
    pub(crate) fn stand_on(&self, base: &Arc<Words>) -> bool {
        self.base.as_ref().is_some_and(|own| Arc::ptr_eq(own, base))
    }

    /// Bytes of the texts that this stands on.
    pub(crate) fn below(&self) -> usize {
        let own = |words: &Self| -> usize { words.chunks.iter().map(Vec::len).sum() };
        self.base.as_ref().map_or(0, |base| own(base) + base.below())
    }

    /// Bytes of room that its own texts take.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum()
    }

    /// Gives back the room that no text has taken.
    pub(crate) fn shrink(&mut self) {
        if let Some(last) = self.chunks.last_mut() {
            last.shrink_to_fit();
        }
        self.chunks.shrink_to_fit();
    }

    /// Adds a text.
    pub(crate) fn add(&mut self, text: &str) -> Word {
        let length = text.len();
        // Seven bits a byte, the last one without the highest bit.
        let mut prefix = [0_u8; 10];
        let (mut used, mut rest) = (0, length);
        loop {
            #[allow(clippy::cast_possible_truncation)] // seven bits
            let low = (rest & 0x7f) as u8;
            rest >>= 7;
            prefix[used] = if rest == 0 { low } else { low | 0x80 };
            used += 1;
            if rest == 0 {
                break;
            }
        }
        let needed = used + length;
        if self.chunks.last().is_none_or(|chunk| chunk.len() + needed > CHUNK) {
            // Where it stays with a few, they take no more room than they need.
            let room = if self.chunks.is_empty() { needed } else { needed.max(CHUNK) };
            self.chunks.push(Vec::with_capacity(room));
        }
        let chunk = self.first + self.chunks.len() - 1;
        let Some(bytes) = self.chunks.last_mut() else { return Word(0) };
        let start = bytes.len();
        bytes.extend_from_slice(&prefix[..used]);
        bytes.extend_from_slice(text.as_bytes());
        // A chunk is longer than 65 536 bytes only if it holds one text, which begins at 0.
        Word(u32::try_from((chunk << 16) | start).unwrap_or_default())
    }

    /// The bytes of a text.
    pub(crate) fn bytes(&self, word: Word) -> &[u8] {
        let (chunk, mut at) = ((word.0 >> 16) as usize, (word.0 & 0xffff) as usize);
        let Some(bytes) = self.chunk(chunk) else { return &[] };
        let (mut length, mut shift) = (0_usize, 0);
        while let Some(byte) = bytes.get(at) {
            at += 1;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        bytes.get(at..at + length).unwrap_or_default()
    }

    /// A text.
    pub(crate) fn text(&self, word: Word) -> &str {
        // They were texts when they came in.
        std::str::from_utf8(self.bytes(word)).unwrap_or_default()
    }

    fn chunk(&self, number: usize) -> Option<&Vec<u8>> {
        let mut words = self;
        loop {
            match number.checked_sub(words.first) {
                Some(own) => return words.chunks.get(own),
                None => words = words.base.as_deref()?,
            }
        }
    }
}

/// Rows of a table, found by a text of theirs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    hasher: RandomState,
    rows: hashbrown::HashTable<u32>,
}

impl Index {
    /// With room for so many rows.
    pub(crate) fn with_room(rows: usize) -> Self {
        Self { hasher: RandomState::new(), rows: hashbrown::HashTable::with_capacity(rows) }
    }

    /// The row whose text is `text`; `of` tells the text of a row.
    pub(crate) fn find<'a>(&self, text: &str, of: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        self.rows.find(self.hasher.hash_one(text.as_bytes()), |row| of(*row) == text.as_bytes()).copied()
    }

    /// Adds a row, which is not there yet.
    pub(crate) fn add<'a>(&mut self, row: u32, of: impl Fn(u32) -> &'a [u8]) {
        let hasher = &self.hasher;
        self.rows.insert_unique(hasher.hash_one(of(row)), row, |row| hasher.hash_one(of(*row)));
    }

    /// Takes the row away whose text is `text`, and answers it.
    pub(crate) fn remove<'a>(&mut self, text: &str, of: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(text.as_bytes());
        let found = self.rows.find_entry(hash, |row| of(*row) == text.as_bytes()).ok()?;
        Some(found.remove().0)
    }

    /// Keeps only some rows.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        self.rows.retain(|row| keep(*row));
    }

    /// All rows, in no order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = u32> {
        self.rows.iter().copied()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// A place in a table; none has four thousand million rows.
pub(crate) fn row(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_is_found_again_here_and_in_what_stands_on_it(texts in prop::collection::vec(".{0,200}", 0..200)) {
            let mut words = Words::default();
            let below: Vec<Word> = texts.iter().map(|text| words.add(text)).collect();
            let base = Arc::new(words);
            let mut above = Words::over(&base);
            let added: Vec<Word> = texts.iter().map(|text| above.add(text)).collect();
            prop_assert!(above.stand_on(&base));
            let above = Arc::new(above);
            let mut top = Words::over(&above);
            let last: Vec<Word> = texts.iter().map(|text| top.add(text)).collect();
            prop_assert_eq!(top.below(), base.chunks.iter().chain(&above.chunks).map(Vec::len).sum::<usize>());
            for (((text, below), added), last) in texts.iter().zip(below).zip(added).zip(last) {
                prop_assert_eq!(base.text(below), text);
                prop_assert_eq!([above.text(below), above.text(added)], [text; 2]);
                prop_assert_eq!([top.text(below), top.text(added), top.text(last)], [text; 3]);
            }
        }
    }

    #[test]
    fn long_texts_and_many_chunks() {
        let mut words = Words::default();
        let texts: Vec<String> = (0..300).map(|n| "ü".repeat(n * 97)).collect();
        let named: Vec<Word> = texts.iter().map(|text| words.add(text)).collect();
        let huge = words.add(&"x".repeat(5 * CHUNK));
        let after = words.add("after");
        assert!(texts.iter().zip(named).all(|(text, word)| words.text(word) == text));
        assert_eq!((words.text(huge).len(), words.text(after)), (5 * CHUNK, "after"));
    }

    #[test]
    fn rows_are_found_by_their_text_until_they_are_taken_away() {
        let texts = ["ada", "bob", ""];
        let of = |row: u32| texts[row as usize].as_bytes();
        let mut index = Index::default();
        (0..3).for_each(|row| index.add(row, of));
        assert_eq!((index.find("bob", of), index.find("", of), index.find("eve", of)), (Some(1), Some(2), None));
        assert_eq!((index.remove("bob", of), index.remove("bob", of), index.len()), (Some(1), None, 2));
        index.retain(|row| row == 2);
        assert_eq!(index.rows().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_chunk_is_filled_to_its_last_byte_and_not_beyond() {
        let mut words = Words::default();
        // A text of less than 128 bytes has one byte before it.
        let full: Vec<Word> = (0..CHUNK / 64).map(|_| words.add(&"x".repeat(63))).collect();
        assert_eq!((words.chunks.len(), words.chunks[0].len()), (1, CHUNK));
        let empty = words.add("");
        assert_eq!((words.chunks.len(), words.text(empty)), (2, ""));
        assert!(full.iter().all(|word| words.text(*word).len() == 63));
    }
}
