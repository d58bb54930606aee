//! Where etcd and kube-apiserver come from: a developer's own binaries, or one built here once with Go.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ControlPlaneError, Progress, build};

/// What the choice depends on, as values, so that the choice itself is a function.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `KUBEBUILDER_ASSETS`: a folder with `kube-apiserver` and `etcd`.
    pub assets: Option<OsString>,
    /// `XDG_CACHE_HOME`.
    pub cache_home: Option<OsString>,
    /// `HOME`.
    pub home: Option<OsString>,
    /// `PATH`, where `go` is looked for.
    pub path: Option<OsString>,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            assets: env::var_os("KUBEBUILDER_ASSETS"),
            cache_home: env::var_os("XDG_CACHE_HOME"),
            home: env::var_os("HOME"),
            path: env::var_os("PATH"),
        }
    }

    /// `${XDG_CACHE_HOME:-~/.cache}/okta-user-sync`. The XDG rule: a relative path there is to be ignored.
    pub(crate) fn cache_folder(&self) -> Option<PathBuf> {
        let absolute = |value: &Option<OsString>| value.as_ref().map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute(&self.cache_home).or_else(|| Some(absolute(&self.home)?.join(".cache")))?;
        Some(base.join("okta-user-sync"))
    }

    /// The first `go` on the path.
    pub(crate) fn go(&self) -> Option<PathBuf> {
        env::split_paths(self.path.as_ref()?).map(|folder| folder.join("go")).find(|go| go.is_file())
    }
}

/// How to get the two servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Two binaries of the developer's own.
    Assets(Programs),
    /// The one binary that an earlier start has built.
    Built(PathBuf),
    /// To be built with this `go`, into this file.
    Build { go: PathBuf, binary: PathBuf },
}

impl Source {
    /// Chooses: `KUBEBUILDER_ASSETS`, else what was built before, else Go.
    pub(crate) fn choose(environment: &Environment) -> Result<Self, ControlPlaneError> {
        if let Some(folder) = environment.assets.as_deref().filter(|folder| !folder.is_empty()) {
            return Ok(Self::Assets(Programs::in_folder(folder)?));
        }
        let binary = environment.cache_folder().map(|cache| build::recipe().result_in(&cache));
        if let Some(binary) = binary.as_ref().filter(|binary| binary.is_file()) {
            return Ok(Self::Built(binary.clone()));
        }
        let go = environment.go().ok_or(ControlPlaneError::NothingToRun)?;
        Ok(Self::Build { go, binary: binary.ok_or(ControlPlaneError::NoCacheFolder)? })
    }

    /// The programs, built first if that is still to be done (minutes).
    pub(crate) fn provide(self, progress: &Progress) -> Result<Programs, ControlPlaneError> {
        match self {
            Self::Assets(programs) => Ok(programs),
            Self::Built(binary) => Ok(Programs::Together(binary)),
            Self::Build { go, binary } => {
                build::recipe().once(&go, &binary, progress)?;
                Ok(Programs::Together(binary))
            }
        }
    }
}

/// The two servers, ready to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Programs {
    /// A binary each.
    Apart { etcd: PathBuf, api_server: PathBuf },
    /// One binary with a subcommand each.
    Together(PathBuf),
}

impl Programs {
    fn in_folder(folder: &OsStr) -> Result<Self, ControlPlaneError> {
        let present = |name: &str| {
            let path = Path::new(folder).join(name);
            if path.is_file() { Ok(path) } else { Err(ControlPlaneError::AssetMissing(path)) }
        };
        Ok(Self::Apart { etcd: present("etcd")?, api_server: present("kube-apiserver")? })
    }

    /// A command that runs etcd, still without flags.
    pub(crate) fn etcd(&self) -> Command {
        self.command("etcd")
    }

    /// A command that runs kube-apiserver, still without flags.
    pub(crate) fn api_server(&self) -> Command {
        self.command("kube-apiserver")
    }

    fn command(&self, server: &str) -> Command {
        match self {
            Self::Apart { etcd, .. } if server == "etcd" => Command::new(etcd),
            Self::Apart { api_server, .. } => Command::new(api_server),
            Self::Together(binary) => {
                let mut command = Command::new(binary);
                command.arg(server);
                command
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A machine with an empty home, an empty PATH and no assets.
    fn bare(home: &Path) -> Environment {
        Environment { assets: None, cache_home: None, home: Some(home.into()), path: Some(home.join("bin").into()) }
    }

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn without_go_and_assets_one_sentence_names_the_three_ways_out() {
        let home = tempfile::tempdir().unwrap();
        let error = Source::choose(&bare(home.path())).unwrap_err();
        let sentence = error.to_string();
        assert!(matches!(error, ControlPlaneError::NothingToRun), "{sentence}");
        for way in ["install Go 1.24 or newer", "set KUBEBUILDER_ASSETS", "--kubeconfig"] {
            assert!(sentence.contains(way), "{way} is missing in: {sentence}");
        }
        assert!(!sentence.contains('\n') && !sentence.contains(". "), "more than one sentence: {sentence}");
        assert_eq!(format!("{error:?}"), sentence, "a test that unwraps must show the sentence");
    }

    #[test]
    fn an_empty_assets_variable_counts_as_unset() {
        let home = tempfile::tempdir().unwrap();
        let environment = Environment { assets: Some(OsString::new()), ..bare(home.path()) };
        assert!(matches!(Source::choose(&environment), Err(ControlPlaneError::NothingToRun)));
    }

    #[test]
    fn assets_come_first_and_must_be_whole() {
        let home = tempfile::tempdir().unwrap();
        let assets = home.path().join("assets");
        touch(&assets.join("kube-apiserver"));
        let environment = Environment { assets: Some(assets.clone().into()), ..bare(home.path()) };
        let error = Source::choose(&environment).unwrap_err();
        assert!(error.to_string().contains(assets.join("etcd").to_str().unwrap()), "{error}");

        touch(&assets.join("etcd"));
        touch(&build::recipe().result_in(&home.path().join(".cache/okta-user-sync")));
        let expected = Programs::Apart { etcd: assets.join("etcd"), api_server: assets.join("kube-apiserver") };
        assert_eq!(Source::choose(&environment).unwrap(), Source::Assets(expected));
    }

    #[test]
    fn what_was_built_before_needs_no_go() {
        let home = tempfile::tempdir().unwrap();
        let binary = build::recipe().result_in(&home.path().join(".cache/okta-user-sync"));
        touch(&binary);
        assert_eq!(Source::choose(&bare(home.path())).unwrap(), Source::Built(binary));
    }

    #[test]
    fn go_builds_into_the_cache_folder_that_xdg_names() {
        let home = tempfile::tempdir().unwrap();
        let go = home.path().join("bin/go");
        touch(&go);
        let cache = home.path().join("elsewhere");
        let environment = Environment { cache_home: Some(cache.clone().into()), ..bare(home.path()) };
        let binary = build::recipe().result_in(&cache.join("okta-user-sync"));
        assert_eq!(Source::choose(&environment).unwrap(), Source::Build { go: go.clone(), binary });

        let relative = Environment { cache_home: Some("relative".into()), ..bare(home.path()) };
        let binary = build::recipe().result_in(&home.path().join(".cache/okta-user-sync"));
        assert_eq!(Source::choose(&relative).unwrap(), Source::Build { go, binary });

        let homeless = Environment { home: None, ..bare(home.path()) };
        assert!(matches!(Source::choose(&homeless), Err(ControlPlaneError::NoCacheFolder)));
    }
}
