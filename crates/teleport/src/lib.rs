//! The Teleport client: an identity, a link to the Auth Service, and the calls that a user sync makes. Implements
//! [`engine::cluster::Cluster`].
//!
//! | module | what |
//! |---|---|
//! | [`identity`], `certificate` | the identity file: key, certificate, authorities; who we are and until when |
//! | [`join`], `key` | an identity without a secret: by the pod's own token |
//! | [`address`], `route` | where Teleport is, and how bytes get there (`http_proxy`) |
//! | `dial`, `party` | the handshake: straight, through a Proxy, behind a balancer (`web`, `upgrade`, `websocket`); as whom, trusting whom |
//! | `link`, `answer` | calls: deadlines, concurrency, counters, retries of reads |
//! | `users`, `splice` | users; an update that leaves every foreign byte alone |
//! | `shelf` | one list of users for all who live on the same line |
//! | `locks` | locks, and when they are in force |
//! | `roles`, `connectors` | read only |
//! | [`permissions`] | what our roles do not allow, found without a write |
//! | [`preflight`] | a look at everything that a pass needs, without a write |
//! | `lines` | what differs between versions |
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
mod http_proxy;
pub mod identity;
mod idle;
mod instant;
pub mod join;
mod key;
mod lines;
mod link;
mod locks;
pub mod names;
mod pace;
mod party;
pub mod permissions;
pub mod preflight;
mod roles;
mod route;
mod shelf;
mod skim;
mod splice;
mod upgrade;
mod users;
mod web;
mod websocket;

pub use call::{Call, CallCount};
pub use client::{Settings, TeleportClient, WRITE_RATE, WRITES_AT_ONCE};
pub use connectors::Connector;
pub use dial::Way;
pub use error::TeleportError;
pub use http_proxy::HttpProxy;
pub use identity::{Identity, IdentityError};
pub use join::{JoinRole, JoinSettings, JoinTrust, Joiner};
pub use link::Line;
pub use pace::Pace;
pub use users::EncodedUser;
pub use web::Found;
