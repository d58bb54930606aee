//! A look at everything that a pass needs: each mistake fails exactly its line, and nothing is written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use common::{app, org, settings};
use engine::{
    directory::PeopleSource,
    preflight::{Line, Verdict},
};
use okta::{
    Dpop, Governor, OktaClient, OrgUrl, Settings,
    key::{KeyKind as MadeKey, PrivateKey},
    preflight::{
        APP, CLOCK, DPOP, FAST_PATH, FastPath, GROUPS, Intent, NAME_ID_LINE, ORGANISATION, PEOPLE, RATE_LIMITS,
        REACHABLE, SCOPES, TOKEN,
    },
};
use okta_sim::{CustomRole, DpopMode, KeyKind, OktaSim, Options, Role, Visible};
use serde_json::json;

/// What stands on both sides, to be spoiled.
struct Case {
    sim: OktaSim,
    settings: Settings,
    source: PeopleSource,
    groups: Vec<String>,
    known: Option<String>,
    pinned: String,
    fast_path: FastPath,
}

impl Case {
    async fn good() -> Self {
        let sim = org(Options { client_key: KeyKind::Ec, ..Options::with_people(3, 7) }).await;
        Self {
            settings: settings(&sim),
            source: app(&sim),
            groups: Vec::new(),
            known: None,
            pinned: String::new(),
            fast_path: FastPath::Required,
            sim,
        }
    }

    async fn look(&self) -> Vec<Line> {
        let client = OktaClient::new(self.settings.clone(), Governor::new()).unwrap();
        let intent = Intent {
            source: Ok(self.source.clone()),
            groups: &self.groups,
            known: self.known.as_deref(),
            pinned_org: &self.pinned,
            fast_path: self.fast_path,
        };
        let lines = client.preflight(&intent).await;
        // P18, at the one place where it can be counted.
        for write in self.sim.org().writes() {
            assert_eq!((write.method.as_str(), write.path.as_str()), ("POST", "/oauth2/v1/token"), "{write:?}");
        }
        lines
    }

    fn only(visible: Visible) -> Role {
        Role::Custom(CustomRole { people: visible, logs: true, ..CustomRole::default() })
    }

    fn nobody_assigned(&self) {
        let app = self.sim.ready().app_id;
        for id in self.sim.org().assigned(&app).unwrap() {
            self.sim.org().unassign(&app, &id).unwrap();
        }
    }
}

fn of<'a>(lines: &'a [Line], name: &str) -> &'a Line {
    lines.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("no line {name} in {lines:#?}"))
}

/// What is wrong, the line that must fail, and words of its remedy.
type Mistake = (&'static str, fn(&mut Case), &'static str, &'static str);

const MISTAKES: &[Mistake] = &[
    ("no Okta", |c| fault(c, "*", &json!({"html": {"status": 200}})), REACHABLE, "own address"),
    ("an authority that is not trusted", |c| c.settings.ca_bundle = None, REACHABLE, "caBundleRef"),
    ("nobody listens", |c| c.settings.org_url = OrgUrl::parse("https://127.0.0.1:1").unwrap(), REACHABLE, "port 443"),
    ("another organisation", |c| c.pinned.push_str("00oAnother"), ORGANISATION, "orgURL"),
    (
        "a key that was not added",
        |c| c.settings.key = PrivateKey::generate(MadeKey::P256).unwrap(),
        TOKEN,
        "PUBLIC KEYS > Add key",
    ),
    ("another client", |c| c.settings.client_id = "0oaNoSuchClient00000".into(), TOKEN, "Client ID"),
    ("a client that was deactivated", |c| c.sim.org().set_client_active(false), TOKEN, "your API Services app"),
    ("a network zone", |c| c.sim.org().deny_network(true), TOKEN, "Security > Networks"),
    (
        "DPoP demanded and switched off",
        |c| {
            c.sim.org().set_dpop(DpopMode::Required);
            c.settings.dpop = Dpop::Disabled;
        },
        DPOP,
        "spec.okta.dpop",
    ),
    ("no scope", |c| c.sim.org().set_scopes(&[]), SCOPES, "Okta API Scopes"),
    (
        "one scope missing",
        |c| c.sim.org().set_scopes(&["okta.apps.read", "okta.logs.read"]),
        SCOPES,
        "grant okta.users.read",
    ),
    (
        "groups without their scope",
        |c| {
            c.groups = vec!["Everyone".to_owned()];
            c.sim.org().set_scopes(&["okta.apps.read", "okta.users.read", "okta.logs.read"]);
        },
        SCOPES,
        "grant okta.groups.read",
    ),
    ("a group that is not there", |c| c.groups = vec!["No such group".to_owned()], GROUPS, "Directory > Groups"),
    ("another app", |c| c.source = PeopleSource::App("0oaNoSuchApp00000000".to_owned()), APP, "address bar"),
    ("the client as app", |c| c.source = PeopleSource::App(c.sim.ready().client_id), APP, "SAML app"),
    ("no admin role", |c| c.sim.org().set_role(Role::None), APP, "Admin roles"),
    (
        "a resource set without the app",
        |c| {
            c.sim.org().switch(|switches| switches.hidden_object_status = 404);
            let role = CustomRole { apps: Visible::None, logs: true, ..CustomRole::default() };
            c.sim.org().set_role(Role::Custom(role));
        },
        APP,
        "resource set",
    ),
    (
        "an app that was deactivated",
        |c| c.sim.org().patch_app(&c.sim.ready().app_id, &json!({"status": "INACTIVE"})).unwrap(),
        APP,
        "Activate",
    ),
    (
        "an app of another kind",
        |c| c.sim.org().patch_app(&c.sim.ready().app_id, &json!({"signOnMode": "OPENID_CONNECT"})).unwrap(),
        APP,
        "SAML app",
    ),
    (
        "an admin role that sees nobody",
        |c| c.sim.org().set_role(Case::only(Visible::None)),
        PEOPLE,
        "assign a role that may view",
    ),
    (
        "a resource set without the people of the app",
        |c| {
            let org = c.sim.org();
            let (app, group) = (c.sim.ready().app_id, org.create_group("A few of them").unwrap());
            let assigned = org.assigned(&app).unwrap();
            org.join(&group, &assigned[0]).unwrap();
            org.assign_group(&app, &group).unwrap();
            let other = org
                .create_user(
                    &json!({"login": "other@example.com", "email": "other@example.com", "firstName": "O", "lastName": "T"}),
                    &okta_sim::NewPerson::default(),
                )
                .unwrap();
            org.set_role(Case::only(Visible::Only([other].into())));
        },
        PEOPLE,
        "hold everybody who may be assigned",
    ),
    ("nobody assigned", |c| c.nobody_assigned(), PEOPLE, "> Assignments"),
    ("a stranger", |c| c.known = Some("stranger@example.com".to_owned()), PEOPLE, "Assignments"),
    (
        "the System Log without its scope",
        |c| c.sim.org().set_scopes(&["okta.apps.read", "okta.users.read"]),
        FAST_PATH,
        "grant okta.logs.read",
    ),
    (
        "the System Log without the right",
        |c| c.sim.org().set_role(Role::Custom(CustomRole::default())),
        FAST_PATH,
        "Admin roles",
    ),
];

fn fault(case: &Case, path: &str, kind: &serde_json::Value) {
    case.sim.org().fault_json(&json!({"path": path, "kind": kind})).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_fails_exactly_its_line() {
    for (what, mistake, expected, words) in MISTAKES {
        let mut case = Case::good().await;
        mistake(&mut case);
        let lines = case.look().await;
        let failed: Vec<&Line> = lines.iter().filter(|line| line.verdict == Verdict::Failed).collect();
        let [only] = failed.as_slice() else { panic!("{what}: {lines:#?}") };
        assert_eq!(only.name, *expected, "{what}: {lines:#?}");
        assert!(only.remedy.contains(words), "{what}: {}", only.remedy);
        for skipped in lines.iter().filter(|line| line.verdict == Verdict::Skipped) {
            assert!(skipped.found.contains(&format!("because {expected} failed")), "{what}: {skipped:?}");
        }
        assert!(lines.iter().all(|line| line.verdict != Verdict::Warned), "{what}: {lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_up_well_passes_with_what_was_found() {
    let mut case = Case::good().await;
    let lines = case.look().await;
    assert!(lines.iter().all(|line| line.verdict == Verdict::Passed && line.remedy.is_empty()), "{lines:#?}");
    let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(
        names,
        [REACHABLE, ORGANISATION, CLOCK, TOKEN, DPOP, SCOPES, APP, NAME_ID_LINE, PEOPLE, RATE_LIMITS, FAST_PATH]
    );
    let key = &case.settings.key;
    for (name, words) in [
        (REACHABLE, case.sim.ready().org_url.as_str()),
        (ORGANISATION, "00o"),
        (TOKEN, "ES256"),
        (TOKEN, key.kid()),
        (SCOPES, "okta.users.read"),
        (APP, &case.sim.ready().app_id),
        (RATE_LIMITS, "/api/v1/apps "),
    ] {
        assert!(of(&lines, name).found.contains(words), "{words:?} not in {:?}", of(&lines, name));
    }

    // Somebody who is known, by user name and by id.
    let id = case.sim.org().assigned(&case.sim.ready().app_id).unwrap().remove(0);
    let person = case.sim.org().app_user(&case.sim.ready().app_id, &id).unwrap();
    for known in [id, person["credentials"]["userName"].as_str().unwrap().to_owned()] {
        case.known = Some(known);
        assert_eq!(of(&case.look().await, PEOPLE).verdict, Verdict::Passed, "{:?}", case.known);
    }

    // Other sources have no line of an app.
    case.known = None;
    case.groups = vec!["Everyone".to_owned()];
    for source in [PeopleSource::Groups(case.groups.clone()), PeopleSource::Org] {
        case.source = source;
        let lines = case.look().await;
        assert!(lines.iter().all(|line| line.verdict == Verdict::Passed), "{lines:#?}");
        assert!(lines.iter().all(|line| line.name != APP && line.name != NAME_ID_LINE), "{lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_nothing_warns() {
    type Spoil = (&'static str, fn(&mut Case), &'static str);
    let spoils: [Spoil; 4] = [
        (CLOCK, |c| c.sim.org().clock().set_offset_millis(600_000), "corrected"),
        (
            NAME_ID_LINE,
            |c| {
                let patch = json!({"settings": {"signOn": {"subjectNameIdTemplate": "${source.login}"}}});
                c.sim.org().patch_app(&c.sim.ready().app_id, &patch).unwrap();
            },
            "${source.login}",
        ),
        (
            FAST_PATH,
            |c| {
                c.fast_path = FastPath::IfGranted;
                c.sim.org().set_scopes(&["okta.apps.read", "okta.users.read"]);
            },
            "each full pass",
        ),
        (
            APP,
            |c| c.sim.org().patch_app(&c.sim.ready().app_id, &json!({"signOnMode": "BOOKMARK"})).unwrap(),
            "BOOKMARK",
        ),
    ];
    for (name, spoil, words) in spoils {
        let mut case = Case::good().await;
        spoil(&mut case);
        let lines = case.look().await;
        let line = of(&lines, name);
        assert_eq!(line.verdict, Verdict::Warned, "{lines:#?}");
        assert!(line.found.contains(words) && !line.remedy.is_empty(), "{line:?}");
        assert!(lines.iter().all(|other| other.name == name || other.verdict == Verdict::Passed), "{lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_writes_is_too_much() {
    let case = Case::good().await;
    let body = json!({"token_type": "Bearer", "access_token": "t", "expires_in": 3600,
                      "scope": "okta.apps.read okta.users.manage"});
    fault(&case, "/oauth2/v1/token", &json!({"status": {"status": 200, "body": body.to_string()}}));
    let lines = case.look().await;
    let line = of(&lines, SCOPES);
    assert_eq!(line.verdict, Verdict::Warned, "{lines:#?}");
    assert!(line.remedy.contains("revoke okta.users.manage"), "{line:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_sees_nobody_is_told_from_an_app_without_people() {
    let mut case = Case::good().await;
    case.sim.org().set_role(Case::only(Visible::None));
    let blind = of(&case.look().await, PEOPLE).clone();
    case.sim.org().set_role(Role::ReadOnlyAdmin);
    case.nobody_assigned();
    let empty = of(&case.look().await, PEOPLE).clone();
    assert!(blind.found.contains("no admin role") && empty.found.contains("nobody is assigned"), "{blind:?} {empty:?}");
    case.fast_path = FastPath::Off;
    assert_eq!(of(&case.look().await, FAST_PATH).verdict, Verdict::Skipped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_makes_no_client_is_a_line_as_well() {
    let case = Case::good().await;
    let intent = Intent {
        source: Ok(case.source.clone()),
        groups: &[],
        known: None,
        pinned_org: "",
        fast_path: FastPath::IfGranted,
    };
    let key: okta::OktaError = PrivateKey::parse(b"no key").unwrap_err().into();
    let url: okta::OktaError = OrgUrl::parse("ftp://acme").unwrap_err().into();
    for (error, name) in [(key, TOKEN), (url, REACHABLE)] {
        let lines = intent.without_client(&error.into());
        let failed: Vec<&str> =
            lines.iter().filter(|line| line.verdict == Verdict::Failed).map(|line| line.name.as_str()).collect();
        assert_eq!(failed, [name]);
        assert!(!of(&lines, name).remedy.is_empty());
    }
    assert_eq!(case.sim.org().counters().total, 0);
}
