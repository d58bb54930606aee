//! `/api/v1/users`: people.

use serde_json::{Value, json};

use super::Request;
use super::answer::Answer;
use super::filter::{self, Dialect, Filter, Operator};
use super::page::{CursorForm, Paging, take};
use super::route::{Resource, Route};
use crate::auth::resource::Caller;
use crate::org::NewPerson;
use crate::org::person::{Form, Person, Status};
use crate::org::state::State;
use crate::refusal::Refusal;
use crate::shared::Shared;

/// Answers.
pub(crate) fn answer(shared: &Shared, request: &Request, route: &Route, caller: &Caller) -> Result<Answer, Refusal> {
    let user = route.id(0);
    match (route.resource, request.method.as_str()) {
        (Resource::Users, "GET") => list(shared, request, caller),
        (Resource::Users, "POST") => create(shared, request, caller),
        (Resource::User, "GET") => single(shared, request, user, caller),
        (Resource::User, "POST") => update(shared, request, user, true, caller),
        (Resource::User, "PUT") => update(shared, request, user, false, caller),
        (Resource::User, "DELETE") => {
            let mut state = shared.state_mut();
            let place = state.place(user)?;
            state.delete_person(place, &request.doer(caller))?;
            Ok(Answer::nothing())
        }
        (Resource::UserLifecycle, "POST") => lifecycle(shared, request, user, route.id(1), caller),
        (Resource::UserGroups, "GET") => groups_of(shared, request, user, caller),
        (Resource::UserAppLinks, "GET") => app_links(shared, request, user, caller),
        _ => Err(Refusal::method()),
    }
}

/// Whether the caller's role sees this person.
pub(crate) fn sees_person(state: &State, place: u32, caller: &Caller) -> bool {
    let Some(person) = state.people.at(place) else {
        return false;
    };
    caller.view.people.sees(person.id.as_str(), |groups| {
        state.groups.iter().any(|group| groups.contains(group.id.as_str()) && group.members.contains(place))
    })
}

fn write(state: &State, request: &Request, person: &Person, form: Form, caller: &Caller, out: &mut String) {
    let hidden = &caller.view.hidden_attributes;
    person.write(out, &state.view(&request.base, form, hidden));
}

/// The attributes that `filter` may use, with the operators that it may use on them.
fn filterable(attribute: &str, operator: Operator) -> bool {
    match attribute {
        "lastUpdated" => matches!(operator, Operator::Eq | Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le),
        "status" | "id" | "profile.login" | "profile.email" | "profile.firstName" | "profile.lastName" => {
            operator == Operator::Eq
        }
        _ => false,
    }
}

/// What `search` may use: any attribute; `co` only on the four that are indexed for it.
fn searchable(attribute: &str, operator: Operator) -> bool {
    let known = attribute.starts_with("profile.")
        || matches!(attribute, "id" | "status" | "created" | "activated" | "statusChanged" | "lastUpdated" | "type.id");
    let contains = matches!(attribute, "profile.firstName" | "profile.lastName" | "profile.email" | "profile.login");
    known && (operator != Operator::Co || contains) && operator != Operator::Ew
}

const FILTER: Dialect = Dialect { case_sensitive: true, negation: false, allows: filterable };
const SEARCH: Dialect = Dialect { case_sensitive: false, negation: false, allows: searchable };

/// Which people a list request selects.
enum Selection {
    /// Everybody who is not deactivated.
    Plain,
    /// Names and addresses that start with a text; never more than ten.
    Prefix(String),
    /// A filter, and whether it looks into profiles.
    Filter(Filter, Dialect, bool),
}

impl Selection {
    fn of(request: &Request) -> Result<Self, Refusal> {
        let text = |name: &str| request.parameter(name).filter(|v| !v.is_empty());
        match (text("search"), text("filter"), text("q")) {
            (Some(_), Some(_), _) => {
                Err(Refusal::new(400, "E0000033", "Can't specify a search query and filter in the same request."))
            }
            (Some(search), _, _) => Self::filter(search, SEARCH),
            (_, Some(text), _) => Self::filter(text, FILTER),
            (_, _, Some(q)) => Ok(Self::Prefix(q.to_lowercase())),
            _ => Ok(Self::Plain),
        }
    }

    fn filter(text: &str, dialect: Dialect) -> Result<Self, Refusal> {
        let filter = filter::parse(text, dialect)?;
        let deep = filter.attributes().iter().any(|a| a.starts_with("profile."));
        Ok(Self::Filter(filter, dialect, deep))
    }

    fn takes(&self, state: &State, person: &Person) -> bool {
        match self {
            Self::Plain => person.status != Status::Deprovisioned,
            Self::Prefix(prefix) => {
                let profile = person.profile_map();
                person.status != Status::Deprovisioned
                    && ["firstName", "lastName", "email"].iter().any(|name| {
                        profile
                            .get(*name)
                            .and_then(Value::as_str)
                            .is_some_and(|text| text.to_lowercase().starts_with(prefix))
                    })
            }
            Self::Filter(filter, dialect, deep) => {
                let profile = deep.then(|| person.profile_map());
                filter.fits(*dialect, &|attribute| match attribute.strip_prefix("profile.") {
                    Some(name) => many(profile.as_ref().and_then(|p| p.get(name))),
                    None => own_attribute(state, person, attribute),
                })
            }
        }
    }
}

fn many(value: Option<&Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list.clone(),
        Some(value) => vec![value.clone()],
        None => Vec::new(),
    }
}

fn own_attribute(state: &State, person: &Person, attribute: &str) -> Vec<Value> {
    let stamp = |moment: Option<crate::clock::Stamp>| moment.map(|m| m.to_string());
    let value = match attribute {
        "id" => Some(person.id.to_string()),
        "status" => Some(person.status.as_str().to_owned()),
        "created" => stamp(Some(person.created)),
        "activated" => stamp(person.activated),
        "statusChanged" => stamp(person.status_changed),
        "lastUpdated" => stamp(Some(person.last_updated)),
        "type.id" => Some(state.user_type.to_string()),
        _ => None,
    };
    value.map(Value::from).into_iter().collect()
}

fn list(shared: &Shared, request: &Request, caller: &Caller) -> Result<Answer, Refusal> {
    let state = shared.state();
    let selection = Selection::of(request)?;
    let prefix = matches!(selection, Selection::Prefix(_));
    let longest = if prefix { 10 } else { 200 };
    let paging = Paging { default: longest, max: longest, cursor: CursorForm::Id("00u"), loses_expand: false };
    let sealer = shared.sealer(&state);
    let wanted = paging.read(request, sealer)?;
    let start = wanted.after.map_or(0, |position| position + 1);
    let start = u32::try_from(start).map_err(|_| Refusal::pagination())?;
    let people = state
        .people
        .from(start)
        .filter(|(place, person)| selection.takes(&state, person) && sees_person(&state, *place, caller))
        .map(|(place, person)| (u64::from(place), person));
    let (page, next) = take(people, wanted.limit, state.switches.trailing_empty_page);
    let body = write_list(&state, request, &page, caller);
    // `q` is not pageable.
    let next = next.filter(|_| !prefix);
    Ok(paging.answer(request, sealer, wanted, body, next))
}

/// A list of people as JSON text.
pub(crate) fn write_list(state: &State, request: &Request, page: &[&Person], caller: &Caller) -> String {
    let mut body = String::with_capacity(page.len() * 1280 + 2);
    body.push('[');
    for person in page {
        if body.len() > 1 {
            body.push(',');
        }
        write(state, request, person, Form::Listed, caller, &mut body);
    }
    body.push(']');
    body
}

/// The place of a person whom the caller may see.
fn visible(state: &State, user: &str, caller: &Caller) -> Result<u32, Refusal> {
    let place = state.place(user)?;
    if sees_person(state, place, caller) {
        Ok(place)
    } else if state.switches.hidden_object_status == 404 {
        Err(Refusal::not_found(user, "User"))
    } else {
        Err(Refusal::forbidden())
    }
}

fn single(shared: &Shared, request: &Request, user: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let state = shared.state();
    let place = visible(&state, user, caller)?;
    let person = state.person(place)?;
    let mut body = String::new();
    write(&state, request, person, Form::Full, caller, &mut body);
    let mut answer = Answer::json(body);
    answer.headers.push(("etag", format!("W/\"{:x}\"", person.last_updated.millis())));
    Ok(answer)
}

fn create(shared: &Shared, request: &Request, caller: &Caller) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let profile =
        body.get("profile").ok_or_else(|| Refusal::validation("profile", "profile: The field cannot be left blank"))?;
    let groups = body
        .get("groupIds")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|id| id.as_str().map(str::to_owned))
        .collect();
    let new = NewPerson {
        activate: request.parameter("activate") != Some("false"),
        password: body.pointer("/credentials/password").is_some_and(|p| !p.is_null()),
        groups,
    };
    let id = {
        let mut state = shared.state_mut();
        let place = state.create_person(profile, &new, &request.doer(caller))?;
        state.person(place)?.id
    };
    single(shared, request, id.as_str(), caller)
}

fn update(shared: &Shared, request: &Request, user: &str, partial: bool, caller: &Caller) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let id = {
        let mut state = shared.state_mut();
        let place = state.place(user)?;
        if let Some(profile) = body.get("profile") {
            let patch = crate::org::state::object(profile)?;
            state.update_profile(place, patch, partial, &request.doer(caller))?;
        }
        if body.pointer("/credentials/password/value").is_some() {
            let person = state.person_mut(place)?;
            person.has_password = true;
            person.password_changed = Some(request.now);
        }
        state.person(place)?.id
    };
    single(shared, request, id.as_str(), caller)
}

fn lifecycle(shared: &Shared, request: &Request, user: &str, verb: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let doer = request.doer(caller);
    let mut state = shared.state_mut();
    let place = state.place(user)?;
    let id = state.person(place)?.id;
    let token = |path: &str| format!("{}/{path}/{}", request.base, request.id);
    match verb {
        "activate" => state.activate(place, &doer)?,
        "reactivate" => state.reactivate(place, &doer)?,
        "deactivate" => state.deactivate(place, &doer)?,
        "suspend" => state.suspend(place, &doer)?,
        "unsuspend" => state.unsuspend(place, &doer)?,
        "unlock" => state.unlock(place, &doer)?,
        "reset_password" => state.reset_password(place, &doer)?,
        "expire_password" => state.expire_password(place, &doer)?,
        _ => return Err(Refusal::new(404, "E0000008", "The requested path was not found")),
    }
    drop(state);
    let quiet = request.parameter("sendEmail") == Some("false");
    Ok(match verb {
        "activate" | "reactivate" if quiet => Answer::tree(&json!({
            "activationUrl": token("welcome"), "activationToken": request.id,
        })),
        "reset_password" if quiet => Answer::tree(&json!({ "resetPasswordUrl": token("reset_password") })),
        "expire_password" => return single(shared, request, id.as_str(), caller),
        _ => Answer::tree(&json!({})),
    })
}

/// Pages of 200, as real orgs send them.
fn groups_of(shared: &Shared, request: &Request, user: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let state = shared.state();
    let place = visible(&state, user, caller)?;
    let paging = Paging { default: 200, max: 200, cursor: CursorForm::Id("00g"), loses_expand: false };
    let sealer = shared.sealer(&state);
    let wanted = paging.read(request, sealer)?;
    let groups = (0_u64..)
        .zip(&state.groups)
        .filter(|(position, _)| wanted.after.is_none_or(|after| *position > after))
        .filter(|(_, group)| group.members.contains(place))
        .filter(|(_, group)| caller.view.groups.sees(group.id.as_str(), |_| false));
    let (page, next) = take(groups, wanted.limit, state.switches.trailing_empty_page);
    let list: Vec<Value> = page.iter().map(|group| group.tree(&request.base)).collect();
    Ok(paging.answer(request, sealer, wanted, Value::Array(list).to_string(), next))
}

fn app_links(shared: &Shared, request: &Request, user: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let state = shared.state();
    let place = visible(&state, user, caller)?;
    let links: Vec<Value> = state
        .apps
        .iter()
        .filter(|app| app.users.contains_key(&place))
        .map(|app| {
            json!({
                "id": crate::id::app_user_id(&app.id, &app.id).as_str(),
                "label": app.label(),
                "linkUrl": format!("{}/home/{}/{}", request.base, app.text("name"), app.id),
                "logoUrl": format!("{}/assets/img/logos/default.png", request.base),
                "appName": app.text("name"),
                "appInstanceId": app.id.as_str(),
                "appAssignmentId": crate::id::app_user_id(&app.id, &app.id).as_str(),
                "credentialsSetup": false, "hidden": false, "sortOrder": 0,
            })
        })
        .collect();
    Ok(Answer::tree(&Value::Array(links)))
}
