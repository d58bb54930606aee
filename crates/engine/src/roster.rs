//! Who has which accounts, as the last pass left it: Okta id to user names.
//!
//! A login may rewrite a user of ours so that no label of ours is left on it (reference: SAML login overwrites). The
//! roster recognises such a user, so that it is put right, and so that its person, leaving at that moment, is still
//! locked. A partial pass finds by it the users of a person who is in Okta's lists no more. It is kept in memory only;
//! without it (after a restart) a full pass relies on labels alone, and a partial one waits for a full one.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use crate::{
    observed::{Account, Observed},
    words::{Index, Words, row},
};

/// Okta id to user names.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Those of the list of users that it was made from, and its own.
    words: Words,
    /// What was noted; what is not true any more stays behind unused.
    lines: Vec<Account>,
    /// Of each person the line of one account.
    by_person: Index,
    /// Further accounts of those few who have several, as while a rename is under way.
    more: HashMap<Box<str>, Vec<Box<str>>>,
    /// Lines by name. Few ask for somebody by name, so it is made when one does.
    by_name: OnceLock<Index>,
}

impl Roster {
    /// One that nobody is in, which shares the names and ids of a list of users.
    pub(crate) fn beside(observed: &Observed) -> Self {
        Self { words: Words::over(observed.words()), ..Self::default() }
    }

    /// Everybody who has an account of ours.
    pub(crate) fn of(observed: &Observed) -> Self {
        let mut roster = Self::beside(observed);
        let accounts = observed.every_account().count();
        roster.lines.reserve_exact(accounts);
        roster.by_person = Index::with_room(accounts);
        for account in observed.every_account() {
            roster.put_also(account);
        }
        roster
    }

    /// The same on texts of its own, if most of those that it stands on are of others: it is kept until the next pass, and
    /// the names of a whole cluster would be kept with it, for each of hundreds of resources.
    pub(crate) fn settled(self: Arc<Self>) -> Arc<Self> {
        let own: usize = self.iter().map(|(okta_id, name)| okta_id.len() + name.len()).sum();
        if self.words.below() <= 2 * own {
            return self;
        }
        let mut settled = Self::default();
        for (okta_id, name) in self.iter() {
            settled.also(okta_id, name);
        }
        settled.words.shrink();
        settled.lines.shrink_to_fit();
        Arc::new(settled)
    }

    /// Notes that this is the person's account; further ones stay.
    pub fn note(&mut self, okta_id: &str, name: &str) {
        self.drop_further(okta_id, name);
        if self.name(okta_id) != Some(name) {
            let account = Account { okta_id: self.words.add(okta_id), name: self.words.add(name) };
            self.put(account);
        }
    }

    /// The same of an account that the list of users shows, which takes no room for the texts.
    pub(crate) fn note_listed(&mut self, observed: &Observed, account: Account) {
        let words = observed.words().clone();
        let (okta_id, name) = (words.text(account.okta_id), words.text(account.name));
        if self.words.stand_on(&words) {
            self.drop_further(okta_id, name);
            if self.name(okta_id) != Some(name) {
                self.put(account);
            }
        } else {
            self.note(okta_id, name);
        }
    }

    /// Notes that the person has this account too.
    pub fn also(&mut self, okta_id: &str, name: &str) {
        if self.accounts(okta_id).any(|known| known == name) {
            return;
        }
        if self.name(okta_id).is_some() {
            self.more.entry(okta_id.into()).or_default().push(name.into());
        } else {
            self.note(okta_id, name);
        }
    }

    /// Notes that the person has this account, of the list of users that this stands on, too.
    fn put_also(&mut self, account: Account) {
        let (words, lines) = (&self.words, &self.lines);
        let okta_id = words.text(account.okta_id);
        if self.by_person.find(okta_id, person_of(words, lines)).is_some() {
            let name: Box<str> = words.text(account.name).into();
            self.more.entry(okta_id.into()).or_default().push(name);
        } else {
            self.add(account);
        }
    }

    /// Makes it the person's first account.
    fn put(&mut self, account: Account) {
        let (words, lines) = (&self.words, &self.lines);
        self.by_person.remove(words.text(account.okta_id), person_of(words, lines));
        self.by_name.take();
        self.add(account);
    }

    /// Adds the first account of somebody who is not in it.
    fn add(&mut self, account: Account) {
        let at = row(self.lines.len());
        self.lines.push(account);
        self.by_person.add(at, person_of(&self.words, &self.lines));
    }

    /// Notes that the person has this account no more.
    pub fn drop_account(&mut self, okta_id: &str, name: &str) {
        self.drop_further(okta_id, name);
        if self.name(okta_id) != Some(name) {
            return;
        }
        self.take_away(okta_id);
        if let Some(further) = self.more.remove(okta_id) {
            // Whichever of them is first: none is more theirs than another.
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

    fn take_away(&mut self, okta_id: &str) {
        let (words, lines) = (&self.words, &self.lines);
        self.by_person.remove(okta_id, person_of(words, lines));
        self.by_name.take();
    }

    /// Keeps only some people.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let (words, lines) = (&self.words, &self.lines);
        let okta_id = |line: u32| lines.get(line as usize).map_or("", |account| words.text(account.okta_id));
        self.by_person.retain(|line| keep(okta_id(line)));
        self.more.retain(|okta_id, _| keep(okta_id));
        self.by_name.take();
    }

    /// Forgets the person.
    pub fn forget(&mut self, okta_id: &str) {
        self.take_away(okta_id);
        self.more.remove(okta_id);
    }

    /// The account that the person had.
    #[must_use]
    pub fn name(&self, okta_id: &str) -> Option<&str> {
        let line = self.by_person.find(okta_id, person_of(&self.words, &self.lines))?;
        self.lines.get(line as usize).map(|account| self.words.text(account.name))
    }

    /// A person who had an account of that name.
    pub(crate) fn holder(&self, name: &str) -> Option<&str> {
        let (words, lines) = (&self.words, &self.lines);
        let name_of = |line: u32| lines.get(line as usize).map_or(&[][..], |account| words.bytes(account.name));
        let by_name = self.by_name.get_or_init(|| {
            let mut by_name = Index::with_room(self.len());
            self.by_person.rows().for_each(|line| by_name.add(line, name_of));
            by_name
        });
        let first = by_name.find(name, name_of).and_then(|line| lines.get(line as usize));
        first.map(|account| words.text(account.okta_id)).or_else(|| {
            let mut further = self.more.iter();
            let found = further.find(|(_, names)| names.iter().any(|known| **known == *name));
            found.map(|(okta_id, _)| okta_id.as_ref())
        })
    }

    /// All accounts that the person had.
    pub fn accounts<'a>(&'a self, okta_id: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let further = self.more.get(okta_id).into_iter().flatten().map(AsRef::as_ref);
        self.name(okta_id).into_iter().chain(further)
    }

    /// Everybody in it, with each account.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let first = self.by_person.rows().filter_map(|line| self.lines.get(line as usize));
        let first = first.map(|account| (self.words.text(account.okta_id), self.words.text(account.name)));
        first.chain(self.more.iter().flat_map(|(id, names)| names.iter().map(move |name| (id.as_ref(), name.as_ref()))))
    }

    /// The same in the order of the Okta ids; of one person, the first account first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (&str, &str)> {
        let first = self.by_person.rows().filter_map(|line| self.lines.get(line as usize));
        let mut accounts = Vec::with_capacity(self.len());
        accounts.extend(first.copied());
        accounts.sort_unstable_by(|a, b| self.words.bytes(a.okta_id).cmp(self.words.bytes(b.okta_id)));
        accounts.into_iter().flat_map(|account| {
            let okta_id = self.words.text(account.okta_id);
            let further = self.more.get(okta_id).into_iter().flatten().map(AsRef::as_ref);
            std::iter::once(self.words.text(account.name)).chain(further).map(move |name| (okta_id, name))
        })
    }

    /// How many accounts it holds.
    pub(crate) fn owned(&self) -> usize {
        self.len() + self.more.values().map(Vec::len).sum::<usize>()
    }

    /// How many people it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_person.len()
    }

    /// Whether it holds nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Two rosters are equal when the same people have the same accounts.
impl PartialEq for Roster {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.more == other.more
            && self.iter().all(|(okta_id, name)| other.accounts(okta_id).any(|known| known == name))
    }
}

impl Eq for Roster {}

/// The Okta id of a line.
fn person_of<'a>(words: &'a Words, lines: &'a [Account]) -> impl Fn(u32) -> &'a [u8] + Copy {
    |line| lines.get(line as usize).map_or(&[], |account| words.bytes(account.okta_id))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use api::names;

    use super::*;
    use crate::{
        census::Census,
        cluster::OriginMode,
        test_values::{ORG, OWNER, facts, policy_with},
    };

    fn accounts(roster: &Roster) -> Vec<&str> {
        roster.accounts("00u1").collect()
    }

    #[test]
    fn one_that_holds_few_of_many_users_does_not_keep_the_others_names() {
        let labels = |n: usize| {
            let okta_id = format!("00u{n:05}");
            [(names::OWNER_LABEL, OWNER), (names::OKTA_ORG_LABEL, ORG), (names::OKTA_USER_ID_LABEL, &okta_id)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        };
        let users = |few: usize, many: usize| {
            let mut census = Census::default();
            let user = |n: usize| crate::user::User {
                name: format!("person-{n:05}@example.com"),
                labels: if n < few { labels(n) } else { BTreeMap::new() },
                ..crate::user::User::default()
            };
            for n in 0..many {
                census.add(&user(n).view(), &facts(OriginMode::Bot));
            }
            Observed::of(Arc::new(census), &policy_with(|_| {}), &Roster::default())
        };
        let (few, all) = (users(2, 1000), users(1000, 1000));
        let settled = few.roster().clone().settled();
        assert_eq!((settled.words.below(), settled.len()), (0, 2));
        assert_eq!(settled, *few.roster());
        assert!(settled.words.size() < 200, "{} bytes", settled.words.size());
        // Who has most of them shares them.
        assert!(all.roster().clone().settled().words.below() > 0);

        // In the middle of a rename the first account stays the first.
        let mut renamed = few.roster().clone();
        Arc::make_mut(&mut renamed).also("00u00000", "new@example.com");
        let settled = renamed.clone().settled();
        let both = ["person-00000@example.com", "new@example.com"];
        assert_eq!(settled.accounts("00u00000").collect::<Vec<_>>(), both);
        assert_eq!(settled, renamed);
        assert!(Arc::new(Roster::beside(&few)).settled().is_empty());
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

    #[test]
    fn rosters_are_equal_when_the_same_people_have_the_same_accounts() {
        let of = |accounts: &[(&str, &str)]| {
            let mut roster = Roster::default();
            for (okta_id, name) in accounts {
                roster.also(okta_id, name);
            }
            roster
        };
        let two = [("00u1", "ada"), ("00u2", "bob")];
        let roster = of(&two);
        assert!(!roster.is_empty());
        assert_eq!(roster, of(&[two[1], two[0]]));
        for (what, other) in [
            ("one less", of(&two[..1])),
            ("another account", of(&[two[0], ("00u2", "eve")])),
            ("another person", of(&[two[0], ("00u3", "bob")])),
            ("one more account", of(&[two[0], two[1], ("00u2", "eve")])),
            ("swapped", of(&[("00u1", "bob"), ("00u2", "ada")])),
        ] {
            assert_ne!(roster, other, "{what}");
            assert_ne!(other, roster, "{what}");
        }
    }
}
