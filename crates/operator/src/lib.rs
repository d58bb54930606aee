//! The operator: plumbing between Kubernetes and the engine. What is decided about people is decided in `engine`.
//!
//! The way of a change: a watch in [`controller`] → [`reconcile`], which asks [`trigger`] whether a pass is due →
//! `attempt`, which has [`resolve`] make policy and clients (by [`membership`] without a secret), and runs the engine →
//! [`status`], one function from the former status and the report to the next status → [`store`], which writes it. Between
//! passes, [`fast_path`] deals with whom Okta's System Log names. The end of a resource is `finalizer`'s. [`keys`] looks
//! after keys that the operator makes itself. Around it: [`leader`] (who may write at all), [`http`] and [`metrics`], [`events`]; [`run`](mod@run)
//! is the life of the process. The command line uses [`resolve`] and [`secrets`] without the rest.

pub mod admin;
mod attempt;
mod budget;
pub mod controller;
pub mod definition;
pub mod events;
pub mod fast_path;
mod finalizer;
pub mod governors;
pub mod http;
pub mod journal;
pub mod keys;
pub mod kubernetes;
pub mod leader;
pub mod lease;
pub mod membership;
pub mod metrics;
pub mod pace;
pub mod rbac;
pub mod reconcile;
pub mod records;
pub mod references;
pub mod resolve;
pub mod run;
pub mod secrets;
pub mod status;
pub mod store;
pub mod trace;
pub mod trigger;

pub use run::{LeaderElection, Operator, RunError, Settings, run};
