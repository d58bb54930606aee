//! A lock in Teleport: it cuts live sessions and refuses every certificate and login of a user name.

use std::collections::BTreeMap;

use api::names;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::{
    failure::{Class, Failure, Side},
    role::Role,
};

/// Longest certificate that a role without a limit of its own allows (Teleport's `MaxCertDuration`).
pub const DEFAULT_CREDENTIAL_LIFE: SignedDuration = SignedDuration::from_hours(30);

/// Start of the name of every lock of ours.
pub const NAME_PREFIX: &str = "okta-user-sync-";

/// A lock on one user name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Name of the lock.
    pub name: String,
    /// User name that it targets; empty when it targets something else (a role, a device …).
    pub user: String,
    /// What a refused person may be told.
    pub message: String,
    /// When it stops being in force; `None`: never.
    pub expires: Option<Timestamp>,
    /// When it was made; `None` when the server does not say.
    pub created: Option<Timestamp>,
    /// Whose it is: owner, person and reason, read from its labels. `None`: not ours.
    pub ours: Option<Mark>,
}

/// The labels that make a lock ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// `namespace/name` of the resource.
    pub owner: String,
    /// The Okta organisation.
    pub org_url: String,
    /// Okta id of the person.
    pub okta_id: String,
    /// Why it stands.
    pub reason: LockReason,
}

/// Why a lock of ours stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockReason {
    /// The person left.
    Leaver,
    /// The person is suspended in Okta; goes when they come back.
    Suspended,
    /// The person goes under another user name now.
    Renamed,
}

impl LockReason {
    /// Value of the label [`names::LOCK_REASON_LABEL`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leaver => "leaver",
            Self::Suspended => "suspended",
            Self::Renamed => "renamed",
        }
    }

    /// The reason behind a label; words of a newer version count as [`LockReason::Leaver`], the strictest.
    #[must_use]
    pub fn from_label(word: &str) -> Self {
        match word {
            "suspended" => Self::Suspended,
            "renamed" => Self::Renamed,
            _ => Self::Leaver,
        }
    }
}

impl Lock {
    /// Whether it is in force at `now`.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}

impl Mark {
    /// The labels that carry it.
    #[must_use]
    pub fn labels(&self) -> Vec<(&'static str, String)> {
        vec![
            (names::OWNER_LABEL, self.owner.clone()),
            (names::OKTA_ORG_LABEL, self.org_url.clone()),
            (names::OKTA_USER_ID_LABEL, self.okta_id.clone()),
            (names::LOCK_REASON_LABEL, self.reason.as_str().to_owned()),
        ]
    }

    /// The mark of a lock of that name and with these labels, if it is ours (P6). Both must say so: either alone can be
    /// anybody's.
    #[must_use]
    pub fn read(name: &str, labels: &BTreeMap<String, String>) -> Option<Self> {
        let label = |key: &str| labels.get(key).filter(|value| !value.is_empty()).cloned();
        if !name.starts_with(NAME_PREFIX) {
            return None;
        }
        Some(Self {
            owner: label(names::OWNER_LABEL)?,
            org_url: label(names::OKTA_ORG_LABEL)?,
            okta_id: label(names::OKTA_USER_ID_LABEL)?,
            reason: LockReason::from_label(&label(names::LOCK_REASON_LABEL)?),
        })
    }
}

/// Name of our lock on `user`: the same for the same resource, person and user name, so that making it twice makes one
/// lock, and another for every other, so that one person's lock never hides behind another's.
#[must_use]
pub fn lock_name(owner: &str, okta_id: &str, user: &str) -> String {
    let digest = Sha256::digest(format!("{owner}\n{okta_id}\n{user}").as_bytes());
    format!("{NAME_PREFIX}{}", hex::encode(&digest[..16]))
}

/// Life of a leaver's lock: the longest life that a credential can have on this cluster, and `margin` (P10).
///
/// A certificate lives at most as long as the largest `max_session_ttl` of all roles; a role that names none allows
/// [`DEFAULT_CREDENTIAL_LIFE`].
///
/// # Errors
/// With no role at all nothing is known of credentials, and no life is guessed.
pub fn lock_life(roles: &[Role], margin: SignedDuration) -> Result<SignedDuration, Failure> {
    if roles.is_empty() {
        return Err(Failure::new(
            Side::Teleport,
            Class::Permission,
            "LockLifeUnknown",
            "Teleport lists no role, so the longest life of a credential, and with it the life of a lock, is unknown",
            "let the role of this operator's identity list and read roles (rules: resources [role], verbs [list, read])",
        ));
    }
    let longest = roles.iter().filter_map(|role| role.max_session_ttl).max().unwrap_or(DEFAULT_CREDENTIAL_LIFE);
    Ok(longest.max(DEFAULT_CREDENTIAL_LIFE).saturating_add(margin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(hours: Option<i64>) -> Role {
        Role { name: "r".into(), max_session_ttl: hours.map(SignedDuration::from_hours), grants_nothing: false }
    }

    // lock.rs, `lock_life`: `max` over all roles.
    #[test]
    fn p10_the_lock_outlasts_the_longest_credential() {
        let margin = SignedDuration::from_hours(1);
        let life = |roles: &[Role]| lock_life(roles, margin).unwrap().as_hours();
        assert_eq!(life(&[role(None)]), 31, "Teleport's own limit");
        assert_eq!(life(&[role(Some(8)), role(Some(12))]), 31, "shorter roles do not shorten it");
        assert_eq!(life(&[role(Some(8)), role(Some(100))]), 101, "one long role is enough");
        assert_eq!(lock_life(&[], margin).unwrap_err().reason, "LockLifeUnknown");
    }

    #[test]
    fn a_mark_is_read_back_from_its_labels_and_only_from_a_lock_of_that_name() {
        let name = lock_name("ns/a", "00u1", "x");
        for (reason, word) in
            [(LockReason::Leaver, "leaver"), (LockReason::Suspended, "suspended"), (LockReason::Renamed, "renamed")]
        {
            let mark = Mark { owner: "ns/a".into(), org_url: "https://o".into(), okta_id: "00u1".into(), reason };
            let labels: BTreeMap<String, String> =
                mark.labels().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            assert_eq!(labels[names::LOCK_REASON_LABEL], word);
            assert_eq!(Mark::read(&name, &labels), Some(mark));
            assert_eq!(Mark::read("of-others", &labels), None);
            for key in labels.keys() {
                let mut empty = labels.clone();
                empty.insert(key.clone(), String::new());
                assert_eq!(Mark::read(&name, &empty), None, "{key} is empty");
            }
        }
        assert_eq!(LockReason::from_label("of a later version"), LockReason::Leaver, "the strictest");
    }

    #[test]
    fn a_lock_is_in_force_until_the_moment_at_which_it_ends() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let lock = |expires| Lock {
            name: "l".into(),
            user: "x".into(),
            message: String::new(),
            expires,
            created: None,
            ours: None,
        };
        assert!(lock(None).in_force(at(9)) && lock(Some(at(10))).in_force(at(9)));
        assert!(!lock(Some(at(10))).in_force(at(10)) && !lock(Some(at(10))).in_force(at(11)));
    }

    #[test]
    fn lock_names_tell_resources_people_and_names_apart() {
        let base = lock_name("ns/a", "00u1", "x");
        assert_eq!(base, lock_name("ns/a", "00u1", "x"));
        for other in [lock_name("ns/b", "00u1", "x"), lock_name("ns/a", "00u2", "x"), lock_name("ns/a", "00u1", "y")] {
            assert_ne!(base, other);
        }
    }
}
