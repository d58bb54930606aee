//! `/api/v1/apps/{appId}/users`: who is assigned to an app.

use super::Request;
use super::answer::Answer;
use super::page::{CursorForm, Paging, take};
use super::route::{Resource, Route};
use super::users::sees_person;
use crate::auth::resource::Caller;
use crate::org::apps::{App, Assignment};
use crate::org::person::Form;
use crate::org::state::State;
use crate::refusal::Refusal;
use crate::shared::Shared;

/// Answers.
pub(crate) fn answer(shared: &Shared, request: &Request, route: &Route, caller: &Caller) -> Result<Answer, Refusal> {
    let app = route.id(0);
    match (route.resource, request.method.as_str()) {
        (Resource::AppUsers, "GET") => list(shared, request, app, caller),
        (Resource::AppUsers, "POST") => assign(shared, request, app, caller),
        (Resource::AppUser, "GET") => single(shared, request, app, route.id(1), caller),
        (Resource::AppUser, "POST" | "PUT") => update(shared, request, app, route.id(1), caller),
        (Resource::AppUser, "DELETE") => remove(shared, request, app, route.id(1), caller),
        _ => Err(Refusal::method()),
    }
}

/// The app, if the caller may see it.
pub(crate) fn visible_app<'a>(state: &'a State, id: &str, caller: &Caller) -> Result<&'a App, Refusal> {
    let app = state.app(id)?;
    if caller.view.apps.sees(id, |_| false) {
        Ok(app)
    } else if state.switches.hidden_object_status == 404 {
        Err(Refusal::not_found(id, "AppInstance"))
    } else {
        Err(Refusal::forbidden())
    }
}

fn list(shared: &Shared, request: &Request, id: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let state = shared.state();
    let app = visible_app(&state, id, caller)?;
    let paging = Paging {
        default: 50,
        max: 500,
        cursor: CursorForm::Number,
        loses_expand: !state.switches.next_link_keeps_expand,
    };
    let sealer = shared.sealer(&state);
    let wanted = paging.read(request, sealer)?;
    let start = wanted.after.map_or(0, |position| position + 1);
    let start = u32::try_from(start).map_err(|_| Refusal::pagination())?;
    let prefix = request.parameter("q").unwrap_or("").to_lowercase();
    let filtered = state.switches.role_filters_app_users;
    let entries = app
        .users
        .range(start..)
        .filter(|(place, _)| !filtered || sees_person(&state, **place, caller))
        .filter(|(place, entry)| prefix.is_empty() || starts_with(&state, **place, entry, &prefix))
        .map(|(place, entry)| (u64::from(*place), (*place, entry)));
    let (page, next) = take(entries, wanted.limit, state.switches.trailing_empty_page);
    let expand = request.has_word("expand", "user");
    let mut body = String::with_capacity(page.len() * if expand { 3072 } else { 640 } + 2);
    body.push('[');
    for (place, entry) in page {
        if body.len() > 1 {
            body.push(',');
        }
        write_entry(&state, request, app, place, entry, expand, caller, &mut body);
    }
    body.push(']');
    Ok(paging.answer(request, sealer, wanted, body, next))
}

/// Whether a word that `q` looks at starts with the (lower-case) prefix.
fn starts_with(state: &State, place: u32, entry: &Assignment, prefix: &str) -> bool {
    let fits = |text: &str| text.to_lowercase().starts_with(prefix);
    entry.user_name.as_deref().is_some_and(fits)
        || state.people.at(place).is_some_and(|person| {
            let profile = person.profile_map();
            ["firstName", "lastName", "email"]
                .iter()
                .any(|name| profile.get(*name).and_then(serde_json::Value::as_str).is_some_and(fits))
        })
}

#[allow(clippy::too_many_arguments)] // the one place where an assignment meets everything that shapes it
fn write_entry(
    state: &State,
    request: &Request,
    app: &App,
    place: u32,
    entry: &Assignment,
    expand: bool,
    caller: &Caller,
    out: &mut String,
) {
    let Some(person) = state.people.at(place) else {
        return;
    };
    let embedded = (expand && sees_person(state, place, caller)).then(|| {
        let mut user = String::with_capacity(2304);
        person.write(&mut user, &state.view(&request.base, Form::Full, &caller.view.hidden_attributes));
        user
    });
    entry.write(out, &request.base, &app.id, &person.id, embedded.as_deref());
}

fn single(shared: &Shared, request: &Request, id: &str, user: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let state = shared.state();
    let app = visible_app(&state, id, caller)?;
    let place = state.people.by_id(user).ok_or_else(|| Refusal::not_found(user, "User"))?;
    let entry = app.users.get(&place).ok_or_else(|| Refusal::not_found(user, "AppUser"))?;
    if state.switches.role_filters_app_users && !sees_person(&state, place, caller) {
        return Err(Refusal::forbidden());
    }
    let mut body = String::new();
    let expand = request.has_word("expand", "user");
    write_entry(&state, request, app, place, entry, expand, caller, &mut body);
    Ok(Answer::json(body))
}

fn assign(shared: &Shared, request: &Request, id: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let user = body
        .get("id")
        .and_then(serde_json::Value::as_str)
        .ok_or_else(|| Refusal::validation("id", "id: The field cannot be left blank"))?
        .to_owned();
    {
        let mut state = shared.state_mut();
        let place = state.place(&user)?;
        state.assign(id, place, &body, &request.doer(caller))?;
    }
    single(shared, request, id, &user, caller)
}

fn update(shared: &Shared, request: &Request, id: &str, user: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let body = request.json()?;
    {
        let mut state = shared.state_mut();
        let place = state.place(user)?;
        state.update_assignment(id, place, &body, &request.doer(caller))?;
    }
    single(shared, request, id, user, caller)
}

fn remove(shared: &Shared, request: &Request, id: &str, user: &str, caller: &Caller) -> Result<Answer, Refusal> {
    let mut state = shared.state_mut();
    let place = state.place(user)?;
    state.unassign(id, place, &request.doer(caller))?;
    Ok(Answer::nothing())
}
