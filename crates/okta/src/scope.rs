//! The OAuth scopes that calls need. Nothing that writes is among them.

/// A scope of Okta's that this program may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `okta.apps.read`: the app and its assignments.
    Apps,
    /// `okta.users.read`: people by id, and the list of all.
    Users,
    /// `okta.groups.read`: groups and their members.
    Groups,
    /// `okta.logs.read`: the System Log.
    Logs,
}

impl Scope {
    /// Okta's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apps => "okta.apps.read",
            Self::Users => "okta.users.read",
            Self::Groups => "okta.groups.read",
            Self::Logs => "okta.logs.read",
        }
    }

    /// Whether a granted scope gives at least this one: itself, or the one that may write as well.
    pub(crate) fn given_by(self, granted: &str) -> bool {
        granted == self.as_str()
            || granted.strip_suffix(".manage").is_some_and(|kind| Some(kind) == self.as_str().strip_suffix(".read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // scope.rs, `as_str`.
    #[test]
    fn p18_no_scope_writes_and_manage_gives_read() {
        for scope in [Scope::Apps, Scope::Users, Scope::Groups, Scope::Logs] {
            assert_eq!(scope.as_str().split('.').next_back(), Some("read"));
            assert!(scope.given_by(scope.as_str()));
            assert!(scope.given_by(&scope.as_str().replace(".read", ".manage")));
            assert!(!scope.given_by("okta.policies.read"));
        }
        assert!(!Scope::Apps.given_by("okta.users.manage"));
    }
}
