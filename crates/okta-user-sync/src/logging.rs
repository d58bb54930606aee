//! The log, on standard error only: standard output belongs to what was asked for.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, LogFormat};
use crate::exit::Stop;

/// Starts the log.
///
/// # Errors
/// The level cannot be read.
pub fn start(cli: &Cli) -> Result<(), Stop> {
    let level = cli.logging.log_level.as_deref().unwrap_or(match cli.command {
        Command::Operator(_) => "info",
        // A client of Kubernetes reports every attempt of a wait as an error.
        _ => "warn,kube_client=off",
    });
    let filter = EnvFilter::try_new(level).map_err(|e| {
        Stop::bad_input(
            format!("--log-level {level:?} cannot be read: {e}"),
            "give error, warn, info, debug or trace, or module=level, separated by commas",
        )
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    match cli.logging.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
