//! helm, kubeconform and kubectl at the versions that `tests/tools/helm` pins, so that a machine with nothing but Go can
//! try the chart, the examples and the words of the documents.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::control_plane::{ControlPlaneError, Environment, on_own_thread};
use crate::go::Recipe;

/// The Go module and what is built from it.
const RECIPE: Recipe = Recipe {
    what: "helm, kubeconform and kubectl",
    takes: "about three minutes",
    folder: "helm",
    result: "bin/",
    files: &[
        ("go.mod", include_str!("../../../tests/tools/helm/go.mod")),
        ("go.sum", include_str!("../../../tests/tools/helm/go.sum")),
        ("kubectl/main.go", include_str!("../../../tests/tools/helm/kubectl/main.go")),
    ],
    packages: &["helm.sh/helm/v4/cmd/helm", "github.com/yannh/kubeconform/cmd/kubeconform", "./kubectl"],
    tags: "",
    linker_flags: String::new(),
};

static TOOLS: OnceLock<Result<Tools, ControlPlaneError>> = OnceLock::new();
static INTERRUPTED: ControlPlaneError = ControlPlaneError::Interrupted;

/// The folder with the programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools(PathBuf);

impl Tools {
    /// The tools, built first if no earlier test on this machine did (minutes).
    ///
    /// # Errors
    /// There is no Go, no folder to keep them in, or the build fails; every later call gives the same error.
    pub async fn provide() -> Result<&'static Self, &'static ControlPlaneError> {
        on_own_thread(|| TOOLS.get_or_init(|| Self::find_or_build(&Environment::of_this_process())))
            .await
            .ok_or(&INTERRUPTED)?
            .as_ref()
    }

    /// The tools, if this process was provided with them before.
    #[must_use]
    pub fn provided() -> Option<&'static Self> {
        TOOLS.get()?.as_ref().ok()
    }

    fn find_or_build(environment: &Environment) -> Result<Self, ControlPlaneError> {
        Recipe { linker_flags: "-s -w".to_owned(), ..RECIPE }.find_or_build(environment).map(Self)
    }

    /// The folder that holds them, for a PATH.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// A command that runs `name` (`helm`, `kubeconform` or `kubectl`) with nothing of this machine's settings: an empty
    /// environment but for a home of its own in `home`, where it keeps what it keeps.
    #[must_use]
    pub fn command(&self, name: &str, home: &Path) -> Command {
        let mut command = Command::new(self.0.join(name));
        command.env_clear().env("HOME", home).env("HELM_NO_PLUGINS", "1");
        command
    }
}
