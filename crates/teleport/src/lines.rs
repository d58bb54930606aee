//! What differs between the lines of Teleport versions, in one place, and what is said about a version that is not the usual one.
//!
//! | from | what is there | what is done before |
//! |---|---|---|
//! | 15 | `teleport.users.v1` | refused: there is no way to write a user with its revision |
//! | 17 | certificates for TLS alone (`tls_public_key`) | one key for SSH and TLS (`public_key`) |
//! | 17 | `ListRoles` | `GetRoles`, on `UNIMPLEMENTED` |
//! | 17 | unknown roles are refused by updates as well | roles are looked at before every pass, so nothing depends on it |
//! | 17 | the connection upgrade by `WebSocket` | the legacy form, which is offered in the same request |
//! | 17 | the system role `Okta` may read connectors | `scope.appID` must be given |
//! | 18 | `teleport.join.v1` and gRPC `RegisterUsingToken` | joining by HTTP with JSON, on `UNIMPLEMENTED` |
//!
//! Only the first two go by the number; all others go by what the server answers, so that a backport or an early build is no trouble.

use crate::error::TeleportError;

/// First line whose users can be written as we do.
pub(crate) const OLDEST: u64 = 15;

/// First line that the product is made for.
pub(crate) const MADE_FOR: u64 = 17;

/// Newest line that it is tested with.
pub(crate) const NEWEST_TESTED: u64 = 19;

/// First line that certifies a key for TLS alone.
const SPLIT_KEYS: u64 = 17;

/// Refuses servers that are too old. A version that cannot be read is let pass: the calls will show.
pub(crate) fn check(version: &str) -> Result<(), TeleportError> {
    match major(version) {
        Some(major) if major < OLDEST => Err(TeleportError::TooOld { version: version.to_owned(), oldest: OLDEST }),
        _ => Ok(()),
    }
}

/// What is worth knowing of a version that works, but is not among those that are tested in full.
pub(crate) fn notice(version: &str) -> Option<String> {
    match major(version) {
        None => Some(format!("Teleport's version {version:?} cannot be read, so its peculiarities are not known")),
        Some(major) if major < MADE_FOR => {
            Some(format!("Teleport {version} is older than {MADE_FOR}: it is served as far as it goes; upgrade it"))
        }
        Some(major) if major > NEWEST_TESTED => Some(format!(
            "Teleport {version} is newer than {NEWEST_TESTED}, the newest line that this operator was tested with; look for a newer operator"
        )),
        Some(_) => None,
    }
}

/// Whether certificates for TLS alone can be had.
pub(crate) fn splits_keys(version: &str) -> bool {
    major(version).is_none_or(|major| major >= SPLIT_KEYS)
}

/// `17` of `17.0.0-dev`.
pub(crate) fn major(version: &str) -> Option<u64> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_refused() {
        assert_eq!(check("14.3.33").unwrap_err().reason(), "TeleportTooOld");
        for version in ["15.0.0-dev", "17.2.1", "19.0.0", "unreadable"] {
            check(version).unwrap();
        }
    }

    #[test]
    fn a_version_that_is_not_tested_is_told() {
        for (version, word) in [
            ("15.0.0", Some("older than 17")),
            ("16.5.1", Some("older than 17")),
            ("17.0.0-dev", None),
            ("18.5.0", None),
            ("19.0.0", None),
            ("20.0.0-alpha.1", Some("newer than 19")),
            ("dev", Some("cannot be read")),
        ] {
            let told = notice(version);
            assert_eq!(told.is_some(), word.is_some(), "{version}: {told:?}");
            assert!(told.unwrap_or_default().contains(word.unwrap_or_default()), "{version}");
        }
    }

    #[test]
    fn versions_are_read() {
        for (text, read) in [("17.0.0-dev", Some(17)), ("v18.1.2", Some(18)), ("", None), ("dev", None)] {
            assert_eq!(major(text), read, "{text}");
        }
        assert!(splits_keys("17.0.0") && !splits_keys("16.9.9"));
    }
}
