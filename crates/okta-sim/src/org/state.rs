//! Everything that an org holds, and the rules by which one change brings about others.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::apps::App;
use super::groups::Group;
use super::people::People;
use super::person::{Form, Person, View};
use super::switches::Switches;
use super::syslog::{Doer, Event, SystemLog, Target};
use crate::clock::Stamp;
use crate::id::{Mint, OktaId};
use crate::refusal::Refusal;

/// Work that Okta does a while after the call that caused it.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    /// Finish a deactivation: status, then the assignments.
    Deactivate(OktaId, Doer),
    /// Bring a person's group-given assignments in line.
    Reconcile(OktaId, Doer),
}

/// The org's data.
#[derive(Debug)]
pub(crate) struct State {
    pub org_id: OktaId,
    pub user_type: OktaId,
    pub realm: OktaId,
    pub mint: Mint,
    pub people: People,
    pub apps: Vec<App>,
    pub groups: Vec<Group>,
    pub log: SystemLog,
    pub switches: Switches,
    jobs: BTreeMap<(Stamp, u64), Job>,
    next_job: u64,
}

impl State {
    pub fn new(seed: u64, switches: Switches) -> Self {
        let mut mint = Mint::new(seed);
        Self {
            org_id: mint.make("00o"),
            user_type: mint.make("oty"),
            // Of a mint of its own: what other ids a seed makes must not depend on whether there are realms.
            realm: Mint::new(!seed).make("guo"),
            mint,
            people: People::default(),
            apps: Vec::new(),
            groups: Vec::new(),
            log: SystemLog::default(),
            switches,
            jobs: BTreeMap::new(),
            next_job: 0,
        }
    }

    /// How people are shown under an address.
    pub fn view<'a>(&'a self, base: &'a str, form: Form, hidden: &'a [String]) -> View<'a> {
        View { base, user_type: &self.user_type, realm: self.switches.realms.then_some(&self.realm), form, hidden }
    }

    /// The Application object of an app.
    pub fn app_tree(&self, app: &App, base: &str) -> Value {
        app.tree(base, self.switches.identity_engine)
    }

    /// The app with this id, as the API would look for it.
    pub fn app(&self, id: &str) -> Result<&App, Refusal> {
        self.apps.iter().find(|app| app.id.as_str() == id).ok_or_else(|| Refusal::not_found(id, "AppInstance"))
    }

    /// The app with this id, to be changed.
    pub fn app_mut(&mut self, id: &str) -> Result<&mut App, Refusal> {
        self.apps.iter_mut().find(|app| app.id.as_str() == id).ok_or_else(|| Refusal::not_found(id, "AppInstance"))
    }

    /// The group with this id.
    pub fn group(&self, id: &str) -> Result<&Group, Refusal> {
        self.groups.iter().find(|group| group.id.as_str() == id).ok_or_else(|| Refusal::not_found(id, "UserGroup"))
    }

    /// The group with this id, to be changed.
    pub fn group_mut(&mut self, id: &str) -> Result<&mut Group, Refusal> {
        self.groups.iter_mut().find(|group| group.id.as_str() == id).ok_or_else(|| Refusal::not_found(id, "UserGroup"))
    }

    /// The place of the person whom a path names (id, login or short name).
    pub fn place(&self, name: &str) -> Result<u32, Refusal> {
        self.people.find(name).ok_or_else(|| Refusal::not_found(name, "User"))
    }

    /// The person at a place that is known to be taken.
    pub fn person(&self, place: u32) -> Result<&Person, Refusal> {
        self.people.at(place).ok_or_else(|| Refusal::not_found("", "User"))
    }

    /// The person at a place that is known to be taken, to be changed.
    pub fn person_mut(&mut self, place: u32) -> Result<&mut Person, Refusal> {
        self.people.at_mut(place).ok_or_else(|| Refusal::not_found("", "User"))
    }

    /// Writes an event to the System Log.
    pub fn record(&mut self, doer: &Doer, kind: &'static str, targets: Vec<Target>) {
        let mut bytes = [0; 16];
        for (byte, letter) in bytes.iter_mut().zip(self.mint.letters(16).bytes()) {
            *byte = letter.wrapping_mul(167);
        }
        let event = Event {
            seq: 0,
            uuid: uuid::Builder::from_random_bytes(bytes).into_uuid(),
            published: doer.now,
            kind,
            message: message(kind),
            targets,
            doer: doer.clone(),
        };
        let arrives = doer.now.plus_millis(self.switches.log_delay(self.log.sent()));
        self.log.push(event, arrives);
    }

    /// Puts a job aside until `due`.
    pub fn later(&mut self, due: Stamp, job: Job) {
        self.next_job += 1;
        self.jobs.insert((due, self.next_job), job);
    }

    /// When the next job is due, or the next event arrives in the log.
    pub fn next_due(&self) -> Option<Stamp> {
        let job = self.jobs.keys().next().map(|(due, _)| *due);
        job.into_iter().chain(self.log.next_arrival()).min()
    }

    /// Does all jobs that are due, and persists the events that have arrived.
    pub fn run_jobs(&mut self, now: Stamp) {
        while let Some(entry) = self.jobs.first_entry()
            && entry.key().0 <= now
        {
            let ((due, _), job) = entry.remove_entry();
            match job {
                Job::Deactivate(id, doer) => {
                    if let Some(place) = self.people.by_id(id.as_str()) {
                        self.finish_deactivation(place, &Doer { now: due, ..doer });
                    }
                }
                Job::Reconcile(id, doer) => {
                    if let Some(place) = self.people.by_id(id.as_str()) {
                        self.reconcile(place, &Doer { now: due, ..doer });
                    }
                }
            }
        }
        self.log.settle(now);
    }
}

/// The `displayMessage` of an event type.
fn message(kind: &str) -> &'static str {
    match kind {
        "user.lifecycle.create" => "Create Okta user",
        "user.lifecycle.activate" => "Activate Okta user",
        "user.lifecycle.reactivate" => "Reactivate Okta user",
        "user.lifecycle.deactivate" => "Deactivate Okta user",
        "user.lifecycle.suspend" => "Suspend Okta user",
        "user.lifecycle.unsuspend" => "Unsuspend Okta user",
        "user.lifecycle.delete.initiated" => "Delete Okta user",
        "user.lifecycle.delete.completed" => "User delete process completed",
        "user.account.lock" => "Max sign in attempts exceeded",
        "user.account.unlock" => "User account unlock by admin",
        "user.account.expire_password" => "User account password expired",
        "user.account.reset_password" => "Fired when the user's Okta password is reset",
        "user.account.update_profile" => "Update user profile for Okta",
        "user.account.update_primary_email" => "Update primary email of user",
        "application.user_membership.add" => "Add user to application membership",
        "application.user_membership.remove" => "Remove user's application membership",
        "application.user_membership.update" => "Update user's application membership",
        "application.user_membership.change_username" => "Change user's application username",
        "group.user_membership.add" => "Add user to group membership",
        "group.user_membership.remove" => "Remove user from group membership",
        "group.application_assignment.add" => "Add assigned application to group",
        "group.application_assignment.remove" => "Remove assigned application from group",
        "group.lifecycle.create" => "Create Okta group",
        "group.lifecycle.delete" => "Delete Okta group",
        "application.lifecycle.create" => "Create application",
        "application.lifecycle.update" => "Update application",
        "application.lifecycle.activate" => "Activate application",
        "application.lifecycle.deactivate" => "Deactivate application",
        "application.lifecycle.delete" => "Delete application",
        _ => "",
    }
}

/// An object out of a request body, or the vendor's complaint.
pub(crate) fn object(value: &Value) -> Result<&Map<String, Value>, Refusal> {
    value.as_object().ok_or_else(Refusal::malformed)
}
