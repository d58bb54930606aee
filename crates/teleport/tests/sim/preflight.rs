//! A look at everything that a pass needs: each mistake fails exactly its line, and nothing is written.

use engine::{
    preflight::{Line, Verdict},
    role::Ceiling,
};
use jiff::{SignedDuration, Timestamp};
use teleport::{
    Identity, Settings, TeleportClient,
    preflight::{
        CERTIFICATE, CLOCK, CONNECTOR, EDITION, Intent, LOCK_LIFETIME, ORIGIN_MODE, REACHABLE, ROLES, VERSION,
        without_client,
    },
};
use teleport_proto::types;
use teleport_sim::{BOT_ROLE, BOT_USER, Edition, IdentityKind, KeyForm, KeyKind, Options, TeleportSim, Version};

use crate::fixture::{settings, start};

/// What stands on both sides, to be spoiled.
struct Case {
    sim: TeleportSim,
    settings: Settings,
    roles: Vec<String>,
    allowed: Vec<String>,
    only_allowed: bool,
    connector: &'static str,
}

impl Case {
    async fn of(options: Options) -> Self {
        let sim = start(Options { okta_app_id: "0oa9saml8app7teleprt".to_owned(), ..options }).await;
        // The Proxy tells more than the Auth Service does.
        let settings = Settings {
            address: sim.proxy_address().to_string(),
            web_authorities: Some(sim.web_ca_pem()),
            ..settings(&sim)
        };
        Self {
            sim,
            settings,
            roles: vec!["okta-requester".to_owned()],
            allowed: vec!["okta-*".to_owned()],
            only_allowed: true,
            connector: "okta",
        }
    }

    async fn look(&self) -> Vec<Line> {
        let client = TeleportClient::connect(self.settings.clone()).unwrap();
        let named = Ceiling::new(&self.allowed).unwrap();
        let intent = Intent {
            connector: self.connector,
            app_id: None,
            app_from_connector: true,
            roles: &self.roles,
            ceiling: &if self.only_allowed { named } else { named.and_roles_without_grants() },
            lock_margin: SignedDuration::from_hours(1),
        };
        let found = client.preflight(&intent).await;
        assert_eq!(self.sim.writes(), [], "something was asked to be written");
        found.lines
    }

    /// The bot's certificate, of today, with another end.
    fn bot_until(&mut self, end: Timestamp) {
        let kind = IdentityKind::user(BOT_USER, &[BOT_ROLE]).with_key(KeyKind::Ecdsa, KeyForm::default());
        let from = Some(Timestamp::now() - SignedDuration::from_hours(8));
        self.identity(&IdentityKind { not_before: from, ..kind.until(end) });
    }

    fn identity(&mut self, kind: &IdentityKind) {
        self.settings.identity = Identity::parse(&self.sim.identity(kind).unwrap()).unwrap();
    }
}

fn of<'a>(lines: &'a [Line], name: &str) -> &'a Line {
    lines.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("no line {name} in {lines:#?}"))
}

/// What is wrong, the line that must fail, and words of its remedy.
type Mistake = (&'static str, fn(&mut Case), &'static str, &'static str);

const MISTAKES: &[Mistake] = &[
    ("nobody listens", |c| c.settings.address = "127.0.0.1:1".into(), REACHABLE, "spec.teleport.address"),
    (
        "an identity that has run out",
        |c| {
            c.bot_until(Timestamp::now() - SignedDuration::from_mins(5));
        },
        CERTIFICATE,
        "tctl auth sign",
    ),
    ("a bot that was deleted", |c| c.sim.remove_user(BOT_USER), CERTIFICATE, "make the bot"),
    (
        "a lock on the bot",
        |c| {
            c.sim.set_lag(teleport_sim::Lag { locks_ms: 0, ..teleport_sim::Lag::default() });
            c.sim.put_lock(types::LockV2 {
                metadata: Some(types::Metadata { name: "incident".into(), ..Default::default() }),
                spec: Some(types::LockSpecV2 {
                    target: Some(types::LockTarget { user: BOT_USER.into(), ..Default::default() }),
                    ..Default::default()
                }),
                ..Default::default()
            });
        },
        CERTIFICATE,
        "tctl get locks",
    ),
    ("users not listed", |c| c.sim.drop_permission("user", "list"), "user:list", "verbs: [list]"),
    ("users not read", |c| c.sim.drop_permission("user", "read"), "user:read", "resources: [user]"),
    ("users not made", |c| c.sim.drop_permission("user", "create"), "user:create", "verbs: [create]"),
    ("users not changed", |c| c.sim.drop_permission("user", "update"), "user:update", "verbs: [update]"),
    ("users not deleted", |c| c.sim.drop_permission("user", "delete"), "user:delete", "verbs: [delete]"),
    ("locks not listed", |c| c.sim.drop_permission("lock", "list"), "lock:list", "resources: [lock]"),
    ("locks not read", |c| c.sim.drop_permission("lock", "read"), "lock:read", "verbs: [read]"),
    ("locks not made", |c| c.sim.drop_permission("lock", "create"), "lock:create", "verbs: [create]"),
    ("locks not changed", |c| c.sim.drop_permission("lock", "update"), "lock:update", "verbs: [update]"),
    ("locks not deleted", |c| c.sim.drop_permission("lock", "delete"), "lock:delete", "verbs: [delete]"),
    ("roles not listed", |c| c.sim.drop_permission("role", "list"), "role:list", "resources: [role]"),
    ("roles not read", |c| c.sim.drop_permission("role", "read"), "role:read", "verbs: [read]"),
    (
        "connectors not read",
        |c| {
            c.sim.drop_permission("saml", "readnosecrets");
            c.sim.drop_permission("saml", "read");
        },
        "saml:readnosecrets",
        "resources: [saml]",
    ),
    ("a role that is not there", |c| c.sim.remove_role("okta-requester"), ROLES, "tctl create"),
    ("a role above the ceiling", |c| c.roles = vec!["editor".to_owned()], ROLES, "--allowed-role"),
    (
        "a role that grants something, where none needs a name that grants nothing",
        |c| {
            c.roles = vec!["terraform-provider".to_owned()];
            c.only_allowed = false;
        },
        ROLES,
        "--allowed-role",
    ),
    (
        "a role that grants nothing, where only names count",
        |c| {
            c.sim.put_plain_role("newcomer", 3600);
            c.roles = vec!["newcomer".to_owned()];
        },
        ROLES,
        "--allowed-role",
    ),
    ("a connector that is not there", |c| c.connector = "another", CONNECTOR, "tctl get saml"),
    ("a clock that is far off", |c| c.sim.set_clock_offset(2 * 3600), CLOCK, "NTP"),
];

// role.rs, `allows`: `grants_nothing`.
#[tokio::test]
async fn p13_a_role_that_grants_nothing_passes_the_look_ahead() {
    let mut case = Case::of(Options::default()).await;
    case.sim.put_plain_role("newcomer", 3600);
    (case.roles, case.only_allowed) = (vec!["newcomer".to_owned(), "okta-requester".to_owned()], false);
    let lines = case.look().await;
    let roles = lines.iter().find(|line| line.name == ROLES).unwrap();
    assert_eq!(
        (roles.verdict, roles.found.as_str()),
        (Verdict::Passed, "newcomer, okta-requester: there, and may be given")
    );
}

#[tokio::test]
async fn each_mistake_fails_exactly_its_line() {
    for (what, mistake, expected, words) in MISTAKES {
        let mut case = Case::of(Options::default()).await;
        mistake(&mut case);
        let lines = case.look().await;
        let failed: Vec<&Line> = lines.iter().filter(|line| line.verdict == Verdict::Failed).collect();
        let [only] = failed.as_slice() else { panic!("{what}: {lines:#?}") };
        assert_eq!(only.name, *expected, "{what}: {lines:#?}");
        assert!(only.remedy.contains(words), "{what}: {}", only.remedy);
        for skipped in lines.iter().filter(|line| line.verdict == Verdict::Skipped) {
            assert!(skipped.found.contains(&format!("because {expected} failed")), "{what}: {skipped:?}");
        }
    }
}

#[tokio::test]
async fn what_is_set_up_well_passes_with_what_was_found() {
    let case = Case::of(Options::default()).await;
    let lines = case.look().await;
    assert!(lines.iter().all(|line| line.verdict == Verdict::Passed && line.remedy.is_empty()), "{lines:#?}");
    for (name, words) in [
        (REACHABLE, "through the Proxy"),
        (CERTIFICATE, BOT_USER),
        (VERSION, "17."),
        (EDITION, "Enterprise"),
        (ORIGIN_MODE, "Bot"),
        (CONNECTOR, "0oa9saml8app7teleprt"),
        (LOCK_LIFETIME, "31h"),
        (CLOCK, "agrees"),
    ] {
        assert!(of(&lines, name).found.contains(words), "{words:?} not in {:?}", of(&lines, name));
    }
    case.sim.put_plain_role("long", 100 * 3600);
    assert!(of(&case.look().await, LOCK_LIFETIME).found.contains("101h"));
}

#[tokio::test]
async fn straight_at_the_auth_service_and_as_the_system_role() {
    let mut case = Case::of(Options::default()).await;
    case.settings.address = case.sim.auth_address().to_string();
    let lines = case.look().await;
    assert!(of(&lines, REACHABLE).found.contains("Auth Service"), "{lines:#?}");
    assert_eq!(of(&lines, EDITION).verdict, Verdict::Passed);
    assert_eq!(of(&lines, CLOCK).verdict, Verdict::Skipped);

    case.identity(&IdentityKind::okta_service().with_key(KeyKind::Ecdsa, KeyForm::default()));
    let lines = case.look().await;
    assert!(lines.iter().all(|line| line.verdict != Verdict::Failed), "{lines:#?}");
    assert!(of(&lines, ORIGIN_MODE).found.starts_with("Okta"));
    assert!(of(&lines, "user:delete").found.contains("system role"));
}

#[tokio::test]
async fn old_and_unknown_versions_and_the_other_edition_are_told() {
    let case = Case::of(Options { version: Version::V15, ..Options::default() }).await;
    let lines = case.look().await;
    assert_eq!(of(&lines, VERSION).verdict, Verdict::Warned, "{lines:#?}");
    let mut case = Case::of(Options { edition: Edition::Community, ..Options::default() }).await;
    let lines = case.look().await;
    assert!(of(&lines, EDITION).found.contains("Community"), "{lines:#?}");
    assert_eq!(of(&lines, ROLES).verdict, Verdict::Failed);
    assert_eq!(of(&lines, CONNECTOR).verdict, Verdict::Failed);
    case.settings.web_authorities = None;
    let lines = case.look().await;
    assert_eq!((of(&lines, EDITION).verdict, of(&lines, CLOCK).verdict), (Verdict::Skipped, Verdict::Skipped));
}

#[tokio::test]
async fn an_identity_that_runs_out_soon_warns() {
    let mut case = Case::of(Options::default()).await;
    case.bot_until(Timestamp::now() + SignedDuration::from_mins(5));
    let lines = case.look().await;
    let line = of(&lines, CERTIFICATE);
    assert_eq!(line.verdict, Verdict::Warned, "{lines:#?}");
    assert!(line.remedy.contains("tbot"), "{line:?}");
}

#[test]
fn a_setting_that_makes_no_client_is_a_line_as_well() {
    let identity: engine::failure::Failure = Identity::parse("nothing").unwrap_err().into();
    let lines = without_client(&identity);
    let failed: Vec<&str> =
        lines.iter().filter(|line| line.verdict == Verdict::Failed).map(|line| line.name.as_str()).collect();
    assert_eq!(failed, [CERTIFICATE]);
    assert!(of(&lines, "user:list").found.contains("because certificate failed"));
}
