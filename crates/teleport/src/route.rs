//! How bytes get to a server at all: its address, an HTTP proxy on the way out, the Proxy's web side.

use std::{fmt, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::{address::Address, error::TeleportError, http_proxy::HttpProxy, upgrade, web::WebTrust};

/// Longest time for a connection to come about, and again for each handshake on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that bytes go over.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

/// Any of them.
pub(crate) type Stream = Box<dyn Io>;

/// Where a server is and how to get there.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) address: Address,
    pub(crate) http_proxy: Option<HttpProxy>,
    pub(crate) web: WebTrust,
}

impl Route {
    /// A plain connection.
    pub(crate) async fn stream(&self) -> Result<Stream, DialError> {
        let target = self.http_proxy.as_ref().map_or(&self.address, HttpProxy::address);
        let tcp = async {
            let host = (target.host(), target.port());
            let found: Vec<_> = tokio::net::lookup_host(host).await.map_err(DialError::Unresolved)?.collect();
            let tcp = TcpStream::connect(&found[..]).await.map_err(DialError::Tcp)?;
            tcp.set_nodelay(true).map_err(DialError::Tcp)?;
            Ok(tcp)
        };
        let tcp: Stream = Box::new(in_time("no connection", tcp).await?);
        match &self.http_proxy {
            None => Ok(tcp),
            Some(proxy) => in_time("no answer of the HTTP proxy", proxy.connect(tcp, &self.address)).await,
        }
    }

    /// A connection to the Proxy's web side.
    pub(crate) async fn web_stream(&self) -> Result<Stream, DialError> {
        let stream = self.stream().await?;
        in_time("no TLS handshake with the Proxy's web side", self.web.handshake(self.address.host(), stream)).await
    }

    /// A connection through the Proxy's web side, for what a balancer would not let pass.
    pub(crate) async fn upgraded_stream(&self) -> Result<Stream, DialError> {
        let web = self.web_stream().await?;
        in_time("no connection upgrade", upgrade::upgrade(web, &self.address)).await
    }
}

/// Within [`PATIENCE`], or an error that says what was missed.
pub(crate) async fn in_time<T>(
    missed: &'static str,
    step: impl Future<Output = Result<T, DialError>>,
) -> Result<T, DialError> {
    timeout(PATIENCE, step).await.unwrap_or(Err(DialError::Silent(missed)))
}

/// Why a connection did not come about.
#[derive(Debug)]
pub(crate) enum DialError {
    /// The name has no address.
    Unresolved(io::Error),
    /// Nobody there, or no way.
    Tcp(io::Error),
    /// The HTTP proxy did not let us through.
    HttpProxy(String),
    /// Nothing came in time; what was missed.
    Silent(&'static str),
    /// The Proxy's web side does not do what it should.
    Web(String),
    /// A web server answers under a certificate that is trusted, and it is none of Teleport's.
    Foreign(String),
    /// The handshake with the Auth Service failed.
    Tls(io::Error),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(error) | Self::Tcp(error) | Self::Tls(error) => error.fmt(f),
            Self::HttpProxy(detail) | Self::Web(detail) | Self::Foreign(detail) => f.write_str(detail),
            Self::Silent(missed) => write!(f, "{missed} within {} s", PATIENCE.as_secs()),
        }
    }
}

impl DialError {
    /// No other form of the handshake would help.
    pub(crate) fn unreached(&self) -> bool {
        matches!(self, Self::Unresolved(_) | Self::Tcp(_) | Self::HttpProxy(_) | Self::Silent(_))
    }

    /// The error for people.
    pub(crate) fn told(self, route: &Route) -> TeleportError {
        let address = route.address.to_string();
        let detail = self.to_string();
        match self {
            Self::Unresolved(_) => TeleportError::Unresolved { address, detail },
            Self::Tcp(_) | Self::HttpProxy(_) | Self::Silent(_) => TeleportError::Unreachable { address, detail },
            Self::Web(_) | Self::Foreign(_) => TeleportError::NotProxy { address, detail },
            Self::Tls(_) => TeleportError::Handshake { address, detail },
        }
    }
}
