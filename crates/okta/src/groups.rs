//! Groups: found by name, read to the last member.

use std::collections::{BTreeSet, HashSet};

use engine::{directory::Pages, failure::Failure};
use futures::TryStreamExt;
use serde::Deserialize;

use crate::{error::OktaError, http::Target, pager::List, people::EntryFault, scope::Scope, session::Session};

/// A group, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Group {
    pub(crate) id: String,
    #[serde(default)]
    profile: Option<GroupProfile>,
}

#[derive(Clone, Debug, Deserialize)]
struct GroupProfile {
    #[serde(default)]
    name: Option<String>,
}

/// A member, of whom only the id is wanted.
#[derive(Deserialize)]
struct Member {
    id: String,
}

impl Group {
    /// Whether it is the group that an id or exact name means.
    fn is(&self, meant: &str) -> bool {
        self.id == meant || self.profile.as_ref().and_then(|profile| profile.name.as_deref()) == Some(meant)
    }
}

/// Whether a text has the form of a group's id; everything else is a name.
fn is_id(text: &str) -> bool {
    text.len() == 20 && text.starts_with("00g") && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The list of a group's members. Okta recommends 200 a page.
pub(crate) fn member_list(group: &str) -> Result<List, OktaError> {
    Ok(List::new(Target::new(&["api", "v1", "groups", group, "users"])?, 200, &[], &[Scope::Groups]))
}

impl Session {
    /// The ids of groups that are named by id or exact name, in that order, each once.
    pub(crate) async fn group_ids(&self, named: &[String]) -> Result<Vec<String>, OktaError> {
        let mut ids = Vec::with_capacity(named.len());
        for name in named {
            let id = if is_id(name) { name.clone() } else { self.group_id(name).await? };
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        if ids.is_empty() { Err(OktaError::NoGroups) } else { Ok(ids) }
    }

    /// The id of the one group of that exact name.
    ///
    /// Okta's search takes names without regard to case, so what it finds is compared here; where its index lags behind,
    /// `q` (names that begin so) finds the group.
    async fn group_id(&self, name: &str) -> Result<String, OktaError> {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        let search = format!("profile.name eq \"{quoted}\"");
        for parameters in [[("search", search.as_str()), ("limit", "200")], [("q", name), ("limit", "200")]] {
            let target = Target::new(&["api", "v1", "groups"])?.with(&parameters);
            let found = self.get::<Vec<Group>>(&target, &[Scope::Groups]).await?;
            // One group that is listed twice is one group; only two ids leave a person something to decide.
            let mut ids: BTreeSet<String> =
                found.into_iter().filter(|group| group.is(name)).map(|group| group.id).collect();
            let count = ids.len();
            match (ids.pop_first(), count) {
                (None, _) => {}
                (Some(only), 1) => return Ok(only),
                (Some(_), count) => return Err(OktaError::GroupAmbiguous { name: name.to_owned(), count }),
            }
        }
        Err(OktaError::GroupNotFound(name.to_owned()))
    }

    /// Ids of all members of these groups.
    pub(crate) async fn member_ids(&self, named: &[String]) -> Result<HashSet<String>, Failure> {
        let mut members = HashSet::new();
        for group in self.group_ids(named).await? {
            let ids: fn(Member) -> Result<String, EntryFault> = |member| Ok(member.id);
            let mut pages = member_list(&group)?.pages(self, ids, String::as_str);
            while let Some(page) = pages.try_next().await? {
                members.extend(page.items);
            }
        }
        Ok(members)
    }

    /// Whether a person is in one of these groups, by the list of the person's own groups: current, and one call for
    /// up to 200 groups.
    pub(crate) async fn is_in_one_of(&self, person: &str, named: &[String]) -> Result<bool, Failure> {
        let target = Target::new(&["api", "v1", "users", person, "groups"])?;
        let list = List::new(target, 200, &[], &[Scope::Users]).page_by_page();
        let mut pages: Pages<'_, Group> = list.pages(self, |group: Group| Ok(group), |group| &group.id);
        while let Some(page) = pages.try_next().await? {
            if page.items.iter().any(|group| named.iter().any(|name| group.is(name))) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_are_told_apart() {
        assert!(is_id("00guj8l6v0KvGjn0L1d7"));
        for name in ["Engineering", "00g", "00guj8l6v0KvGjn0L1d", "00u12345678901234567", "00gé5678901234567890"] {
            assert!(!is_id(name), "{name}");
        }
        let group: Group =
            serde_json::from_str(r#"{"id":"00g1","profile":{"name":"Eng","description":null},"type":"OKTA_GROUP"}"#)
                .unwrap();
        assert!(group.is("00g1") && group.is("Eng") && !group.is("eng"));
    }
}
