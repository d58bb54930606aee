//! Why there is no control plane, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// A control plane could not be started. `Display` says what is missing or went wrong and what to do.
#[derive(thiserror::Error)]
pub enum ControlPlaneError {
    /// Neither ready binaries nor the means to build them.
    #[error(
        "there is no Kubernetes API server on this machine and no Go to build one: install Go 1.24 or newer, or set \
         KUBEBUILDER_ASSETS to a folder that holds kube-apiserver and etcd, or, for the demo, name a cluster of your own \
         with --kubeconfig"
    )]
    NothingToRun,
    /// `KUBEBUILDER_ASSETS` is set, but the folder lacks a binary.
    #[error("KUBEBUILDER_ASSETS is set, but there is no {}: correct it, or unset it to build the control plane with Go", .0.display())]
    AssetMissing(PathBuf),
    /// Something is not built yet, and there is no Go to do so.
    #[error("there is no Go on this machine to build {0}: install Go 1.24 or newer")]
    NoGo(&'static str),
    /// There is no folder to keep in what is built.
    #[error("there is no place to keep what is built with Go: set HOME or XDG_CACHE_HOME")]
    NoCacheFolder,
    /// `go build` ended with an error.
    #[error("building {what} with Go failed ({status}); its last words:\n{log}")]
    Build {
        /// What was to be built.
        what: &'static str,
        /// How `go build` ended.
        status: ExitStatus,
        /// The last lines that it wrote.
        log: String,
    },
    /// A server ended by itself while the control plane was starting.
    #[error("{server} ended while starting ({status}); its last words:\n{log}")]
    ServerEnded {
        /// `etcd` or `kube-apiserver`.
        server: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// The API server did not become ready in time.
    #[error("kube-apiserver was not ready after {} s ({last}); its last words:\n{log}", within.as_secs())]
    NotReady {
        /// How long it was given.
        within: Duration,
        /// What `/readyz` answered last.
        last: String,
        /// The last lines of its log.
        log: String,
    },
    /// A throw-away key or certificate could not be made.
    #[error("a throw-away certificate for the control plane could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The file system or the operating system refused something.
    #[error("{doing}: {source}")]
    System {
        /// What was being done, to what.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The Kubernetes client refused or failed.
    #[error("the control plane answered: {0}")]
    Client(#[from] Box<kube::Error>),
    /// The thread that starts the control plane ended early; a bug.
    #[error("starting the control plane was interrupted; this is a bug in testkit")]
    Interrupted,
}

impl ControlPlaneError {
    /// Wraps a system error with what was being done.
    pub(crate) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source }
    }

    /// Whether a server ended because somebody else took its port between choosing and binding.
    pub(crate) fn is_port_clash(&self) -> bool {
        matches!(self, Self::ServerEnded { log, .. } if log.contains("address already in use"))
    }
}

/// The same words as `Display`: tests `unwrap`, and their reader should see the sentence and not a structure.
impl fmt::Debug for ControlPlaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<kube::Error> for ControlPlaneError {
    fn from(error: kube::Error) -> Self {
        Self::Client(Box::new(error))
    }
}
