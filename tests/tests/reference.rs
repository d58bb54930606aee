//! docs/api.md is made from the definition; `UPDATE=1 cargo test -p suites --test reference` writes it anew.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::fmt::Write as _;

use serde_json::Value;
use suites::chart::{made, repository};

const INTRODUCTION: &str = "\
# API reference

<!-- Made from the definition. Do not edit; write anew with: UPDATE=1 cargo test -p suites --test reference -->

`usersync.dev/v1alpha1`, kind `OktaUserSync`, namespaced, short name `ous`. The definition itself:
[crds/oktausersyncs.usersync.dev.yaml](../crds/oktausersyncs.usersync.dev.yaml). Everything below is checked by the API
server, so `kubectl apply --dry-run=server` tells what does not fit.
";

/// One object of the schema: a heading, its rules, and a table of its fields; then the objects below it.
fn object(path: &str, schema: &Value, out: &mut String) {
    write!(out, "\n## {path}\n\n{}\n", text(schema)).unwrap();
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        write!(out, "\n* Rule: {}.\n", rule["message"].as_str().or(rule["rule"].as_str()).unwrap()).unwrap();
    }
    out.push_str("\n| field | type | default | meaning |\n|---|---|---|---|\n");
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect();
    for (name, field) in schema["properties"].as_object().unwrap() {
        let default = match &field["default"] {
            Value::Null if required.contains(&name.as_str()) => "required".to_owned(),
            // The defaults of an object's fields stand with these.
            Value::Null | Value::Object(_) => String::new(),
            value => format!("`{}`", value.to_string().replace('|', "\\|")),
        };
        let meaning = text(field).replace('\n', " ").replace('|', "\\|");
        let meaning = [meaning, bounds(field)].iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>();
        writeln!(out, "| `{name}` | {} | {default} | {} |", kind(path, name, field), meaning.join(" ")).unwrap();
    }
    for (name, field) in schema["properties"].as_object().unwrap() {
        if field["properties"].is_object() {
            object(&format!("{path}.{name}"), field, out);
        } else if field["items"]["properties"].is_object() {
            object(&format!("{path}.{name}[]"), &field["items"], out);
        }
    }
}

fn text(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().trim().to_owned()
}

/// What kind of value it is, with a link where it is told below.
fn kind(path: &str, name: &str, field: &Value) -> String {
    let anchor = |suffix: &str| format!("#{}", format!("{path}{name}{suffix}").to_lowercase().replace('.', ""));
    match field["type"].as_str() {
        Some("object") if field["properties"].is_object() => format!("[object]({})", anchor("")),
        Some("array") if field["items"]["properties"].is_object() => format!("[list of objects]({})", anchor("")),
        Some("array") => format!("list of {}s", field["items"]["type"].as_str().unwrap_or("value")),
        Some("string") if field["enum"].is_array() => {
            let all = field["enum"].as_array().unwrap().iter().filter_map(Value::as_str);
            all.map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ")
        }
        Some(kind) => {
            field["format"].as_str().filter(|format| *format == "date-time").map_or(kind, |_| "time").to_owned()
        }
        None => "value".to_owned(),
    }
}

/// Bounds and rules, in words.
fn bounds(field: &Value) -> String {
    let number = |name: &str| field[name].as_f64();
    let mut words = Vec::new();
    match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => words.push(format!("{least} to {most}.")),
        (Some(least), None) => words.push(format!("At least {least}.")),
        (None, Some(most)) => words.push(format!("At most {most}.")),
        (None, None) => {}
    }
    if let Some(most) = number("maxItems") {
        words.push(format!("At most {most} entries."));
    }
    if let Some(most) = number("maxLength") {
        words.push(format!("At most {most} characters."));
    }
    let rules = field["x-kubernetes-validations"].as_array().into_iter().flatten();
    words.extend(rules.filter_map(|rule| rule["message"].as_str()).map(|message| format!("Rule: {message}.")));
    words.join(" ").replace('|', "\\|")
}

#[test]
fn the_reference_is_made_from_the_definition() {
    let definition = serde_json::to_value(api::crd()).unwrap();
    let version = &definition["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"]["properties"];
    let mut out = INTRODUCTION.to_owned();
    for part in ["spec", "status"] {
        object(part, &schema[part], &mut out);
    }
    out.push_str("\n## Columns\n\nWhat `kubectl get ous` prints; `-o wide` also prints those with a priority.\n\n");
    out.push_str("| column | from | priority |\n|---|---|---|\n");
    for column in version["additionalPrinterColumns"].as_array().unwrap() {
        let word = |name: &str| column[name].as_str().unwrap_or_default().to_owned();
        let priority = column["priority"].as_i64().unwrap_or_default();
        writeln!(out, "| {} | `{}` | {priority} |", word("name"), word("jsonPath").replace('|', "\\|")).unwrap();
    }
    made(&repository().join("docs/api.md"), &out, "UPDATE=1 cargo test -p suites --test reference");
}
