//! The org's people: one compact record each, found by id or by login.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::clock::Stamp;
use crate::id::OktaId;
use crate::json;
use crate::refusal::Refusal;

/// Where a person stands in Okta's status machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Made, not activated.
    Staged,
    /// Activated, has not chosen a password yet.
    Provisioned,
    /// In use.
    Active,
    /// Password being reset.
    Recovery,
    /// Password expired.
    PasswordExpired,
    /// Too many wrong passwords.
    LockedOut,
    /// Put on hold by an admin.
    Suspended,
    /// Deactivated.
    Deprovisioned,
    /// A value that no published list knows (recorded or made up by a test).
    Other(Box<str>),
}

impl Status {
    /// The vendor's word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Staged => "STAGED",
            Self::Provisioned => "PROVISIONED",
            Self::Active => "ACTIVE",
            Self::Recovery => "RECOVERY",
            Self::PasswordExpired => "PASSWORD_EXPIRED",
            Self::LockedOut => "LOCKED_OUT",
            Self::Suspended => "SUSPENDED",
            Self::Deprovisioned => "DEPROVISIONED",
            Self::Other(word) => word,
        }
    }

    /// Reads the vendor's word; every word is accepted.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "STAGED" => Self::Staged,
            "PROVISIONED" => Self::Provisioned,
            "ACTIVE" => Self::Active,
            "RECOVERY" => Self::Recovery,
            "PASSWORD_EXPIRED" => Self::PasswordExpired,
            "LOCKED_OUT" => Self::LockedOut,
            "SUSPENDED" => Self::Suspended,
            "DEPROVISIONED" => Self::Deprovisioned,
            other => Self::Other(other.into()),
        }
    }

    /// The lifecycle links that a full User answer shows in this status.
    fn links(&self) -> &'static [(&'static str, &'static str)] {
        const DEACTIVATE: (&str, &str) = ("deactivate", "/lifecycle/deactivate");
        const RESET: (&str, &str) = ("resetPassword", "/lifecycle/reset_password");
        const FACTORS: (&str, &str) = ("resetFactors", "/lifecycle/reset_factors");
        match self {
            Self::Staged => &[("activate", "/lifecycle/activate"), DEACTIVATE],
            Self::Deprovisioned => &[("activate", "/lifecycle/activate"), ("delete", "")],
            Self::Provisioned => &[
                ("suspend", "/lifecycle/suspend"),
                RESET,
                ("reactivate", "/lifecycle/reactivate"),
                FACTORS,
                DEACTIVATE,
            ],
            Self::Suspended => &[("unsuspend", "/lifecycle/unsuspend"), DEACTIVATE],
            Self::LockedOut => &[("unlock", "/lifecycle/unlock"), FACTORS, DEACTIVATE],
            _ => &[
                ("suspend", "/lifecycle/suspend"),
                RESET,
                ("forgotPassword", "/credentials/forgot_password"),
                ("expirePassword", "/lifecycle/expire_password"),
                ("changeRecoveryQuestion", "/credentials/change_recovery_question"),
                FACTORS,
                ("changePassword", "/credentials/change_password"),
                DEACTIVATE,
            ],
        }
    }
}

/// One person. Profiles stay JSON text: they are written out far more often than they are looked into.
#[derive(Debug)]
pub(crate) struct Person {
    pub id: OktaId,
    pub status: Status,
    pub transitioning: Option<Status>,
    pub created: Stamp,
    pub activated: Option<Stamp>,
    pub status_changed: Option<Stamp>,
    pub last_login: Option<Stamp>,
    pub last_updated: Stamp,
    pub password_changed: Option<Stamp>,
    pub has_password: bool,
    /// The profile, a JSON object as text.
    pub profile: Box<str>,
    /// The body that was loaded as it stood, where one was: unknown keys and nulls are served back from it.
    pub verbatim: Option<Box<Map<String, Value>>>,
}

/// How much of a person an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A single person, or one embedded in an app user: all links.
    Full,
    /// An element of a list: only the self link.
    Listed,
}

impl Person {
    /// The profile as a tree.
    pub fn profile_map(&self) -> Map<String, Value> {
        serde_json::from_str(&self.profile).unwrap_or_default()
    }

    /// One value of the profile as text, or "" where it has none.
    pub fn profile_text(&self, name: &str) -> String {
        self.profile_map().get(name).and_then(Value::as_str).unwrap_or("").to_owned()
    }

    /// The login.
    pub fn login(&self) -> String {
        self.profile_text("login")
    }

    /// First and last name, as the System Log shows a person.
    pub fn display_name(&self) -> String {
        let profile = self.profile_map();
        let part = |name: &str| profile.get(name).and_then(Value::as_str).unwrap_or("");
        format!("{} {}", part("firstName"), part("lastName")).trim().to_owned()
    }

    /// Forgets the links of a loaded body, because the status that they belong to is over.
    pub fn status_moved(&mut self, to: Status, now: Stamp) {
        self.status = to;
        self.status_changed = Some(now);
        self.last_updated = now;
        if let Some(body) = &mut self.verbatim {
            body.remove("_links");
        }
    }

    /// Appends the User object.
    pub fn write(&self, out: &mut String, base: &str, type_id: &OktaId, form: Form, hidden: &[String]) {
        if self.verbatim.is_some() || !hidden.is_empty() {
            let value = Value::Object(self.tree(base, type_id, form, hidden));
            out.push_str(&value.to_string());
            return;
        }
        out.push('{');
        json::text(out, "id", self.id.as_str());
        json::text(out, "status", self.status.as_str());
        json::stamp(out, "created", Some(self.created));
        json::stamp(out, "activated", self.activated);
        json::stamp(out, "statusChanged", self.status_changed);
        json::stamp(out, "lastLogin", self.last_login);
        json::stamp(out, "lastUpdated", Some(self.last_updated));
        json::stamp(out, "passwordChanged", self.password_changed);
        if let Some(to) = &self.transitioning {
            json::text(out, "transitioningToStatus", to.as_str());
        }
        json::key(out, "type");
        out.push('{');
        json::text(out, "id", type_id.as_str());
        out.push('}');
        json::raw(out, "profile", &self.profile);
        json::raw(out, "credentials", self.credentials());
        json::key(out, "_links");
        self.write_links(out, base, type_id, form);
        out.push('}');
    }

    fn credentials(&self) -> &'static str {
        if self.has_password {
            r#"{"password":{},"provider":{"type":"OKTA","name":"OKTA"}}"#
        } else {
            r#"{"provider":{"type":"OKTA","name":"OKTA"}}"#
        }
    }

    fn write_links(&self, out: &mut String, base: &str, type_id: &OktaId, form: Form) {
        let id = self.id.as_str();
        out.push_str("{\"self\":{\"href\":\"");
        out.extend([base, "/api/v1/users/", id, "\"}"]);
        if form == Form::Full {
            let tail = type_id.as_str().get(3..).unwrap_or("");
            out.extend([",\"schema\":{\"href\":\"", base, "/api/v1/meta/schemas/user/osc", tail, "\"}"]);
            out.extend([",\"type\":{\"href\":\"", base, "/api/v1/meta/types/user/", type_id.as_str(), "\"}"]);
            for (name, path) in self.status.links() {
                let method = if path.is_empty() { "DELETE" } else { "POST" };
                out.extend([",\"", *name, "\":{\"href\":\"", base, "/api/v1/users/", id, *path]);
                out.extend(["\",\"method\":\"", method, "\"}"]);
            }
        }
        out.push('}');
    }

    /// The User object as a tree: a loaded body with what has changed since laid over it.
    fn tree(&self, base: &str, type_id: &OktaId, form: Form, hidden: &[String]) -> Map<String, Value> {
        let mut body = if let Some(body) = &self.verbatim {
            (**body).clone()
        } else {
            let mut text = String::new();
            self.write(&mut text, base, type_id, form, &[]);
            serde_json::from_str(&text).unwrap_or_default()
        };
        let moment = |stamp: Option<Stamp>| stamp.map_or(Value::Null, |s| s.to_string().into());
        // A key that the loaded body did not have is added only once the person has changed (which takes the links).
        let changed = !body.contains_key("_links");
        let mut lay = |name: &str, value: Value| {
            if body.contains_key(name) || (changed && !value.is_null()) {
                body.insert(name.to_owned(), value);
            }
        };
        lay("id", self.id.as_str().into());
        lay("status", self.status.as_str().into());
        lay("created", moment(Some(self.created)));
        lay("activated", moment(self.activated));
        lay("statusChanged", moment(self.status_changed));
        lay("lastLogin", moment(self.last_login));
        lay("lastUpdated", moment(Some(self.last_updated)));
        lay("passwordChanged", moment(self.password_changed));
        lay("transitioningToStatus", self.transitioning.as_ref().map_or(Value::Null, |s| s.as_str().into()));
        let mut profile = self.profile_map();
        profile.retain(|name, _| !hidden.contains(name));
        if body.contains_key("profile") || !profile.is_empty() {
            body.insert("profile".to_owned(), Value::Object(profile));
        }
        self.lay_links(&mut body, base, type_id, form);
        body
    }

    fn lay_links(&self, body: &mut Map<String, Value>, base: &str, type_id: &OktaId, form: Form) {
        if !body.contains_key("_links") {
            let mut text = String::new();
            self.write_links(&mut text, base, type_id, form);
            let links = serde_json::from_str(&text).unwrap_or(Value::Null);
            body.insert("_links".to_owned(), links);
        }
        if form == Form::Listed
            && let Some(Value::Object(links)) = body.get_mut("_links")
        {
            links.retain(|name, _| name == "self");
        }
    }
}

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

    #[test]
    fn every_status_reads_back() {
        for word in ["STAGED", "ACTIVE", "LOCKED_OUT", "DEPROVISIONED", "HIBERNATING"] {
            assert_eq!(Status::parse(word).as_str(), word);
        }
    }
}
