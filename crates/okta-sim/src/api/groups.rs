//! `/api/v1/groups`: groups and their members.

use serde_json::{Value, json};

use super::Request;
use super::answer::Answer;
use super::filter::{self, Dialect, Operator};
use super::page::{CursorForm, Paging, take};
use super::route::{Resource, Route};
use super::users::{sees_person, write_list};
use crate::auth::resource::Caller;
use crate::org::groups::{Group, Members};
use crate::org::person::Person;
use crate::org::state::State;
use crate::refusal::Refusal;
use crate::shared::Shared;

/// Answers.
pub(crate) fn answer(shared: &Shared, request: &Request, route: &Route, caller: &Caller) -> Result<Answer, Refusal> {
    let group = route.id(0);
    match (route.resource, request.method.as_str()) {
        (Resource::Groups, "GET") => list(shared, request, caller),
        (Resource::Groups, "POST") => {
            let body = request.json()?;
            let mut state = shared.state_mut();
            let id = state.create_group(body.get("profile").unwrap_or(&Value::Null), &request.doer(caller))?;
            Ok(Answer::tree(&state.group(id.as_str())?.tree(&request.base)))
        }
        (Resource::Group, "GET") => {
            let state = shared.state();
            Ok(Answer::tree(&visible(&state, group, caller)?.tree(&request.base)))
        }
        (Resource::Group, "PUT") => {
            let body = request.json()?;
            let mut state = shared.state_mut();
            state.update_group(group, body.get("profile").unwrap_or(&Value::Null), &request.doer(caller))?;
            Ok(Answer::tree(&state.group(group)?.tree(&request.base)))
        }
        (Resource::Group, "DELETE") => {
            shared.state_mut().delete_group(group, &request.doer(caller))?;
            Ok(Answer::nothing())
        }
        (Resource::GroupUsers, "GET") => members(shared, request, group, caller),
        (Resource::GroupUser, "PUT" | "DELETE") => {
            let mut state = shared.state_mut();
            let place = state.place(route.id(1))?;
            let doer = request.doer(caller);
            if request.method == "PUT" {
                state.join(group, place, &doer)?;
            } else {
                state.leave(group, place, &doer)?;
            }
            Ok(Answer::nothing())
        }
        (Resource::GroupApps, "GET") => apps(shared, request, group, caller),
        _ => Err(Refusal::method()),
    }
}

fn visible<'a>(state: &'a State, id: &str, caller: &Caller) -> Result<&'a Group, Refusal> {
    let group = state.group(id)?;
    if caller.view.groups.sees(id, |_| false) {
        Ok(group)
    } else if state.switches.hidden_object_status == 404 {
        Err(Refusal::not_found(id, "UserGroup"))
    } else {
        Err(Refusal::forbidden())
    }
}

const DIALECT: Dialect = Dialect {
    case_sensitive: false,
    negation: false,
    allows: |attribute, operator| {
        matches!(attribute, "id" | "type" | "source.id" | "created" | "lastUpdated" | "lastMembershipUpdated")
            || (attribute.starts_with("profile.") && operator != Operator::Ew)
    },
};

fn attributes(group: &Group, attribute: &str) -> Vec<Value> {
    let value: Option<Value> = match attribute {
        "id" => Some(group.id.as_str().into()),
        "type" => Some(group.kind.into()),
        "created" => Some(group.created.to_string().into()),
        "lastUpdated" => Some(group.last_updated.to_string().into()),
        "lastMembershipUpdated" => Some(group.last_membership_updated.to_string().into()),
        other => other.strip_prefix("profile.").and_then(|name| group.profile.get(name)).cloned(),
    };
    value.into_iter().collect()
}

fn list(shared: &Shared, request: &Request, caller: &Caller) -> Result<Answer, Refusal> {
    let state = shared.state();
    let text = |name: &str| request.parameter(name).filter(|v| !v.is_empty());
    let chosen = match text("search").or(text("filter")) {
        Some(text) => Some(filter::parse(text, DIALECT)?),
        None => None,
    };
    let prefix = text("q").map(str::to_lowercase);
    let longest = if prefix.is_some() { 300 } else { 10_000 };
    let paging = Paging { default: longest, max: longest, cursor: CursorForm::Id("00g"), loses_expand: false };
    let sealer = shared.sealer(&state);
    let wanted = paging.read(request, sealer)?;
    let groups = (0_u64..)
        .zip(&state.groups)
        .filter(|(position, _)| wanted.after.is_none_or(|after| *position > after))
        .filter(|(_, group)| caller.view.groups.sees(group.id.as_str(), |_| false))
        .filter(|(_, group)| {
            chosen.as_ref().is_none_or(|f| f.fits(DIALECT, &|attribute| attributes(group, attribute)))
                && prefix.as_ref().is_none_or(|p| group.name().to_lowercase().starts_with(p))
        });
    let (page, next) = take(groups, wanted.limit, state.switches.trailing_empty_page);
    let counted = request.has_word("expand", "stats");
    let list: Vec<Value> = page.iter().map(|group| tree(&state, request, group, counted)).collect();
    let next = next.filter(|_| prefix.is_none());
    Ok(paging.answer(request, sealer, wanted, Value::Array(list).to_string(), next))
}

fn tree(state: &State, request: &Request, group: &Group, counted: bool) -> Value {
    let mut tree = group.tree(&request.base);
    if counted {
        let members = match &group.members {
            Members::Everyone => state.people.len(),
            Members::Chosen(set) => set.len(),
        };
        let apps = state.apps.iter().filter(|app| app.groups.iter().any(|g| g.group == group.id)).count();
        tree["_embedded"] = json!({ "stats": {
            "usersCount": members, "appsCount": apps, "groupPushMappingsCount": 0, "hasAdminPrivlege": false,
        } });
    }
    tree
}

/// Deactivated and suspended people are in the list: membership survives both.
fn members(shared: &Shared, request: &Request, id: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let state = shared.state();
    let group = visible(&state, id, caller)?;
    let paging = Paging { default: 1000, max: 1000, cursor: CursorForm::Id("00u"), loses_expand: false };
    let sealer = shared.sealer(&state);
    let wanted = paging.read(request, sealer)?;
    let start = wanted.after.map_or(0, |position| position + 1);
    let start = u32::try_from(start).map_err(|_| Refusal::pagination())?;
    let places: Box<dyn Iterator<Item = (u32, &Person)>> = match &group.members {
        Members::Everyone => Box::new(state.people.from(start)),
        Members::Chosen(set) => {
            Box::new(set.range(start..).filter_map(|place| Some((*place, state.people.at(*place)?))))
        }
    };
    let people = places
        .filter(|(place, _)| sees_person(&state, *place, caller))
        .map(|(place, person)| (u64::from(place), person));
    let (page, next) = take(people, wanted.limit, state.switches.trailing_empty_page);
    let body = write_list(&state, request, &page, caller);
    Ok(paging.answer(request, sealer, wanted, body, next))
}

fn apps(shared: &Shared, request: &Request, id: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let state = shared.state();
    visible(&state, id, caller)?;
    let list: Vec<Value> = state
        .apps
        .iter()
        .filter(|app| app.groups.iter().any(|g| g.group.as_str() == id))
        .filter(|app| caller.view.apps.sees(app.id.as_str(), |_| false))
        .map(|app| state.app_tree(app, &request.base))
        .collect();
    Ok(Answer::tree(&Value::Array(list)))
}
