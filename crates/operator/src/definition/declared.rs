//! What the served definition declares of a status, and what a status keeps under it.
//!
//! A program may be newer than the definition beside it: helm replaces definitions only if the chart carries them as
//! templates, and `kubectl apply` of the program alone is quickly done. Server-side apply refuses a whole status for one
//! field that is not declared, and with it what the brake must not forget (P5).

use axum::http::Request;
use kube::{Client, Resource as _};
use serde_json::{Value, json};

use crate::kubernetes::{ApiError, within_limit};

/// The schema of the status, as the API server serves it.
pub(crate) struct Declared(Value);

impl Declared {
    /// Reads it from the API server's `OpenAPI` v3 document of the group, which every authenticated client may read.
    /// Everything counts as declared where the document says nothing of a status.
    ///
    /// # Errors
    /// The API server refused or did not answer.
    pub(crate) async fn read(client: &Client) -> Result<Self, ApiError> {
        let path = format!("/openapi/v3/apis/{}", api::OktaUserSync::api_version(&()));
        let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        let document: Value = within_limit(client.request(request)).await?;
        Ok(Self::of(&document))
    }

    /// The part of such a document that is about the status.
    fn of(document: &Value) -> Self {
        let kind = json!(api::OktaUserSync::kind(&()));
        let ours = |schema: &&Value| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|named| named["kind"] == kind))
        };
        let schemas = document.pointer("/components/schemas").and_then(Value::as_object);
        let resource = schemas.into_iter().flat_map(|all| all.values()).find(ours);
        Self(resource.map(|schema| schema["properties"]["status"].clone()).unwrap_or_default())
    }

    /// Takes out of `status` what is not declared; answers where that was, such as `status.fastPath`.
    pub(crate) fn keep(&self, status: &mut Value) -> Vec<String> {
        let mut left_out = Vec::new();
        keep(&self.0, status, "status", &mut left_out);
        left_out.sort();
        left_out.dedup();
        left_out
    }
}

fn keep(schema: &Value, value: &mut Value, at: &str, left_out: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for item in items {
                keep(&schema["items"], item, &format!("{at}[]"), left_out);
            }
        }
        Value::Object(fields) => {
            // A map, an object of any form, or a schema that says nothing: all of it is declared.
            let Some(properties) = schema["properties"].as_object() else { return };
            fields.retain(|name, field| {
                let declared = properties.get(name);
                if let Some(schema) = declared {
                    keep(schema, field, &format!("{at}.{name}"), left_out);
                } else {
                    left_out.push(format!("{at}.{name}"));
                }
                declared.is_some()
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt as _;

    use super::*;

    /// The document that the API server would serve of today's definition, with a status changed by `change`.
    fn document(change: impl Fn(&mut Value)) -> Value {
        let definition = serde_json::to_value(api::OktaUserSync::crd()).unwrap();
        let mut schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        change(&mut schema["properties"]["status"]["properties"]);
        schema["x-kubernetes-group-version-kind"] =
            json!([{ "group": "usersync.dev", "kind": "OktaUserSync", "version": "v1alpha1" }]);
        json!({ "components": { "schemas": {
            "dev.usersync.v1alpha1.OktaUserSyncList": { "properties": {} },
            "dev.usersync.v1alpha1.OktaUserSync": schema,
        }}})
    }

    fn status() -> Value {
        json!({
            "conditions": [{ "type": "Ready", "status": "True" }],
            "memory": { "people": 3, "removals": [{ "minute": 60, "count": 2 }] },
            "fastPath": { "state": "Active" },
        })
    }

    #[test]
    fn under_todays_definition_everything_is_kept() {
        let mut kept = status();
        assert_eq!(Declared::of(&document(|_| {})).keep(&mut kept), [""; 0]);
        assert_eq!(kept, status());
    }

    #[test]
    fn under_a_former_one_only_what_it_does_not_know_is_left_out() {
        let former = document(|properties| {
            let properties = properties.as_object_mut().unwrap();
            properties.remove("fastPath");
            let tally = &mut properties["memory"]["properties"]["removals"]["items"]["properties"];
            tally.as_object_mut().unwrap().remove("count");
        });
        let mut kept = status();
        let left_out = Declared::of(&former).keep(&mut kept);
        assert_eq!(left_out, ["status.fastPath", "status.memory.removals[].count"]);
        let mut expected = status();
        expected.as_object_mut().unwrap().remove("fastPath");
        expected["memory"]["removals"] = json!([{ "minute": 60 }]);
        assert_eq!(kept, expected);
    }

    #[test]
    fn a_document_that_says_nothing_leaves_nothing_out() {
        for document in [json!({}), json!({ "components": { "schemas": {} } }), json!("?")] {
            let mut kept = status();
            assert_eq!(Declared::of(&document).keep(&mut kept), [""; 0]);
            assert_eq!(kept, status());
        }
    }
}
