//! The operator: plumbing between Kubernetes and the engine.

pub mod definition;
pub mod http;
pub mod kubernetes;
pub mod leader;
pub mod metrics;
pub mod pace;
pub mod rbac;
pub mod secrets;
pub mod status;
pub mod trigger;
