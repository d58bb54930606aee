//! The Teleport client: an identity, a link to the Auth Service, and the calls that a user sync makes. Implements
//! [`engine::cluster::Cluster`].
//!
//! | module | what |
//! |---|---|
//! | [`identity`], `certificate` | the identity file: key, certificate, authorities; who we are and until when |
//! | [`address`], `dial` | where Teleport is, and the way there (straight, or through a Proxy) |
//! | `link`, `answer` | calls: deadlines, concurrency, counters, retries of reads |
//! | `users`, `splice` | users; an update that leaves every foreign byte alone |
//! | `locks` | locks, and when they are in force |
//! | `roles`, `connectors` | read only |
//! | [`permissions`] | what our roles do not allow, found without a write |
//! | `pace` | how fast users are written |
//! | [`names`] | user names that must not be written |
//! | [`error`], [`denial`] | what went wrong, and what a person does about it |
//! | [`client`] | all of it together |

pub mod address;
mod answer;
pub mod call;
mod certificate;
pub mod client;
mod connectors;
pub mod denial;
mod dial;
pub mod error;
pub mod identity;
mod instant;
mod link;
mod locks;
pub mod names;
mod pace;
pub mod permissions;
mod roles;
mod splice;
mod users;

pub use call::{Call, CallCount};
pub use client::{Settings, TeleportClient};
pub use dial::Way;
pub use error::TeleportError;
pub use identity::{Identity, IdentityError};
