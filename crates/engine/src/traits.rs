//! Traits from profile values.
//!
//! Every non-empty value of the user's profile and of the assignment's profile becomes a trait; where both have it, the
//! assignment's wins, because that is what the app was told. Lists stay lists; numbers and booleans become their text;
//! a nested object becomes its JSON text; null, "" and empty lists vanish.

use std::borrow::Cow;

use globset::Candidate;
use serde_json::Value;

use crate::{person::Person, policy::TraitRules, user::Traits};

/// Most bytes of trait names and values for one user. Some of Teleport's storage backends hold no object above 400 KB.
pub const MAX_BYTES: usize = 256 * 1024;

/// Traits of a person, and the names that had to be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    /// Trait name to values.
    pub traits: Traits,
    /// Traits left out because all of them together would be larger than [`MAX_BYTES`], or because of a comma in a name
    /// that has no prefix.
    pub left_out: Vec<String>,
}

/// The traits that `rules` make of `person`.
#[must_use]
pub fn map(person: &Person, rules: &TraitRules) -> Mapped {
    let (mut traits, mut left_out) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    let mut put = |name: String, values: Vec<String>| {
        let size = name.len() + values.iter().map(String::len).sum::<usize>();
        let unrecordable = name.contains(',') && (rules.prefix.is_empty() || !name.starts_with(&rules.prefix));
        if bytes + size > MAX_BYTES || unrecordable {
            left_out.push(name);
            return;
        }
        bytes += size;
        traits.push((name, values));
    };
    for (attribute, value) in merged(person) {
        let candidate = Candidate::new(attribute);
        if rules.include.is_match_candidate(&candidate) && !rules.exclude.is_match_candidate(&candidate) {
            let values = values(value);
            if !values.is_empty() {
                put(format!("{}{attribute}", rules.prefix), values);
            }
        }
    }
    for mapping in &rules.map {
        let value = mapping
            .from
            .strip_prefix("user.profile.")
            .and_then(|attribute| person.profile.get(attribute))
            .or_else(|| mapping.from.strip_prefix("appUser.profile.").and_then(|a| person.app_profile.get(a)));
        let values = value.map(values).unwrap_or_default();
        if !values.is_empty() {
            put(mapping.to.clone(), values);
        }
    }
    // They come in order, but for those that are mapped by name; of several under one name the last counts.
    Mapped { traits: traits.into_iter().collect(), left_out }
}

/// Both profiles as one: a value of the assignment hides the user's of the same name, unless it is empty.
fn merged(person: &Person) -> Vec<(&str, &Value)> {
    let both = person.profile.iter().chain(&person.app_profile);
    let mut all: Vec<(&str, &Value)> = both.map(|(attribute, value)| (attribute.as_str(), value)).collect();
    // Of two under one name the user's stays before the assignment's.
    all.sort_by_key(|(attribute, _)| *attribute);
    all.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same && !is_empty(later.1) {
            kept.1 = later.1;
        }
        same
    });
    all
}

/// Whether an attribute of that value has none as text.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(|item| item.is_null() || item == ""),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// The values of one attribute, as text.
fn values(value: &Value) -> Vec<String> {
    let one = |value: &Value| text(value).filter(|text| !text.is_empty()).map(Cow::into_owned);
    match value {
        Value::Array(items) => items.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(Cow::Owned(value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::test_values::{person, policy_with};

    fn mapped(profile: &Value, app_profile: &Value, change: impl FnOnce(&mut api::OktaUserSyncSpec)) -> Mapped {
        let mut person = person("00u1", "alice");
        person.profile = profile.as_object().unwrap().clone();
        person.app_profile = app_profile.as_object().unwrap().clone();
        map(&person, &policy_with(change).traits)
    }

    #[test]
    fn values_become_text_and_empty_ones_vanish() {
        let profile = json!({
            "email": "a@x", "empty": "", "none": null, "list": ["a", "", null, "b"], "nothing": [], "count": 3,
            "ratio": 1.5, "yes": true, "nested": {"b": 1, "a": [2]}
        });
        let expected: BTreeMap<String, Vec<String>> = [
            ("okta/count", vec!["3"]),
            ("okta/email", vec!["a@x"]),
            ("okta/list", vec!["a", "b"]),
            ("okta/nested", vec![r#"{"a":[2],"b":1}"#]),
            ("okta/ratio", vec!["1.5"]),
            ("okta/yes", vec!["true"]),
        ]
        .into_iter()
        .map(|(name, values)| (name.to_owned(), values.into_iter().map(str::to_owned).collect()))
        .collect();
        assert_eq!(mapped(&profile, &json!({}), |_| {}).traits, expected);
    }

    #[test]
    fn the_assignment_wins_unless_it_is_empty() {
        let got = mapped(&json!({"a": "user", "b": "user"}), &json!({"a": "app", "b": null, "c": "app"}), |_| {});
        let flat: Vec<_> = got.traits.iter().map(|(name, values)| format!("{name}={}", values.join(","))).collect();
        assert_eq!(flat, ["okta/a=app", "okta/b=user", "okta/c=app"]);
    }

    #[test]
    fn include_exclude_and_map() {
        let got = mapped(&json!({"email": "e", "title": "t", "manager": "m"}), &json!({"team": "x"}), |spec| {
            spec.users.traits.include = vec!["e*".into(), "t*".into()];
            spec.users.traits.exclude = vec!["ti?le".into()];
            spec.users.traits.map = vec![
                api::spec::TraitMapping { from: "user.profile.manager".into(), to: "boss".into() },
                api::spec::TraitMapping { from: "appUser.profile.team".into(), to: "team".into() },
                api::spec::TraitMapping { from: "user.profile.absent".into(), to: "absent".into() },
            ];
        });
        assert_eq!(got.traits.keys().collect::<Vec<_>>(), ["boss", "okta/email", "okta/team", "team"]);
    }

    #[test]
    fn what_is_too_large_is_left_out_and_listed() {
        let got = mapped(&json!({"big": "x".repeat(MAX_BYTES), "small": "y"}), &json!({}), |_| {});
        assert_eq!((got.traits.len(), got.left_out), (1, vec!["okta/big".to_owned()]));
    }

    // traits.rs, `map`: `MAX_BYTES`.
    #[test]
    fn traits_are_left_out_from_the_first_byte_too_many_on_names_and_values_together() {
        let name = "okta/a".len();
        for (bytes, left_out) in [(MAX_BYTES - name, 0), (MAX_BYTES - name + 1, 1)] {
            // Two halves, which together make the size.
            let halves = json!(["x".repeat(bytes / 2), "x".repeat(bytes - bytes / 2)]);
            assert_eq!(mapped(&json!({ "a": halves }), &json!({}), |_| {}).left_out.len(), left_out, "{bytes}");
        }
        // What is left out takes no room from what comes after it.
        let profile = json!({ "a": "x".repeat(MAX_BYTES / 2), "b": "x".repeat(MAX_BYTES), "c": "x", "d": "x".repeat(MAX_BYTES / 2) });
        let got = mapped(&profile, &json!({}), |_| {});
        assert_eq!(got.left_out, ["okta/b", "okta/d"]);
        assert_eq!(got.traits.keys().collect::<Vec<_>>(), ["okta/a", "okta/c"]);
    }

    // A label names the traits beside the prefix, with commas between them.
    #[test]
    fn a_comma_in_a_name_is_left_out_only_where_a_label_has_to_name_the_trait() {
        let map = |prefix: &str, to: &str| {
            let map = json!([{ "from": "user.profile.a", "to": to }]);
            let got = mapped(&json!({ "a": "1" }), &json!({}), |spec| {
                spec.users.traits.prefix = prefix.into();
                spec.users.traits.map = serde_json::from_value(map).unwrap();
            });
            got.left_out
        };
        assert_eq!(map("okta/", "x,y"), ["x,y"]);
        assert_eq!(map("", "x,y"), ["x,y"]);
        assert_eq!(map("okta/", "okta/x,y"), [""; 0]);
        assert_eq!(map("okta/", "x"), [""; 0]);
        assert_eq!(map("", "x"), [""; 0]);
    }
}
