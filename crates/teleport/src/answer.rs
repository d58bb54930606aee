//! How a call ended that did not succeed, and what that means.

use tonic::Code;

use crate::{call::Call, denial::Denial, error::TeleportError};

/// How a call ended that did not succeed: by the server's word, or without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The server answered with this code.
    Answer(Code, String),
    /// No answer came, or nothing was sent.
    Way(TeleportError),
}

impl CallError {
    /// Whether the same call may succeed a moment later.
    pub(crate) fn retry(&self) -> bool {
        match self {
            Self::Answer(code, _) => matches!(code, Code::Unavailable | Code::ResourceExhausted),
            Self::Way(error) => error.retry(),
        }
    }

    /// The error for people; `own` is our own user name.
    pub(crate) fn explain(self, call: Call, own: &str) -> TeleportError {
        let (code, message) = match self {
            Self::Way(error) => return error,
            Self::Answer(code, message) => (code, tidy(&message)),
        };
        match code {
            Code::PermissionDenied if names_user_gone(&message, own) => {
                TeleportError::IdentityGone { user: own.to_owned() }
            }
            Code::PermissionDenied => TeleportError::Denied(Denial::read(call, own, message)),
            Code::Unauthenticated => TeleportError::IdentityRefused { user: own.to_owned(), detail: message },
            Code::InvalidArgument if message.contains("origin") && message.to_lowercase().contains("okta") => {
                TeleportError::Origin { call, message }
            }
            Code::InvalidArgument => TeleportError::Refused { call, message },
            Code::ResourceExhausted => TeleportError::Busy { call, message },
            Code::Unimplemented => TeleportError::Unsupported { call },
            _ => TeleportError::Server { call, code, message },
        }
    }
}

impl From<TeleportError> for CallError {
    fn from(error: TeleportError) -> Self {
        Self::Way(error)
    }
}

/// Whether the text says that our own user does not exist.
fn names_user_gone(message: &str, own: &str) -> bool {
    message.contains(&format!("user {own:?} not found"))
}

/// The server's words on one line, and not too many of them.
fn tidy(message: &str) -> String {
    const LONGEST: usize = 500;

    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The role that a "not found" to a write names: `role <name> is not found`.
pub(crate) fn missing_role(message: &str) -> Option<&str> {
    let name = message.split("role ").nth(1)?.split(" is not found").next()?;
    Some(name.trim_matches(['"', '\'', '`'])).filter(|name| !name.is_empty() && !name.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(call: Call, code: Code, message: &str) -> TeleportError {
        CallError::Answer(code, message.to_owned()).explain(call, "bot-sync")
    }

    #[test]
    fn answers_are_told_apart_by_code_and_where_it_does_not_suffice_by_text() {
        let table = [
            (Code::InvalidArgument, r#"Must be Okta service to set "okta" origin"#, "OriginRefused"),
            (Code::InvalidArgument, "Okta origin may not be changed", "OriginRefused"),
            (Code::InvalidArgument, r#"Okta service must supply "okta" origin"#, "OriginRefused"),
            (Code::InvalidArgument, r#"invalid label key: "A b""#, "TeleportRefused"),
            (Code::PermissionDenied, "access denied\n\tuser \"bot-sync\" not found", "IdentityDeleted"),
            (Code::PermissionDenied, "access denied\n\tuser \"ada\" not found", "PermissionMissing"),
            (Code::ResourceExhausted, "too many", "TeleportBusy"),
            (Code::Unimplemented, "unknown method", "TeleportTooOld"),
            (Code::Unauthenticated, "who?", "IdentityRefused"),
            (Code::Unavailable, "starting", "TeleportError"),
            (Code::Unknown, "boom", "TeleportError"),
        ];
        for (code, message, reason) in table {
            assert_eq!(explained(Call::UpdateUser, code, message).reason(), reason, "{message}");
        }
    }

    #[test]
    fn a_missing_role_is_named() {
        assert_eq!(missing_role("role okta-requester is not found"), Some("okta-requester"));
        assert_eq!(missing_role("\trole \"a b\" is not found"), None);
        assert_eq!(missing_role("ERROR: role \"dev\" is not found\n"), Some("dev"));
        assert_eq!(missing_role("user \"x\" not found"), None);
    }

    #[test]
    fn long_and_broken_texts_are_tidied() {
        let error = explained(Call::UpdateUser, Code::Unknown, &"ä\n\t".repeat(2000));
        assert!(error.to_string().chars().count() < 600 && !error.to_string().contains('\n'));
    }
}
