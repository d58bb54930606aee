//! What tests (and `cargo demo`) stand on: a real Kubernetes control plane on this machine, namespaces of one's own in
//! it, a checker of status conditions, and small tools to wait for a condition and to run a product binary.
//!
//! ```no_run
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let control_plane = testkit::control_plane::shared().await?;
//! let client = control_plane.client()?;
//! let namespace = testkit::namespace(&client, "leaver").await?;
//! # Ok(())
//! # }
//! ```

pub mod control_plane;
pub mod guardian;
mod namespace;

pub use control_plane::{ControlPlane, ControlPlaneError, Progress};
pub use namespace::namespace;
