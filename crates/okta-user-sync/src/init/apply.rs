//! The manifests, applied to the current cluster, as `kubectl apply --server-side` would.

use api::names::FIELD_MANAGER;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use crate::command::cluster::Cluster;
use crate::exit::Stop;

/// Applies each object of the stream.
///
/// # Errors
/// The definition is not installed, or the API server refuses.
pub async fn apply(cluster: &Cluster, stream: &str) -> Result<Vec<String>, Stop> {
    let objects = serde_saphyr::from_multiple::<Value>(stream)
        .map_err(|e| Stop::undone(format!("the manifests cannot be read: {e}"), "this is a bug; please report it"))?;
    let mut applied = Vec::new();
    for object in &objects {
        let word = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (version, kind, name) = (word("/apiVersion"), word("/kind"), word("/metadata/name"));
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind_of = GroupVersionKind::gvk(group, version, kind);
        let resource = if kind == "OktaUserSync" {
            ApiResource::from_gvk_with_plural(&kind_of, "oktausersyncs")
        } else {
            ApiResource::from_gvk(&kind_of)
        };
        let api: Api<DynamicObject> = match word("/metadata/namespace") {
            "" => Api::all_with(cluster.client.clone(), &resource),
            namespace => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
        };
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(name, &parameters, &Patch::Apply(object)).await.map_err(|error| refused(kind, name, &error))?;
        applied.push(format!("{kind} {name}"));
    }
    Ok(applied)
}

fn refused(kind: &str, name: &str, error: &kube::Error) -> Stop {
    let remedy = match error {
        kube::Error::Api(status) if status.code == 404 => {
            "install the definition first: okta-user-sync crd | kubectl apply --server-side -f -, or the chart"
        }
        kube::Error::Api(status) if status.code == 403 => "use an account that may write it, or write files with --out",
        _ => "see whether kubectl reaches the cluster, or write files with --out",
    };
    Stop::undone(format!("{kind} {name} was not applied: {error}"), remedy)
}
