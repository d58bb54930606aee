//! What suites that cross crates stand on: a [`Stage`] (both simulators, both clients, passes of the engine between them) and a
//! [`House`] (the operator itself, over a real API server, between both simulators), and the [`chart`] as helm renders it. A
//! [`Ground`] is the API server's part of a house alone, and a [`Replica`] the operator as a process of its own. In all of them
//! the operator has the [`rights`] that the chart gives it, and no others.
//!
//! Everything here may fail only because of this machine, so it says what it expected and stops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

pub mod board;
pub mod chart;
pub mod ground;
mod house;
mod journal;
mod log;
mod promtool;
mod recording;
pub mod replica;
pub mod rights;
mod scrape;
mod stage;

use std::path::PathBuf;

pub use board::Board;
pub use ground::Ground;
pub use house::{House, condition};
pub use log::Log;
pub use promtool::Promtool;
pub use recording::Recording;
pub use replica::Replica;
pub use scrape::{Family, Sample, Scrape};
pub use stage::Stage;
use testkit::{ControlPlaneError, go::Recipe};

/// A folder beside the repository that holds real recorded answers; `None`, with a word on why, where it is missing.
#[must_use]
pub fn recorded() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/recorded/okta");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is not there", folder.display());
    None
}

/// `${XDG_CACHE_HOME:-~/.cache}/okta-user-sync`; a relative path there is to be ignored.
#[must_use]
pub fn cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("okta-user-sync"))
}

/// What is built with Go, once for a machine; `None`, with a word on why, where there is no Go or no place to keep it.
pub async fn built(recipe: Recipe) -> Option<PathBuf> {
    match recipe.provide().await {
        Ok(result) => Some(result),
        Err(error @ (ControlPlaneError::NoGo(_) | ControlPlaneError::NoCacheFolder)) => skip(&error.to_string()),
        Err(error) => panic!("{error}"),
    }
}

/// Nothing, and a word on why a test cannot be run here.
#[must_use]
pub fn skip<T>(why: &str) -> Option<T> {
    eprintln!("skipped: {why}");
    None
}
