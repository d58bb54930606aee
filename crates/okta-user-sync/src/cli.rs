//! The command line: what can be asked, and the examples that `--help` teaches by.

use std::path::Path;

use clap::builder::{Styles, styling::AnsiColor};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::command::{check, completion, crd, explain, init, key, man, operator, plan, sync};
#[cfg(feature = "demo")]
use crate::command::{demo, sim};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  See it work on this machine, with nothing else installed:
    okta-user-sync demo

  Set it up, from question to question:
    okta-user-sync init

  Look whether everything is set up, on both sides:
    okta-user-sync check -f acme.yaml --okta-key key.pem --teleport-identity identity

  Show what a pass would do, without Kubernetes and without writing anything:
    okta-user-sync preview -f acme.yaml --okta-key key.pem --teleport-identity identity

  Do it:
    okta-user-sync sync -f acme.yaml --okta-key key.pem --teleport-identity identity

  Install the resource definition and run the operator against the current cluster:
    okta-user-sync crd | kubectl apply -f -
    okta-user-sync operator

Exit codes: 0 done; 1 refused, held or partly failed; 2 bad input.";

/// Keeps the people of an Okta app as users of a Teleport cluster: creates and updates them, and locks and removes those
/// who leave. It never writes to Okta.
#[derive(Debug, Parser)]
#[command(name = "okta-user-sync", version, styles = STYLES, after_help = EXAMPLES, max_term_width = 120)]
pub struct Cli {
    /// How to log.
    #[command(flatten)]
    pub logging: Logging,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Name under which kubectl finds the program as a plugin.
const PLUGIN: &str = "kubectl-ousync";

impl Cli {
    /// Reads the command line of this process; ends it where there is nothing more to do than to print help.
    pub fn of_process() -> Self {
        let program = std::env::args_os().next().unwrap_or_default();
        let matches = named(Path::new(&program)).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// The command line under the name by which it was called: as a plugin, help and examples speak of `kubectl ousync`.
fn named(program: &Path) -> clap::Command {
    let command = Cli::command();
    if program.file_stem().is_some_and(|stem| stem == PLUGIN) {
        as_plugin(command).bin_name("kubectl ousync")
    } else {
        command
    }
}

fn as_plugin(command: clap::Command) -> clap::Command {
    let examples = command.get_after_help().map(ToString::to_string);
    let below: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command = match examples {
        Some(text) => command.after_help(text.replace("  okta-user-sync ", "  kubectl ousync ")),
        None => command,
    };
    below.into_iter().fold(command, |command, name| command.mut_subcommand(name, as_plugin))
}

/// What goes to standard error, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct Logging {
    /// What is logged to standard error: error, warn, info, debug or trace; by module, such as `info,okta=debug`
    /// [default: info for the operator, else warn].
    #[arg(long, global = true, env = "OKTA_USER_SYNC_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// How lines of the log look.
    #[arg(long, global = true, env = "OKTA_USER_SYNC_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Send traces to this collector (OTLP over HTTP, such as http://collector:4318): a span for each pass and for each
    /// call in it. The id of a pass is its trace id [default: none are sent].
    #[arg(long, global = true, env = "OKTA_USER_SYNC_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator: keep every OktaUserSync of a cluster in sync.
    #[command(after_help = operator::EXAMPLES)]
    Operator(Box<operator::Arguments>),
    /// Set up a sync, from question to question: key, Okta app, Teleport, first preview, manifests.
    #[command(after_help = init::EXAMPLES)]
    Init(Box<init::Arguments>),
    /// Run one pass over manifests in a file, without Kubernetes.
    #[command(after_help = sync::SYNC_EXAMPLES)]
    Sync(sync::Arguments),
    /// Show what a pass would do, without writing anything.
    #[command(after_help = sync::PREVIEW_EXAMPLES)]
    Preview(sync::Arguments),
    /// Explain one person: what Okta says, what Teleport holds, which rule decided, what the next pass will do.
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Arguments),
    /// Look at everything that a pass needs, on both sides, line by line, without writing anything.
    #[command(after_help = check::EXAMPLES)]
    Check(check::Arguments),
    /// Show or approve the removals that a cluster's operator holds.
    #[command(after_help = plan::EXAMPLES)]
    Plan(plan::Arguments),
    /// Make the key pair with which the sync proves to Okta who it is, or show the public half of one.
    Key(key::Arguments),
    /// Print the CustomResourceDefinition.
    #[command(after_help = crd::EXAMPLES)]
    Crd(crd::Arguments),
    /// Print what a shell needs to complete the command line.
    #[command(after_help = completion::EXAMPLES)]
    Completion(completion::Arguments),
    /// Print the manual page.
    #[command(after_help = man::EXAMPLES)]
    Man(man::Arguments),
    /// Run an Okta organisation or a Teleport Auth Service on this machine, to try things out.
    #[cfg(feature = "demo")]
    #[command(after_help = sim::EXAMPLES)]
    Sim(sim::Arguments),
    /// Tell the whole story on this machine: a control plane, an Okta, a Teleport, people who come and go.
    #[cfg(feature = "demo")]
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Arguments),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn as_a_plugin_of_kubectl_it_speaks_of_itself_as_such() {
        let mut plugin = named(Path::new("/usr/local/bin/kubectl-ousync"));
        plugin.build();
        let plan = plugin.find_subcommand_mut("plan").unwrap().find_subcommand_mut("approve").unwrap();
        let help = plan.render_help().to_string();
        assert!(
            help.contains("Usage: kubectl ousync plan approve") && help.contains("  kubectl ousync plan"),
            "{help}"
        );
        assert!(!help.contains("  okta-user-sync "), "{help}");
        let mut itself = named(Path::new("okta-user-sync"));
        assert!(itself.render_help().to_string().contains("  okta-user-sync demo"));
    }

    #[test]
    fn every_command_and_every_flag_is_described() {
        fn look(command: &clap::Command, path: &str) {
            assert!(command.get_about().is_some(), "{path} says nothing of itself");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path} {} is not described", argument.get_id());
            }
            for below in command.get_subcommands() {
                assert!(
                    below.get_after_help().is_some() || below.has_subcommands(),
                    "{path} {} has no example",
                    below.get_name()
                );
                look(below, &format!("{path} {}", below.get_name()));
            }
        }
        look(&Cli::command(), "okta-user-sync");
    }
}
