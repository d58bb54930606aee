//! A user in Teleport.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

/// Traits: name to values.
pub type Traits = BTreeMap<String, Vec<String>>;

/// A user as Teleport answered it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Name. Case-sensitive, cannot change.
    pub name: String,
    /// Revision that a conditional update must carry.
    pub revision: String,
    /// Labels of the resource.
    pub labels: BTreeMap<String, String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Traits.
    pub traits: Traits,
    /// When the server will drop the user by itself, as it does with users that a login made.
    pub expires: Option<Timestamp>,
    /// Connector in `created_by`; without it a login through a connector is refused.
    pub created_by: Option<ConnectorRef>,
    /// The whole message as it came, so that an update keeps every field, unknown ones too (P7). Opaque to the engine.
    pub original: Bytes,
}

/// A connector as `created_by` names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectorRef {
    /// `saml`, `oidc`, `github`.
    pub kind: String,
    /// Name of the connector.
    pub id: String,
    /// Name of the person at the connector.
    pub identity: String,
}

/// A user to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewUser {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Traits.
    pub traits: Traits,
    /// Connector through which the user will log in. Can be set only now.
    pub created_by: ConnectorRef,
}

/// The fields that an update sets; every other field of the user stays as it is (P7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserEdit {
    /// All labels after the update.
    pub labels: BTreeMap<String, String>,
    /// All roles after the update.
    pub roles: Vec<String>,
    /// All traits after the update.
    pub traits: Traits,
}

/// Labels of Teleport that mark users which nobody but Teleport itself may touch, or which another system owns.
pub mod label {
    /// Key of the origin of a resource.
    pub const ORIGIN: &str = "teleport.dev/origin";
    /// Origin of Teleport's own Okta sync.
    pub const ORIGIN_OKTA: &str = "okta";
    /// Present (with any value) on users that are bots.
    pub const BOT: &str = "teleport.internal/bot";
    /// Present on resources that belong to Teleport.
    pub const RESOURCE_TYPE: &str = "teleport.internal/resource-type";
}
