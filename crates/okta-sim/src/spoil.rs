//! Faults that concern what an answer says.

use serde_json::{Map, Value};

use crate::faults::FaultKind;

/// Lays a fault that concerns the content over an answer's JSON text.
pub(crate) fn spoil(kind: &FaultKind, body: &str) -> Option<String> {
    match kind {
        FaultKind::EmptyList | FaultKind::EmptyPage if body.starts_with('[') => return Some("[]".to_owned()),
        FaultKind::CutJson { after } => {
            let cut = (0..=(*after).min(body.len())).rev().find(|at| body.is_char_boundary(*at));
            return Some(body[..cut.unwrap_or(0)].to_owned());
        }
        FaultKind::Padding { bytes } => {
            let missing = bytes.saturating_sub(body.len());
            return Some(format!("{body}{}", " ".repeat(missing)));
        }
        _ => {}
    }
    let mut value: Value = serde_json::from_str(body).ok()?;
    if *kind == FaultKind::OmitNulls {
        omit_nulls(&mut value);
        return Some(value.to_string());
    }
    let single = value.is_object();
    let mut entries = match value {
        Value::Array(entries) => entries,
        other => vec![other],
    };
    if !spoil_entries(kind, &mut entries) {
        return None;
    }
    let spoiled = if single { entries.into_iter().next()? } else { Value::Array(entries) };
    Some(spoiled.to_string())
}

fn spoil_entries(kind: &FaultKind, entries: &mut Vec<Value>) -> bool {
    match kind {
        FaultKind::ShortList { keep } => entries.truncate(*keep),
        FaultKind::DuplicateEntry => entries.extend(entries.first().cloned()),
        FaultKind::Reverse => entries.reverse(),
        FaultKind::MissingEmbedded { every } => each(entries, *every, |entry| {
            entry.remove("_embedded");
        }),
        FaultKind::EmptyEmbedded { every } => each(entries, *every, |entry| {
            entry.insert("_embedded".to_owned(), Value::Object(Map::new()));
        }),
        FaultKind::ForeignEmbedded => each(entries, 1, |entry| {
            if let Some(user) = entry.get_mut("_embedded").and_then(|e| e.get_mut("user")) {
                user["id"] = "00uSomebodyElse005d7".into();
            }
        }),
        FaultKind::ExtraFields => each(entries, 1, |entry| {
            entry.insert("brandNew".to_owned(), serde_json::json!({ "since": "2027.01", "list": [1, null] }));
        }),
        FaultKind::UnknownStatus => each(entries, 1, |entry| {
            entry.insert("status".to_owned(), "LEVITATING".into());
            if let Some(user) = entry.get_mut("_embedded").and_then(|e| e.get_mut("user")) {
                user["status"] = "HIBERNATING".into();
            }
        }),
        _ => return false,
    }
    true
}

fn each(entries: &mut [Value], every: usize, change: impl Fn(&mut Map<String, Value>)) {
    for entry in entries.iter_mut().step_by(every.max(1)) {
        if let Value::Object(entry) = entry {
            change(entry);
        }
    }
}

fn omit_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(omit_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(omit_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_spoiled_as_named() {
        let page = r#"[{"id":"1","n":null,"_embedded":{"user":{"id":"1"}}},{"id":"2"}]"#;
        let spoiled = |kind| spoil(&kind, page).unwrap();
        assert_eq!(spoiled(FaultKind::EmptyList), "[]");
        assert!(!spoiled(FaultKind::MissingEmbedded { every: 1 }).contains("_embedded"));
        assert!(!spoiled(FaultKind::OmitNulls).contains("null"));
        assert!(spoiled(FaultKind::DuplicateEntry).matches("\"1\"").count() > 2);
        assert_eq!(spoiled(FaultKind::CutJson { after: 3 }), "[{\"");
        assert!(spoil(&FaultKind::StripDate, page).is_none());
    }
}
