//! Changes an encoded user without decoding what is not ours (P7).
//!
//! A struct knows some fields and drops the others when it is encoded again, and an update replaces the whole user: decode and encode would erase
//! what a newer server keeps there. So only the fields that an update owns are cut out and put in; every other byte, of fields known and unknown,
//! stays where it was.
//!
//! | message | field | what becomes of it |
//! |---|---|---|
//! | `Metadata` | 5 labels | set; entries that stay are not touched |
//! | | 6 expires | taken away if set |
//! | | 8 revision | set |
//! | `UserSpecV2` | 4 roles | set |
//! | | 5 traits | set; entries that stay are not touched |
//! | | 7 expires | set to the year 1, Go's "no time", if set |

use std::collections::{BTreeMap, HashSet};

use bytes::{Buf as _, Bytes, BytesMut};
use engine::user::{Traits, UserEdit};
use prost::{
    Message as _,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field, string},
};
use teleport_proto::time;

const METADATA: u32 = 4;
const SPEC: u32 = 5;

mod metadata {
    pub const LABELS: u32 = 5;
    pub const EXPIRES: u32 = 6;
    pub const REVISION: u32 = 8;
}

mod spec {
    pub const ROLES: u32 = 4;
    pub const TRAITS: u32 = 5;
    pub const EXPIRES: u32 = 7;
}

/// Field 1 of a map entry and of a list of strings, field 2 of a map entry.
const FIRST: u32 = 1;
const SECOND: u32 = 2;

/// Bytes that are not the message that they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(String);

impl From<prost::DecodeError> for Malformed {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

/// The encoded user `original` with what `edit` sets, at `revision`.
///
/// # Errors
/// Bytes that are no protobuf message.
pub(crate) fn edit(original: &Bytes, edit: &UserEdit, revision: &str) -> Result<Bytes, Malformed> {
    replace_messages(
        original,
        &[
            (METADATA, &|bytes| edit_metadata(bytes, &edit.labels, revision)),
            (SPEC, &|bytes| edit_spec(bytes, &edit.roles, &edit.traits)),
        ],
    )
}

fn edit_metadata(bytes: &Bytes, labels: &BTreeMap<String, String>, revision: &str) -> Result<Bytes, Malformed> {
    let fields = fields(bytes)?;
    let (kept, missing) = reconcile(&fields, metadata::LABELS, labels, |entry| text(&last(entry, SECOND)))?;
    let mut out = BytesMut::with_capacity(bytes.len());
    for (index, field) in fields.iter().enumerate() {
        let stays = match field.number {
            metadata::LABELS => kept.contains(&index),
            metadata::EXPIRES => !is_time(&field.payload),
            metadata::REVISION => false,
            _ => true,
        };
        if stays {
            out.extend_from_slice(&field.raw);
        }
    }
    for (key, value) in missing {
        let mut entry = BytesMut::new();
        string::encode(FIRST, key, &mut entry);
        string::encode(SECOND, value, &mut entry);
        put(metadata::LABELS, &entry, &mut out);
    }
    if !revision.is_empty() {
        string::encode(metadata::REVISION, &revision.to_owned(), &mut out);
    }
    Ok(out.freeze())
}

fn edit_spec(bytes: &Bytes, roles: &[String], traits: &Traits) -> Result<Bytes, Malformed> {
    let edited = replace_messages(bytes, &[(spec::TRAITS, &|bytes| edit_traits(bytes, traits))])?;
    let fields = fields(&edited)?;
    let given = texts(&fields, spec::ROLES)?;
    let roles_stay = given == roles;
    let mut out = BytesMut::with_capacity(edited.len());
    for field in &fields {
        match field.number {
            spec::ROLES if !roles_stay => {}
            spec::EXPIRES if is_time(&field.payload) => put(spec::EXPIRES, &time::go_zero().encode_to_vec(), &mut out),
            _ => out.extend_from_slice(&field.raw),
        }
    }
    if !roles_stay {
        string::encode_repeated(spec::ROLES, roles, &mut out);
    }
    Ok(out.freeze())
}

fn edit_traits(bytes: &Bytes, traits: &Traits) -> Result<Bytes, Malformed> {
    let fields = fields(bytes)?;
    let (kept, missing) =
        reconcile(&fields, FIRST, traits, |entry| texts(&self::fields(&merged(entry, SECOND))?, FIRST))?;
    let mut out = BytesMut::with_capacity(bytes.len());
    for (index, field) in fields.iter().enumerate() {
        if field.number != FIRST || kept.contains(&index) {
            out.extend_from_slice(&field.raw);
        }
    }
    for (key, values) in missing {
        let mut list = BytesMut::new();
        string::encode_repeated(FIRST, values, &mut list);
        let mut entry = BytesMut::new();
        string::encode(FIRST, key, &mut entry);
        put(SECOND, &list, &mut entry);
        put(FIRST, &entry, &mut out);
    }
    Ok(out.freeze())
}

/// Compares the map at `number` with `wanted`: which fields (by index) hold an entry that is wanted as it is, and which entries have to be added.
/// Of several entries with one key the last counts, as everywhere in protobuf.
#[expect(clippy::type_complexity)] // two halves of one answer
fn reconcile<'a, V: PartialEq>(
    fields: &[Field],
    number: u32,
    wanted: &'a BTreeMap<String, V>,
    value: impl Fn(&[Field]) -> Result<V, Malformed>,
) -> Result<(HashSet<usize>, Vec<(&'a String, &'a V)>), Malformed> {
    let mut held = BTreeMap::new();
    for (index, field) in fields.iter().enumerate().filter(|(_, field)| field.number == number) {
        let entry = self::fields(&field.payload)?;
        held.insert(text(&last(&entry, FIRST))?, (index, value(&entry)?));
    }
    let stays = |(key, value): &(&String, &V)| held.get(*key).is_some_and(|(_, given)| given == *value);
    let kept = wanted.iter().filter(stays).filter_map(|(key, _)| held.get(key)).map(|(index, _)| *index).collect();
    let missing = wanted.iter().filter(|entry| !stays(entry)).collect();
    Ok((kept, missing))
}

/// What becomes of a message field's content.
type Editor<'a> = (u32, &'a dyn Fn(&Bytes) -> Result<Bytes, Malformed>);

/// Puts the content of these message fields through their editors, in place. A field that is not there is added if its editor makes something of
/// nothing; one that stands there in pieces is joined first, as protobuf prescribes.
fn replace_messages(bytes: &Bytes, editors: &[Editor<'_>]) -> Result<Bytes, Malformed> {
    let fields = fields(bytes)?;
    let mut done = HashSet::new();
    let mut out = BytesMut::with_capacity(bytes.len());
    for field in &fields {
        match editors.iter().find(|(number, _)| *number == field.number) {
            None => out.extend_from_slice(&field.raw),
            Some((number, editor)) => {
                if done.insert(*number) {
                    put(*number, &editor(&merged(&fields, *number))?, &mut out);
                }
            }
        }
    }
    for (number, editor) in editors.iter().filter(|(number, _)| !done.contains(number)) {
        let content = editor(&Bytes::new())?;
        if !content.is_empty() {
            put(*number, &content, &mut out);
        }
    }
    Ok(out.freeze())
}

/// One field of a message.
struct Field {
    number: u32,
    /// Key and content, as they stand there.
    raw: Bytes,
    /// Content of a length-delimited field; empty for all others.
    payload: Bytes,
}

/// The fields of a message, in their order.
fn fields(bytes: &Bytes) -> Result<Vec<Field>, Malformed> {
    let mut rest = bytes.clone();
    let mut fields = Vec::new();
    while rest.has_remaining() {
        let start = bytes.len() - rest.len();
        let (number, wire) = decode_key(&mut rest)?;
        let mut content = rest.clone();
        skip_field(wire, number, &mut rest, DecodeContext::default())?;
        let payload = if wire == WireType::LengthDelimited {
            let length = decode_varint(&mut content)?;
            // `skip_field` went over them, so they are there.
            content.split_to(usize::try_from(length).map_or(content.len(), |length| length.min(content.len())))
        } else {
            Bytes::new()
        };
        fields.push(Field { number, raw: bytes.slice(start..bytes.len() - rest.len()), payload });
    }
    Ok(fields)
}

/// The content of all fields of that number, one after the other: for messages the same as merging them.
fn merged(fields: &[Field], number: u32) -> Bytes {
    let mut found = fields.iter().filter(|field| field.number == number).map(|field| &field.payload);
    let Some(first) = found.next() else { return Bytes::new() };
    let mut joined = None::<BytesMut>;
    for further in found {
        joined.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(further);
    }
    joined.map_or_else(|| first.clone(), BytesMut::freeze)
}

/// The content of the last field of that number: what counts for text.
fn last(fields: &[Field], number: u32) -> Bytes {
    fields.iter().rev().find(|field| field.number == number).map(|field| field.payload.clone()).unwrap_or_default()
}

fn text(bytes: &Bytes) -> Result<String, Malformed> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed("a text is not UTF-8".into()))
}

fn texts(fields: &[Field], number: u32) -> Result<Vec<String>, Malformed> {
    fields.iter().filter(|field| field.number == number).map(|field| text(&field.payload)).collect()
}

/// Whether the bytes are a time that says something.
fn is_time(bytes: &Bytes) -> bool {
    prost_types::Timestamp::decode(bytes.clone()).is_ok_and(|instant| time::is_set(Some(&instant)))
}

fn put(number: u32, content: &[u8], out: &mut BytesMut) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests;
