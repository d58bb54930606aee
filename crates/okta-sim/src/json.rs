//! Writing JSON straight from compact state, without building a tree first.

use std::fmt::Write as _;

/// Appends `text` as a JSON string, quotes included (RFC 8259 §7).
pub(crate) fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        if escape.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        plain = at + 1;
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Appends `"key":` after a comma, if one is needed.
pub(crate) fn key(out: &mut String, key: &str) {
    if !out.ends_with(['{', '[', ',']) {
        out.push(',');
    }
    out.push('"');
    out.push_str(key);
    out.push_str("\":");
}

/// Appends `"key":"text"`.
pub(crate) fn text(out: &mut String, name: &str, value: &str) {
    key(out, name);
    string(out, value);
}

/// Appends `"key":raw`, where `raw` is JSON already.
pub(crate) fn raw(out: &mut String, name: &str, value: &str) {
    key(out, name);
    out.push_str(value);
}

/// Appends `"key":"timestamp"`, or `"key":null`.
pub(crate) fn stamp(out: &mut String, name: &str, value: Option<crate::clock::Stamp>) {
    key(out, name);
    match value {
        Some(moment) => {
            out.push('"');
            moment.write(out);
            out.push('"');
        }
        None => out.push_str("null"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn strings_are_escaped_as_json_wants() {
        for text in ["", "plain", "a\"b\\c", "tab\tnew\nline", "\u{1}\u{1f}", "张伟 é 😀"] {
            let mut out = String::new();
            super::string(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
