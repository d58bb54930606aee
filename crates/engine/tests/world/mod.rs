//! A small world for the engine's tests: an Okta and a Teleport in memory behind the engine's two ports, with the faults
//! that matter, and a watch that notes every write and every rule broken by one.

// A fixture says what it expects; clippy.toml allows that only inside #[test] functions themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs)]

mod okta;
mod teleport;

use std::{
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicU64},
    time::Instant,
};

use api::{
    OktaUserSyncSpec, names,
    status::{Memory, PendingPlan},
};
use engine::{
    census::{Census, SHARED_FOR},
    cluster::{Cluster as _, OriginMode},
    failure::{Class, Failure, Side},
    ledger::Ledger,
    partial::Partial,
    pass::Pass,
    person::{AssignmentStatus, Person, PersonStatus},
    policy::Policy,
    report::Report,
    role::{Ceiling, Role},
    user::User,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use okta::Okta;
use teleport::Teleport;

/// The SAML app of every test.
pub const APP: &str = "0oa9saml8app7telepor";
/// The organisation of every test.
pub const ORG_URL: &str = "https://acme.okta.com";
/// The resource of every test.
pub const OWNER: &str = "ns/acme";

/// A role that grants something.
pub fn role(name: &str, max_session_ttl: Option<SignedDuration>) -> Role {
    Role { name: name.into(), max_session_ttl, grants_nothing: false }
}

/// Both sides, the settings, and what passes left to know.
pub struct World {
    pub okta: Mutex<Okta>,
    pub teleport: Mutex<Teleport>,
    pub spec: OktaUserSyncSpec,
    pub ceiling: Vec<String>,
    /// Whether the operator gives the roles of the ceiling's names alone.
    pub only_named_roles: bool,
    pub approvals: Vec<String>,
    pub memory: Memory,
    pub pending: Option<PendingPlan>,
    pub ledger: Ledger,
    pub pinned_org: String,
    pub now: Timestamp,
    pub passes: u32,
    calls: AtomicU64,
    pub mode: OriginMode,
    /// How often the making of a user, and the wait for locks, give way to others before they are done.
    pub slow: usize,
}

impl World {
    /// A world with `n` people, user00 …, assigned and active, and nobody in Teleport.
    pub fn with_people(n: usize) -> Self {
        let world = Self {
            okta: Mutex::new(Okta {
                org_id: "00o1".into(),
                app: ("ACTIVE".into(), "SAML_2_0".into()),
                ..Okta::default()
            }),
            teleport: Mutex::new(Teleport {
                enforces: true,
                roles: vec![
                    role("okta-requester", Some(SignedDuration::from_hours(30))),
                    role("dev", None),
                    role("editor", None),
                ],
                ..Teleport::default()
            }),
            spec: serde_json::from_value(json!({
                "okta": { "orgURL": ORG_URL, "clientID": "0oa1api2services3app" },
                "scope": { "appID": APP }
            }))
            .unwrap(),
            ceiling: vec!["okta-requester".into(), "dev".into()],
            only_named_roles: true,
            approvals: vec![],
            memory: Memory::default(),
            pending: None,
            ledger: Ledger::default(),
            pinned_org: String::new(),
            now: "2026-11-24T00:00:00Z".parse().unwrap(),
            passes: 0,
            calls: AtomicU64::new(0),
            mode: OriginMode::Bot,
            slow: 0,
        };
        for i in 0..n {
            world.hire(&id(i), &name(i));
        }
        world
    }

    /// The same after a first pass that imported everybody.
    pub async fn imported(n: usize) -> Self {
        let mut world = Self::with_people(n);
        let report = world.pass().await;
        assert_eq!(report.problem_count, 0, "{:?}", report.problems);
        assert_eq!(usize::try_from(report.counts.created).unwrap(), n);
        world.teleport().writes.clear();
        world
    }

    pub fn okta(&self) -> MutexGuard<'_, Okta> {
        self.okta.lock().unwrap()
    }

    pub fn teleport(&self) -> MutexGuard<'_, Teleport> {
        self.teleport.lock().unwrap()
    }

    /// A new person, assigned and active.
    pub fn hire(&self, id: &str, name: &str) {
        let person = Person {
            id: id.into(),
            user_name: Some(name.into()),
            status: PersonStatus::Active,
            becoming: None,
            assignment: Some(AssignmentStatus::Active),
            profile: json!({ "login": name, "email": format!("{name}@example.com") }).as_object().unwrap().clone(),
            app_profile: serde_json::Map::new(),
        };
        self.okta().people.insert(id.into(), person);
        self.okta().assigned.insert(id.into());
    }

    /// Deactivates the person as Okta does: the assignment goes too.
    pub fn deactivate(&self, id: &str) {
        self.set_status(id, PersonStatus::Deprovisioned);
        self.okta().assigned.remove(id);
    }

    /// Brings a deactivated or unassigned person back.
    pub fn reactivate(&self, id: &str) {
        self.set_status(id, PersonStatus::Active);
        self.okta().assigned.insert(id.into());
    }

    pub fn set_status(&self, id: &str, status: PersonStatus) {
        self.okta().people.get_mut(id).unwrap().status = status;
    }

    pub fn rename(&self, id: &str, name: &str) {
        self.okta().people.get_mut(id).unwrap().user_name = Some(name.into());
    }

    pub fn set_profile(&self, id: &str, attribute: &str, value: Value) {
        self.okta().people.get_mut(id).unwrap().profile.insert(attribute.into(), value);
    }

    /// A user that somebody else made.
    pub fn foreign_user(&self, user: User) {
        self.teleport().untouchable.insert(user.name.clone());
        self.teleport().users.insert(user.name.clone(), user);
    }

    /// What the resource asks for, under the operator's ceiling.
    pub fn policy(&self, approvals: Vec<String>) -> Policy {
        match self.try_policy(approvals) {
            Ok(policy) => policy,
            Err(failure) => panic!("{failure}: {}", failure.remedy),
        }
    }

    /// The same, where it may be refused.
    pub fn try_policy(&self, approvals: Vec<String>) -> Result<Policy, Failure> {
        let named = Ceiling::new(&self.ceiling).unwrap();
        let ceiling = if self.only_named_roles { named } else { named.and_roles_without_grants() };
        Policy::new(OWNER, &self.spec, &ceiling, approvals)
    }

    /// Runs one pass a minute later and keeps what it leaves to know.
    pub async fn pass(&mut self) -> Report {
        self.pass_while(&|| true).await
    }

    /// The same, as long as `may_write`.
    pub async fn pass_while(&mut self, may_write: &(dyn Fn() -> bool + Sync)) -> Report {
        self.now += SignedDuration::from_mins(1);
        self.passes += 1;
        let policy = self.policy(self.approvals.clone());
        let pass = Pass {
            policy: &policy,
            memory: self.memory.clone(),
            pending: self.pending.clone(),
            pinned_org: &self.pinned_org.clone(),
            ledger: &self.ledger,
            started: self.now,
            list_age: SHARED_FOR,
            id: format!("pass{}", self.passes),
            may_write,
            detail: true,
            progress: &|_| {},
            journal: &*self,
        };
        let report = pass.run(&*self, &*self).await;
        self.memory = report.memory.clone();
        self.pending.clone_from(&report.pending);
        if let Some(organisation) = &report.organisation {
            self.pinned_org.clone_from(&organisation.id);
        }
        assert_eq!(self.teleport().violations, Vec::<String>::new());
        report
    }

    /// Another resource lists everybody, and leaves the list to whoever may take it.
    pub async fn neighbour_lists(&self) {
        let began = Instant::now();
        let facts = self.prove_identity().await.unwrap();
        let census = Census::read(self, &facts).await.unwrap();
        self.teleport().shelf = Some((began, Arc::new(census)));
    }

    /// Runs one partial pass over these people, a second later, and keeps what it leaves to know.
    pub async fn partial(&mut self, people: &[String]) -> Partial {
        self.now += SignedDuration::from_secs(1);
        self.passes += 1;
        let policy = self.policy(self.approvals.clone());
        let partial = self.fast(&policy, &format!("partial{}", self.passes)).partial(&*self, &*self, people).await;
        self.memory.removals.clone_from(&partial.report.memory.removals);
        assert_eq!(self.teleport().violations, Vec::<String>::new());
        partial
    }

    /// A pass that may run beside another one.
    pub fn fast<'a>(&'a self, policy: &'a Policy, id: &str) -> Pass<'a> {
        Pass {
            policy,
            memory: self.memory.clone(),
            pending: self.pending.clone(),
            pinned_org: &self.pinned_org,
            ledger: &self.ledger,
            started: self.now,
            list_age: SHARED_FOR,
            id: id.into(),
            may_write: &|| true,
            detail: false,
            progress: &|_| {},
            journal: self,
        }
    }

    /// Explains one person.
    pub async fn explain(&self, who: &str) -> Result<engine::explain::Explanation, Failure> {
        let policy = self.policy(vec![]);
        let pass = Pass {
            policy: &policy,
            memory: self.memory.clone(),
            pending: self.pending.clone(),
            pinned_org: &self.pinned_org,
            ledger: &self.ledger,
            started: self.now,
            list_age: SHARED_FOR,
            id: "explain".into(),
            may_write: &|| false,
            detail: false,
            progress: &|_| {},
            journal: &(),
        };
        pass.explain(self, self, who).await
    }

    /// The names of all users.
    pub fn user_names(&self) -> Vec<String> {
        self.teleport().users.keys().cloned().collect()
    }

    /// Whether an enforced lock targets the user name now.
    pub fn locked(&self, name: &str) -> bool {
        let teleport = self.teleport();
        teleport.locks.values().any(|l| l.user == name && l.in_force(self.now) && teleport.enforced.contains(&l.name))
    }

    pub fn writes(&self) -> Vec<String> {
        self.teleport().writes.clone()
    }
}

/// Okta id of the nth person.
pub fn id(n: usize) -> String {
    format!("00u{n:017}")
}

/// User name of the nth person.
pub fn name(n: usize) -> String {
    format!("user{n:02}")
}

fn down(side: Side) -> Failure {
    Failure::new(side, Class::Transient, "Unreachable", "the other side is down", "wait")
}

/// A local user without anything of ours.
pub fn local_user(name: &str) -> User {
    User { name: name.into(), revision: "x".into(), roles: vec!["editor".into()], ..User::default() }
}

/// Whether the user carries our label.
pub fn is_ours(user: &User) -> bool {
    user.labels.get(names::OWNER_LABEL).is_some_and(|owner| owner == OWNER)
}
