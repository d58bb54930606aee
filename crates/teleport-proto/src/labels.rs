//! Keys and values of labels that Teleport gives a meaning to.

/// Label of every resource: who keeps it. Users with [`ORIGIN_OKTA`] can be written by the built-in role `Okta` alone.
pub const ORIGIN: &str = "teleport.dev/origin";

/// Value of [`ORIGIN`]: kept by Teleport's own Okta integration, or by whoever holds the system role `Okta`.
pub const ORIGIN_OKTA: &str = "okta";

/// Value of [`ORIGIN`]: kept by SCIM.
pub const ORIGIN_SCIM: &str = "scim";

/// Value of [`ORIGIN`]: kept by Teleport's Kubernetes operator, which owns and deletes whatever carries it.
pub const ORIGIN_KUBERNETES: &str = "kubernetes";

/// Label of everything that comes from Okta; the value is the organisation's URL with its scheme.
pub const OKTA_ORG: &str = "okta/org";

/// Label of a SAML connector: the id of the Okta app behind it.
pub const OKTA_APP_ID: &str = "teleport.internal/okta-app-id";

/// Label of a user that is a bot; its presence counts, not its value.
pub const BOT: &str = "teleport.internal/bot";

/// Label of a bot user: the generation of its renewable certificate.
pub const BOT_GENERATION: &str = "teleport.internal/bot-generation";

/// Label of roles that Teleport makes by itself; values `system` and `preset`.
pub const RESOURCE_TYPE: &str = "teleport.internal/resource-type";

/// Prefix of labels that belong to Teleport itself. Nobody else should write one.
pub const INTERNAL_PREFIX: &str = "teleport.internal/";
