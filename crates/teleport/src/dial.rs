//! The way to the Auth Service: straight, or through a Proxy that routes TLS.
//!
//! Both are one mutual TLS handshake with the Auth Service itself; a Proxy only reads the protocol name (ALPN) that is offered first and passes the
//! stream on. So the form for a Proxy is understood by an Auth Service as well, and the kinds of way differ in two names only:
//!
//! | form | server name | ALPN |
//! |---|---|---|
//! | Auth | `teleport.cluster.local` | `h2` |
//! | Proxy | `<hex of the cluster's name>.teleport.cluster.local` | `teleport-auth@` + that, then `h2` |

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use jiff::Timestamp;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, InvalidMessage, RootCertStore, client::Resumption,
    crypto::aws_lc_rs, sign::SingleCertAndKey,
};
use rustls_pki_types::ServerName;
use teleport_proto::names;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    address::Address,
    error::TeleportError,
    identity::{Identity, IdentityError},
};

/// Longest time for a connection to come about, and again for its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Port of an Auth Service by custom.
const AUTH_PORT: u16 = 3025;

/// Which way to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// Whichever works; remembered.
    #[default]
    Auto,
    /// Straight to an Auth Service.
    Auth,
    /// Through a Proxy with TLS routing (`proxy_listener_mode: multiplex`).
    Proxy,
}

impl Way {
    /// The word in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::Auth => "Auth",
            Self::Proxy => "Proxy",
        }
    }
}

/// One form of the handshake.
struct Form {
    way: Way,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

/// Makes connections. Tries the forms in turn and remembers the one that worked.
pub(crate) struct Dialer {
    address: Address,
    identity: Identity,
    /// The first is tried first; the form for a Proxy, if there, is the one whose failure is told.
    forms: Vec<Form>,
    worked: AtomicUsize,
    broken: Broken,
}

/// What ended the last connection, if TLS did: under TLS 1.3 a server refuses a client's certificate only after the handshake, and what stands above
/// TLS keeps no more of it than a text.
#[derive(Clone, Default)]
pub(crate) struct Broken(Arc<Mutex<Option<rustls::Error>>>);

impl Broken {
    fn set(&self, error: Option<rustls::Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    pub(crate) fn get(&self) -> Option<rustls::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Dialer {
    pub(crate) fn new(address: Address, way: Way, identity: Identity) -> Result<Self, TeleportError> {
        let mut roots = RootCertStore::empty();
        for authority in identity.authorities() {
            roots.add(authority.clone()).map_err(|error| IdentityError::Authority(error.to_string()))?;
        }
        let roots = Arc::new(roots);
        let ways: &[Way] = match way {
            Way::Auth => &[Way::Auth],
            Way::Proxy => &[Way::Proxy],
            Way::Auto if address.port() == AUTH_PORT => &[Way::Auth, Way::Proxy],
            Way::Auto => &[Way::Proxy, Way::Auth],
        };
        let forms =
            ways.iter().map(|way| Form::new(*way, &identity, Arc::clone(&roots))).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { address, identity, forms, worked: AtomicUsize::new(0), broken: Broken::default() })
    }

    /// What ended the last connection.
    pub(crate) fn broken(&self) -> Broken {
        self.broken.clone()
    }

    /// The way that worked last; `None` before any did.
    pub(crate) fn way(&self) -> Option<Way> {
        let worked = self.worked.load(Ordering::Relaxed).checked_sub(1)?;
        self.forms.get(worked).map(|form| form.way)
    }

    /// A connection to the Auth Service, through TLS.
    pub(crate) async fn dial(&self) -> Result<Watched, TeleportError> {
        self.identity.check(Timestamp::now())?;
        self.broken.set(None);
        let first = self.worked.load(Ordering::Relaxed).saturating_sub(1);
        let mut told = None;
        for turn in 0..self.forms.len() {
            let index = (first + turn) % self.forms.len();
            let Some(form) = self.forms.get(index) else { break };
            match self.handshake(form).await {
                Ok(stream) => {
                    self.worked.store(index + 1, Ordering::Relaxed);
                    return Ok(Watched { stream, broken: self.broken.clone() });
                }
                Err(error) if error.unreached() => return Err(told.unwrap_or(error).told(self)),
                Err(error) => {
                    tracing::debug!(address = %self.address, way = form.way.as_str(), ?error, "TLS handshake failed");
                    if told.is_none() || form.way == Way::Proxy {
                        told = Some(error);
                    }
                }
            }
        }
        Err(told.map_or_else(
            || TeleportError::Handshake { address: self.address.to_string(), detail: "no way to try".into() },
            |error| error.told(self),
        ))
    }

    async fn handshake(&self, form: &Form) -> Result<TlsStream<TcpStream>, DialError> {
        let host = (self.address.host(), self.address.port());
        let tcp = async {
            let found: Vec<_> = tokio::net::lookup_host(host).await.map_err(DialError::Unresolved)?.collect();
            let tcp = TcpStream::connect(&found[..]).await.map_err(DialError::Tcp)?;
            tcp.set_nodelay(true).map_err(DialError::Tcp)?;
            Ok(tcp)
        };
        let tcp = timeout(CONNECT_TIMEOUT, tcp).await.map_err(|_| DialError::Silent("no connection"))??;
        let tls = TlsConnector::from(Arc::clone(&form.config)).connect(form.name.clone(), tcp);
        let tls = timeout(CONNECT_TIMEOUT, tls).await;
        tls.map_err(|_| DialError::Silent("a connection, but no TLS handshake"))?.map_err(DialError::Tls)
    }

    /// What a TLS error means.
    pub(crate) fn explain_tls(&self, error: &rustls::Error) -> TeleportError {
        use AlertDescription as Alert;

        let address = self.address.to_string();
        let cluster = self.identity.cluster().to_owned();
        let detail = error.to_string();
        match error {
            rustls::Error::AlertReceived(
                Alert::CertificateExpired
                | Alert::BadCertificate
                | Alert::CertificateUnknown
                | Alert::CertificateRevoked
                | Alert::CertificateRequired
                | Alert::UnsupportedCertificate
                | Alert::UnknownCA
                | Alert::AccessDenied,
            ) => TeleportError::IdentityRefused { user: self.identity.user().to_owned(), detail },
            rustls::Error::AlertReceived(Alert::NoApplicationProtocol | Alert::UnrecognisedName)
            | rustls::Error::NoApplicationProtocol
            | rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => TeleportError::NotTeleport { address, cluster, detail },
            rustls::Error::InvalidCertificate(_) => TeleportError::ServerNotTrusted { address, cluster, detail },
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => TeleportError::NotTls { address },
            _ => TeleportError::Handshake { address, detail },
        }
    }
}

impl Form {
    fn new(way: Way, identity: &Identity, roots: Arc<RootCertStore>) -> Result<Self, TeleportError> {
        let (name, protocols) = match way {
            Way::Auth => (names::API_DOMAIN.to_owned(), vec![names::ALPN_H2.to_owned()]),
            Way::Auto | Way::Proxy => (
                names::encoded_cluster(identity.cluster()),
                // In this order: with h2 first, a Proxy answers for itself.
                vec![names::auth_alpn(identity.cluster()), names::ALPN_H2.to_owned()],
            ),
        };
        let unusable = |detail: String| IdentityError::Certificate(detail);
        let name = ServerName::try_from(name)
            .map_err(|_| unusable(format!("its cluster name {:?} fits no server name", identity.cluster())))?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?
            .with_root_certificates(roots)
            // Always sent, whatever authorities the server hints at.
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from((*identity.certified_key()).clone())));
        config.alpn_protocols = protocols.into_iter().map(String::into_bytes).collect();
        // A resumed session would stand for the certificate of the first one.
        config.resumption = Resumption::disabled();
        Ok(Self { way, name, config: Arc::new(config) })
    }
}

/// Why a connection did not come about.
#[derive(Debug)]
enum DialError {
    Unresolved(io::Error),
    Tcp(io::Error),
    Tls(io::Error),
    /// Nothing came in time; what was missed.
    Silent(&'static str),
}

impl DialError {
    /// Another form of the handshake would not help.
    fn unreached(&self) -> bool {
        !matches!(self, Self::Tls(_))
    }

    fn told(self, dialer: &Dialer) -> TeleportError {
        let address = dialer.address.to_string();
        match self {
            Self::Unresolved(error) => TeleportError::Unresolved { address, detail: error.to_string() },
            Self::Tcp(error) => TeleportError::Unreachable { address, detail: error.to_string() },
            Self::Silent(what) => {
                TeleportError::Unreachable { address, detail: format!("{what} within {} s", CONNECT_TIMEOUT.as_secs()) }
            }
            Self::Tls(error) => match tls_error(&error) {
                Some(error) => dialer.explain_tls(error),
                None => TeleportError::Handshake { address, detail: error.to_string() },
            },
        }
    }
}

/// The TLS error inside an I/O error. (`source` would skip it.)
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// A TLS stream that remembers what TLS said when it ended.
pub(crate) struct Watched {
    stream: TlsStream<TcpStream>,
    broken: Broken,
}

impl Watched {
    fn watch<T>(&self, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &poll
            && let Some(error) = tls_error(error)
        {
            self.broken.set(Some(error.clone()));
        }
        poll
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.watch(poll)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
