//! The client against a Teleport Auth Service that runs here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers outside #[test] functions may say what they expect, too

mod connection;
mod faults;
mod fixture;
mod join;
mod load;
mod locks;
mod preflight;
mod proxy;
mod refusals;
mod users;
