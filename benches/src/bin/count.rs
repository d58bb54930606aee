//! Runs one pure part of the engine once, so that its instructions can be counted (`tests/instructions.rs`): `count plan`,
//! `count traits`, `count hash`, `count again`. What stands in [`measured`] is what is counted; all that prepares it is not.

use std::{hint::black_box, process::ExitCode, sync::Arc};

use engine::{
    census::Census,
    cluster::{ClusterFacts, OriginMode},
    desired::{Carried, desired},
    feed::Cursor,
    guard::plan_hash,
    observed::Observed,
    people::{Cause, People},
    person::{AssignmentStatus, Person, PersonStatus},
    plan::{Removal, Situation, plan},
    policy::Policy,
    report::Read,
    role::Ceiling,
    roster::Roster,
    traits,
    user::User,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// People in the plan, each with a user that is as it should be, but for one in a thousand who has left.
const PEOPLE: usize = 100_000;

/// Attributes of the profile.
const ATTRIBUTES: usize = 300;

/// Removals in the plan that is hashed.
const REMOVALS: usize = 10_000;

/// Events of the System Log in a poll that were told by the one before.
const EVENTS: usize = 10_000;

fn main() -> ExitCode {
    let what = std::env::args().nth(1).unwrap_or_default();
    let done = match what.as_str() {
        "plan" => policy().map(|policy| plan_of_many(&policy)),
        "traits" => policy().map(|policy| {
            let person = person(0, attributes());
            measured(|| traits::map(&person, &policy.traits)).traits.len()
        }),
        "hash" => {
            let removals: Vec<Removal> = (0..REMOVALS).map(removal).collect();
            Ok(measured(|| plan_hash(&removals)).len())
        }
        "again" => Ok(told_again()),
        _ => Err("say what to count: plan, traits, hash or again".to_owned()),
    };
    match done {
        Ok(size) => {
            println!("{size}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("count: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What is counted. It is found by its name, so it must stay a function of its own.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Removals in a plan over [`PEOPLE`] digests.
fn plan_of_many(policy: &Policy) -> usize {
    let (facts, mut census) = (facts(), Census::default());
    for n in 0..PEOPLE {
        census.add(&user(&person(n, Map::new()), policy).view(), &facts);
    }
    let observed = Observed::of(Arc::new(census), policy, &Roster::default());
    let mut people = People::default();
    for n in (0..PEOPLE).filter(|n| !n.is_multiple_of(1000)) {
        people.note(&person(n, Map::new()), policy, OriginMode::Bot, &observed, |_| true);
    }
    people.read = Read::Complete;
    // A pass has asked who has which accounts before it plans, and what it was answered is kept.
    black_box(observed.owned());
    let situation = Situation {
        policy,
        observed: &observed,
        people: &people,
        mode: OriginMode::Bot,
        lock_life: SignedDuration::from_hours(31),
        now: Timestamp::UNIX_EPOCH,
    };
    measured(|| plan(situation)).removals.len()
}

/// Events in a poll that are known from the poll before.
fn told_again() -> usize {
    let events: Vec<String> = (0..EVENTS).map(event).collect();
    let mut cursor = Cursor::since(Timestamp::UNIX_EPOCH);
    let mut first = cursor.reading();
    for (n, event) in events.iter().enumerate() {
        first.read(event.as_bytes(), &uuid(n));
    }
    let texts = first.end();
    cursor.met(texts);
    let ids: Vec<String> = (0..EVENTS).map(uuid).collect();
    let told = ids.iter().map(|id| (id.as_str(), Timestamp::UNIX_EPOCH));
    cursor.advance(Timestamp::UNIX_EPOCH, told, SignedDuration::from_mins(6));
    measured(|| {
        let mut reading = cursor.reading();
        events.iter().filter(|event| reading.again(event.as_bytes()).is_some()).count()
    })
}

fn uuid(n: usize) -> String {
    format!("{n:08x}-7d2c-11f0-9a5e-0123456789ab")
}

/// An event, as long as most of them are.
fn event(n: usize) -> String {
    let event = json!({
        "uuid": uuid(n), "published": "2026-01-01T00:00:00.000Z", "eventType": "group.user_membership.add",
        "target": [{ "id": format!("00u{n:017}"), "type": "User" }], "debugContext": "x".repeat(1200),
    });
    event.to_string()
}

fn policy() -> Result<Policy, String> {
    let spec = json!({
        "okta": { "orgURL": "https://acme.okta.com", "clientID": "0oa1api2services3app" },
        "scope": { "appID": "0oa9saml8app7telepor" }
    });
    let spec = serde_json::from_value(spec).map_err(|error| error.to_string())?;
    let ceiling = Ceiling::new(&["okta-requester".to_owned()]).map_err(|failure| failure.to_string())?;
    Policy::new("bench/bench", &spec, &ceiling, Vec::new()).map_err(|failure| failure.to_string())
}

fn facts() -> ClusterFacts {
    ClusterFacts {
        name: "teleport.example.com".into(),
        version: "17.0.0".into(),
        origin_mode: OriginMode::Bot,
        own_name: "bot-okta-user-sync".into(),
        route: String::new(),
        identity_expires: None,
        notices: Vec::new(),
        expiring: None,
    }
}

fn person(n: usize, profile: Map<String, Value>) -> Person {
    Person {
        id: format!("00u{n:017}"),
        user_name: Some(format!("person.{n:06}@acme.example.com")),
        status: PersonStatus::Active,
        becoming: None,
        assignment: Some(AssignmentStatus::Active),
        profile,
        app_profile: Map::new(),
    }
}

/// A profile as large organisations have them: mostly short texts, some numbers, switches, lists and empty values.
fn attributes() -> Map<String, Value> {
    let value = |n: usize| match n % 10 {
        0 => json!(n),
        1 => json!(n.is_multiple_of(3)),
        2 => json!(["eu-west", "tools", format!("list-{n}")]),
        3 => Value::Null,
        4 => json!(""),
        _ => json!(format!("value number {n}")),
    };
    (0..ATTRIBUTES).map(|n| (format!("customAttribute{n:03}"), value(n))).collect()
}

/// The user that the person should have, as Teleport answers it.
fn user(person: &Person, policy: &Policy) -> User {
    let name = person.user_name.as_deref().unwrap_or_default();
    let new = desired(person, name, policy, OriginMode::Bot).new_user(&policy.connector, &Carried::default());
    User {
        name: new.name,
        labels: new.labels,
        roles: new.roles,
        traits: new.traits,
        created_by: Some(new.created_by),
        ..User::default()
    }
}

fn removal(n: usize) -> Removal {
    Removal {
        okta_id: format!("00u{n:017}"),
        name: format!("person.{n:06}@acme.example.com"),
        cause: Cause::Deactivated,
        begun: false,
        after_creation: false,
    }
}
