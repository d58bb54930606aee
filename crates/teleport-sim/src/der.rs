//! Just enough of DER (X.690) to write certificates and to look into keys.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// One value with its tag and length.
pub(crate) fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut value = vec![tag];
    let length = content.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => value.push(short),
        _ => {
            let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            value.push(0x80 | u8::try_from(bytes.len()).unwrap_or(8));
            value.extend(bytes);
        }
    }
    value.extend_from_slice(content);
    value
}

pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(SEQUENCE, &parts.concat())
}

pub(crate) fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(SET, &parts.concat())
}

/// A context-specific constructed value `[number]`.
pub(crate) fn context(number: u8, content: &[u8]) -> Vec<u8> {
    tagged(0xa0 | number, content)
}

/// A non-negative integer from its big-endian bytes.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    tagged(INTEGER, &unsigned(bytes))
}

/// The shortest two's-complement form of a non-negative number: no leading zeros, but one where the first bit is set.
pub(crate) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let mut value: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if value.first().is_none_or(|first| first & 0x80 != 0) {
        value.insert(0, 0);
    }
    value
}

pub(crate) fn bit_string(content: &[u8]) -> Vec<u8> {
    tagged(BIT_STRING, &[&[0], content].concat())
}

pub(crate) fn octet_string(content: &[u8]) -> Vec<u8> {
    tagged(OCTET_STRING, content)
}

pub(crate) fn utf8(text: &str) -> Vec<u8> {
    tagged(UTF8_STRING, text.as_bytes())
}

pub(crate) fn null() -> Vec<u8> {
    vec![0x05, 0x00]
}

pub(crate) fn boolean(value: bool) -> Vec<u8> {
    vec![0x01, 0x01, if value { 0xff } else { 0x00 }]
}

pub(crate) fn oid(arcs: &[u32]) -> Vec<u8> {
    let (first, second) = (arcs.first().copied().unwrap_or(0), arcs.get(1).copied().unwrap_or(0));
    let mut content = Vec::new();
    for arc in std::iter::once(first * 40 + second).chain(arcs.iter().skip(2).copied()) {
        let mut groups = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            groups.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        content.extend(groups.into_iter().rev());
    }
    tagged(OBJECT_IDENTIFIER, &content)
}

/// A `GeneralizedTime` or `UTCTime`, as RFC 5280 §4.1.2.5 wants it.
pub(crate) fn time(at: jiff::Timestamp) -> Vec<u8> {
    let year = at.to_zoned(jiff::tz::TimeZone::UTC).year();
    if (1950..2050).contains(&year) {
        tagged(0x17, at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
    } else {
        tagged(0x18, at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
    }
}

/// Reads the value at the front: its tag, its content, and what follows it.
pub(crate) fn read(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        (digits.iter().try_fold(0_usize, |sum, digit| sum.checked_mul(256)?.checked_add(usize::from(*digit)))?, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The contents of the values inside a sequence.
pub(crate) fn read_sequence(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let (SEQUENCE, mut inside, _) = read(bytes)? else { return None };
    let mut contents = Vec::new();
    while !inside.is_empty() {
        let (_, content, rest) = read(inside)?;
        contents.push(content);
        inside = rest;
    }
    Some(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_below_and_above_127_read_back() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let value = octet_string(&content);
            assert_eq!(read(&value), Some((OCTET_STRING, content.as_slice(), [].as_slice())), "{length}");
        }
    }

    #[test]
    fn integers_stay_positive_and_short() {
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[]), [2, 1, 0]);
    }

    #[test]
    fn object_identifiers_are_packed_in_groups_of_seven_bits() {
        assert_eq!(oid(&[1, 2, 840, 113_549]), [6, 6, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]);
        assert_eq!(oid(&[1, 3, 9999, 1, 7]), [6, 5, 0x2b, 0xce, 0x0f, 1, 7]);
    }
}
