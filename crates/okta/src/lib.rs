//! The Okta client: everything between the engine's nouns and Okta's wire. It reads, and has no way to write (P18).
//!
//! [`OktaClient`] implements the engine's port [`engine::directory::Directory`]. A call goes through these rooms:
//! `session` (token, corrections, retries) → `wire` ([`Governor`], clock, count) → `http` (the only verbs) → Okta; a list
//! goes through `pager`, which follows `link`s and relies on whole pages only (P1); [`key`], `assertion`, `dpop` and
//! `token` prove who calls; `people`, `groups` and `organisation` turn Okta's JSON into persons; [`OktaError`] says what
//! went wrong, of which class it is, and what a person can do about it in Okta's admin console.

mod assertion;
mod challenge;
mod client;
mod clock;
mod dpop;
mod error;
mod feed;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod governor;
mod groups;
#[cfg(test)]
mod hostile;
mod http;
mod jws;
pub mod key;
mod link;
mod org_url;
mod organisation;
mod pager;
mod patience;
mod people;
pub mod preflight;
#[cfg(test)]
mod recorded;
mod refusal;
mod scope;
mod session;
mod token;
mod wire;

pub use self::{
    challenge::Challenge,
    client::{OktaClient, Settings},
    dpop::Dpop,
    error::OktaError,
    feed::Found,
    governor::{Bucket, BucketView, Governor},
    http::Transport,
    org_url::{OrgUrl, OrgUrlError},
    pager::PageFault,
    patience::Patience,
    people::EntryFault,
    refusal::Refusal,
    scope::Scope,
};
