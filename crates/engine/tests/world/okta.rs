//! Okta in memory: people, who of them is assigned, and what goes wrong; the engine's port [`Directory`].

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::atomic::Ordering,
};

use engine::{
    directory::{App, Directory, Organisation, Page, Pages, PeopleSource, Standing},
    failure::{Failure, Side},
    person::{Person, PersonStatus},
};
use futures::StreamExt as _;

use super::{World, down};

/// Okta: people, who of them is assigned, and what goes wrong.
#[derive(Default)]
pub struct Okta {
    /// Everybody who exists, by Okta id.
    pub people: BTreeMap<String, Person>,
    /// Who is assigned to the app.
    pub assigned: BTreeSet<String>,
    /// Members of each group.
    pub groups: BTreeMap<String, BTreeSet<String>>,
    /// Fails on this page, from 1.
    pub fail_on_page: Option<usize>,
    /// Ends on this page without saying that it is the last.
    pub cut_after_page: Option<usize>,
    /// Gives this page, from 1, a second time.
    pub repeat_page: Option<usize>,
    /// Assigned people whom the list leaves out.
    pub hidden: BTreeSet<String>,
    /// People about whom no answer can be had by id.
    pub silent: BTreeSet<String>,
    /// Id of the organisation.
    pub org_id: String,
    /// Status and sign-on mode of the app.
    pub app: (String, String),
}

impl Directory for World {
    async fn organisation(&self, source: &PeopleSource) -> Result<Organisation, Failure> {
        self.calls.fetch_add(2, Ordering::Relaxed);
        let okta = self.okta();
        let app = match source {
            PeopleSource::App(id) => Some(App {
                id: id.clone(),
                label: "Teleport".into(),
                status: okta.app.0.clone(),
                sign_on_mode: okta.app.1.clone(),
            }),
            _ => None,
        };
        Ok(Organisation { id: okta.org_id.clone(), app, ..Organisation::default() })
    }

    fn people<'a>(&'a self, source: &'a PeopleSource) -> Pages<'a, Person> {
        let okta = self.okta();
        let listed: Vec<Person> = okta
            .people
            .values()
            .filter(|person| match source {
                PeopleSource::App(_) => okta.assigned.contains(&person.id),
                PeopleSource::Groups(groups) => {
                    groups.iter().any(|group| okta.groups.get(group).is_some_and(|m| m.contains(&person.id)))
                }
                PeopleSource::Org => person.status != PersonStatus::Deprovisioned,
            })
            .filter(|person| !okta.hidden.contains(&person.id))
            .cloned()
            .collect();
        let chunks: Vec<Vec<Person>> =
            if listed.is_empty() { vec![vec![]] } else { listed.chunks(3).map(<[Person]>::to_vec).collect() };
        let count = chunks.len();
        let mut pages = Vec::new();
        for (i, items) in chunks.into_iter().enumerate() {
            if okta.fail_on_page == Some(i + 1) {
                pages.push(Err(down(Side::Okta)));
                break;
            }
            let cut = okta.cut_after_page == Some(i + 1);
            let page = Page { items, last: i + 1 == count && !cut };
            if okta.repeat_page == Some(i + 1) {
                pages.push(Ok(Page { last: false, ..page.clone() }));
            }
            pages.push(Ok(page));
            if cut {
                break;
            }
        }
        self.calls.fetch_add(pages.len() as u64, Ordering::Relaxed);
        futures::stream::iter(pages).boxed()
    }

    async fn person(&self, source: &PeopleSource, id: &str) -> Result<Standing, Failure> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let okta = self.okta();
        if okta.silent.contains(id) {
            return Err(down(Side::Okta));
        }
        let Some(person) = okta.people.get(id) else { return Ok(Standing::Gone) };
        let there = match source {
            PeopleSource::App(_) => okta.assigned.contains(id),
            PeopleSource::Groups(groups) => groups.iter().any(|g| okta.groups.get(g).is_some_and(|m| m.contains(id))),
            PeopleSource::Org => true,
        };
        Ok(if there {
            Standing::Present(Box::new(person.clone()))
        } else {
            Standing::NotInSource(person.status.clone())
        })
    }

    async fn members(&self, groups: &[String]) -> Result<HashSet<String>, Failure> {
        let okta = self.okta();
        Ok(groups.iter().filter_map(|group| okta.groups.get(group)).flatten().cloned().collect())
    }

    async fn is_member(&self, id: &str, groups: &[String]) -> Result<bool, Failure> {
        let okta = self.okta();
        Ok(groups.iter().any(|group| okta.groups.get(group).is_some_and(|members| members.contains(id))))
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}
