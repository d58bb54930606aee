//! The way to the Auth Service: straight, through a Proxy that routes TLS, or through a Proxy behind a balancer that ends TLS.
//!
//! Each is one mutual TLS handshake with the Auth Service itself; a Proxy only reads the protocol name (ALPN) that is offered first and passes the
//! stream on. So the form for a Proxy is understood by an Auth Service as well:
//!
//! | way | server name | ALPN | over |
//! |---|---|---|---|
//! | Auth | `teleport.cluster.local` | `h2` | TCP |
//! | Proxy | `<hex of the cluster's name>.teleport.cluster.local` | `teleport-auth@` + that, then `h2` | TCP |
//! | Upgrade | as Proxy | as Proxy | an upgraded connection to the web side |

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use jiff::Timestamp;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, InvalidMessage, client::Resumption, crypto::aws_lc_rs,
    sign::SingleCertAndKey,
};
use rustls_pki_types::ServerName;
use teleport_proto::names;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    error::TeleportError,
    identity::IdentityError,
    party::Party,
    route::{DialError, Route, Stream, in_time},
};

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
    /// Through a Proxy behind a balancer that ends TLS (L7).
    Upgrade,
}

impl Way {
    /// The word in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::Auth => "Auth",
            Self::Proxy => "Proxy",
            Self::Upgrade => "Upgrade",
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
    route: Route,
    party: Party,
    forms: Vec<Form>,
    /// Index of the form that worked last, and 1.
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
    /// A dialer for connections on which `protocol` is spoken (`h2`, `http/1.1`).
    pub(crate) fn new(route: Route, way: Way, party: Party, protocol: &str) -> Result<Self, TeleportError> {
        let ways: &[Way] = match way {
            // Without the cluster's name there is nothing to route by.
            _ if party.cluster().is_empty() => &[Way::Auth],
            Way::Auto if route.address.port() == AUTH_PORT => &[Way::Auth, Way::Proxy],
            Way::Auto => &[Way::Proxy, Way::Auth, Way::Upgrade],
            Way::Auth => &[Way::Auth],
            Way::Proxy => &[Way::Proxy],
            Way::Upgrade => &[Way::Upgrade],
        };
        let forms = ways.iter().map(|way| Form::new(*way, &party, protocol)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { route, party, forms, worked: AtomicUsize::new(0), broken: Broken::default() })
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
        self.party.check(Timestamp::now())?;
        self.broken.set(None);
        let first = self.worked.load(Ordering::Relaxed).saturating_sub(1);
        let mut told: Option<(u8, DialError)> = None;
        for turn in 0..self.forms.len() {
            let index = (first + turn) % self.forms.len();
            let Some(form) = self.forms.get(index) else { break };
            match self.handshake(form).await {
                Ok(stream) => {
                    self.worked.store(index + 1, Ordering::Relaxed);
                    return Ok(Watched { stream, broken: self.broken.clone() });
                }
                Err(error) => {
                    tracing::debug!(address = %self.route.address, way = form.way.as_str(), ?error, "no connection");
                    let unreached = error.unreached();
                    let weight = weight(form.way, &error);
                    if told.as_ref().is_none_or(|(other, _)| weight > *other) {
                        told = Some((weight, error));
                    }
                    if unreached {
                        break;
                    }
                }
            }
        }
        Err(match told {
            Some((_, error)) => self.told(error),
            None => {
                TeleportError::Handshake { address: self.route.address.to_string(), detail: "no way to try".into() }
            }
        })
    }

    async fn handshake(&self, form: &Form) -> Result<TlsStream<Stream>, DialError> {
        let stream = match form.way {
            Way::Upgrade => self.route.upgraded_stream().await?,
            _ => self.route.stream().await?,
        };
        let tls = TlsConnector::from(Arc::clone(&form.config)).connect(form.name.clone(), stream);
        in_time("a connection, but no TLS handshake", async { tls.await.map_err(DialError::Tls) }).await
    }

    fn told(&self, error: DialError) -> TeleportError {
        match &error {
            DialError::Tls(inner) => match tls_error(inner) {
                Some(inner) => self.explain_tls(inner),
                None => error.told(&self.route),
            },
            _ => error.told(&self.route),
        }
    }

    /// What a TLS error means.
    pub(crate) fn explain_tls(&self, error: &rustls::Error) -> TeleportError {
        use AlertDescription as Alert;

        let address = self.route.address.to_string();
        let cluster = self.party.cluster().to_owned();
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
            ) => TeleportError::IdentityRefused { user: self.party.user().to_owned(), detail },
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

/// Which of several failures is told: the form for a Proxy is right at an Auth Service too, so its failure says more than the other's; that an
/// upgrade is not to be had says least, but a failure behind one says most, and so does a web server that is none of Teleport's.
fn weight(way: Way, error: &DialError) -> u8 {
    match (way, error) {
        (_, DialError::Web(_)) => 0,
        (Way::Upgrade, _) | (_, DialError::Foreign(_)) => 3,
        (Way::Proxy, _) => 2,
        _ => 1,
    }
}

impl Form {
    fn new(way: Way, party: &Party, protocol: &str) -> Result<Self, TeleportError> {
        let (name, protocols) = match way {
            Way::Auth => (names::API_DOMAIN.to_owned(), vec![protocol.to_owned()]),
            Way::Auto | Way::Proxy | Way::Upgrade => (
                names::encoded_cluster(party.cluster()),
                // In this order: with h2 first, a Proxy answers for itself.
                vec![names::auth_alpn(party.cluster()), protocol.to_owned()],
            ),
        };
        let unusable = IdentityError::Certificate;
        let name = ServerName::try_from(name)
            .map_err(|_| unusable(format!("its cluster name {:?} fits no server name", party.cluster())))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?;
        let builder = party.trust(builder)?;
        let mut config = match party.certified_key() {
            // Always sent, whatever authorities the server hints at.
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from((*key).clone()))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.into_iter().map(String::into_bytes).collect();
        // A resumed session would stand for the certificate of the first one.
        config.resumption = Resumption::disabled();
        Ok(Self { way, name, config: Arc::new(config) })
    }
}

/// The TLS error inside an I/O error. (`source` would skip it.)
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// A TLS stream that remembers what TLS said when it ended.
pub(crate) struct Watched {
    stream: TlsStream<Stream>,
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

    // Without these two, the head of a long message would go out alone, as a TLS record and a system call of its own.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
