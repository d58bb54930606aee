//! `okta-user-sync man`: the manual pages, made from the same words as `--help`.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};

use crate::cli::Cli;
use crate::exit::{Exit, Stop};
use crate::terminal;

/// Shown below `--help`.
pub const EXAMPLES: &str = "\
Examples:
  okta-user-sync man | man -l -
  okta-user-sync man plan approve | man -l -
  okta-user-sync man --dir ~/.local/share/man/man1       # one page for each command";

/// What the command takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The command whose page is printed [default: the program's own].
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    command: Vec<String>,
    /// Write all pages into this folder instead.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Prints a page, or writes all.
///
/// # Errors
/// There is no such command, or the folder cannot be written.
pub fn run(arguments: &Arguments) -> Result<Exit, Stop> {
    let mut program = Cli::command();
    // Gives the commands below their full names.
    program.build();
    if let Some(folder) = &arguments.dir {
        write_all(&program, folder)?;
        return Ok(Exit::Done);
    }
    let mut page = &program;
    for name in &arguments.command {
        page = page.find_subcommand(name).ok_or_else(|| {
            Stop::bad_input(format!("there is no command {name:?}"), "see okta-user-sync --help for the commands")
        })?;
    }
    terminal::print(&render(page)?)?;
    Ok(Exit::Done)
}

fn write_all(command: &clap::Command, folder: &Path) -> Result<(), Stop> {
    let unwritable =
        |e: std::io::Error| Stop::bad_input(format!("{}: {e}", folder.display()), "name a folder that can be written");
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    std::fs::write(folder.join(format!("{name}.1")), render(command)?).map_err(unwritable)?;
    command.get_subcommands().filter(|below| below.get_name() != "help").try_for_each(|below| write_all(below, folder))
}

fn render(command: &clap::Command) -> Result<String, Stop> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(|e| Stop::undone(format!("the page cannot be made: {e}"), "this is a bug; please report it"))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
