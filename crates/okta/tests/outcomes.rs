//! Each fault on each call, and what comes of it. One table, and one rule over all of it: nobody would be removed.
//!
//! People are removed only when a complete list leaves them out and Okta, asked by id, says that they are gone or not in
//! the source (P1, P3). So whatever a fault makes of a list or of an answer, that must not come together for anybody who
//! is in fact there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use common::{app, org, read, settings};
use engine::{
    directory::{Directory, PeopleSource, Standing},
    failure::Failure,
    feed::{Cursor, Feed as _, Watch},
};
use jiff::Timestamp;
use okta::{Governor, OktaClient, Patience, Scope};
use okta_sim::{KeyKind, OktaSim, Options};
use serde_json::{Value, json};

/// People in the organisation, and on one page: three pages.
const PEOPLE: usize = 6;
const PAGE: usize = 2;

/// A call of the client, and the path that it is known by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Description,
    Token,
    App,
    AppUsers,
    AppUser,
    Users,
    User,
    GroupSearch,
    Members,
    OwnGroups,
    Log,
}

const CALLS: [(Call, &str, &str); 11] = [
    (Call::Description, "org", "/.well-known/okta-organization"),
    (Call::Token, "token", "/oauth2/v1/token"),
    (Call::App, "app", "/api/v1/apps/{app}"),
    (Call::AppUsers, "app/users", "/api/v1/apps/{app}/users"),
    (Call::AppUser, "app/user", "/api/v1/apps/{app}/users/{person}"),
    (Call::Users, "users", "/api/v1/users"),
    (Call::User, "user", "/api/v1/users/{person}"),
    (Call::GroupSearch, "groups", "/api/v1/groups"),
    (Call::Members, "members", "/api/v1/groups/{group}/users"),
    (Call::OwnGroups, "own groups", "/api/v1/users/{person}/groups"),
    (Call::Log, "log", "/api/v1/logs"),
];

/// What comes of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// As without the fault.
    Complete,
    /// Something else, and it is taken for the truth.
    Other,
    /// A list that broke off after its first page.
    Incomplete,
    /// Nothing; the next pass may have more luck.
    Retry,
    /// Nothing, until a person mends something.
    Refuse,
}

impl Outcome {
    fn letter(self) -> char {
        match self {
            Self::Complete => '.',
            Self::Other => 'o',
            Self::Incomplete => 'i',
            Self::Retry => 'r',
            Self::Refuse => 'X',
        }
    }

    fn of(failure: &Failure) -> Self {
        if failure.class.retry() { Self::Retry } else { Self::Refuse }
    }
}

/// The organisation under test and what is true of it.
struct Scene {
    sim: OktaSim,
    people: Vec<String>,
    group: String,
}

impl Scene {
    async fn set() -> Self {
        let sim = org(Options { client_key: KeyKind::Ec, ..Options::with_people(PEOPLE, 7) }).await;
        sim.org().switch(|switches| switches.page_entries = PAGE);
        let people = sim.org().assigned(&sim.ready().app_id).unwrap();
        let group = sim.org().create_group("Night shift").unwrap();
        for person in &people {
            sim.org().join(&group, person).unwrap();
        }
        Self { sim, people, group }
    }

    fn path(&self, template: &str) -> String {
        let app = self.sim.ready().app_id;
        template.replace("{app}", &app).replace("{person}", &self.people[0]).replace("{group}", &self.group)
    }

    fn client(&self) -> OktaClient {
        let mut settings = settings(&self.sim);
        settings.scopes = vec![Scope::Apps, Scope::Users, Scope::Groups, Scope::Logs];
        settings.patience = Patience {
            timeout: Duration::from_secs(60),
            tries: 2,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(2),
            longest_wait: Duration::from_millis(1500),
            longest_trouble: Duration::from_secs(60),
        };
        OktaClient::new(settings, Governor::new()).unwrap()
    }

    /// Makes the call and says what came of it; who would be removed on the strength of it is added to `removed`.
    async fn outcome(&self, call: Call, removed: &mut BTreeSet<String>) -> Outcome {
        let okta = self.client();
        let (source, person) = (app(&self.sim), self.people[0].as_str());
        match call {
            Call::Description | Call::Token | Call::App => match okta.organisation(&source).await {
                Ok(organisation) if organisation.app.as_ref().is_some_and(|app| app.status == "ACTIVE") => {
                    Outcome::Complete
                }
                Ok(_) => Outcome::Other,
                Err(failure) => Outcome::of(&failure),
            },
            Call::AppUsers => self.list(&okta, &source, removed).await,
            Call::Users => self.list(&okta, &PeopleSource::Org, removed).await,
            Call::GroupSearch | Call::Members => {
                self.list(&okta, &PeopleSource::Groups(vec!["Night shift".to_owned()]), removed).await
            }
            Call::AppUser => self.single(&okta, &source, person).await,
            Call::User => self.single(&okta, &PeopleSource::Org, person).await,
            Call::OwnGroups => match okta.is_member(person, &["Night shift".to_owned()]).await {
                Ok(true) => Outcome::Complete,
                Ok(false) => Outcome::Other,
                Err(failure) => Outcome::of(&failure),
            },
            Call::Log => {
                let mut cursor = Cursor::since(Timestamp::now() - jiff::SignedDuration::from_mins(1));
                let watch = Watch { app: Some(self.sim.ready().app_id), groups: true };
                match okta.read(&mut cursor, &[watch]).await {
                    // Whoever is named is asked for by id, and a full pass reads everybody: both are right.
                    Ok(_) => Outcome::Complete,
                    Err(failure) => Outcome::of(&failure),
                }
            }
        }
    }

    async fn list(&self, okta: &OktaClient, source: &PeopleSource, removed: &mut BTreeSet<String>) -> Outcome {
        let reading = read(okta, source).await;
        let (there, failure) = (reading.ids(), &reading.failure);
        if let Some(failure) = failure {
            assert!(!reading.complete);
            return if reading.pages > 0 { Outcome::Incomplete } else { Outcome::of(failure) };
        }
        assert!(reading.complete, "neither an end nor a failure");
        let absent: Vec<&String> = self.people.iter().filter(|id| !there.contains(id.as_str())).collect();
        for id in &absent {
            self.confirm(okta, source, id, removed).await;
        }
        if absent.is_empty() { Outcome::Complete } else { Outcome::Other }
    }

    /// Asked for one person. In a pass this is asked of those alone whom a complete list leaves out, so a wrong answer to it
    /// removes nobody by itself.
    async fn single(&self, okta: &OktaClient, source: &PeopleSource, person: &str) -> Outcome {
        match okta.person(source, person).await {
            Ok(Standing::Present(found)) if found.id == person => Outcome::Complete,
            Ok(_) => Outcome::Other,
            Err(failure) => Outcome::of(&failure),
        }
    }

    /// The question that decides (P3).
    async fn confirm(&self, okta: &OktaClient, source: &PeopleSource, id: &str, removed: &mut BTreeSet<String>) {
        if let Ok(standing @ (Standing::Gone | Standing::NotInSource(_))) = okta.person(source, id).await {
            removed.insert(format!("{id}: {standing:?}"));
        }
    }
}

/// All kinds of faults that the simulator knows. `reset` is how many seconds away the end of a rate window is.
fn faults(reset: u64) -> Vec<(&'static str, Value)> {
    let status = |status: u16| json!({"status": {"status": status}});
    vec![
        ("400", status(400)),
        ("401 invalid_token", json!("invalidToken")),
        ("401, token revoked", json!("revokeToken")),
        ("403 E0000006", status(403)),
        ("404", status(404)),
        ("404 HTML", json!({"html": {"status": 404}})),
        ("429 window", json!({"rateLimited": {"resetIn": reset}})),
        ("429, no Date", json!({"rateLimited": {"resetIn": reset, "withoutDate": true}})),
        ("429, no headers", json!({"rateLimited": {"resetIn": reset, "withoutHeaders": true}})),
        ("429 concurrency", json!({"concurrencyLimited": {"resetIn": 600}})),
        ("500", status(500)),
        ("502 HTML", json!({"html": {"status": 502}})),
        ("503 read only", status(503)),
        ("dropped connection", json!("dropConnection")),
        ("body cut off", json!({"truncateBody": {"after": 20}})),
        ("JSON cut off", json!({"cutJson": {"after": 20}})),
        ("200 sign-in page", json!({"html": {"status": 200}})),
        ("wrong content type", json!({"wrongContentType": {"value": "text/plain"}})),
        ("redirect", json!({"redirect": {"location": "https://evil.example.com/"}})),
        ("200 error object", json!({"status": {"status": 200, "body": "{\"errorCode\":\"E0000009\"}"}})),
        ("200 []", json!("emptyList")),
        ("empty page", json!("emptyPage")),
        ("shorter list", json!({"shortList": {"keep": 1}})),
        ("next link lost", json!("loseNext")),
        ("next link loops", json!("nextLoop")),
        ("next link elsewhere", json!({"foreignNext": {"base": "https://evil.example.com"}})),
        ("links folded", json!("foldLinks")),
        ("first page again", json!("firstPageAgain")),
        ("pages swapped", json!("swapPages")),
        ("entry twice", json!("duplicateEntry")),
        ("entries reversed", json!("reverse")),
        ("_embedded missing", json!({"missingEmbedded": {}})),
        ("_embedded empty", json!({"emptyEmbedded": {}})),
        ("_embedded of another", json!("foreignEmbedded")),
        ("unknown fields", json!("extraFields")),
        ("nulls left out", json!("omitNulls")),
        ("padding", json!({"padding": {"bytes": 100_000}})),
        ("padding over bound", json!({"padding": {"bytes": 33_600_000}})),
        ("slow", json!({"slow": {"millis": 20}})),
        ("slow bytes", json!({"slowBody": {"piece": 1000, "millis": 1}})),
        ("rate headers missing", json!("stripRateHeaders")),
        ("rate headers twice", json!("doubleRateHeaders")),
        ("Date missing", json!("stripDate")),
    ]
}

/// What has to come of each fault that strikes every time. Lists are struck from their second page on. Columns: the
/// organisation's description, token, app, people of the app, one of them, all people, one of them, groups by name,
/// members of a group, groups of a person, System Log.
///
/// `.` as without the fault · `i` incomplete · `r` retry · `X` refuse, until a person mends it · `o` taken for the truth,
/// although it is not: these are the ones that the question by id is there for.
const LASTING: &str = "
400                   X X X i X i X X i X X
401 invalid_token     X X X i X i X X i X X
401, token revoked    X X X i X i X X i X X
403 E0000006          X X X i X i X X i X X
404                   X X X i o i o X i X X
404 HTML              X X X i X i X X i X X
429 window            r r r i r i r r i r r
429, no Date          r r r i r i r r i r r
429, no headers       r r r i r i r r i r r
429 concurrency       r r r i r i r r i r r
500                   r r r i r i r r i r r
502 HTML              r r r i r i r r i r r
503 read only         r r r i r i r r i r r
dropped connection    r r r i r i r r i r r
body cut off          r r r i r i r r i r r
JSON cut off          r r r i r i r r i r r
200 sign-in page      X X X i X i X X i r r
wrong content type    X X X i X i X X i r r
redirect              X X X i X i X X i r r
200 error object      X r r i r i r r i r r
200 []                . . . o . o . X o o .
empty page            . . . o . o . X o o .
shorter list          . . . o . o . . o o .
next link lost        . . . o . o . . o o .
next link loops       . . . i . i . . i r r
next link elsewhere   . . . . . . . . . . .
links folded          . . . . . . . . . . .
first page again      . . . i . i . . i r r
pages swapped         . . . . . . . . . . .
entry twice           . . . i . i . . i r r
entries reversed      . . . . . . . . . . .
_embedded missing     . . . i r . . . . . .
_embedded empty       . . . i r . . . . . .
_embedded of another  . . . i r . . . . . .
unknown fields        . . . . . . . . . . .
nulls left out        . . . . . . . . . . .
padding               . . . . . . . . . . .
padding over bound    r r r i r i r r i r r
slow                  . . . . . . . . . . .
slow bytes            . . . . . . . . . . .
rate headers missing  . . . . . . . . . . .
rate headers twice    . . . . . . . . . . .
Date missing          . . . . . . . . . . .
";

/// The same for a fault that strikes once: all that a second try can mend is mended.
const PASSING: &str = "
400                   X X X i X i X X i X X
401 invalid_token     X X . . . . . . . . .
401, token revoked    X X . . . . . . . . .
403 E0000006          X X X i X i X X i X X
404                   X X X i o i o X i X X
404 HTML              X X X i X i X X i X X
429 window            . . . . . . . . . . .
429, no Date          . . . . . . . . . . .
429, no headers       . . . . . . . . . . .
429 concurrency       . . . . . . . . . . .
500                   . . . . . . . . . . .
502 HTML              . . . . . . . . . . .
503 read only         . . . . . . . . . . .
dropped connection    . . . . . . . . . . .
body cut off          . . . . . . . . . . .
JSON cut off          . . . . . . . . . . .
200 sign-in page      . . . . . . . . . . .
wrong content type    . . . . . . . . . . .
redirect              X X X i X i X X i r r
200 error object      X r r i r i r r i r r
200 []                . . . o . o . . o o .
empty page            . . . o . o . . o . .
shorter list          . . . o . o . . o o .
next link lost        . . . o . o . . o o .
next link loops       . . . i . i . . i r r
next link elsewhere   . . . . . . . . . . .
links folded          . . . . . . . . . . .
first page again      . . . i . i . . i . .
pages swapped         . . . i . i . . i . r
entry twice           . . . i . i . . i r r
entries reversed      . . . . . . . . . . .
_embedded missing     . . . i r . . . . . .
_embedded empty       . . . i r . . . . . .
_embedded of another  . . . i r . . . . . .
unknown fields        . . . . . . . . . . .
nulls left out        . . . . . . . . . . .
padding               . . . . . . . . . . .
padding over bound    r r r i r i r r i r r
slow                  . . . . . . . . . . .
slow bytes            . . . . . . . . . . .
rate headers missing  . . . . . . . . . . .
rate headers twice    . . . . . . . . . . .
Date missing          . . . . . . . . . . .
";

/// One row: a fault on each of the calls.
async fn row(scene: &Scene, (name, kind): &(&'static str, Value), count: Option<u64>) -> String {
    let mut letters = Vec::new();
    for (call, _, template) in CALLS {
        let list = matches!(call, Call::AppUsers | Call::Users | Call::Members);
        // From the second page on, told by its cursor: a page that a former call has given up may come in late.
        let query = list.then_some("after=");
        let fault = json!({"path": scene.path(template), "query": query, "count": count, "kind": kind});
        scene.sim.org().fault_json(&fault).unwrap();
        let mut removed = BTreeSet::new();
        let outcome = scene.outcome(call, &mut removed).await;
        scene.sim.org().clear_faults();
        assert!(removed.is_empty(), "{name} on {template} would remove {removed:?}");
        letters.push(outcome.letter().to_string());
    }
    format!("{name:<22}{}", letters.join(" "))
}

/// All rows, several at a time, each in an organisation of its own: some of them wait.
async fn table(count: Option<u64>) -> Vec<String> {
    const AT_ONCE: usize = 6;
    let faults = Arc::new(faults(if count.is_some() { 0 } else { 100 }));
    let workers = (0..AT_ONCE).map(|worker| {
        let faults = faults.clone();
        tokio::spawn(async move {
            let scene = Scene::set().await;
            let mut rows = Vec::new();
            for (at, fault) in faults.iter().enumerate().skip(worker).step_by(AT_ONCE) {
                rows.push((at, row(&scene, fault, count).await));
            }
            assert_eq!(scene.sim.org().counters().hosts.len(), 1, "a call went to another host");
            rows
        })
    });
    let mut rows = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        rows.extend(worker.await.unwrap());
    }
    rows.sort();
    rows.into_iter().map(|(_, row)| row).collect()
}

fn compare(found: &[String], expected: &str) {
    let expected: Vec<&str> = expected.trim().lines().collect();
    let columns: Vec<&str> = CALLS.iter().map(|(_, name, _)| *name).collect();
    assert!(found == expected, "columns: {}\n{}", columns.join(", "), found.join("\n"));
}

// pager.rs, `step`; session.rs, `decode`.
#[tokio::test(flavor = "multi_thread")]
async fn p01_a_fault_that_lasts_has_its_outcome_on_each_call_and_removes_nobody() {
    compare(&table(None).await, LASTING);
}

// patience.rs, `after`.
#[tokio::test(flavor = "multi_thread")]
async fn p01_a_fault_that_passes_has_its_outcome_on_each_call_and_removes_nobody() {
    compare(&table(Some(1)).await, PASSING);
}
