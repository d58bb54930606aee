//! Desired users of whom there may be very many, as in a first import: kept in a tenth of the memory that they take when they are
//! worked on.

use std::collections::{BTreeMap, HashMap};

use crate::{
    desired::{Common, DesiredUser},
    user::Traits,
    words::{Word, Words},
};

/// Users that have to be made or changed, by a number of their person.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    common: Option<Common>,
    words: Words,
    /// Names of traits, each once.
    names: HashMap<Box<str>, Word>,
    /// Name and value of each trait; a trait of several values stands there several times.
    traits: HashMap<u32, Box<[(Word, Word)]>>,
    /// Traits that had to be left out, of those few for whom that was so.
    left_out: HashMap<u32, Vec<String>>,
}

impl Packed {
    /// Keeps a user.
    pub(crate) fn put(&mut self, person: u32, common: impl FnOnce() -> Common, user: &DesiredUser) {
        self.common.get_or_insert_with(common);
        let mut pairs = Vec::with_capacity(user.traits.values().map(Vec::len).sum());
        for (name, values) in &user.traits {
            let name = self.name(name);
            for value in values {
                pairs.push((name, self.words.add(value)));
            }
        }
        self.traits.insert(person, pairs.into());
        if !user.left_out.is_empty() {
            self.left_out.insert(person, user.left_out.clone());
        }
    }

    fn name(&mut self, name: &str) -> Word {
        if let Some(word) = self.names.get(name) {
            return *word;
        }
        let word = self.words.add(name);
        self.names.insert(name.into(), word);
        word
    }

    /// Whether the user of that person is here.
    pub(crate) fn holds(&self, person: u32) -> bool {
        self.traits.contains_key(&person)
    }

    /// Traits of that person's user that had to be left out.
    pub(crate) fn left_out(&self, person: u32) -> &[String] {
        self.left_out.get(&person).map_or(&[], Vec::as_slice)
    }

    /// The user of that person, whole.
    pub(crate) fn get(&self, person: u32, okta_id: &str, name: &str) -> Option<DesiredUser> {
        let (pairs, common) = (self.traits.get(&person)?, self.common.as_ref()?);
        let mut traits: Traits = BTreeMap::new();
        for (name, value) in pairs {
            let values = traits.entry(self.words.text(*name).to_owned()).or_default();
            values.push(self.words.text(*value).to_owned());
        }
        Some(common.user(okta_id, name, traits, self.left_out(person).to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        cluster::OriginMode,
        desired::desired,
        test_values::{person, policy_with},
    };

    #[test]
    fn a_user_comes_out_as_it_went_in() {
        let policy = policy_with(|spec| spec.users.traits.prefix = String::new());
        let mut packed = Packed::default();
        let common = Common::of(&policy, OriginMode::Okta);
        let mut users = Vec::new();
        for n in 0..50_u32 {
            let (id, name) = (format!("00u{n}"), format!("person{n}"));
            let mut person = person(&id, &name);
            person.profile = json!({ "teams": ["a", "b", n.to_string()], "n": n, "a,b": "left out", "login": name })
                .as_object()
                .unwrap()
                .clone();
            let user = desired(&person, &name, &policy, OriginMode::Okta);
            packed.put(n, || common.clone(), &user);
            users.push(user);
        }
        for (n, user) in (0..).zip(users) {
            assert_eq!(packed.left_out(n), user.left_out);
            assert_eq!(packed.get(n, &user.okta_id, &user.name), Some(user));
        }
        assert!(packed.holds(7) && !packed.holds(50) && packed.get(50, "", "").is_none());
    }
}
