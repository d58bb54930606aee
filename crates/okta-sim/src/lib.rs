//! An Okta org that runs on this machine: a real HTTPS server with Okta's rules, limits and known defects.
//!
//! [`OktaSim::start`] makes an org of made-up people, an API Services app with a key pair and a SAML app that everybody
//! is assigned to, and answers [`Ready`]: the addresses, files and credentials that a client needs. The state is changed
//! by Okta's own management API with an SSWS token, or in process by [`Org`]; faults, clock, counters and everything
//! else that the real thing has no call for are at the [admin port](admin).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let sim = okta_sim::OktaSim::start(okta_sim::Options::with_people(250, 7)).await?;
//! println!("{}", serde_json::to_string(&sim.ready())?);
//! let leaver = sim.org().assigned(&sim.ready().app_id)?.remove(0);
//! sim.org().deactivate(&leaver)?;
//! # Ok(())
//! # }
//! ```
//!
//! Where things are: `auth` decides who may call (assertions, DPoP, scopes, roles), `api` answers, `org` holds the
//! rules of life and assignment, `seed` makes people up, `faults` breaks things.

pub mod admin;
mod api;
mod auth;
mod clock;
mod error;
mod faults;
mod id;
mod json;
mod options;
mod org;
mod rate;
mod refusal;
mod seed;
mod server;
mod shared;
mod spoil;
mod tally;
mod tls;

pub use auth::{CustomRole, DpopMode, KeyKind, Role, Visible};
pub use clock::{Clock, Stamp};
pub use error::OktaSimError;
pub use faults::{Fault, FaultKind, PostedFault};
pub use options::Options;
pub use org::{NewPerson, Org, Status, Switches};
pub use rate::RatePlan;
pub use refusal::Refusal;
pub use server::{OktaSim, Ready};
pub use tally::{Counters, Write};
