//! The custom resource `OktaUserSync` (`usersync.dev/v1alpha1`): its types, defaults, bounds and validation rules.
//!
//! This crate is the innermost one. It holds no client and does no I/O: the CRD that the API server enforces, the
//! reference in the documentation and the values that the engine works on are all made from these types.
//!
//! * [`spec`]: what a person writes.
//! * [`status`]: what the operator answers.
//! * [`condition`]: the condition types and reasons, and how a condition is set.
//! * [`names`]: labels, annotations and the finalizer that the product uses.

// The doc comments of these types are the descriptions that `kubectl explain` shows, where backticks would only be noise.
#![allow(clippy::doc_markdown)]

pub mod condition;
pub mod names;
pub mod spec;
pub mod status;

pub use spec::{OktaUserSync, OktaUserSyncSpec};
pub use status::OktaUserSyncStatus;

/// The `CustomResourceDefinition` as it is installed.
///
/// Two things are put right that schema generation cannot say: integer formats that the API server does not know
/// (`uint8` …) are dropped, and an empty object is the default wherever every field inside has a default, so that the
/// defaults inside are filled in by the API server and can be read back with `kubectl get -o yaml`.
#[must_use]
pub fn crd() -> k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition {
    use kube_core::CustomResourceExt as _;
    let mut crd = OktaUserSync::crd();
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            drop_unknown_formats(schema);
        }
    }
    crd
}

/// The API server knows `int32`, `int64`, `float`, `double` and the string formats; others only draw a warning from it.
fn drop_unknown_formats(
    schema: &mut k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps,
) {
    if schema.format.as_deref().is_some_and(|f| f.starts_with("uint")) {
        schema.format = Some(if schema.format.as_deref() == Some("uint64") { "int64" } else { "int32" }.into());
    }
    for child in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        drop_unknown_formats(child);
    }
    if let Some(k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray::Schema(
        items,
    )) = schema.items.as_mut()
    {
        drop_unknown_formats(items);
    }
}
