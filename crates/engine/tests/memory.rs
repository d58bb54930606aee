//! What a pass over very many people takes, byte by byte, at a number of people at which every table that doubles has just
//! doubled: its worst. A test binary of its own, as each allocation of it counts.
#![allow(clippy::unwrap_used, clippy::panic)] // a fixture says what it expects

use std::{collections::HashSet, time::Duration};

use api::{OktaUserSyncSpec, status::Memory};
use engine::{
    cluster::{Cluster, ClusterFacts, ConnectorLookup, Deleted, OriginMode, WriteError},
    desired::{Carried, desired},
    directory::{Directory, Organisation, Page, Pages, PeopleSource, Standing},
    failure::Failure,
    ledger::Ledger,
    lock::Lock,
    pass::Pass,
    person::{AssignmentStatus, Person, PersonStatus},
    policy::Policy,
    report::Outcome,
    role::{Ceiling, Role},
    user::{NewUser, User, UserEdit},
};
use futures::{FutureExt as _, StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use peak_alloc::PeakAlloc;
use serde_json::{Map, json};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// People: a few more than the seven eighths of 2^17 places that a table fills before it doubles.
const PEOPLE: usize = 115_000;

/// Entries of a page. It is a small one, as what a page takes is no matter here.
const PAGE: usize = 100;

/// Bytes for each person at the peak of the first pass, at most; id, name and digest are 58 of them.
const FIRST: usize = 180;

/// The same of a pass after it, with what that one has left.
const LATER: usize = 200;

/// Bytes for each person between two passes, at most.
const KEPT: usize = 95;

const APP: &str = "0oa9saml8app7telepor";

/// Both sides, made up page by page and held nowhere. Everybody is as they should be.
struct Crowd {
    policy: Policy,
}

impl Crowd {
    fn new() -> Self {
        let spec = json!({
            "okta": { "orgURL": "https://acme.okta.com", "clientID": "0oa1api2services3app" }, "scope": { "appID": APP }
        });
        let spec: OktaUserSyncSpec = serde_json::from_value(spec).unwrap();
        let ceiling = Ceiling::new(&["okta-requester".to_owned()]).unwrap();
        Self { policy: Policy::new("ns/acme", &spec, &ceiling, Vec::new()).unwrap() }
    }

    /// What Teleport holds of a person.
    fn user(&self, n: usize) -> User {
        let person = person(n);
        let name = person.user_name.as_deref().unwrap();
        let new =
            desired(&person, name, &self.policy, OriginMode::Bot).new_user(&self.policy.connector, &Carried::default());
        User {
            name: new.name,
            labels: new.labels,
            roles: new.roles,
            traits: new.traits,
            created_by: Some(new.created_by),
            ..User::default()
        }
    }
}

fn person(n: usize) -> Person {
    Person {
        id: format!("00u{n:017}"),
        user_name: Some(format!("person.{n:06}@acme.example.com")),
        status: PersonStatus::Active,
        becoming: None,
        assignment: Some(AssignmentStatus::Active),
        profile: Map::new(),
        app_profile: Map::new(),
    }
}

fn pages<'a, T: Send + 'a>(entry: impl Fn(usize) -> T + Send + 'a) -> Pages<'a, T> {
    stream::iter((0..PEOPLE).step_by(PAGE))
        .map(move |first| {
            let end = PEOPLE.min(first + PAGE);
            Ok(Page { items: (first..end).map(&entry).collect(), last: end == PEOPLE })
        })
        .boxed()
}

impl Directory for Crowd {
    async fn organisation(&self, _: &PeopleSource) -> Result<Organisation, Failure> {
        Ok(Organisation { id: "00o1".into(), ..Organisation::default() })
    }

    fn people<'a>(&'a self, _: &'a PeopleSource) -> Pages<'a, Person> {
        pages(person)
    }

    async fn person(&self, _: &PeopleSource, id: &str) -> Result<Standing, Failure> {
        panic!("{id} is in the list")
    }

    async fn members(&self, _: &[String]) -> Result<HashSet<String>, Failure> {
        panic!("no group narrows the scope")
    }

    async fn is_member(&self, _: &str, _: &[String]) -> Result<bool, Failure> {
        panic!("no group narrows the scope")
    }

    fn calls(&self) -> u64 {
        0
    }
}

impl Cluster for Crowd {
    type Listed = User;

    async fn prove_identity(&self) -> Result<ClusterFacts, Failure> {
        Ok(ClusterFacts {
            name: "teleport.example.com".into(),
            version: "17.0.0".into(),
            origin_mode: OriginMode::Bot,
            own_name: "bot-okta-user-sync".into(),
            route: String::new(),
            identity_expires: None,
            notices: Vec::new(),
            expiring: None,
        })
    }

    async fn roles(&self) -> Result<Vec<Role>, Failure> {
        let max_session_ttl = Some(SignedDuration::from_hours(30));
        Ok(vec![Role { name: "okta-requester".into(), max_session_ttl, grants_nothing: true }])
    }

    async fn connector(&self, _: &str) -> Result<ConnectorLookup, Failure> {
        Ok(ConnectorLookup::Found { app_id: Some(APP.into()) })
    }

    fn users(&self) -> Pages<'_, User> {
        pages(|n| self.user(n))
    }

    async fn locks(&self) -> Result<Vec<Lock>, Failure> {
        Ok(Vec::new())
    }

    async fn user(&self, name: &str) -> Result<Option<User>, Failure> {
        panic!("{name} needs no second look")
    }

    async fn create_user(&self, user: NewUser) -> Result<(), WriteError> {
        panic!("{} is there", user.name)
    }

    async fn update_user(&self, user: &User, _: &UserEdit) -> Result<(), WriteError> {
        panic!("{} is as it should be", user.name)
    }

    async fn delete_user(&self, name: &str) -> Result<Deleted, WriteError> {
        panic!("{name} stays")
    }

    async fn put_lock(&self, lock: &Lock) -> Result<(), WriteError> {
        panic!("{} stays", lock.user)
    }

    async fn remove_lock(&self, name: &str) -> Result<(), WriteError> {
        panic!("there is no lock {name}")
    }

    async fn in_force(&self, _: &[String]) -> Result<HashSet<String>, Failure> {
        panic!("there is no lock")
    }
}

/// Runs a pass that finds nothing to do, and answers bytes for each person, over those of before everything: at its peak, and
/// afterwards.
fn pass(crowd: &Crowd, ledger: &Ledger, before: usize) -> (usize, usize) {
    let pass = Pass {
        policy: &crowd.policy,
        memory: Memory::default(),
        pending: None,
        pinned_org: "",
        ledger,
        started: Timestamp::UNIX_EPOCH,
        list_age: Duration::ZERO,
        id: "pass".into(),
        may_write: &|| true,
        detail: false,
        progress: &|_| {},
        journal: &(),
    };
    ALLOCATED.reset_peak_usage();
    // Neither side ever waits.
    let report = pass.run(crowd, crowd).now_or_never().unwrap();
    let (peak, kept) = (ALLOCATED.peak_usage() - before, ALLOCATED.current_usage() - before);
    assert_eq!((report.outcome, report.failure, report.writes), (Outcome::Succeeded, None, 0));
    assert_eq!(usize::try_from(report.counts.synced).unwrap(), PEOPLE);
    (peak / PEOPLE, kept / PEOPLE)
}

#[test]
fn a_pass_takes_so_many_bytes_a_person_and_leaves_so_many() {
    let (crowd, ledger) = (Crowd::new(), Ledger::default());
    let before = ALLOCATED.current_usage();
    for (which, most) in [("first", FIRST), ("second", LATER)] {
        let (peak, kept) = pass(&crowd, &ledger, before);
        eprintln!("the {which} pass: {peak} bytes a person at its peak, {kept} afterwards");
        assert!(peak <= most, "the {which} pass takes {peak} bytes a person, and {most} at most are meant");
        assert!(kept <= KEPT, "the {which} pass leaves {kept} bytes a person, and {KEPT} at most are meant");
    }
}
