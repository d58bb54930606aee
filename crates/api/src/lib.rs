//! The custom resource `OktaUserSync` (`usersync.dev/v1alpha1`): its types, defaults, bounds and validation rules.
//!
//! This crate is the innermost one. It holds no client and does no I/O: the CRD that the API server enforces, the
//! reference in the documentation and the values that the engine works on are all made from these types.
//!
//! * [`spec`]: what a person writes.
//! * [`status`]: what the operator answers.
//! * [`condition`]: the condition types, and how a condition is set.
//! * [`days`]: spans of whole days.
//! * [`reason`]: every reason that a condition can carry.
//! * [`names`]: labels, annotations and the finalizer that the product uses.

// The doc comments of these types are the descriptions that `kubectl explain` shows, where backticks would only be noise.
#![allow(clippy::doc_markdown)]

pub mod condition;
pub mod days;
pub mod names;
pub mod reason;
pub mod spec;
pub mod status;

pub use spec::{OktaUserSync, OktaUserSyncSpec};
pub use status::OktaUserSyncStatus;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};

/// The `CustomResourceDefinition` as it is installed.
///
/// Three things are put right that schema generation cannot say: integer formats that the API server does not know
/// (`uint8` …) are dropped; the types and reasons of conditions are described; and a resource that nobody has looked at
/// yet has `observedGeneration: -1`, as Flux's own resources have, because kstatus takes one without any status for
/// healthy.
#[must_use]
pub fn crd() -> CustomResourceDefinition {
    use kube_core::CustomResourceExt as _;
    let mut crd = OktaUserSync::crd();
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            drop_unknown_formats(schema);
            if let Some(status) = schema.properties.as_mut().and_then(|fields| fields.get_mut("status")) {
                status.default = Some(JSON(serde_json::json!({ "observedGeneration": -1 })));
                describe_conditions(status);
            }
        }
    }
    crd
}

/// Replaces the general words of `type` and `reason` by our own types and reasons.
fn describe_conditions(status: &mut JSONSchemaProps) {
    let types = condition::TYPES.map(|(type_, means)| format!("* {type_}: {means}"));
    let texts =
        [("type", format!("What it speaks of. True means:\n{}", types.join("\n"))), ("reason", reason::description())];
    let Some(conditions) = status.properties.as_mut().and_then(|fields| fields.get_mut("conditions")) else { return };
    // No list is no list: an empty one would be filled in where nobody has spoken yet.
    conditions.default = None;
    let Some(JSONSchemaPropsOrArray::Schema(condition)) = conditions.items.as_mut() else { return };
    for (field, text) in texts {
        if let Some(schema) = condition.properties.as_mut().and_then(|fields| fields.get_mut(field)) {
            schema.description = Some(text);
        }
    }
}

/// The API server knows `int32`, `int64`, `float`, `double` and the string formats; others only draw a warning from it.
fn drop_unknown_formats(schema: &mut JSONSchemaProps) {
    if schema.format.as_deref().is_some_and(|f| f.starts_with("uint")) {
        schema.format = Some(if schema.format.as_deref() == Some("uint64") { "int64" } else { "int32" }.into());
    }
    for child in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        drop_unknown_formats(child);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = schema.items.as_mut() {
        drop_unknown_formats(items);
    }
}
