//! Who goes under which user name, letter case aside: Okta holds such names for equal.
//!
//! Names and ids are kept as hashes, sixteen bytes a person: two names whose hashes meet are held for shared, and then
//! neither person is touched.

use std::hash::{BuildHasher as _, RandomState};

use crate::hashes::Hashes;

/// In place of a person: several go under the name.
const SEVERAL: u64 = 0;

/// User name to person.
#[derive(Debug, Default)]
pub struct NameIndex {
    hasher: RandomState,
    holders: Hashes<u64>,
}

impl NameIndex {
    /// Notes that the person goes under the name.
    pub fn note(&mut self, name: &str, okta_id: &str) {
        let (name, person) = (self.name(name), self.person(okta_id));
        if let Some(holder) = self.holders.insert(name, person)
            && *holder != person
        {
            *holder = SEVERAL;
        }
    }

    /// Forgets under which name the person goes. A name that several have is remembered as such.
    pub fn forget(&mut self, okta_id: &str) {
        let person = self.person(okta_id);
        self.holders.retain(|holder| *holder != person);
    }

    /// Whether several people go under the name.
    #[must_use]
    pub fn shared(&self, name: &str) -> bool {
        self.holders.get(self.name(name)) == Some(&SEVERAL)
    }

    /// Whether anybody but this person goes under the name.
    #[must_use]
    pub fn wanted_by_others(&self, name: &str, okta_id: &str) -> bool {
        self.holders.get(self.name(name)).is_some_and(|holder| *holder != self.person(okta_id))
    }

    fn name(&self, name: &str) -> u64 {
        // Most are in small letters of ASCII already, and need no text of their own for that.
        if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
            return self.hasher.hash_one(name);
        }
        self.hasher.hash_one(name.to_lowercase().as_str())
    }

    fn person(&self, okta_id: &str) -> u64 {
        self.hasher.hash_one(okta_id).max(SEVERAL + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_persons_or_several_peoples_whatever_its_case() {
        let mut names = NameIndex::default();
        names.note("Ada", "00u1");
        names.note("ada", "00u1");
        assert!(names.wanted_by_others("ADA", "") && !names.shared("ada"));
        assert!(names.wanted_by_others("ada", "00u2") && !names.wanted_by_others("ada", "00u1"));
        names.note("aDa", "00u2");
        assert!(names.shared("ada") && names.wanted_by_others("ada", "00u1"));
        names.forget("00u1");
        assert!(names.shared("ada"), "who else has it is not known");
        names.note("bob", "00u3");
        names.forget("00u3");
        assert!(!names.wanted_by_others("bob", ""));
    }
}
