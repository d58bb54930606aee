//! How GitOps tools judge a custom resource: the generic rules of kstatus, which Flux, kpt and Helm's watcher follow.

use serde_json::Value;

/// The outcome of the rules, by kstatus's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Healthy, as far as one can see: also every object that says nothing about itself.
    Current,
    /// On its way.
    InProgress,
    /// No progress without help.
    Failed,
    /// Being deleted.
    Terminating,
    /// There is no object (JSON `null`).
    NotFound,
    /// The object is malformed where the rules look.
    Unknown,
}

/// Judges `object` by the rules, in their order: deletion, generation not observed, Reconciling or Stalled (whichever
/// comes first in the list), Ready, and Current for want of anything else.
#[must_use]
pub fn kstatus(object: &Value) -> Status {
    if object.is_null() {
        return Status::NotFound;
    }
    judge(object).unwrap_or(Status::Unknown)
}

/// A field has a type that the rules cannot read.
struct Malformed;

fn judge(object: &Value) -> Result<Status, Malformed> {
    let field = |path: &str| object.pointer(path).filter(|value| !value.is_null());
    let number = |path: &str| field(path).map(|value| value.as_i64().ok_or(Malformed)).transpose();

    if let Some(deletion) = field("/metadata/deletionTimestamp")
        && !deletion.as_str().ok_or(Malformed)?.is_empty()
    {
        return Ok(Status::Terminating);
    }
    let (generation, observed) = (number("/metadata/generation")?, number("/status/observedGeneration")?);
    if generation.is_some() && observed.is_some() && generation != observed {
        return Ok(Status::InProgress);
    }
    let conditions = match field("/status/conditions") {
        None => &[],
        Some(conditions) => conditions.as_array().ok_or(Malformed)?.as_slice(),
    };
    Ok(judge_conditions(conditions))
}

fn judge_conditions(conditions: &[Value]) -> Status {
    let is = |condition: &Value, type_: &str, status: &str| condition["type"] == type_ && condition["status"] == status;
    let abnormal = conditions.iter().find_map(|condition| {
        let reconciling = is(condition, "Reconciling", "True").then_some(Status::InProgress);
        reconciling.or(is(condition, "Stalled", "True").then_some(Status::Failed))
    });
    let ready = || match conditions.iter().find(|condition| condition["type"] == "Ready") {
        Some(condition) if condition["status"] != "True" => Status::InProgress,
        _ => Status::Current,
    };
    abnormal.unwrap_or_else(ready)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_rule_in_its_order() {
        let condition = |type_: &str, status: &str| json!({ "type": type_, "status": status });
        let object = |observed: Value, conditions: Vec<Value>| json!({ "metadata": { "generation": 2 }, "status": { "observedGeneration": observed, "conditions": conditions } });
        let table = [
            ("no object", Value::Null, Status::NotFound),
            ("no status looks healthy", json!({ "metadata": { "generation": 1 } }), Status::Current),
            (
                "conditions without Ready look healthy",
                object(json!(2), vec![condition("Synced", "False")]),
                Status::Current,
            ),
            ("ready", object(json!(2), vec![condition("Ready", "True")]), Status::Current),
            ("not ready", object(json!(2), vec![condition("Ready", "False")]), Status::InProgress),
            ("ready unknown", object(json!(2), vec![condition("Ready", "Unknown")]), Status::InProgress),
            ("ready of an older generation", object(json!(1), vec![condition("Ready", "True")]), Status::InProgress),
            ("no observed generation", object(Value::Null, vec![condition("Ready", "True")]), Status::Current),
            (
                "reconciling before ready",
                object(json!(2), vec![condition("Ready", "True"), condition("Reconciling", "True")]),
                Status::InProgress,
            ),
            (
                "stalled before ready",
                object(json!(2), vec![condition("Ready", "False"), condition("Stalled", "True")]),
                Status::Failed,
            ),
            (
                "first of two",
                object(json!(2), vec![condition("Stalled", "True"), condition("Reconciling", "True")]),
                Status::Failed,
            ),
            (
                "false is absent",
                object(json!(2), vec![condition("Stalled", "False"), condition("Ready", "True")]),
                Status::Current,
            ),
            (
                "deletion before all",
                json!({ "metadata": { "generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z" },
                        "status": { "observedGeneration": 1, "conditions": [condition("Stalled", "True")] } }),
                Status::Terminating,
            ),
            ("malformed", json!({ "metadata": { "generation": "two" } }), Status::Unknown),
            ("malformed conditions", json!({ "status": { "conditions": {} } }), Status::Unknown),
        ];
        for (case, object, expected) in table {
            assert_eq!(kstatus(&object), expected, "{case}");
        }
    }
}
