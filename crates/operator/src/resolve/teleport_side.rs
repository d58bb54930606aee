//! Teleport's half: the identity that a resource lives on, its own or the operator's, and the client that is made of it.

use std::{convert::Infallible, sync::Arc};

use engine::failure::{Class, Failure, Side};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use teleport::{Identity, IdentityError, Line, Pace, TeleportClient, Way};
use tokio_util::sync::CancellationToken;

use super::{Clients, Print, Resolver, Seat, Subject, wanted::Wanted};
use crate::{
    membership::{JoinOffer, Membership},
    secrets::{SecretBytes, Secrets},
};

/// Calls to Teleport that the fast path may make at once beside a full pass.
const BESIDE: usize = 4;

/// How Teleport is reached, and joined without a secret.
#[derive(Clone, Debug)]
pub struct TeleportDefaults {
    /// Which way to take.
    pub way: Way,
    /// Further authorities (PEM) for the Proxy's web side.
    pub web_authorities: Option<String>,
    /// Creates and updates a second, at most; 0: unbounded.
    pub write_rate: u32,
    /// Writes of a pass at once.
    pub writes_at_once: usize,
    /// How the operator joins the cluster at its own default address; `None`: it does not.
    pub join: Option<JoinOffer>,
}

impl Default for TeleportDefaults {
    fn default() -> Self {
        Self {
            way: Way::Auto,
            web_authorities: None,
            write_rate: teleport::WRITE_RATE,
            writes_at_once: teleport::WRITES_AT_ONCE,
            join: None,
        }
    }
}

/// What Teleport knows a resource by.
#[derive(Debug)]
pub(super) enum Held {
    /// An identity file, from a Secret.
    Secret(SecretBytes),
    /// The operator's own identity, by joining.
    Joined(Identity),
}

impl Held {
    /// Whether it has changed. A joined identity is renewed under its clients' feet, which is no change.
    pub(super) fn print(&self, settings: &str) -> Print {
        match self {
            Self::Secret(bytes) => Print::of(settings, bytes),
            Self::Joined(_) => Print::of(&format!("{settings} joined"), &SecretBytes::default()),
        }
    }

    fn identity(&self) -> Result<Identity, IdentityError> {
        match self {
            Self::Secret(bytes) => Identity::parse(&String::from_utf8_lossy(bytes.expose_secret())),
            Self::Joined(identity) => Ok(identity.clone()),
        }
    }
}

impl Resolver {
    /// The membership that `subject` lives on, if it has no identity of its own.
    #[must_use]
    pub fn membership(&self, subject: &Subject<'_>) -> Option<&Membership> {
        let own = subject.spec.teleport.identity_secret_ref.is_some();
        self.membership.as_ref().filter(|membership| {
            !own && self.teleport_address(subject).is_ok_and(|address| address == membership.address())
        })
    }

    /// Keeps the joined identity fresh until `stop`; `told` hears of each renewal, for each resource. Does nothing where nothing is joined.
    pub async fn keep(&self, stop: &CancellationToken, told: impl Fn(&str, &str, &Identity)) {
        match &self.membership {
            Some(membership) => membership.keep(stop, told).await,
            None => stop.cancelled().await,
        }
    }

    /// Goes on under what the identity's Secret holds now, in the middle of a pass; answers which. `None`: nothing has changed, or what is there
    /// cannot be used, which the next pass will say.
    pub async fn refresh(&self, subject: &Subject<'_>, secrets: &impl Secrets, clients: &Clients) -> Option<Identity> {
        let held @ Held::Secret(_) = self.read_identity(subject, secrets).await.ok()? else { return None };
        let seat = &clients.teleport;
        let address = self.teleport_address(subject).ok()?;
        let line = self.line(address, held.print(address), &held).ok()?;
        let (before, identity) = (seat.client.identity(), line.identity());
        identity.check(Timestamp::now()).ok()?;
        if before.is(&identity) || !akin(&before, &identity) {
            return None;
        }
        seat.client.follow(line);
        Some(identity)
    }

    /// All that is needed to clean up after `subject`: Teleport only, because Okta and its key may be gone. A client of
    /// the last pass serves when the identity's Secret was deleted together with the resource.
    ///
    /// # Errors
    /// The address or identity cannot be had or used, and there is no client of a former pass.
    pub async fn for_cleanup(
        &self,
        subject: &Subject<'_>,
        secrets: &impl Secrets,
        former: Option<&Clients>,
    ) -> Result<Arc<TeleportClient>, Failure> {
        let former = former.map(|former| &former.teleport);
        let made = match self.read_identity(subject, secrets).await {
            Ok(identity) => self.teleport(subject, &identity, former),
            Err(failure) => Err(failure),
        };
        match (made, former) {
            (Ok(seat), _) => Ok(seat.client),
            (Err(_), Some(former)) => Ok(former.client.clone()),
            (Err(failure), None) => Err(failure),
        }
    }

    pub(super) fn teleport(&self, subject: &Subject<'_>, held: &Held, former: Option<&Seat>) -> Result<Seat, Failure> {
        let address = self.teleport_address(subject)?;
        let (print, place) = (held.print(address), Print::of(address, &SecretBytes::default()));
        let line = self.line(address, print, held)?;
        let identity = line.identity();
        identity.check(Timestamp::now())?;
        // A renewed identity is put under the client that is there, which keeps what it has learned.
        if let Some(former) = former.filter(|former| former.place == place)
            && (former.print == print || akin(&former.client.identity(), &identity))
        {
            former.client.follow(line);
            return Ok(Seat { client: former.client.clone(), print, place });
        }
        Ok(Seat { client: Arc::new(TeleportClient::over(line)), print, place })
    }

    /// The line that all resources with that identity share.
    fn line(&self, address: &str, print: Print, held: &Held) -> Result<Arc<Line>, Failure> {
        let line = self.lines.get(print, || {
            let defaults = &self.defaults.teleport;
            let identity = held.identity()?;
            identity.check(Timestamp::now())?;
            let mut settings = teleport::Settings::new(address, identity);
            // Beside the mass writes of full passes there is room for the fast path.
            settings.writes_at_once = defaults.writes_at_once;
            settings.concurrency = defaults.writes_at_once.saturating_add(BESIDE);
            settings.way = defaults.way;
            settings.pace = Some(self.pace(address));
            settings.web_authorities.clone_from(&defaults.web_authorities);
            Ok::<_, Failure>(Line::connect(settings)?)
        })?;
        if let Held::Joined(identity) = held
            && line.identity().expires() < identity.expires()
        {
            // Renewed for all who live on it. (Another resource may have read a later one meanwhile.)
            line.renew(identity.clone())?;
        }
        Ok(line)
    }

    /// The pace of writes in the cluster at that address: what a cluster bears does not grow with those who write to it.
    fn pace(&self, address: &str) -> Arc<Pace> {
        let print = Print::of(address, &SecretBytes::default());
        let made = self.paces.get(print, || Ok::<_, Infallible>(Pace::new(self.defaults.teleport.write_rate)));
        let Ok(pace) = made;
        pace
    }

    fn teleport_address<'a>(&'a self, subject: &Subject<'a>) -> Result<&'a str, Failure> {
        let named = subject.spec.teleport.address.as_deref().or(self.defaults.teleport_address.as_deref());
        named.ok_or_else(|| {
            Failure::new(
                Side::Teleport,
                Class::Configuration,
                "TeleportAddressMissing",
                "neither teleport.address nor the operator's own default names a Teleport cluster",
                "set teleport.address to host:port of the cluster, or the operator's --teleport-address",
            )
        })
    }

    pub(super) async fn read_identity(&self, subject: &Subject<'_>, secrets: &impl Secrets) -> Result<Held, Failure> {
        if let Some(membership) = self.membership(subject) {
            return membership.identity().await.map(Held::Joined);
        }
        let wanted = Wanted {
            side: Side::Teleport,
            field: "teleport.identitySecretRef",
            what: "an identity file (tctl auth sign --format=file, or tbot's output)",
            missing: "IdentitySecretMissing",
            otherwise: ", or let the operator join by itself (--teleport-join-token and --teleport-address)",
        };
        let reference = subject.spec.teleport.identity_secret_ref.as_ref();
        let (Some(membership), None) = (&self.membership, reference) else {
            return wanted.read(subject.namespace, reference, secrets).await.map(Held::Secret);
        };
        // The pod's token is shown to whoever answers, so a resource does not choose where.
        Err(Failure::new(
            Side::Teleport,
            Class::Configuration,
            "JoinNotOffered",
            format!(
                "teleport.identitySecretRef is not set, and the operator joins by itself at its own address {} alone, not at {}",
                membership.address(),
                self.teleport_address(subject)?
            ),
            "leave teleport.address out, or name an identity Secret in teleport.identitySecretRef",
        ))
    }
}

/// Whether a client that lives on one of them may go on under the other.
fn akin(one: &Identity, other: &Identity) -> bool {
    one.cluster() == other.cluster() && one.user() == other.user() && one.origin_mode() == other.origin_mode()
}
