//! Where the servers come from: built once whoever starts at the same time, whole or not at all, or a developer's own.

// Helper functions of a test may say what they expect, as the test functions do.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use testkit::control_plane::{ControlPlane, ControlPlaneError, Options, shared};
use testkit::{Launch, Process, eventually};

/// More than a busy machine needs.
const SOON: Duration = Duration::from_secs(120);

/// A machine with an empty cache and a stand-in for Go, which notes its calls.
struct Machine {
    root: TempDir,
}

impl Machine {
    /// `build` is what the stand-in does, with the path of the result in `$2`.
    fn whose_go_does(build: &str) -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        machine.go_does(build);
        machine
    }

    fn go_does(&self, build: &str) {
        let calls = self.calls().display().to_string();
        let go = format!("#!/bin/sh\necho build >> '{calls}'\nwhile [ \"$1\" != -o ]; do shift; done\n{build}\n");
        script(&self.root.path().join("bin/go"), &go);
    }

    fn calls(&self) -> PathBuf {
        self.root.path().join("calls")
    }

    /// The folder of the control plane in the cache, once there is one.
    fn cached(&self) -> Option<PathBuf> {
        let cache = fs::read_dir(self.root.path().join("okta-user-sync")).ok()?;
        cache.flatten().map(|entry| entry.path()).next()
    }

    fn start(&self) -> Process {
        let path = format!("{}:{}", self.root.path().join("bin").display(), std::env::var("PATH").unwrap());
        let launch = Launch::new(env!("CARGO_BIN_EXE_local-control-plane")).bare();
        launch.env("PATH", path).env("XDG_CACHE_HOME", self.root.path()).start().unwrap()
    }
}

/// Writes an executable by way of a shell: were this process to hold it open for writing while another test forks,
/// running it could fail with "text file busy".
fn script(file: &Path, content: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let write = r#"printf %s "$1" > "$2.new" && chmod +x "$2.new" && mv "$2.new" "$2""#;
    let written = Command::new("sh").args(["-c", write, "sh", content]).arg(file).status().unwrap();
    assert!(written.success());
}

/// A "build" whose result is a script that is no server at all.
const BUILDS_A_DUD: &str = r#"sleep 0.3; printf '#!/bin/sh\necho no server: $1 >&2; exit 9\n' > "$2"; chmod +x "$2""#;

#[tokio::test]
async fn processes_that_start_at_once_share_one_build() {
    let machine = Machine::whose_go_does(BUILDS_A_DUD);
    let mut starting: Vec<Process> = (0..3).map(|_| machine.start()).collect();
    for process in &mut starting {
        assert_eq!(process.wait(SOON).await.unwrap().code(), Some(1));
        let output = process.output();
        assert!(output.contains("ended while starting") && output.contains("no server: "), "{output}");
    }
    assert_eq!(fs::read_to_string(machine.calls()).unwrap(), "build\n");
    let said = |word: &str| starting.iter().filter(|process| process.output().contains(word)).count();
    assert_eq!(said("Building kube-apiserver and etcd with Go (only this once"), 1);
}

#[tokio::test]
async fn a_killed_build_leaves_nothing_half_and_the_next_start_builds_afresh() {
    let machine = Machine::whose_go_does(r#"echo half > "$2"; echo $$ > half-done; exec sleep 600"#);
    let mut first = machine.start();
    let building = || machine.cached().unwrap_or_default().join("building");
    eventually(SOON, "the build to be half done", async || fs::read(building().join("half-done"))).await.unwrap();

    first.kill().unwrap();

    let cleared = async || if building().exists() { Err("the building site is there") } else { Ok(()) };
    eventually(SOON, "the guardian to clear the site", cleared).await.unwrap();
    assert!(!machine.cached().unwrap().join("controlplane").exists());

    machine.go_does(BUILDS_A_DUD);
    let mut second = machine.start();
    second.wait(SOON).await.unwrap();
    assert!(second.output().contains("no server: "), "{}", second.output());
    assert_eq!(fs::read_to_string(machine.calls()).unwrap(), "build\nbuild\n");
}

#[tokio::test]
async fn a_developers_own_binaries_come_first_and_are_guarded_as_well() {
    let folder = shared().await.unwrap().kubeconfig().parent().unwrap().to_str().unwrap();
    let assets = tempfile::tempdir().unwrap();
    for server in ["etcd", "kube-apiserver"] {
        let own = format!("#!/bin/sh\nexec {} \"$@\"\n", command_of(folder, server));
        script(&assets.path().join(server), &own);
    }
    let launch = Launch::new(env!("CARGO_BIN_EXE_local-control-plane")).env("KUBEBUILDER_ASSETS", assets.path());
    let mut process = launch.start().unwrap();
    let ready = process.first_json(SOON).await.unwrap();
    let folder = ready["folder"].as_str().unwrap().to_owned();

    process.kill().unwrap();

    let gone = async || if Path::new(&folder).exists() { Err("its folder is there") } else { Ok(()) };
    eventually(SOON, "nothing to be left", gone).await.unwrap();
}

/// How the running control plane in `folder` runs this server: the words before the flags.
fn command_of(folder: &str, server: &str) -> String {
    let lines =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let words = lines.map(|line| String::from_utf8_lossy(&line).split('\0').map(str::to_owned).collect::<Vec<_>>());
    let ours = words.filter(|words| words.iter().any(|word| word.starts_with(folder)));
    let heads = ours.map(|words| words.into_iter().take_while(|word| !word.starts_with('-')).collect::<Vec<_>>());
    heads.map(|head| head.join(" ")).find(|head| head.ends_with(server)).unwrap()
}

#[tokio::test]
async fn a_server_that_is_not_ready_in_time_is_quoted() {
    shared().await.unwrap();
    let options = Options { ready_within: Duration::ZERO, ..Options::default() };
    let error = ControlPlane::start(options).await.unwrap_err();
    assert!(matches!(error, ControlPlaneError::NotReady { .. }), "{error}");
    assert!(error.to_string().starts_with("kube-apiserver was not ready after 0 s ("), "{error}");
}
