//! Builds what only exists in Go, once for a machine, from a Go module whose files are compiled in, so that a binary works
//! far from its source tree. The name of the result holds a digest of the files and of how they are built: another version
//! is another file.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use crate::control_plane::log::last_lines;
use crate::control_plane::{ControlPlaneError, Environment, Progress, on_own_thread};
use crate::guardian::Guardian;

/// Arguments of `go` before the linker flags. No cgo, so that the result does not depend on a C compiler.
const BUILD: [&str; 4] = ["build", "-mod=readonly", "-buildvcs=false", "-trimpath"];

/// A Go module, and what is built from it.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What comes of it, in a person's words.
    pub what: &'static str,
    /// How long that takes on two cores, in a person's words.
    pub takes: &'static str,
    /// The first half of the folder's name in the cache.
    pub folder: &'static str,
    /// The result below that folder: a file for one package; with a trailing slash a folder with a file for each.
    pub result: &'static str,
    /// The module, file by file: path and content.
    pub files: &'static [(&'static str, &'static str)],
    /// The packages, as `go build` takes them.
    pub packages: &'static [&'static str],
    /// Build tags, separated by commas; empty for none.
    pub tags: &'static str,
    /// Flags for Go's linker.
    pub linker_flags: String,
}

impl Recipe {
    /// Where the result is, built first if no earlier test on this machine did (minutes).
    ///
    /// # Errors
    /// There is no Go ([`ControlPlaneError::NoGo`]), no folder to keep it in, or the build fails.
    pub async fn provide(self) -> Result<PathBuf, ControlPlaneError> {
        let built = on_own_thread(move || self.find_or_build(&Environment::of_this_process())).await;
        built.unwrap_or(Err(ControlPlaneError::Interrupted))
    }

    /// The same, for the environment given, on this thread.
    pub(crate) fn find_or_build(&self, environment: &Environment) -> Result<PathBuf, ControlPlaneError> {
        let result = self.result_in(&environment.cache_folder().ok_or(ControlPlaneError::NoCacheFolder)?);
        if !result.exists() {
            let go = environment.go().ok_or(ControlPlaneError::NoGo(self.what))?;
            // Past the capture of the test harness: whoever runs this for the first time looks at a silent terminal.
            let aloud = Progress::new(|step| {
                let _ = writeln!(std::io::stderr(), "{step} …");
            });
            self.once(&go, &result, &aloud)?;
        }
        Ok(result)
    }

    /// Where the result lives below the cache folder, built or not.
    pub(crate) fn result_in(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}-{}", self.folder, self.digest())).join(self.result.trim_end_matches('/'))
    }

    /// Builds `result` unless it is there. Of several processes one builds and the others wait for it. The result appears
    /// whole or not at all, whenever a builder is killed.
    pub(crate) fn once(&self, go: &Path, result: &Path, progress: &Progress) -> Result<(), ControlPlaneError> {
        let folder = result.parent().unwrap_or(Path::new("."));
        let system = |doing: &str| ControlPlaneError::system(format!("{doing} {}", folder.display()));
        fs::create_dir_all(folder).map_err(system("making the cache folder"))?;
        let lock = File::create(folder.join("lock")).map_err(system("making a lock file in"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.tell(&format!("Waiting for another process that builds {}", self.what));
                lock.lock().map_err(system("locking"))?;
            }
            Err(TryLockError::Error(error)) => return Err(system("locking")(error)),
        }
        if result.exists() {
            return Ok(());
        }
        progress.tell(&format!("Building {} with Go (only this once; {} on two cores)", self.what, self.takes));
        let site = folder.join("building");
        // What a killed builder may have left; nobody else is here while we hold the lock.
        let _ = fs::remove_dir_all(&site);
        self.build(go, &site, result)
    }

    /// Builds in `site`, which vanishes in any case, and moves the result to its place.
    fn build(&self, go: &Path, site: &Path, place: &Path) -> Result<(), ControlPlaneError> {
        let system = |doing: &str| ControlPlaneError::system(format!("{doing} {}", site.display()));
        fs::create_dir_all(site).map_err(system("making"))?;
        let mut guardian = Guardian::post(Some(site)).map_err(system("guarding"))?;
        for (name, content) in self.files {
            let file = site.join(name);
            fs::create_dir_all(file.parent().unwrap_or(site)).map_err(system("making a folder in"))?;
            fs::write(file, content).map_err(system("writing the Go module into"))?;
        }
        let log_file = site.join("log");
        let log = File::create(&log_file).map_err(system("making a log file in"))?;
        let mut result = site.join("result").into_os_string();
        if self.result.ends_with('/') {
            result.push("/");
        }
        let mut command = Command::new(go);
        command
            .args(BUILD)
            .args(["-tags", self.tags, "-ldflags", &self.linker_flags, "-o"])
            .arg(&result)
            .args(self.packages)
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
            return Err(ControlPlaneError::Build { what: self.what, status, log: last_lines(&log_file) });
        }
        fs::rename(site.join("result"), place).map_err(system("taking the result out of"))
    }

    /// Twelve hexadecimal digits that change with the sources and with how they are built.
    fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (name, content) in self.files {
            digest.update(format!("{name} {}\n", content.len()));
            digest.update(content);
        }
        digest.update(BUILD.join(" "));
        digest.update(&self.linker_flags);
        digest.update(self.tags);
        // "." is the module's only package, so it says nothing more.
        if self.packages != ["."] {
            digest.update(self.packages.join(" "));
        }
        hex::encode(&digest.finalize()[..6])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: Recipe = Recipe {
        what: "a thing",
        takes: "no time",
        folder: "thing",
        result: "thing",
        files: &[("go.mod", "module thing\n"), ("below/main.go", "package main\n")],
        packages: &["./below"],
        tags: "",
        linker_flags: String::new(),
    };

    #[test]
    fn a_failed_build_shows_what_go_said_and_leaves_nothing_half() {
        let cache = tempfile::tempdir().unwrap();
        let go = cache.path().join("go");
        script(&go, "#!/bin/sh\necho 'go: no such luck' >&2; exit 3\n");
        let thing = RECIPE.result_in(cache.path());
        let error = RECIPE.once(&go, &thing, &Progress::default()).unwrap_err().to_string();
        assert!(error.contains("building a thing") && error.contains("no such luck"), "{error}");
        assert!(!thing.exists() && !thing.with_file_name("building").exists());
    }

    #[test]
    fn builders_at_the_same_time_build_once() {
        let cache = tempfile::tempdir().unwrap();
        let go = cache.path().join("go");
        let calls = cache.path().join("calls");
        // A stand-in for go: notes the call and writes the file behind `-o`, if the module is there.
        let builder = format!(
            "#!/bin/sh\necho built >> {}\nwhile [ \"$1\" != -o ]; do shift; done\nsleep 0.2\ncat below/main.go > \"$2\"\n",
            calls.display()
        );
        script(&go, &builder);
        let thing = RECIPE.result_in(cache.path());
        std::thread::scope(|scope| {
            let builders: Vec<_> =
                (0..4).map(|_| scope.spawn(|| RECIPE.once(&go, &thing, &Progress::default()))).collect();
            for builder in builders {
                builder.join().unwrap().unwrap();
            }
        });
        assert_eq!(fs::read_to_string(&calls).unwrap(), "built\n");
        assert_eq!(fs::read_to_string(&thing).unwrap(), "package main\n");
        assert!(!thing.with_file_name("building").exists(), "the building site is cleared");
    }

    #[test]
    fn several_packages_come_into_a_folder() {
        let cache = tempfile::tempdir().unwrap();
        let go = cache.path().join("go");
        let builder = "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\n\
                       case \"$2\" in */) mkdir \"$2\" && echo one > \"$2one\";; *) exit 1;; esac\n";
        script(&go, builder);
        let recipe = Recipe { result: "bin/", ..RECIPE };
        let folder = recipe.result_in(cache.path());
        recipe.once(&go, &folder, &Progress::default()).unwrap();
        assert_eq!(fs::read_to_string(folder.join("one")).unwrap(), "one\n");
    }

    #[test]
    fn without_go_one_sentence_says_what_to_install() {
        let home = tempfile::tempdir().unwrap();
        let bare = Environment { home: Some(home.path().into()), ..Environment::default() };
        let error = RECIPE.find_or_build(&bare).unwrap_err().to_string();
        assert!(error.contains("to build a thing: install Go"), "{error}");
    }

    /// Writes an executable by way of a shell: were this process to hold it open for writing while another test's
    /// thread forks, running it could fail with "text file busy".
    fn script(file: &Path, content: &str) {
        let write = r#"printf %s "$1" > "$2" && chmod +x "$2""#;
        let written = Command::new("sh").args(["-c", write, "sh", content]).arg(file).status().unwrap();
        assert!(written.success());
    }
}
