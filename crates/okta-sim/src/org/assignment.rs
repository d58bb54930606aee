//! Who is assigned to which app: directly, or through groups; and who belongs to which group.

use serde_json::{Map, Value, json};

use super::apps::{AppGroup, Assignment, name_by_template};
use super::groups::{Group, Members};
use super::person::Status;
use super::state::{Job, State, object};
use super::syslog::{Doer, Target, membership_targets, user_target};
use crate::id::OktaId;
use crate::refusal::Refusal;

impl State {
    /// `POST /api/v1/apps/{id}/users`: a direct assignment. For somebody who has one already it is an update.
    pub fn assign(&mut self, app: &str, place: u32, body: &Value, doer: &Doer) -> Result<(), Refusal> {
        let person = self.person(place)?;
        if person.status == Status::Deprovisioned {
            return Err(Refusal::status_forbids());
        }
        let profile = person.profile_map();
        let target = self.app_mut(app)?;
        let (id, label) = (target.id, target.label().to_owned());
        let fresh = !target.users.contains_key(&place);
        let by_template = name_by_template(target.user_name_template(), &profile);
        let entry = target.users.entry(place).or_insert_with(|| Assignment::new(&by_template, doer.now));
        entry.direct = true;
        entry.last_updated = doer.now;
        change_entry(entry, body)?;
        let name = entry.user_name.as_deref().unwrap_or("").to_owned();
        let person = self.person(place)?;
        let targets = membership_targets(person, &id, &label, &name);
        let event = if fresh { "application.user_membership.add" } else { "application.user_membership.update" };
        self.record(doer, event, targets);
        Ok(())
    }

    /// `POST /api/v1/apps/{id}/users/{userId}`: another user name or profile.
    pub fn update_assignment(&mut self, app: &str, place: u32, body: &Value, doer: &Doer) -> Result<(), Refusal> {
        let person_id = self.person(place)?.id;
        let target = self.app_mut(app)?;
        let (id, label) = (target.id, target.label().to_owned());
        let entry = target.users.get_mut(&place).ok_or_else(|| Refusal::not_found(person_id.as_str(), "AppUser"))?;
        let before = entry.user_name.clone();
        change_entry(entry, body)?;
        if body.get("scope").and_then(Value::as_str) == Some("USER") {
            entry.direct = true;
        }
        entry.last_updated = doer.now;
        let name = entry.user_name.as_deref().unwrap_or("").to_owned();
        let renamed = before.as_deref() != Some(name.as_str());
        let person = self.person(place)?;
        let targets = membership_targets(person, &id, &label, &name);
        let event =
            if renamed { "application.user_membership.change_username" } else { "application.user_membership.update" };
        self.record(doer, event, targets);
        Ok(())
    }

    /// `DELETE /api/v1/apps/{id}/users/{userId}`. Somebody who is also assigned through a group keeps that assignment;
    /// somebody who is assigned through a group alone cannot be removed here.
    pub fn unassign(&mut self, app: &str, place: u32, doer: &Doer) -> Result<(), Refusal> {
        let person_id = self.person(place)?.id;
        let target = self.app_mut(app)?;
        let id = target.id;
        let entry = target.users.get_mut(&place).ok_or_else(|| Refusal::not_found(person_id.as_str(), "AppUser"))?;
        if !entry.direct {
            return Err(Refusal::new(403, "E0000046", "Deactivate application for user forbidden."));
        }
        if entry.group.is_some() {
            entry.direct = false;
            entry.last_updated = doer.now;
            if let Some(body) = &mut entry.verbatim {
                body.remove("_links");
            }
            return Ok(());
        }
        self.drop_assignment(id, place, doer);
        Ok(())
    }

    /// Takes an assignment away, whatever it came from.
    pub fn drop_assignment(&mut self, app: OktaId, place: u32, doer: &Doer) {
        let Some(target) = self.apps.iter_mut().find(|a| a.id == app) else {
            return;
        };
        let label = target.label().to_owned();
        let Some(entry) = target.users.remove(&place) else {
            return;
        };
        if let Some(person) = self.people.at(place) {
            let name = entry.user_name.as_deref().unwrap_or("");
            let targets = membership_targets(person, &app, &label, name);
            self.record(doer, "application.user_membership.remove", targets);
        }
    }

    /// Brings a person's group-given assignments in line, now or a while later as the switch says.
    pub fn reconcile_soon(&mut self, place: u32, doer: &Doer) {
        let delay = self.switches.group_assignment();
        if delay == 0 {
            self.reconcile(place, &doer.as_job());
        } else if let Some(person) = self.people.at(place) {
            let job = Job::Reconcile(person.id, doer.as_job());
            self.later(doer.now.plus_millis(delay), job);
        }
    }

    /// Brings a person's group-given assignments in line with groups and apps as they are.
    pub fn reconcile(&mut self, place: u32, doer: &Doer) {
        let Some(person) = self.people.at(place) else {
            return;
        };
        let eligible = person.status != Status::Deprovisioned;
        let mut added = Vec::new();
        let mut dropped = Vec::new();
        for app in &mut self.apps {
            let through = app
                .groups
                .iter()
                .filter(|g| self.groups.iter().any(|group| group.id == g.group && group.members.contains(place)))
                .min_by_key(|g| g.priority)
                .map(|g| g.group);
            match (app.users.get_mut(&place), through) {
                (Some(entry), Some(group)) => entry.group = Some(group),
                (Some(entry), None) if entry.direct => entry.group = None,
                (Some(_), None) => dropped.push(app.id),
                (None, Some(group)) if eligible => {
                    let name = name_by_template(app.user_name_template(), &person.profile_map());
                    let mut entry = Assignment::new(&name, doer.now);
                    entry.group = Some(group);
                    app.users.insert(place, entry);
                    added.push((app.id, app.label().to_owned(), name));
                }
                (None, _) => {}
            }
        }
        for (app, label, name) in added {
            if let Some(person) = self.people.at(place) {
                let targets = membership_targets(person, &app, &label, &name);
                self.record(doer, "application.user_membership.add", targets);
            }
        }
        for app in dropped {
            self.drop_assignment(app, place, doer);
        }
    }

    /// `PUT /api/v1/apps/{id}/groups/{groupId}`.
    pub fn assign_group(&mut self, app: &str, group: &str, body: &Value, doer: &Doer) -> Result<(), Refusal> {
        let group_id = self.group(group)?.id;
        let target = self.app_mut(app)?;
        let asked = body.get("priority").and_then(Value::as_i64);
        let profile = body.get("profile").and_then(Value::as_object).cloned();
        if let Some(entry) = target.groups.iter_mut().find(|g| g.group == group_id) {
            entry.priority = asked.unwrap_or(entry.priority);
            entry.profile = profile.unwrap_or_default();
            entry.last_updated = doer.now;
        } else {
            let last = target.groups.iter().map(|g| g.priority).max();
            target.groups.push(AppGroup {
                group: group_id,
                priority: asked.unwrap_or_else(|| last.map_or(0, |p| p + 1)),
                last_updated: doer.now,
                profile: profile.unwrap_or_default(),
            });
        }
        target.groups.sort_by_key(|g| g.priority);
        self.record_group_app(app, group, "group.application_assignment.add", doer)?;
        self.reconcile_members(group, doer)
    }

    /// `DELETE /api/v1/apps/{id}/groups/{groupId}`.
    pub fn unassign_group(&mut self, app: &str, group: &str, doer: &Doer) -> Result<(), Refusal> {
        let group_id = self.group(group)?.id;
        let target = self.app_mut(app)?;
        let before = target.groups.len();
        target.groups.retain(|g| g.group != group_id);
        if target.groups.len() == before {
            return Err(Refusal::not_found(group, "AppGroup"));
        }
        self.record_group_app(app, group, "group.application_assignment.remove", doer)?;
        self.reconcile_members(group, doer)
    }

    fn record_group_app(&mut self, app: &str, group: &str, kind: &'static str, doer: &Doer) -> Result<(), Refusal> {
        let group = group_target(self.group(group)?);
        let app = self.app(app)?;
        let app = Target {
            kind: "AppInstance",
            id: app.id.to_string(),
            alternate: app.label().to_owned(),
            display: app.label().to_owned(),
        };
        self.record(doer, kind, vec![group, app]);
        Ok(())
    }

    fn reconcile_members(&mut self, group: &str, doer: &Doer) -> Result<(), Refusal> {
        let places: Vec<u32> = match &self.group(group)?.members {
            Members::Everyone => self.people.from(0).map(|(place, _)| place).collect(),
            Members::Chosen(set) => set.iter().copied().collect(),
        };
        for place in places {
            self.reconcile_soon(place, doer);
        }
        Ok(())
    }

    /// `POST /api/v1/groups`.
    pub fn create_group(&mut self, profile: &Value, doer: &Doer) -> Result<OktaId, Refusal> {
        let profile = checked_group_profile(profile)?;
        if self.groups.iter().any(|g| Some(g.name()) == profile.get("name").and_then(Value::as_str)) {
            return Err(Refusal::validation(
                "name",
                "name: An object with this field already exists in the current organization",
            ));
        }
        let id = self.mint.make("00g");
        self.groups.push(Group {
            id,
            kind: "OKTA_GROUP",
            created: doer.now,
            last_updated: doer.now,
            last_membership_updated: doer.now,
            profile,
            members: Members::Chosen(std::collections::BTreeSet::new()),
        });
        let target = group_target(self.group(id.as_str())?);
        self.record(doer, "group.lifecycle.create", vec![target]);
        Ok(id)
    }

    /// `PUT /api/v1/groups/{id}`.
    pub fn update_group(&mut self, group: &str, profile: &Value, doer: &Doer) -> Result<(), Refusal> {
        let profile = checked_group_profile(profile)?;
        let group = self.changeable_group(group)?;
        group.profile = profile;
        group.last_updated = doer.now;
        Ok(())
    }

    /// `DELETE /api/v1/groups/{id}`.
    pub fn delete_group(&mut self, group: &str, doer: &Doer) -> Result<(), Refusal> {
        let gone = self.changeable_group(group)?;
        let id = gone.id;
        let members = match &gone.members {
            Members::Chosen(set) => set.iter().copied().collect(),
            Members::Everyone => Vec::new(),
        };
        let target = group_target(gone);
        self.groups.retain(|g| g.id != id);
        for app in &mut self.apps {
            app.groups.retain(|g| g.group != id);
        }
        self.record(doer, "group.lifecycle.delete", vec![target]);
        for place in members {
            self.reconcile_soon(place, doer);
        }
        Ok(())
    }

    fn changeable_group(&mut self, group: &str) -> Result<&mut Group, Refusal> {
        let found = self.group_mut(group)?;
        if found.kind == "BUILT_IN" {
            return Err(Refusal::new(403, "E0000006", "You do not have permission to perform the requested action"));
        }
        Ok(found)
    }

    /// `PUT /api/v1/groups/{id}/users/{userId}`.
    pub fn join(&mut self, group: &str, place: u32, doer: &Doer) -> Result<(), Refusal> {
        self.move_member(group, place, true, doer)
    }

    /// `DELETE /api/v1/groups/{id}/users/{userId}`.
    pub fn leave(&mut self, group: &str, place: u32, doer: &Doer) -> Result<(), Refusal> {
        self.move_member(group, place, false, doer)
    }

    fn move_member(&mut self, group: &str, place: u32, into: bool, doer: &Doer) -> Result<(), Refusal> {
        let found = self.changeable_group(group)?;
        let Members::Chosen(set) = &mut found.members else {
            return Ok(());
        };
        let moved = if into { set.insert(place) } else { set.remove(&place) };
        if !moved {
            return Ok(());
        }
        found.last_membership_updated = doer.now;
        let target = group_target(found);
        let person = user_target(self.person(place)?);
        let event = if into { "group.user_membership.add" } else { "group.user_membership.remove" };
        self.record(doer, event, vec![person, target]);
        self.reconcile_soon(place, doer);
        Ok(())
    }
}

fn group_target(group: &Group) -> Target {
    Target {
        kind: "UserGroup",
        id: group.id.to_string(),
        alternate: "unknown".to_owned(),
        display: group.name().to_owned(),
    }
}

fn checked_group_profile(profile: &Value) -> Result<Map<String, Value>, Refusal> {
    let mut profile = object(profile)?.clone();
    let name = profile.get("name").and_then(Value::as_str).unwrap_or("");
    if name.is_empty() || name.chars().count() > 255 {
        return Err(Refusal::validation("name", "name: The field cannot be left blank"));
    }
    profile.entry("description").or_insert(Value::Null);
    Ok(profile)
}

/// Takes user name and profile from a request body into an assignment.
fn change_entry(entry: &mut Assignment, body: &Value) -> Result<(), Refusal> {
    if let Some(name) = body.pointer("/credentials/userName").and_then(Value::as_str) {
        if name.is_empty() || name.chars().count() > 100 {
            return Err(Refusal::validation(
                "credentials.userName",
                "userName: String length must be between 1 and 100 characters",
            ));
        }
        entry.named_by_hand |= entry.user_name.as_deref() != Some(name);
        entry.user_name = Some(name.into());
    }
    if let Some(patch) = body.get("profile").and_then(Value::as_object) {
        let mut profile = entry.profile_map();
        profile.extend(patch.iter().map(|(k, v)| (k.clone(), v.clone())));
        entry.profile = json!(profile).to_string().into();
    }
    Ok(())
}
