//! The org: its data, its rules, and a handle by which tests drive it in process.

pub(crate) mod apps;
mod assignment;
mod console;
pub(crate) mod groups;
mod handle;
pub(crate) mod lifecycle;
pub(crate) mod load;
pub(crate) mod people;
pub(crate) mod person;
pub(crate) mod state;
pub(crate) mod switches;
pub(crate) mod syslog;

pub use handle::Org;
pub use lifecycle::NewPerson;
pub use person::Status;
pub use switches::Switches;
