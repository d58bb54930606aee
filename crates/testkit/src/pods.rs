//! Runs what a Deployment says, without containers: each pod is a process.
//!
//! A [`PodRunner`] does in one namespace what the Deployment controller and the kubelet do in a cluster: it makes Pod
//! objects from the template (so the API server's own Pod Security admission judges them), starts a process with the
//! arguments, the environment, the mounted files and the tokens that the pod would find, probes it, restarts it, replaces
//! pods one by one when the template changes, ends them by SIGTERM within their grace period, and writes the statuses
//! that `helm --wait` and people look at.
//!
//! What differs from a container, because a process shares the machine's file system and network:
//!
//! * A mounted path such as `/etc/app` is a folder elsewhere; arguments and environment name that one instead.
//! * `0.0.0.0` and `[::]` become the pod's own loopback address (`status.podIP`), so that replicas do not clash.
//! * The pod's `ServiceAccount` reaches the program by a kubeconfig (`KUBECONFIG`) with the files of the usual volume.
//! * Every image is the one program that the runner was given. Security contexts are judged by admission, not enforced.

mod container;
mod deployment;
mod pod;
mod probe;
mod volumes;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use kube::Client;
use tokio::sync::oneshot;

use crate::{ControlPlane, ControlPlaneError};
use deployment::Deployments;

/// Between two looks at the Deployments of the namespace.
const TICK: Duration = Duration::from_millis(200);

/// Why a pod could not be made or run.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The API server refused, or there is no such object.
    #[error("{doing}: {source}")]
    Client {
        /// What was being done.
        doing: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// The manifest says something that this runner cannot do.
    #[error("the pod runner does not know {0}")]
    Unknown(String),
    /// A referenced object lacks what the pod needs.
    #[error("{0}")]
    Missing(String),
    /// The operating system refused.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The program could not be started or ended.
    #[error(transparent)]
    Process(#[from] crate::process::ProcessError),
}

impl PodError {
    fn client(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Client { doing, source: Box::new(source) }
    }

    fn system(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source }
    }
}

/// One pod as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// Name of the Pod object.
    pub name: String,
    /// Name of its Deployment.
    pub deployment: String,
    /// Process id.
    pub process: u32,
    /// Its own loopback address.
    pub ip: String,
    /// Ports by name, as they can be reached at [`Self::ip`].
    pub ports: Vec<(String, u16)>,
    /// The program's arguments.
    pub args: Vec<String>,
    /// Whether its readiness probe answers.
    pub ready: bool,
    /// How often it was restarted.
    pub restarts: u32,
    /// Everything that it has written so far.
    pub output: String,
}

impl PodView {
    /// Where a port can be reached, as `host:port`; nothing if it has none of that name.
    #[must_use]
    pub fn address(&self, port: &str) -> Option<String> {
        let (_, number) = self.ports.iter().find(|(name, _)| name == port)?;
        Some(format!("{}:{number}", self.ip))
    }
}

/// What the runner shows of itself.
#[derive(Debug, Default)]
struct View {
    pods: Vec<PodView>,
    problems: Vec<String>,
}

/// What every pod needs to know.
#[derive(Clone)]
struct Surroundings {
    client: Client,
    namespace: String,
    /// The program that every image stands for.
    program: PathBuf,
    /// The API server as a pod sees it.
    api_server: String,
    api_server_port: u16,
    ca_pem: String,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Runs the Deployments of one namespace until it is dropped.
#[derive(Debug)]
pub struct PodRunner {
    // In the order of their end: closing the channel ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    view: Arc<Mutex<View>>,
}

impl PodRunner {
    /// Begins to run the Deployments of `namespace`, whenever they come; each of their images is `program`. It has a
    /// thread of its own, so it goes on whatever its owner's runtime does.
    ///
    /// # Errors
    /// The control plane's files cannot be read, or there is no thread to be had.
    pub fn start(
        control_plane: &ControlPlane,
        namespace: &str,
        program: impl Into<PathBuf>,
    ) -> Result<Self, ControlPlaneError> {
        let ca = control_plane.ca_file();
        let ca_pem =
            std::fs::read_to_string(ca).map_err(ControlPlaneError::system(format!("reading {}", ca.display())))?;
        let (config, url, port) = (control_plane.config(), control_plane.url().to_owned(), control_plane.port());
        let (namespace, program) = (namespace.to_owned(), program.into());
        let view = Arc::new(Mutex::new(View::default()));
        let (stop, stopped) = oneshot::channel::<()>();
        let shown = view.clone();
        let work = move || -> Result<(), String> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| error.to_string())?.block_on(async move {
                // A client belongs to the runtime that it is made in.
                let client = Client::try_from(config).map_err(|error| error.to_string())?;
                let around =
                    Surroundings { client, namespace, program, api_server: url, api_server_port: port, ca_pem };
                tokio::select! {
                    () = run(Deployments::new(around), &shown) => {}
                    _ = stopped => {}
                }
                Ok(())
            })
        };
        let failed = view.clone();
        let thread = std::thread::Builder::new().name("pods".to_owned()).spawn(move || {
            if let Err(error) = work() {
                failed.lock().unwrap_or_else(PoisonError::into_inner).problems = vec![error];
            }
        });
        let thread = thread.map_err(ControlPlaneError::system("starting a thread for pods"))?;
        Ok(Self { stop: Some(stop), thread: Some(thread), view })
    }

    /// The pods as they stand.
    #[must_use]
    pub fn pods(&self) -> Vec<PodView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).pods.clone()
    }

    /// What could not be done at the last look, such as a pod that admission refused.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).problems.clone()
    }
}

impl Drop for PodRunner {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The processes are dropped with the thread, and so killed.
            let _ = thread.join();
        }
    }
}

async fn run(mut deployments: Deployments, view: &Mutex<View>) {
    loop {
        let problems = Box::pin(deployments.look()).await;
        let pods = deployments.view();
        *view.lock().unwrap_or_else(PoisonError::into_inner) = View { pods, problems };
        tokio::time::sleep(TICK).await;
    }
}
