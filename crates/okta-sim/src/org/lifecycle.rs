//! A person's life: made, changed, put on hold, deactivated, deleted. Which status allows what follows the vendor's
//! status machine; what happens to assignments and memberships follows its support articles.

use serde_json::{Map, Value};

use super::apps::name_by_template;
use super::person::{Person, Status};
use super::state::{Job, State, object};
use super::syslog::{Doer, membership_targets, user_target};
use crate::refusal::Refusal;

/// The attributes that a User answer shows even when they are null.
const ALWAYS_SHOWN: [&str; 4] = ["firstName", "lastName", "mobilePhone", "secondEmail"];

/// How a new person starts.
#[derive(Debug, Clone, Default)]
pub struct NewPerson {
    /// Activate at once (Okta's default for `POST /users`).
    pub activate: bool,
    /// The person has a password: activation leads to `ACTIVE`, not `PROVISIONED`.
    pub password: bool,
    /// Ids of groups to join.
    pub groups: Vec<String>,
}

impl State {
    /// `POST /api/v1/users`.
    pub fn create_person(&mut self, profile: &Value, new: &NewPerson, doer: &Doer) -> Result<u32, Refusal> {
        let mut profile = object(profile)?.clone();
        tidy(&mut profile);
        check_profile(&profile)?;
        for group in &new.groups {
            self.group(group)?;
        }
        let status = match (new.activate, new.password) {
            (false, _) => Status::Staged,
            (true, true) => Status::Active,
            (true, false) => Status::Provisioned,
        };
        let login = text(&profile, "login").to_owned();
        let person = Person {
            id: self.mint.make("00u"),
            status,
            transitioning: None,
            created: doer.now,
            activated: new.activate.then_some(doer.now),
            status_changed: new.activate.then_some(doer.now),
            last_login: None,
            last_updated: doer.now,
            password_changed: new.password.then_some(doer.now),
            has_password: new.password,
            profile: serde_json::to_string(&profile).unwrap_or_default().into(),
            verbatim: None,
        };
        let place = self.people.add(person, &login)?;
        self.record_about(place, "user.lifecycle.create", doer);
        if new.activate {
            self.record_about(place, "user.lifecycle.activate", doer);
        }
        for group in &new.groups {
            self.join(group, place, doer)?;
        }
        self.reconcile_soon(place, doer);
        Ok(place)
    }

    /// `POST /api/v1/users/{id}` (`partial`) and `PUT /api/v1/users/{id}`.
    pub fn update_profile(
        &mut self,
        place: u32,
        patch: &Map<String, Value>,
        partial: bool,
        doer: &Doer,
    ) -> Result<(), Refusal> {
        let person = self.person(place)?;
        if person.status == Status::Deprovisioned {
            return Err(Refusal::not_found(person.id.as_str(), "User"));
        }
        let before = person.profile_map();
        let mut after = if partial { before.clone() } else { Map::new() };
        after.extend(patch.iter().map(|(k, v)| (k.clone(), v.clone())));
        tidy(&mut after);
        check_profile(&after)?;
        if after == before {
            return Ok(());
        }
        self.people.set_profile(place, &after)?;
        self.person_mut(place)?.last_updated = doer.now;
        self.record_about(place, "user.account.update_profile", doer);
        if before.get("email") != after.get("email") {
            self.record_about(place, "user.account.update_primary_email", doer);
        }
        self.follow_templates(place, &after, doer);
        Ok(())
    }

    /// Gives app users whose name comes from the app's template the name that follows from a changed profile.
    pub fn follow_templates(&mut self, place: u32, profile: &Map<String, Value>, doer: &Doer) {
        let mut renamed = Vec::new();
        for app in &mut self.apps {
            let name = name_by_template(app.user_name_template(), profile);
            let Some(entry) = app.users.get_mut(&place) else {
                continue;
            };
            if entry.named_by_hand || entry.user_name.as_deref().is_none_or(|old| old == name) {
                continue;
            }
            entry.user_name = Some(name.as_str().into());
            entry.last_updated = doer.now;
            renamed.push((app.id, app.label().to_owned(), name));
        }
        for (app, label, name) in renamed {
            if let Some(person) = self.people.at(place) {
                let targets = membership_targets(person, &app, &label, &name);
                self.record(doer, "application.user_membership.change_username", targets);
            }
        }
    }

    /// `lifecycle/activate`: from `STAGED` or `DEPROVISIONED`.
    pub fn activate(&mut self, place: u32, doer: &Doer) -> Result<(), Refusal> {
        let person = self.person_mut(place)?;
        if !matches!(person.status, Status::Staged | Status::Deprovisioned) {
            return Err(Refusal::new(403, "E0000016", "Activation failed because the user is already active"));
        }
        let to = if person.has_password { Status::Active } else { Status::Provisioned };
        person.status_moved(to, doer.now);
        person.activated = Some(doer.now);
        self.record_about(place, "user.lifecycle.activate", doer);
        self.reconcile_soon(place, doer);
        Ok(())
    }

    /// `lifecycle/reactivate`: a new activation for somebody who has not finished the first one.
    pub fn reactivate(&mut self, place: u32, doer: &Doer) -> Result<(), Refusal> {
        let person = self.person_mut(place)?;
        if !matches!(person.status, Status::Provisioned | Status::Recovery) {
            return Err(Refusal::status_forbids());
        }
        person.last_updated = doer.now;
        self.record_about(place, "user.lifecycle.reactivate", doer);
        Ok(())
    }

    /// `lifecycle/suspend`: from `ACTIVE` only. Assignments and memberships stay.
    pub fn suspend(&mut self, place: u32, doer: &Doer) -> Result<(), Refusal> {
        let person = self.person_mut(place)?;
        if person.status != Status::Active {
            return Err(Refusal::validation("status", "Cannot suspend a user that is not active"));
        }
        person.status_moved(Status::Suspended, doer.now);
        self.record_about(place, "user.lifecycle.suspend", doer);
        Ok(())
    }

    /// `lifecycle/unsuspend`: from `SUSPENDED` only.
    pub fn unsuspend(&mut self, place: u32, doer: &Doer) -> Result<(), Refusal> {
        let person = self.person_mut(place)?;
        if person.status != Status::Suspended {
            return Err(Refusal::validation("status", "Cannot unsuspend a user that is not suspended"));
        }
        person.status_moved(Status::Active, doer.now);
        self.record_about(place, "user.lifecycle.unsuspend", doer);
        Ok(())
    }

    /// `lifecycle/unlock`: from `LOCKED_OUT` only.
    pub fn unlock(&mut self, place: u32, doer: &Doer) -> Result<(), Refusal> {
        let person = self.person_mut(place)?;
        if person.status != Status::LockedOut {
            return Err(Refusal::new(403, "E0000032", "Unlock is not allowed for this user."));
        }
        person.status_moved(Status::Active, doer.now);
        self.record_about(place, "user.account.unlock", doer);
        Ok(())
    }

    /// `lifecycle/expire_password`.
    pub fn expire_password(&mut self, place: u32, doer: &Doer) -> Result<(), Refusal> {
        self.move_account(place, Status::PasswordExpired, "user.account.expire_password", doer)
    }

    /// `lifecycle/reset_password`.
    pub fn reset_password(&mut self, place: u32, doer: &Doer) -> Result<(), Refusal> {
        self.move_account(place, Status::Recovery, "user.account.reset_password", doer)
    }

    /// Too many wrong passwords. There is no call for it: it happens at sign-in.
    pub fn lock_out(&mut self, place: u32, doer: &Doer) -> Result<(), Refusal> {
        self.move_account(place, Status::LockedOut, "user.account.lock", doer)
    }

    fn move_account(&mut self, place: u32, to: Status, event: &'static str, doer: &Doer) -> Result<(), Refusal> {
        let person = self.person_mut(place)?;
        if matches!(person.status, Status::Staged | Status::Suspended | Status::Deprovisioned) {
            return Err(Refusal::status_forbids());
        }
        person.status_moved(to, doer.now);
        self.record_about(place, event, doer);
        Ok(())
    }

    /// `lifecycle/deactivate`. Takes effect at once, or after a while if the switch says so. A person who is
    /// deactivated already is not found, as with the real API.
    pub fn deactivate(&mut self, place: u32, doer: &Doer) -> Result<(), Refusal> {
        let delay = self.switches.deactivation();
        let person = self.person_mut(place)?;
        if person.status == Status::Deprovisioned {
            return Err(Refusal::not_found(person.id.as_str(), "User"));
        }
        let id = person.id;
        if delay > 0 {
            if person.transitioning.is_some() {
                return Ok(());
            }
            person.transitioning = Some(Status::Deprovisioned);
            self.record_about(place, "user.lifecycle.deactivate", doer);
            self.later(doer.now.plus_millis(delay), Job::Deactivate(id, doer.as_job()));
        } else {
            self.record_about(place, "user.lifecycle.deactivate", doer);
            self.finish_deactivation(place, &doer.as_job());
        }
        Ok(())
    }

    /// The end of a deactivation: assignments to active apps go, those to inactive apps stay, memberships stay.
    pub fn finish_deactivation(&mut self, place: u32, doer: &Doer) {
        let Some(person) = self.people.at_mut(place) else {
            return;
        };
        person.transitioning = None;
        person.status_moved(Status::Deprovisioned, doer.now);
        let apps: Vec<_> = self
            .apps
            .iter()
            .filter(|app| app.is_active() && app.users.contains_key(&place))
            .map(|app| app.id)
            .collect();
        for app in apps {
            self.drop_assignment(app, place, doer);
        }
    }

    /// `DELETE /api/v1/users/{id}`: the first call deactivates, the second one deletes.
    pub fn delete_person(&mut self, place: u32, doer: &Doer) -> Result<(), Refusal> {
        if self.person(place)?.status != Status::Deprovisioned {
            return self.deactivate(place, doer);
        }
        self.record_about(place, "user.lifecycle.delete.initiated", doer);
        let apps: Vec<_> = self.apps.iter().map(|app| app.id).collect();
        for app in apps {
            self.drop_assignment(app, place, &doer.as_job());
        }
        for group in &mut self.groups {
            if let super::groups::Members::Chosen(set) = &mut group.members {
                set.remove(&place);
            }
        }
        self.record_about(place, "user.lifecycle.delete.completed", &doer.as_job());
        self.people.remove(place);
        Ok(())
    }

    /// Writes an event whose only target is this person.
    pub fn record_about(&mut self, place: u32, kind: &'static str, doer: &Doer) {
        if let Some(person) = self.people.at(place) {
            let targets = vec![user_target(person)];
            self.record(doer, kind, targets);
        }
    }
}

/// A text of a profile, or "".
fn text<'a>(profile: &'a Map<String, Value>, name: &str) -> &'a str {
    profile.get(name).and_then(Value::as_str).unwrap_or("")
}

/// Leaves out attributes without a value, except those that Okta always shows.
fn tidy(profile: &mut Map<String, Value>) {
    profile.retain(|name, value| !value.is_null() || ALWAYS_SHOWN.contains(&name.as_str()));
    for name in ["mobilePhone", "secondEmail"] {
        profile.entry(name).or_insert(Value::Null);
    }
}

/// The vendor's rules for the attributes that everybody must have.
fn check_profile(profile: &Map<String, Value>) -> Result<(), Refusal> {
    for name in ["login", "email"] {
        let value = text(profile, name);
        if value.is_empty() {
            return Err(Refusal::validation(name, format!("{name}: The field cannot be left blank")));
        }
        let length = value.chars().count();
        if !(5..=100).contains(&length) {
            return Err(Refusal::validation(
                name,
                format!("{name}: String length must be between 5 and 100 characters"),
            ));
        }
    }
    for name in ["firstName", "lastName"] {
        let length = text(profile, name).chars().count();
        if length > 50 {
            return Err(Refusal::validation(name, format!("{name}: The field is too long. Maximum length is 50")));
        }
    }
    Ok(())
}
