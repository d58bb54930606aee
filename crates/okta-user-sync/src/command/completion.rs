//! `okta-user-sync completion`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::{Exit, Stop};
use crate::terminal;

/// Shown below `--help`.
pub const EXAMPLES: &str = "\
Examples:
  okta-user-sync completion bash > /etc/bash_completion.d/okta-user-sync
  okta-user-sync completion zsh > \"${fpath[1]}/_okta-user-sync\"
  okta-user-sync completion fish > ~/.config/fish/completions/okta-user-sync.fish
  okta-user-sync completion powershell >> $PROFILE";

/// What the command takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// Standard output is closed.
pub fn run(arguments: &Arguments) -> Result<Exit, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "okta-user-sync", &mut script);
    terminal::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
