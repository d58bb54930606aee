//! Events that are shown again are known by their bytes.
//!
//! A feed is asked for a span that overlaps the one before, and shows the same events in the same words. To decode them only
//! to find that they were told is most of what such a poll costs. So each reading notes how its events stood there, and the
//! next one passes over what stands there once more: the same bytes are the same event. Whatever differs is read.

use std::hash::BuildHasher as _;

use super::Cursor;

/// An event as it stood in an answer, in sixteen bytes. Of two texts with one hash (once in 2^64) the second event would be
/// lost, as with ids.
#[derive(Clone, Copy, Debug)]
struct Text {
    hash: u64,
    length: u32,
    /// Where in it its id stands; one that stands further in than this can say is not noted.
    id_at: u16,
    id_length: u16,
}

/// How the events of a reading stood there, in their order.
#[derive(Clone, Debug, Default)]
pub struct Texts(Vec<Text>);

/// One reading of a feed, event by event.
pub struct Reading<'a> {
    cursor: &'a Cursor,
    /// Which of the last reading's texts is expected.
    next: usize,
    met: Vec<Text>,
}

/// A place in a reading, to go back to.
#[derive(Clone, Copy)]
pub struct Place {
    next: usize,
    met: usize,
}

impl Cursor {
    /// Begins to read what the feed shows now.
    #[must_use]
    pub fn reading(&self) -> Reading<'_> {
        Reading { cursor: self, next: 0, met: Vec::new() }
    }

    /// Remembers how the events of a reading stood there that has come to its end.
    pub fn met(&mut self, texts: Texts) {
        self.texts = texts;
        self.texts.0.shrink_to_fit();
    }
}

impl Reading<'_> {
    /// The text and the id of the event that `rest` begins with, if it is the one that is expected, and was told.
    pub fn again<'t>(&mut self, rest: &'t [u8]) -> Option<(&'t [u8], &'t str)> {
        let expected = self.cursor.texts.0.get(self.next)?;
        let text = rest.get(..usize::try_from(expected.length).ok()?)?;
        if self.cursor.hasher.hash_one(text) != expected.hash {
            return None;
        }
        let id_at = usize::from(expected.id_at);
        let id = text.get(id_at..id_at + usize::from(expected.id_length))?;
        let id = std::str::from_utf8(id).ok().filter(|id| self.cursor.has_seen(id))?;
        self.met.push(*expected);
        self.next += 1;
        Some((text, id))
    }

    /// Notes an event that had to be read. If the last reading met it too, what came next then is expected next.
    pub fn read(&mut self, text: &[u8], id: &str) {
        let hash = self.cursor.hasher.hash_one(text);
        let left = self.cursor.texts.0.get(self.next..).unwrap_or_default();
        if let Some(passed) = left.iter().position(|met| met.hash == hash) {
            self.next += passed + 1;
        }
        let id_at = std::str::from_utf8(text).ok().and_then(|text| text.find(id));
        if let (Ok(length), Some(Ok(id_at)), Ok(id_length)) =
            (text.len().try_into(), id_at.map(TryInto::try_into), id.len().try_into())
        {
            self.met.push(Text { hash, length, id_at, id_length });
        }
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { next: self.next, met: self.met.len() }
    }

    /// Goes back, as if nothing had been met since.
    pub fn back(&mut self, to: Place) {
        self.next = to.next;
        self.met.truncate(to.met);
    }

    /// Its end.
    #[must_use]
    pub fn end(self) -> Texts {
        Texts(self.met)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    const KEEP: SignedDuration = SignedDuration::from_secs(60);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Reads events that stand one after the other, of three letters each, the first two of them the id; answers those that
    /// had to be read.
    fn poll(cursor: &mut Cursor, now: i64, shown: &str) -> Vec<String> {
        let mut rest = shown.as_bytes();
        let (mut reading, mut read) = (cursor.reading(), Vec::new());
        while !rest.is_empty() {
            if let Some((text, id)) = reading.again(rest) {
                assert!(text.starts_with(id.as_bytes()));
                rest = &rest[text.len()..];
            } else {
                let text = std::str::from_utf8(&rest[..3]).unwrap();
                reading.read(text.as_bytes(), &text[..2]);
                read.push(text.to_owned());
                rest = &rest[3..];
            }
        }
        let texts = reading.end();
        cursor.met(texts);
        cursor.advance(at(now), read.iter().map(|text| (&text[..2], at(now))), KEEP);
        read
    }

    #[test]
    fn what_stands_there_once_more_is_passed_over_and_whatever_differs_is_read() {
        let mut cursor = Cursor::since(at(0));
        assert_eq!(poll(&mut cursor, 1, "a1.b1.c1.d1."), ["a1.", "b1.", "c1.", "d1."]);
        assert!(poll(&mut cursor, 2, "a1.b1.c1.d1.").is_empty());
        // The span moves on: the first one is read to find the place, and the rest is known.
        assert_eq!(poll(&mut cursor, 3, "b1.c1.d1.e1."), ["b1.", "e1."]);
        // A late one stands in the middle, and one at the end.
        assert_eq!(poll(&mut cursor, 4, "b1.c1.x1.d1.e1.f1."), ["x1.", "f1."]);
        // One is written in another way, and the next one read to find the place; one is gone, and one has come back.
        assert_eq!(poll(&mut cursor, 5, "b1.c1!d1.a1.e1.f1."), ["c1!", "d1.", "a1."]);
        assert!(poll(&mut cursor, 6, "").is_empty());
        assert_eq!(poll(&mut cursor, 7, "f1."), ["f1."], "only the last reading is remembered");
    }

    #[test]
    fn what_was_never_told_is_read_although_it_was_met() {
        let mut cursor = Cursor::since(at(0));
        assert_eq!(poll(&mut cursor, 1, "a1."), ["a1."]);
        cursor.advance(at(100), [], KEEP);
        assert_eq!(poll(&mut cursor, 101, "a1."), ["a1."]);
    }

    #[test]
    fn a_reading_goes_back_to_where_it_was() {
        let mut cursor = Cursor::since(at(0));
        poll(&mut cursor, 1, "a1.b1.");
        let mut reading = cursor.reading();
        let place = reading.place();
        assert!(reading.again(b"a1.b1.").is_some() && reading.again(b"b1.").is_some());
        reading.back(place);
        assert!(reading.again(b"b1.").is_none() && reading.again(b"a1.").is_some());
        assert_eq!(reading.end().0.len(), 1);
    }
}
