//! Who has which accounts, as the last pass left it: Okta id to user names.
//!
//! A login may rewrite a user of ours so that no label of ours is left on it (reference: SAML login overwrites). The
//! roster recognises such a user, so that it is put right, and so that its person, leaving at that moment, is still
//! locked. A partial pass finds by it the users of a person who is in Okta's lists no more. It is kept in memory only;
//! without it (after a restart) a full pass relies on labels alone, and a partial one waits for a full one.

use std::collections::HashMap;

/// Okta id to user names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    names: HashMap<Box<str>, Box<str>>,
    /// Further accounts of those few who have several, as while a rename is under way.
    more: HashMap<Box<str>, Vec<Box<str>>>,
}

impl Roster {
    /// Notes that this is the person's account; further ones stay.
    pub fn note(&mut self, okta_id: &str, name: &str) {
        self.drop_further(okta_id, name);
        self.names.insert(okta_id.into(), name.into());
    }

    /// Notes that the person has this account too.
    pub fn also(&mut self, okta_id: &str, name: &str) {
        if self.accounts(okta_id).any(|known| known == name) {
            return;
        }
        if self.names.contains_key(okta_id) {
            self.more.entry(okta_id.into()).or_default().push(name.into());
        } else {
            self.note(okta_id, name);
        }
    }

    /// Notes that the person has this account no more.
    pub fn drop_account(&mut self, okta_id: &str, name: &str) {
        self.drop_further(okta_id, name);
        if self.name(okta_id) != Some(name) {
            return;
        }
        self.names.remove(okta_id);
        if let Some(mut further) = self.more.remove(okta_id) {
            // Whichever of them is first: none is more theirs than another.
            self.names.insert(okta_id.into(), further.remove(0));
            for name in further {
                self.also(okta_id, &name);
            }
        }
    }

    fn drop_further(&mut self, okta_id: &str, name: &str) {
        if let Some(further) = self.more.get_mut(okta_id) {
            further.retain(|known| **known != *name);
            if further.is_empty() {
                self.more.remove(okta_id);
            }
        }
    }

    /// Forgets the person.
    pub fn forget(&mut self, okta_id: &str) {
        self.names.remove(okta_id);
        self.more.remove(okta_id);
    }

    /// The account that the person had.
    #[must_use]
    pub fn name(&self, okta_id: &str) -> Option<&str> {
        self.names.get(okta_id).map(AsRef::as_ref)
    }

    /// All accounts that the person had.
    pub fn accounts<'a>(&'a self, okta_id: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let further = self.more.get(okta_id).into_iter().flatten();
        self.names.get(okta_id).into_iter().chain(further).map(AsRef::as_ref)
    }

    /// Everybody in it, with each account.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let further = self.more.iter().flat_map(|(id, names)| names.iter().map(move |name| (id, name)));
        self.names.iter().chain(further).map(|(id, name)| (id.as_ref(), name.as_ref()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(roster: &Roster) -> Vec<&str> {
        roster.accounts("00u1").collect()
    }

    #[test]
    fn a_person_may_have_several_accounts_while_a_rename_is_under_way() {
        let mut roster = Roster::default();
        roster.also("00u1", "old");
        roster.also("00u1", "old");
        assert_eq!(accounts(&roster), ["old"]);
        roster.also("00u1", "new");
        assert_eq!(accounts(&roster), ["old", "new"]);
        roster.note("00u1", "new");
        assert_eq!(accounts(&roster), ["new"], "what is noted replaces the first, and is not there twice");
        roster.also("00u1", "older");
        assert_eq!((roster.len(), roster.iter().count()), (1, 2));
        roster.drop_account("00u1", "new");
        assert_eq!((roster.name("00u1"), accounts(&roster)), (Some("older"), vec!["older"]));
        roster.drop_account("00u1", "nobody");
        roster.drop_account("00u1", "older");
        assert!(roster.is_empty() && roster.name("00u1").is_none());
        roster.also("00u1", "a");
        roster.also("00u1", "b");
        roster.forget("00u1");
        assert_eq!((roster.is_empty(), roster.iter().count()), (true, 0));
    }
}
