//! Bodies from outside, taken in as they stand: what was recorded from a real org is served back value for value,
//! unknown keys and nulls included.

use serde_json::{Map, Value};

use super::apps::{App, Assignment};
use super::person::{Person, Status};
use super::state::{State, object};
use crate::clock::Stamp;
use crate::id::OktaId;
use crate::refusal::Refusal;

fn id_of(body: &Map<String, Value>) -> Result<OktaId, Refusal> {
    body.get("id")
        .and_then(Value::as_str)
        .and_then(OktaId::new)
        .ok_or_else(|| Refusal::validation("id", "id: an id of 1 to 23 ASCII characters is needed"))
}

fn moment(body: &Map<String, Value>, name: &str) -> Option<Stamp> {
    Stamp::parse(body.get(name)?.as_str()?)
}

impl State {
    /// Takes in a User object. A person with this id is replaced; assignments and memberships stay.
    pub fn load_user(&mut self, body: &Value, now: Stamp) -> Result<u32, Refusal> {
        let body = object(body)?;
        let id = id_of(body)?;
        let profile = body.get("profile").and_then(Value::as_object).cloned().unwrap_or_default();
        let created = moment(body, "created").unwrap_or(now);
        let transitioning = body.get("transitioningToStatus").and_then(Value::as_str);
        let person = Person {
            id,
            status: Status::parse(body.get("status").and_then(Value::as_str).unwrap_or("ACTIVE")),
            transitioning: transitioning.map(Status::parse),
            created,
            activated: moment(body, "activated"),
            status_changed: moment(body, "statusChanged"),
            last_login: moment(body, "lastLogin"),
            last_updated: moment(body, "lastUpdated").unwrap_or(created),
            password_changed: moment(body, "passwordChanged"),
            has_password: body.get("credentials").is_some_and(|c| c.get("password").is_some()),
            profile: Value::Object(profile).to_string().into(),
            verbatim: Some(Box::new(body.clone())),
        };
        Ok(self.people.load(person))
    }

    /// Takes in an `AppUser` object for a person who is known already. An assignment that exists is replaced.
    pub fn load_app_user(&mut self, app: &str, body: &Value, now: Stamp) -> Result<(), Refusal> {
        let body = object(body)?;
        let id = id_of(body)?;
        let place = self.place(id.as_str())?;
        let app = self.app_mut(app)?;
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let mut entry = Assignment::new("", moment(body, "created").unwrap_or(now));
        entry.direct = text("scope") != Some("GROUP");
        entry.group = body
            .get("_links")
            .and_then(|links| links.pointer("/group/href"))
            .and_then(Value::as_str)
            .and_then(|href| OktaId::new(href.rsplit('/').next()?));
        entry.status = text("status").filter(|s| *s != "ACTIVE").map(Into::into);
        entry.last_updated = moment(body, "lastUpdated").unwrap_or(entry.created);
        entry.status_changed = moment(body, "statusChanged");
        entry.password_changed = moment(body, "passwordChanged");
        entry.user_name =
            body.get("credentials").and_then(|c| c.get("userName")).and_then(Value::as_str).map(Into::into);
        entry.named_by_hand = true;
        entry.external_id = text("externalId").map(Into::into);
        entry.profile = body.get("profile").map_or_else(|| "{}".into(), |profile| profile.to_string().into());
        let mut kept = body.clone();
        kept.remove("_embedded");
        entry.verbatim = Some(Box::new(kept));
        app.users.insert(place, entry);
        Ok(())
    }

    /// Takes in an Application object. An app with this id keeps its assignments.
    pub fn load_app(&mut self, body: &Value) -> Result<OktaId, Refusal> {
        let body = object(body)?;
        let id = id_of(body)?;
        match self.apps.iter_mut().find(|app| app.id == id) {
            Some(app) => {
                app.body.clone_from(body);
                app.verbatim = true;
            }
            None => self.apps.push(App {
                id,
                body: body.clone(),
                users: std::collections::BTreeMap::new(),
                groups: Vec::new(),
                verbatim: true,
            }),
        }
        Ok(id)
    }
}
