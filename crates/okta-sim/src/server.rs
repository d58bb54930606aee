//! The running org: two listeners, a few files, and their end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::admin;
use crate::api;
use crate::auth::client::Client;
use crate::auth::key::{ClientKey, SigningKey};
use crate::auth::{Auth, dpop::Nonces};
use crate::clock::Clock;
use crate::error::OktaSimError;
use crate::id::Mint;
use crate::options::Options;
use crate::org::Org;
use crate::org::state::State;
use crate::rate::Rates;
use crate::seed::{Plan, fill};
use crate::shared::{Addresses, Shared};
use crate::tls::Authority;

/// How to reach a running org: the one line of JSON that it prints when it is ready.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The org's address, `https://…`, without a slash at the end.
    #[serde(rename = "orgURL")]
    pub org_url: String,
    /// The admin port's address, `http://…`.
    #[serde(rename = "adminURL")]
    pub admin_url: String,
    /// PEM file with the CA that signed the org's certificate.
    #[serde(rename = "caFile")]
    pub ca_file: PathBuf,
    /// SSWS token of a super admin.
    pub ssws: String,
    /// Client id of the API Services app.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// PKCS#8 PEM file with the private key of the API Services app. Its key id is the RFC 7638 thumbprint.
    #[serde(rename = "privateKeyFile")]
    pub private_key_file: PathBuf,
    /// Id of the SAML app.
    #[serde(rename = "appID")]
    pub app_id: String,
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready")
            .field("org_url", &self.org_url)
            .field("admin_url", &self.admin_url)
            .field("client_id", &self.client_id)
            .field("app_id", &self.app_id)
            .finish_non_exhaustive()
    }
}

/// An Okta org that runs in this process. Dropping it closes its ports and removes its files.
#[derive(Debug)]
pub struct OktaSim {
    ready: Ready,
    ca_pem: String,
    org: Org,
    tasks: Vec<JoinHandle<()>>,
    _folder: Option<tempfile::TempDir>,
}

impl OktaSim {
    /// Starts an org on the current Tokio runtime. It answers when this returns.
    pub async fn start(options: Options) -> Result<Self, OktaSimError> {
        let key = ClientKey::make(options.client_key)?;
        let shared = Arc::new(make_shared(&options, &key)?);
        let (org_listener, org_address) = listen(options.listen).await?;
        let (admin_listener, admin_address) = listen(options.admin_listen).await?;
        let mut hosts = options.host_names.clone();
        hosts.extend([loopback(org_address), "localhost".to_owned(), "127.0.0.1".to_owned()]);
        let mut seen = std::collections::BTreeSet::new();
        hosts.retain(|host| seen.insert(host.clone()));
        shared.listen_at(Addresses {
            authorities: hosts.iter().map(|host| format!("{}:{}", bracketed(host), org_address.port())).collect(),
        });
        let authority = Arc::new(Authority::new(hosts)?);
        let (folder, path) = folder(options.out_dir.as_deref())?;
        let ready = Ready {
            org_url: shared.base(),
            admin_url: format!("http://{admin_address}"),
            ca_file: write(&path, "ca.pem", authority.pem())?,
            ssws: shared.auth().ssws.clone(),
            client_id: shared.seeded.service.to_string(),
            private_key_file: write(&path, "private-key.pem", &key.pem)?,
            app_id: shared.seeded.saml.to_string(),
        };
        let org = Org::new(shared.clone(), authority.clone(), ready.client_id.clone());
        let tasks = vec![
            tokio::spawn(serve(org_listener, shared, authority.clone())),
            tokio::spawn(serve_admin(admin_listener, org.clone())),
        ];
        Ok(Self { ready, ca_pem: authority.pem().to_owned(), org, tasks, _folder: folder })
    }

    /// How to reach the org.
    #[must_use]
    pub fn ready(&self) -> Ready {
        self.ready.clone()
    }

    /// The CA's certificate as PEM, the same as in the file.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The handle by which the org is driven in process.
    #[must_use]
    pub fn org(&self) -> &Org {
        &self.org
    }
}

impl Drop for OktaSim {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn make_shared(options: &Options, key: &ClientKey) -> Result<Shared, OktaSimError> {
    let clock = Clock::default();
    let mut state = State::new(options.seed, options.switches.clone());
    let plan = Plan {
        people: options.people,
        seed: options.seed,
        custom_attributes: options.custom_attributes,
        nasty: options.nasty,
    };
    let seeded = fill(&mut state, &plan, clock.now())?;
    let mut client = Client::new(seeded.service.as_str());
    client.add_key(&key.jwk)?;
    client.dpop = options.dpop;
    client.scopes = options.scopes.iter().cloned().collect();
    client.role = options.role.clone();
    let auth = Auth {
        ssws: format!("00{}", Mint::new(options.seed ^ 0x55_77_55).letters(40)),
        clients: vec![client],
        tokens: std::collections::HashMap::new(),
        proofs_seen: std::collections::HashSet::new(),
        nonces: Nonces::default(),
        signer: SigningKey::make()?,
    };
    let rates = Rates::new(options.rates);
    Ok(Shared::new(options.seed, seeded, clock, state, auth, rates))
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), OktaSimError> {
    let fail = |source| OktaSimError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    Ok((listener, address))
}

/// The address that a client on this machine uses for a listener.
fn loopback(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn folder(asked: Option<&Path>) -> Result<(Option<tempfile::TempDir>, PathBuf), OktaSimError> {
    if let Some(path) = asked {
        std::fs::create_dir_all(path).map_err(|source| OktaSimError::File { path: path.to_owned(), source })?;
        return Ok((None, path.to_owned()));
    }
    let folder = tempfile::Builder::new()
        .prefix("okta-sim-")
        .tempdir()
        .map_err(|source| OktaSimError::File { path: std::env::temp_dir(), source })?;
    let path = folder.path().to_owned();
    Ok((Some(folder), path))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, OktaSimError> {
    let path = folder.join(name);
    match std::fs::write(&path, text) {
        Ok(()) => Ok(path),
        Err(source) => Err(OktaSimError::File { path, source }),
    }
}

/// Accepts connections until it is aborted; the connections end with it.
async fn serve(listener: TcpListener, shared: Arc<Shared>, authority: Arc<Authority>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let acceptor = TlsAcceptor::from(authority.config());
                    connections.spawn(connection(stream, acceptor, shared.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Requests that were cut short must not stay counted as under way.
struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn enter(shared: Arc<Shared>) -> Self {
        shared.under_way.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = hyper::service::service_fn(move |request| {
        let guard = UnderWay::enter(shared.clone());
        async move { api::handle(&guard.0, request).await }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The org's clock says what time it is, or nothing does.
    builder.http1().auto_date_header(false);
    builder.http2().auto_date_header(false);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn serve_admin(listener: TcpListener, org: Org) {
    if let Err(error) = axum::serve(listener, admin::router(org)).await {
        tracing::warn!(%error, "the admin port has closed");
    }
}
