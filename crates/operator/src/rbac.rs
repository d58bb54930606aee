//! What the operator may do in Kubernetes: each rule with the call that needs it, and none beside. The chart's
//! `ClusterRole` is held to this list by a test.

use k8s_openapi::api::rbac::v1::PolicyRule;

/// Rules for the namespaces whose resources are served (a `ClusterRole`, or a Role in each of them).
#[must_use]
pub fn rules() -> Vec<PolicyRule> {
    vec![
        // list, watch: the controller's own watch. patch: the finalizer. get: the version that a
        // write is made on, where another writer came between.
        rule("usersync.dev", "oktausersyncs", &["get", "list", "patch", "watch"]),
        // The one status write of a pass (server-side apply).
        rule("usersync.dev", "oktausersyncs/status", &["patch"]),
        // get: the key and the identity, at the moment of use. list, watch: metadata only, so that a mended Secret starts
        // a pass. Each of them by name (a field selector), so that resourceNames can be put to this rule.
        rule("", "secrets", &["get", "list", "watch"]),
        // The same for a bundle of certificate authorities.
        rule("", "configmaps", &["get", "list", "watch"]),
        // patch: equal events are counted in one.
        rule("events.k8s.io", "events", &["create", "patch"]),
    ]
}

/// Rules for the same namespaces that let the operator make keys for resources which name none. Without them it tells such
/// resources to name one.
#[must_use]
pub fn key_rules() -> Vec<PolicyRule> {
    // Beside the list above, here by the label of the resource: which keys there are. create: a key's Secret, once. delete: that of a key that has been replaced. Never patch or update: what a Secret
    // holds is not changed.
    vec![rule("", "secrets", &["create", "delete"])]
}

/// Rules for the operator's own namespace: the Lease of its leader election.
#[must_use]
pub fn own_rules() -> Vec<PolicyRule> {
    vec![rule("coordination.k8s.io", "leases", &["create", "get", "update"])]
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}
