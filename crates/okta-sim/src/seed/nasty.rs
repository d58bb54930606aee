//! The awkward corner of a made-up org: one person for each thing that has broken a client before.
//!
//! They come on top of the ordinary people, and are asked for separately.

use serde_json::{Map, Value, json};

use crate::clock::Stamp;
use crate::id::OktaId;
use crate::org::apps::Assignment;
use crate::org::person::{Person, Status};
use crate::org::state::State;
use crate::refusal::Refusal;

/// One awkward person.
struct Case {
    login: String,
    first: Value,
    last: Value,
    status: &'static str,
    /// `None`: the assignment has no credentials at all.
    user_name: Option<String>,
    app_status: Option<&'static str>,
    profile: Value,
    app_profile: Value,
}

impl Case {
    fn new(login: &str) -> Self {
        Self {
            login: login.to_owned(),
            first: "Corner".into(),
            last: "Case".into(),
            status: "ACTIVE",
            user_name: Some(login.to_owned()),
            app_status: None,
            profile: json!({}),
            app_profile: json!({}),
        }
    }

    fn named(login: &str, user_name: &str) -> Self {
        Self { user_name: Some(user_name.to_owned()), ..Self::new(login) }
    }

    fn status(login: &str, status: &'static str) -> Self {
        Self { status, ..Self::new(login) }
    }
}

/// Adds the awkward people and assigns them to the app.
pub(crate) fn add(state: &mut State, app: OktaId, now: Stamp) -> Result<(), Refusal> {
    for case in cases() {
        let id = state.mint.make("00u");
        add_case(state, app, now, id, case)?;
    }
    // Two ids that differ by case only.
    for id in ["00uCornerCase0aaa5d7", "00uCornerCase0AAA5d7"] {
        if let Some(id) = OktaId::new(id) {
            let login = format!("{}@example.com", if id.as_str().contains("aaa") { "low" } else { "high" });
            add_case(state, app, now, id, Case::new(&login))?;
        }
    }
    Ok(())
}

fn add_case(state: &mut State, app: OktaId, now: Stamp, id: OktaId, case: Case) -> Result<(), Refusal> {
    let mut profile = Map::new();
    profile.insert("firstName".to_owned(), case.first);
    profile.insert("lastName".to_owned(), case.last);
    profile.insert("mobilePhone".to_owned(), Value::Null);
    profile.insert("secondEmail".to_owned(), Value::Null);
    profile.insert("login".to_owned(), case.login.as_str().into());
    profile.insert("email".to_owned(), case.login.as_str().into());
    if let Value::Object(more) = case.profile {
        profile.extend(more);
    }
    let person = Person {
        id,
        status: Status::parse(case.status),
        transitioning: None,
        created: now,
        activated: Some(now),
        status_changed: Some(now),
        last_login: None,
        last_updated: now,
        password_changed: None,
        has_password: false,
        profile: Value::Object(profile).to_string().into(),
        verbatim: None,
    };
    let place = state.people.add(person, &case.login)?;
    let mut entry = Assignment::new("", now);
    entry.direct = true;
    entry.named_by_hand = true;
    entry.user_name = case.user_name.map(Into::into);
    entry.status = case.app_status.map(Into::into);
    entry.profile = case.app_profile.to_string().into();
    state.app_mut(app.as_str())?.users.insert(place, entry);
    Ok(())
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for status in [
        "SUSPENDED",
        "LOCKED_OUT",
        "PASSWORD_EXPIRED",
        "RECOVERY",
        "PROVISIONED",
        "STAGED",
        "DEPROVISIONED",
        "HIBERNATING",
    ] {
        all.push(Case::status(&format!("{}@corner.example.com", status.to_lowercase()), status));
    }
    for (number, status) in
        ["PROVISIONED", "STAGED", "INACTIVE", "SUSPENDED", "REVOKED", "MATCHED", "LEVITATING"].into_iter().enumerate()
    {
        all.push(Case { app_status: Some(status), ..Case::new(&format!("app-status-{number}@corner.example.com")) });
    }
    all.extend(names());
    all.extend(values());
    all
}

/// User names that are hard to keep apart, to escape or to fit anywhere.
fn names() -> Vec<Case> {
    let mut all = vec![
        Case { user_name: None, ..Case::new("no-credentials@corner.example.com") },
        Case::named("no-at@corner.example.com", "noatsign"),
        Case::named("Mixed.Case@corner.example.com", "Mixed.Case@corner.example.com"),
        Case::named("mixed-case-twin@corner.example.com", "mixed.case@corner.example.com"),
        Case::named("twin-1@corner.example.com", "twin@corner.example.com"),
        Case::named("twin-2@corner.example.com", "twin@corner.example.com"),
        Case::named("plus+tag@corner.example.com", "plus+tag@corner.example.com"),
        Case::named("o'brien@corner.example.com", "o'brien@corner.example.com"),
        Case::named("space@corner.example.com", "space in name"),
        Case::named("slash@corner.example.com", "slash/name"),
        Case::named("backslash@corner.example.com", "DOMAIN\\name"),
        Case::named("colon@corner.example.com", "urn:name"),
        Case::named("nfc@corner.example.com", "caf\u{e9}@corner.example.com"),
        Case::named("nfd@corner.example.com", "cafe\u{301}@corner.example.com"),
        Case::named("wide@corner.example.com", "张伟@corner.example.com"),
    ];
    let long = format!("{}@corner.example.com", "l".repeat(80));
    all.push(Case::new(&long));
    let mut single = Case::new("single@corner.example.com");
    single.first = "X".into();
    single.last = "Y".repeat(50).into();
    all.push(single);
    let mut nameless = Case::new("nameless@corner.example.com");
    nameless.first = Value::Null;
    nameless.last = Value::Null;
    all.push(nameless);
    let mut emoji = Case::new("astral@corner.example.com");
    emoji.first = "😀".into();
    all.push(emoji);
    let mut bidi = Case::new("bidi@corner.example.com");
    bidi.first = "\u{200f}עברית".into();
    all.push(bidi);
    all
}

/// Profile values of every type, and attribute names that mean something elsewhere.
fn values() -> Vec<Case> {
    let mut types = Case::new("types@corner.example.com");
    types.profile = json!({
        "emptyText": "", "blanks": "  both ends  ", "html": "<b>bold</b> & \"quoted\"", "newline": "two\nlines",
        "emptyList": [], "list": ["a", "b", "a"], "numbers": [1, 2, 3], "mixed": ["", null, "x"],
        "yes": true, "no": false, "one": 1, "oneAndNothing": 1.0, "big": 2_147_483_647, "huge": 9_007_199_254_740_993_i64,
        "fraction": 0.1, "date": "2026-01-01T00:00:00.000Z", "postalAddress": "p".repeat(4096),
        "nested": { "should": "not happen" },
    });
    let mut privileged = Case::new("privileged@corner.example.com");
    privileged.profile = json!({
        "logins": ["root"], "groups": ["admins"], "kubernetes_users": ["system:admin"],
        "aws_role_arns": ["arn:aws:iam::1:role/admin"], "email": "privileged@corner.example.com",
    });
    let mut both = Case::new("both@corner.example.com");
    both.profile = json!({ "department": "From the person", "role": "person" });
    both.app_profile = json!({ "department": "From the app", "email": "app@corner.example.com", "role": null });
    vec![types, privileged, both]
}
