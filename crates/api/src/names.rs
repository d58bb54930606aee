//! Names under which the product is known: label keys, annotations, finalizer, field manager.
//!
//! Teleport accepts label keys in lower case only (no capitals, no blanks), so all keys here are lower case.

/// API group of the resource.
pub const GROUP: &str = "usersync.dev";

/// Finalizer that lets [`crate::spec::DeletionPolicy`] be carried out before the object goes.
pub const FINALIZER: &str = "usersync.dev/cleanup";

/// Field manager of every write to the Kubernetes API.
pub const FIELD_MANAGER: &str = "okta-user-sync";

/// Annotation (Flux's own, with its token semantics) whose every new value starts one pass.
pub const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";

/// Annotation that approves one held plan by its hash (the `kubectl` way; `spec.removal.approvedPlan` is the Git way).
pub const APPROVE_PLAN: &str = "usersync.dev/approve-plan";

/// Annotation whose every new value makes the operator change the key that it made, with both keys alive until the new one
/// is accepted.
pub const ROTATE_KEY: &str = "usersync.dev/rotate-key";

/// Type of the Secrets that hold keys which the operator made: one key each, immutable.
pub const KEY_SECRET_TYPE: &str = "usersync.dev/okta-key";

/// Label on a Secret of that type: the uid of the resource whose key it holds.
pub const KEY_OF_LABEL: &str = "usersync.dev/key-of";

/// Label on a Secret of that type: the number of the key; a later key has a higher one.
pub const KEY_NUMBER_LABEL: &str = "usersync.dev/key-number";

/// Annotation on a Secret of that type: when the key was made (RFC 3339). It outlives a restore from a backup, which a
/// Secret's own creation time does not.
pub const KEY_CREATED: &str = "usersync.dev/key-created";

/// Label on a Teleport user or lock: the resource that owns it, as `namespace/name`.
pub const OWNER_LABEL: &str = "usersync.dev/owner";

/// Label on a Teleport user or lock: the Okta id of the person, which never changes.
pub const OKTA_USER_ID_LABEL: &str = "usersync.dev/okta-user-id";

/// Label on a Teleport user: the roles that this resource gave (comma separated), so that roles given by an
/// administrator by hand can be told apart and are kept.
pub const ROLES_LABEL: &str = "usersync.dev/roles";

/// Label on a Teleport user: the trait prefix under which every trait is ours.
pub const TRAIT_PREFIX_LABEL: &str = "usersync.dev/trait-prefix";

/// Label on a Teleport user: names (comma separated) of traits of ours that do not carry the prefix.
pub const TRAITS_LABEL: &str = "usersync.dev/traits";

/// Label on a lock: why it stands (`leaver`, `suspended` or `renamed`).
pub const LOCK_REASON_LABEL: &str = "usersync.dev/lock-reason";

/// Teleport's own label for the Okta organisation of a resource; its value is the org URL with its scheme.
pub const OKTA_ORG_LABEL: &str = "okta/org";
