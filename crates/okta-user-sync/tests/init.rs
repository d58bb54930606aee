//! Guided enrolment through a terminal of its own, and with nobody to ask, against both simulators.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use okta::key::PrivateKey;
use rexpect::session::PtySession;
use serde_json::{Value, json};
use support::{LONG, World, binary, run, told};

/// Puts the public half of a key into Okta, as a person does in the Admin Console.
async fn add_key(world: &World, jwk: &Value) {
    let url = format!("{}/keys", world.okta.field("adminURL"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(url).json(&json!({ "jwk": jwk })).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

async fn set(world: &World, path: &str, body: &Value) {
    let url = format!("{}{path}", world.okta.field("adminURL"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(client.post(url).json(body).send().await.unwrap().status().is_success());
}

/// Starts `init` in the world's folder, at a terminal.
fn at_a_terminal(world: &World, arguments: &[&str]) -> PtySession {
    let mut command = Command::new(binary());
    command.arg("init").args(arguments).current_dir(world.folder.path()).env("NO_COLOR", "1").env("TERM", "xterm");
    let patience = u64::try_from(LONG.as_millis()).unwrap();
    rexpect::session::spawn_command(command, Some(patience)).unwrap()
}

/// Waits for a question, and answers it.
fn answer(terminal: &mut PtySession, question: &str, with: &str) {
    terminal.exp_string(question).unwrap_or_else(|e| panic!("{question:?}: {e}"));
    terminal.send_line(with).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn from_question_to_question_to_manifests_that_work() {
    let world = World::of(3).await;
    let mut terminal = at_a_terminal(&world, &["--okta-ca", &world.okta.field("caFile")]);
    answer(&mut terminal, "Okta organisation", &world.okta.field("orgURL"));
    answer(&mut terminal, "Name of the OktaUserSync", "people");
    answer(&mut terminal, "Client ID", &world.okta.field("clientID"));

    // A key is made and shown, and Okta does not know it yet.
    terminal.exp_string("Add key").unwrap();
    let (_, jwk) = terminal.exp_regex(r"\{.*\}").unwrap();
    let jwk: Value = serde_json::from_str(&jwk).unwrap();
    terminal.exp_string("Not yet: ").unwrap();
    let file = world.path("people-okta-key.pem");
    let key = PrivateKey::parse(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(jwk, serde_json::to_value(key.public_jwk()).unwrap());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    set(&world, "/scopes", &json!({ "scopes": ["okta.apps.read"] })).await;
    add_key(&world, &jwk).await;
    terminal.exp_string("missing: okta.users.read").unwrap();
    set(&world, "/scopes", &json!({ "scopes": ["okta.apps.read", "okta.users.read"] })).await;
    terminal.exp_string("Okta accepts the key").unwrap();

    // The app is chosen from a list; Teleport is asked for; both sides are looked at; the first pass is shown.
    answer(&mut terminal, "Which app do people use", "");
    answer(&mut terminal, "Teleport cluster", &world.teleport.field("authAddress"));
    answer(&mut terminal, "Identity file", &world.teleport.field("identityFile"));
    terminal.exp_string("SAML connector: okta, of the Okta app 0oa").unwrap();
    answer(&mut terminal, "Roles for everybody", "");
    terminal.exp_string("lock-lifetime").unwrap();
    terminal.exp_string("Previewed, nothing was written").unwrap();
    terminal.exp_string("Next: kubectl apply").unwrap();
    terminal.exp_eof().unwrap();
    assert_eq!(world.writes().await, 0, "something was written to Teleport");

    // The two files are what a pass needs, and the one for Git holds no secret.
    let (public, secret) = (world.path("people.yaml"), world.path("people-secrets.yaml"));
    let [public_text, secret_text] = [&public, &secret].map(|file| std::fs::read_to_string(file).unwrap());
    assert!(!public_text.contains("PRIVATE KEY") && secret_text.contains("PRIVATE KEY"));
    assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(world.manifest(), format!("{public_text}---\n{secret_text}")).unwrap();
    let (code, report) = world.pass("sync", &[]);
    assert_eq!((code, &report["counts"]["created"]), (0, &json!(3)), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_can_be_mended_while_it_waits_and_nothing_is_written_over() {
    let world = World::of(3).await;
    std::fs::write(world.path("okta.yaml"), "mine").unwrap();
    let key = world.okta.field("privateKeyFile");
    let ca = world.okta.field("caFile");
    let mut terminal = at_a_terminal(&world, &["--okta-key", &key, "--okta-ca", &ca]);
    answer(&mut terminal, "Okta organisation", "ftp://nowhere");
    // The question comes again.
    answer(&mut terminal, "Okta organisation", &world.okta.field("orgURL"));
    answer(&mut terminal, "Name of the OktaUserSync", "okta");
    answer(&mut terminal, "Client ID", &world.okta.field("clientID"));
    answer(&mut terminal, "Which app do people use", "");
    answer(&mut terminal, "Teleport cluster", &world.teleport.field("authAddress"));
    answer(&mut terminal, "Identity file", &world.teleport.field("identityFile"));
    terminal.exp_string("SAML connector: okta").unwrap();
    answer(&mut terminal, "Roles for everybody", "");
    terminal.exp_string("okta.yaml is there. Write over it?").unwrap();
    terminal.send("n").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("not written over").unwrap();
    terminal.exp_eof().unwrap();
    assert_eq!(std::fs::read_to_string(world.path("okta.yaml")).unwrap(), "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_against_it_can_be_mended_and_is_looked_at_again() {
    let world = World::of(3).await;
    let admin = world.teleport.field("adminURL");
    // Teleport does not know this role yet.
    let answers = world.answers().with("--connector", "okta").with("--name", "people");
    let answers = answers.with("--role", "newcomer").with("--allowed-role", "newcomer");
    let arguments = answers.words();
    let mut terminal = at_a_terminal(&world, &arguments);
    let ask = |terminal: &mut PtySession, key: &str| {
        terminal.exp_string("the cluster has no role newcomer").unwrap();
        terminal.exp_string("Look again, once that is mended?").unwrap();
        terminal.send(key).unwrap();
        terminal.flush().unwrap();
    };
    // Too early: the same is said again, and nothing is written.
    ask(&mut terminal, "y");
    terminal.exp_string("the cluster has no role newcomer").unwrap();
    terminal.exp_string("Look again, once that is mended?").unwrap();
    assert!(!world.path("people.yaml").exists());
    // Mended in Teleport, as a person does with tctl in another window.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let role = client.post(format!("{admin}/roles/newcomer")).json(&json!({ "maxSessionTtlSeconds": 3600 }));
    assert!(role.send().await.unwrap().status().is_success());
    terminal.send("y").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("newcomer: there, and may be given").unwrap();
    terminal.exp_string("Next: kubectl apply").unwrap();
    terminal.exp_eof().unwrap();
    assert!(std::fs::read_to_string(world.path("people.yaml")).unwrap().contains("newcomer"));

    // Who does not want to mend it now gets no manifests.
    let removed = client.delete(format!("{admin}/roles/newcomer")).send().await.unwrap();
    assert!(removed.status().is_success());
    for file in ["people.yaml", "people-secrets.yaml"] {
        std::fs::remove_file(world.path(file)).unwrap();
    }
    let mut terminal = at_a_terminal(&world, &arguments);
    ask(&mut terminal, "n");
    terminal.exp_string("Nothing was written. Run it again").unwrap();
    terminal.exp_eof().unwrap();
    assert!(!world.path("people.yaml").exists());
    assert_eq!(world.writes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connector_of_the_app_is_found_and_asked_for_where_teleport_does_not_tell_which_it_is() {
    let world = World::of(3).await;
    let (teleport, app) = (&world.teleport, world.okta.field("appID"));
    let answers = world.answers().with("--name", "people").with("--role", "okta-requester");
    let arguments = answers.words();
    let written = || {
        let public = std::fs::read_to_string(world.path("people.yaml")).unwrap();
        for file in ["people.yaml", "people-secrets.yaml"] {
            std::fs::remove_file(world.path(file)).unwrap();
        }
        public.lines().find_map(|line| line.trim().strip_prefix("connector: ")).unwrap().to_owned()
    };
    let end = |mut terminal: PtySession| {
        terminal.exp_string("Next: kubectl apply").unwrap();
        terminal.exp_eof().unwrap();
    };

    // A connector of another app is no reason to ask.
    world.tell(teleport, "/connectors/another", &json!({ "oktaAppId": "0oa1other1app1other1" })).await;
    let mut terminal = at_a_terminal(&world, &arguments);
    terminal.exp_string(&format!("SAML connector: okta, of the Okta app {app}")).unwrap();
    end(terminal);
    assert_eq!(written(), "okta");

    // Two of the app: one of them is chosen, and the third is not offered.
    world.tell(teleport, "/connectors/second", &json!({ "oktaAppId": app })).await;
    let mut terminal = at_a_terminal(&world, &arguments);
    terminal.exp_string("Which SAML connector do these people use?").unwrap();
    terminal.exp_string(&format!("second, of the Okta app {app}")).unwrap();
    terminal.send("\x1b[B\r").unwrap();
    terminal.flush().unwrap();
    end(terminal);
    assert_eq!(written(), "second");
    let (code, _, err) = unattended(&world, &[]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("name one of them with --connector") && !err.contains("another"), "{err}");

    // Without the right to list them it is asked for, and why is said; reading the one that is named needs less.
    world.tell(teleport, "/permissions", &json!({ "drop": "saml:list" })).await;
    let mut terminal = at_a_terminal(&world, &arguments);
    terminal.exp_string("Teleport does not list its SAML connectors: ").unwrap();
    terminal.exp_string("saml:list").unwrap();
    answer(&mut terminal, "SAML connector in Teleport", "second");
    terminal.exp_string(&format!("second, of the Okta app {app}")).unwrap();
    end(terminal);
    assert_eq!(written(), "second");
    let (code, _, err) = unattended(&world, &[]);
    assert_eq!(code, 0, "as if there were the usual one: {err}");
    assert!(err.contains("Teleport does not list its SAML connectors"), "{err}");
    assert_eq!(world.writes().await, 0);
}

/// `init --yes` with every answer a flag.
fn unattended(world: &World, changed: &[(&'static str, &str)]) -> (i32, String, String) {
    let out = world.path("out");
    let mut answers = world.answers().with("--name", "acme").with("--out", out.to_str().unwrap());
    for (flag, value) in changed {
        answers = if value.is_empty() { answers.without(flag) } else { answers.with(flag, value) };
    }
    let arguments = [&["init", "--yes"][..], &answers.words()].concat();
    told(&run(&arguments))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nobody_to_ask_flags_answer_everything() {
    let world = World::of(3).await;
    let (code, out, err) = unattended(&world, &[]);
    assert_eq!(code, 0, "{err}");
    let public = world.path("out/acme.yaml");
    assert!(out.starts_with(public.to_str().unwrap()), "{out}");
    assert!(err.contains("Previewed, nothing was written"), "{err}");

    // A second time nothing is written over; to standard output it may always go.
    let (code, _, err) = unattended(&world, &[]);
    assert!(code == 2 && err.contains("not written over"), "{err}");
    let (code, stream, err) = unattended(&world, &[("--out", "-"), ("--app-id", "")]);
    assert_eq!(code, 0, "the only app is chosen: {err}");
    std::fs::write(world.manifest(), stream).unwrap();
    let (code, report) = world.pass("sync", &[]);
    assert_eq!((code, &report["counts"]["created"]), (0, &json!(3)), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_teleport_is_looked_at_and_okta_is_told_of_the_operators_own_afterwards() {
    let world = World::of(3).await;
    let out = world.path("out");
    let answers = world.answers().without("--okta-key").without("--okta-ca").with("--name", "acme");
    let answers = answers.with("--out", out.to_str().unwrap());
    let keyless = |teleport: &str| {
        let answers = answers.clone().with("--teleport-address", teleport);
        told(&run(&[&["init", "--yes", "--keyless"][..], &answers.words()].concat()))
    };
    let (code, out_text, err) = keyless("127.0.0.1:1");
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("reachable") && !out.join("acme.yaml").exists(), "{out_text} {err}");

    let (code, _, err) = keyless(&world.teleport.field("authAddress"));
    assert_eq!(code, 0, "{err}");
    for words in [
        "Client Credentials",
        "kubectl get ous acme -n okta-user-sync -o jsonpath='{.status.publicKey.jwk}'",
        "/.well-known/okta-user-sync/acme/jwks.json",
    ] {
        assert!(err.contains(words), "{words:?} not in {err}");
    }
    let [public, secrets] =
        ["acme.yaml", "acme-secrets.yaml"].map(|name| std::fs::read_to_string(out.join(name)).unwrap());
    assert!(!public.contains("privateKeySecretRef:") && public.contains("status.publicKey"), "{public}");
    assert_eq!(secrets.matches("kind: Secret").count(), 1, "only Teleport's");
    assert!(!world.path("acme-okta-key.pem").exists(), "nobody made a key");
    assert_eq!(world.writes().await, 0);

    let stop = told(&run(&["init", "--yes", "--keyless", "--okta-key", "key.pem"]));
    assert!(stop.0 == 2 && stop.2.contains("--okta-key"), "{}", stop.2);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nobody_to_ask_what_stands_against_it_ends_it() {
    let world = World::of(3).await;
    let stranger = world.path("stranger.pem");
    let stranger = stranger.to_str().unwrap();
    for (changed, expected, words) in [
        (("--org-url", ""), 2, "answer it with --org-url"),
        (("--client-id", ""), 2, "answer it with --client-id"),
        (("--client-id", "0oa1"), 2, "20 letters and digits"),
        (("--teleport-address", ""), 2, "answer it with --teleport-address"),
        (("--teleport-identity", "/nowhere/identity"), 2, "/nowhere/identity"),
        // Made there, and shown; Okta does not know it.
        (("--okta-key", stranger), 1, "PUBLIC KEYS > Add key"),
        (("--role", "okta-nobody"), 1, "okta-nobody"),
        (("--connector", "another"), 0, "Teleport has no SAML connector another"),
    ] {
        let (code, out, err) = unattended(&world, &[changed]);
        assert_eq!(code, expected, "{changed:?}: {out} {err}");
        assert!(err.contains(words), "{changed:?}: {words:?} not in {err}");
        assert_eq!(world.path("out/acme.yaml").exists(), expected == 0, "{changed:?}");
        assert!(!err.contains("PRIVATE KEY"), "P16: {err}");
    }
    assert!(std::fs::read_to_string(stranger).unwrap().contains("PRIVATE KEY"), "the key that was made is kept");
    assert_eq!(world.writes().await, 0);
}
