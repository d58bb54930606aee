//! Joining: how an operator in a cluster gets an identity without holding a secret.
//!
//! The pod's own `ServiceAccount` token (method `kubernetes`) is shown to Teleport, which answers with certificates of an hour or so; they are kept in
//! memory, and got anew at half their life. As a bot there are two steps: the bot's own certificate, which may do nothing, and the one for the roles
//! that the bot may impersonate. As system role `Okta` there is one.
//!
//! Whom to trust before anything is known: the cluster's authority, by its pin or by its certificate, and then everything runs end to end with the
//! Auth Service; or else the Proxy's web certificate. The method `token` is not offered: a bot that joins with it and loses its state is shut out for
//! good.

mod forms;
pub mod refusal;

use std::{path::PathBuf, sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use teleport_proto::auth::{self, auth_service_client::AuthServiceClient};
use tokio::time::{sleep, timeout};
use tonic::Code;

use self::{
    forms::{Application, Joined, unknown_form},
    refusal::{JoinCause, JoinRefusal},
};
use crate::{
    address::Address,
    answer::CallError,
    call::Call,
    certificate::{Facts, public_key_info},
    denial::{Cause, Denial},
    dial::{Dialer, Way},
    error::TeleportError,
    http_proxy::HttpProxy,
    identity::{Identity, IdentityError},
    key::KeyPair,
    lines,
    link::{IDLE, Line, Link, Manner, channel, read_status},
    pace::Pace,
    party::Party,
    route::Route,
    web::{self, WebTrust},
};

/// The system role of bots.
const BOT: &str = "Bot";
/// The system role of Teleport's own Okta integration.
const OKTA: &str = "Okta";
/// How we call ourselves to the server.
const NODE_NAME: &str = "okta-user-sync";
/// Where projected `ServiceAccount` tokens for Teleport are mounted by custom.
pub const JWT_FILE: &str = "/var/run/secrets/tokens/join-sa-token";
/// A provision token that was just made may not be known to the server's cache yet.
const TOKEN_TRIES: u32 = 4;
/// Longest time for one form of joining.
const PATIENCE: Duration = Duration::from_secs(30);

/// As what to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinRole {
    /// A bot that impersonates these roles.
    Bot {
        /// At least one.
        roles: Vec<String>,
    },
    /// The system role `Okta`. Its certificate lives for ten years; a lock on the server id revokes it.
    Okta {
        /// UUID that names this operator to Teleport.
        host_id: String,
    },
}

/// Whom to trust at the first contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinTrust {
    /// The cluster's authority with one of these pins (`sha256:<hex>`, as `tctl status` shows them).
    Pins(Vec<String>),
    /// These authorities of the cluster (PEM).
    Authorities(String),
    /// The Proxy's web certificate.
    Web,
}

/// How to join.
#[derive(Clone, Debug)]
pub struct JoinSettings {
    /// `host:port` of a Proxy or of an Auth Service.
    pub address: String,
    /// Which way to take.
    pub way: Way,
    /// Name of the cluster; `None`: asked of the Proxy.
    pub cluster: Option<String>,
    /// Name of the provision token.
    pub token: String,
    /// File with the projected `ServiceAccount` token; read anew at each join.
    pub jwt_file: PathBuf,
    /// As what.
    pub role: JoinRole,
    /// Whom to trust.
    pub trust: JoinTrust,
    /// Life of a bot's certificates: at most 12 h.
    pub life: SignedDuration,
    /// An HTTP proxy on the way out.
    pub http_proxy: Option<HttpProxy>,
    /// Further authorities (PEM) for the Proxy's web side, beside the system's.
    pub web_authorities: Option<String>,
}

impl JoinSettings {
    /// Settings with the defaults: the way found out, one hour, the custom token file.
    #[must_use]
    pub fn new(address: impl Into<String>, token: impl Into<String>, role: JoinRole, trust: JoinTrust) -> Self {
        let address = address.into();
        let http_proxy = Address::parse(&address).ok().and_then(|address| HttpProxy::from_environment(&address));
        Self {
            address,
            way: Way::Auto,
            cluster: None,
            token: token.into(),
            jwt_file: JWT_FILE.into(),
            role,
            trust,
            life: SignedDuration::from_hours(1),
            http_proxy,
            web_authorities: None,
        }
    }
}

/// Joins as often as it is asked to.
pub struct Joiner {
    settings: JoinSettings,
    route: Route,
}

impl Joiner {
    /// A joiner. Nothing is dialled yet.
    ///
    /// # Errors
    /// An address that cannot be read.
    pub fn new(settings: JoinSettings) -> Result<Self, TeleportError> {
        let route = Route {
            address: Address::parse(&settings.address)?,
            http_proxy: settings.http_proxy.clone(),
            web: WebTrust::with(settings.web_authorities.as_deref()),
        };
        Ok(Self { settings, route })
    }

    /// Joins, and answers an identity for [`crate::Settings`] or [`crate::TeleportClient::renew`]. Join again at [`renewal`].
    ///
    /// # Errors
    /// [`TeleportError::Join`] with what to mend; the way there; a server's refusal to give the bot's roles.
    pub async fn join(&self) -> Result<Identity, TeleportError> {
        let cluster = self.cluster().await?;
        let authorities = self.authorities(&cluster).await?;
        let (joined, key) = self.first_certificate(&cluster, &authorities).await?;
        let authorities = if authorities.is_empty() {
            self.host_authorities(&cluster, joined.authorities).await?
        } else {
            authorities
        };
        let identity = Identity::from_parts(key.private(), joined.certificate, authorities)?;
        match &self.settings.role {
            JoinRole::Okta { .. } => Ok(identity),
            JoinRole::Bot { roles } => self.impersonate(identity, roles).await,
        }
    }

    /// The cluster's name: as set, or as the Proxy says. Nobody may be there to ask at an Auth Service; there it does without.
    async fn cluster(&self) -> Result<String, TeleportError> {
        match (&self.settings.cluster, &self.settings.trust) {
            (Some(cluster), _) => Ok(cluster.clone()),
            (None, JoinTrust::Web) => Ok(web::find(&self.route).await?.cluster_name),
            (None, _) if self.settings.way == Way::Auth => Ok(String::new()),
            (None, _) => Ok(web::find(&self.route).await.map(|found| found.cluster_name).unwrap_or_default()),
        }
    }

    /// The authorities that are known beforehand; none when the Proxy's web certificate must do.
    async fn authorities(&self, cluster: &str) -> Result<Vec<CertificateDer<'static>>, TeleportError> {
        match &self.settings.trust {
            JoinTrust::Web => Ok(Vec::new()),
            JoinTrust::Authorities(pem) => CertificateDer::pem_slice_iter(pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .ok()
                .filter(|authorities| !authorities.is_empty())
                .ok_or(TeleportError::Identity(IdentityError::NoAuthority)),
            JoinTrust::Pins(pins) => {
                let offered = self.ask_authorities(Party::Asking { cluster: cluster.to_owned() }).await?;
                let pinned: Vec<_> = offered.into_iter().filter(|authority| is_pinned(authority, pins)).collect();
                if pinned.is_empty() {
                    let text = format!("what answers at {} does not have the pinned authority", self.route.address);
                    return Err(self.refused(JoinCause::Pin, text));
                }
                Ok(pinned)
            }
        }
    }

    /// The cluster's host authorities, as the server itself names them.
    async fn ask_authorities(&self, party: Party) -> Result<Vec<CertificateDer<'static>>, TeleportError> {
        let call = Call::GetClusterCaCert;
        let dialer = Arc::new(Dialer::new(self.route.clone(), self.settings.way, party, "h2")?);
        let mut client = AuthServiceClient::new(channel(&dialer, IDLE));
        let answer = within(call, async {
            client.get_cluster_ca_cert(()).await.map_err(|status| read_status(call, &dialer, &status))
        })
        .await
        .map_err(|error| error.explain(call, NODE_NAME))?;
        CertificateDer::pem_slice_iter(&answer.into_inner().tls_ca)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| TeleportError::Nonsense { call, detail: "the authority is not PEM".into() })
    }

    /// Of authorities of users and hosts mixed, which is what joining answers, those of hosts.
    async fn host_authorities(
        &self,
        cluster: &str,
        mixed: Vec<CertificateDer<'static>>,
    ) -> Result<Vec<CertificateDer<'static>>, TeleportError> {
        let party = Party::Joining { cluster: cluster.to_owned(), authorities: mixed };
        self.ask_authorities(party).await
    }

    async fn first_certificate(
        &self,
        cluster: &str,
        authorities: &[CertificateDer<'static>],
    ) -> Result<(Joined, KeyPair), TeleportError> {
        let key = KeyPair::generate().map_err(|detail| TeleportError::Unsendable { call: Call::Join, detail })?;
        let mut tries = 1;
        loop {
            let jwt = self.jwt().await?;
            let error = match self.ask_certificate(cluster, authorities, &key, &jwt).await {
                Ok(joined) => return Ok((joined, key)),
                Err(error) => error,
            };
            let error = match error {
                CallError::Answer(_, text) => TeleportError::Join(JoinRefusal::read(&self.settings.token, &text)),
                CallError::Way(error) => error,
            };
            let unknown = matches!(&error, TeleportError::Join(refusal) if refusal.cause == JoinCause::TokenUnknown);
            if !unknown || tries == TOKEN_TRIES {
                return Err(error);
            }
            tries += 1;
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Asks in the newest form that the server has.
    async fn ask_certificate(
        &self,
        cluster: &str,
        authorities: &[CertificateDer<'static>],
        key: &KeyPair,
        jwt: &str,
    ) -> Result<Joined, CallError> {
        let (role, host_id) = match &self.settings.role {
            JoinRole::Bot { .. } => (BOT, NODE_NAME),
            JoinRole::Okta { host_id } => (OKTA, host_id.as_str()),
        };
        // A time in the past would yield a dead certificate without an error.
        let life = self.settings.life.max(SignedDuration::from_mins(5));
        let expires = (role == BOT).then(|| Timestamp::now().saturating_add(life).unwrap_or(Timestamp::MAX));
        let asked = Application { token: &self.settings.token, jwt, role, host_id, key, expires };
        if authorities.is_empty() {
            let stream = self.route.web_stream().await.map_err(|error| error.told(&self.route))?;
            let host = self.route.address.to_string();
            let path = "/v1/webapi/host/credentials";
            return within(Call::RegisterByHttp, forms::by_document(stream, &host, path, &asked)).await;
        }
        let dialer = |protocol: &str| {
            let party = Party::Joining { cluster: cluster.to_owned(), authorities: authorities.to_vec() };
            Dialer::new(self.route.clone(), self.settings.way, party, protocol).map(Arc::new)
        };
        let grpc = dialer("h2")?;
        match within(Call::Join, forms::by_conversation(&grpc, &asked)).await {
            Err(error) if unknown_form(&error) => {}
            ended => return ended,
        }
        match within(Call::RegisterUsingToken, forms::by_call(&grpc, &asked)).await {
            Err(error) if unknown_form(&error) => {}
            ended => return ended,
        }
        let stream = dialer("http/1.1")?.dial().await?;
        let document = forms::by_document(Box::new(stream), "teleport.cluster.local", "/v1/tokens/register", &asked);
        within(Call::RegisterByHttp, document).await
    }

    /// The bot's working certificate: its own may do nothing but ask for this one.
    async fn impersonate(&self, bot: Identity, roles: &[String]) -> Result<Identity, TeleportError> {
        let call = Call::GenerateUserCerts;
        let own = bot.user().to_owned();
        let authorities = bot.authorities().to_vec();
        let expires = Timestamp::now().saturating_add(self.settings.life).unwrap_or(Timestamp::MAX).min(bot.expires());
        let manner = Manner {
            calls: 1,
            mass: 1,
            deadline: PATIENCE,
            idle: IDLE,
            lock_wait: Duration::ZERO,
            pace: Arc::new(Pace::new(0)),
        };
        let link = Link::over(Arc::new(Line::new(self.route.clone(), self.settings.way, bot, manner)?));
        let ping: auth::PingResponse = link
            .read(Call::Ping, |mut stubs| async move { stubs.auth.ping(auth::PingRequest {}).await })
            .await
            .map_err(|error| error.explain(Call::Ping, &own))?;
        let key = KeyPair::generate().map_err(|detail| TeleportError::Unsendable { call, detail })?;
        let mut request = auth::UserCertsRequest {
            username: own.clone(),
            expires: Some(crate::instant::write(expires)),
            role_requests: roles.to_vec(),
            use_role_requests: true,
            ..Default::default()
        };
        if lines::splits_keys(&ping.server_version) {
            request.tls_public_key = key.public_pem().into();
        } else {
            request.public_key = key.ssh_line().into();
        }
        let certs: auth::Certs = link
            .read(call, |mut stubs| {
                let request = request.clone();
                async move { stubs.auth.generate_user_certs(request).await }
            })
            .await
            .map_err(|error| match error {
                // That role does not exist, or the bot may not have it: the same to whoever has to mend it.
                CallError::Answer(Code::NotFound, text) => {
                    TeleportError::Denied(Denial { call, own: own.clone(), cause: Cause::Impersonation, text })
                }
                error => error.explain(call, &own),
            })?;
        let certificate = CertificateDer::from_pem_slice(&certs.tls)
            .map_err(|_| TeleportError::Nonsense { call, detail: "the certificate is not PEM".into() })?;
        // The answer carries only the authority of users: the one of hosts is known from before.
        Ok(Identity::from_parts(key.private(), certificate, authorities)?)
    }

    async fn jwt(&self) -> Result<String, TeleportError> {
        let path = self.settings.jwt_file.display();
        match tokio::fs::read_to_string(&self.settings.jwt_file).await {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            Ok(_) => Err(self.refused(JoinCause::Unreadable, format!("the ServiceAccount token {path} is empty"))),
            Err(error) => {
                Err(self
                    .refused(JoinCause::Unreadable, format!("the ServiceAccount token {path} cannot be read: {error}")))
            }
        }
    }

    fn refused(&self, cause: JoinCause, text: String) -> TeleportError {
        TeleportError::Join(JoinRefusal { token: self.settings.token.clone(), cause, text })
    }
}

/// When to join again: after half of the certificate's life.
#[must_use]
pub fn renewal(identity: &Identity) -> Timestamp {
    let life = identity.from().duration_until(identity.expires());
    identity.from().saturating_add(life / 2).unwrap_or(Timestamp::MAX)
}

/// Whether one of the pins is the authority's: SHA-256 of its public key (SPKI, DER).
fn is_pinned(authority: &CertificateDer<'_>, pins: &[String]) -> bool {
    Facts::read(authority).is_ok()
        && public_key_info(authority).is_some_and(|key| {
            let pin = hex::encode(digest(&SHA256, &key));
            pins.iter().any(|given| given.trim().trim_start_matches("sha256:").eq_ignore_ascii_case(&pin))
        })
}

async fn within<T>(call: Call, step: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    let late = TeleportError::Deadline { call, seconds: PATIENCE.as_secs() };
    timeout(PATIENCE, step).await.unwrap_or(Err(CallError::Way(late)))
}
