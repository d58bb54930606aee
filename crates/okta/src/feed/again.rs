//! A page of the System Log, of which only what is new to us is decoded.
//!
//! What is passed over stands there byte for byte as it stood when it was decoded ([`engine::feed::Reading`]), and what
//! stands between two events is looked at here. So a page is taken exactly where it would be taken if it were decoded whole.

use engine::feed::Reading;

use super::{Event, LogEvent};
use crate::people::EntryFault;

/// An event on a page.
pub(super) enum Shown<E> {
    /// It was told already, and has this `uuid`.
    Again(String),
    /// It had to be decoded.
    Read(E),
}

/// All events of a page. Where it cannot be gone through event by event, it is decoded whole: either there is more to it than
/// that, or it is damaged, and then the error says where.
pub(super) fn read(reading: &mut Reading<'_>, page: &[u8]) -> serde_json::Result<Vec<Shown<LogEvent>>> {
    let begin = reading.place();
    if let Some(events) = one_by_one(reading, page) {
        return Ok(events);
    }
    reading.back(begin);
    let events: Vec<LogEvent> = serde_json::from_slice(page)?;
    Ok(events.into_iter().map(Shown::Read).collect())
}

fn one_by_one(reading: &mut Reading<'_>, page: &[u8]) -> Option<Vec<Shown<LogEvent>>> {
    let mut events = Vec::new();
    let mut rest = after_gap(after_gap(page).strip_prefix(b"[")?);
    loop {
        let text = if let Some((text, uuid)) = reading.again(rest) {
            events.push(Shown::Again(uuid.to_owned()));
            text
        } else {
            let mut event = serde_json::Deserializer::from_slice(rest).into_iter::<LogEvent>();
            let read = event.next()?.ok()?;
            let text = rest.get(..event.byte_offset())?;
            if let Some(uuid) = &read.uuid {
                reading.read(text, uuid);
            }
            events.push(Shown::Read(read));
            text
        };
        let (between, after) = after_gap(rest.get(text.len()..)?).split_first()?;
        rest = after_gap(after);
        match between {
            b',' => {}
            b']' => return rest.is_empty().then_some(events),
            _ => return None,
        }
    }
}

/// What comes after the white space of JSON.
fn after_gap(text: &[u8]) -> &[u8] {
    let gap = text.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
    text.get(gap..).unwrap_or_default()
}

impl Shown<LogEvent> {
    /// An event that was decoded has to have what every event has.
    pub(super) fn checked(self) -> Result<Shown<Event>, EntryFault> {
        Ok(match self {
            Self::Again(uuid) => Shown::Again(uuid),
            Self::Read(event) => Shown::Read(event.checked()?),
        })
    }
}

impl Shown<Event> {
    pub(super) fn uuid(&self) -> &str {
        match self {
            Self::Again(uuid) => uuid,
            Self::Read(event) => &event.uuid,
        }
    }

    /// The event, if it had to be decoded.
    pub(super) fn unread(self) -> Option<Event> {
        match self {
            Self::Again(_) => None,
            Self::Read(event) => Some(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::feed::Cursor;
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn event(uuid: &str, person: &str) -> String {
        format!(
            r#"{{"actor":{{"id":"x","detailEntry":null}},"eventType":"user.lifecycle.suspend","published":"2026-01-01T00:00:00.000Z","uuid":"{uuid}","target":[{{"id":"{person}","type":"User"}}]}}"#
        )
    }

    /// A poll that finds this page; answers the ids of what was told already, and of what had to be decoded.
    fn poll(cursor: &mut Cursor, page: &str) -> serde_json::Result<(Vec<String>, Vec<String>)> {
        let mut reading = cursor.reading();
        let shown = read(&mut reading, page.as_bytes())?;
        let texts = reading.end();
        let (mut again, mut decoded) = (Vec::new(), Vec::new());
        for event in shown {
            match event {
                Shown::Again(uuid) => again.push(uuid),
                Shown::Read(event) => decoded.push(event.uuid.unwrap_or_default()),
            }
        }
        cursor.met(texts);
        let now = Timestamp::UNIX_EPOCH;
        cursor.advance(now, decoded.iter().map(|uuid| (uuid.as_str(), now)), SignedDuration::from_secs(60));
        Ok((again, decoded))
    }

    fn poll_of(cursor: &mut Cursor, events: &[String], between: &str) -> (Vec<String>, Vec<String>) {
        poll(cursor, &format!("[{}]", events.join(between))).unwrap()
    }

    #[test]
    fn of_a_page_that_was_told_nothing_is_decoded_and_of_a_new_one_all() {
        let mut cursor = Cursor::since(Timestamp::UNIX_EPOCH);
        let events: Vec<String> = (0..1000).map(|n| event(&format!("u{n}"), "00u1")).collect();
        assert_eq!(poll_of(&mut cursor, &events, ",").1.len(), 1000);
        let (again, decoded) = poll_of(&mut cursor, &events, " ,\n");
        assert_eq!((again.len(), decoded.len()), (1000, 0));
        // The span has moved on, and a late event stands among the others.
        let mut moved = events[200..].to_vec();
        moved.insert(300, event("late", "00u1"));
        assert_eq!(poll_of(&mut cursor, &moved, ",").1, ["u200", "late"]);
        assert_eq!(poll_of(&mut cursor, &moved, ",").1.len(), 0);
    }

    #[test]
    fn an_event_that_says_something_else_under_the_same_id_is_decoded() {
        let mut cursor = Cursor::since(Timestamp::UNIX_EPOCH);
        poll_of(&mut cursor, &[event("u1", "00u1"), event("u2", "00u1")], ",");
        let (again, decoded) = poll_of(&mut cursor, &[event("u1", "00u1"), event("u2", "00u2")], ",");
        assert_eq!((again, decoded), (vec!["u1".to_owned()], vec!["u2".to_owned()]));
    }

    #[test]
    fn what_stands_beside_known_events_is_judged_as_ever() {
        let mut cursor = Cursor::since(Timestamp::UNIX_EPOCH);
        let (one, two) = (event("u1", "00u1"), event("u2", "00u1"));
        poll_of(&mut cursor, &[one.clone(), two.clone()], ",");
        for page in [
            format!("[{one} {two}]"),
            format!("[{one},{two}"),
            format!("[{one},{two},]"),
            format!("[,{one},{two}]"),
            format!("[{one},{two}]]"),
            format!("[{one},{two},7]"),
            format!("[{one},{two},{{\"uuid\":7}}]"),
            format!("{one},{two}"),
            format!("[{one},{}", &two[..20]),
            "[".to_owned(),
            String::new(),
        ] {
            let whole = serde_json::from_str::<Vec<LogEvent>>(&page).err().unwrap();
            assert_eq!(poll(&mut cursor.clone(), &page).unwrap_err().to_string(), whole.to_string(), "{page}");
        }
        assert_eq!(poll(&mut cursor, " [ ] ").unwrap(), (vec![], vec![]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        /// Whatever was read before, and however a page is damaged, it is taken where it would be taken whole, with the same ids,
        /// and refused in the same words.
        #[test]
        fn a_page_is_taken_as_it_would_be_whole(
            before in prop::collection::vec(0_u8..6, 0..6),
            now in prop::collection::vec(0_u8..6, 0..6),
            between in prop::sample::select(vec![",", " , ", "\n,", ",\t"]),
            spoilt in prop::option::of((any::<prop::sample::Index>(), prop::sample::select(b"{}[],:\"\\ x0".to_vec()))),
        ) {
            let page = |of: &[u8]| {
                let events: Vec<String> = of.iter().map(|n| event(&format!("u{n}"), "00u1")).collect();
                format!("[{}]", events.join(between))
            };
            let mut cursor = Cursor::since(Timestamp::UNIX_EPOCH);
            poll(&mut cursor, &page(&before)).unwrap();
            let mut text = page(&now).into_bytes();
            if let Some((at, byte)) = spoilt {
                let at = at.index(text.len());
                text[at] = byte;
            }
            let text = String::from_utf8(text).unwrap();
            match (poll(&mut cursor, &text), serde_json::from_str::<Vec<LogEvent>>(&text)) {
                (Ok((again, decoded)), Ok(whole)) => {
                    let mut ids: Vec<String> = again.into_iter().chain(decoded).collect();
                    let mut all: Vec<String> = whole.into_iter().map(|event| event.uuid.unwrap_or_default()).collect();
                    ids.sort();
                    all.sort();
                    prop_assert_eq!(ids, all);
                }
                (ours, whole) => prop_assert_eq!(
                    ours.err().map(|error| error.to_string()),
                    whole.err().map(|error| error.to_string())
                ),
            }
        }
    }
}
