//! User names that can be given, by the rules of Teleport's own servers (measured), found out before any call.

/// Longest user name; Teleport's backends use it as part of a key.
pub const MAX_LENGTH: usize = 255;

/// Why `name` cannot be a user name, in words; `None` if it can.
#[must_use]
pub fn refusal(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > MAX_LENGTH {
        return Some("it is longer than 255 bytes");
    }
    if name == "." || name == ".." {
        return Some("Teleport refuses . and ..");
    }
    if name.contains('/') {
        return Some(
            "it holds a slash: Teleport deletes by the prefix NAME/, so that removing one user would remove others",
        );
    }
    if name.starts_with("bot-") || name.starts_with('@') {
        return Some("names that begin with bot- or @ belong to Teleport's own users");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@+:!#$&'*=?^`{|}~".contains(&b)) {
        return Some("Teleport refuses blanks, non-ASCII letters and special characters in names");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_teleport_judges_them() {
        for good in ["alice", "a.b+c@example.com", "o'brien@example.com", "A_b-1", &"x".repeat(255)] {
            assert_eq!(refusal(good), None, "{good}");
        }
        for bad in ["", ".", "..", "a b", "zoë", "50%", "a/b", "bot-x", "@system", "tab\t", "张伟", &"x".repeat(256)]
        {
            assert!(refusal(bad).is_some(), "{bad:?}");
        }
    }
}
