//! Answers of real Okta organisations, which nobody here made up: every one decodes, every error has its class.
//!
//! The recordings are not part of this repository; without them the tests say so and pass.

use std::path::PathBuf;

use engine::person::Person;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use crate::{
    error::OktaError,
    groups::Group,
    link::{self, Links},
    organisation::AppAnswer,
    people::{AppUser, Entry, EntryFault, User},
    refusal::Refusal,
};

/// One exchange of a recording.
struct Exchange {
    call: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

/// The exchanges of one file; empty where the recordings are missing.
fn recorded(name: &str) -> Vec<Exchange> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/recorded/okta").join(name);
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: {} cannot be read", file.display());
        return Vec::new();
    };
    text.lines().map(|line| exchange(&serde_json::from_str(line).unwrap())).collect()
}

fn exchange(line: &Value) -> Exchange {
    let mut headers = HeaderMap::new();
    for (name, value) in line["headers"].as_object().unwrap() {
        let name: HeaderName = name.to_ascii_lowercase().parse().unwrap();
        headers.append(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
    }
    Exchange {
        call: format!("{} {}", line["method"].as_str().unwrap(), line["path"].as_str().unwrap()),
        status: StatusCode::from_u16(u16::try_from(line["status"].as_u64().unwrap()).unwrap()).unwrap(),
        headers,
        body: line["body"].clone(),
    }
}

/// The entries of a body that is a list, or the one object that it is.
fn entries<T: serde::de::DeserializeOwned>(exchange: &Exchange) -> Vec<T> {
    let list = if exchange.body.is_array() { exchange.body.clone() } else { Value::Array(vec![exchange.body.clone()]) };
    serde_json::from_value(list).unwrap_or_else(|error| panic!("{}: {error}", exchange.call))
}

#[test]
fn users_decode_with_status_name_and_profile() {
    for file in ["user.jsonl", "users-list.jsonl", "group-users.jsonl"] {
        for exchange in recorded(file) {
            let people: Vec<Person> =
                entries::<User>(&exchange).into_iter().map(|user| user.person().unwrap()).collect();
            for person in people {
                assert!(person.id.starts_with("00u"), "{}", exchange.call);
                assert_eq!(person.user_name.as_deref(), person.profile["login"].as_str());
                assert!(!matches!(person.status, engine::person::PersonStatus::Other(_)), "{:?}", person.status);
            }
        }
    }
}

#[test]
fn app_users_decode_and_say_that_they_come_without_their_user() {
    let people: Vec<Value> = recorded("user.jsonl").into_iter().map(|exchange| exchange.body).collect();
    for exchange in recorded("app-users.jsonl") {
        for user in entries::<AppUser>(&exchange) {
            assert!(matches!(user.person(), Err(EntryFault::NotEmbedded(_))));
        }
        // Joined with a recorded user, as `expand=user` shows it.
        for mut body in entries::<Value>(&exchange) {
            let mut user = people.first().unwrap().clone();
            user["id"] = body["id"].clone();
            body["_embedded"] = serde_json::json!({ "user": user });
            let person = serde_json::from_value::<AppUser>(body.clone()).unwrap().person().unwrap();
            assert_eq!(person.user_name.as_deref(), body["credentials"]["userName"].as_str());
            assert_eq!(person.app_profile.len(), body["profile"].as_object().unwrap().len());
        }
    }
}

#[test]
fn apps_and_groups_decode() {
    for exchange in recorded("saml-app.jsonl") {
        for app in entries::<AppAnswer>(&exchange) {
            let (app, _) = app.into_app();
            assert!(app.id.starts_with("0oa") && !app.label.is_empty() && !app.status.is_empty());
            assert_eq!(app.sign_on_mode, exchange.body["signOnMode"].as_str().unwrap(), "{}", exchange.call);
        }
    }
    for exchange in recorded("app-groups.jsonl") {
        for group in entries::<Group>(&exchange) {
            assert!(group.id.starts_with("00g"));
        }
    }
}

#[test]
fn links_of_lists_say_whether_there_is_more() {
    for file in ["users-list.jsonl", "group-users.jsonl", "app-groups.jsonl", "app-users.jsonl"] {
        for exchange in recorded(file).iter().filter(|exchange| exchange.body.is_array()) {
            let more = exchange.headers["link"].to_str().unwrap().contains("rel=\"next\"");
            match link::read(&exchange.headers) {
                Links::Next(next) => assert!(more && next.contains("after="), "{}", exchange.call),
                Links::Last => assert!(!more, "{}", exchange.call),
                other => panic!("{}: {other:?}", exchange.call),
            }
        }
    }
}

#[test]
fn every_error_has_a_class_a_reason_and_a_remedy() {
    for exchange in recorded("error.jsonl") {
        let body = serde_json::to_vec(&exchange.body).unwrap();
        let refusal = Refusal::read(exchange.call.clone(), exchange.status, &exchange.headers, &body);
        assert_eq!(refusal.code.as_deref(), exchange.body["errorCode"].as_str());
        assert_eq!(refusal.error_id.as_deref(), exchange.body["errorId"].as_str());
        let error = OktaError::Refused(Box::new(refusal));
        assert_ne!(error.reason(), "Unclassified");
        assert!(error.remedy().len() > 20, "{error}");
        assert!(error.to_string().contains(exchange.body["errorId"].as_str().unwrap()), "{error}");
        assert_eq!(error.class().retry(), exchange.status.is_server_error(), "{error}");
    }
}
