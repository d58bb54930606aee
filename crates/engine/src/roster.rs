//! Who had which account after the last pass: Okta id to user name.
//!
//! A login may rewrite a user of ours so that no label of ours is left on it (reference: SAML login overwrites). The
//! roster recognises such a user, so that it is put right, and so that its person, leaving at that moment, is still
//! locked. It is kept in memory only; without it (after a restart) the pass relies on labels alone.

use std::collections::HashMap;

/// Okta id to user name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    names: HashMap<Box<str>, Box<str>>,
}

impl Roster {
    /// Notes that the person has the account.
    pub fn note(&mut self, okta_id: &str, name: &str) {
        self.names.insert(okta_id.into(), name.into());
    }

    /// Notes it unless the person has another account already.
    pub fn note_if_absent(&mut self, okta_id: &str, name: &str) {
        if self.name(okta_id).is_none() {
            self.note(okta_id, name);
        }
    }

    /// Forgets the person.
    pub fn forget(&mut self, okta_id: &str) {
        self.names.remove(okta_id);
    }

    /// The account that the person had.
    #[must_use]
    pub fn name(&self, okta_id: &str) -> Option<&str> {
        self.names.get(okta_id).map(AsRef::as_ref)
    }

    /// Everybody in it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().map(|(id, name)| (id.as_ref(), name.as_ref()))
    }

    /// How many people it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether it holds nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}
