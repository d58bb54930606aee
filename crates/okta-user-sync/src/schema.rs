//! The rules that the API server enforces on an `OktaUserSync`, enforced here where there is no API server.
//!
//! Nothing is written down twice: the schema, its bounds and its CEL rules are read from the CRD itself
//! ([`api::crd`]). Transition rules (those that speak of `oldSelf`) have no meaning here and are left out.

use cel::{Context, Program, Value as CelValue};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

/// What in `object`, as it was written, does not have the shape of the schema: fields that it does not know, values of
/// another type, fields that are missing, words that are none of those allowed; one sentence each. `kubectl apply` refuses
/// all of these.
pub fn misshapen(object: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    each(object, |schema, path, value| {
        let say = |what: String| format!("{path}: {what}");
        let wrong = wrong_type(schema, value).or_else(|| wrong_word(schema, value));
        faults.extend(wrong.into_iter().map(say));
        faults.extend(unknown(schema, value).map(|key| format!("unknown field {}", join(path, key))));
        faults.extend(missing(schema, value).into_iter().map(say));
    });
    faults
}

/// What in `object`, with all defaults filled in, is against the schema; one sentence each.
pub fn faults(object: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    each(object, |schema, path, value| {
        let say = |what: String| format!("{path}: {what}");
        faults.extend(missing(schema, value).into_iter().map(say));
        faults.extend(out_of_bounds(schema, value).into_iter().map(say));
        faults.extend(broken_rules(schema, value).into_iter().map(say));
    });
    faults
}

/// Visits `spec` of the object and everything below it, with its schema and its path.
fn each(object: &Value, mut visit: impl FnMut(&JSONSchemaProps, &str, &Value)) {
    let crd = api::crd();
    let schema = crd
        .spec
        .versions
        .iter()
        .filter_map(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref())
        .find_map(|schema| schema.properties.as_ref()?.get("spec"));
    if let Some(schema) = schema {
        match object.get("spec") {
            Some(spec) => walk(schema, "spec", spec, &mut visit),
            None => visit(schema, "spec", &Value::Null),
        }
    }
}

fn walk(schema: &JSONSchemaProps, path: &str, value: &Value, visit: &mut impl FnMut(&JSONSchemaProps, &str, &Value)) {
    visit(schema, path, value);
    for (key, child) in value.as_object().into_iter().flatten() {
        let known = schema.properties.as_ref().and_then(|all| all.get(key));
        let any = match &schema.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(any)) => Some(any.as_ref()),
            _ => None,
        };
        if let Some(below) = known.or(any) {
            walk(below, &join(path, key), child, visit);
        }
    }
    if let Some(JSONSchemaPropsOrArray::Schema(below)) = &schema.items {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            walk(below, &format!("{path}[{index}]"), item, visit);
        }
    }
}

/// Keys that the schema does not know.
fn unknown<'a>(schema: &'a JSONSchemaProps, value: &'a Value) -> impl Iterator<Item = &'a String> {
    let open = schema.additional_properties.is_some() || schema.x_kubernetes_preserve_unknown_fields == Some(true);
    let known = schema.properties.as_ref().filter(|_| !open);
    let keys = value.as_object().into_iter().flat_map(|fields| fields.keys());
    keys.filter(move |key| known.is_some_and(|known| !known.contains_key(*key)))
}

fn wrong_type(schema: &JSONSchemaProps, value: &Value) -> Option<String> {
    let wanted = schema.type_.as_deref()?;
    let fits = match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    };
    (!fits).then(|| format!("{value} is not of type {wanted}"))
}

fn wrong_word(schema: &JSONSchemaProps, value: &Value) -> Option<String> {
    let allowed = schema.enum_.as_ref()?;
    let words: Vec<String> = allowed.iter().map(|word| word.0.to_string()).collect();
    (!allowed.iter().any(|word| word.0 == *value)).then(|| format!("{value} is none of {}", words.join(", ")))
}

fn missing(schema: &JSONSchemaProps, value: &Value) -> Vec<String> {
    let has = |key: &String| value.get(key).is_some_and(|v| !v.is_null());
    schema.required.iter().flatten().filter(|key| !has(key)).map(|key| format!("{key} is missing")).collect()
}

fn out_of_bounds(schema: &JSONSchemaProps, value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text_bounds(schema, text),
        Value::Number(number) => number_bounds(schema, number.as_f64().unwrap_or(f64::NAN)),
        Value::Array(items) => {
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            range("entries", length, schema.min_items, schema.max_items)
        }
        _ => Vec::new(),
    }
}

fn text_bounds(schema: &JSONSchemaProps, text: &str) -> Vec<String> {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let mut faults = range("characters", length, schema.min_length, schema.max_length);
    if let Some(pattern) = &schema.pattern
        && evaluate("self.matches(pattern)", &[("self", text.into()), ("pattern", pattern.as_str().into())]) != Ok(true)
    {
        faults.push(format!("{text:?} does not match {pattern}"));
    }
    faults
}

fn number_bounds(schema: &JSONSchemaProps, number: f64) -> Vec<String> {
    let mut faults = Vec::new();
    if schema.minimum.is_some_and(|least| number < least) || schema.maximum.is_some_and(|most| number > most) {
        let word = |bound: Option<f64>| bound.map_or_else(|| "any".to_owned(), |b| b.to_string());
        faults.push(format!("{number} does not lie between {} and {}", word(schema.minimum), word(schema.maximum)));
    }
    faults
}

fn range(of: &str, length: i64, least: Option<i64>, most: Option<i64>) -> Vec<String> {
    match (least, most) {
        (Some(least), _) if length < least => vec![format!("{length} {of}, at least {least} are needed")],
        (_, Some(most)) if length > most => vec![format!("{length} {of}, at most {most} are allowed")],
        _ => Vec::new(),
    }
}

fn broken_rules(schema: &JSONSchemaProps, value: &Value) -> Vec<String> {
    let rules = schema.x_kubernetes_validations.iter().flatten().filter(|rule| !rule.rule.contains("oldSelf"));
    rules
        .filter_map(|rule| match evaluate(&rule.rule, &[("self", value.clone())]) {
            Ok(true) => None,
            Ok(false) => Some(rule.message.clone().unwrap_or_else(|| format!("breaks the rule {}", rule.rule))),
            Err(why) => Some(format!("the rule {} cannot be evaluated: {why}", rule.rule)),
        })
        .collect()
}

/// Whether a CEL expression is true.
fn evaluate(expression: &str, variables: &[(&str, Value)]) -> Result<bool, String> {
    let program = Program::compile(expression).map_err(|e| e.to_string())?;
    let mut context = Context::default();
    engine::moments::declare(&mut context).map_err(|e| e.to_string())?;
    for (name, value) in variables {
        context.add_variable(*name, value).map_err(|e| e.to_string())?;
    }
    match program.execute(&context) {
        Ok(CelValue::Bool(truth)) => Ok(truth),
        Ok(_) => Err("it gives no truth value".to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

fn join(path: &str, key: &str) -> String {
    format!("{path}.{key}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A resource with the change applied to its JSON, decoded and encoded again, so that defaults stand in it.
    fn resource(change: impl FnOnce(&mut Value)) -> Value {
        let mut object = json!({
            "apiVersion": "usersync.dev/v1alpha1", "kind": "OktaUserSync",
            "metadata": { "name": "acme", "namespace": "default" },
            "spec": {
                "okta": { "orgURL": "https://acme.okta.com", "clientID": "0oa1api2services3app" },
                "scope": { "appID": "0oa9saml8app7teleprt" },
                "teleport": { "address": "teleport.example.com:443" },
            },
        });
        change(&mut object);
        let typed: api::OktaUserSync = serde_json::from_value(object).unwrap();
        serde_json::to_value(typed).unwrap()
    }

    #[test]
    fn a_plain_resource_is_without_fault() {
        assert_eq!(faults(&resource(|_| ())), Vec::<String>::new());
    }

    #[test]
    fn every_rule_of_the_crd_can_be_evaluated_here() {
        fn look(schema: &JSONSchemaProps, seen: &mut usize) {
            for rule in schema.x_kubernetes_validations.iter().flatten() {
                *seen += 1;
                Program::compile(&rule.rule).unwrap();
            }
            for below in schema.properties.iter().flatten().map(|(_, below)| below) {
                look(below, seen);
            }
        }
        let crd = api::crd();
        let mut seen = 0;
        look(crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap(), &mut seen);
        assert!(seen >= 8, "{seen}");
    }

    #[test]
    fn what_the_api_server_refuses_is_refused_here() {
        type Change = fn(&mut Value);
        let table: [(Change, &str); 10] = [
            (|o| o["spec"]["okta"]["orgURL"] = json!("http://acme.okta.com"), "okta.orgURL must be https://"),
            (|o| o["spec"]["okta"]["orgURL"] = json!("https://acme.okta.com/"), "okta.orgURL must be https://"),
            (|o| o["spec"]["okta"]["orgURL"] = json!("https://acme-admin.okta.com"), "Admin Console"),
            (|o| o["spec"]["okta"]["clientID"] = json!("acme"), "okta.clientID must be 0oa"),
            (|o| o["spec"]["scope"]["appID"] = json!("0oashort"), "scope.appID must be 0oa"),
            (|o| o["spec"]["users"] = json!({ "roles": [] }), "spec.users.roles: 0 entries, at least 1"),
            (|o| o["spec"]["interval"] = json!("10s"), "interval must lie between"),
            (|o| o["spec"]["removal"] = json!({ "lockMargin": "1000h" }), "removal.lockMargin must lie between"),
            (|o| o["spec"]["scope"]["source"] = json!("Groups"), "scope.groups must name"),
            (|o| o["spec"]["teleport"]["address"] = json!("teleport.example.com"), "does not match"),
        ];
        for (change, expected) in table {
            let faults = faults(&resource(change));
            assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected:?} not in {faults:?}");
        }
    }

    #[test]
    fn what_has_another_shape_is_named_with_its_path() {
        let object = json!({ "spec": {
            "okta": { "orgUrl": "https://acme.okta.com", "clientID": "0oa1api2services3app" },
            "interval": 10,
            "mode": "Observe",
            "users": { "roles": "okta-requester" },
        } });
        let expected = [
            "spec.interval: 10 is not of type string",
            "spec.mode: \"Observe\" is none of \"Enforce\", \"Preview\"",
            "unknown field spec.okta.orgUrl",
            "spec.okta: orgURL is missing",
            "spec.users.roles: \"okta-requester\" is not of type array",
        ];
        let mut faults = misshapen(&object);
        faults.sort_unstable();
        for fault in expected {
            assert!(faults.iter().any(|f| f == fault), "{fault:?} not in {faults:#?}");
        }
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    }
}
