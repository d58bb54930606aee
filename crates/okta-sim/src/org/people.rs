//! The org's people, found by id or by login.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::person::Person;
use crate::id::OktaId;
use crate::refusal::Refusal;

/// All people, in the order in which they were made. A person's place never changes; deleted ones leave a gap.
#[derive(Debug, Default)]
pub(crate) struct People {
    slots: Vec<Option<Person>>,
    by_id: HashMap<OktaId, u32>,
    by_login: HashMap<Box<str>, u32>,
    living: usize,
}

impl People {
    /// Makes room for `more` people at once.
    pub fn reserve(&mut self, more: usize) {
        self.slots.reserve_exact(more);
        self.by_id.reserve(more);
        self.by_login.reserve(more);
    }

    /// Number of people, deactivated ones included.
    pub fn len(&self) -> usize {
        self.living
    }

    /// One past the last place.
    pub fn end(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// The person at a place.
    pub fn at(&self, place: u32) -> Option<&Person> {
        self.slots.get(usize::try_from(place).ok()?)?.as_ref()
    }

    /// The person at a place, to be changed (never the id or the login: see [`Self::set_profile`]).
    pub fn at_mut(&mut self, place: u32) -> Option<&mut Person> {
        self.slots.get_mut(usize::try_from(place).ok()?)?.as_mut()
    }

    /// People from a place on, in order.
    pub fn from(&self, place: u32) -> impl Iterator<Item = (u32, &Person)> {
        let start = usize::try_from(place).unwrap_or(usize::MAX).min(self.slots.len());
        self.slots[start..].iter().zip(place..).filter_map(|(slot, at)| slot.as_ref().map(|p| (at, p)))
    }

    /// The place of the person with this id.
    pub fn by_id(&self, id: &str) -> Option<u32> {
        self.by_id.get(&OktaId::new(id)?).copied()
    }

    /// The place of the person with this login (case and accents do not matter).
    pub fn by_login(&self, login: &str) -> Option<u32> {
        self.by_login.get(fold(login).as_str()).copied()
    }

    /// The place of the person whom a path names: by id, login, or the part of a login before the `@` if that is
    /// unique.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.by_id(name).or_else(|| self.by_login(name)).or_else(|| {
            if name.contains('@') || name.is_empty() {
                return None;
            }
            let wanted = fold(name);
            let mut hits = self.by_login.iter().filter(|(login, _)| login.split('@').next() == Some(wanted.as_str()));
            let (_, place) = hits.next()?;
            hits.next().is_none().then_some(*place)
        })
    }

    /// Adds a person whose login nobody has.
    pub fn add(&mut self, person: Person, login: &str) -> Result<u32, Refusal> {
        let folded = fold(login);
        if self.by_login.contains_key(folded.as_str()) || self.by_id.contains_key(&person.id) {
            return Err(login_taken());
        }
        let place = self.end();
        self.by_id.insert(person.id, place);
        if !login.is_empty() {
            self.by_login.insert(folded.into(), place);
        }
        self.slots.push(Some(person));
        self.living += 1;
        Ok(place)
    }

    /// Takes a loaded person in, in the place of the one with the same id if there is one. Loaded people may share a
    /// login, which real ones cannot; the last one is found by it.
    pub fn load(&mut self, person: Person) -> u32 {
        let login = fold(&person.login());
        let place = self.by_id.get(&person.id).copied().unwrap_or_else(|| self.end());
        if place == self.end() {
            self.by_id.insert(person.id, place);
            self.slots.push(None);
            self.living += 1;
        }
        if let Some(old) = self.at(place).map(Person::login) {
            self.release(&old, place);
        }
        if !login.is_empty() {
            self.by_login.insert(login.into(), place);
        }
        if let Some(slot) = self.slots.get_mut(usize::try_from(place).unwrap_or(usize::MAX)) {
            *slot = Some(person);
        }
        place
    }

    /// Forgets a login, if it belongs to this place.
    fn release(&mut self, login: &str, place: u32) {
        let folded = fold(login);
        if self.by_login.get(folded.as_str()) == Some(&place) {
            self.by_login.remove(folded.as_str());
        }
    }

    /// Gives a person another profile; the login in it must be free.
    pub fn set_profile(&mut self, place: u32, profile: &Map<String, Value>) -> Result<(), Refusal> {
        let login = profile.get("login").and_then(Value::as_str).unwrap_or("");
        let folded = fold(login);
        if let Some(holder) = self.by_login.get(folded.as_str())
            && *holder != place
        {
            return Err(login_taken());
        }
        let Some(old) = self.at(place).map(Person::login) else {
            return Ok(());
        };
        self.release(&old, place);
        self.by_login.insert(folded.into(), place);
        if let Some(person) = self.at_mut(place) {
            person.profile = serde_json::to_string(profile).unwrap_or_default().into();
        }
        Ok(())
    }

    /// Removes a person for good.
    pub fn remove(&mut self, place: u32) -> Option<Person> {
        let person = self.slots.get_mut(usize::try_from(place).ok()?)?.take()?;
        self.by_id.remove(&person.id);
        self.release(&person.login(), place);
        self.living -= 1;
        Some(person)
    }
}

fn login_taken() -> Refusal {
    Refusal::validation("login", "login: An object with this field already exists in the current organization")
}

/// A login as Okta compares it: case and diacritics do not count (`Isáàc.Bröck` is `isaac.brock`).
fn fold(login: &str) -> String {
    login
        .chars()
        .flat_map(char::to_lowercase)
        .filter(|c| !('\u{300}'..='\u{36f}').contains(c))
        .map(|c| match c {
            'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
            'ç' | 'ć' | 'č' => 'c',
            'ď' => 'd',
            'è'..='ë' | 'ē' | 'ę' | 'ě' => 'e',
            'ğ' => 'g',
            'ì'..='ï' | 'ī' => 'i',
            'ł' => 'l',
            'ñ' | 'ń' | 'ň' => 'n',
            'ò'..='ö' | 'ø' | 'ő' => 'o',
            'ř' => 'r',
            'ś' | 'š' | 'ş' => 's',
            'ť' => 't',
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => 'u',
            'ý' | 'ÿ' => 'y',
            'ź' | 'ż' | 'ž' => 'z',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_compared_without_case_and_accents() {
        assert_eq!(fold("Isáàc.Bröck@Example.com"), "isaac.brock@example.com");
        assert_eq!(fold("e\u{301}"), "e");
    }
}
