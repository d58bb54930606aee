//! The promises that the engine keeps, each told as short stories over a world in memory. What a promise means for the
//! clients and the operator is told in their own tests under the same number.
//!
//! The comment over each test names the line whose removal makes it fail.

#[path = "../world/mod.rs"]
mod world;

mod brake;
mod explaining;
mod ownership;
mod reading;
mod removal;
mod renaming;
mod returning;
mod scope;
mod writing;
