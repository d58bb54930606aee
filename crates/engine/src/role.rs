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
    /// Whether the role grants nothing by itself: what it allows is to ask for access, and no more. Whatever is not known to
    /// be harmless grants something.
    pub grants_nothing: bool,
}

/// Roles that may be given at all, whatever a resource says: a setting of the operator, not of the resource, because
/// whoever may write a resource could otherwise make anybody an administrator.
#[derive(Clone, Debug)]
pub struct Ceiling {
    allowed: GlobSet,
    words: Vec<String>,
    without_grants: bool,
}

/// Roles of Teleport that hand out the cluster itself. No pattern allows them, nor what they grant at the moment; only their
/// exact name does.
const BY_NAME_ALONE: [&str; 3] = ["editor", "auditor", "access"];

/// What a message says of roles that need no name.
const WITHOUT_GRANTS: &str = "and any role that grants nothing by itself";

/// The reason of a refusal to give a role.
pub const ABOVE_CEILING: &str = "RoleAboveCeiling";

/// How a role above the ceiling comes under it.
pub const REMEDY: &str =
    "take the role out of users.roles, or let the operator's administrator add it to --allowed-role";

impl Ceiling {
    /// Allows the roles that match one of `patterns` (exact, or with `*` and `?`), and no others.
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
        Ok(Self { allowed, words: patterns.to_vec(), without_grants: false })
    }

    /// Beside them, the roles that grant nothing by themselves.
    #[must_use]
    pub fn and_roles_without_grants(self) -> Self {
        Self { without_grants: true, ..self }
    }

    /// Whether `role`, as it is on the cluster now, may be given.
    #[must_use]
    pub fn allows(&self, role: &Role) -> bool {
        self.names(&role.name) || (role.grants_nothing && self.may_allow(&role.name))
    }

    /// Whether the role of that name could be given, as far as its name tells: where what a role grants counts, only the
    /// cluster knows more.
    #[must_use]
    pub fn may_allow(&self, name: &str) -> bool {
        self.names(name) || (self.without_grants && !BY_NAME_ALONE.contains(&name))
    }

    /// Whether the role is allowed for its name, whatever it grants.
    fn names(&self, name: &str) -> bool {
        if BY_NAME_ALONE.contains(&name) {
            return self.words.iter().any(|word| word == name);
        }
        self.allowed.is_match(name)
    }

    /// What may be given, for messages.
    #[must_use]
    pub fn words(&self) -> String {
        let beside = self.without_grants.then_some(WITHOUT_GRANTS);
        self.words.iter().map(String::as_str).chain(beside).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, grants_nothing: bool) -> Role {
        Role { name: name.into(), max_session_ttl: None, grants_nothing }
    }

    fn ceiling(patterns: &[&str]) -> Ceiling {
        Ceiling::new(&patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    // role.rs, `names`: `BY_NAME_ALONE`.
    #[test]
    fn p13_a_pattern_never_allows_the_roles_that_hand_out_the_cluster() {
        let named = |patterns: &[&str], name: &str| ceiling(patterns).allows(&role(name, false));
        assert!(named(&["okta-*", "*"], "okta-requester") && named(&["okta-*", "*"], "dev"));
        for name in BY_NAME_ALONE {
            assert!(!named(&["okta-*", "*"], name), "{name}");
            assert!(named(&[name], name), "named outright");
        }
        assert!(!named(&["okta-requester"], "dev"));
    }

    // role.rs, `allows`: `grants_nothing`. role.rs, `may_allow`: `BY_NAME_ALONE`.
    #[test]
    fn p13_beside_names_only_a_role_that_grants_nothing_is_allowed_and_only_where_that_is_wanted() {
        let (names, more) = (ceiling(&["staff"]), ceiling(&["staff"]).and_roles_without_grants());
        for (name, grants_nothing, by_names, by_more) in [
            ("staff", false, true, true),
            ("newcomer", true, false, true),
            ("newcomer", false, false, false),
            ("editor", true, false, false),
            ("auditor", true, false, false),
            ("access", true, false, false),
        ] {
            let role = role(name, grants_nothing);
            assert_eq!((names.allows(&role), more.allows(&role)), (by_names, by_more), "{role:?}");
        }
        assert!(ceiling(&["access"]).and_roles_without_grants().allows(&role("access", false)), "named outright");
        // Before the cluster is asked, only what no role of that name could be is refused.
        assert!(more.may_allow("newcomer") && more.may_allow("staff") && !more.may_allow("editor"));
        assert!(names.may_allow("staff") && !names.may_allow("newcomer"));
        assert_eq!(names.words(), "staff");
        assert_eq!(more.words(), "staff, and any role that grants nothing by itself");
    }
}
