//! Identity files, as `tctl auth sign --format=file` and tbot write them (reference §7.1, §15): private key, one SSH certificate line, client
//! certificate, one `@cert-authority` line, CA of hosts.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    TeleportSimError,
    authority::{Authority, Certified, Purpose, Subject, before},
    key::{Key, KeyForm, KeyKind, pem},
    ssh::SshCertificate,
};

/// Whom an identity is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A user, bots included: the certificate comes from the user CA and names the user and the roles.
    User {
        /// Name of the user; it need not exist.
        name: String,
        /// Names of roles; they need not be those of the user.
        roles: Vec<String>,
    },
    /// Whoever joined as a host with a system role such as `Okta`: the certificate comes from the host CA.
    System {
        /// The system role.
        role: String,
        /// The host's UUID.
        host_id: String,
    },
}

/// Which identity to make.
#[derive(Debug, Clone)]
pub struct IdentityKind {
    /// Whom it is for.
    pub holder: Holder,
    /// Kind of its key.
    pub key: KeyKind,
    /// Form of its key in the file.
    pub form: KeyForm,
    /// When it begins; `None`: a minute ago.
    pub not_before: Option<Timestamp>,
    /// When it ends; `None`: in 12 hours for users, in ten years for system roles, as Teleport does. May be in the past.
    pub not_after: Option<Timestamp>,
}

impl IdentityKind {
    /// An identity of a user with these roles, with an RSA key, for 12 hours.
    #[must_use]
    pub fn user(name: &str, roles: &[&str]) -> Self {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Self::of(Holder::User { name: name.to_owned(), roles })
    }

    /// An identity of a host that joined with the system role `Okta`, with an RSA key, for ten years.
    #[must_use]
    pub fn okta_service() -> Self {
        Self::of(Holder::System { role: "Okta".to_owned(), host_id: uuid::Uuid::new_v4().to_string() })
    }

    /// The same with another kind of key.
    #[must_use]
    pub fn with_key(self, key: KeyKind, form: KeyForm) -> Self {
        Self { key, form, ..self }
    }

    /// The same with another end.
    #[must_use]
    pub fn until(self, not_after: Timestamp) -> Self {
        let not_before = Some(before(not_after.min(Timestamp::now())) - SignedDuration::from_hours(1));
        Self { not_before, not_after: Some(not_after), ..self }
    }

    fn of(holder: Holder) -> Self {
        Self { holder, key: KeyKind::default(), form: KeyForm::default(), not_before: None, not_after: None }
    }
}

/// The cluster's authorities, and what they certify.
#[derive(Debug)]
pub(crate) struct Pki {
    pub(crate) cluster: String,
    pub(crate) hosts: Arc<Authority>,
    pub(crate) users: Arc<Authority>,
    /// Host authorities from before a rotation: still trusted, no longer used.
    retired: Vec<Arc<Authority>>,
    /// Whoever certifies the Proxy's web side; not Teleport's.
    pub(crate) web: Arc<Authority>,
}

/// What a request for a TLS certificate asks for.
pub(crate) struct Wanted<'a> {
    pub(crate) holder: &'a Holder,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl Pki {
    pub(crate) fn new(cluster: &str, kind: KeyKind, now: Timestamp) -> Result<Self, TeleportSimError> {
        Ok(Self {
            cluster: cluster.to_owned(),
            hosts: Arc::new(Authority::new(cluster, kind, now)?),
            users: Arc::new(Authority::new(cluster, kind, now)?),
            retired: Vec::new(),
            web: Arc::new(Authority::new("web authority of teleport-sim", KeyKind::Ecdsa, now)?),
        })
    }

    /// The same with a new host authority; the old one is trusted still.
    pub(crate) fn rotated(&self, kind: KeyKind, now: Timestamp) -> Result<Self, TeleportSimError> {
        let mut retired = self.retired.clone();
        retired.push(Arc::clone(&self.hosts));
        Ok(Self {
            cluster: self.cluster.clone(),
            hosts: Arc::new(Authority::new(&self.cluster, kind, now)?),
            users: Arc::clone(&self.users),
            retired,
            web: Arc::clone(&self.web),
        })
    }

    /// Every authority whose clients are let in.
    pub(crate) fn trusted(&self) -> impl Iterator<Item = &Arc<Authority>> {
        self.host_authorities().chain([&self.users])
    }

    /// The host authorities, the one in use first.
    fn host_authorities(&self) -> impl Iterator<Item = &Arc<Authority>> {
        std::iter::once(&self.hosts).chain(&self.retired)
    }

    /// Identifies certificates of hosts.
    pub(crate) fn host_key_ids(&self) -> Vec<Vec<u8>> {
        self.host_authorities().map(|authority| authority.key_id()).collect()
    }

    /// The certificate and key of the Proxy's web side, for this machine's own names, issued by an authority that is not Teleport's.
    pub(crate) fn web_server(&self, now: Timestamp) -> Result<(Vec<u8>, Key), TeleportSimError> {
        let key = Key::generate(KeyKind::Ecdsa)?;
        let subject = Subject { common_name: "localhost".to_owned(), organizations: Vec::new(), cluster: None };
        let certified = Certified {
            subject: &subject,
            purpose: Purpose::Host,
            dns_names: &["localhost".to_owned()],
            addresses: &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            not_before: before(now),
            not_after: now + SignedDuration::from_hours(24 * 3650),
        };
        Ok((self.web.certify(&certified, &key.public_der())?, key))
    }

    /// The certificate and key of the Auth Service: names `*.teleport.cluster.local`, `teleport.cluster.local` and the hex form; no IP, no localhost.
    pub(crate) fn server(&self, kind: KeyKind, now: Timestamp) -> Result<(Vec<u8>, Key), TeleportSimError> {
        let key = Key::generate(kind)?;
        let host_id = uuid::Uuid::new_v4().to_string();
        let domain = teleport_proto::names::API_DOMAIN;
        let names = [
            format!("{host_id}.{}", self.cluster),
            format!("*.{domain}"),
            domain.to_owned(),
            teleport_proto::names::encoded_cluster(&self.cluster),
        ];
        let subject = Subject {
            common_name: format!("{host_id}.{}", self.cluster),
            organizations: vec!["Auth".to_owned()],
            cluster: None,
        };
        let certified = Certified {
            subject: &subject,
            purpose: Purpose::Host,
            dns_names: &names,
            addresses: &[],
            not_before: before(now),
            not_after: now + SignedDuration::from_hours(24 * 3650),
        };
        Ok((self.hosts.certify(&certified, &key.public_der())?, key))
    }

    /// A client's TLS certificate for a public key, DER.
    pub(crate) fn tls(&self, wanted: &Wanted<'_>, spki: &[u8]) -> Result<Vec<u8>, TeleportSimError> {
        let (authority, subject, purpose) = match wanted.holder {
            Holder::User { name, roles } => {
                let subject = Subject {
                    common_name: name.clone(),
                    organizations: roles.clone(),
                    cluster: Some(self.cluster.clone()),
                };
                (self.users.as_ref(), subject, Purpose::Client)
            }
            Holder::System { role, host_id } => {
                let common_name = format!("{host_id}.{}", self.cluster);
                let subject =
                    Subject { common_name, organizations: vec![role.clone()], cluster: Some(self.cluster.clone()) };
                (self.hosts.as_ref(), subject, Purpose::Host)
            }
        };
        let certified = Certified {
            subject: &subject,
            purpose,
            dns_names: &[],
            addresses: &[],
            not_before: wanted.not_before,
            not_after: wanted.not_after,
        };
        authority.certify(&certified, spki)
    }

    /// A client's SSH certificate for a public key, one line.
    pub(crate) fn ssh(&self, wanted: &Wanted<'_>, spki: &[u8]) -> Result<String, TeleportSimError> {
        let (user, authority) = match wanted.holder {
            Holder::User { name, .. } => (name.as_str(), &self.users),
            Holder::System { host_id, .. } => (host_id.as_str(), &self.hosts),
        };
        let principals = ["-teleport-internal-join".to_owned()];
        let certificate = SshCertificate {
            user,
            principals: &principals,
            not_before: wanted.not_before,
            not_after: wanted.not_after,
        };
        certificate.line(spki, authority.ssh_key())
    }

    /// A whole identity file.
    pub(crate) fn identity(&self, kind: &IdentityKind, now: Timestamp) -> Result<String, TeleportSimError> {
        let life = match kind.holder {
            Holder::User { .. } => SignedDuration::from_hours(12),
            Holder::System { .. } => SignedDuration::from_hours(24 * 3650),
        };
        let wanted = Wanted {
            holder: &kind.holder,
            not_before: kind.not_before.unwrap_or_else(|| before(now)),
            not_after: kind.not_after.unwrap_or(now + life),
        };
        let key = Key::generate(kind.key)?;
        let spki = key.public_der();
        Ok([
            key.pem(kind.form)?,
            self.ssh(&wanted, &spki)?,
            "\n".to_owned(),
            pem("CERTIFICATE", &self.tls(&wanted, &spki)?),
            self.hosts.known_hosts_line(&self.cluster)?,
            "\n".to_owned(),
            self.host_authorities().map(|authority| authority.pem()).collect(),
        ]
        .concat())
    }
}
