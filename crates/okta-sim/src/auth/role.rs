//! Admin roles: what a client may see. Scopes say which kinds of call, roles say which objects.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The admin role that is assigned to a client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Everything.
    SuperAdmin,
    /// Everything, for reading.
    #[default]
    ReadOnlyAdmin,
    /// A custom role over a resource set.
    Custom(CustomRole),
    /// No role: lists are empty, single objects are refused.
    None,
}

/// A custom role with its resource set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CustomRole {
    /// Permission "View application and their details", and the apps of the resource set.
    pub apps: Visible,
    /// Permission "View users and their details", and the people of the resource set.
    pub people: Visible,
    /// Permission "View groups and their details", and the groups of the resource set.
    pub groups: Visible,
    /// May read the System Log.
    pub logs: bool,
    /// Profile attributes that a permission condition hides: they are absent without a word.
    pub hidden_attributes: Vec<String>,
}

impl Default for CustomRole {
    fn default() -> Self {
        Self {
            apps: Visible::All,
            people: Visible::All,
            groups: Visible::All,
            logs: false,
            hidden_attributes: Vec::new(),
        }
    }
}

/// Which objects of a kind a role sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Visible {
    /// All of them.
    All,
    /// The permission is missing.
    None,
    /// These, by id.
    Only(BTreeSet<String>),
    /// People who belong to one of these groups, by the groups' ids (means nothing for other kinds).
    InGroups(BTreeSet<String>),
}

impl Visible {
    /// Whether an object with this id is seen; `in_groups` answers for people.
    pub(crate) fn sees(&self, id: &str, in_groups: impl FnOnce(&BTreeSet<String>) -> bool) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Only(ids) => ids.contains(id),
            Self::InGroups(groups) => in_groups(groups),
        }
    }
}

impl Role {
    /// What the role sees, as a custom role would say it.
    pub(crate) fn view(&self) -> CustomRole {
        match self {
            Self::SuperAdmin | Self::ReadOnlyAdmin => CustomRole { logs: true, ..CustomRole::default() },
            Self::Custom(custom) => custom.clone(),
            Self::None => CustomRole {
                apps: Visible::None,
                people: Visible::None,
                groups: Visible::None,
                ..CustomRole::default()
            },
        }
    }

    /// Whether the role may change things.
    pub(crate) fn may_write(&self) -> bool {
        *self == Self::SuperAdmin
    }
}
