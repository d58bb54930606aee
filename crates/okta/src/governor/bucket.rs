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

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
