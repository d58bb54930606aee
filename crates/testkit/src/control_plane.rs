//! A real etcd and a real kube-apiserver on this machine, without containers.
//!
//! The servers come from `KUBEBUILDER_ASSETS` where that is set, else from a binary that is built once with Go and kept
//! in `${XDG_CACHE_HOME:-~/.cache}/okta-user-sync`. They listen on loopback only, on free ports, with a certificate
//! authority of their own, and vanish with this process, however it ends ([`crate::guardian`]).
//!
//! What is real: everything in the API server, such as RBAC, `TokenRequest`, admission, CEL, server-side apply, watches.
//! What is missing: every controller. Nobody collects garbage, empties a deleted namespace, makes `default`
//! `ServiceAccount`s or runs pods ([`crate::PodRunner`] runs those of Deployments).

mod access;
mod audit;
mod build;
mod credentials;
mod error;
mod etcd;
mod folder;
pub(crate) mod log;
mod programs;
mod progress;
mod server;
mod shared;

use std::path::Path;
use std::time::{Duration, Instant};

pub use audit::Request;
pub use error::ControlPlaneError;
pub use programs::Environment;
pub use progress::Progress;
pub use server::SERVICE_ACCOUNT_ISSUER;
pub use shared::shared;

use crate::guardian::Guardian;
use access::Access;
use credentials::Credentials;
use folder::Folder;
use programs::{Programs, Source};
use server::Server;

/// How often ports are chosen anew when somebody else takes one before a server binds it.
const PORT_ATTEMPTS: u32 = 5;

/// Between two looks at `/readyz`.
const READY_POLL: Duration = Duration::from_millis(50);

/// How to start a control plane.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long the API server may take to become ready, once it is built. Default: two minutes, which a machine needs
    /// only when it compiles something else at the same time; three seconds are usual.
    pub ready_within: Duration,
    /// Who is told what happens. Default: the log.
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Self { ready_within: Duration::from_secs(120), progress: Progress::default() }
    }
}

/// A running control plane. Dropping it stops the servers and removes their folder.
#[derive(Debug)]
pub struct ControlPlane {
    // In the order of their end: first the processes, then what they use.
    guardian: Guardian,
    api_server: Server,
    etcd: Server,
    programs: Programs,
    ports: (u16, u16),
    access: Access,
    folder: Folder,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready. The first start on a machine builds it (minutes).
    ///
    /// # Errors
    /// Says what is missing or went wrong, with the last words of the server concerned.
    pub async fn start(options: Options) -> Result<Self, ControlPlaneError> {
        on_own_thread(move || Self::start_blocking(&options)).await.unwrap_or(Err(ControlPlaneError::Interrupted))
    }

    /// [`Self::start`] for callers without a runtime.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_blocking(options: &Options) -> Result<Self, ControlPlaneError> {
        let programs = Source::choose(&Environment::of_this_process())?.provide(&options.progress)?;
        folder::sweep();
        options.progress.tell("Starting kube-apiserver and etcd");
        let mut attempt = 1;
        loop {
            match Self::boot(&programs, options.ready_within) {
                Err(error) if error.is_port_clash() && attempt < PORT_ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    fn boot(programs: &Programs, ready_within: Duration) -> Result<Self, ControlPlaneError> {
        let folder = Folder::make().map_err(ControlPlaneError::system("making a temporary folder"))?;
        let mut guardian =
            Guardian::post(Some(folder.path())).map_err(ControlPlaneError::system("starting sh as a guard"))?;
        let credentials = Credentials::make(&folder)?;
        let ports = server::free_ports()?;
        let mut etcd = server::start_etcd(programs, ports.0, &credentials, &folder, &mut guardian)?;
        let mut api_server = server::start_api_server(programs, ports, &credentials, &folder, &mut guardian)?;
        let access = Access::new(ports.1, credentials, folder.path())?;
        wait_until_ready(&access, ready_within, [&mut etcd, &mut api_server])?;
        Ok(Self { guardian, api_server, etcd, programs: programs.clone(), ports, access, folder })
    }

    /// Kills the API server; etcd keeps what it was told. [`Self::start_api_server`] brings it back.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stop_api_server(&mut self) -> Result<(), ControlPlaneError> {
        self.api_server.kill()
    }

    /// Starts the API server again, under the same address, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready in time.
    pub async fn start_api_server(&mut self, within: Duration) -> Result<(), ControlPlaneError> {
        let (programs, ports, credentials) = (&self.programs, self.ports, self.access.credentials());
        self.api_server = server::start_api_server(programs, ports, credentials, &self.folder, &mut self.guardian)?;
        until_ready(&self.access, within, [&mut self.etcd, &mut self.api_server]).await
    }

    /// Has etcd forget every version but the newest of each object, as it does by itself after some minutes: a watch from
    /// an older version is answered `410 Gone` from now on, unless the API server still remembers it.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub async fn compact_etcd(&self) -> Result<(), ControlPlaneError> {
        etcd::compact(self.ports.0, self.access.credentials()).await
    }

    /// Every request of the `ServiceAccount` `name` that has been answered by now (a watch: that has begun).
    #[must_use]
    pub fn requests_of(&self, namespace: &str, name: &str) -> Vec<Request> {
        let user = format!("system:serviceaccount:{namespace}:{name}");
        audit::read(&self.folder.file(server::AUDIT_LOG), &user)
    }

    /// Stops the servers and removes their folder; returns when that is done. Dropping does the same.
    pub fn stop(mut self) {
        self.guardian.relieve();
    }

    /// The base URL of the API server.
    #[must_use]
    pub fn url(&self) -> &str {
        self.access.url()
    }

    /// The port of the API server on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.access.port()
    }

    /// The certificate of the API server's authority, a PEM file; what a pod finds as `ca.crt` beside its token.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        self.access.ca_file()
    }

    /// A kubeconfig file for the administrator (group `system:masters`), for `kubectl`, helm and product binaries.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        self.access.kubeconfig()
    }

    /// The administrator's client configuration.
    #[must_use]
    pub fn config(&self) -> kube::Config {
        self.access.config()
    }

    /// A client for the administrator, bound to the current tokio runtime: make one per test.
    ///
    /// # Errors
    /// When the client cannot be built.
    pub fn client(&self) -> Result<kube::Client, ControlPlaneError> {
        Ok(kube::Client::try_from(self.config())?)
    }

    /// A client that authenticates with `token` alone, for instance one of a `ServiceAccount`.
    ///
    /// # Errors
    /// When the client cannot be built.
    pub fn client_with_token(&self, token: &str) -> Result<kube::Client, ControlPlaneError> {
        Ok(kube::Client::try_from(self.access.config_with_token(token))?)
    }

    /// The text of a kubeconfig that authenticates as `user` with `token` alone.
    #[must_use]
    pub fn kubeconfig_with_token(&self, user: &str, token: &str) -> String {
        self.access.kubeconfig_with_token(user, token)
    }

    /// A client that the API server takes for the `ServiceAccount` `name`, which must exist.
    ///
    /// # Errors
    /// When the API server gives no token, or the client cannot be built.
    pub async fn client_as_service_account(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<kube::Client, ControlPlaneError> {
        let token = access::service_account_token(self.client()?, namespace, name, &[]).await?;
        self.client_with_token(&token)
    }

    /// A token of the `ServiceAccount` `name` from `TokenRequest`, good for an hour. `audiences`: none means the API
    /// server itself.
    ///
    /// # Errors
    /// When the account does not exist or the API server refuses.
    pub async fn service_account_token(
        &self,
        namespace: &str,
        name: &str,
        audiences: &[&str],
    ) -> Result<String, ControlPlaneError> {
        access::service_account_token(self.client()?, namespace, name, audiences).await
    }
}

impl ControlPlane {
    /// A token of the `ServiceAccount` `account` for `audience`, bound to a pod of the same name, as a projected volume holds it. `seconds`: at least 600.
    ///
    /// # Errors
    /// When the account does not exist or the API server refuses.
    pub async fn projected_token(
        &self,
        namespace: &str,
        account: &str,
        audience: &str,
        seconds: i64,
    ) -> Result<String, ControlPlaneError> {
        access::projected_token(self.client()?, namespace, account, audience, seconds).await
    }

    /// The keys that the API server signs tokens with (`/openid/v1/jwks`).
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn jwks(&self) -> Result<String, ControlPlaneError> {
        let request = http::Request::get("/openid/v1/jwks").body(Vec::new()).map_err(kube::Error::HttpError)?;
        Ok(self.client()?.request_text(request).await?)
    }
}

/// [`until_ready`] for callers without a runtime.
fn wait_until_ready(access: &Access, within: Duration, servers: [&mut Server; 2]) -> Result<(), ControlPlaneError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ControlPlaneError::system("starting a runtime to wait in"))?;
    runtime.block_on(until_ready(access, within, servers))
}

/// Looks at `/readyz` until it says so, a server ends, or the time is up.
async fn until_ready(access: &Access, within: Duration, servers: [&mut Server; 2]) -> Result<(), ControlPlaneError> {
    let [etcd, api_server] = servers;
    let deadline = Instant::now() + within;
    loop {
        let answer = access.is_ready().await;
        etcd.still_runs()?;
        api_server.still_runs()?;
        match answer {
            Ok(()) => return Ok(()),
            Err(last) if Instant::now() >= deadline => {
                return Err(ControlPlaneError::NotReady { within, last, log: api_server.log() });
            }
            Err(_) => tokio::time::sleep(READY_POLL).await,
        }
    }
}

/// Runs blocking work on a thread that no runtime waits for; nothing if it panicked.
pub(crate) async fn on_own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = tokio::sync::oneshot::channel();
    let spawned = std::thread::Builder::new().name("control-plane".to_owned()).spawn(move || {
        // Nobody listens any more if the caller gave up; what was started is dropped and so stopped.
        let _ = done.send(work());
    });
    spawned.ok()?;
    result.await.ok()
}
