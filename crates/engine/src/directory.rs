//! The port through which the engine reads Okta. It has no verb that writes (P18).

use std::{collections::HashSet, future::Future};

use futures::stream::BoxStream;

use crate::{
    failure::Failure,
    person::{Person, PersonStatus},
};

/// Where people come from, with everything resolved that the specification left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeopleSource {
    /// Assignments of the SAML app with this id.
    App(String),
    /// Members of these groups (ids or exact names).
    Groups(Vec<String>),
    /// Everyone.
    Org,
}

/// One page of a list that is read to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// Its entries, whole.
    pub items: Vec<T>,
    /// Whether the other side said that this is the last one. A list that ends without such a page is incomplete (P1).
    pub last: bool,
}

/// A list, page by page. It ends after the last page or after the first error; pages are not collected anywhere.
pub type Pages<'a, T> = BoxStream<'a, Result<Page<T>, Failure>>;

/// What a person's absence from a list turns out to be, asked by id (P3).
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Still in the source, as shown.
    Present(Box<Person>),
    /// The Okta user exists, but is not in the source.
    NotInSource(PersonStatus),
    /// No Okta user has that id.
    Gone,
}

/// What is known of the organisation before its people are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Organisation {
    /// Its id (`00o…`).
    pub id: String,
    /// The app that people come from; `None` unless the source is an app.
    pub app: Option<App>,
    /// Scopes that the token carries.
    pub scopes: Vec<String>,
    /// Whether the token is bound to a key (RFC 9449).
    pub dpop: bool,
    /// Things worth telling that stop nothing: write scopes granted, clock skew, a `NameID` template of another kind.
    pub warnings: Vec<String>,
}

/// The SAML app, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct App {
    /// Its id (`0oa…`).
    pub id: String,
    /// Its label.
    pub label: String,
    /// `ACTIVE`, `INACTIVE`, `DELETED`.
    pub status: String,
    /// `SAML_2_0` for SAML.
    pub sign_on_mode: String,
}

/// An Okta organisation, read only.
pub trait Directory: Send + Sync {
    /// Proves the way, the credential and the scopes; learns the organisation and the app. At most 3 calls.
    fn organisation(&self, source: &PeopleSource) -> impl Future<Output = Result<Organisation, Failure>> + Send;

    /// Everybody in the source.
    fn people<'a>(&'a self, source: &'a PeopleSource) -> Pages<'a, Person>;

    /// One person, by Okta id, current (not from a search index).
    fn person(&self, source: &PeopleSource, id: &str) -> impl Future<Output = Result<Standing, Failure>> + Send;

    /// Okta ids of all members of these groups (ids or exact names), every page read.
    fn members(&self, groups: &[String]) -> impl Future<Output = Result<HashSet<String>, Failure>> + Send;

    /// Whether the person is in one of these groups (ids or exact names), asked by the person's id.
    fn is_member(&self, id: &str, groups: &[String]) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// Calls made since this value was made. Grows only.
    fn calls(&self) -> u64;
}
