//! A person in Okta, as one entry of a list shows them.

use serde_json::{Map, Value};

/// Status of an Okta user. Okta adds values without notice, so this is an open list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PersonStatus {
    /// Made, not yet activated.
    Staged,
    /// Activated, has to finish the activation.
    Provisioned,
    /// In use.
    Active,
    /// Password reset under way.
    Recovery,
    /// Password has to be changed.
    PasswordExpired,
    /// Too many wrong passwords.
    LockedOut,
    /// Suspended by an administrator; keeps assignments.
    Suspended,
    /// Deactivated; loses assignments.
    Deprovisioned,
    /// A value that is not known here.
    Other(String),
}

impl PersonStatus {
    /// All values that Okta documents.
    pub const KNOWN: [Self; 8] = [
        Self::Staged,
        Self::Provisioned,
        Self::Active,
        Self::Recovery,
        Self::PasswordExpired,
        Self::LockedOut,
        Self::Suspended,
        Self::Deprovisioned,
    ];

    /// Okta's word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Staged => "STAGED",
            Self::Provisioned => "PROVISIONED",
            Self::Active => "ACTIVE",
            Self::Recovery => "RECOVERY",
            Self::PasswordExpired => "PASSWORD_EXPIRED",
            Self::LockedOut => "LOCKED_OUT",
            Self::Suspended => "SUSPENDED",
            Self::Deprovisioned => "DEPROVISIONED",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for PersonStatus {
    fn from(word: &str) -> Self {
        Self::KNOWN.into_iter().find(|known| known.as_str() == word).unwrap_or_else(|| Self::Other(word.to_owned()))
    }
}

/// Status of an assignment (Okta's `AppUser`). Open list, as above.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AssignmentStatus {
    /// Enabled; what every assignment to an app without provisioning shows.
    Active,
    /// Provisioned in the app.
    Provisioned,
    /// Provisioning is queued or failed.
    Staged,
    /// Waits for the app.
    Pending,
    /// Approved, not yet done.
    Approved,
    /// Given by a rule.
    Implicit,
    /// Switched off.
    Inactive,
    /// Suspended in the app.
    Suspended,
    /// Taken back.
    Revoked,
    /// Imported from the app, not yet confirmed.
    Imported,
    /// Imported and matched, not yet confirmed.
    Matched,
    /// Taken away.
    Unassigned,
    /// Deprovisioned in the app.
    Deprovisioned,
    /// A value that is not known here.
    Other(String),
}

impl AssignmentStatus {
    /// All values that Okta documents.
    pub const KNOWN: [Self; 13] = [
        Self::Active,
        Self::Provisioned,
        Self::Staged,
        Self::Pending,
        Self::Approved,
        Self::Implicit,
        Self::Inactive,
        Self::Suspended,
        Self::Revoked,
        Self::Imported,
        Self::Matched,
        Self::Unassigned,
        Self::Deprovisioned,
    ];

    /// Okta's word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Active => "ACTIVE",
            Self::Provisioned => "PROVISIONED",
            Self::Staged => "STAGED",
            Self::Pending => "PENDING",
            Self::Approved => "APPROVED",
            Self::Implicit => "IMPLICIT",
            Self::Inactive => "INACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Revoked => "REVOKED",
            Self::Imported => "IMPORTED",
            Self::Matched => "MATCHED",
            Self::Unassigned => "UNASSIGNED",
            Self::Deprovisioned => "DEPROVISIONED",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for AssignmentStatus {
    fn from(word: &str) -> Self {
        Self::KNOWN.into_iter().find(|known| known.as_str() == word).unwrap_or_else(|| Self::Other(word.to_owned()))
    }
}

/// A person as one whole entry of a list, or one look-up by id, shows them.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// Okta id (`00u…`). Never changes and is never used again; a person made anew has another one.
    pub id: String,
    /// The name under which SAML will present the person: the assignment's `credentials.userName` when people come from
    /// an app, else `profile.login`. `None` when Okta has none.
    pub user_name: Option<String>,
    /// Status of the Okta user (not of the assignment).
    pub status: PersonStatus,
    /// Status that a running job is bringing the user to (`transitioningToStatus`).
    pub becoming: Option<PersonStatus>,
    /// Status of the assignment; `None` when people do not come from an app.
    pub assignment: Option<AssignmentStatus>,
    /// The user's profile.
    pub profile: Map<String, Value>,
    /// The assignment's own profile; empty when people do not come from an app.
    pub app_profile: Map<String, Value>,
}
