//! Whether anybody is seen. Okta answers an app without an admin role, or with one over a narrow resource set, by a
//! shorter list and no error; so an empty list says little, and is looked into.

use engine::{
    directory::{Directory as _, PeopleSource, Standing},
    failure::Failure,
    preflight::Verdict,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{GROUPS, Look, PEOPLE};
use crate::{
    error::OktaError,
    http::Target,
    pager::PageFault,
    people::{AppUser, Entry, User},
    scope::Scope,
};

const ROLE: &str = "In Applications > Applications > your API Services app > Admin roles assign a role that may view \
                    applications and users, with a resource set that holds the SAML app and its people (or the \
                    standard role Read-Only Administrator).";
const RESOURCE_SET: &str = "Let the resource set in Applications > Applications > your API Services app > Admin roles \
                            hold everybody who may be assigned, or use the standard role Read-Only Administrator.";
const ASSIGN: &str = "Assign people or a group under Applications > Applications > the SAML app > Assignments. If \
                      somebody is assigned there already, the resource set in Applications > your API Services app > \
                      Admin roles leaves them out.";
const MEMBERS: &str = "Compare with Directory > Groups > the group > People. If somebody is there, the resource set in \
                       Applications > your API Services app > Admin roles leaves them out.";
const COMPARE: &str = "Compare with Applications > Applications > the SAML app > Assignments (or Directory > Groups). If \
                       the person is there, the resource set in Applications > your API Services app > Admin roles \
                       leaves them out.";

/// What a look for people came to.
enum Seen {
    Somebody(String),
    Nobody { found: String, remedy: &'static str },
}

/// Anything with an id.
#[derive(Deserialize)]
struct Thing {
    #[allow(dead_code)] // what counts is that it is there
    id: String,
}

impl Look<'_> {
    pub(super) async fn people(&mut self) {
        let Ok(source) = &self.intent.source else { return };
        if matches!(source, PeopleSource::Groups(_)) && self.list.verdict(GROUPS) == Some(Verdict::Failed) {
            return self.list.skip_after(PEOPLE, GROUPS);
        }
        let seen = match self.intent.known {
            Some(who) => self.known(source, who).await,
            None => self.anybody(source).await,
        };
        match seen {
            Ok(Seen::Somebody(found)) => self.list.pass(PEOPLE, found),
            Ok(Seen::Nobody { found, remedy }) => self.list.fail(PEOPLE, found, remedy),
            Err(failure) => self.list.refuse(PEOPLE, &failure),
        }
    }

    /// Whether a person who is known to belong is seen.
    async fn known(&self, source: &PeopleSource, who: &str) -> Result<Seen, Failure> {
        let nobody = |found: String| Ok(Seen::Nobody { found, remedy: COMPARE });
        let Some(id) = self.id_of(source, who).await? else {
            return nobody(format!("{who:?} is not seen, by no user name"));
        };
        match self.client.person(source, &id).await? {
            Standing::Present(_) => Ok(Seen::Somebody(format!("{who} is seen ({id})"))),
            Standing::NotInSource(status) => {
                nobody(format!("{who} ({id}) is {} in Okta, but does not belong", status.as_str()))
            }
            Standing::Gone => nobody(format!("no user with the id {id} is seen")),
        }
    }

    /// The Okta id of `who`: an id itself, the user name in the app, or the login.
    async fn id_of(&self, source: &PeopleSource, who: &str) -> Result<Option<String>, OktaError> {
        if who.len() == 20 && who.starts_with("00u") && who.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(Some(who.to_owned()));
        }
        if let PeopleSource::App(app) = source {
            let target = Target::new(&["api", "v1", "apps", app, "users"])?;
            let target = target.with(&[("limit", "500"), ("expand", "user"), ("q", who)]);
            let listed = self.client.session.get::<Vec<AppUser>>(&target, &[Scope::Apps, Scope::Users]).await?;
            for entry in listed {
                let person = entry.person().map_err(PageFault::from)?;
                if person.user_name.as_deref() == Some(who) {
                    return Ok(Some(person.id));
                }
            }
            return Ok(None);
        }
        let quoted = who.replace('\\', "\\\\").replace('"', "\\\"");
        let filter = format!("profile.login eq \"{quoted}\"");
        let user: Option<User> =
            self.first(&["api", "v1", "users"], &[("filter", filter.as_str())], &[Scope::Users]).await?;
        Ok(user.map(User::person).transpose().map_err(PageFault::from)?.map(|person| person.id))
    }

    /// Whether anybody at all is seen.
    async fn anybody(&self, source: &PeopleSource) -> Result<Seen, Failure> {
        let person = match source {
            PeopleSource::App(app) => {
                let path = ["api", "v1", "apps", app, "users"];
                let entry: Option<AppUser> =
                    self.first(&path, &[("expand", "user")], &[Scope::Apps, Scope::Users]).await?;
                entry.map(AppUser::person).transpose()
            }
            PeopleSource::Groups(named) => {
                let mut found = None;
                for group in self.client.session.group_ids(named).await? {
                    found =
                        self.first::<User>(&["api", "v1", "groups", &group, "users"], &[], &[Scope::Groups]).await?;
                    if found.is_some() {
                        break;
                    }
                }
                found.map(User::person).transpose()
            }
            PeopleSource::Org => self.somebody_in_org().await?.map(User::person).transpose(),
        };
        match person.map_err(|fault| OktaError::from(PageFault::from(fault)))? {
            Some(person) => {
                let name = person.user_name.unwrap_or(person.id);
                Ok(Seen::Somebody(format!("at least {name} is seen")))
            }
            None => Ok(self.why_nobody(source).await?),
        }
    }

    /// Tells an admin role that sees nobody from an app that nobody is assigned to: every organisation has people.
    async fn why_nobody(&self, source: &PeopleSource) -> Result<Seen, OktaError> {
        let nobody = |found: &str, remedy| Seen::Nobody { found: found.to_owned(), remedy };
        let in_org = match self.somebody_in_org().await {
            Ok(somebody) => somebody.is_some(),
            Err(OktaError::Refused(refusal)) if refusal.status == 403 => false,
            Err(error) => return Err(error),
        };
        if !in_org {
            return Ok(nobody("Okta answers with empty lists: no admin role lets this program see anybody", ROLE));
        }
        Ok(match source {
            PeopleSource::App(app) => {
                let path = ["api", "v1", "apps", app, "groups"];
                match self.first::<Thing>(&path, &[], &[Scope::Apps]).await? {
                    Some(_) => nobody("groups are assigned to the app, but nobody of the app is seen", RESOURCE_SET),
                    None => nobody("people are seen in the organisation, but nobody is assigned to the app", ASSIGN),
                }
            }
            _ => nobody("people are seen in the organisation, but nobody in the groups", MEMBERS),
        })
    }

    async fn somebody_in_org(&self) -> Result<Option<User>, OktaError> {
        self.first(&["api", "v1", "users"], &[], &[Scope::Users]).await
    }

    /// The first entry of a list.
    async fn first<T: DeserializeOwned>(
        &self,
        path: &[&str],
        parameters: &[(&str, &str)],
        needs: &[Scope],
    ) -> Result<Option<T>, OktaError> {
        let target = Target::new(path)?.with(&[("limit", "1")]).with(parameters);
        Ok(self.client.session.get::<Vec<T>>(&target, needs).await?.into_iter().next())
    }
}
