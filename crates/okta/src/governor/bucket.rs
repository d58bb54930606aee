//! Which of Okta's rate limits a path counts in (reference: okta-api §6.1).

use std::fmt;

/// A rate limit of Okta's, shared by all paths below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bucket {
    /// Lists of apps, and everything below one app: the tightest.
    Apps,
    /// One app.
    App,
    /// Lists of groups, and everything below one group.
    Groups,
    /// One group.
    Group,
    /// Lists of users, and everything below one user.
    Users,
    /// One user.
    User,
    /// The System Log.
    Logs,
    /// The token endpoint.
    Token,
    /// Everything else of the API.
    Other,
    /// Pages without a limit, such as the organisation's own description.
    Free,
}

impl Bucket {
    /// The bucket that a path (without query) counts in: an exact match wins, else the longest prefix.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        match (parts.next(), parts.next(), parts.next()) {
            (Some("oauth2"), Some("v1"), Some("token")) => Self::Token,
            (Some("api"), Some("v1"), Some(kind)) => {
                let exactly_one = parts.next().is_some() && parts.next().is_none();
                match (kind, exactly_one) {
                    ("apps", false) => Self::Apps,
                    ("apps", true) => Self::App,
                    ("groups", false) => Self::Groups,
                    ("groups", true) => Self::Group,
                    ("users", false) => Self::Users,
                    ("users", true) => Self::User,
                    ("logs", _) => Self::Logs,
                    _ => Self::Other,
                }
            }
            _ => Self::Free,
        }
    }

    /// Its path as Okta's rate limit page shows it.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Apps => "/api/v1/apps",
            Self::App => "/api/v1/apps/{id}",
            Self::Groups => "/api/v1/groups",
            Self::Group => "/api/v1/groups/{id}",
            Self::Users => "/api/v1/users",
            Self::User => "/api/v1/users/{id}",
            Self::Logs => "/api/v1/logs",
            Self::Token => "/oauth2/v1/token",
            Self::Other => "/api/v1",
            Self::Free => "/.well-known",
        }
    }
}

/// Which calls go first where a bucket serves both: whoever has left must not wait until a long list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A page of a list in a bucket in which people are asked about by id as well: it leaves a fifth of the share to them.
    Page,
    /// Everything else: it may use the whole share.
    Ahead,
}

impl Turn {
    /// The turn of a path (without query).
    pub(crate) fn of(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            ["api", "v1", "apps" | "users"] | ["api", "v1", "apps", _, "users"] => Self::Page,
            _ => Self::Ahead,
        }
    }

    /// Calls of `allowance`, the share of one window, that it leaves to others; of one call it leaves none.
    pub(super) fn leaves(self, allowance: u32) -> u32 {
        match self {
            Self::Page if allowance > 1 => (allowance / 5).max(1),
            Self::Page | Self::Ahead => 0,
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_leave_room_where_people_are_asked_about_in_the_same_bucket() {
        for (path, turn) in [
            ("/api/v1/apps/0oa1/users", Turn::Page),
            ("/api/v1/users", Turn::Page),
            ("/api/v1/apps", Turn::Page),
            ("/api/v1/apps/0oa1/users/00u1", Turn::Ahead),
            ("/api/v1/users/00u1", Turn::Ahead),
            ("/api/v1/users/00u1/groups", Turn::Ahead),
            ("/api/v1/groups/00g1/users", Turn::Ahead),
            ("/api/v1/logs", Turn::Ahead),
        ] {
            assert_eq!(Turn::of(path), turn, "{path}");
        }
        let left: Vec<u32> = [1, 2, 4, 20, 100].map(|allowance| Turn::Page.leaves(allowance)).into();
        assert_eq!((left, Turn::Ahead.leaves(20)), (vec![0, 1, 1, 4, 20], 0));
    }

    #[test]
    fn an_exact_path_wins_over_its_prefix() {
        for (path, bucket) in [
            ("/api/v1/apps", Bucket::Apps),
            ("/api/v1/apps/0oa1", Bucket::App),
            ("/api/v1/apps/0oa1/users", Bucket::Apps),
            ("/api/v1/apps/0oa1/users/00u1", Bucket::Apps),
            ("/api/v1/groups", Bucket::Groups),
            ("/api/v1/groups/00g1", Bucket::Group),
            ("/api/v1/groups/00g1/users", Bucket::Groups),
            ("/api/v1/users", Bucket::Users),
            ("/api/v1/users/00u1", Bucket::User),
            ("/api/v1/users/00u1/groups", Bucket::Users),
            ("/api/v1/logs", Bucket::Logs),
            ("/api/v1/meta/schemas/user/default", Bucket::Other),
            ("/oauth2/v1/token", Bucket::Token),
            ("/.well-known/okta-organization", Bucket::Free),
        ] {
            assert_eq!(Bucket::of(path), bucket, "{path}");
        }
    }
}
