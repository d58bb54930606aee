//! Entry points for input from outside, for fuzzing (`fuzz/`) and for the bounded runs of it among the tests (`hostile`).
//!
//! Each takes any bytes, and stops the process if something is broken that has to hold for all of them.
#![allow(clippy::missing_panics_doc, reason = "to stop the process is how a fuzz target tells what it found")]

use engine::feed::Watch;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    feed,
    http::Target,
    key::PrivateKey,
    link::{self, Links},
    people::{AppUser, Entry, User},
};

/// A `Link` header, and the page that it leads to: on the same list, whatever it says.
pub fn link_header(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let headers = HeaderMap::from_iter([(header::LINK, value)]);
    let Links::Next(next) = link::read(&headers) else { return };
    let list = Target { path: "/api/v1/apps/0oa1/users".to_owned(), query: None };
    let own = [("limit", "500".to_owned()), ("expand", "user".to_owned())];
    if let Some(next) = link::graft(&next, &list, &own) {
        assert_eq!(next.path, list.path, "another list");
        let query = next.query.unwrap_or_default();
        assert!(query.contains("limit") && query.contains("expand"), "our own parameters are lost");
        assert!(query.is_ascii() && !query.contains(['#', ' ', '\n', '\r']), "no query");
    }
}

/// A page of people: each entry is a person with an id, or useless.
pub fn page(data: &[u8]) {
    page_of::<AppUser>(data);
    page_of::<User>(data);
}

fn page_of<T: Entry>(data: &[u8]) {
    let entries: Vec<T> = serde_json::from_slice(data).unwrap_or_default();
    for person in entries.into_iter().filter_map(|entry| entry.person().ok()) {
        assert!(!person.id.is_empty(), "a person of nobody");
        assert!(person.user_name.is_none_or(|name| !name.is_empty()), "an empty user name");
    }
}

/// A private key as a Secret may hold it: one that can sign, or a sentence that says nothing of it.
pub fn key(data: &[u8]) {
    match PrivateKey::parse(data) {
        Ok(key) => assert!(key.sign(b"message").is_ok() && !key.kid().is_empty(), "a key that cannot sign"),
        Err(error) => assert!(!error.remedy().is_empty() && !error.to_string().contains('\n'), "no sentence"),
    }
}

/// Events of the System Log: what they ask for, each person once.
pub fn log_events(data: &[u8]) {
    let watch = Watch { app: Some("0oa1".to_owned()), groups: true };
    let Some(news) = feed::news_of(data, &watch) else { return };
    let mut seen = std::collections::HashSet::new();
    assert!(news.hints.iter().all(|hint| seen.insert(&hint.person)), "a person comes twice");
}
