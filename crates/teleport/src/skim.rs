//! Reads of an encoded user what the engine wants, and passes over the rest.
//!
//! A list of users is long, and nearly all of them are looked at once and forgotten. Decoding each one as a message first, and
//! turning that into the engine's user, builds everything twice; so the fields are picked out of the bytes, and texts stay
//! where they lie. [`crate::users::decode`] reads single users as messages; a test holds the two to one another.

use engine::user_view::{ConnectorView, UserView};
use prost::{
    DecodeError, Message as _,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

use crate::instant;

/// What can be wrong with the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Garbled {
    /// They are no protobuf message.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// A field has the number of one of ours, and another shape.
    #[error("field {0} is not what it should be")]
    Shape(u32),
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
}

type Read = Result<(), Garbled>;

/// The name of the user in `bytes`.
pub(crate) fn name(bytes: &[u8]) -> Result<&str, Garbled> {
    let mut name = "";
    fields(bytes, &[4], |_, content| fields(content, &[1], |_, content| put(&mut name, content)))?;
    Ok(name)
}

/// Reads the user in `bytes` into `user`, which is empty.
pub(crate) fn user<'a>(bytes: &'a [u8], user: &mut UserView<'a>) -> Read {
    let (mut stored_until, mut until) = (prost_types::Timestamp::default(), prost_types::Timestamp::default());
    let (mut is_stored_until, mut is_until) = (false, false);
    let mut connector = None;
    fields(bytes, &[4, 5], |number, content| match number {
        4 => fields(content, &[1, 5, 6, 8], |number, content| match number {
            1 => put(&mut user.name, content),
            5 => {
                let (key, value) = entry(content)?;
                user.add_label(text(key)?, text(value)?);
                Ok(())
            }
            6 => {
                is_stored_until = true;
                Ok(stored_until.merge(content)?)
            }
            _ => put(&mut user.revision, content),
        }),
        _ => fields(content, &[4, 5, 7, 8], |number, content| match number {
            4 => {
                user.roles.push(text(content)?);
                Ok(())
            }
            5 => fields(content, &[1], |_, content| read_trait(content, user)),
            7 => {
                is_until = true;
                Ok(until.merge(content)?)
            }
            _ => fields(content, &[1], |_, content| read_connector(content, connector.get_or_insert_default())),
        }),
    })?;
    user.created_by = connector;
    user.expires =
        instant::read(is_stored_until.then_some(&stored_until)).or_else(|| instant::read(is_until.then_some(&until)));
    user.settle();
    Ok(())
}

fn read_trait<'a>(bytes: &'a [u8], user: &mut UserView<'a>) -> Read {
    let (key, list) = entry(bytes)?;
    user.add_trait(text(key)?);
    fields(list, &[1], |_, content| {
        user.add_value(text(content)?);
        Ok(())
    })
}

fn read_connector<'a>(bytes: &'a [u8], connector: &mut ConnectorView<'a>) -> Read {
    fields(bytes, &[1, 2, 3], |number, content| match number {
        1 => put(&mut connector.kind, content),
        2 => put(&mut connector.id, content),
        _ => put(&mut connector.identity, content),
    })
}

/// Key and value of an entry of a map. Of several the last counts; values that are messages and come in pieces, which no
/// encoder makes, are not joined.
fn entry(bytes: &[u8]) -> Result<(&[u8], &[u8]), Garbled> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    fields(bytes, &[1, 2], |number, content| {
        *(if number == 1 { &mut key } else { &mut value }) = content;
        Ok(())
    })?;
    Ok((key, value))
}

/// Hands on the content of the `wanted` fields, all of which have a length, and passes over the others.
fn fields<'a>(mut rest: &'a [u8], wanted: &[u32], mut read: impl FnMut(u32, &'a [u8]) -> Read) -> Read {
    while !rest.is_empty() {
        let (number, wire) = decode_key(&mut rest)?;
        if !wanted.contains(&number) {
            skip_field(wire, number, &mut rest, DecodeContext::default())?;
            continue;
        }
        if wire != WireType::LengthDelimited {
            return Err(Garbled::Shape(number));
        }
        let length = usize::try_from(decode_varint(&mut rest)?).map_err(|_| Garbled::Shape(number))?;
        let (content, after) = rest.split_at_checked(length).ok_or(Garbled::Shape(number))?;
        rest = after;
        read(number, content)?;
    }
    Ok(())
}

fn put<'a>(into: &mut &'a str, content: &'a [u8]) -> Read {
    *into = text(content)?;
    Ok(())
}

fn text(bytes: &[u8]) -> Result<&str, Garbled> {
    std::str::from_utf8(bytes).map_err(|_| Garbled::Text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use engine::user::User;
    use proptest::prelude::*;
    use teleport_proto::{time, types, wrappers};

    use super::*;
    use crate::{call::Call, users::decode};

    /// What is picked out of the bytes.
    fn picked(bytes: &[u8]) -> Result<User, Garbled> {
        let mut view = UserView::default();
        user(bytes, &mut view)?;
        assert_eq!(name(bytes), Ok(view.name));
        Ok(User::from(&view))
    }

    /// The same by way of the message.
    fn as_message(bytes: &[u8]) -> Option<User> {
        let user = decode(Call::ListUsers, &Bytes::copy_from_slice(bytes)).ok()?;
        Some(User { original: Bytes::new(), ..user })
    }

    prop_compose! {
        fn message()(
            name in "[a-z@.]{1,12}", revision in ".{0,9}",
            labels in prop::collection::btree_map(".{0,9}", ".{0,9}", 0..5),
            roles in prop::collection::vec(".{0,9}", 0..4),
            traits in prop::collection::btree_map(".{0,9}", prop::collection::vec(".{0,9}", 0..4), 0..6),
            (stored, expires) in (prop::option::of(0_i64..2_000_000_000), prop::option::of(0_i64..2_000_000_000)),
            connector in prop::option::of((".{0,5}", ".{0,5}", ".{0,5}")),
            zero in any::<bool>(),
        ) -> Vec<u8> {
            let at = |seconds: i64| prost_types::Timestamp { seconds, nanos: 5 };
            let values = traits.into_iter().map(|(name, values)| (name, wrappers::StringValues { values })).collect();
            types::UserV2 {
                kind: "user".into(),
                metadata: Some(types::Metadata {
                    name, revision, labels: labels.into_iter().collect(), description: "not ours".into(),
                    expires: if zero { Some(time::go_zero()) } else { stored.map(at) },
                    ..types::Metadata::default()
                }),
                spec: Some(types::UserSpecV2 {
                    roles, traits: Some(wrappers::LabelValues { values }), expires: expires.map(at),
                    created_by: Some(types::CreatedBy {
                        connector: connector.map(|(kind, id, identity)| types::ConnectorRef { r#type: kind, id, identity }),
                        time: Some(at(9)), user: Some(types::UserRef { name: "maker".into() }),
                    }),
                    ..types::UserSpecV2::default()
                }),
                ..types::UserV2::default()
            }.encode_to_vec()
        }
    }

    proptest! {
        #[test]
        fn what_is_picked_out_is_what_the_message_says(message in message(), more in message()) {
            prop_assert_eq!(picked(&message).ok(), as_message(&message));
            // Messages in pieces are joined, and the last word counts.
            let pieces = [message, more].concat();
            prop_assert_eq!(picked(&pieces).ok(), as_message(&pieces));
        }

        #[test]
        fn damage_is_never_taken_for_a_user_that_the_message_is_not(
            mut message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let at = at.index(message.len());
            message[at] = byte;
            // Either may be stricter about what the other does not look at; where both read, they read the same.
            if let (Ok(picked), Some(read)) = (picked(&message), as_message(&message)) {
                prop_assert_eq!(picked, read);
            }
        }
    }

    #[test]
    fn fields_of_another_shape_are_refused_and_unknown_ones_are_passed_over() {
        let named = types::UserV2 {
            metadata: Some(types::Metadata { name: "ada".into(), ..types::Metadata::default() }),
            ..types::UserV2::default()
        };
        let mut bytes = named.encode_to_vec();
        bytes.extend([0x98, 6, 7]); // field 99, a number
        assert_eq!(picked(&bytes).unwrap().name, "ada");
        assert_eq!(picked(&[4 << 3, 7]), Err(Garbled::Shape(4)));
        assert_eq!(picked(&[4 << 3 | 2, 3, 1 << 3 | 2, 1, 0xff]), Err(Garbled::Text));
        assert!(matches!(picked(&[4 << 3 | 2, 9]), Err(Garbled::Shape(4))));
        assert_eq!(picked(&[]).unwrap().labels, BTreeMap::new());
    }
}
