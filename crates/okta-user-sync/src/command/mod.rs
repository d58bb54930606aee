//! One module for each command.

pub mod crd;

use crate::cli::Command;
use crate::exit::{Exit, Stop};

/// Runs what was asked for.
///
/// # Errors
/// As each command says.
pub async fn run(command: Command) -> Result<Exit, Stop> {
    match command {
        Command::Crd(arguments) => crd::run(arguments),
    }
}
