//! The sync itself, as functions over values.
//!
//! A person's way through this crate: [`directory`] (a page of people) → [`people`] (what is to become of each) and [`desired`] (what
//! user they should have) → [`plan`]
//! (against what is [`observed`] in Teleport) → [`guard`] (what of it may happen) → [`apply`] (in which order it happens) →
//! [`report`] (what is said about it). [`pass`] strings them together, for everybody, and [`partial`] for those whom a
//! [`feed`] names; [`ledger`] keeps the two apart. The crate knows neither HTTP nor gRPC nor
//! Kubernetes: it sees Okta through the port [`directory::Directory`] and Teleport through [`cluster::Cluster`].

pub mod apply;
pub mod belonging;
pub mod census;
pub mod cleanup;
pub mod cluster;
pub mod confirm;
pub mod desired;
pub mod directory;
pub mod explain;
pub mod failure;
pub mod feed;
pub mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod ground;
pub mod guard;
pub mod hashes;
pub mod journal;
pub mod ledger;
pub mod lock;
pub mod moments;
pub mod name;
pub mod name_index;
pub mod observed;
pub mod ownership;
mod packed;
pub mod partial;
pub mod pass;
pub mod people;
pub mod person;
pub mod plan;
pub mod policy;
pub mod preflight;
pub mod report;
pub mod role;
pub mod roster;
mod ruling;

#[cfg(test)]
mod test_values;
pub mod traits;
pub mod user;
pub mod user_view;
mod words;
mod writing;
