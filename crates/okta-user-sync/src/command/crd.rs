//! `okta-user-sync crd`: prints the definition of the resource.

use clap::{Args, ValueEnum};

use crate::exit::{Exit, Stop};
use crate::terminal;

/// Shown below `--help`.
pub const EXAMPLES: &str = "\
Examples:
  okta-user-sync crd | kubectl apply --server-side -f -
  okta-user-sync crd > crds/oktausersyncs.usersync.dev.yaml";

/// What the command takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How it is written.
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    output: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// Prints the definition.
///
/// # Errors
/// Standard output is closed.
pub fn run(arguments: &Arguments) -> Result<Exit, Stop> {
    let crd = api::crd();
    match arguments.output {
        Format::Yaml => terminal::print_yaml(&crd)?,
        Format::Json => terminal::print_json(&crd)?,
    }
    Ok(Exit::Done)
}
