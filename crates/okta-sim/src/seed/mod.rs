//! Made-up orgs: the same people for the same seed.

mod names;
pub(crate) mod nasty;

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};

use crate::clock::Stamp;
use crate::json;
use crate::org::apps::{App, Assignment, saml_body, service_body};
use crate::org::groups::{Group, Members};
use crate::org::person::{Person, Status};
use crate::org::state::State;
use crate::refusal::Refusal;
use names::{CITIES, DEPARTMENTS, FIRST, LAST, TITLES};

/// What a made-up org holds.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub people: usize,
    pub seed: u64,
    pub custom_attributes: usize,
    pub nasty: bool,
}

/// 2024-01-01T00:00:00Z: seeded people were made in the two years that follow.
const FOUNDED: i64 = 1_704_067_200_000;

/// Day length in milliseconds.
const DAY: i64 = 86_400_000;

/// The ids of the apps that every made-up org has.
#[derive(Debug, Clone)]
pub(crate) struct SeededApps {
    /// The SAML app that all seeded people are assigned to.
    pub saml: crate::id::OktaId,
    /// The API Services app.
    pub service: crate::id::OktaId,
}

/// Fills an empty org: two apps, groups, and exactly `plan.people` ordinary active people, each assigned to the SAML
/// app under a user name of its own.
pub(crate) fn fill(state: &mut State, plan: &Plan, now: Stamp) -> Result<SeededApps, Refusal> {
    let founded = Stamp::from_millis(FOUNDED);
    let saml = state.mint.make("0oa");
    let service = state.mint.make("0oa");
    let kid = state.mint.letters(43);
    state.apps.push(App {
        id: saml,
        body: saml_body("Teleport", "acme_teleport_1", founded, &kid, &state.org_id),
        users: std::collections::BTreeMap::new(),
        groups: Vec::new(),
        verbatim: false,
    });
    state.apps.push(App {
        id: service,
        body: service_body("okta-user-sync", &service, founded, false),
        users: std::collections::BTreeMap::new(),
        groups: Vec::new(),
        verbatim: false,
    });
    add_group(state, "Everyone", "All users in your organization", true, founded);
    for department in DEPARTMENTS {
        add_group(state, department, "", false, founded);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
    state.people.reserve(plan.people);
    let mut members: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); DEPARTMENTS.len()];
    for number in 1..=plan.people {
        let (place, department) = add_person(state, number, plan, &mut rng, now)?;
        members[department].insert(place);
    }
    for (group, set) in state.groups.iter_mut().skip(1).zip(members) {
        group.members = Members::Chosen(set);
    }
    if plan.nasty {
        nasty::add(state, saml, now)?;
    }
    Ok(SeededApps { saml, service })
}

fn add_group(state: &mut State, name: &str, description: &str, everyone: bool, now: Stamp) {
    let mut profile = Map::new();
    profile.insert("name".to_owned(), name.into());
    let description = if description.is_empty() { Value::Null } else { description.into() };
    profile.insert("description".to_owned(), description);
    let id = state.mint.make("00g");
    state.groups.push(Group {
        id,
        kind: if everyone { "BUILT_IN" } else { "OKTA_GROUP" },
        created: now,
        last_updated: now,
        last_membership_updated: now,
        profile,
        members: if everyone { Members::Everyone } else { Members::Chosen(BTreeSet::new()) },
    });
}

/// Adds the person with this number; answers the place and the department's place in the list.
fn add_person(
    state: &mut State,
    number: usize,
    plan: &Plan,
    rng: &mut ChaCha8Rng,
    now: Stamp,
) -> Result<(u32, usize), Refusal> {
    let department = rng.random_range(0..DEPARTMENTS.len());
    let age = rng.random_range(0..700);
    let created = Stamp::from_millis((FOUNDED + age * DAY + rng.random_range(0..DAY)).min(now.millis()));
    let (login, profile) = profile(number, department, plan, rng);
    let person = Person {
        id: state.mint.make("00u"),
        status: Status::Active,
        transitioning: None,
        created,
        activated: Some(created),
        status_changed: Some(created.plus_millis(1000)),
        last_login: (!number.is_multiple_of(7)).then(|| created.plus_millis(3_600_000)),
        last_updated: created.plus_millis(1000),
        password_changed: Some(created.plus_millis(1000)),
        has_password: true,
        profile: profile.into(),
        verbatim: None,
    };
    let place = state.people.add(person, &login)?;
    let mut entry = Assignment::new(&login, created.plus_millis(60_000));
    entry.direct = true;
    if number.is_multiple_of(4) {
        entry.profile = app_profile(number).into();
    }
    if let Some(app) = state.apps.first_mut() {
        app.users.insert(place, entry);
    }
    Ok((place, department))
}

/// Login and profile of the person with this number: about twenty values, names of all scripts, an ASCII login.
fn profile(number: usize, department: usize, plan: &Plan, rng: &mut ChaCha8Rng) -> (String, String) {
    let (first, first_ascii) = FIRST[rng.random_range(0..FIRST.len())];
    let (last, last_ascii) = LAST[rng.random_range(0..LAST.len())];
    let (city, country, zone, locale) = CITIES[rng.random_range(0..CITIES.len())];
    let login = format!("{first_ascii}.{last_ascii}.{number}@example.com");
    let mut out = String::with_capacity(768 + 40 * plan.custom_attributes);
    out.push('{');
    json::text(&mut out, "firstName", first);
    json::text(&mut out, "lastName", last);
    json::raw(&mut out, "mobilePhone", "null");
    json::raw(&mut out, "secondEmail", "null");
    json::text(&mut out, "login", &login);
    json::text(&mut out, "email", &login);
    json::text(&mut out, "displayName", &format!("{first} {last}"));
    json::text(&mut out, "title", TITLES[rng.random_range(0..TITLES.len())]);
    json::text(&mut out, "department", DEPARTMENTS[department]);
    json::text(&mut out, "division", if department < 4 { "Technology" } else { "Business" });
    json::text(&mut out, "organization", "Example Corporation");
    json::text(&mut out, "costCenter", &format!("CC-{:03}", 100 + department * 10 + rng.random_range(0..10)));
    json::text(&mut out, "employeeNumber", &format!("{:06}", 100_000 + number));
    json::text(&mut out, "userType", if rng.random_range(0..6) == 0 { "Contractor" } else { "Employee" });
    json::text(&mut out, "city", city);
    json::text(&mut out, "countryCode", country);
    json::text(&mut out, "timezone", zone);
    json::text(&mut out, "locale", locale);
    json::text(&mut out, "preferredLanguage", locale.split('_').next().unwrap_or("en"));
    json::text(&mut out, "primaryPhone", &format!("+1-555-{:07}", rng.random_range(0..10_000_000)));
    json::raw(&mut out, "onCall", if rng.random_range(0..5) == 0 { "true" } else { "false" });
    json::raw(&mut out, "accessLevel", &rng.random_range(1..=5).to_string());
    for attribute in 0..plan.custom_attributes {
        custom_attribute(&mut out, attribute, number);
    }
    out.push('}');
    (login, out)
}

/// One made-up custom attribute: strings, numbers, booleans and lists in turn.
fn custom_attribute(out: &mut String, attribute: usize, number: usize) {
    let name = format!("custom{:03}", attribute + 1);
    match attribute % 5 {
        0 => json::text(out, &name, &format!("value {attribute} of {number}")),
        1 => json::raw(out, &name, &(number * 31 + attribute).to_string()),
        2 => json::raw(out, &name, if (number + attribute).is_multiple_of(2) { "true" } else { "false" }),
        3 => json::raw(out, &name, &format!("[\"team-{}\",\"site-{}\"]", number % 17, attribute % 9)),
        _ => json::raw(out, &name, &format!("{}.5", number % 1000)),
    }
}

/// The app user profile that every fourth person has; the others' is empty, as with most SSO-only apps.
fn app_profile(number: usize) -> String {
    format!(
        r#"{{"teleportTeam":"team-{}","environments":["staging"{}]}}"#,
        number % 12,
        if number.is_multiple_of(8) { ",\"production\"" } else { "" },
    )
}
