//! Edits of encoded messages that touch nothing else: fields that the simulator does not know stay as they came, byte for byte.

/// The wire form of a length-delimited field.
pub(crate) fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 6);
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// The message without its length-delimited field `number`, and what that field held. Several occurrences are joined, which is how protobuf
/// merges them.
pub(crate) fn take(message: &[u8], number: u32) -> Result<(Vec<u8>, Option<Vec<u8>>), prost::DecodeError> {
    use prost::{
        bytes::Buf as _,
        encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
    };

    let mut rest = message;
    let mut kept = Vec::with_capacity(message.len());
    let mut taken = None;
    while rest.has_remaining() {
        let whole = rest;
        let (found, wire) = decode_key(&mut rest)?;
        if found == number && wire == WireType::LengthDelimited {
            let mut inner = rest;
            let length = usize::try_from(decode_varint(&mut inner)?).unwrap_or(usize::MAX);
            skip_field(wire, found, &mut rest, DecodeContext::default())?;
            taken.get_or_insert_with(Vec::new).extend_from_slice(inner.get(..length).unwrap_or_default());
        } else {
            skip_field(wire, found, &mut rest, DecodeContext::default())?;
            kept.extend_from_slice(&whole[..whole.len() - rest.len()]);
        }
    }
    Ok((kept, taken))
}

/// The message with its length-delimited field `number` replaced by (or, with `None`, removed).
pub(crate) fn replace(message: &[u8], number: u32, content: Option<&[u8]>) -> Result<Vec<u8>, prost::DecodeError> {
    let (mut kept, _) = take(message, number)?;
    if let Some(content) = content {
        kept.extend(field(number, content));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use teleport_proto::types;

    use super::*;

    #[test]
    fn a_replaced_field_leaves_its_neighbours_alone() {
        let stored =
            types::Metadata { name: "n".into(), revision: "old".into(), description: "d".into(), ..Default::default() };
        let mut bytes = stored.encode_to_vec();
        bytes.extend(field(4000, b"unknown"));
        let edited = replace(&bytes, 8, Some(b"new")).unwrap();
        let read = types::Metadata::decode(edited.as_slice()).unwrap();
        assert_eq!((read.revision.as_str(), read.name.as_str(), read.description.as_str()), ("new", "n", "d"));
        assert_eq!(take(&edited, 4000).unwrap().1.as_deref(), Some(b"unknown".as_slice()));
        assert_eq!(take(&replace(&edited, 8, None).unwrap(), 8).unwrap().1, None);
    }

    #[test]
    fn a_field_that_comes_twice_is_joined() {
        let twice = [field(4, b"ab"), field(1, b"-"), field(4, b"cd")].concat();
        assert_eq!(take(&twice, 4).unwrap(), (field(1, b"-"), Some(b"abcd".to_vec())));
        assert!(take(&[0x22, 0x05, 0x01], 4).is_err(), "a truncated message is refused");
    }
}
