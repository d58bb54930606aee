//! Which endpoint a path is, and which rate bucket it is counted in.

use percent::decode;

/// An endpoint family: one path template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    WellKnown,
    Token,
    Introspect,
    Keys,
    Apps,
    App,
    AppLifecycle,
    AppUsers,
    AppUser,
    AppGroups,
    AppGroup,
    Users,
    User,
    UserLifecycle,
    UserGroups,
    UserAppLinks,
    UserSchema,
    AppSchema,
    UserType,
    Groups,
    Group,
    GroupUsers,
    GroupUser,
    GroupApps,
    Logs,
}

/// The rate buckets, named by the path whose limit they carry. Writes and everything without a bucket of its own count
/// in `/api/v1`.
pub(crate) const BUCKETS: [&str; 9] = [
    "/api/v1/apps",
    "/api/v1/apps/{id}",
    "/api/v1/groups",
    "/api/v1/groups/{id}",
    "/api/v1/users",
    "/api/v1/users/{id}",
    "/api/v1/logs",
    "/api/v1",
    "/oauth2/v1/token",
];

/// One line of the route table: template, resource, bucket of its reads ("" for none).
type Line = (&'static str, Resource, &'static str);

const TABLE: [Line; 25] = [
    ("/.well-known/okta-organization", Resource::WellKnown, ""),
    ("/oauth2/v1/token", Resource::Token, "/oauth2/v1/token"),
    ("/oauth2/v1/introspect", Resource::Introspect, "/oauth2/v1/token"),
    ("/oauth2/v1/keys", Resource::Keys, ""),
    ("/api/v1/apps", Resource::Apps, "/api/v1/apps"),
    ("/api/v1/apps/{id}", Resource::App, "/api/v1/apps/{id}"),
    ("/api/v1/apps/{id}/lifecycle/{verb}", Resource::AppLifecycle, "/api/v1"),
    ("/api/v1/apps/{id}/users", Resource::AppUsers, "/api/v1/apps"),
    ("/api/v1/apps/{id}/users/{userId}", Resource::AppUser, "/api/v1/apps"),
    ("/api/v1/apps/{id}/groups", Resource::AppGroups, "/api/v1/apps"),
    ("/api/v1/apps/{id}/groups/{groupId}", Resource::AppGroup, "/api/v1/apps"),
    ("/api/v1/users", Resource::Users, "/api/v1/users"),
    ("/api/v1/users/{id}", Resource::User, "/api/v1/users/{id}"),
    ("/api/v1/users/{id}/lifecycle/{verb}", Resource::UserLifecycle, "/api/v1"),
    ("/api/v1/users/{id}/groups", Resource::UserGroups, "/api/v1/users"),
    ("/api/v1/users/{id}/appLinks", Resource::UserAppLinks, "/api/v1/users"),
    ("/api/v1/meta/schemas/user/{id}", Resource::UserSchema, "/api/v1"),
    ("/api/v1/meta/schemas/apps/{id}/default", Resource::AppSchema, "/api/v1"),
    ("/api/v1/meta/types/user/{id}", Resource::UserType, "/api/v1"),
    ("/api/v1/groups", Resource::Groups, "/api/v1/groups"),
    ("/api/v1/groups/{id}", Resource::Group, "/api/v1/groups/{id}"),
    ("/api/v1/groups/{id}/users", Resource::GroupUsers, "/api/v1/groups"),
    ("/api/v1/groups/{id}/users/{userId}", Resource::GroupUser, "/api/v1/groups"),
    ("/api/v1/groups/{id}/apps", Resource::GroupApps, "/api/v1/groups"),
    ("/api/v1/logs", Resource::Logs, "/api/v1/logs"),
];

/// A path that was recognised.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub template: &'static str,
    pub resource: Resource,
    /// Bucket of a read, "" for none.
    pub bucket: &'static str,
    /// What stands in the template's braces, decoded.
    pub ids: Vec<String>,
}

impl Route {
    /// The identifier at a place in the template, or "".
    pub fn id(&self, place: usize) -> &str {
        self.ids.get(place).map_or("", String::as_str)
    }

    /// The bucket that a request with this method counts in.
    pub fn bucket_for(&self, method: &str) -> &'static str {
        if self.bucket.starts_with("/api/") && method != "GET" { "/api/v1" } else { self.bucket }
    }
}

/// Recognises a path.
pub(crate) fn find(path: &str) -> Option<Route> {
    TABLE.iter().find_map(|(template, resource, bucket)| {
        let ids = fit(template, path)?;
        Some(Route { template, resource: *resource, bucket, ids })
    })
}

fn fit(template: &str, path: &str) -> Option<Vec<String>> {
    let mut ids = Vec::new();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(ids),
            (Some(hole), Some(part)) if hole.starts_with('{') && !part.is_empty() => ids.push(decode(part)),
            (Some(same), Some(part)) if same == part => {}
            _ => return None,
        }
    }
}

/// Percent-decoding of a path segment (RFC 3986 §2.1); bad escapes stay as they are.
mod percent {
    pub(super) fn decode(segment: &str) -> String {
        let mut bytes = Vec::with_capacity(segment.len());
        let mut rest = segment.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            let code = (first == b'%')
                .then(|| tail.get(..2))
                .flatten()
                .and_then(|hex| std::str::from_utf8(hex).ok())
                .and_then(|hex| u8::from_str_radix(hex, 16).ok());
            if let Some(byte) = code {
                bytes.push(byte);
                rest = &tail[2..];
            } else {
                bytes.push(first);
                rest = tail;
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_endpoint_and_bucket() {
        let route = find("/api/v1/apps/0oa1/users/zo%C3%AB%40x.y").unwrap();
        assert_eq!(route.resource, Resource::AppUser);
        assert_eq!(route.ids, ["0oa1", "zoë@x.y"]);
        assert_eq!(route.bucket_for("GET"), "/api/v1/apps");
        assert_eq!(route.bucket_for("DELETE"), "/api/v1");
        assert!(find("/api/v1/apps/").is_none());
        assert!(find("//api/v1/apps").is_none());
        for (_, _, bucket) in TABLE {
            assert!(bucket.is_empty() || BUCKETS.contains(&bucket), "{bucket}");
        }
    }
}
