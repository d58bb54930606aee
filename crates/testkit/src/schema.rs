//! JSON documents against a JSON schema (draft 2020-12), by the validator that helm holds a chart's values against: somebody
//! else's, and here already.

use std::path::Path;

use serde_json::{Value, json};

use crate::Tools;

impl Tools {
    /// What of `documents` does not fit `schema`, in helm's words; `None` if all do. `folder` is for a chart that has nothing
    /// but this schema.
    ///
    /// # Errors
    /// The folder cannot be written, or helm cannot be run.
    pub fn unfit(&self, schema: &Value, documents: &[Value], folder: &Path) -> std::io::Result<Option<String>> {
        let chart = tempfile::tempdir_in(folder)?;
        let mut each = schema.clone();
        // Definitions are referred to from the root.
        let definitions = each.as_object_mut().and_then(|each| each.remove("$defs")).unwrap_or_else(|| json!({}));
        let all = json!({
            "type": "object",
            "properties": { "documents": { "type": "array", "minItems": 1, "items": each } },
            "$defs": definitions,
        });
        std::fs::write(chart.path().join("Chart.yaml"), "{ apiVersion: v2, name: documents, version: 0.0.0 }\n")?;
        std::fs::write(chart.path().join("values.schema.json"), all.to_string())?;
        std::fs::write(chart.path().join("values.yaml"), json!({ "documents": documents }).to_string())?;
        let output = self.command("helm", folder).args(["template", "documents"]).arg(chart.path()).output()?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((!output.status.success()).then_some(words))
    }
}
