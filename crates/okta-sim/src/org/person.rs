//! One person: a compact record, and how it is shown.

use serde_json::{Map, Value};

use crate::clock::Stamp;
use crate::id::OktaId;
use crate::json;

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

/// How a person is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The org's address.
    pub base: &'a str,
    pub user_type: &'a OktaId,
    /// The default realm, in orgs that have realms.
    pub realm: Option<&'a OktaId>,
    pub form: Form,
    /// Profile attributes that the caller's role hides.
    pub hidden: &'a [String],
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
    pub fn write(&self, out: &mut String, view: &View<'_>) {
        if self.verbatim.is_some() || !view.hidden.is_empty() {
            let value = Value::Object(self.tree(view));
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
        json::text(out, "id", view.user_type.as_str());
        out.push('}');
        if let Some(realm) = view.realm {
            json::text(out, "realmId", realm.as_str());
        }
        json::raw(out, "profile", &self.profile);
        json::raw(out, "credentials", self.credentials());
        json::key(out, "_links");
        self.write_links(out, view);
        out.push('}');
    }

    fn credentials(&self) -> &'static str {
        if self.has_password {
            r#"{"password":{},"provider":{"type":"OKTA","name":"OKTA"}}"#
        } else {
            r#"{"provider":{"type":"OKTA","name":"OKTA"}}"#
        }
    }

    fn write_links(&self, out: &mut String, view: &View<'_>) {
        let (base, type_id, id) = (view.base, view.user_type, self.id.as_str());
        out.push_str("{\"self\":{\"href\":\"");
        out.extend([base, "/api/v1/users/", id, "\"}"]);
        if view.form == Form::Full {
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
    fn tree(&self, view: &View<'_>) -> Map<String, Value> {
        let mut body = if let Some(body) = &self.verbatim {
            (**body).clone()
        } else {
            let mut text = String::new();
            self.write(&mut text, &View { hidden: &[], ..*view });
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
        profile.retain(|name, _| !view.hidden.contains(name));
        if body.contains_key("profile") || !profile.is_empty() {
            body.insert("profile".to_owned(), Value::Object(profile));
        }
        self.lay_links(&mut body, view);
        body
    }

    fn lay_links(&self, body: &mut Map<String, Value>, view: &View<'_>) {
        if !body.contains_key("_links") {
            let mut text = String::new();
            self.write_links(&mut text, view);
            let links = serde_json::from_str(&text).unwrap_or(Value::Null);
            body.insert("_links".to_owned(), links);
        }
        if view.form == Form::Listed
            && let Some(Value::Object(links)) = body.get_mut("_links")
        {
            links.retain(|name, _| name == "self");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_reads_back() {
        for word in ["STAGED", "ACTIVE", "LOCKED_OUT", "DEPROVISIONED", "HIBERNATING"] {
            assert_eq!(Status::parse(word).as_str(), word);
        }
    }
}
