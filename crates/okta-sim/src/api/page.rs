//! Pages: limits, opaque cursors and links.

use super::Request;
use super::answer::Answer;
use crate::clock::Stamp;
use crate::id::ALPHABET;
use crate::refusal::Refusal;

/// How a list is paged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paging {
    /// Page length without `limit`.
    pub default: usize,
    /// Longest page; a greater `limit` means this one.
    pub max: usize,
    /// What the list's cursors look like.
    pub cursor: CursorForm,
    /// Links leave out `expand` (Okta's defect of before release 2026.08).
    pub loses_expand: bool,
}

/// What a cursor looks like. All of them carry the same; clients must not care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CursorForm {
    /// A long number, as for app users.
    Number,
    /// Like an id with this prefix, as for users and groups.
    Id(&'static str),
    /// `<epoch-ms>_<number>`, as for the System Log.
    Log,
}

/// A page that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Entries to give.
    pub limit: usize,
    /// Entries that were asked for, which links repeat.
    asked: usize,
    /// Last position of the page before.
    pub after: Option<u64>,
}

/// Binds cursors to a query and a time, so that one of another query, an expired one or a made-up one is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealer {
    pub key: u64,
    /// Life of a cursor in seconds; 0 is for ever.
    pub life: u64,
    /// Most entries on a page; 0 is as many as asked for.
    pub entries: usize,
}

/// Bits of the seal.
const SEAL: u32 = 29;
/// Bits of the time.
const TIME: u32 = 32;
/// Bits of everything but the seal.
const REST: u32 = 72;

impl Sealer {
    /// Makes a cursor for a position in the list that `query` names.
    pub fn seal(self, form: CursorForm, query: &str, position: u64, now: Stamp) -> String {
        let seconds = u128::try_from(now.seconds()).unwrap_or(0) & ((1 << TIME) - 1);
        let rest = (u128::from(position) & ((1 << (REST - TIME)) - 1)) << TIME | seconds;
        let seal = self.mac(query, rest) & ((1 << SEAL) - 1);
        let value = (rest ^ self.mask(seal)) << SEAL | seal;
        match form {
            CursorForm::Number => value.to_string(),
            CursorForm::Id(prefix) => format!("{prefix}{}", base62(value)),
            CursorForm::Log => format!("{}_{value}", now.millis()),
        }
    }

    /// Reads a cursor back.
    pub fn open(self, form: CursorForm, query: &str, cursor: &str, now: Stamp) -> Option<u64> {
        let value: u128 = match form {
            CursorForm::Number => cursor.parse().ok()?,
            CursorForm::Id(prefix) => from_base62(cursor.strip_prefix(prefix)?)?,
            CursorForm::Log => cursor.split_once('_')?.1.parse().ok()?,
        };
        let seal = value & ((1 << SEAL) - 1);
        let rest = (value >> SEAL) ^ self.mask(seal);
        if rest >> REST != 0 || self.mac(query, rest) & ((1 << SEAL) - 1) != seal {
            return None;
        }
        let made = u64::try_from(rest & ((1 << TIME) - 1)).ok()?;
        let age = u64::try_from(now.seconds()).ok()?.saturating_sub(made);
        if self.life > 0 && age > self.life {
            return None;
        }
        u64::try_from(rest >> TIME).ok()
    }

    fn mac(self, query: &str, rest: u128) -> u128 {
        let mut state = self.key ^ 0xcbf2_9ce4_8422_2325;
        for byte in query.bytes().chain(rest.to_le_bytes()) {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        u128::from(state ^ (state >> 32))
    }

    fn mask(self, seal: u128) -> u128 {
        let spread = self.mac("mask", seal).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        (spread >> 50) & ((1 << REST) - 1)
    }
}

fn base62(mut value: u128) -> String {
    let mut digits = [b'0'; 17];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[usize::try_from(value % 62).unwrap_or(0)];
        value /= 62;
    }
    String::from_utf8_lossy(&digits).into_owned()
}

fn from_base62(text: &str) -> Option<u128> {
    if text.len() != 17 {
        return None;
    }
    text.bytes().try_fold(0_u128, |value, byte| {
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        value.checked_mul(62)?.checked_add(u128::try_from(digit).ok()?)
    })
}

/// What a cursor is bound to: the path and the parameters that select, not those that shape.
fn selection(request: &Request) -> String {
    let mut text = request.path.clone();
    for (name, value) in &request.query {
        if !matches!(name.as_str(), "after" | "limit" | "expand") {
            text.extend(["&", name, "=", value]);
        }
    }
    text
}

impl Paging {
    /// Reads `limit` and `after`.
    pub fn read(&self, request: &Request, sealer: Sealer) -> Result<Wanted, Refusal> {
        let asked = match request.parameter("limit") {
            None | Some("") => self.default,
            Some(text) => {
                let asked: usize = text.parse().map_err(|_| Refusal::pagination())?;
                if asked == 0 && self.cursor != CursorForm::Log {
                    return Err(Refusal::pagination());
                }
                asked.min(self.max)
            }
        };
        let after = match request.parameter("after") {
            None | Some("") => None,
            Some(cursor) => Some(
                sealer.open(self.cursor, &selection(request), cursor, request.now).ok_or_else(Refusal::pagination)?,
            ),
        };
        let limit = if sealer.entries == 0 { asked } else { asked.min(sealer.entries) };
        Ok(Wanted { limit, asked, after })
    }

    /// An answer with its links; `next` is the position after which the next page begins.
    pub fn answer(&self, request: &Request, sealer: Sealer, wanted: Wanted, body: String, next: Option<u64>) -> Answer {
        let mut answer = Answer::json(body);
        let limit = wanted.asked.to_string();
        let own = request.parameter("after").map(str::to_owned);
        answer.links.push(("self", self.link(request, own.as_deref(), &limit)));
        if let Some(position) = next {
            let cursor = sealer.seal(self.cursor, &selection(request), position, request.now);
            answer.links.push(("next", self.link(request, Some(&cursor), &limit)));
        }
        answer
    }

    fn link(&self, request: &Request, after: Option<&str>, limit: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(after) = after {
            query.append_pair("after", after);
        }
        query.append_pair("limit", limit);
        for (name, value) in &request.query {
            let shaped = name == "expand" && self.loses_expand;
            if !matches!(name.as_str(), "after" | "limit") && !shaped {
                query.append_pair(name, value);
            }
        }
        format!("{}{}?{}", request.base, request.path, query.finish())
    }
}

/// Collects one page out of positions and items in order: the items, and the position to go on from, if there is more.
///
/// `trailing` makes an exactly full last page claim a successor.
pub(crate) fn take<T>(items: impl Iterator<Item = (u64, T)>, limit: usize, trailing: bool) -> (Vec<T>, Option<u64>) {
    let mut page = Vec::with_capacity(limit.min(1000));
    let mut last = None;
    for (position, item) in items {
        if page.len() == limit {
            return (page, last);
        }
        last = Some(position);
        page.push(item);
    }
    let full = trailing && limit > 0 && page.len() == limit;
    (page, last.filter(|_| full))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [CursorForm; 3] = [CursorForm::Number, CursorForm::Id("00u"), CursorForm::Log];

    #[test]
    fn a_cursor_reads_back_for_its_own_query_only() {
        let sealer = Sealer { key: 42, life: 0, entries: 0 };
        let now = Stamp::from_millis(1_770_000_000_000);
        for form in FORMS {
            for position in [0, 1, 499, 1_000_000, (1 << 40) - 1] {
                let cursor = sealer.seal(form, "/api/v1/users", position, now);
                assert_eq!(sealer.open(form, "/api/v1/users", &cursor, now), Some(position));
                assert_eq!(sealer.open(form, "/api/v1/users&q=a", &cursor, now), None);
                let other = Sealer { key: 43, ..sealer };
                assert_eq!(other.open(form, "/api/v1/users", &cursor, now), None);
            }
        }
        assert_eq!(sealer.seal(FORMS[1], "q", 7, now).len(), 20);
    }

    #[test]
    fn a_cursor_expires_when_it_should() {
        let sealer = Sealer { key: 1, life: 60, entries: 0 };
        let now = Stamp::from_millis(1_770_000_000_000);
        let cursor = sealer.seal(CursorForm::Number, "q", 5, now);
        let open = |seconds: i64| sealer.open(CursorForm::Number, "q", &cursor, now.plus_millis(seconds * 1000));
        assert_eq!(open(60), Some(5));
        assert_eq!(open(61), None);
    }

    #[test]
    fn a_full_last_page_has_a_successor_only_if_asked() {
        let items = || (0..4_u64).map(|i| (i, i));
        assert_eq!(take(items(), 4, false), (vec![0, 1, 2, 3], None));
        assert_eq!(take(items(), 4, true), (vec![0, 1, 2, 3], Some(3)));
        assert_eq!(take(items(), 3, false), (vec![0, 1, 2], Some(2)));
        assert_eq!(take(items(), 5, true).1, None);
    }
}
