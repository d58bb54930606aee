//! A small world for the engine's tests: an Okta and a Teleport in memory behind the engine's two ports, with the faults
//! that matter, and a watch that notes every write and every rule broken by one.

// A fixture says what it expects; clippy.toml allows that only inside #[test] functions themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use api::{
    OktaUserSyncSpec, names,
    status::{Memory, PendingPlan},
};
use engine::{
    cluster::{Cluster, ClusterFacts, ConnectorLookup, Deleted, OriginMode, WriteError},
    directory::{App, Directory, Organisation, Page, Pages, PeopleSource, Standing},
    failure::{Class, Failure, Side},
    journal::{Journal, Write},
    ledger::Ledger,
    lock::Lock,
    partial::Partial,
    pass::Pass,
    person::{AssignmentStatus, Person, PersonStatus},
    policy::Policy,
    report::Report,
    role::{Ceiling, Role},
    user::{NewUser, User, UserEdit},
};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The SAML app of every test.
pub const APP: &str = "0oa9saml8app7telepor";
/// The organisation of every test.
pub const ORG_URL: &str = "https://acme.okta.com";
/// The resource of every test.
pub const OWNER: &str = "ns/acme";

/// Okta: people, who of them is assigned, and what goes wrong.
#[derive(Default)]
pub struct Okta {
    /// Everybody who exists, by Okta id.
    pub people: BTreeMap<String, Person>,
    /// Who is assigned to the app.
    pub assigned: BTreeSet<String>,
    /// Members of each group.
    pub groups: BTreeMap<String, BTreeSet<String>>,
    /// Fails on this page, from 1.
    pub fail_on_page: Option<usize>,
    /// Ends on this page without saying that it is the last.
    pub cut_after_page: Option<usize>,
    /// Gives this page, from 1, a second time.
    pub repeat_page: Option<usize>,
    /// Assigned people whom the list leaves out.
    pub hidden: BTreeSet<String>,
    /// Id of the organisation.
    pub org_id: String,
    /// Status and sign-on mode of the app.
    pub app: (String, String),
}

/// Teleport: users, locks, and what is enforced.
#[derive(Default)]
pub struct Teleport {
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// What lists answer instead, as a server's cache that lags behind its storage.
    pub stale: Option<Vec<User>>,
    /// Stored locks by name.
    pub locks: BTreeMap<String, Lock>,
    /// Names of stored locks that are enforced.
    pub enforced: BTreeSet<String>,
    /// Locks are enforced when waited for, unless false.
    pub enforces: bool,
    /// Roles.
    pub roles: Vec<Role>,
    /// What the connector look-up answers.
    pub connector: Option<ConnectorLookup>,
    /// Every write, in order, in words.
    pub writes: Vec<String>,
    /// What the journal was told: `begins` or the outcome, action, Okta id, why.
    pub journal: Vec<String>,
    /// Users of whom the journal was told that a write begins, and not yet that it ended.
    pub announced: Vec<String>,
    /// Rules that a write broke.
    pub violations: Vec<String>,
    /// So many writes more succeed, then the process is dead.
    pub dies_after: Option<usize>,
    /// Users whose writes fail, with what.
    pub refuses: BTreeMap<String, Failure>,
    /// Names that belong to nobody of ours, whatever happens: a write to one is a violation.
    pub untouchable: BTreeSet<String>,
    revision: u64,
}

/// Both sides, the settings, and what passes left to know.
pub struct World {
    pub okta: Mutex<Okta>,
    pub teleport: Mutex<Teleport>,
    pub spec: OktaUserSyncSpec,
    pub ceiling: Vec<String>,
    pub approvals: Vec<String>,
    pub memory: Memory,
    pub pending: Option<PendingPlan>,
    pub ledger: Ledger,
    pub pinned_org: String,
    pub now: Timestamp,
    pub passes: u32,
    calls: AtomicU64,
    pub mode: OriginMode,
    /// How often the making of a user gives way to others before it is done.
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
                    Role { name: "okta-requester".into(), max_session_ttl: Some(SignedDuration::from_hours(30)) },
                    Role { name: "dev".into(), max_session_ttl: None },
                    Role { name: "editor".into(), max_session_ttl: None },
                ],
                ..Teleport::default()
            }),
            spec: serde_json::from_value(json!({
                "okta": { "orgURL": ORG_URL, "clientID": "0oa1api2services3app" },
                "scope": { "appID": APP }
            }))
            .unwrap(),
            ceiling: vec!["okta-requester".into(), "dev".into()],
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

    /// Runs one pass a minute later and keeps what it leaves to know.
    pub async fn pass(&mut self) -> Report {
        self.pass_while(&|| true).await
    }

    /// The same, as long as `may_write`.
    pub async fn pass_while(&mut self, may_write: &(dyn Fn() -> bool + Sync)) -> Report {
        self.now += SignedDuration::from_mins(1);
        self.passes += 1;
        let policy = match Policy::new(OWNER, &self.spec, &Ceiling::new(&self.ceiling).unwrap(), self.approvals.clone())
        {
            Ok(policy) => policy,
            Err(failure) => panic!("{failure}: {}", failure.remedy),
        };
        let pass = Pass {
            policy: &policy,
            memory: self.memory.clone(),
            pending: self.pending.clone(),
            pinned_org: &self.pinned_org.clone(),
            ledger: &self.ledger,
            started: self.now,
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

    /// Runs one partial pass over these people, a second later, and keeps what it leaves to know.
    pub async fn partial(&mut self, people: &[String]) -> Partial {
        self.now += SignedDuration::from_secs(1);
        self.passes += 1;
        let ceiling = Ceiling::new(&self.ceiling).unwrap();
        let policy = Policy::new(OWNER, &self.spec, &ceiling, self.approvals.clone()).unwrap();
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
            id: id.into(),
            may_write: &|| true,
            detail: false,
            progress: &|_| {},
            journal: self,
        }
    }

    /// Explains one person.
    pub async fn explain(&self, who: &str) -> Result<engine::explain::Explanation, Failure> {
        let ceiling = Ceiling::new(&self.ceiling).unwrap();
        let policy = Policy::new(OWNER, &self.spec, &ceiling, vec![]).unwrap();
        let pass = Pass {
            policy: &policy,
            memory: self.memory.clone(),
            pending: self.pending.clone(),
            pinned_org: &self.pinned_org,
            ledger: &self.ledger,
            started: self.now,
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

impl Directory for World {
    async fn organisation(&self, source: &PeopleSource) -> Result<Organisation, Failure> {
        self.calls.fetch_add(2, Ordering::Relaxed);
        let okta = self.okta();
        let app = match source {
            PeopleSource::App(id) => Some(App {
                id: id.clone(),
                label: "Teleport".into(),
                status: okta.app.0.clone(),
                sign_on_mode: okta.app.1.clone(),
            }),
            _ => None,
        };
        Ok(Organisation { id: okta.org_id.clone(), app, ..Organisation::default() })
    }

    fn people<'a>(&'a self, source: &'a PeopleSource) -> Pages<'a, Person> {
        let okta = self.okta();
        let listed: Vec<Person> = okta
            .people
            .values()
            .filter(|person| match source {
                PeopleSource::App(_) => okta.assigned.contains(&person.id),
                PeopleSource::Groups(groups) => {
                    groups.iter().any(|group| okta.groups.get(group).is_some_and(|m| m.contains(&person.id)))
                }
                PeopleSource::Org => person.status != PersonStatus::Deprovisioned,
            })
            .filter(|person| !okta.hidden.contains(&person.id))
            .cloned()
            .collect();
        let chunks: Vec<Vec<Person>> =
            if listed.is_empty() { vec![vec![]] } else { listed.chunks(3).map(<[Person]>::to_vec).collect() };
        let count = chunks.len();
        let mut pages = Vec::new();
        for (i, items) in chunks.into_iter().enumerate() {
            if okta.fail_on_page == Some(i + 1) {
                pages.push(Err(down(Side::Okta)));
                break;
            }
            let cut = okta.cut_after_page == Some(i + 1);
            let page = Page { items, last: i + 1 == count && !cut };
            if okta.repeat_page == Some(i + 1) {
                pages.push(Ok(Page { last: false, ..page.clone() }));
            }
            pages.push(Ok(page));
            if cut {
                break;
            }
        }
        self.calls.fetch_add(pages.len() as u64, Ordering::Relaxed);
        futures::stream::iter(pages).boxed()
    }

    async fn person(&self, source: &PeopleSource, id: &str) -> Result<Standing, Failure> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let okta = self.okta();
        let Some(person) = okta.people.get(id) else { return Ok(Standing::Gone) };
        let there = match source {
            PeopleSource::App(_) => okta.assigned.contains(id),
            PeopleSource::Groups(groups) => groups.iter().any(|g| okta.groups.get(g).is_some_and(|m| m.contains(id))),
            PeopleSource::Org => true,
        };
        Ok(if there {
            Standing::Present(Box::new(person.clone()))
        } else {
            Standing::NotInSource(person.status.clone())
        })
    }

    async fn members(&self, groups: &[String]) -> Result<HashSet<String>, Failure> {
        let okta = self.okta();
        Ok(groups.iter().filter_map(|group| okta.groups.get(group)).flatten().cloned().collect())
    }

    async fn is_member(&self, id: &str, groups: &[String]) -> Result<bool, Failure> {
        let okta = self.okta();
        Ok(groups.iter().any(|group| okta.groups.get(group).is_some_and(|members| members.contains(id))))
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Teleport {
    fn begin(&mut self, what: String, user: &str) -> Result<(), WriteError> {
        if let Some(left) = self.dies_after.as_mut() {
            if *left == 0 {
                return Err(down(Side::Teleport).into());
            }
            *left -= 1;
        }
        if let Some(failure) = self.refuses.get(user) {
            return Err(failure.clone().into());
        }
        if self.untouchable.contains(user) {
            self.violations.push(format!("{what}: not ours"));
        }
        if !self.announced.iter().any(|told| told == user) {
            self.violations.push(format!("{what}: the journal was told nothing"));
        }
        self.writes.push(what);
        Ok(())
    }

    fn next_revision(&mut self) -> String {
        self.revision += 1;
        self.revision.to_string()
    }

    fn enforced_on(&self, user: &str) -> bool {
        self.locks.values().any(|lock| lock.user == user && self.enforced.contains(&lock.name))
    }
}

impl Cluster for World {
    async fn prove_identity(&self) -> Result<ClusterFacts, Failure> {
        Ok(ClusterFacts {
            name: "test".into(),
            version: "17.0.0".into(),
            origin_mode: self.mode,
            own_name: "bot-okta-user-sync".into(),
            route: "Proxy".into(),
            identity_expires: None,
            notices: vec![],
            expiring: None,
        })
    }

    async fn roles(&self) -> Result<Vec<Role>, Failure> {
        Ok(self.teleport().roles.clone())
    }

    async fn connector(&self, _name: &str) -> Result<ConnectorLookup, Failure> {
        Ok(self.teleport().connector.clone().unwrap_or(ConnectorLookup::Found { app_id: Some(APP.into()) }))
    }

    fn users(&self) -> Pages<'_, User> {
        let teleport = self.teleport();
        let users = teleport.stale.clone().unwrap_or_else(|| teleport.users.values().cloned().collect());
        drop(teleport);
        let mut pages: Vec<Result<Page<User>, Failure>> =
            users.chunks(2).map(|chunk| Ok(Page { items: chunk.to_vec(), last: false })).collect();
        pages.push(Ok(Page { items: vec![], last: true }));
        futures::stream::iter(pages).boxed()
    }

    async fn user(&self, name: &str) -> Result<Option<User>, Failure> {
        Ok(self.teleport().users.get(name).cloned())
    }

    async fn locks(&self) -> Result<Vec<Lock>, Failure> {
        let teleport = self.teleport();
        Ok(teleport.locks.values().filter(|lock| teleport.enforced.contains(&lock.name)).cloned().collect())
    }

    async fn create_user(&self, user: &NewUser) -> Result<(), WriteError> {
        for _ in 0..self.slow {
            tokio::task::yield_now().await;
        }
        let mut teleport = self.teleport();
        if teleport.users.contains_key(&user.name) {
            return Err(WriteError::Exists);
        }
        teleport.begin(format!("create {}", user.name), &user.name)?;
        let revision = teleport.next_revision();
        teleport.users.insert(
            user.name.clone(),
            User {
                name: user.name.clone(),
                revision,
                labels: user.labels.clone(),
                roles: user.roles.clone(),
                traits: user.traits.clone(),
                created_by: Some(user.created_by.clone()),
                ..User::default()
            },
        );
        Ok(())
    }

    async fn update_user(&self, user: &User, edit: &UserEdit) -> Result<(), WriteError> {
        let mut teleport = self.teleport();
        if teleport.users.get(&user.name).is_none_or(|stored| stored.revision != user.revision) {
            return Err(WriteError::Stale);
        }
        teleport.begin(format!("update {}", user.name), &user.name)?;
        let revision = teleport.next_revision();
        let stored = teleport.users.get_mut(&user.name).unwrap();
        stored.revision = revision;
        stored.labels.clone_from(&edit.labels);
        stored.roles.clone_from(&edit.roles);
        stored.traits.clone_from(&edit.traits);
        stored.expires = None;
        Ok(())
    }

    async fn delete_user(&self, name: &str) -> Result<Deleted, WriteError> {
        let mut teleport = self.teleport();
        teleport.begin(format!("delete {name}"), name)?;
        if !teleport.enforced_on(name) {
            teleport.violations.push(format!("P4: {name} was deleted before its lock was enforced"));
        }
        Ok(if teleport.users.remove(name).is_some() { Deleted::Now } else { Deleted::Before })
    }

    async fn put_lock(&self, lock: &Lock) -> Result<(), WriteError> {
        let mut teleport = self.teleport();
        teleport.begin(format!("lock {}", lock.user), &lock.user)?;
        teleport.locks.insert(lock.name.clone(), Lock { created: Some(self.now), ..lock.clone() });
        Ok(())
    }

    async fn remove_lock(&self, name: &str) -> Result<(), WriteError> {
        let mut teleport = self.teleport();
        let Some(lock) = teleport.locks.get(name).cloned() else { return Ok(()) };
        teleport.begin(format!("unlock {}", lock.user), &lock.user)?;
        let ours = lock.ours.as_ref().is_some_and(|mark| mark.owner == OWNER);
        if !ours {
            teleport.violations.push(format!("P6: the lock {name} is not ours"));
        }
        teleport.locks.remove(name);
        teleport.enforced.remove(name);
        Ok(())
    }

    async fn in_force(&self, lock_names: &[String]) -> Result<HashSet<String>, Failure> {
        let mut teleport = self.teleport();
        if teleport.enforces {
            let stored: Vec<String> = lock_names.iter().filter(|n| teleport.locks.contains_key(*n)).cloned().collect();
            teleport.enforced.extend(stored);
        }
        Ok(lock_names.iter().filter(|n| teleport.enforced.contains(*n)).cloned().collect())
    }
}

impl Journal for World {
    fn begins(&self, write: &Write<'_>) -> u64 {
        let mut teleport = self.teleport();
        teleport.announced.push(write.user.to_owned());
        teleport.journal.push(format!("begins {} {} {}", write.action.as_str(), write.okta_id, write.why));
        0
    }

    fn ended(&self, _: u64, write: &Write<'_>, outcome: Result<(), &WriteError>) {
        let mut teleport = self.teleport();
        let at = teleport.announced.iter().position(|user| user == write.user).expect("what ended has begun");
        teleport.announced.remove(at);
        let outcome = if outcome.is_ok() { "done" } else { "failed" };
        teleport.journal.push(format!("{outcome} {} {} {}", write.action.as_str(), write.okta_id, write.why));
    }
}

/// A local user without anything of ours.
pub fn local_user(name: &str) -> User {
    User { name: name.into(), revision: "x".into(), roles: vec!["editor".into()], ..User::default() }
}

/// Whether the user carries our label.
pub fn is_ours(user: &User) -> bool {
    user.labels.get(names::OWNER_LABEL).is_some_and(|owner| owner == OWNER)
}
