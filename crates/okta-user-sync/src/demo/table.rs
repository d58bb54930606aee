//! The table that `kubectl get` prints, from the API server's own answer (`meta.k8s.io/v1 Table`).

use kube::Client;
use serde::Deserialize;
use serde_json::Value;

use crate::exit::Stop;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    column_definitions: Vec<Column>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
    #[serde(default)]
    priority: i32,
}

#[derive(Debug, Deserialize)]
struct Row {
    cells: Vec<Value>,
}

/// What `kubectl get ous --namespace <namespace>` prints.
///
/// # Errors
/// The API server does not answer with a table.
pub async fn kubectl_get(client: &Client, namespace: &str) -> Result<String, Stop> {
    let failed = |e: &dyn std::fmt::Display| Stop::undone(format!("the API server gave no table: {e}"), "");
    let path = format!("/apis/{}/v1alpha1/namespaces/{namespace}/oktausersyncs", api::names::GROUP);
    let request = http::Request::get(path)
        .header(http::header::ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .map_err(|e| failed(&e))?;
    let answer = client.request_text(request).await.map_err(|e| failed(&e))?;
    let table: Table = serde_json::from_str(&answer).map_err(|e| failed(&e))?;
    Ok(render(&table))
}

/// Columns of priority 0, in capitals, three blanks apart, as kubectl does.
fn render(table: &Table) -> String {
    let shown: Vec<usize> =
        (0..table.column_definitions.len()).filter(|i| table.column_definitions[*i].priority == 0).collect();
    let mut lines: Vec<Vec<String>> =
        vec![shown.iter().map(|i| table.column_definitions[*i].name.to_uppercase()).collect()];
    for row in &table.rows {
        lines.push(shown.iter().map(|i| row.cells.get(*i).map(cell).unwrap_or_default()).collect());
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..shown.len()).map(width).collect();
    let text = lines.iter().map(|line| {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("   ").trim_end().to_owned()
    });
    text.collect::<Vec<_>>().join("\n")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_stand_as_kubectl_prints_them() {
        let table: Table = serde_json::from_value(json!({
            "columnDefinitions": [
                { "name": "Name", "type": "string", "priority": 0 },
                { "name": "Ready", "type": "string", "priority": 0 },
                { "name": "Org", "type": "string", "priority": 1 },
                { "name": "Last sync", "type": "date", "priority": 0 },
            ],
            "rows": [{ "cells": ["acme", "True", "https://acme.okta.com", "5s"] }, { "cells": ["b", null, "", null] }],
        }))
        .unwrap();
        assert_eq!(render(&table), "NAME   READY   LAST SYNC\nacme   True    5s\nb");
    }
}
