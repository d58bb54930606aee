//! Prometheus's own tool, built once for a machine from `tests/tools/prometheus` into the user's cache folder.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest as _, Sha256};
use testkit::guardian::Guardian;

/// What is built, and how: no cgo, so that it does not depend on a C compiler; none of Prometheus's service discoveries.
const BUILD: [&str; 7] =
    ["build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-tags=remove_all_sd", "-ldflags", "-s -w"];

/// The package.
const PACKAGE: &str = "github.com/prometheus/prometheus/cmd/promtool";

/// The program.
pub struct Promtool(PathBuf);

impl Promtool {
    /// Builds it unless that is done; `None`, with a word on why, where it is not possible.
    pub async fn provide() -> Option<Self> {
        tokio::task::spawn_blocking(|| match cache() {
            Some(cache) => build(&cache),
            None => skip("neither XDG_CACHE_HOME nor HOME is set"),
        })
        .await
        .unwrap()
        .map(Self)
    }

    /// Runs it in `folder` with `input`: whether it is content, and what it said.
    #[must_use]
    pub fn run(&self, folder: &Path, arguments: &[&str], input: &str) -> (bool, String) {
        let mut command = Command::new(&self.0);
        command.args(arguments).current_dir(folder).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut guardian = Guardian::post(None).unwrap();
        let mut child = guardian.spawn(&mut command).unwrap();
        // A command that does not read its input may have ended before it is written.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let done = child.wait_with_output().unwrap();
        let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (done.status.success(), said)
    }
}

fn skip<T>(why: &str) -> Option<T> {
    eprintln!("skipped: {why}");
    None
}

/// `${XDG_CACHE_HOME:-~/.cache}/okta-user-sync`; a relative path there is to be ignored.
fn cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("okta-user-sync"))
}

/// The program. Of several processes one builds and the others wait; it appears whole or not at all.
fn build(cache: &Path) -> Option<PathBuf> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/prometheus");
    let mut digest = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        digest.update(fs::read(module.join(file)).unwrap());
    }
    digest.update(BUILD.join(" "));
    let folder = cache.join(format!("promtool-{}", hex::encode(&digest.finalize()[..6])));
    let result = folder.join("promtool");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    if result.is_file() {
        return Some(result);
    }
    if Command::new("go").arg("version").stdout(Stdio::null()).status().is_err() {
        return skip("there is no go on the PATH to build promtool");
    }
    eprintln!("building promtool with Go (only this once; about two minutes on two cores)");
    let site = folder.join("building");
    // What a killed builder may have left; nobody else is here while we hold the lock.
    let _ = fs::remove_dir_all(&site);
    fs::create_dir(&site).unwrap();
    let mut guardian = Guardian::post(Some(&site)).unwrap();
    let log = site.join("log");
    let mut go = Command::new("go");
    go.args(BUILD).arg("-o").arg(site.join("promtool")).arg(PACKAGE).current_dir(&module);
    go.env("CGO_ENABLED", "0").env("GOWORK", "off").stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = guardian.spawn(go.stderr(File::create(&log).unwrap())).unwrap();
    assert!(child.wait().unwrap().success(), "go build: {}", fs::read_to_string(&log).unwrap());
    fs::rename(site.join("promtool"), &result).unwrap();
    Some(result)
}
