//! Clients that we did not write, against both simulators: Okta's own Go SDK, and Teleport's own Go API client. What they
//! saw is compared with what the simulators hold; and Teleport's generated types read what our client has written.
//!
//! The two commands are in `tests/tools/peers`. They are built once for a machine, into the user's cache folder; without
//! Go, and not built before, these tests are skipped with a word on why.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

#[path = "peers/conversation.rs"]
mod conversation;
#[path = "peers/requests.rs"]
mod requests;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use api::names;
use engine::report::Outcome;
use okta_sim::{DpopMode, OktaSim};
use serde::Serialize;
use serde_json::{Value, json};
use suites::{Stage, built};
use teleport_sim::TeleportSim;
use testkit::go::Recipe;
use testkit::guardian::Guardian;

/// The Go module of both commands, file by file.
const MODULE: [(&str, &str); 8] = [
    ("go.mod", include_str!("../tools/peers/go.mod")),
    ("go.sum", include_str!("../tools/peers/go.sum")),
    ("okta/main.go", include_str!("../tools/peers/okta/main.go")),
    ("report/report.go", include_str!("../tools/peers/report/report.go")),
    ("teleport/decode.go", include_str!("../tools/peers/teleport/decode.go")),
    ("teleport/main.go", include_str!("../tools/peers/teleport/main.go")),
    ("teleport/talk.go", include_str!("../tools/peers/teleport/talk.go")),
    ("teleport/view.go", include_str!("../tools/peers/teleport/view.go")),
];

#[tokio::test]
async fn oktas_own_sdk_reads_an_org_page_by_page() {
    let Some(peers) = Peers::provide().await else { return };
    let okta = OktaSim::start(okta_sim::Options::with_people(5, 7)).await.unwrap();
    // Something for the System Log, and somebody who is not simply active.
    let suspended = okta.org().assigned(&okta.ready().app_id).unwrap()[1].clone();
    okta.org().suspend(&suspended).unwrap();
    reads_as_it_is(&peers, &okta).await;
    let tokens = okta.org().writes().iter().map(|write| write.status).collect::<Vec<_>>();
    assert_eq!(tokens, [200], "one token for everything");
}

#[tokio::test]
async fn oktas_own_sdk_proves_possession_where_it_has_to() {
    let Some(peers) = Peers::provide().await else { return };
    let options = okta_sim::Options { dpop: DpopMode::Required, ..okta_sim::Options::with_people(5, 8) };
    let okta = OktaSim::start(options).await.unwrap();
    reads_as_it_is(&peers, &okta).await;
    let tokens = okta.org().writes().iter().map(|write| write.status).collect::<Vec<_>>();
    assert_eq!(tokens, [400, 400, 200], "the SDK learns that it needs a proof, then a nonce, and has a token");
}

/// Everything that the SDK sees with a private key is as the org holds it.
async fn reads_as_it_is(peers: &Peers, okta: &OktaSim) {
    let (org, app) = (okta.org(), okta.ready().app_id);
    let seen = peers.ask("okta", &["read", &line(&okta.ready())]).await;
    let people: Vec<Value> = org.assigned(&app).unwrap().iter().map(|id| person(okta, id)).collect();
    assert_eq!(seen["people"], Value::Array(people.clone()));
    assert_eq!(seen["pages"], 3, "five people, two on a page");
    let first = org.user(people[0]["id"].as_str().unwrap()).unwrap();
    for field in ["id", "status"] {
        assert_eq!(seen["first"][field], first[field]);
    }
    assert_eq!(seen["first"]["login"], first["profile"]["login"]);
    assert_eq!(seen["nobody"], "E0000007");
    let held: Vec<Value> = org.summary()["groups"].as_array().unwrap().iter().map(|g| g["name"].clone()).collect();
    let groups = seen["groups"].as_array().unwrap();
    assert_eq!(groups.iter().map(|group| group["name"].clone()).collect::<Vec<_>>(), held);
    let everyone = groups.iter().find(|group| group["name"] == "Everyone").unwrap();
    assert_eq!(everyone["members"], people.iter().map(|one| one["id"].clone()).collect::<Value>());
    let logged: Vec<Value> = seen["events"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    // Reading wrote events of its own after the log was read; those that were there before are all seen, in order.
    let events: Vec<Value> = org.events().iter().map(|event| event["eventType"].clone()).collect();
    assert_eq!(logged[..], events[..logged.len()]);
    for event in org.events().iter().filter(|event| event["eventType"] == "user.lifecycle.suspend") {
        let targets = event["target"].as_array().unwrap().iter().map(|target| target["id"].clone()).collect::<Value>();
        let wanted = json!({ "type": event["eventType"], "outcome": event["outcome"]["result"], "targets": targets });
        assert!(seen["events"].as_array().unwrap().contains(&wanted), "{wanted} is not in {}", seen["events"]);
    }
}

#[tokio::test]
async fn oktas_own_sdk_gets_the_refusals_that_it_expects() {
    // Of a token that it does not get, and of a limit that it will not wait for, the SDK tells no status and no code of Okta's.
    type Spoil = fn(&OktaSim);
    let Some(peers) = Peers::provide().await else { return };
    let cases: [(&str, Spoil, u64, &str, &str); 6] = [
        ("no admin role", |okta| okta.org().set_role(okta_sim::Role::None), 403, "E0000006", "403 Forbidden"),
        ("a scope that is not granted", |okta| okta.org().set_scopes(&["okta.users.read"]), 403, "", "403 Forbidden"),
        ("no scope granted", |okta| okta.org().set_scopes(&[]), 0, "", "Empty access token"),
        (
            "a key that is not registered",
            |okta| {
                let kids = okta.org().summary()["clients"][0]["kids"].clone();
                for kid in kids.as_array().unwrap() {
                    okta.org().remove_key(kid.as_str().unwrap());
                }
            },
            0,
            "",
            "Empty access token",
        ),
        (
            "a rate limit used up",
            |okta| {
                okta.org().fault_json(&json!({ "path": "/api/v1/apps/*", "kind": { "rateLimited": {} } })).unwrap();
            },
            0,
            "",
            "too many requests",
        ),
        (
            "a server in trouble",
            |okta| {
                okta.org()
                    .fault_json(&json!({ "path": "/api/v1/apps/*", "kind": { "status": { "status": 500 } } }))
                    .unwrap();
            },
            500,
            "E0000009",
            "500",
        ),
    ];
    let (mut seen, mut wanted) = (Vec::new(), Vec::new());
    for (what, spoil, status, code, word) in cases {
        let okta = OktaSim::start(okta_sim::Options::with_people(2, 3)).await.unwrap();
        spoil(&okta);
        let refused = peers.ask("okta", &["refused", &line(&okta.ready())]).await;
        let told = refused["error"].as_str().unwrap();
        let word_of = if told.contains(word) { word.to_owned() } else { told.to_owned() };
        seen.push((what, refused["status"].as_u64().unwrap(), refused["code"].as_str().unwrap().to_owned(), word_of));
        wanted.push((what, status, code.to_owned(), word.to_owned()));
    }
    assert_eq!(seen, wanted, "status, Okta's code, the SDK's words");
}

/// An assigned person as the command prints one.
fn person(okta: &OktaSim, id: &str) -> Value {
    let (entry, user) = (okta.org().app_user(&okta.ready().app_id, id).unwrap(), okta.org().user(id).unwrap());
    json!({
        "id": id, "userName": entry["credentials"]["userName"], "status": entry["status"], "scope": entry["scope"],
        "login": user["profile"]["login"],
    })
}

#[tokio::test]
async fn oktas_own_sdk_does_what_an_administrator_does() {
    let Some(peers) = Peers::provide().await else { return };
    let okta = OktaSim::start(okta_sim::Options::with_people(5, 9)).await.unwrap();
    let (org, app) = (okta.org(), okta.ready().app_id);
    let before = org.assigned(&app).unwrap();
    let names: Vec<Value> = before.iter().map(|id| person(&okta, id)["userName"].clone()).collect();

    let done = peers.ask("okta", &["manage", &line(&okta.ready())]).await;

    let who = ["suspended", "returned", "deactivated", "unassigned"].map(|what| done[what].as_str().unwrap());
    assert_eq!(who[..], before[..4]);
    let states = who.map(|id| org.user(id).unwrap()["status"].as_str().unwrap().to_owned());
    assert_eq!(states, ["SUSPENDED", "ACTIVE", "DEPROVISIONED", "ACTIVE"]);
    let mut left = org.assigned(&app).unwrap();
    left.sort();
    let mut wanted = [&before[0], &before[1], &before[4]].map(Clone::clone);
    wanted.sort();
    assert_eq!(left, wanted, "deactivated and unassigned people are out of the app");
    assert_eq!((&done["suspendedAgain"], &done["noLongerInApp"]), (&json!("E0000001"), &json!("E0000007")));
    assert_eq!((&done["reassigned"]["id"], &done["reassigned"]["userName"]), (&json!(before[1]), &names[1]));
    assert_eq!(done["renamed"], person(&okta, &before[1])["userName"]);
    assert!(org.writes().iter().all(|write| write.who == "ssws"), "{:?}", org.writes());
}

#[tokio::test]
async fn teleports_own_client_logs_in_and_makes_every_call() {
    let Some(peers) = Peers::provide().await else { return };
    let options = teleport_sim::Options { okta_app_id: "0oa1app".to_owned(), ..teleport_sim::Options::default() };
    let teleport = TeleportSim::start(options).await.unwrap();
    let (names, state) = (teleport.user_names(), teleport.state());

    let seen = peers.ask("teleport", &["talk", &line(teleport.ready())]).await;

    assert_eq!(seen["cluster"], state.cluster.as_str());
    assert_eq!((&seen["me"]["name"], &seen["me"]["unknown"]), (&json!("bot-okta-user-sync"), &json!(0)));
    let listed = seen["sight"]["users"].as_array().unwrap();
    assert_eq!(listed.iter().map(|user| user["name"].clone()).collect::<Value>(), json!(names));
    assert!(listed.iter().all(|user| user["unknown"] == 0), "{listed:?}");
    assert_eq!(seen["sight"]["pages"], names.len().div_ceil(2));
    assert_eq!((&seen["roles"], &seen["listedRoles"]), (&json!(state.roles), &json!(state.roles)));
    assert_eq!(seen["connector"], json!({ "name": "okta", "labels": { "teleport.internal/okta-app-id": "0oa1app" } }));
    let user = |field: &str| (&seen["created"][field], &seen["updated"][field]);
    for kept in ["name", "labels", "roles", "createdBy", "connector", "expires"] {
        assert_eq!(user(kept).0, user(kept).1, "{kept}");
    }
    assert_eq!(user("connector").0, &json!({ "type": "saml", "id": "okta", "identity": "guest@example.com" }));
    assert_eq!(user("labels").0, &json!({ "example.com/peer": "go" }));
    assert_eq!(user("traits").1, &json!({ "okta/team": ["Toolmakers"] }));
    assert_ne!(user("revision").0, user("revision").1);
    let refusals = ["twice", "noSuchRole", "stale", "unlocked", "deleted", "deletedOnce"].map(|what| &seen[what]);
    assert_eq!(
        json!(refusals),
        json!(["AlreadyExists", "NotFound", "CompareFailed", "NotFound", "NotFound", "NotFound"])
    );
    assert_eq!(seen["stored"], seen["enforced"], "the lock as stored is the lock that comes into force");
    assert_eq!((&seen["stored"]["user"], &seen["stored"]["inForce"]), (&json!("guest@example.com"), &json!(true)));
    assert!(teleport.user("guest@example.com").is_none() && teleport.locks().is_empty());
}

#[tokio::test]
async fn teleports_own_client_finds_its_way_through_the_proxy_and_past_a_balancer() {
    let Some(peers) = Peers::provide().await else { return };
    let teleport = TeleportSim::start(teleport_sim::Options::default()).await.unwrap();
    let straight = peers.ask("teleport", &["look", &line(teleport.ready())]).await;
    for (address, behind) in [(teleport.proxy_address(), false), (teleport.balancer_address(), true)] {
        let mut ready = serde_json::to_value(teleport.ready()).unwrap();
        ready["authAddress"] = "nowhere".into();
        ready["proxyAddress"] = address.to_string().into();
        ready["behind"] = behind.into();
        let seen = peers.ask("teleport", &["look", &line(&ready)]).await;
        assert_eq!(seen, straight, "behind a balancer: {behind}");
    }
}

#[tokio::test]
async fn teleports_own_types_read_the_users_that_our_client_makes() {
    let Some(peers) = Peers::provide().await else { return };
    let mut stage = Stage::with_people(4).await;
    assert_eq!(stage.pass().await.outcome, Outcome::Succeeded);
    let seen = peers.ask("teleport", &["look", &line(stage.teleport.ready())]).await;

    for id in stage.okta.org().assigned(&stage.app()).unwrap() {
        let name = user_name(&stage, &id);
        let user = peers.decode("user", &stage.teleport.raw_user(&name).unwrap()).await;
        assert_eq!((&user["name"], &user["unknown"]), (&json!(name), &json!(0)));
        assert_eq!(user["roles"], json!(["okta-requester"]));
        assert_eq!(user["traits"], traits(&stage, &id));
        assert_eq!(user["connector"], json!({ "type": "saml", "id": "okta", "identity": name }));
        assert_eq!(user["expires"], "", "a user of ours does not end by itself");
        let labels = json!({
            names::OWNER_LABEL: "suites/stage", names::OKTA_ORG_LABEL: stage.okta.ready().org_url,
            names::OKTA_USER_ID_LABEL: id, names::ROLES_LABEL: "okta-requester", names::TRAIT_PREFIX_LABEL: "okta/",
        });
        assert_eq!(user["labels"], labels);
        let listed = seen["users"].as_array().unwrap().iter().find(|listed| listed["name"] == name.as_str());
        assert_eq!(listed, Some(&user), "over the wire as in storage");
    }
}

#[tokio::test]
async fn teleports_own_client_sees_the_lock_of_a_leaver() {
    let Some(peers) = Peers::provide().await else { return };
    let mut stage = Stage::with_people(4).await;
    assert_eq!(stage.pass().await.outcome, Outcome::Succeeded);
    let leaver = stage.okta.org().assigned(&stage.app()).unwrap()[0].clone();
    let name = user_name(&stage, &leaver);
    stage.okta.org().deactivate(&leaver).unwrap();
    assert_eq!(stage.pass().await.outcome, Outcome::Succeeded);

    let seen = peers.ask("teleport", &["look", &line(stage.teleport.ready())]).await;

    let (locks, held) = (seen["locks"].as_array().unwrap(), &stage.teleport.locks()[0]);
    assert_eq!(locks.len(), 1, "{locks:?}");
    let instant = |at: Option<jiff::Timestamp>| at.unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let wanted = json!({
        "name": held.name, "labels": held.labels, "user": name, "message": held.message, "inForce": true, "unknown": 0,
        "expires": instant(held.expires), "storageExpires": instant(held.storage_expires),
    });
    assert_eq!(locks[0], wanted);
    assert!(!locks[0]["message"].as_str().unwrap().is_empty());
}

// splice.rs, `replace_messages`.
#[tokio::test]
async fn p07_teleports_own_types_find_a_foreign_field_untouched_after_our_update() {
    let Some(peers) = Peers::provide().await else { return };
    let mut stage = Stage::with_people(2).await;
    assert_eq!(stage.pass().await.outcome, Outcome::Succeeded);
    let id = stage.okta.org().assigned(&stage.app()).unwrap()[0].clone();
    let name = user_name(&stage, &id);
    // Field 1000 of the user, a string: something that a later Teleport may have.
    let mut raw = stage.teleport.raw_user(&name).unwrap().to_vec();
    let foreign = [&[0xc2, 0x3e, 5][..], b"later"].concat();
    raw.extend(&foreign);
    stage.teleport.put_raw_user(&raw).unwrap();
    let before = peers.decode("user", &stage.teleport.raw_user(&name).unwrap()).await;
    assert_eq!(before["unknown"], foreign.len());

    stage.okta.org().update_profile(&id, &json!({ "department": "Lighthouses" })).unwrap();
    let report = stage.pass().await;

    assert_eq!((report.outcome, report.writes), (Outcome::Succeeded, 1), "{:?}", report.problems);
    let mut after = peers.decode("user", &stage.teleport.raw_user(&name).unwrap()).await;
    assert_eq!(after["traits"]["okta/department"], json!(["Lighthouses"]));
    assert_ne!(after["revision"], before["revision"]);
    for changed in ["revision", "traits"] {
        after[changed] = before[changed].clone();
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_peer_says_what_surprised_it() {
    let Some(peers) = Peers::provide().await else { return };
    for (command, args, word) in [
        ("teleport", ["decode", "user"], "decoding a user"),
        ("teleport", ["talk", "not JSON"], "reading the ready line"),
        ("okta", ["nonsense", "{}"], "nonsense"),
    ] {
        let (succeeded, out, err) = peers.run(command, &args, "ff").await;
        assert!(!succeeded && out.is_empty() && err.contains(word), "{command} {args:?}: {out} {err}");
    }
}

/// Name of somebody's user in Teleport.
fn user_name(stage: &Stage, id: &str) -> String {
    let entry = stage.okta.org().app_user(&stage.app(), id).unwrap();
    entry["credentials"]["userName"].as_str().unwrap().to_owned()
}

/// The traits that a person's two profiles make: every value that says something, as text; the app's own profile wins.
fn traits(stage: &Stage, id: &str) -> Value {
    let texts = |value: &Value| match value {
        Value::Null => vec![],
        Value::String(text) if text.is_empty() => vec![],
        Value::String(text) => vec![text.clone()],
        Value::Array(many) => many.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
        other => vec![other.to_string()],
    };
    let (user, entry) = (stage.okta.org().user(id).unwrap(), stage.okta.org().app_user(&stage.app(), id).unwrap());
    let mut traits = BTreeMap::new();
    for profile in [&user["profile"], &entry["profile"]] {
        let said = profile.as_object().unwrap().iter().map(|(field, value)| (format!("okta/{field}"), texts(value)));
        traits.extend(said.filter(|(_, texts)| !texts.is_empty()));
    }
    json!(traits)
}

/// A simulator's ready line.
fn line(ready: &impl Serialize) -> String {
    serde_json::to_string(ready).unwrap()
}

/// The two commands, built.
struct Peers(PathBuf);

impl Peers {
    /// Builds the commands unless that is done; `None`, with a word on why, where that is not possible.
    async fn provide() -> Option<Self> {
        // One provider for the process; a second installation fails, and that is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let recipe = Recipe {
            what: "clients that others wrote",
            takes: "about two minutes",
            folder: "peers",
            result: "bin/",
            files: &MODULE,
            packages: &["./okta", "./teleport"],
            tags: "",
            linker_flags: "-s -w".to_owned(),
        };
        built(recipe).await.map(Self)
    }

    /// What a command saw.
    async fn ask(&self, command: &str, args: &[&str]) -> Value {
        self.tell(command, args, "").await
    }

    /// What Teleport's generated types read in a message.
    async fn decode(&self, message: &str, raw: &[u8]) -> Value {
        self.tell("teleport", &["decode", message], &hex::encode(raw)).await
    }

    async fn tell(&self, command: &str, args: &[&str], input: &str) -> Value {
        let (succeeded, out, err) = self.run(command, args, input).await;
        assert!(succeeded, "{command} {}: {err}", args[0]);
        serde_json::from_str(&out).unwrap()
    }

    /// Runs a command: whether it succeeded, and what it said on either stream. The simulators go on meanwhile.
    async fn run(&self, command: &str, args: &[&str], input: &str) -> (bool, String, String) {
        let mut run = Command::new(self.0.join(command));
        // Nothing of this machine may lead the clients elsewhere.
        run.args(args).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.to_owned();
        let done = tokio::task::spawn_blocking(move || {
            let mut child =
                Guardian::post(None).and_then(|mut guardian| Ok((guardian.spawn(&mut run)?, guardian))).unwrap();
            // A command that does not read its input may have ended before it is written.
            let _ = child.0.stdin.take().unwrap().write_all(input.as_bytes());
            child.0.wait_with_output().unwrap()
        });
        let done = done.await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.success(), text(done.stdout), text(done.stderr))
    }
}
