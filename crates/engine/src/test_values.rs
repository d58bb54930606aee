//! Values for tests: a person, a resource, its policy.

use api::OktaUserSyncSpec;
use serde_json::{Map, json};

use crate::{
    cluster::{ClusterFacts, OriginMode},
    person::{AssignmentStatus, Person, PersonStatus},
    policy::Policy,
    role::Ceiling,
};

/// The organisation of all tests.
pub const ORG: &str = "https://acme.okta.com";
/// The resource of all tests.
pub const OWNER: &str = "ns/acme";

/// An active person with one profile value.
pub fn person(id: &str, name: &str) -> Person {
    Person {
        id: id.into(),
        user_name: Some(name.into()),
        status: PersonStatus::Active,
        becoming: None,
        assignment: Some(AssignmentStatus::Active),
        profile: json!({ "login": name }).as_object().cloned().unwrap_or_default(),
        app_profile: Map::new(),
    }
}

/// A small specification with every default.
pub fn spec() -> OktaUserSyncSpec {
    serde_json::from_value(json!({
        "okta": { "orgURL": ORG, "clientID": "0oa1api2services3app" },
        "scope": { "appID": "0oa9saml8app7telepor" }
    }))
    .expect("the test specification")
}

/// The policy of [`spec`] after `change`.
pub fn policy_with(change: impl FnOnce(&mut OktaUserSyncSpec)) -> Policy {
    let mut spec = spec();
    change(&mut spec);
    Policy::new(OWNER, &spec, &Ceiling::new(&["okta-requester".into(), "dev*".into()]).expect("ceiling"), vec![])
        .expect("policy")
}

/// What is known of a cluster on which the operator is called `operator`.
pub fn facts(origin_mode: OriginMode) -> ClusterFacts {
    ClusterFacts {
        name: "test".into(),
        version: "17.0.0".into(),
        origin_mode,
        own_name: "operator".into(),
        route: "Proxy".into(),
        identity_expires: None,
        notices: vec![],
        expiring: None,
    }
}
