//! Schemas: what attributes people and app users can have.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Request;
use super::answer::Answer;
use super::route::{Resource, Route};
use crate::auth::resource::Caller;
use crate::refusal::Refusal;
use crate::shared::Shared;

/// The attributes that every org has.
const BASE: [&str; 31] = [
    "login",
    "email",
    "secondEmail",
    "firstName",
    "lastName",
    "middleName",
    "honorificPrefix",
    "honorificSuffix",
    "title",
    "displayName",
    "nickName",
    "profileUrl",
    "primaryPhone",
    "mobilePhone",
    "streetAddress",
    "city",
    "state",
    "zipCode",
    "countryCode",
    "postalAddress",
    "preferredLanguage",
    "locale",
    "timezone",
    "userType",
    "employeeNumber",
    "costCenter",
    "organization",
    "division",
    "department",
    "managerId",
    "manager",
];

/// Answers. Schemas need more than a read-only role: somebody who may manage apps.
pub(crate) fn answer(shared: &Shared, request: &Request, route: &Route, caller: &Caller) -> Result<Answer, Refusal> {
    if request.method != "GET" {
        return Err(Refusal::method());
    }
    let state = shared.state();
    match route.resource {
        Resource::UserType => Ok(Answer::tree(&json!({
            "id": state.user_type.as_str(), "name": "user", "displayName": "User", "default": true,
            "description": "Okta user profile template with default permission settings",
            "created": "2024-01-01T00:00:00.000Z", "lastUpdated": "2024-01-01T00:00:00.000Z",
            "createdBy": "sprz0000000000000000", "lastUpdatedBy": "sprz0000000000000000",
        }))),
        Resource::AppSchema => {
            let app = super::app_users::visible_app(&state, route.id(0), caller)?;
            let custom = app.users.values().take(500).map(crate::org::apps::Assignment::profile_map);
            let base = json!({ "userName": {
                "title": "Username", "type": "string", "required": true, "scope": "NONE", "maxLength": 100,
            } });
            let id = format!("{}/api/v1/meta/schemas/apps/{}/default", request.base, app.id);
            Ok(Answer::tree(&schema(&id, app.text("name"), &base, &attributes(custom, &[]))))
        }
        _ => {
            if !caller.may_write {
                return Err(Refusal::forbidden());
            }
            let custom = state.people.from(0).take(500).map(|(_, person)| person.profile_map());
            let base: Map<String, Value> = BASE.iter().map(|name| ((*name).to_owned(), property("string"))).collect();
            let id = format!("{}/api/v1/meta/schemas/user/default", request.base);
            Ok(Answer::tree(&schema(&id, "user", &Value::Object(base), &attributes(custom, &BASE))))
        }
    }
}

/// The attributes that occur in some profiles, with the type of the first value seen.
fn attributes(profiles: impl Iterator<Item = Map<String, Value>>, known: &[&str]) -> BTreeMap<String, &'static str> {
    let mut found = BTreeMap::new();
    for (name, value) in profiles.flatten() {
        let kind = match value {
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Null | Value::Object(_) => continue,
        };
        if !known.contains(&name.as_str()) {
            found.entry(name).or_insert(kind);
        }
    }
    found
}

fn property(kind: &str) -> Value {
    let mut property = json!({
        "title": "", "type": kind, "mutability": "READ_WRITE", "scope": "NONE",
        "permissions": [{ "principal": "SELF", "action": "READ_ONLY" }],
        "master": { "type": "PROFILE_MASTER" },
    });
    if kind == "array" {
        property["items"] = json!({ "type": "string" });
    }
    property
}

fn schema(id: &str, name: &str, base: &Value, custom: &BTreeMap<String, &'static str>) -> Value {
    let custom: Map<String, Value> = custom.iter().map(|(name, kind)| (name.clone(), property(kind))).collect();
    json!({
        "id": id,
        "$schema": "http://json-schema.org/draft-04/schema#",
        "name": name, "title": "User", "description": "Okta user profile template with default permission settings",
        "created": "2024-01-01T00:00:00.000Z", "lastUpdated": "2024-01-01T00:00:00.000Z",
        "definitions": {
            "base": { "id": "#base", "type": "object", "properties": base, "required": ["login", "email"] },
            "custom": { "id": "#custom", "type": "object", "properties": custom, "required": [] },
        },
        "type": "object",
        "properties": { "profile": { "allOf": [{ "$ref": "#/definitions/custom" }, { "$ref": "#/definitions/base" }] } },
    })
}
