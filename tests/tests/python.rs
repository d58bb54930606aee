//! Okta's own Python SDK against the simulated organisation: what it saw is compared with what the organisation holds.
//!
//! The SDK is installed once for a machine, by pip, into the user's cache folder. Where there is no Python, or no package
//! registry that can be reached, these tests are skipped with a word on why.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use okta::key::PrivateKey;
use okta_sim::{DpopMode, OktaSim, Options};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use suites::{cache, skip};
use testkit::guardian::Guardian;

#[tokio::test(flavor = "multi_thread")]
async fn oktas_python_sdk_reads_an_org_page_by_page() {
    let Some(python) = provide().await else { return };
    let okta = OktaSim::start(Options::with_people(5, 7)).await.unwrap();
    reads_as_it_is(python, &okta, &[]).await;
    let tokens = okta.org().writes().iter().filter(|write| write.path == "/oauth2/v1/token").count();
    assert_eq!(tokens, 1, "one token for everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn oktas_python_sdk_proves_possession_where_it_has_to() {
    let Some(python) = provide().await else { return };
    let options = Options { dpop: DpopMode::Required, ..Options::with_people(5, 8) };
    let okta = OktaSim::start(options).await.unwrap();
    reads_as_it_is(python, &okta, &["dpop"]).await;
    let tokens: Vec<u16> =
        okta.org().writes().iter().filter(|write| write.path == "/oauth2/v1/token").map(|write| write.status).collect();
    assert_eq!(tokens, [400, 200], "the SDK learns the nonce, and has a token");
}

/// Everything that the SDK sees with a private key is as the org holds it, and it gets the errors that it expects.
async fn reads_as_it_is(python: PathBuf, okta: &OktaSim, further: &[&str]) {
    let (org, ready) = (okta.org(), okta.ready());
    let ids = org.assigned(&ready.app_id).unwrap();
    org.suspend(&ids[1]).unwrap();
    let key = PrivateKey::parse(&fs::read(&ready.private_key_file).unwrap()).unwrap();
    let mut line = serde_json::to_value(&ready).unwrap();
    line["kid"] = key.kid().into();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/python/read.py");
    let home = home(&ready.ca_file);
    let mut command = Command::new(python);
    // Nothing of this machine may lead the client elsewhere.
    command.arg(script).arg(line.to_string()).args(further).env_clear();
    command.env("HOME", home).env("SSL_CERT_FILE", &ready.ca_file).env("PYTHONDONTWRITEBYTECODE", "1");
    let seen: Value = serde_json::from_slice(&succeeded(run(command).await).unwrap()).unwrap();

    let people: Vec<Value> = ids
        .iter()
        .map(|id| {
            let (entry, user) = (org.app_user(&ready.app_id, id).unwrap(), org.user(id).unwrap());
            json!({
                "id": id, "userName": entry["credentials"]["userName"], "status": entry["status"],
                "scope": entry["scope"], "login": user["profile"]["login"],
            })
        })
        .collect();
    assert_eq!(seen["people"], Value::Array(people));
    assert_eq!(seen["pages"], 3, "five people, two on a page");
    assert_eq!((&seen["users"], &seen["members"]), (&json!(ids), &json!(ids)));
    let first = org.user(&ids[0]).unwrap();
    let wanted = json!({ "id": ids[0], "status": first["status"], "login": first["profile"]["login"] });
    assert_eq!(seen["first"], wanted);
    let groups: Vec<Value> = org.summary()["groups"].as_array().unwrap().iter().map(|g| g["name"].clone()).collect();
    assert_eq!(seen["groups"], Value::Array(groups));
    assert_eq!(seen["nobody"], "E0000007");
    assert_eq!(seen["forbidden"][0], 403);
    let challenge = seen["forbidden"][1].as_str().unwrap();
    assert!(
        challenge.contains("error=\"insufficient_scope\"") && challenge.contains("okta.users.manage"),
        "{challenge}"
    );
    let suspended = json!({ "type": "user.lifecycle.suspend", "targets": [ids[1]] });
    assert!(seen["events"].as_array().unwrap().contains(&suspended), "{}", seen["events"]);
}

/// A folder that holds no configuration of the SDK: the one of this organisation's files.
fn home(ca: &Path) -> PathBuf {
    ca.parent().unwrap().to_owned()
}

/// A Python that has the SDK; `None`, with a word on why, where that is not possible.
async fn provide() -> Option<PathBuf> {
    // One provider for the process; a second installation fails, and that is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::task::spawn_blocking(|| match cache() {
        Some(cache) => install(&cache),
        None => skip("neither XDG_CACHE_HOME nor HOME is set"),
    })
    .await
    .unwrap()
}

/// Installs the SDK into a virtual environment, unless that is done. Of several processes one installs and the others
/// wait.
fn install(cache: &Path) -> Option<PathBuf> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/python/requirements.txt");
    let version = match Command::new("python3").arg("--version").output() {
        Ok(output) if output.status.success() => output.stdout,
        _ => return skip("there is no python3 on the PATH"),
    };
    let digest = Sha256::new().chain_update(fs::read(&requirements).unwrap()).chain_update(&version).finalize();
    let folder = cache.join(format!("python-{}", hex::encode(&digest[..6])));
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    // Environments name their own folder, so it is made where it stays; a mark says that it is whole.
    let (environment, whole) = (folder.join("environment"), folder.join("whole"));
    let python = environment.join("bin/python");
    if whole.exists() {
        return Some(python);
    }
    let _ = fs::remove_dir_all(&environment);
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&environment);
    if let Err(why) = succeeded(make.stdin(Stdio::null()).output().unwrap()) {
        return skip(&format!("python3 makes no virtual environment: {why}"));
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1", "-r"]);
    pip.arg(&requirements).stdin(Stdio::null());
    if let Err(why) = succeeded(pip.output().unwrap()) {
        return skip(&format!("pip cannot install the SDK: {why}"));
    }
    File::create(whole).unwrap();
    Some(python)
}

/// Runs a command to its end, while the simulator goes on.
async fn run(mut command: Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    tokio::task::spawn_blocking(move || {
        let (child, _guardian) =
            Guardian::post(None).and_then(|mut guardian| Ok((guardian.spawn(&mut command)?, guardian))).unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap()
}

/// What a command printed, or the last line of why it failed.
fn succeeded(output: Output) -> Result<Vec<u8>, String> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(said.trim().lines().last().unwrap_or("without a word").to_owned())
}
