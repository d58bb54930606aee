//! `/api/v1/apps`: apps and the groups assigned to them.

use serde_json::{Map, Value, json};

use super::Request;
use super::answer::Answer;
use super::app_users::visible_app;
use super::filter::{self, Dialect, Operator};
use super::page::{CursorForm, Paging, take};
use super::route::{Resource, Route};
use crate::auth::resource::Caller;
use crate::org::apps::{App, AppGroup, saml_body, service_body};
use crate::org::state::{State, object};
use crate::org::syslog::{Doer, Target};
use crate::refusal::Refusal;
use crate::shared::Shared;

/// Answers.
pub(crate) fn answer(shared: &Shared, request: &Request, route: &Route, caller: &Caller) -> Result<Answer, Refusal> {
    let app = route.id(0);
    match (route.resource, request.method.as_str()) {
        (Resource::Apps, "GET") => list(shared, request, caller),
        (Resource::Apps, "POST") => create(shared, request, caller),
        (Resource::App, "GET") => {
            let state = shared.state();
            Ok(Answer::tree(&state.app_tree(visible_app(&state, app, caller)?, &request.base)))
        }
        (Resource::App, "PUT") => replace(shared, request, app, caller),
        (Resource::App, "DELETE") => delete(shared, request, app, caller),
        (Resource::AppLifecycle, "POST") => lifecycle(shared, request, app, route.id(1), caller),
        (Resource::AppGroups, "GET") => groups(shared, request, app, caller),
        (Resource::AppGroup, method) => group(shared, request, method, app, route.id(1), caller),
        _ => Err(Refusal::method()),
    }
}

const FILTER: Dialect = Dialect {
    case_sensitive: true,
    negation: false,
    allows: |attribute, operator| {
        operator == Operator::Eq
            && matches!(
                attribute,
                "id" | "status" | "name" | "credentials.signing.kid" | "settings.slo.enabled" | "user.id" | "group.id"
            )
    },
};

fn list(shared: &Shared, request: &Request, caller: &Caller) -> Result<Answer, Refusal> {
    let state = shared.state();
    let paging = Paging { default: 20, max: 200, cursor: CursorForm::Id("0oa"), loses_expand: false };
    let sealer = shared.sealer(&state);
    let wanted = paging.read(request, sealer)?;
    let prefix = request.parameter("q").unwrap_or("").to_lowercase();
    let chosen = match request.parameter("filter").filter(|f| !f.is_empty()) {
        Some(text) => Some(filter::parse(text, FILTER)?),
        None => None,
    };
    let fits = |app: &App| {
        (prefix.is_empty() || [app.label(), app.text("name")].iter().any(|t| t.to_lowercase().starts_with(&prefix)))
            && chosen.as_ref().is_none_or(|filter| filter.fits(FILTER, &|attribute| attributes(&state, app, attribute)))
    };
    let apps = (0_u64..)
        .zip(&state.apps)
        .filter(|(position, _)| wanted.after.is_none_or(|after| *position > after))
        .filter(|(_, app)| caller.view.apps.sees(app.id.as_str(), |_| false) && fits(app));
    let (page, next) = take(apps, wanted.limit, state.switches.trailing_empty_page);
    let list: Vec<Value> = page.iter().map(|app| state.app_tree(app, &request.base)).collect();
    Ok(paging.answer(request, sealer, wanted, Value::Array(list).to_string(), next))
}

fn attributes(state: &State, app: &App, attribute: &str) -> Vec<Value> {
    match attribute {
        "id" => vec![app.id.as_str().into()],
        "user.id" => app
            .users
            .keys()
            .filter_map(|place| state.people.at(*place))
            .map(|person| person.id.as_str().into())
            .collect(),
        "group.id" => app.groups.iter().map(|g| g.group.as_str().into()).collect(),
        path => {
            let mut value = app.body.get(path.split('.').next().unwrap_or(path));
            for part in path.split('.').skip(1) {
                value = value.and_then(|v| v.get(part));
            }
            value.cloned().into_iter().collect()
        }
    }
}

/// Makes a SAML app or an API Services app; what the body does not say is as in a fresh app of that kind.
fn create(shared: &Shared, request: &Request, caller: &Caller) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let body = object(&body)?;
    let label = body
        .get("label")
        .and_then(Value::as_str)
        .filter(|label| !label.is_empty())
        .ok_or_else(|| Refusal::validation("label", "label: The field cannot be left blank"))?;
    let mut state = shared.state_mut();
    let id = state.mint.make("0oa");
    let kid = state.mint.letters(43);
    let mut fresh = match body.get("signOnMode").and_then(Value::as_str) {
        Some("SAML_2_0") => saml_body(label, &name_for(label, state.apps.len()), request.now, &kid, &state.org_id),
        Some("OPENID_CONNECT") => service_body(label, &id, request.now, false),
        _ => {
            return Err(Refusal::validation(
                "signOnMode",
                "signOnMode: SAML_2_0 and OPENID_CONNECT are what this org makes",
            ));
        }
    };
    merge(&mut fresh, body);
    if request.parameter("activate") == Some("false") {
        fresh.insert("status".to_owned(), "INACTIVE".into());
    }
    state.apps.push(App {
        id,
        body: fresh,
        users: std::collections::BTreeMap::new(),
        groups: Vec::new(),
        verbatim: false,
    });
    record(&mut state, id.as_str(), "application.lifecycle.create", &request.doer(caller))?;
    Ok(Answer::tree(&state.app_tree(state.app(id.as_str())?, &request.base)))
}

/// The generated key of an app, such as `acme_teleport_3`.
fn name_for(label: &str, number: usize) -> String {
    let plain: String = label.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    format!("acme_{plain}_{number}")
}

/// Lays a body over another, object by object; read-only keys stay.
fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (name, value) in from {
        if matches!(name.as_str(), "id" | "created" | "lastUpdated" | "status" | "_links" | "_embedded" | "orn") {
            continue;
        }
        match (into.get_mut(name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (_, value) => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

fn replace(shared: &Shared, request: &Request, id: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let body = object(&body)?;
    let doer = request.doer(caller);
    let mut state = shared.state_mut();
    let app = state.app_mut(id)?;
    let template = app.user_name_template().to_owned();
    merge(&mut app.body, body);
    app.body.insert("lastUpdated".to_owned(), doer.now.to_string().into());
    let renamed = template != app.user_name_template();
    let places: Vec<u32> = if renamed { app.users.keys().copied().collect() } else { Vec::new() };
    record(&mut state, id, "application.lifecycle.update", &doer)?;
    for place in places {
        let profile = state.person(place)?.profile_map();
        state.follow_templates(place, &profile, &doer.as_job());
    }
    Ok(Answer::tree(&state.app_tree(state.app(id)?, &request.base)))
}

fn delete(shared: &Shared, request: &Request, id: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let mut state = shared.state_mut();
    if state.app(id)?.is_active() {
        return Err(Refusal::new(
            403,
            "E0000056",
            "Delete application forbidden. The application must be deactivated before deletion.",
        ));
    }
    record(&mut state, id, "application.lifecycle.delete", &request.doer(caller))?;
    state.apps.retain(|app| app.id.as_str() != id);
    drop(state);
    shared.auth().clients.retain(|client| client.id != id);
    Ok(Answer::nothing())
}

fn lifecycle(shared: &Shared, request: &Request, id: &str, verb: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let (status, event) = match verb {
        "activate" => ("ACTIVE", "application.lifecycle.activate"),
        "deactivate" => ("INACTIVE", "application.lifecycle.deactivate"),
        _ => return Err(Refusal::new(404, "E0000008", "The requested path was not found")),
    };
    let mut state = shared.state_mut();
    let app = state.app_mut(id)?;
    app.body.insert("status".to_owned(), status.into());
    app.body.insert("lastUpdated".to_owned(), request.now.to_string().into());
    record(&mut state, id, event, &request.doer(caller))?;
    drop(state);
    if let Some(client) = shared.auth().client_mut(id) {
        client.active = status == "ACTIVE";
    }
    Ok(Answer::tree(&json!({})))
}

fn record(state: &mut State, id: &str, event: &'static str, doer: &Doer) -> Result<(), Refusal> {
    let app = state.app(id)?;
    let target = Target {
        kind: "AppInstance",
        id: id.to_owned(),
        alternate: app.label().to_owned(),
        display: app.label().to_owned(),
    };
    state.record(doer, event, vec![target]);
    Ok(())
}

fn groups(shared: &Shared, request: &Request, id: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let state = shared.state();
    let app = visible_app(&state, id, caller)?;
    let paging = Paging { default: 20, max: 200, cursor: CursorForm::Id("00g"), loses_expand: false };
    let sealer = shared.sealer(&state);
    let wanted = paging.read(request, sealer)?;
    let entries = (0_u64..)
        .zip(&app.groups)
        .filter(|(position, _)| wanted.after.is_none_or(|after| *position > after))
        .filter(|(_, entry)| caller.view.groups.sees(entry.group.as_str(), |_| false));
    let (page, next) = take(entries, wanted.limit, state.switches.trailing_empty_page);
    let expand = request.has_word("expand", "group");
    let list: Vec<Value> = page.iter().map(|entry| group_tree(&state, request, app, entry, expand)).collect();
    Ok(paging.answer(request, sealer, wanted, Value::Array(list).to_string(), next))
}

fn group_tree(state: &State, request: &Request, app: &App, entry: &AppGroup, expand: bool) -> Value {
    let base = format!("{}/api/v1", request.base);
    let mut tree = json!({
        "id": entry.group.as_str(),
        "lastUpdated": entry.last_updated.to_string(),
        "priority": entry.priority,
        "profile": entry.profile,
        "_links": {
            "app": { "href": format!("{base}/apps/{}", app.id) },
            "self": { "href": format!("{base}/apps/{}/groups/{}", app.id, entry.group) },
            "group": { "href": format!("{base}/groups/{}", entry.group) },
        },
    });
    if expand && let Ok(group) = state.group(entry.group.as_str()) {
        tree["_embedded"] = json!({ "group": group.tree(&request.base) });
    }
    tree
}

fn group(
    shared: &Shared,
    request: &Request,
    method: &str,
    id: &str,
    group: &str,
    caller: &Caller,
) -> Result<Answer, Refusal> {
    match method {
        "PUT" => {
            let body = request.json_or_empty()?;
            shared.state_mut().assign_group(id, group, &body, &request.doer(caller))?;
        }
        "DELETE" => {
            shared.state_mut().unassign_group(id, group, &request.doer(caller))?;
            return Ok(Answer::nothing());
        }
        "GET" => {}
        _ => return Err(Refusal::method()),
    }
    let state = shared.state();
    let app = visible_app(&state, id, caller)?;
    let entry = app
        .groups
        .iter()
        .find(|entry| entry.group.as_str() == group)
        .ok_or_else(|| Refusal::not_found(group, "AppGroup"))?;
    Ok(Answer::tree(&group_tree(&state, request, app, entry, request.has_word("expand", "group"))))
}
