//! The session probe: is a certificate that was issued before usable now? Teleport asks neither whether the user still exists nor which roles it has
//! now, when somebody connects to a node; only expiry and locks cut an old certificate off (reference §16 H).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{cluster::Cluster, ledger::LockState, lock::Subject, user::key};

/// A certificate that was issued to a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuedCertificate {
    /// Its id; counts from 1.
    pub id: u64,
    /// To whom.
    pub user: String,
    /// With which roles.
    pub roles: Vec<String>,
    /// When.
    pub issued_at: Timestamp,
    /// Until when it is valid.
    pub expires_at: Timestamp,
}

/// What the probe says of one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbedCertificate {
    /// The certificate.
    #[serde(flatten)]
    pub certificate: IssuedCertificate,
    /// Whether a session can be opened with it now.
    pub usable: bool,
}

/// What the probe says of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// The user's name.
    pub name: String,
    /// Whether a session on a node can be opened now with some unexpired certificate of that name. Where none was issued here, one is assumed.
    pub usable: bool,
    /// The same on the Auth Service's own interface, which also wants the user to exist.
    pub api_usable: bool,
    /// Whether the user exists.
    pub user_exists: bool,
    /// The lock on that name.
    pub lock: LockState,
    /// The certificates that were issued to that name.
    pub certificates: Vec<ProbedCertificate>,
}

/// All certificates that were issued to users.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    by_user: BTreeMap<String, Vec<IssuedCertificate>>,
    issued: u64,
}

impl Certificates {
    pub(crate) fn add(
        &mut self,
        user: &str,
        roles: Vec<String>,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> IssuedCertificate {
        self.issued += 1;
        let certificate = IssuedCertificate { id: self.issued, user: user.to_owned(), roles, issued_at, expires_at };
        self.by_user.entry(user.to_owned()).or_default().push(certificate.clone());
        certificate
    }

    fn of(&self, user: &str) -> &[IssuedCertificate] {
        self.by_user.get(user).map_or(&[], Vec::as_slice)
    }

    fn find(&self, id: u64) -> Option<&IssuedCertificate> {
        self.by_user.values().flatten().find(|certificate| certificate.id == id)
    }
}

impl Cluster {
    /// Whether a session can be opened now with a certificate.
    pub(crate) fn certificate_usable(&mut self, id: u64) -> bool {
        self.settle();
        let Some(certificate) = self.certificates.find(id) else { return false };
        certificate.expires_at > self.now() && !self.cut_off(&certificate.user)
    }

    /// What the probe says of a name, looking only at certificates issued before a time, if one is given.
    pub(crate) fn session(&mut self, name: &str, issued_before: Option<Timestamp>) -> Session {
        self.settle();
        let (now, cut_off) = (self.now(), self.cut_off(name));
        let issued = self
            .certificates
            .of(name)
            .iter()
            .filter(|certificate| issued_before.is_none_or(|end| certificate.issued_at < end));
        let certificates: Vec<ProbedCertificate> = issued
            .map(|certificate| ProbedCertificate {
                usable: certificate.expires_at > now && !cut_off,
                certificate: certificate.clone(),
            })
            .collect();
        let usable = if certificates.is_empty() { !cut_off } else { certificates.iter().any(|probed| probed.usable) };
        let user_exists = self.users.read(&key(name)).is_some();
        Session {
            name: name.to_owned(),
            usable,
            api_usable: usable && user_exists,
            user_exists,
            lock: self.lock_state(name),
            certificates,
        }
    }

    fn cut_off(&self, user: &str) -> bool {
        self.enforced_lock(&Subject::User(user.to_owned())).is_some()
    }
}
