//! The handle by which a test drives an org in process: the management API's changes as plain methods, and what the
//! real thing has no call for.

use std::sync::Arc;

use serde_json::{Value, json};

use super::lifecycle::NewPerson;
use super::person::{Form, Status};
use super::state::{State, object};
use super::switches::Switches;
use super::syslog::{Actor, Doer};
use crate::clock::Clock;
use crate::error::OktaSimError;
use crate::faults::{Fault, PostedFault};
use crate::rate::RatePlan;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::tally::{Counters, Write};
use crate::tls::Authority;

/// A running org, seen from inside. Clones are the same org. Changes made here count as made by an admin: they emit
/// System Log events, but do not appear in the counters or the write log.
///
/// Where a method takes a `user`, that is an id, a login, or the unique part of a login before the `@`.
#[derive(Debug, Clone)]
pub struct Org {
    shared: Arc<Shared>,
    authority: Arc<Authority>,
    client: String,
}

impl Org {
    pub(crate) fn new(shared: Arc<Shared>, authority: Arc<Authority>, client: String) -> Self {
        Self { shared, authority, client }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The client id of the API Services app.
    pub(crate) fn own_client(&self) -> &str {
        &self.client
    }

    fn doer(&self) -> Doer {
        Doer {
            now: self.shared.clock.now(),
            actor: Actor {
                id: "00uSuperAdmin00005d7".to_owned(),
                kind: "User",
                alternate: "admin@example.com".to_owned(),
                display: "Super Admin".to_owned(),
            },
            user_agent: "okta-sim".to_owned(),
            request_id: self.shared.request_id(),
            job: false,
        }
    }

    /// Runs a change on a person.
    fn on_person(
        &self,
        user: &str,
        change: impl FnOnce(&mut State, u32, &Doer) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let doer = self.doer();
        self.shared.catch_up(doer.now);
        let mut state = self.shared.state_mut();
        let place = state.place(user)?;
        change(&mut state, place, &doer)
    }

    /// Makes a person (`POST /api/v1/users`) and answers the id.
    pub fn create_user(&self, profile: &Value, new: &NewPerson) -> Result<String, Refusal> {
        let doer = self.doer();
        let mut state = self.shared.state_mut();
        let place = state.create_person(profile, new, &doer)?;
        Ok(state.person(place)?.id.to_string())
    }

    /// Changes some attributes of a profile (`POST /api/v1/users/{id}`); null removes one.
    pub fn update_profile(&self, user: &str, patch: &Value) -> Result<(), Refusal> {
        let patch = object(patch)?;
        self.on_person(user, |state, place, doer| state.update_profile(place, patch, true, doer))
    }

    /// `lifecycle/activate`.
    pub fn activate(&self, user: &str) -> Result<(), Refusal> {
        self.on_person(user, State::activate)
    }

    /// `lifecycle/deactivate`.
    pub fn deactivate(&self, user: &str) -> Result<(), Refusal> {
        self.on_person(user, State::deactivate)
    }

    /// `lifecycle/reactivate`.
    pub fn reactivate(&self, user: &str) -> Result<(), Refusal> {
        self.on_person(user, State::reactivate)
    }

    /// `lifecycle/suspend`.
    pub fn suspend(&self, user: &str) -> Result<(), Refusal> {
        self.on_person(user, State::suspend)
    }

    /// `lifecycle/unsuspend`.
    pub fn unsuspend(&self, user: &str) -> Result<(), Refusal> {
        self.on_person(user, State::unsuspend)
    }

    /// `lifecycle/unlock`.
    pub fn unlock(&self, user: &str) -> Result<(), Refusal> {
        self.on_person(user, State::unlock)
    }

    /// Locks a person out, as too many wrong passwords do.
    pub fn lock_out(&self, user: &str) -> Result<(), Refusal> {
        self.on_person(user, State::lock_out)
    }

    /// `lifecycle/expire_password`.
    pub fn expire_password(&self, user: &str) -> Result<(), Refusal> {
        self.on_person(user, State::expire_password)
    }

    /// `DELETE /api/v1/users/{id}`: the first call deactivates, the second one deletes.
    pub fn delete_user(&self, user: &str) -> Result<(), Refusal> {
        self.on_person(user, State::delete_person)
    }

    /// Gives a person any status, known or not, without any consequence.
    pub fn set_status(&self, user: &str, status: &str) -> Result<(), Refusal> {
        self.on_person(user, |state, place, doer| {
            let now = doer.now;
            state.person_mut(place)?.status_moved(Status::parse(status), now);
            Ok(())
        })
    }

    /// Assigns a person to an app directly; `user_name` none lets the app's template name them.
    pub fn assign(&self, app: &str, user: &str, user_name: Option<&str>) -> Result<(), Refusal> {
        let body = match user_name {
            Some(name) => json!({ "credentials": { "userName": name } }),
            None => json!({}),
        };
        self.on_person(user, |state, place, doer| state.assign(app, place, &body, doer))
    }

    /// Takes a direct assignment away.
    pub fn unassign(&self, app: &str, user: &str) -> Result<(), Refusal> {
        self.on_person(user, |state, place, doer| state.unassign(app, place, doer))
    }

    /// Gives an app user another user name.
    pub fn rename(&self, app: &str, user: &str, user_name: &str) -> Result<(), Refusal> {
        self.update_app_user(app, user, &json!({ "credentials": { "userName": user_name } }))
    }

    /// `POST /api/v1/apps/{id}/users/{userId}`.
    pub fn update_app_user(&self, app: &str, user: &str, body: &Value) -> Result<(), Refusal> {
        self.on_person(user, |state, place, doer| state.update_assignment(app, place, body, doer))
    }

    /// Makes a group and answers its id.
    pub fn create_group(&self, name: &str) -> Result<String, Refusal> {
        let doer = self.doer();
        let id = self.shared.state_mut().create_group(&json!({ "name": name }), &doer)?;
        Ok(id.to_string())
    }

    /// The id of the group with this name.
    #[must_use]
    pub fn group_named(&self, name: &str) -> Option<String> {
        let state = self.shared.state();
        state.groups.iter().find(|g| g.name() == name).map(|g| g.id.to_string())
    }

    /// Deletes a group.
    pub fn delete_group(&self, group: &str) -> Result<(), Refusal> {
        let doer = self.doer();
        self.shared.state_mut().delete_group(group, &doer)
    }

    /// Puts a person into a group.
    pub fn join(&self, group: &str, user: &str) -> Result<(), Refusal> {
        self.on_person(user, |state, place, doer| state.join(group, place, doer))
    }

    /// Takes a person out of a group.
    pub fn leave(&self, group: &str, user: &str) -> Result<(), Refusal> {
        self.on_person(user, |state, place, doer| state.leave(group, place, doer))
    }

    /// Assigns a group to an app, and so its members.
    pub fn assign_group(&self, app: &str, group: &str) -> Result<(), Refusal> {
        let doer = self.doer();
        self.shared.state_mut().assign_group(app, group, &json!({}), &doer)
    }

    /// Takes a group's assignment away.
    pub fn unassign_group(&self, app: &str, group: &str) -> Result<(), Refusal> {
        let doer = self.doer();
        self.shared.state_mut().unassign_group(app, group, &doer)
    }

    /// Takes in a User body as it stands; it is served back value for value.
    pub fn load_user(&self, body: &Value) -> Result<(), Refusal> {
        let now = self.shared.clock.now();
        self.shared.state_mut().load_user(body, now).map(|_| ())
    }

    /// Takes in an `AppUser` body as it stands, for a person who is there already.
    pub fn load_app_user(&self, app: &str, body: &Value) -> Result<(), Refusal> {
        let now = self.shared.clock.now();
        self.shared.state_mut().load_app_user(app, body, now)
    }

    /// Takes in an Application body as it stands and answers the app's id.
    pub fn load_app(&self, body: &Value) -> Result<String, Refusal> {
        Ok(self.shared.state_mut().load_app(body)?.to_string())
    }

    /// Lays some keys over an app's body, such as `{"status": "INACTIVE"}`.
    pub fn patch_app(&self, app: &str, patch: &Value) -> Result<(), Refusal> {
        let patch = object(patch)?;
        let mut state = self.shared.state_mut();
        let app = state.app_mut(app)?;
        app.body.extend(patch.iter().map(|(k, v)| (k.clone(), v.clone())));
        Ok(())
    }

    /// Makes another SAML app and answers its id.
    #[must_use]
    pub fn create_saml_app(&self, label: &str) -> String {
        let now = self.shared.clock.now();
        let mut state = self.shared.state_mut();
        let id = state.mint.make("0oa");
        let kid = state.mint.letters(43);
        let name = format!("acme_app_{}", state.apps.len());
        let body = super::apps::saml_body(label, &name, now, &kid, &state.org_id);
        state.apps.push(super::apps::App {
            id,
            body,
            users: std::collections::BTreeMap::new(),
            groups: Vec::new(),
            verbatim: false,
        });
        id.to_string()
    }

    /// A person as `GET /api/v1/users/{id}` shows them.
    pub fn user(&self, user: &str) -> Result<Value, Refusal> {
        let state = self.shared.state();
        let place = state.place(user)?;
        let mut text = String::new();
        state.person(place)?.write(&mut text, &state.view(&self.shared.base(), Form::Full, &[]));
        serde_json::from_str(&text).map_err(|_| Refusal::malformed())
    }

    /// An app user as `GET /api/v1/apps/{id}/users/{userId}` shows them.
    pub fn app_user(&self, app: &str, user: &str) -> Result<Value, Refusal> {
        let state = self.shared.state();
        let place = state.place(user)?;
        let person = state.person(place)?.id;
        let app = state.app(app)?;
        let entry = app.users.get(&place).ok_or_else(|| Refusal::not_found(person.as_str(), "AppUser"))?;
        let mut text = String::new();
        entry.write(&mut text, &self.shared.base(), &app.id, &person, None);
        serde_json::from_str(&text).map_err(|_| Refusal::malformed())
    }

    /// The ids of the people assigned to an app, in the order of the list.
    pub fn assigned(&self, app: &str) -> Result<Vec<String>, Refusal> {
        let state = self.shared.state();
        let app = state.app(app)?;
        Ok(app.users.keys().filter_map(|place| state.people.at(*place)).map(|person| person.id.to_string()).collect())
    }

    /// The System Log's events so far, oldest first, those that queries do not see yet included.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.shared.state().log.all().map(super::syslog::Event::tree).collect()
    }

    /// Changes the org's behaviour.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.shared.state_mut().switches);
    }

    /// The org's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Posts a fault and answers its number.
    #[allow(clippy::must_use_candidate)] // most callers clear all faults at once and need no number
    pub fn fault(&self, fault: Fault) -> u64 {
        self.shared.faults().post(fault)
    }

    /// Posts a fault written as JSON, as the admin port takes it.
    pub fn fault_json(&self, fault: &Value) -> Result<u64, serde_json::Error> {
        Ok(self.fault(serde_json::from_value(fault.clone())?))
    }

    /// Takes all faults down.
    pub fn clear_faults(&self) {
        self.shared.faults().clear(None);
    }

    /// The faults posted, with how often they struck.
    #[must_use]
    pub fn faults(&self) -> Vec<PostedFault> {
        self.shared.faults().posted().to_vec()
    }

    /// Takes another table of rate limits.
    pub fn rate_plan(&self, plan: RatePlan) {
        self.shared.rates().choose(plan);
    }

    /// Sets one rate bucket's limit, in requests a minute; `false` when there is no such bucket.
    #[allow(clippy::must_use_candidate)] // a test names a bucket that it knows
    pub fn rate_limit(&self, bucket: &str, limit: u64) -> bool {
        self.shared.rates().set(bucket, limit)
    }

    /// Counts so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.tally().counters.clone()
    }

    /// Requests that came in and whose answer has not begun; one that its caller has given up is none.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.shared.under_way.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Starts counting afresh, and forgets the writes.
    pub fn reset_counters(&self) {
        *self.shared.tally() = crate::tally::Tally::default();
    }

    /// Every request so far that was not a `GET`, oldest first.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.shared.tally().writes.iter().cloned().collect()
    }

    /// Replaces the server certificate by a fresh one of the same CA.
    pub fn renew_certificate(&self) -> Result<(), OktaSimError> {
        self.authority.renew()
    }

    /// Replaces the server certificate by one of a CA that nobody trusts.
    pub fn foreign_certificate(&self) -> Result<(), OktaSimError> {
        self.authority.turn_foreign()
    }
}
