//! One module for each command.

pub mod crd;
#[cfg(feature = "demo")]
pub mod demo;
pub mod explain;
pub mod operator;
#[cfg(feature = "demo")]
pub mod sim;
pub mod sync;

use crate::cli::Command;
use crate::exit::{Exit, Stop};

/// Runs what was asked for.
///
/// # Errors
/// As each command says.
pub async fn run(command: Command) -> Result<Exit, Stop> {
    match command {
        Command::Operator(arguments) => operator::run(arguments).await,
        Command::Sync(arguments) => sync::run(arguments, sync::Verb::Sync).await,
        Command::Preview(arguments) => sync::run(arguments, sync::Verb::Preview).await,
        Command::Explain(arguments) => explain::run(arguments).await,
        Command::Crd(arguments) => crd::run(&arguments),
        #[cfg(feature = "demo")]
        Command::Sim(arguments) => sim::run(arguments).await,
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(arguments).await,
    }
}
