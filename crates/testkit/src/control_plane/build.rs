//! Builds etcd and kube-apiserver, once for a machine, from the Go module in `tests/tools/controlplane`.
//!
//! The module's files are compiled into this crate, so that a binary works far from its source tree. The name of the
//! result holds a digest of the files and of how they are built: another version is another file.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use super::log::last_lines;
use super::{ControlPlaneError, Progress};
use crate::guardian::Guardian;

/// The Go module, file by file: name and content.
const MODULE: [(&str, &str); 3] = [
    ("main.go", include_str!("../../../../tests/tools/controlplane/main.go")),
    ("go.mod", include_str!("../../../../tests/tools/controlplane/go.mod")),
    ("go.sum", include_str!("../../../../tests/tools/controlplane/go.sum")),
];

/// Arguments of `go` before the linker flags. No cgo, so that the result does not depend on a C compiler.
const BUILD: [&str; 4] = ["build", "-mod=readonly", "-buildvcs=false", "-trimpath"];

/// Where the control plane binary lives below the cache folder, built or not.
pub(crate) fn binary_in(cache: &Path) -> PathBuf {
    cache.join(format!("controlplane-{}", digest())).join("controlplane")
}

/// Builds `binary` unless it is there. Of several processes one builds and the others wait for it. The file appears
/// whole or not at all, whenever a builder is killed.
pub(crate) fn once(go: &Path, binary: &Path, progress: &Progress) -> Result<(), ControlPlaneError> {
    let folder = binary.parent().unwrap_or(Path::new("."));
    let system = |doing: &str| ControlPlaneError::system(format!("{doing} {}", folder.display()));
    fs::create_dir_all(folder).map_err(system("making the cache folder"))?;
    let lock = File::create(folder.join("lock")).map_err(system("making a lock file in"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress.tell("Waiting for another process that builds kube-apiserver and etcd");
            lock.lock().map_err(system("locking"))?;
        }
        Err(TryLockError::Error(error)) => return Err(system("locking")(error)),
    }
    if binary.is_file() {
        return Ok(());
    }
    progress.tell("Building kube-apiserver and etcd with Go (only this once; about four minutes on two cores)");
    let site = folder.join("building");
    // What a killed builder may have left; nobody else is here while we hold the lock.
    let _ = fs::remove_dir_all(&site);
    build(go, &site, binary)
}

/// Builds in `site`, which vanishes in any case, and moves the result to `binary`.
fn build(go: &Path, site: &Path, binary: &Path) -> Result<(), ControlPlaneError> {
    let system = |doing: &str| ControlPlaneError::system(format!("{doing} {}", site.display()));
    fs::create_dir_all(site).map_err(system("making"))?;
    let mut guardian = Guardian::post(Some(site)).map_err(system("guarding"))?;
    for (name, content) in MODULE {
        fs::write(site.join(name), content).map_err(system("writing the Go module into"))?;
    }
    let log_file = site.join("log");
    let log = File::create(&log_file).map_err(system("making a log file in"))?;
    let result = site.join("controlplane");
    let mut command = Command::new(go);
    command
        .args(BUILD)
        .args(["-ldflags", &linker_flags(), "-o"])
        .arg(&result)
        .arg(".")
        .current_dir(site)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    let doing = format!("running {}", go.display());
    let mut child = guardian.spawn(&mut command).map_err(ControlPlaneError::system(&*doing))?;
    let status = child.wait().map_err(ControlPlaneError::system(doing))?;
    if !status.success() {
        return Err(ControlPlaneError::Build { status, log: last_lines(&log_file) });
    }
    fs::rename(&result, binary).map_err(system("taking the result out of"))
}

/// No debug symbols, and the version that the server says at `/version` (a plain build would say v0.0.0, and charts
/// that ask for a minimal version would refuse).
fn linker_flags() -> String {
    let version = kubernetes_version();
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let variable = "-X k8s.io/component-base/version.git";
    format!("-s -w {variable}Version={version} {variable}Major={major} {variable}Minor={minor}")
}

/// The Kubernetes release that go.mod names, such as `v1.34.4`.
pub(crate) fn kubernetes_version() -> &'static str {
    let required = MODULE[1].1.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    required.unwrap_or_default()
}

/// Twelve hexadecimal digits that change with the sources and with how they are built.
fn digest() -> String {
    let mut digest = Sha256::new();
    for (name, content) in MODULE {
        digest.update(format!("{name} {}\n", content.len()));
        digest.update(content);
    }
    digest.update(BUILD.join(" "));
    digest.update(linker_flags());
    hex::encode(&digest.finalize()[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_will_say_the_version_that_go_mod_names() {
        let version = kubernetes_version();
        assert!(version.starts_with("v1."), "{version}");
        assert!(linker_flags().contains(&format!("gitVersion={version} ")), "{}", linker_flags());
        assert!(linker_flags().contains("gitMajor=1 "), "{}", linker_flags());
    }

    #[test]
    fn a_failed_build_shows_what_go_said_and_leaves_nothing_half() {
        let cache = tempfile::tempdir().unwrap();
        let go = cache.path().join("go");
        script(&go, "#!/bin/sh\necho 'go: no such luck' >&2; exit 3\n");
        let binary = binary_in(cache.path());
        let error = once(&go, &binary, &Progress::default()).unwrap_err();
        assert!(error.to_string().contains("no such luck"), "{error}");
        assert!(!binary.exists() && !binary.with_file_name("building").exists());
    }

    #[test]
    fn builders_at_the_same_time_build_once() {
        let cache = tempfile::tempdir().unwrap();
        let go = cache.path().join("go");
        let calls = cache.path().join("calls");
        // A stand-in for go: notes the call and writes the file behind `-o`.
        let builder = format!(
            "#!/bin/sh\necho built >> {}\nwhile [ \"$1\" != -o ]; do shift; done\nsleep 0.2\necho binary > \"$2\"\n",
            calls.display()
        );
        script(&go, &builder);
        let binary = binary_in(cache.path());
        std::thread::scope(|scope| {
            let builders: Vec<_> = (0..4).map(|_| scope.spawn(|| once(&go, &binary, &Progress::default()))).collect();
            for builder in builders {
                builder.join().unwrap().unwrap();
            }
        });
        assert_eq!(fs::read_to_string(&calls).unwrap(), "built\n");
        assert_eq!(fs::read_to_string(&binary).unwrap(), "binary\n");
        assert!(!binary.with_file_name("building").exists(), "the building site is cleared");
    }

    /// Writes an executable by way of a shell: were this process to hold it open for writing while another test's
    /// thread forks, running it could fail with "text file busy".
    fn script(file: &Path, content: &str) {
        let write = r#"printf %s "$1" > "$2" && chmod +x "$2""#;
        let written = Command::new("sh").args(["-c", write, "sh", content]).arg(file).status().unwrap();
        assert!(written.success());
    }
}
