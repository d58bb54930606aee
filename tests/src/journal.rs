//! The audit journals that operators wrote, held against the schema that readers are given (docs/journal.schema.json).

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use testkit::Tools;

use crate::chart::repository;

/// What in the journals of this folder does not fit the schema.
pub(crate) fn violations(tools: &Tools, folder: &Path) -> Option<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let journals =
        files.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("journal")));
    let mut shapes = BTreeMap::new();
    for text in journals.map(|path| fs::read_to_string(path).unwrap()) {
        // An operator that still ends may be at its last line.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: Value = serde_json::from_str(line).unwrap();
            shapes.entry(shape(&line)).or_insert(line);
        }
    }
    if shapes.is_empty() {
        return None;
    }
    let schema = fs::read_to_string(repository().join("docs/journal.schema.json")).unwrap();
    let lines: Vec<Value> = shapes.into_values().collect();
    tools.unfit(&serde_json::from_str(&schema).unwrap(), &lines, folder).unwrap()
}

/// Lines of one shape fit or do not fit together: those that tell of thousands of people are told of once.
fn shape(line: &Value) -> String {
    match line {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| match name.as_str() {
                "schema" | "phase" | "action" | "result" => format!("{name}={value}"),
                _ => format!("{name}:{}", shape(value)),
            });
            fields.collect::<Vec<_>>().join(",")
        }
        Value::Array(items) => format!("[{}]", items.first().map(shape).unwrap_or_default()),
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
    }
}
