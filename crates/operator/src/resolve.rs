//! From a specification and its Secrets to what a pass runs on: the policy and the two clients.
//!
//! The same for the operator and for the command line; nothing here knows the controller.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use api::{
    OktaUserSyncSpec,
    spec::{self, SecretKeyRef, Source},
};
use engine::{
    failure::{Class, Failure, Side},
    policy::Policy,
    role::Ceiling,
};
use jiff::Timestamp;
use okta::{OktaClient, OktaError, OrgUrl, Patience, Scope, key::PrivateKey};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use teleport::{Identity, IdentityError, TeleportClient, TeleportError, Way};
use tokio_util::sync::CancellationToken;

use crate::{
    governors::Governors,
    membership::{JoinOffer, Membership, Passage},
    secrets::{SecretBytes, SecretError, Secrets},
};

mod bundle;

/// Calls to Teleport that the fast path may make at once beside a full pass.
const BESIDE: usize = 4;

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

/// What Teleport knows a resource by.
#[derive(Debug)]
enum Held {
    /// An identity file, from a Secret.
    Secret(SecretBytes),
    /// The operator's own identity, by joining.
    Joined(Identity),
}

impl Held {
    /// Whether it has changed. A joined identity is renewed under its clients' feet, which is no change.
    fn print(&self, settings: &str) -> Print {
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

/// A client and what it was made of.
struct Made<T> {
    client: Arc<T>,
    print: Print,
    /// Where it leads, without the credential.
    place: Print,
}

impl<T> Clone for Made<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), print: self.print, place: self.place }
    }
}

/// The two clients of one resource. They are handed back at the next resolving, and kept as long as they are right, so
/// that tokens and connections outlive a pass.
#[derive(Clone)]
pub struct Clients {
    okta: Made<OktaClient>,
    /// The way to the System Log, shared by all resources that read the same one by the same credential.
    feed: Option<Made<OktaClient>>,
    teleport: Made<TeleportClient>,
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
        &self.okta.client
    }

    /// The way to Okta's System Log, and what tells it from others; `None`: it is not to be read. Its token carries the
    /// scope `okta.logs.read` and no other.
    #[must_use]
    pub fn feed(&self) -> Option<(Print, &Arc<OktaClient>)> {
        self.feed.as_ref().map(|made| (made.print, &made.client))
    }

    /// The way to Teleport.
    #[must_use]
    pub fn teleport(&self) -> &Arc<TeleportClient> {
        &self.teleport.client
    }

    /// When the identity in use runs out.
    #[must_use]
    pub fn identity_expires(&self) -> Timestamp {
        self.teleport.client.identity().expires()
    }
}

/// Resolves; holds what all resources share: one governor for each organisation (P14).
#[derive(Debug)]
pub struct Resolver {
    defaults: Defaults,
    governors: Governors,
    feeds: Mutex<HashMap<Print, Weak<OktaClient>>>,
    /// In the cluster at the operator's own address.
    membership: Option<Membership>,
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
        Self { defaults, governors: Governors::default(), feeds: Mutex::default(), membership }
    }

    /// The governors of all organisations.
    #[must_use]
    pub fn governors(&self) -> Governors {
        self.governors.clone()
    }

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
        let identity = held.identity().ok()?;
        identity.check(Timestamp::now()).ok()?;
        renewed(&clients.teleport.client, &identity).ok()?.then_some(identity)
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
        Ok(Clients {
            okta: self.okta(subject, okta_material, former.map(|former| &former.okta))?,
            feed: self.feed(subject, okta_material)?,
            teleport: self.teleport(subject, &material.identity, former.map(|former| &former.teleport))?,
        })
    }

    /// The client for Okta alone: a preflight looks at either side, whatever is wrong with the other.
    ///
    /// # Errors
    /// The org URL, client ID or key cannot be had or used.
    pub async fn okta_alone(&self, subject: &Subject<'_>, secrets: &impl Secrets) -> Result<Arc<OktaClient>, Failure> {
        let key = self.read_key(subject, secrets).await?;
        let bundle = bundle::read(subject, secrets).await?;
        Ok(self.okta(subject, (&key, bundle.as_deref()), None)?.client)
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
            (Ok(made), _) => Ok(made.client),
            (Err(_), Some(former)) => Ok(former.client.clone()),
            (Err(failure), None) => Err(failure),
        }
    }

    /// Whether Okta gives a token for `key`. What other clients do is not touched by it.
    pub(crate) async fn prove(
        &self,
        subject: &Subject<'_>,
        key: &SecretBytes,
        secrets: &impl Secrets,
    ) -> Result<(), Failure> {
        let bundle = bundle::read(subject, secrets).await?;
        self.okta(subject, (key, bundle.as_deref()), None)?.client.prove().await
    }

    fn okta(
        &self,
        subject: &Subject<'_>,
        (key, bundle): (&SecretBytes, Option<&[u8]>),
        former: Option<&Made<OktaClient>>,
    ) -> Result<Made<OktaClient>, Failure> {
        let (okta, scope) = (&subject.spec.okta, &subject.spec.scope);
        let words = format!("{okta:?} {:?} {:?} {:?}", scope.source, scope.groups.is_empty(), subject.spec.interval);
        let print = Print::with_bundle(&words, key, bundle);
        if let Some(former) = former.filter(|former| former.print == print) {
            return Ok(former.clone());
        }
        let settings =
            self.okta_settings(subject.spec, (key, bundle), scopes(scope.source, !scope.groups.is_empty()))?;
        let governor = self.governors.of(settings.org_url.clone());
        Ok(Made { client: Arc::new(OktaClient::new(settings, governor)?), print, place: print })
    }

    /// The client that reads the System Log, unless it is not wanted: one for all that are alike.
    fn feed(
        &self,
        subject: &Subject<'_>,
        (key, bundle): (&SecretBytes, Option<&[u8]>),
    ) -> Result<Option<Made<OktaClient>>, Failure> {
        let okta = &subject.spec.okta;
        if okta.fast_path == spec::FastPath::Disabled || subject.spec.mode == spec::Mode::Preview {
            return Ok(None);
        }
        let words = format!("{} {} {:?} {}", okta.org_url, okta.client_id, okta.dpop, okta.budget_percent);
        let print = Print::with_bundle(&words, key, bundle);
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = feeds.get(&print).and_then(Weak::upgrade) {
            return Ok(Some(Made { client, print, place: print }));
        }
        let settings = self.okta_settings(subject.spec, (key, bundle), vec![Scope::Logs])?;
        let governor = self.governors.of(settings.org_url.clone());
        let client = Arc::new(OktaClient::new(settings, governor)?);
        feeds.retain(|_, feed| feed.strong_count() > 0);
        feeds.insert(print, Arc::downgrade(&client));
        Ok(Some(Made { client, print, place: print }))
    }

    fn okta_settings(
        &self,
        spec: &OktaUserSyncSpec,
        (key, bundle): (&SecretBytes, Option<&[u8]>),
        scopes: Vec<Scope>,
    ) -> Result<okta::Settings, Failure> {
        let okta = &spec.okta;
        let org_url = OrgUrl::parse(&okta.org_url).map_err(OktaError::from)?;
        let key = PrivateKey::parse(key.expose_secret()).map_err(OktaError::from)?;
        Ok(okta::Settings {
            dpop: match okta.dpop {
                spec::Dpop::Auto => okta::Dpop::Auto,
                spec::Dpop::Required => okta::Dpop::Required,
                spec::Dpop::Disabled => okta::Dpop::Disabled,
            },
            budget_percent: u8::try_from(okta.budget_percent).unwrap_or(100),
            ca_bundle: bundle::joined([self.defaults.okta_ca.as_deref(), bundle]),
            scopes,
            patience: Patience::default().within(spec.interval.into()),
            ..okta::Settings::new(org_url, okta.client_id.clone(), key)
        })
    }

    fn teleport(
        &self,
        subject: &Subject<'_>,
        held: &Held,
        former: Option<&Made<TeleportClient>>,
    ) -> Result<Made<TeleportClient>, Failure> {
        let address = self.teleport_address(subject)?;
        let (print, place) = (held.print(address), Print::of(address, &SecretBytes::default()));
        let identity = match (held, former.filter(|former| former.print == print)) {
            (Held::Secret(_), Some(former)) => former.client.identity(),
            _ => held.identity()?,
        };
        identity.check(Timestamp::now())?;
        // A renewed identity is put under the client that is there, which keeps what it has learned and its connection's pace.
        if let Some(former) = former.filter(|former| former.place == place)
            && (former.print == print || akin(&former.client.identity(), &identity))
        {
            renewed(&former.client, &identity)?;
            return Ok(Made { client: former.client.clone(), print, place });
        }
        let defaults = &self.defaults.teleport;
        let mut settings = teleport::Settings::new(address, identity);
        // Beside the mass writes of a full pass there is room for the fast path.
        settings.writes_at_once = defaults.writes_at_once;
        settings.concurrency = defaults.writes_at_once.saturating_add(BESIDE);
        settings.way = defaults.way;
        settings.write_rate = defaults.write_rate;
        settings.web_authorities.clone_from(&defaults.web_authorities);
        let client = TeleportClient::connect(settings)?;
        Ok(Made { client: Arc::new(client), print, place })
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

    async fn read_key(&self, subject: &Subject<'_>, secrets: &impl Secrets) -> Result<SecretBytes, Failure> {
        let named = subject.spec.okta.private_key_secret_ref.as_ref();
        let own = subject.own_key.as_ref().filter(|_| named.is_none());
        if named.or(own).is_none() {
            return Err(no_key(subject));
        }
        let wanted = Wanted {
            side: Side::Okta,
            field: if own.is_some() { "status.publicKey" } else { "okta.privateKeySecretRef" },
            what: "the private key (PEM or JWK) of the API Services app",
            missing: "KeySecretMissing",
            otherwise: "",
        };
        wanted.read(subject.namespace, named.or(own), secrets).await
    }

    async fn read_identity(&self, subject: &Subject<'_>, secrets: &impl Secrets) -> Result<Held, Failure> {
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

/// Only an operator makes keys, and asks for one before it comes here: elsewhere one has to be given.
fn no_key(subject: &Subject<'_>) -> Failure {
    let Subject { namespace, name, .. } = subject;
    Failure::new(
        Side::Okta,
        Class::Configuration,
        "KeySecretMissing",
        "okta.privateKeySecretRef is not set: in a cluster the operator makes a key then, here there is none",
        format!(
            "give the private key with --okta-key FILE. If an operator has made it: kubectl get secret -n {namespace} \
             \"$(kubectl get ous {name} -n {namespace} -o jsonpath='{{.status.publicKey.secretName}}')\" -o \
             jsonpath='{{.data.private\\.pem}}' | base64 -d > FILE. If there is none yet: okta-user-sync key new FILE"
        ),
    )
}

/// Whether a client that lives on one of them may go on under the other.
fn akin(one: &Identity, other: &Identity) -> bool {
    one.cluster() == other.cluster() && one.user() == other.user() && one.origin_mode() == other.origin_mode()
}

/// Puts `identity` under `client`, unless it is there already; answers whether it was put there.
fn renewed(client: &TeleportClient, identity: &Identity) -> Result<bool, TeleportError> {
    let new = !client.identity().is(identity);
    if new {
        client.renew(identity.clone())?;
    }
    Ok(new)
}

/// One reference of a specification, and the words for when it leads nowhere.
struct Wanted {
    side: Side,
    field: &'static str,
    what: &'static str,
    missing: &'static str,
    /// What else would do.
    otherwise: &'static str,
}

impl Wanted {
    async fn read(
        &self,
        namespace: &str,
        reference: Option<&SecretKeyRef>,
        secrets: &impl Secrets,
    ) -> Result<SecretBytes, Failure> {
        let Some(SecretKeyRef { name, key }) = reference else {
            return Err(self.failure(
                Class::Configuration,
                self.missing,
                format!("{} is not set", self.field),
                format!(
                    "put {} into a Secret of the namespace {namespace} and name it in {}{}",
                    self.what, self.field, self.otherwise
                ),
            ));
        };
        secrets.get(namespace, name, key).await.map_err(|error| {
            let (class, reason, remedy) = match &error {
                SecretError::NoSecret => (
                    Class::Configuration,
                    self.missing,
                    format!(
                        "make the Secret {name} in the namespace {namespace}, with {} under the key {key}",
                        self.what
                    ),
                ),
                SecretError::NoKey(_) => (
                    Class::Configuration,
                    self.missing,
                    format!("put {} under the key {key}, or name another key in {}", self.what, self.field),
                ),
                SecretError::Forbidden(_) => (
                    Class::Permission,
                    "SecretForbidden",
                    format!("let the operator's ServiceAccount get Secrets in the namespace {namespace}"),
                ),
                SecretError::Unavailable(_) => {
                    (Class::Transient, "SecretUnavailable", "nothing; it is tried again".to_owned())
                }
            };
            let message = format!("{}: Secret {namespace}/{name}, key {key}: {error}", self.field);
            self.failure(class, reason, message, remedy)
        })
    }

    fn failure(&self, class: Class, reason: &'static str, message: String, remedy: String) -> Failure {
        Failure::new(self.side, class, reason, message, remedy)
    }
}

/// Scopes that a pass over this source is going to need, so that one token serves it.
fn scopes(source: Source, narrowed: bool) -> Vec<Scope> {
    let mut scopes = match source {
        Source::App => vec![Scope::Apps, Scope::Users],
        Source::Groups => vec![Scope::Groups, Scope::Users],
        Source::Org => vec![Scope::Users],
    };
    if narrowed && !scopes.contains(&Scope::Groups) {
        scopes.push(Scope::Groups);
    }
    scopes
}

#[cfg(test)]
mod tests;
