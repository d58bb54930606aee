//! One module for each command.

pub mod check;
pub mod cluster;
pub mod completion;
pub mod crd;
#[cfg(feature = "demo")]
pub mod demo;
pub mod explain;
pub mod init;
pub mod joining;
pub mod key;
pub mod man;
pub mod operator;
pub mod plan;
#[cfg(feature = "demo")]
pub mod sim;
pub mod subject;
pub mod sync;

use std::sync::Arc;

use ::operator::admin::LogLevels;

use crate::cli::Command;
use crate::exit::{Exit, Stop};

/// Runs what was asked for. `levels` are those of the log, for who may change them.
///
/// # Errors
/// As each command says.
pub async fn run(command: Command, levels: Arc<dyn LogLevels>) -> Result<Exit, Stop> {
    match command {
        Command::Operator(arguments) => operator::run(*arguments, levels).await,
        Command::Sync(arguments) => sync::run(arguments, sync::Verb::Sync).await,
        Command::Preview(arguments) => sync::run(arguments, sync::Verb::Preview).await,
        Command::Explain(arguments) => explain::run(arguments).await,
        Command::Check(arguments) => check::run(arguments).await,
        Command::Init(arguments) => init::run(*arguments).await,
        Command::Plan(arguments) => plan::run(arguments).await,
        Command::Completion(arguments) => completion::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::Key(arguments) => key::run(arguments),
        Command::Crd(arguments) => crd::run(&arguments),
        #[cfg(feature = "demo")]
        Command::Sim(arguments) => sim::run(arguments).await,
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(arguments).await,
    }
}
