//! What the operator answers: the status of one sync.
//!
//! The status is bounded: lists are cut at the lengths named here and say how many they left out.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// At most this many entries in [`OktaUserSyncStatus::errors`].
pub const MAX_ERRORS: usize = 10;
/// At most this many names in [`PendingPlan::sample`].
pub const MAX_SAMPLE: usize = 20;
/// At most this many used approvals are remembered beside the last one.
pub const MAX_EARLIER_APPROVALS: usize = 16;

/// Status of an OktaUserSync: what the last pass found, did and left.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OktaUserSyncStatus {
    /// Ready, Reconciling, Stalled, OktaReady, TeleportReady, RemovalsHeld, DriftSeen, Warning, DefinitionOutdated.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Generation of the specification that this status speaks of; -1 until the operator has seen the resource, so that
    /// nobody takes a resource for healthy that nobody has looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Last value of the annotation reconcile.fluxcd.io/requestedAt that was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,

    /// Counts of the last pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<UserCounts>,

    /// The last pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,

    /// End of the last pass that did all it had to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_successful_run: Option<Time>,

    /// When the next full pass is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run: Option<Time>,

    /// Removals that wait for approval.
    // Large, and most resources have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_plan: Option<Box<PendingPlan>>,

    /// What went wrong for whom, and what to do; at most 10.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub errors: Vec<Problem>,

    /// What was learned about the Okta organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub okta: Option<OktaStatus>,

    /// What was learned about the Teleport cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teleport: Option<TeleportStatus>,

    /// The key that the operator made, while okta.privateKeySecretRef is left out: what Okta has to be told.
    // Large, and most resources have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<Box<PublicKey>>,

    /// What the next pass must know of the former ones, so that a restart forgets nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,

    /// The fast path: whether Okta's System Log is read between full passes, and how far it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fast_path: Option<FastPathStatus>,
}

/// The fast path between full passes.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FastPathStatus {
    /// Active, NotGranted, Behind or Off.
    pub state: FastPathState,
    /// How far the System Log was read, by Okta's clock. Written when something happens, else every ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Time>,
    /// The newest event for which somebody was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_event: Option<Time>,
    /// What is in the way, and what to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How the fast path stands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum FastPathState {
    /// Nobody asked for it, or nothing may be written: full passes alone.
    #[default]
    Off,
    /// The System Log is read; who is named there is looked at within seconds.
    Active,
    /// Okta does not let the System Log be read: the scope `okta.logs.read` is not granted, or no admin role shows it.
    NotGranted,
    /// The System Log cannot be read at the moment; it is tried again.
    Behind,
}

/// The key that the operator made and uses, and its neighbours while it is being changed. All keys named here are served at
/// /.well-known/NAMESPACE/NAME/jwks.json of the operator.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicKey {
    /// Name of the key: its RFC 7638 thumbprint.
    pub kid: String,
    /// The public half, ready to be added in Okta (Applications > your API Services app > General > Client Credentials >
    /// PUBLIC KEYS > Add key).
    pub jwk: Jwk,
    /// Secret of this namespace that holds the private half.
    pub secret_name: String,
    /// When the key was made.
    pub created: Time,
    /// When Okta was first seen to accept the key. Not there: it has not yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accepted: Option<Time>,
    /// The key that follows: published, and used as soon as Okta accepts it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<NextKey>,
    /// The key before: still published, and not used any more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<PreviousKey>,
    /// Last value of the annotation usersync.dev/rotate-key that was carried out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_handled_rotation: Option<String>,
}

/// A key that Okta does not have to accept yet.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextKey {
    /// Name of the key: its RFC 7638 thumbprint.
    pub kid: String,
    /// The public half, ready to be added in Okta beside the one in use.
    pub jwk: Jwk,
    /// Secret of this namespace that holds the private half.
    pub secret_name: String,
    /// When the key was made.
    pub created: Time,
}

/// A key that has been replaced.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviousKey {
    /// Name of the key: its RFC 7638 thumbprint.
    pub kid: String,
    /// The public half.
    pub jwk: Jwk,
    /// Secret of this namespace that holds the private half.
    pub secret_name: String,
    /// When it is removed. Then it can be removed in Okta as well.
    pub removal: Time,
}

/// A public key as JSON (RFC 7517): RSA with e and n, EC with crv, x and y.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Jwk {
    /// RSA or EC.
    pub kty: String,
    /// What the key is for: sig.
    #[serde(rename = "use")]
    pub usage: String,
    /// Name of the key.
    pub kid: String,
    /// What it signs with, such as RS256.
    pub alg: String,
    /// Public exponent of an RSA key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub e: Option<String>,
    /// Modulus of an RSA key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub n: Option<String>,
    /// Curve of an EC key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub crv: Option<String>,
    /// First coordinate of an EC key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub x: Option<String>,
    /// Second coordinate of an EC key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub y: Option<String>,
}

impl PublicKey {
    /// Every key that is published: in use, next, previous.
    pub fn jwks(&self) -> impl Iterator<Item = &Jwk> {
        let next = self.next.as_ref().map(|key| &key.jwk);
        let previous = self.previous.as_ref().map(|key| &key.jwk);
        std::iter::once(&self.jwk).chain(next).chain(previous)
    }

    /// The Secrets of all these keys.
    pub fn secret_names(&self) -> impl Iterator<Item = &str> {
        let next = self.next.as_ref().map(|key| key.secret_name.as_str());
        let previous = self.previous.as_ref().map(|key| key.secret_name.as_str());
        std::iter::once(self.secret_name.as_str()).chain(next).chain(previous)
    }
}

/// Counts of people and users.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserCounts {
    /// People in Okta who belong.
    pub in_scope: i64,
    /// Users in Teleport that are as they should be after the pass.
    pub synced: i64,
    /// Users made in the last pass.
    pub created: i64,
    /// Users changed in the last pass.
    pub updated: i64,
    /// Users put right in the last pass because somebody else, such as a login, had rewritten them.
    pub drifted: i64,
    /// Accounts made under a new user name in the last pass.
    pub renamed: i64,
    /// People suspended in Okta who belong.
    pub suspended: i64,
    /// Locks of ours in force.
    pub locked: i64,
    /// Accounts removed in the last pass.
    pub removed: i64,
    /// People whose user name belongs to somebody else in Teleport.
    pub conflicts: i64,
    /// People who wait until a lock on their user name has run out.
    pub waiting: i64,
    /// People left alone: excluded, without a usable user name, or in an unknown state.
    pub skipped: i64,
    /// Removals that wait for approval.
    pub held: i64,
    /// People or users for whom something failed in the last pass.
    pub failed: i64,
}

/// The last pass.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Id of the pass, as in logs and lock messages.
    pub id: String,
    /// When it began.
    pub started: Time,
    /// How long it took, such as `1.2s`.
    pub duration: String,
    /// Calls made to Okta.
    pub okta_calls: i64,
    /// Succeeded, Partial, Refused, Failed, Preview.
    pub result: String,
    /// `complete`, or `incomplete at page N: why`.
    pub read: String,
}

/// Removals that wait for approval.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingPlan {
    /// Hash of the exact removals with their evidence. Approve it by `spec.removal.approvedPlan` or the annotation
    /// usersync.dev/approve-plan.
    pub hash: String,
    /// Why it is held.
    pub reason: String,
    /// How many removals it holds.
    pub removals: i64,
    /// User names and evidence of the first 20.
    #[schemars(length(max = 20))]
    pub sample: Vec<String>,
    /// Since when this very plan is held.
    pub held_since: Time,
    /// Until when an approval of it counts.
    pub expires: Time,
    /// Why an approval that was given does not count: it fits another plan, or came too late.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approval: Option<String>,
}

/// One thing that went wrong.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Credential, Permission, Budget, Transient, Configuration, Conflict, Waiting, Bug.
    pub class: String,
    /// Whom it concerns: a user name or an Okta id; empty for the whole pass.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub user: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// What was learned about the Okta organisation.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OktaStatus {
    /// Id of the organisation (`00o…`), pinned when it was first seen.
    #[serde(rename = "orgID", skip_serializing_if = "String::is_empty")]
    pub org_id: String,
    /// Id of the SAML app.
    #[serde(rename = "appID", skip_serializing_if = "String::is_empty")]
    pub app_id: String,
    /// Label of the SAML app.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub app_label: String,
    /// Scopes that were granted.
    pub scopes: Vec<String>,
    /// Whether tokens are bound to a key (RFC 9449).
    pub dpop: bool,
    /// Seconds that Okta's clock is ahead of the operator's (negative: behind); there only when it is more than 30. It is
    /// corrected for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<i64>,
    /// Use of Okta's rate limits by all resources of this organisation, as it was at the end of the last pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// Use of the rate limits of one organisation, by this operator as a whole.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Budget {
    /// Calls since the operator started.
    pub calls: i64,
    /// How often a call had to wait for its share of a rate limit.
    pub waits: i64,
    /// How long these waits took together, such as `12.5s`.
    pub waited: String,
    /// How often Okta refused because of a rate limit (429).
    pub refusals: i64,
    /// Each rate limit that was used; at most 10.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub buckets: Vec<BucketUse>,
}

/// Use of one of Okta's rate limits.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BucketUse {
    /// The paths that it counts, as Okta's rate limit page names them.
    pub path: String,
    /// Calls a minute that Okta allows all its clients together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Calls left in the running minute, for all clients; absent once that minute is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<i64>,
    /// Calls of this operator in the running minute.
    pub used: i64,
}

/// What was learned about the Teleport cluster.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TeleportStatus {
    /// Name of the cluster.
    pub cluster: String,
    /// Version of its Auth Service.
    pub version: String,
    /// Bot: users carry our own labels. Okta: written with the system role Okta, in the very shape of Teleport's own sync.
    pub origin_mode: String,
    /// The way that was taken. Auth: straight to an Auth Service. Proxy: through a Proxy that routes TLS. Upgrade: through a
    /// Proxy behind a balancer that ends TLS.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub route: String,
    /// When the identity that the operator is known by runs out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_expires: Option<Time>,
    /// Life of a lock: the longest credential life of the cluster and the margin, such as `31h`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lock_lifetime: String,
}

/// What the next pass must know of the former ones.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// People who belonged in the last complete pass.
    pub people: i64,
    /// Hash of the scope (source, app, groups, filter, exclude) that the last pass without held removals had.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope_hash: String,
    /// Removals of the last hour.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 60))]
    pub removals: Vec<RemovalTally>,
    /// Hash of the plan whose approval was used last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub used_approval: String,
    /// Hashes of plans whose approval was used before that one, and is given still: none is used twice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub earlier_approvals: Vec<String>,
}

/// Removals of one minute.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovalTally {
    /// The minute, as seconds since 1970 rounded down.
    pub minute: i64,
    /// How many.
    pub count: i64,
}
