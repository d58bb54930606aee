//! What tests (and `cargo demo`) stand on: a real Kubernetes control plane on this machine, namespaces of one's own in
//! it, a runner of what Deployments say, a checker of status conditions, and small tools to wait for a condition and to
//! run a product binary.
//!
//! ```no_run
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let control_plane = testkit::control_plane::shared().await?;
//! let client = control_plane.client()?;
//! let namespace = testkit::namespace(&client, "leaver").await?;
//! # Ok(())
//! # }
//! ```

pub mod conditions;
pub mod control_plane;
pub mod go;
pub mod guardian;
mod kstatus;
mod namespace;
pub mod passage;
pub mod pods;
pub mod process;
mod schema;
mod tools;
mod wait;
pub mod witness;

pub use conditions::{check_conditions, check_settled, check_step};
pub use control_plane::{ControlPlane, ControlPlaneError, Progress};
pub use kstatus::{Status, kstatus};
pub use namespace::namespace;
pub use passage::Passage;
pub use pods::{PodRunner, PodView};
pub use process::{Launch, Process};
pub use tools::Tools;
pub use wait::{TimedOut, eventually};
pub use witness::Witness;
