//! A checker of status conditions, to be run after each step of a test.
//!
//! The rules are those of the Kubernetes API conventions, of kstatus, and of the checks that Flux's controllers run
//! after theirs. One rule of Flux is left out: that the top-level `observedGeneration` stays behind while Reconciling is
//! True. There it moves only with success; here it says which specification was evaluated, whatever came of it.

use std::collections::BTreeSet;

use serde_json::Value;

/// Conditions that are there only while they are True.
const ONLY_WHILE_TRUE: [&str; 6] =
    ["Reconciling", "Stalled", "RemovalsHeld", "DriftSeen", "Warning", "DefinitionOutdated"];

/// Conditions that contradict `Ready=True`.
const CONTRADICT_READY: [&str; 2] = ["Reconciling", "Stalled"];

/// Longest reason that the API server takes, in bytes.
const REASON_LIMIT: usize = 1024;

/// Longest message that a person will read, in bytes (the API server takes 32 768).
const MESSAGE_LIMIT: usize = 1024;

/// What is wrong with the conditions of `object`, one sentence each; empty when all is well. Holds at every moment
/// after the controller's first status write.
#[must_use]
pub fn check_conditions(object: &Value) -> Vec<String> {
    let conditions = conditions_of(object);
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
    let mut violations = Vec::new();
    for condition in conditions {
        check_form(condition, &mut violations);
        check_generation(&format!("{} speaks", name(condition)), number(condition), generation, &mut violations);
    }
    check_generation("the status speaks", observed, generation, &mut violations);
    check_together(conditions, observed, &mut violations);
    violations
}

/// [`check_conditions`], and that the status speaks of the newest generation: for a step after which the controller is
/// done with `object`.
#[must_use]
pub fn check_settled(object: &Value) -> Vec<String> {
    let mut violations = check_conditions(object);
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
    if observed != generation {
        violations.push(format!(
            "the object is at generation {}, but its status speaks of {}",
            shown(generation),
            shown(observed)
        ));
    }
    violations
}

/// What is wrong with the way from `before` to `after`, two states of the same object: `lastTransitionTime` moves when
/// `status` does, and only then; the observed generation never goes back.
#[must_use]
pub fn check_step(before: &Value, after: &Value) -> Vec<String> {
    let mut violations = Vec::new();
    for old in conditions_of(before) {
        let Some(new) = conditions_of(after).iter().find(|new| new["type"] == old["type"]) else { continue };
        let (changed, moved) = (new["status"] != old["status"], new["lastTransitionTime"] != old["lastTransitionTime"]);
        let name = name(old);
        if moved && !changed {
            violations.push(format!("{name} stayed {}, but its lastTransitionTime moved", word(&old["status"])));
        }
        // Times have whole seconds, so a change within one second shows none.
        let earlier = word(&new["lastTransitionTime"]) < word(&old["lastTransitionTime"]);
        if changed && earlier {
            violations.push(format!("{name} became {}, but its lastTransitionTime went back", word(&new["status"])));
        }
        if number(new) < number(old) {
            violations.push(format!("{name} went back to an older generation"));
        }
    }
    violations
}

/// One condition by itself.
fn check_form(condition: &Value, violations: &mut Vec<String>) {
    let name = name(condition);
    let status = word(&condition["status"]);
    let mut wrong = |what: String| violations.push(format!("{name} {what}"));
    if !["True", "False", "Unknown"].contains(&status) {
        wrong(format!("has the status {status:?}, which is none of True, False, Unknown"));
    }
    if ONLY_WHILE_TRUE.contains(&name) && status != "True" {
        wrong(format!("is {status}: it should be there only while True"));
    }
    let reason = word(&condition["reason"]);
    let pascal_case =
        reason.starts_with(|c: char| c.is_ascii_uppercase()) && reason.chars().all(|c| c.is_ascii_alphanumeric());
    if !pascal_case || reason.len() > REASON_LIMIT {
        wrong(format!("has the reason {reason:?}, which is not in PascalCase"));
    }
    if condition["message"].as_str().is_none_or(|message| message.len() > MESSAGE_LIMIT) {
        wrong(format!("has no message of at most {MESSAGE_LIMIT} bytes"));
    }
    let time = word(&condition["lastTransitionTime"]);
    if time.parse::<k8s_openapi::jiff::Timestamp>().is_err() {
        wrong(format!("has the lastTransitionTime {time:?}, which is no time"));
    }
}

/// Generations start at 1 and are observed after they are made.
fn check_generation(who: &str, observed: Option<i64>, generation: Option<i64>, violations: &mut Vec<String>) {
    match observed {
        None | Some(..1) => violations.push(format!("{who} of no generation: observedGeneration is missing")),
        Some(observed) if generation.is_some_and(|generation| observed > generation) => {
            violations.push(format!("{who} of generation {observed}, the object is only at {}", shown(generation)));
        }
        Some(_) => {}
    }
}

/// The conditions among each other.
fn check_together(conditions: &[Value], observed: Option<i64>, violations: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in conditions.iter().map(name) {
        if !seen.insert(name) {
            violations.push(format!("{name} is there twice"));
        }
    }
    if CONTRADICT_READY.iter().all(|abnormal| seen.contains(abnormal)) {
        violations.push("Reconciling and Stalled are there together: it is either trying or it is not".to_owned());
    }
    let Some(ready) = conditions.iter().find(|condition| name(condition) == "Ready") else {
        violations.push("Ready is missing".to_owned());
        return;
    };
    if ready["status"] != "True" {
        return;
    }
    for condition in conditions {
        let name = name(condition);
        if CONTRADICT_READY.contains(&name) && condition["status"] == "True" {
            violations.push(format!("Ready is True although {name} is True"));
        }
        if number(condition) != observed {
            violations.push(format!(
                "Ready is True, but {name} speaks of generation {} and the status of {}",
                shown(number(condition)),
                shown(observed)
            ));
        }
    }
}

fn conditions_of(object: &Value) -> &[Value] {
    object.pointer("/status/conditions").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn name(condition: &Value) -> &str {
    condition["type"].as_str().unwrap_or("a condition without type")
}

fn number(condition: &Value) -> Option<i64> {
    condition["observedGeneration"].as_i64()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn shown(generation: Option<i64>) -> String {
    generation.map_or_else(|| "none".to_owned(), |generation| generation.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn condition(type_: &str, status: &str, generation: i64) -> Value {
        json!({ "type": type_, "status": status, "reason": "Synced", "message": "250 users",
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": generation })
    }

    fn object(conditions: &[Value]) -> Value {
        json!({ "metadata": { "generation": 2 }, "status": { "observedGeneration": 2, "conditions": conditions } })
    }

    /// A condition with one field replaced.
    fn with(mut condition: Value, field: &str, value: Value) -> Value {
        condition[field] = value;
        condition
    }

    #[test]
    fn good_states_pass() {
        let states = [
            vec![condition("Ready", "True", 2), condition("OktaReady", "True", 2), condition("Warning", "True", 2)],
            vec![condition("Ready", "False", 2), condition("Reconciling", "True", 2)],
            vec![condition("Ready", "Unknown", 2), condition("Reconciling", "True", 2)],
            vec![condition("Ready", "False", 2), condition("Stalled", "True", 2), condition("OktaReady", "False", 1)],
            vec![condition("Ready", "True", 2), condition("RemovalsHeld", "True", 2)],
        ];
        for state in states {
            let object = object(&state);
            assert_eq!(check_settled(&object), Vec::<String>::new(), "{object}");
        }
    }

    #[test]
    fn each_broken_rule_is_named() {
        let ready = || condition("Ready", "True", 2);
        let table = [
            (json!({ "metadata": { "generation": 1 } }), "Ready is missing"),
            (object(&[condition("OktaReady", "True", 2)]), "Ready is missing"),
            (object(&[ready(), ready()]), "Ready is there twice"),
            (object(&[ready(), condition("Reconciling", "True", 2)]), "Ready is True although Reconciling is True"),
            (object(&[ready(), condition("Stalled", "True", 2)]), "Ready is True although Stalled is True"),
            (object(&[ready(), condition("Stalled", "False", 2)]), "only while True"),
            (object(&[ready(), condition("Warning", "False", 2)]), "only while True"),
            (
                object(&[
                    condition("Ready", "False", 2),
                    condition("Stalled", "True", 2),
                    condition("Reconciling", "True", 2),
                ]),
                "Reconciling and Stalled are there together",
            ),
            (object(&[condition("Ready", "Yes", 2)]), "none of True, False, Unknown"),
            (object(&[with(ready(), "reason", json!("not pascal"))]), "not in PascalCase"),
            (object(&[with(ready(), "reason", Value::Null)]), "not in PascalCase"),
            (object(&[with(ready(), "message", json!("x".repeat(1025)))]), "no message of at most 1024 bytes"),
            (object(&[with(ready(), "lastTransitionTime", json!("yesterday"))]), "which is no time"),
            (object(&[with(ready(), "observedGeneration", Value::Null)]), "observedGeneration is missing"),
            (object(&[with(ready(), "observedGeneration", json!(0))]), "observedGeneration is missing"),
            (object(&[condition("Ready", "False", 3)]), "Ready speaks of generation 3, the object is only at 2"),
            (object(&[ready(), condition("OktaReady", "True", 1)]), "OktaReady speaks of generation 1"),
            (
                json!({ "metadata": { "generation": 1 }, "status": { "observedGeneration": 2, "conditions": [] } }),
                "the status speaks of generation 2, the object is only at 1",
            ),
            (
                json!({ "metadata": { "generation": 1 }, "status": { "conditions": [] } }),
                "the status speaks of no generation",
            ),
        ];
        for (object, expected) in table {
            let violations = check_conditions(&object);
            assert!(
                violations.iter().any(|violation| violation.contains(expected)),
                "{expected:?} not in {violations:?}"
            );
        }
    }

    #[test]
    fn a_status_of_an_older_generation_is_consistent_but_not_settled() {
        let object = json!({ "metadata": { "generation": 3 },
                             "status": { "observedGeneration": 2, "conditions": [condition("Ready", "True", 2)] } });
        assert_eq!(check_conditions(&object), Vec::<String>::new());
        assert_eq!(check_settled(&object), ["the object is at generation 3, but its status speaks of 2"]);
    }

    #[test]
    fn time_moves_with_status_only() {
        let at = |status: &str, time: &str, generation: i64| {
            object(&[with(condition("Ready", status, generation), "lastTransitionTime", json!(time))])
        };
        let before = at("False", "2026-01-01T00:00:05Z", 2);
        for good in
            [at("True", "2026-01-01T00:00:06Z", 2), at("True", "2026-01-01T00:00:05Z", 2), before.clone(), object(&[])]
        {
            assert_eq!(check_step(&before, &good), Vec::<String>::new());
        }
        assert_eq!(
            check_step(&before, &at("False", "2026-01-01T00:00:06Z", 2)),
            ["Ready stayed False, but its lastTransitionTime moved"]
        );
        assert_eq!(
            check_step(&before, &at("True", "2026-01-01T00:00:04Z", 1)),
            ["Ready became True, but its lastTransitionTime went back", "Ready went back to an older generation"]
        );
    }
}
