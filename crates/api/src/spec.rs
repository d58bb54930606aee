//! What a person writes: the specification of one sync.

use std::time::Duration as StdDuration;

use kube_core::Duration;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{days::Days, status::OktaUserSyncStatus};

/// Keeps the people of one Okta scope as users of one Teleport cluster: creates and updates them, turns their Okta
/// profile into traits, and locks and removes those who leave. Nothing is ever written to Okta.
// Each print column repeats attribute names; the lint means attributes that fight each other.
#[allow(clippy::duplicated_attributes)]
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "usersync.dev",
    version = "v1alpha1",
    kind = "OktaUserSync",
    namespaced,
    shortname = "ous",
    status = "OktaUserSyncStatus",
    derive = "PartialEq",
    crates(kube_core = "::kube_core"),
    doc = "Keeps the people of one Okta scope as users of one Teleport cluster.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Users", type_ = "integer", json_path = ".status.users.synced"),
    printcolumn(name = "Suspended", type_ = "integer", json_path = ".status.users.suspended"),
    printcolumn(name = "Held", type_ = "integer", json_path = ".status.users.held"),
    printcolumn(name = "Last sync", type_ = "date", json_path = ".status.lastSuccessfulRun"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        priority = 1
    ),
    printcolumn(name = "Org", type_ = "string", json_path = ".spec.okta.orgURL", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[schemars(extend("x-kubernetes-validations" = [
        rule("self.okta.orgURL == oldSelf.okta.orgURL", "okta.orgURL cannot be changed: its users would be taken for leavers; make a new OktaUserSync instead"),
        rule("!has(oldSelf.scope.appID) || (has(self.scope.appID) && self.scope.appID == oldSelf.scope.appID)", "scope.appID cannot be changed or removed once set: its users would be taken for leavers; make a new OktaUserSync instead"),
        rule("self.teleport.connector == oldSelf.teleport.connector", "teleport.connector cannot be changed: its users could no longer log in; make a new OktaUserSync instead"),
        rule("self.scope.source != 'Groups' || size(self.scope.groups) > 0", "scope.groups must name at least one group when scope.source is Groups"),
        rule("self.users.adopt != 'Listed' || size(self.users.adoptNames) > 0", "users.adoptNames must name at least one user when users.adopt is Listed")
    ]))]
#[serde(rename_all = "camelCase")]
pub struct OktaUserSyncSpec {
    /// Stops every write while true; status says so. Deleting the resource still works. Setting it back to false starts
    /// a pass at once.
    #[serde(default)]
    pub suspend: bool,

    /// Enforce applies each plan. Preview computes and reports the same plan and writes nothing.
    #[serde(default)]
    pub mode: Mode,

    /// Time from one full pass to the next, jittered by up to 10 %. From 1m to 24h.
    #[serde(default = "default_interval")]
    #[schemars(extend("x-kubernetes-validations" = [
        rule("duration(self) >= duration('1m') && duration(self) <= duration('24h')", "interval must lie between 1m and 24h")
    ]))]
    #[schemars(length(max = 32))]
    pub interval: Duration,

    /// The Okta organisation and how it is read.
    pub okta: Okta,

    /// Which people of that organisation belong.
    #[serde(default)]
    pub scope: Scope,

    /// The Teleport cluster and how it is reached.
    #[serde(default)]
    pub teleport: Teleport,

    /// What the users look like.
    #[serde(default)]
    pub users: Users,

    /// What happens to those who leave, and the brake on it.
    #[serde(default)]
    pub removal: Removal,

    /// What happens to the users when this resource is deleted: Orphan leaves everything as it is, Lock locks every
    /// user of ours, Delete locks and deletes them.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// Enforce or only preview.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Mode {
    /// Plans are applied.
    #[default]
    Enforce,
    /// Plans are computed and reported; nothing is written to Teleport.
    Preview,
}

/// The Okta organisation.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[schemars(extend("x-kubernetes-validations" = [
        rule("!has(self.keyRotation) || !has(self.privateKeySecretRef)", "okta.keyRotation is about keys that the operator makes; remove okta.privateKeySecretRef, or keyRotation")
    ]))]
#[serde(rename_all = "camelCase")]
pub struct Okta {
    /// URL of the organisation, such as `https://acme.okta.com` or its custom domain. https, no path, no query, not the
    /// Admin Console's `-admin` address. Cannot be changed later.
    #[serde(rename = "orgURL")]
    #[schemars(length(min = 9, max = 253))]
    #[schemars(extend("x-kubernetes-validations" = [
        rule(r"self.matches('^https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$')", "okta.orgURL must be https://<host> in lower case without path, query or trailing slash, such as https://acme.okta.com"),
        rule(r"!self.matches('^https://[a-z0-9-]+-admin[.](okta|oktapreview|okta-emea|okta-gov|trex-govcloud|trexcloud)[.]com(:[0-9]+)?$') && !self.matches('^https://[a-z0-9-]+-admin[.]okta(-miltest)?[.](mil|com)(:[0-9]+)?$')", "okta.orgURL is the address of the Admin Console; remove -admin from the host")
    ]))]
    pub org_url: String,

    /// Client ID of the API Services app that reads the organisation: `0oa` and 17 letters or digits.
    #[serde(rename = "clientID")]
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-validations" = [
        rule("self.matches('^0oa[0-9A-Za-z]{17}$')", "okta.clientID must be 0oa and 17 letters or digits, as the API Services app's General tab shows it")
    ]))]
    pub client_id: String,

    /// Secret of the same namespace that holds the private key (PEM or JWK) of the API Services app. Left out: the operator
    /// makes a key pair, keeps the private half in a Secret of its own, and shows the public half in status.publicKey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_secret_ref: Option<SecretKeyRef>,

    /// Age at which a key that the operator made is changed, in days, such as `90d`; from 1d to 365d. Left out: only when the
    /// annotation usersync.dev/rotate-key asks for it. The new key is used once Okta accepts it, and the old one goes a
    /// day later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), extend("x-kubernetes-validations" = [
        rule("self.matches('^([1-9][0-9]?|[12][0-9][0-9]|3[0-5][0-9]|36[0-5])d$')", "okta.keyRotation must lie between 1d and 365d")
    ]))]
    pub key_rotation: Option<Days>,

    /// Proof of possession for access tokens (RFC 9449): Auto finds out what the app demands by trying.
    #[serde(default)]
    pub dpop: Dpop,

    /// Share of each Okta rate bucket that this operator may use, in percent.
    #[serde(default = "default_budget_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub budget_percent: i32,

    /// Use of the System Log to see leavers within seconds: Auto if the scope okta.logs.read is granted.
    #[serde(default)]
    pub fast_path: FastPath,

    /// Certificate authorities (PEM, one below the other) that are trusted for Okta beside the system's, such as that of
    /// a proxy that opens TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<BundleRef>,
}

/// Whether access tokens are bound to a key (RFC 9449).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Dpop {
    /// As the app demands, found out by trying.
    #[default]
    Auto,
    /// Always; an unbound token is refused.
    Required,
    /// Never.
    Disabled,
}

/// Use of Okta's System Log between full passes.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum FastPath {
    /// If the scope `okta.logs.read` is granted.
    #[default]
    Auto,
    /// A missing scope is an error.
    Required,
    /// Full passes only.
    Disabled,
}

/// One key of a Secret in the resource's own namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret, in the namespace of this resource.
    // Nothing but a name: it becomes part of a path, where a slash would lead somewhere else.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
    /// Key within the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// One key of a ConfigMap or Secret in the resource's own namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BundleRef {
    /// ConfigMap or Secret. Certificates are no secret, so a ConfigMap serves.
    #[serde(default)]
    pub kind: BundleKind,
    /// Its name, in the namespace of this resource.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key within its data.
    #[serde(default = "default_bundle_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What holds a bundle of certificate authorities.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
pub enum BundleKind {
    /// A ConfigMap.
    #[default]
    ConfigMap,
    /// A Secret.
    Secret,
}

impl BundleKind {
    /// Kubernetes' word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// Which people belong.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Scope {
    /// App: people assigned to the connector's SAML app, directly or through a group. Groups: members of the groups,
    /// whatever app. Org: everyone.
    pub source: Source,

    /// Id of the SAML app: `0oa` and 17 letters or digits. Left out: taken from the Teleport connector. Cannot be changed
    /// or removed once set.
    #[serde(rename = "appID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-validations" = [
        rule("self.matches('^0oa[0-9A-Za-z]{17}$')", "scope.appID must be 0oa and 17 letters or digits, as the SAML app's address in the Admin Console shows it")
    ]))]
    pub app_id: Option<String>,

    /// Okta group ids (`00g…`) or exact group names. Only their members belong.
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    pub groups: Vec<String>,

    /// CEL expression over `user` and `appUser` that is true for those who belong, such as
    /// `user.profile.department == "Engineering"`. A person for whom it fails is kept as they are.
    #[schemars(length(max = 4096))]
    pub filter: String,

    /// User names (exact, or with * and ?; letter case aside) that are never touched in any way.
    #[schemars(length(max = 256), inner(length(min = 1, max = 255)))]
    pub exclude: Vec<String>,
}

/// Where people come from.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Source {
    /// Assignments of the SAML app.
    #[default]
    App,
    /// Members of `scope.groups`.
    Groups,
    /// Everyone in the organisation.
    Org,
}

/// The Teleport cluster.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Teleport {
    /// `host:port` of the cluster. Left out: the operator's own default. An address that is not the operator's own needs
    /// identitySecretRef: the operator joins at its own alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 259), regex(pattern = r"^[A-Za-z0-9.\-\[\]:]+:[0-9]{1,5}$"))]
    pub address: Option<String>,

    /// Name of the SAML connector through which these users log in. Cannot be changed later.
    #[serde(default = "default_connector")]
    #[schemars(length(min = 1, max = 253))]
    pub connector: String,

    /// Secret of the same namespace that holds an identity file (as `tctl auth sign` and tbot write it). Left out: the
    /// operator joins by itself, with its pod's token, if it was set up to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_secret_ref: Option<SecretKeyRef>,
}

impl Default for Teleport {
    fn default() -> Self {
        Self { address: None, connector: default_connector(), identity_secret_ref: None }
    }
}

/// What the users look like.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Users {
    /// Roles that every user gets. They must exist and lie under the operator's ceiling. Roles that an administrator adds
    /// by hand are kept.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 255)))]
    pub roles: Vec<String>,

    /// Which profile values become traits, and under which names.
    pub traits: Traits,

    /// What happens while a person is suspended in Okta.
    pub suspended: Suspended,

    /// Whether a person who comes back gets the account at once, or only after the lock has run out (old certificates
    /// live again when a name does).
    pub returning: Returning,

    /// Which existing users of the same name may be taken over.
    pub adopt: Adopt,

    /// Names of users that may be taken over when adopt is Listed.
    #[schemars(length(max = 1024), inner(length(min = 1, max = 255)))]
    pub adopt_names: Vec<String>,

    /// User names that may pass to another person at once, although certificates of the former holder may still live.
    #[schemars(length(max = 256), inner(length(min = 1, max = 255)))]
    pub handover: Vec<String>,

    /// Whether roles and traits given by hand follow a person to a new user name.
    pub carry_over: bool,
}

impl Default for Users {
    fn default() -> Self {
        Self {
            roles: vec!["okta-requester".into()],
            traits: Traits::default(),
            suspended: Suspended::default(),
            returning: Returning::default(),
            adopt: Adopt::default(),
            adopt_names: Vec::new(),
            handover: Vec::new(),
            carry_over: true,
        }
    }
}

/// How profile values become traits.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Traits {
    /// Put before each attribute name: `email` becomes `okta/email`. Every trait under it is ours.
    #[schemars(length(max = 64))]
    pub prefix: String,

    /// Attribute names (exact, or with * and ?) that become traits.
    #[schemars(length(max = 256), inner(length(min = 1, max = 255)))]
    pub include: Vec<String>,

    /// Attribute names (exact, or with * and ?) that do not, although included.
    #[schemars(length(max = 256), inner(length(min = 1, max = 255)))]
    pub exclude: Vec<String>,

    /// Further traits under names of your own, without prefix. They are set beside the prefixed ones.
    #[schemars(length(max = 64))]
    pub map: Vec<TraitMapping>,
}

impl Default for Traits {
    fn default() -> Self {
        Self { prefix: "okta/".into(), include: vec!["*".into()], exclude: Vec::new(), map: Vec::new() }
    }
}

/// One trait under a name of your own.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TraitMapping {
    /// Profile value: `user.profile.<attribute>` or `appUser.profile.<attribute>`.
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^(user|appUser)\.profile\..+$"))]
    pub from: String,
    /// Name of the trait. No comma.
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^,]+$"))]
    pub to: String,
}

/// What happens while a person is suspended in Okta.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Suspended {
    /// A lock is in force, the account stays; the lock goes when the person comes back.
    #[default]
    Lock,
    /// As a leaver.
    Remove,
    /// Nothing, as Teleport's own sync.
    Ignore,
}

/// When a person who comes back gets the account.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Returning {
    /// At once: our lock is lifted.
    #[default]
    AtOnce,
    /// When our lock has run out.
    AfterLock,
}

/// Which existing users may be taken over.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Adopt {
    /// None.
    Never,
    /// Users that a login through this connector made.
    #[default]
    SSO,
    /// Those named in `adoptNames`, and the SSO users.
    Listed,
    /// Any user of that name that belongs to nobody else, local ones too.
    All,
}

/// What happens to those who leave.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Removal {
    /// Delete: lock, then delete the account; the lock runs out on its own. LockOnly: lock and keep the account.
    pub action: RemovalAction,

    /// Added to the longest life that a credential can have on the cluster. From 1m to 720h.
    #[schemars(extend("x-kubernetes-validations" = [
        rule("duration(self) >= duration('1m') && duration(self) <= duration('720h')", "removal.lockMargin must lie between 1m and 720h")
    ]))]
    #[schemars(length(max = 32))]
    pub lock_margin: Duration,

    /// How many may be removed without a person's approval.
    pub brake: Brake,

    /// Hash of one held plan that may be applied (status.pendingPlan.hash).
    #[schemars(length(max = 128))]
    pub approved_plan: String,
}

impl Default for Removal {
    fn default() -> Self {
        Self {
            action: RemovalAction::default(),
            lock_margin: StdDuration::from_secs(3600).into(),
            brake: Brake::default(),
            approved_plan: String::new(),
        }
    }
}

/// What happens to the account of a leaver.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum RemovalAction {
    /// Lock, then delete.
    #[default]
    Delete,
    /// Lock for good and keep the account.
    LockOnly,
}

/// The brake: more removals than the larger of both numbers, in one pass or within an hour, are held as a whole.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Brake {
    /// People.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_users: i32,
    /// Percent of the users that this resource owns.
    #[schemars(range(min = 0, max = 100))]
    pub max_percent: i32,
    /// Whether removals that a changed filter, group or exclude list causes are held even below the brake.
    pub on_spec_change: OnSpecChange,
}

impl Default for Brake {
    fn default() -> Self {
        Self { max_users: 5, max_percent: 10, on_spec_change: OnSpecChange::default() }
    }
}

/// Whether removals caused by a changed scope are held.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnSpecChange {
    /// Held for approval.
    #[default]
    Hold,
    /// Only the brake's numbers count.
    Allow,
}

/// What happens to the users when the resource is deleted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum DeletionPolicy {
    /// Everything is left as it is.
    #[default]
    Orphan,
    /// Every user of ours is locked.
    Lock,
    /// Every user of ours is locked and deleted.
    Delete,
}

fn default_interval() -> Duration {
    StdDuration::from_secs(600).into()
}

fn default_bundle_key() -> String {
    "ca.crt".to_owned()
}

fn default_budget_percent() -> i32 {
    20
}

fn default_connector() -> String {
    "okta".into()
}

/// One validation rule in CEL, as the API server evaluates it (`x-kubernetes-validations`).
fn rule(rule: &str, message: &str) -> serde_json::Value {
    serde_json::json!({ "rule": rule, "message": message })
}
