//! okta-user-sync: keeps the people of an Okta app as users of a Teleport cluster.
//!
//! One binary. [`command`] holds a module for each of its commands; what a command line says is in [`cli`].
//!
//! * With Kubernetes: `operator` runs the controller, `crd` prints the resource definition.
//! * Without: `sync` and `preview` run one pass over manifests in a file ([`manifest`], [`schema`]) and print it
//!   ([`outcome`]).
//! * To begin: `init` ([`init`]) leads from an organisation's address to manifests, `check` looks at both sides.
//! * To try it out: `sim` runs an Okta organisation or a Teleport Auth Service on this machine, `demo` tells the whole
//!   story on them.

// The doc comments of arguments are what `--help` shows, where backticks would only be noise.
#![allow(clippy::doc_markdown)]

mod cli;
mod command;
#[cfg(feature = "demo")]
mod demo;
mod diff;
mod exit;
mod init;
mod logging;
mod manifest;
mod outcome;
mod private_file;
mod schema;
mod signal;
mod state;
mod terminal;
mod traces;

use std::process::ExitCode;

/// The image's allocator. musl's own has one lock for all threads, and takes a fifth of the CPU time of an import. How it is
/// set says `image/build`.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::of_process();
    match start(cli) {
        Ok(exit) => exit.into(),
        Err(stop) => {
            eprintln!("okta-user-sync: {stop}");
            stop.exit.into()
        }
    }
}

fn start(cli: cli::Cli) -> Result<exit::Exit, exit::Stop> {
    // One TLS provider for the whole process; it fails only if there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| {
        exit::Stop::undone(format!("the async runtime did not start: {e}"), "free some threads or memory")
    })?;
    let log = logging::start(&cli, runtime.handle().clone())?;
    let outcome = runtime.block_on(command::run(cli.command, log.levels()));
    // The last traces are sent, which needs the runtime.
    drop(log);
    // What still runs in the background (a blocked read of a file) must not keep the process.
    runtime.shutdown_background();
    outcome
}
