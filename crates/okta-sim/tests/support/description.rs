//! The vendor's own description of its API, and answers held against it.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;

/// The description, or none, with the reason, where it is not at hand.
pub fn description() -> Option<&'static Value> {
    static DESCRIPTION: OnceLock<Option<Value>> = OnceLock::new();
    DESCRIPTION
        .get_or_init(|| {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec");
            let path = folder.join("okta-management-2026.06.3.subset.json");
            match std::fs::read_to_string(&path) {
                Ok(text) => Some(serde_json::from_str(&text).unwrap()),
                Err(error) => {
                    eprintln!("skipped: {}: {error}", path.display());
                    None
                }
            }
        })
        .as_ref()
}

/// What does not fit in an answer to a GET of this path (without query): nothing where the description does not know the
/// path, or is not at hand.
pub fn misfits(path: &str, status: u16, body: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(spec) = description() else { return faults };
    if status >= 400 {
        check(spec, &spec["components"]["schemas"]["Error"], body, path, &mut faults);
        return faults;
    }
    let fits = |template: &&String| {
        let (asked, known) = (path.split('/').collect::<Vec<_>>(), template.split('/').collect::<Vec<_>>());
        asked.len() == known.len()
            && known.iter().zip(&asked).all(|(known, part)| known.starts_with('{') || known == part)
    };
    let Some(template) = spec["paths"].as_object().unwrap().keys().find(fits) else { return faults };
    let schema = &spec["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{template}");
    check(spec, schema, body, template, &mut faults);
    // The description leaves what is embedded open; a person is a User.
    let user = &spec["components"]["schemas"]["User"];
    let entries = body.as_array().map_or(std::slice::from_ref(body), Vec::as_slice);
    for embedded in entries.iter().map(|entry| &entry["_embedded"]["user"]).filter(|user| user.is_object()) {
        check(spec, user, embedded, "embedded", &mut faults);
    }
    faults
}

/// Collects what does not fit. Nulls fit anywhere: real answers carry them where the description does not say so.
fn check(spec: &Value, schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = spec.pointer(reference.trim_start_matches('#')).unwrap();
        return check(spec, target, value, path, faults);
    }
    if value.is_null() {
        return;
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check(spec, part, value, path, faults);
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if !fits {
        faults.push(format!("{path}: {value} is no {}", schema["type"]));
    }
    // `enum` lists of open sets (types of actors, statuses of the future) are not held against an answer.
    if let (Some(words), Some(word)) = (schema["enum"].as_array(), value.as_str())
        && !words.iter().any(|w| w == word)
    {
        faults.push(format!("{path}: {word} is none of {words:?}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            faults.push(format!("{path}: {name} is missing"));
        }
    }
    if let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object()) {
        for (name, property) in properties {
            if let Some(value) = object.get(name) {
                check(spec, property, value, &format!("{path}/{name}"), faults);
            }
        }
    }
    if let Some(list) = value.as_array() {
        for (place, item) in list.iter().enumerate() {
            check(spec, &schema["items"], item, &format!("{path}/{place}"), faults);
        }
    }
}
