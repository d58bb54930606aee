//! Entry point for input from outside, for fuzzing (`fuzz/`) and for the bounded runs of it among the tests.
#![allow(clippy::missing_panics_doc, reason = "to stop the process is how a fuzz target tells what it found")]

use serde_json::{Map, Value};

use crate::{
    filter::Filter,
    person::{Person, PersonStatus},
};

/// A filter and a person: the expression, a zero byte, and the profile as JSON. The filter is refused with a remedy, or
/// says yes, no, or why it cannot tell; nothing else may happen.
pub fn filter(data: &[u8]) {
    let mut halves = data.splitn(2, |byte| *byte == 0);
    let Ok(source) = std::str::from_utf8(halves.next().unwrap_or_default()) else { return };
    let profile: Map<String, Value> = serde_json::from_slice(halves.next().unwrap_or_default()).unwrap_or_default();
    let person = Person {
        id: "00u1".to_owned(),
        user_name: Some("ada@example.com".to_owned()),
        status: PersonStatus::Active,
        becoming: None,
        assignment: None,
        app_profile: profile.clone(),
        profile,
    };
    match Filter::compile(source) {
        Ok(None) => assert!(source.trim().is_empty(), "a filter is lost"),
        Ok(Some(filter)) => {
            if let Err(why) = filter.matches(&person) {
                assert!(!why.is_empty(), "no reason");
            }
        }
        Err(failure) => assert!(!failure.remedy.is_empty(), "no remedy"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Text near the grammar of CEL.
    fn near_expression() -> impl Strategy<Value = String> {
        let words = [
            "user",
            "appUser",
            ".profile",
            ".department",
            "[",
            "]",
            "(",
            ")",
            "\"a\"",
            "'b'",
            "==",
            "!=",
            "<",
            "&&",
            "||",
            "!",
            "?",
            ":",
            "1",
            "0",
            "-",
            "/",
            "%",
            "*",
            "+",
            "9223372036854775807",
            "1.5",
            "null",
            "true",
            "in",
            ",",
            "{",
            "}",
            "size(",
            "matches(",
            ".exists(x, ",
            ".all(x, ",
            "has(",
            "timestamp(",
            "duration(",
            "x",
            " ",
            "é",
            "\\u0000",
            "startsWith(",
            "b\"\\xff\"",
            "r\"(a+)+$\"",
        ];
        prop::collection::vec(prop::sample::select(words.to_vec()), 0..20).prop_map(|words| words.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn fuzz_filter(
            source in prop_oneof![near_expression(), ".{0,40}"],
            profile in prop::collection::btree_map("[a-z]{1,4}", prop_oneof![
                Just(serde_json::Value::Null), any::<i64>().prop_map(Into::into), any::<f64>().prop_map(Into::into),
                ".{0,8}".prop_map(Into::into), any::<bool>().prop_map(Into::into),
            ], 0..4),
        ) {
            let profile = serde_json::to_vec(&profile).unwrap();
            super::filter(&[source.as_bytes(), &[0], &profile].concat());
        }
    }

    /// What a resource may hold at most, and nested as deep as that goes.
    #[test]
    fn a_filter_that_is_nested_without_end_is_refused_and_breaks_nothing() {
        for (open, close) in
            [("(", ")"), ("[", "]"), ("!", ""), ("-", ""), ("size(", ")"), ("true?", ":1"), ("{1:", "}")]
        {
            for depth in [10, 100, 1000, 4096 / (open.len() + close.len()) - 2] {
                let source = format!("{}true{}", open.repeat(depth), close.repeat(depth));
                super::filter(source.as_bytes());
            }
        }
    }
}
