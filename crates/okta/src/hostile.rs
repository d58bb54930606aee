//! Input that nobody meant: whatever comes, it is read or refused, and nothing breaks.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use proptest::prelude::*;

use crate::{
    OrgUrl, challenge, fuzzing,
    http::Target,
    key::PrivateKey,
    link::{self, Links},
    people::{AppUser, Entry, User},
    refusal::Refusal,
};

fn headers(name: header::HeaderName, text: &str) -> HeaderMap {
    HeaderValue::from_str(text).map(|value| HeaderMap::from_iter([(name, value)])).unwrap_or_default()
}

/// Text near the grammar of a header, so that the corners are met.
fn near_header() -> impl Strategy<Value = String> {
    let words = ["<", ">", ";", ",", "=", "\"", "\\", " ", "rel", "next", "self", "https://a/b?c=d", "é", "after=1"];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..24).prop_map(|words| words.concat())
}

/// JSON near the shape of an entry.
fn near_entry() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "[a-z0-9]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let names = ["id", "status", "profile", "credentials", "userName", "_embedded", "user", "login", "x"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(prop::sample::select(names.to_vec()), inner, 0..6).prop_map(|map| {
                serde_json::Value::Object(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_link_header_is_read_or_refused(text in prop_oneof![near_header(), ".*"]) {
        link::read(&headers(header::LINK, &text));
    }

    #[test]
    fn a_next_link_is_found_whatever_stands_around_it(before in "[a-z]{1,8}", query in "[a-zA-Z0-9,;=&%_.-]{0,40}") {
        let text = format!("<https://x/{before}>; rel=\"self\"; title=\"a, b\",  <https://x/y?{query}>;rel=\"next\"");
        prop_assert_eq!(link::read(&headers(header::LINK, &text)), Links::Next(format!("https://x/y?{query}")));
    }

    #[test]
    fn a_grafted_link_stays_on_the_list(link in prop_oneof![near_header(), ".*"]) {
        let list = Target::new(&["api", "v1", "users"]).unwrap();
        let own = [("limit", "200".to_owned())];
        if let Some(next) = link::graft(&link, &list, &own) {
            prop_assert_eq!(next.path, list.path);
            let query = next.query.unwrap();
            prop_assert!(query.contains("limit="));
            prop_assert!(query.is_ascii() && !query.contains(['#', ' ', '\n']));
        }
    }

    #[test]
    fn any_challenge_is_read_or_refused(text in prop_oneof![near_header(), ".*"]) {
        challenge::read(&headers(header::WWW_AUTHENTICATE, &text));
    }

    #[test]
    fn any_refusal_has_a_class_and_a_remedy(status in 400_u16..600, body in prop_oneof![".*", near_entry().prop_map(|v| v.to_string())]) {
        let status = StatusCode::from_u16(status).unwrap();
        let refusal = Refusal::read("GET /x".to_owned(), status, &HeaderMap::new(), body.as_bytes());
        prop_assert!(!refusal.verdict().remedy.is_empty());
        prop_assert!(!refusal.token_verdict("k").remedy.is_empty());
        prop_assert!(!refusal.to_string().contains('\n'));
    }

    #[test]
    fn any_entry_is_a_person_or_useless(value in near_entry()) {
        if let Ok(entry) = serde_json::from_value::<AppUser>(value.clone())
            && let Ok(person) = entry.person()
        {
            prop_assert_eq!(Some(person.id.as_str()), value["id"].as_str());
        }
        if let Ok(entry) = serde_json::from_value::<User>(value) {
            let _ = entry.person();
        }
    }

    #[test]
    fn any_text_is_an_address_or_none(text in prop_oneof![".*", "https?://[a-zA-Z0-9.:@/?#{}-]{0,30}"]) {
        if let Ok(url) = OrgUrl::parse(&text) {
            let shown = url.to_string();
            prop_assert!(shown.starts_with("https://") && !shown.ends_with('/'));
            prop_assert_eq!(OrgUrl::parse(&shown).unwrap(), url);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_a_key_or_none(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = PrivateKey::parse(&text);
    }

    #[test]
    fn a_damaged_key_is_a_key_or_none(at in 0_usize..240, byte in any::<u8>()) {
        let mut text = include_bytes!("../tests/keys/ec-P-256.pkcs8.pem").to_vec();
        let at = at % text.len();
        text[at] = byte;
        if let Err(error) = PrivateKey::parse(&text) {
            prop_assert!(!error.remedy().is_empty());
        }
    }

    #[test]
    fn a_damaged_jwk_is_a_key_or_none(at in 0_usize..2000, byte in any::<u8>()) {
        let mut text = include_bytes!("../tests/keys/rsa2048.jwk.json").to_vec();
        let at = at % text.len();
        text[at] = byte;
        if let Err(error) = PrivateKey::parse(&text) {
            prop_assert!(!error.remedy().is_empty());
        }
    }
}

/// JSON near a list of log events.
fn near_event() -> impl Strategy<Value = serde_json::Value> {
    let kinds = ["user.lifecycle.suspend", "application.user_membership.remove", "application.lifecycle.delete", "x"];
    let target = ("[a-z0-9]{0,4}", prop::sample::select(vec!["User", "AppInstance"]))
        .prop_map(|(id, kind)| serde_json::json!({"id": id, "type": kind}));
    let targets = prop_oneof![
        Just(serde_json::Value::Null),
        prop::collection::vec(target, 0..4).prop_map(Into::into),
        near_entry()
    ];
    let outcome = prop_oneof![
        Just(serde_json::Value::Null),
        Just(serde_json::json!({"result": "SUCCESS"})),
        Just(serde_json::json!({"result": "FAILURE"})),
        near_entry()
    ];
    ("[a-c]{1,2}", prop::sample::select(kinds.to_vec()), targets, outcome, -2_i64..4_000_000_000).prop_map(
        |(uuid, kind, target, outcome, second)| {
            let published = jiff::Timestamp::from_second(second).unwrap().to_string();
            serde_json::json!({"uuid": uuid, "eventType": kind, "target": target, "outcome": outcome, "published": published})
        },
    )
}

// Bounded runs of what `fuzz/` runs without end.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn fuzz_link_header(text in prop_oneof![near_header().prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..80)]) {
        fuzzing::link_header(&text);
    }

    #[test]
    fn fuzz_page(text in prop_oneof![
        prop::collection::vec(near_entry(), 0..4).prop_map(|list| serde_json::Value::from(list).to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..80),
    ]) {
        fuzzing::page(&text);
    }

    #[test]
    fn fuzz_log_events(text in prop_oneof![
        prop::collection::vec(near_event(), 0..6).prop_map(|list| serde_json::Value::from(list).to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..80),
    ]) {
        fuzzing::log_events(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn fuzz_key(at in 0_usize..4000, byte in any::<u8>(), which in 0_usize..4) {
        let files: [&[u8]; 4] = [
            include_bytes!("../tests/keys/ec-P-256.pkcs8.pem"),
            include_bytes!("../tests/keys/ec-P-384.sec1.pem"),
            include_bytes!("../tests/keys/rsa2048.pkcs1.pem"),
            include_bytes!("../tests/keys/ec-P-521.jwk.json"),
        ];
        let mut text = files[which].to_vec();
        let at = at % text.len();
        text[at] = byte;
        fuzzing::key(&text);
    }
}
