//! Groups and their members.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::clock::Stamp;
use crate::id::OktaId;

/// A group.
#[derive(Debug)]
pub(crate) struct Group {
    pub id: OktaId,
    /// `OKTA_GROUP`, `APP_GROUP` or `BUILT_IN`.
    pub kind: &'static str,
    pub created: Stamp,
    pub last_updated: Stamp,
    pub last_membership_updated: Stamp,
    pub profile: Map<String, Value>,
    pub members: Members,
}

/// Who belongs to a group, by the people's places.
#[derive(Debug)]
pub(crate) enum Members {
    /// Everybody: the built-in group.
    Everyone,
    /// These.
    Chosen(BTreeSet<u32>),
}

impl Members {
    pub fn contains(&self, place: u32) -> bool {
        match self {
            Self::Everyone => true,
            Self::Chosen(set) => set.contains(&place),
        }
    }
}

impl Group {
    /// The group's name.
    pub fn name(&self) -> &str {
        self.profile.get("name").and_then(Value::as_str).unwrap_or("")
    }

    /// The Group object.
    pub fn tree(&self, base: &str) -> Value {
        let href = format!("{base}/api/v1/groups/{}", self.id);
        json!({
            "id": self.id.as_str(),
            "created": self.created.to_string(),
            "lastUpdated": self.last_updated.to_string(),
            "lastMembershipUpdated": self.last_membership_updated.to_string(),
            "objectClass": ["okta:user_group"],
            "type": self.kind,
            "profile": self.profile,
            "_links": {
                "logo": [
                    { "name": "medium", "href": format!("{base}/assets/img/logos/groups/okta-medium.png"), "type": "image/png" },
                    { "name": "large", "href": format!("{base}/assets/img/logos/groups/okta-large.png"), "type": "image/png" },
                ],
                "users": { "href": format!("{href}/users") },
                "apps": { "href": format!("{href}/apps") },
            },
        })
    }
}
