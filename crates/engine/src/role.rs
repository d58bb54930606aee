//! A role in Teleport, as far as it matters here, and the ceiling on roles that may be given (P13).

use globset::{Glob, GlobSet, GlobSetBuilder};
use jiff::SignedDuration;

use crate::failure::{Class, Failure, Side};

/// A role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// Name.
    pub name: String,
    /// Longest session; `None` when the role names none.
    pub max_session_ttl: Option<SignedDuration>,
}

/// Roles that may be given at all, whatever a resource says: a setting of the operator, not of the resource, because
/// whoever may write a resource could otherwise make anybody an administrator.
#[derive(Clone, Debug)]
pub struct Ceiling {
    allowed: GlobSet,
    words: Vec<String>,
}

/// Roles of Teleport that hand out the cluster itself. A pattern never allows them; only their exact name does.
const NEVER_BY_PATTERN: [&str; 3] = ["editor", "auditor", "access"];

impl Ceiling {
    /// Allows the roles that match one of `patterns` (exact, or with `*` and `?`).
    ///
    /// # Errors
    /// A pattern that cannot be read.
    pub fn new(patterns: &[String]) -> Result<Self, Failure> {
        let mut allowed = GlobSetBuilder::new();
        for pattern in patterns {
            allowed.add(Glob::new(pattern).map_err(|e| {
                Failure::new(
                    Side::Here,
                    Class::Configuration,
                    "AllowedRolesUnreadable",
                    format!("the allowed role pattern {pattern:?} cannot be read: {e}"),
                    "mend the operator's --allowed-role",
                )
            })?);
        }
        let allowed = allowed.build().map_err(|e| {
            Failure::new(
                Side::Here,
                Class::Configuration,
                "AllowedRolesUnreadable",
                e.to_string(),
                "mend --allowed-role",
            )
        })?;
        Ok(Self { allowed, words: patterns.to_vec() })
    }

    /// Whether `role` may be given.
    #[must_use]
    pub fn allows(&self, role: &str) -> bool {
        if NEVER_BY_PATTERN.contains(&role) {
            return self.words.iter().any(|word| word == role);
        }
        self.allowed.is_match(role)
    }

    /// The patterns, for messages.
    #[must_use]
    pub fn words(&self) -> String {
        self.words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // role.rs, `allows`: `NEVER_BY_PATTERN`.
    #[test]
    fn p13_a_pattern_never_allows_the_roles_that_hand_out_the_cluster() {
        let ceiling = Ceiling::new(&["okta-*".into(), "*".into()]).unwrap();
        assert!(ceiling.allows("okta-requester") && ceiling.allows("dev"));
        for role in NEVER_BY_PATTERN {
            assert!(!ceiling.allows(role), "{role}");
            assert!(Ceiling::new(&[role.to_owned()]).unwrap().allows(role), "named outright");
        }
        assert!(!Ceiling::new(&["okta-requester".into()]).unwrap().allows("dev"));
    }
}
