//! Who we are to Teleport: the identity file that `tctl auth sign --format=file` and tbot write.
//!
//! One text with everything in it, in a fixed order: private key (PKCS#1, SEC1 or PKCS#8 PEM), one line of an SSH certificate, the
//! X.509 client certificate, `@cert-authority` lines, the X.509 certificates of the cluster's host authority. The first PEM block is
//! the key, the second the client certificate, all later ones are authorities. The SSH parts are not used here.

use std::{fmt, sync::Arc};

use engine::{
    cluster::OriginMode,
    failure::{Class, Failure, Side},
};
use jiff::{SignedDuration, Timestamp};
use rustls::{
    InconsistentKeys,
    crypto::{CryptoProvider, aws_lc_rs},
    sign::CertifiedKey,
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{PemObject as _, SectionKind},
};

use crate::certificate::Facts;

/// The system role under which Teleport's own Okta integration writes.
const SYSTEM_ROLE_OKTA: &str = "Okta";

/// Why an identity cannot be used. Never quotes the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Nothing in it.
    #[error("the identity is empty")]
    Empty,
    /// No PEM block in it.
    #[error("the identity holds no PEM block, so it is not an identity file")]
    NotAnIdentity,
    /// A PEM block is cut off or damaged.
    #[error("the identity is cut off or damaged: {0}")]
    Damaged(String),
    /// The first block is a key of a form that Teleport does not write.
    #[error(
        "the identity's private key has the form {0:?}, which cannot be used (RSA PRIVATE KEY, EC PRIVATE KEY and PRIVATE KEY can)"
    )]
    KeyForm(String),
    /// The blocks stand in another order than key, certificate, authorities.
    #[error("the blocks of the identity stand in the wrong order: {0}")]
    Order(&'static str),
    /// The private key cannot be read.
    #[error("the identity's private key cannot be read: {0}")]
    Key(String),
    /// There is no client certificate.
    #[error("the identity holds a private key and no client certificate")]
    NoCertificate,
    /// The client certificate cannot be read.
    #[error("the identity's client certificate cannot be read: {0}")]
    Certificate(String),
    /// There is no certificate of an authority.
    #[error("the identity holds no certificate of the cluster's authority, so no server can be trusted")]
    NoAuthority,
    /// A certificate of an authority cannot be read.
    #[error("a certificate of an authority in the identity cannot be read: {0}")]
    Authority(String),
    /// The client certificate is of another key.
    #[error("the identity's private key does not belong to its client certificate ({user})")]
    KeyMismatch {
        /// Whom the certificate names.
        user: String,
    },
    /// The client certificate says nothing of its cluster.
    #[error("the identity's client certificate does not say of which cluster it is ({user})")]
    NoCluster {
        /// Whom the certificate names.
        user: String,
    },
    /// The client certificate is over.
    #[error("the certificate of {user} expired at {at}")]
    Expired {
        /// Whom the certificate names.
        user: String,
        /// When it ended.
        at: Timestamp,
    },
    /// The client certificate does not hold yet.
    #[error("the certificate of {user} holds only from {from} on")]
    NotYet {
        /// Whom the certificate names.
        user: String,
        /// When it begins.
        from: Timestamp,
    },
}

impl IdentityError {
    /// Always [`Class::Credential`]: a person, or tbot, has to mend the identity.
    #[must_use]
    pub fn class(&self) -> Class {
        Class::Credential
    }

    /// Word for a condition's reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "IdentityExpired",
            Self::NotYet { .. } => "IdentityNotYetValid",
            Self::KeyMismatch { .. } => "IdentityKeyMismatch",
            Self::NoAuthority => "IdentityWithoutAuthority",
            _ => "IdentityUnreadable",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Expired { .. } => "issue a new identity (tctl auth sign --format=file --user=… --out=…) or see why tbot \
                                     no longer renews the Secret; it is read again as soon as it changes"
                .into(),
            Self::NotYet { .. } => "compare the clocks of this machine and of Teleport's Auth Service".into(),
            Self::NoAuthority => "use the whole identity file: tctl auth sign --format=file (not --format=tls), or the \
                                  key `identity` of tbot's Secret"
                .into(),
            Self::KeyMismatch { .. } => "the file is pieced together from two identities; write it anew as a whole with \
                                         tctl auth sign --format=file, or use the key `identity` of tbot's Secret"
                .into(),
            _ => "give the whole file as tctl auth sign --format=file writes it, or the key `identity` of tbot's Secret, \
                  unchanged"
                .into(),
        }
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        Self::new(Side::Teleport, error.class(), error.reason(), error.to_string(), error.remedy())
    }
}

/// A usable identity: key and certificate belong together, cluster and authorities are known. It may have expired.
///
/// `Debug` shows no key.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    authorities: Vec<CertificateDer<'static>>,
    cluster: String,
    user: String,
    roles: Vec<String>,
    from: Timestamp,
    expires: Timestamp,
    origin_mode: OriginMode,
}

impl Identity {
    /// Reads an identity file. Whether it has expired is [`Identity::check`]'s business, so that an expired one can still be shown.
    ///
    /// # Errors
    /// One [`IdentityError`] per way in which the text can be wrong.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let blocks = blocks(text)?;
        let mut blocks = blocks.into_iter();
        let key = match blocks.next() {
            Some(Block::Key(key)) => key,
            Some(Block::Certificate(_)) => return Err(IdentityError::Order("the private key must come first")),
            None => return Err(IdentityError::NotAnIdentity),
        };
        let certificates = blocks
            .map(|block| match block {
                Block::Certificate(certificate) => Ok(certificate),
                Block::Key(_) => Err(IdentityError::Order("there is more than one private key")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (client, authorities) = certificates.split_first().ok_or(IdentityError::NoCertificate)?;
        Self::assemble(key, client.clone(), authorities.to_vec(), &clusters_of_ssh_authorities(text))
    }

    /// Puts an identity together from its parts, as joining yields them.
    ///
    /// # Errors
    /// As [`Identity::parse`].
    pub fn from_parts(
        key: PrivateKeyDer<'static>,
        certificate: CertificateDer<'static>,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        Self::assemble(key, certificate, authorities, &[])
    }

    fn assemble(
        key: PrivateKeyDer<'static>,
        certificate: CertificateDer<'static>,
        authorities: Vec<CertificateDer<'static>>,
        ssh_clusters: &[String],
    ) -> Result<Self, IdentityError> {
        let facts = Facts::read(&certificate).map_err(IdentityError::Certificate)?;
        let provider = aws_lc_rs::default_provider();
        let key = match certified(key, certificate, &provider) {
            Err(IdentityError::KeyMismatch { .. }) if facts.is_authority => {
                return Err(IdentityError::Order("the client certificate must come before the authorities"));
            }
            key => key?,
        };
        if authorities.is_empty() {
            return Err(IdentityError::NoAuthority);
        }
        for authority in &authorities {
            Facts::read(authority).map_err(IdentityError::Authority)?;
        }
        let cluster = facts
            .cluster
            .or_else(|| ssh_clusters.first().cloned())
            .or(facts.issuer)
            .ok_or_else(|| IdentityError::NoCluster { user: facts.user.clone() })?;
        let origin_mode = origin_mode(&facts.roles, &facts.user, &cluster);
        Ok(Self {
            key: Arc::new(key),
            authorities,
            cluster,
            user: facts.user,
            roles: facts.roles,
            from: facts.from,
            expires: facts.expires,
            origin_mode,
        })
    }

    /// Name of the cluster that issued it.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Name of the user, or `<host id>.<cluster>` of a system role.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Roles in the certificate.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// When the certificate begins.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// When the certificate ends.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// How users are marked under this identity: system role `Okta`, or anybody else.
    #[must_use]
    pub fn origin_mode(&self) -> OriginMode {
        self.origin_mode
    }

    /// Certificates of the cluster's host authority: the only roots that are trusted.
    #[must_use]
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// The same identity, trusting the authorities in this PEM text instead of its own: for the time of a rotation, say.
    ///
    /// # Errors
    /// [`IdentityError::NoAuthority`], and text that cannot be read.
    pub fn trusting(self, pem: &str) -> Result<Self, IdentityError> {
        let authorities: Vec<_> = blocks(pem)?
            .into_iter()
            .filter_map(|block| match block {
                Block::Certificate(certificate) => Some(certificate),
                Block::Key(_) => None,
            })
            .collect();
        if authorities.is_empty() {
            return Err(IdentityError::NoAuthority);
        }
        for authority in &authorities {
            Facts::read(authority).map_err(IdentityError::Authority)?;
        }
        Ok(Self { authorities, ..self })
    }

    /// Whether the certificate holds at `now`. Servers refuse an expired one by a TLS alert, or by silence: look before connecting.
    ///
    /// # Errors
    /// [`IdentityError::Expired`] and [`IdentityError::NotYet`] (with a minute's grace for clocks that differ).
    pub fn check(&self, now: Timestamp) -> Result<(), IdentityError> {
        const GRACE_SECONDS: i64 = 60;

        if now >= self.expires {
            return Err(IdentityError::Expired { user: self.user.clone(), at: self.expires });
        }
        if self.from.as_second() > now.as_second().saturating_add(GRACE_SECONDS) {
            return Err(IdentityError::NotYet { user: self.user.clone(), from: self.from });
        }
        Ok(())
    }

    /// What is worth knowing at `now` of a certificate that still holds: that it runs out within a day, or within the last tenth of a life that is
    /// shorter than ten days. Whoever renews it should have done so by then.
    #[must_use]
    pub fn notice(&self, now: Timestamp) -> Option<String> {
        let life = self.from.duration_until(self.expires);
        let notice = (life / 10).min(SignedDuration::from_hours(24));
        (now.duration_until(self.expires) <= notice).then(|| {
            format!(
                "the certificate of {} runs out at {}; issue a new identity, or see why it is no longer renewed",
                self.user, self.expires
            )
        })
    }

    /// Whether both are the same certificate.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert && self.authorities == other.authorities
    }

    /// Key and certificate, for a TLS handshake.
    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("cluster", &self.cluster)
            .field("user", &self.user)
            .field("roles", &self.roles)
            .field("expires", &self.expires)
            .field("authorities", &self.authorities.len())
            .finish_non_exhaustive()
    }
}

/// A PEM block that matters here.
enum Block {
    Key(PrivateKeyDer<'static>),
    Certificate(CertificateDer<'static>),
}

/// The keys and certificates of the text, in their order.
fn blocks(text: &str) -> Result<Vec<Block>, IdentityError> {
    if text.trim().is_empty() {
        return Err(IdentityError::Empty);
    }
    if let Some(form) = foreign_key_form(text) {
        return Err(IdentityError::KeyForm(form));
    }
    let mut blocks = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
        let (kind, der) = section.map_err(|error| IdentityError::Damaged(damage(&error)))?;
        match kind {
            SectionKind::RsaPrivateKey => blocks.push(Block::Key(PrivateKeyDer::Pkcs1(der.into()))),
            SectionKind::EcPrivateKey => blocks.push(Block::Key(PrivateKeyDer::Sec1(der.into()))),
            SectionKind::PrivateKey => blocks.push(Block::Key(PrivateKeyDer::Pkcs8(der.into()))),
            SectionKind::Certificate => blocks.push(Block::Certificate(der.into())),
            _ => {}
        }
    }
    Ok(blocks)
}

/// The label of a private key block that is none of the three forms, such as `OPENSSH PRIVATE KEY`.
fn foreign_key_form(text: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .find(|label| {
            label.ends_with("PRIVATE KEY") && !["RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY"].contains(label)
        })
        .map(str::to_owned)
}

/// What is wrong with a PEM block, without quoting it: a quoted line could be part of the key.
fn damage(error: &rustls_pki_types::pem::Error) -> String {
    use rustls_pki_types::pem::Error;

    match error {
        Error::MissingSectionEnd { .. } => "a block does not end".into(),
        Error::IllegalSectionStart { .. } => "a block does not begin as it should".into(),
        Error::Base64Decode(_) => "a block is not base64".into(),
        _ => "a block cannot be read".into(),
    }
}

/// Cluster names that the `@cert-authority` lines stand for: the pattern that stands there with and without `*.`.
fn clusters_of_ssh_authorities(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("@cert-authority ")?.split_whitespace().next())
        .filter_map(|patterns| {
            let patterns: Vec<&str> = patterns.split(',').collect();
            let cluster = patterns.iter().find(|name| patterns.contains(&format!("*.{name}").as_str()))?;
            Some((*cluster).to_owned())
        })
        .collect()
}

fn certified(
    key: PrivateKeyDer<'static>,
    certificate: CertificateDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, IdentityError> {
    let user = Facts::read(&certificate).map(|facts| facts.user).unwrap_or_default();
    CertifiedKey::from_der(vec![certificate], key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => IdentityError::KeyMismatch { user },
        rustls::Error::InvalidCertificate(error) => IdentityError::Certificate(format!("{error:?}")),
        error => IdentityError::Key(error.to_string()),
    })
}

/// A system role's certificate names `<host id>.<cluster>` and nothing but the role. A user who was given an ordinary role of that name is
/// none.
fn origin_mode(roles: &[String], user: &str, cluster: &str) -> OriginMode {
    let is_host = user.strip_suffix(cluster).is_some_and(|host| host.len() > 1 && host.ends_with('.'));
    if is_host && roles == [SYSTEM_ROLE_OKTA] { OriginMode::Okta } else { OriginMode::Bot }
}
