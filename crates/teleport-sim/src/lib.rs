//! A Teleport Auth Service that runs here: a real gRPC server behind real mutual TLS, with Teleport's rules for users, locks, roles and callers.
//! Whoever speaks Teleport's protocol can talk to it; it depends on no client of ours, so that a shared mistake cannot hide.
//!
//! ```no_run
//! # async fn run() -> Result<(), teleport_sim::TeleportSimError> {
//! use teleport_sim::{Edition, Options, TeleportSim};
//!
//! let sim = TeleportSim::start(Options { edition: Edition::Enterprise, okta_app_id: "0oa9saml8app7teleport".into(), ..Options::default() }).await?;
//! println!("{}", serde_json::to_string(sim.ready()).unwrap_or_default());
//! # Ok(())
//! # }
//! ```
//!
//! # What it holds to
//!
//! * Callers are known by their client certificate: users and bots (issued by the user CA, roles in the subject), hosts with a system role (host CA).
//!   A caller without one may only ask for `Ping` and the cluster's CA. Locked callers are refused, deleted ones not found.
//! * Writes of users go by Teleport's rules of origin, names, labels, roles that must exist, `created_by`, revisions; deletion goes by prefix.
//! * Locks are stored at once and *enforced* (and listed by `GetLocks`) when the caches have followed: see [`Lag`].
//! * Versions differ: see [`Version`]; so do editions: see [`Edition`].
//! * A Proxy stands beside it, and a balancer before the Proxy: TLS routing by protocol name, `/webapi/find`, connection upgrades, joining.
//! * Users are kept as the bytes that came: fields that nobody here knows survive.
//!
//! # The admin port
//!
//! Plain HTTP with JSON, for what Teleport has no call for. Everything is also to be had in process from [`TeleportSim`].
//!
//! | call | what it does |
//! |---|---|
//! | `GET /state` | [`StateView`] |
//! | `GET /counters`, `DELETE /counters` | [`Counters`]: calls by method and code |
//! | `GET /writes?after=N&limit=M` | [`WriteRecord`]s: every write, granted or not, in order |
//! | `GET /users?after=NAME&limit=M`, `GET /users/NAME` | names; [`UserView`] |
//! | `GET /locks`, `GET /locks/NAME` | [`LockView`] |
//! | `GET /sessions/NAME?issuedBefore=TIME` | [`Session`]: is a certificate issued to NAME before TIME usable now? |
//! | `POST /sessions/NAME` `{"ttlSeconds":3600}` | issues a certificate for that probe |
//! | `POST /faults` [`Fault`], `DELETE /faults` | switches a fault on, or all off |
//! | `POST /clock` `{"offsetSeconds":86400}` | moves the simulator's time |
//! | `POST /lag` [`Lag`] | how far the caches are behind |
//! | `POST /catch-up` | the caches follow at once, whatever the lag |
//! | `POST /mfa` `{"demanded":true}` | demands a second factor for writes from whoever is neither bot nor administrator |
//! | `POST /permissions` `{"drop":"lock:update"}`, `{}` | takes a verb from the bot's role, or gives all back |
//! | `POST /roles/NAME` `{"maxSessionTtlSeconds":7200}`, `DELETE` | makes or removes a role |
//! | `POST /roles/NAME/session-ttl` `{"seconds":60}` | the longest session of a role that is there |
//! | `POST /connectors/NAME` `{"oktaAppId":"0oa…"}`, `DELETE` | makes or removes a SAML connector |
//! | `POST /saml-login` [`SamlLogin`] | a person logs in, which rewrites the user |
//! | `POST /scim-delete`, `/scim-lock`, `/scim-provision` `{"user":"…"}` | SCIM takes a user away, only locks them, brings them back |
//! | `POST /okta-plugin` [`PluginPass`] | Teleport's own Okta plugin makes a pass beside us |
//! | `POST /hold` `{"afterWrites":N}`, `DELETE /hold` | falls silent after the N-th write from now on, or answers again |
//! | `POST /tokens` [`ProvisionToken`], `DELETE /tokens/NAME` | makes or removes a provision token for joining |
//! | `POST /rotate-host-ca` | makes a new host CA and cuts all connections; the identity files are written anew |
//! | `POST /restart` `{"downMillis":500}` | cuts all connections; the state is kept |

mod admin;
mod authority;
mod beside;
mod caller;
mod certify;
mod clock;
mod cluster;
mod der;
mod doors;
mod error;
mod fault;
mod files;
mod gate;
mod hold;
mod identity;
mod join;
mod join_grpc;
mod join_http;
mod join_token;
mod key;
mod ledger;
mod listener;
mod lock;
mod locks;
mod login;
mod options;
mod preset;
mod proxy;
mod rbac;
mod record;
mod refusal;
mod replica;
mod roles;
mod services;
mod session;
mod shared;
mod sim;
mod splice;
mod ssh;
mod user;
mod users;
mod version;
mod view;
mod websocket;

pub use beside::PluginPass;
pub use cluster::Lag;
pub use error::TeleportSimError;
pub use fault::Fault;
pub use files::Ready;
pub use identity::{Holder, IdentityKind};
pub use join_token::{KubernetesJoin, ProvisionToken};
pub use key::{KeyForm, KeyKind};
pub use ledger::{Counters, LockState, WriteRecord, code_name, code_of};
pub use login::SamlLogin;
pub use options::Options;
pub use record::RecordedRequest;
pub use refusal::Refusal;
pub use session::{IssuedCertificate, ProbedCertificate, Session};
pub use sim::{Probe, TeleportSim};
pub use version::{Edition, Version};
pub use view::{LockView, StateView, UserView};

/// Name of the user behind the operator's bot.
pub const BOT_USER: &str = preset::BOT_USER;
/// Name of the role that the bot's certificates carry.
pub const BOT_ROLE: &str = preset::BOT_ROLE;
/// Name of the administrator.
pub const ADMIN_USER: &str = preset::ADMIN_USER;
