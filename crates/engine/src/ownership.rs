//! Whose a Teleport user is (P6), and whether it may be taken over.

use api::{names, spec::Adopt};

use crate::{
    cluster::{ClusterFacts, OriginMode},
    policy::Policy,
    user::{User, label},
};

/// Whose a user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Ours: the account of the person with this Okta id.
    Ours {
        /// Okta id.
        okta_id: String,
    },
    /// Of another resource of this product (its `namespace/name`), or of this one for another organisation.
    OtherResource(String),
    /// A bot, a system user, or the very user that this operator is.
    System,
    /// Of another system, by its origin label.
    Origin(String),
    /// Made by a login through a connector.
    Connector {
        /// Its name.
        id: String,
        /// Whether it is this resource's connector.
        same: bool,
    },
    /// A local user.
    Local,
}

/// Origins that name no owner: `dynamic` is what an administrator's own writes carry.
const FREE_ORIGINS: [&str; 2] = ["", "dynamic"];

/// Whose `user` is.
#[must_use]
pub fn of(user: &User, policy: &Policy, cluster: &ClusterFacts) -> Ownership {
    let label = |key: &str| user.labels.get(key).map_or("", String::as_str);
    if user.name == cluster.own_name
        || user.labels.contains_key(label::BOT)
        || label(label::RESOURCE_TYPE) == "system"
        || user.name.starts_with('@')
    {
        return Ownership::System;
    }
    let origin = label(label::ORIGIN);
    let written_as_okta = cluster.origin_mode == OriginMode::Okta && origin == label::ORIGIN_OKTA;
    if !FREE_ORIGINS.contains(&origin) && !written_as_okta {
        return Ownership::Origin(origin.to_owned());
    }
    let (owner, org, okta_id) =
        (label(names::OWNER_LABEL), label(names::OKTA_ORG_LABEL), label(names::OKTA_USER_ID_LABEL));
    if owner == policy.owner && org == policy.org_url && !okta_id.is_empty() {
        return Ownership::Ours { okta_id: okta_id.to_owned() };
    }
    if !owner.is_empty() {
        return Ownership::OtherResource(owner.to_owned());
    }
    if written_as_okta {
        return Ownership::Origin(origin.to_owned());
    }
    match &user.created_by {
        Some(connector) => Ownership::Connector {
            same: connector.kind == "saml" && connector.id == policy.connector,
            id: connector.id.clone(),
        },
        None => Ownership::Local,
    }
}

impl Ownership {
    /// Whether a user of that name may be taken over by `users.adopt`.
    #[must_use]
    pub fn adoptable(&self, name: &str, policy: &Policy, mode: OriginMode) -> bool {
        let named = policy.adopt == Adopt::All || (policy.adopt == Adopt::Listed && policy.adopt_names.contains(name));
        match self {
            Self::Connector { same: true, .. } => policy.adopt != Adopt::Never,
            Self::Connector { same: false, .. } | Self::Local => named,
            // Users of Teleport's own sync, and only with the role that may write them.
            Self::Origin(origin) => named && mode == OriginMode::Okta && origin == label::ORIGIN_OKTA,
            Self::Ours { .. } | Self::OtherResource(_) | Self::System => false,
        }
    }

    /// Why a user of that name stands in the way, and what to do.
    #[must_use]
    pub fn conflict(&self) -> (String, &'static str) {
        match self {
            Self::Ours { okta_id } => (
                format!("the account belongs to another person (Okta id {okta_id})"),
                "wait until that account has been removed and its lock has run out, or name the user in users.handover",
            ),
            Self::OtherResource(owner) => (
                format!("the user belongs to another OktaUserSync ({owner})"),
                "take the person out of one of the two scopes",
            ),
            Self::System => (
                "the user is a bot or belongs to Teleport itself".into(),
                "give the person another user name in Okta, or exclude the name (scope.exclude)",
            ),
            Self::Origin(origin) => (
                format!("the user belongs to another system (origin {origin})"),
                "let that system give the user up, or exclude the name (scope.exclude)",
            ),
            Self::Connector { id, .. } => (
                format!("a login through connector {id:?} made the user"),
                "set users.adopt to SSO for users of this connector, or name the user in users.adoptNames with users.adopt: Listed",
            ),
            Self::Local => (
                "a local user has that name".into(),
                "name the user in users.adoptNames with users.adopt: Listed, exclude it (scope.exclude), or delete it",
            ),
        }
    }
}
