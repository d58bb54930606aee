//! From a specification and its Secrets to what a pass runs on: the policy and the two clients.
//!
//! The same for the operator and for the command line; nothing here knows the controller. `okta_side` and
//! `teleport_side` are the two halves, `wanted` has the words for a reference that leads nowhere.

use std::{fmt, sync::Arc};

use api::{OktaUserSyncSpec, spec::SecretKeyRef};
use engine::{failure::Failure, policy::Policy, role::Ceiling};
use jiff::Timestamp;
use okta::{OktaClient, Transport};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use teleport::{Line, Pace, TeleportClient};

pub use self::teleport_side::TeleportDefaults;
use self::{shared::Shared, teleport_side::Held};
use crate::{
    governors::Governors,
    membership::{Membership, Passage},
    secrets::{SecretBytes, Secrets},
};

mod bundle;
mod okta_side;
mod shared;
mod teleport_side;
mod wanted;

/// What an operator's administrator sets for all resources.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Certificate authorities (PEM) that are trusted for Okta beside the system's.
    pub okta_ca: Option<Vec<u8>>,
    /// `host:port` of the Teleport cluster of resources that name none.
    pub teleport_address: Option<String>,
    /// How Teleport is reached, and joined.
    pub teleport: TeleportDefaults,
    /// Roles that may be given at all (P13).
    pub ceiling: Ceiling,
}

/// One resource, as far as resolving goes.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// Its namespace; Secrets are looked for nowhere else.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What it asks for.
    pub spec: &'a OktaUserSyncSpec,
    /// The key that the operator has made for it; counts if `spec` names none.
    pub own_key: Option<SecretKeyRef>,
    /// Plan hashes that its annotation approves.
    pub approvals: Vec<String>,
}

impl Subject<'_> {
    /// `namespace/name`: the value of the ownership label.
    #[must_use]
    pub fn owner(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// A digest of settings and secret bytes: equal as long as a client made of them is still the right one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Print([u8; 32]);

impl fmt::Debug for Print {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Print(…)")
    }
}

impl Print {
    /// Of settings (as text) and secret bytes.
    fn of(settings: &str, secret: &SecretBytes) -> Self {
        Self::with_bundle(settings, secret, None)
    }

    /// The same, and a bundle of certificate authorities.
    fn with_bundle(settings: &str, secret: &SecretBytes, bundle: Option<&[u8]>) -> Self {
        let mut digest = Sha256::new();
        digest.update(settings.as_bytes());
        digest.update([0]);
        digest.update(Sha256::digest(secret.expose_secret()));
        digest.update(bundle.unwrap_or_default());
        Self(digest.finalize().into())
    }
}

/// What the references of a specification lead to.
#[derive(Debug)]
pub struct Material {
    key: SecretBytes,
    identity: Held,
    /// Certificate authorities that the resource names.
    bundle: Option<Vec<u8>>,
}

impl Material {
    /// Two prints, one for each client: whether what the references lead to has changed.
    #[must_use]
    pub fn prints(&self) -> [Print; 2] {
        [Print::with_bundle("", &self.key, self.bundle.as_deref()), self.identity.print("")]
    }
}

/// The two clients of one resource. They are handed back at the next resolving, and kept as long as they are right, so
/// that tokens and connections outlive a pass. All that are alike are shared among resources.
#[derive(Clone)]
pub struct Clients {
    okta: Arc<OktaClient>,
    /// The way to the System Log, and what it was made of.
    feed: Option<(Print, Arc<OktaClient>)>,
    teleport: Seat,
}

/// The client for Teleport of one resource, over a line that all resources with the same identity share.
#[derive(Clone)]
struct Seat {
    client: Arc<TeleportClient>,
    /// What the line was made of.
    print: Print,
    /// Where it leads, without the credential.
    place: Print,
}

/// Both clients, for one pass: they count its calls and no other's.
pub struct PassClients {
    /// The way to Okta.
    pub okta: OktaClient,
    /// The way to Teleport.
    pub teleport: TeleportClient,
}

impl fmt::Debug for PassClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassClients").finish_non_exhaustive()
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    /// The way to Okta.
    #[must_use]
    pub fn okta(&self) -> &OktaClient {
        &self.okta
    }

    /// The way to Okta's System Log, and what tells it from others; `None`: it is not to be read. Its token carries the
    /// scope `okta.logs.read` and no other.
    #[must_use]
    pub fn feed(&self) -> Option<(Print, &Arc<OktaClient>)> {
        self.feed.as_ref().map(|(print, client)| (*print, client))
    }

    /// The way to Teleport.
    #[must_use]
    pub fn teleport(&self) -> &Arc<TeleportClient> {
        &self.teleport.client
    }

    /// Both for one pass, beside which others may go on over the same connections.
    #[must_use]
    pub fn of_pass(&self) -> PassClients {
        PassClients { okta: self.okta.counting_anew(), teleport: self.teleport.client.counting_anew() }
    }

    /// When the identity in use runs out.
    #[must_use]
    pub fn identity_expires(&self) -> Timestamp {
        self.teleport.client.identity().expires()
    }
}

/// Resolves; holds what all resources share: one governor for each organisation (P14), and whatever is alike.
pub struct Resolver {
    defaults: Defaults,
    governors: Governors,
    /// Connections to Okta, by whom they trust.
    transports: Shared<Transport>,
    /// Clients for Okta, by credential, settings and scopes.
    oktas: Shared<OktaClient>,
    /// One pace for each cluster, whoever writes there.
    paces: Shared<Pace>,
    /// Lines to Teleport, by address and identity.
    lines: Shared<Line>,
    /// In the cluster at the operator's own address.
    membership: Option<Membership>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("defaults", &self.defaults).finish_non_exhaustive()
    }
}

impl Resolver {
    /// A resolver with these defaults.
    #[must_use]
    pub fn new(defaults: Defaults) -> Self {
        let membership = match (&defaults.teleport.join, &defaults.teleport_address) {
            (Some(offer), Some(address)) => Some(Membership::new(
                offer.clone(),
                Passage {
                    address: address.clone(),
                    way: defaults.teleport.way,
                    web_authorities: defaults.teleport.web_authorities.clone(),
                },
            )),
            _ => None,
        };
        Self {
            defaults,
            governors: Governors::default(),
            transports: Shared::default(),
            oktas: Shared::default(),
            paces: Shared::default(),
            lines: Shared::default(),
            membership,
        }
    }

    /// The governors of all organisations.
    #[must_use]
    pub fn governors(&self) -> Governors {
        self.governors.clone()
    }

    /// The policy of `subject`.
    ///
    /// # Errors
    /// A pattern or filter that cannot be read, a role above the ceiling.
    pub fn policy(&self, subject: &Subject<'_>) -> Result<Policy, Failure> {
        Policy::new(&subject.owner(), subject.spec, &self.defaults.ceiling, subject.approvals.clone())
    }

    /// Reads the Secrets (and the ConfigMap) that `subject` refers to.
    ///
    /// # Errors
    /// A reference is left out, or leads nowhere.
    pub async fn read(&self, subject: &Subject<'_>, secrets: &impl Secrets) -> Result<Material, Failure> {
        let key = self.read_key(subject, secrets).await?;
        let identity = self.read_identity(subject, secrets).await?;
        let bundle = bundle::read(subject, secrets).await?;
        Ok(Material { key, identity, bundle })
    }

    /// Both clients for `subject`; those of `former` as far as they are still right.
    ///
    /// # Errors
    /// The org URL, client ID, key, address or identity cannot be used, or the identity has expired.
    pub fn clients(
        &self,
        subject: &Subject<'_>,
        material: &Material,
        former: Option<&Clients>,
    ) -> Result<Clients, Failure> {
        let okta_material = (&material.key, material.bundle.as_deref());
        // Okta's side is told first where both are wrong.
        let okta = self.okta(subject, okta_material)?;
        let feed = self.feed(subject, okta_material)?;
        let teleport = self.teleport(subject, &material.identity, former.map(|former| &former.teleport))?;
        Ok(Clients { okta, feed, teleport })
    }
}

#[cfg(test)]
pub(crate) mod tests;
