//! People as Okta writes them, and the sources they come from.
//!
//! What is not needed is not decoded; what Okta may leave out may be missing; words that Okta adds are kept as they are
//! (reference: okta-api §2.2, §3.3).

use engine::person::{AssignmentStatus, Person, PersonStatus};
use serde::Deserialize;
use serde_json::{Map, Value};

/// An assignment of an app (Okta's `AppUser`).
#[derive(Debug, Deserialize)]
pub(crate) struct AppUser {
    id: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    credentials: Option<Credentials>,
    #[serde(default)]
    profile: Option<Map<String, Value>>,
    #[serde(default, rename = "_embedded")]
    embedded: Option<Embedded>,
}

#[derive(Debug, Deserialize)]
struct Credentials {
    #[serde(default, rename = "userName")]
    user_name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Embedded {
    #[serde(default)]
    user: Option<User>,
}

/// A user.
#[derive(Debug, Deserialize)]
pub(crate) struct User {
    id: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default, rename = "transitioningToStatus")]
    becoming: Option<String>,
    #[serde(default)]
    profile: Option<Map<String, Value>>,
}

/// What makes an entry of a list useless (P1): acting on the rest would take the person for absent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// `expand=user` was asked for, and the user is missing.
    #[error("person {0} comes without the embedded user")]
    NotEmbedded(String),
    /// The embedded user is another one.
    #[error("person {assigned} comes with the embedded user {embedded}")]
    OtherEmbedded {
        /// Id of the assignment.
        assigned: String,
        /// Id of the embedded user.
        embedded: String,
    },
    /// No status.
    #[error("person {0} comes without a status")]
    NoStatus(String),
    /// No id.
    #[error("an entry comes without an id")]
    NoId,
}

/// An entry of a list that is a person.
pub(crate) trait Entry: serde::de::DeserializeOwned + Send {
    /// The person, or why the entry is useless.
    fn person(self) -> Result<Person, EntryFault>;
}

impl Entry for AppUser {
    /// Status comes from the embedded user: the assignment's own says nothing of a suspension.
    fn person(self) -> Result<Person, EntryFault> {
        let Some(user) = self.embedded.and_then(|embedded| embedded.user) else {
            return Err(EntryFault::NotEmbedded(self.id));
        };
        if user.id != self.id {
            return Err(EntryFault::OtherEmbedded { assigned: self.id, embedded: user.id });
        }
        Ok(Person {
            user_name: self.credentials.and_then(|credentials| credentials.user_name).filter(|name| !name.is_empty()),
            assignment: self.status.as_deref().map(AssignmentStatus::from),
            app_profile: self.profile.unwrap_or_default(),
            ..user.person()?
        })
    }
}

impl Entry for User {
    fn person(self) -> Result<Person, EntryFault> {
        if self.id.is_empty() {
            return Err(EntryFault::NoId);
        }
        let Some(status) = self.status else { return Err(EntryFault::NoStatus(self.id)) };
        let profile = self.profile.unwrap_or_default();
        let login = profile.get("login").and_then(Value::as_str).filter(|login| !login.is_empty());
        Ok(Person {
            user_name: login.map(str::to_owned),
            id: self.id,
            status: PersonStatus::from(status.as_str()),
            becoming: self.becoming.as_deref().map(PersonStatus::from),
            assignment: None,
            app_profile: Map::new(),
            profile,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app_user(value: Value) -> Result<Person, EntryFault> {
        serde_json::from_value::<AppUser>(value).unwrap().person()
    }

    #[test]
    fn a_person_from_an_app_has_the_apps_name_and_the_users_status() {
        let person = app_user(json!({
            "id": "00u1", "status": "ACTIVE", "scope": "GROUP", "externalId": null, "new": {"x": [1]},
            "credentials": {"userName": "zoe", "password": {}},
            "profile": {"role": "dev", "n": null},
            "_links": {"app": {"href": "https://x"}},
            "_embedded": {"user": {"id": "00u1", "status": "SUSPENDED", "transitioningToStatus": "DEPROVISIONED",
                                   "statusChanged": null, "type": {"id": "oty1"},
                                   "profile": {"login": "zoe@example.com", "age": 7}}},
        }))
        .unwrap();
        assert_eq!(person.user_name.as_deref(), Some("zoe"));
        assert_eq!(person.status, PersonStatus::Suspended);
        assert_eq!(person.becoming, Some(PersonStatus::Deprovisioned));
        assert_eq!(person.assignment, Some(AssignmentStatus::Active));
        assert_eq!(person.profile["age"], 7);
        assert_eq!(person.app_profile["role"], "dev");
    }

    #[test]
    fn what_okta_leaves_out_may_be_missing() {
        for credentials in [json!(null), json!({}), json!({"userName": null}), json!({"userName": ""})] {
            let person = app_user(json!({"id": "00u1", "credentials": credentials, "profile": null,
                "_embedded": {"user": {"id": "00u1", "status": "DANCING", "profile": {"login": "x@example.com"}}}}))
            .unwrap();
            assert_eq!(person.user_name, None);
            assert_eq!(person.assignment, None);
            assert_eq!(person.status, PersonStatus::Other("DANCING".to_owned()));
        }
    }

    // people.rs, `person`: `NotEmbedded`.
    #[test]
    fn p01_an_entry_without_its_user_is_useless() {
        let without = |embedded: Value| app_user(json!({"id": "00u1", "status": "ACTIVE", "_embedded": embedded}));
        assert_eq!(without(json!(null)).unwrap_err(), EntryFault::NotEmbedded("00u1".to_owned()));
        assert_eq!(without(json!({})).unwrap_err(), EntryFault::NotEmbedded("00u1".to_owned()));
        assert_eq!(without(json!({"user": null})).unwrap_err(), EntryFault::NotEmbedded("00u1".to_owned()));
        assert!(matches!(
            without(json!({"user": {"id": "00u2", "status": "ACTIVE"}})).unwrap_err(),
            EntryFault::OtherEmbedded { .. }
        ));
        assert_eq!(without(json!({"user": {"id": "00u1"}})).unwrap_err(), EntryFault::NoStatus("00u1".to_owned()));
    }

    #[test]
    fn a_person_from_a_group_has_the_login_as_name() {
        let user: User =
            serde_json::from_value(json!({"id": "00u1", "status": "ACTIVE", "profile": {"login": "a@example.com"}}))
                .unwrap();
        let person = user.person().unwrap();
        assert_eq!(person.user_name.as_deref(), Some("a@example.com"));
        assert!(person.assignment.is_none() && person.app_profile.is_empty());
    }
}
