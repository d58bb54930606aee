//! Names of users: what the server refuses, and what it should.

/// Why `name` must not be written as a user name; `None` when it may.
///
/// The rules are the server's (letters of ASCII, digits and `@ _ : . - +`; not empty; neither `.` nor `..`), and one of ours: no `/`, which the
/// server accepts, because deleting the user `a` deletes `a/b` too.
#[must_use]
pub fn refuse(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.contains('/') {
        return Some("it holds a slash, and deleting the user before the slash would delete this one too");
    }
    if name == "." || name == ".." {
        return Some("it is a path");
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@_:.-+".contains(&byte)) {
        return Some("it holds a character other than letters (a to z), digits and @ _ : . - +");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_server_takes_pass_and_others_do_not() {
        for good in ["ada@acme.com", "ada+test@acme.com", "bot-a", "A_b:c", "..a", "a..b"] {
            assert_eq!(refuse(good), None, "{good}");
        }
        for bad in ["", ".", "..", "a b", "zoë@acme.com", "100%", "a/b", "/", "a\\b", "a\n", "\"", "a'b"] {
            assert!(refuse(bad).is_some(), "{bad:?}");
        }
    }
}
