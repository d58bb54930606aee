//! `okta-user-sync demo`: see [`crate::demo`].

use std::path::PathBuf;

use clap::Args;

use crate::demo::{self, Format, Play};
use crate::exit::{Exit, Stop};

/// Shown below `--help`.
pub const EXAMPLES: &str = "\
Examples:
  okta-user-sync demo
  okta-user-sync demo --people 1000
  okta-user-sync demo --keep                  # then: export KUBECONFIG=…; kubectl get ous -A
  okta-user-sync demo -o json | jq .ok
  okta-user-sync demo --kubeconfig ~/.kube/kind

It needs a Kubernetes API server: built here once with Go (about four minutes on two cores), or the one in the folder
KUBEBUILDER_ASSETS, or a cluster of your own with --kubeconfig.

Exit codes: 0 every step was observed in Teleport and in the resource's status; 1 one was not; 2 there is no API server.";

/// What the command takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// People in the Okta organisation; at least 20.
    #[arg(long, value_name = "N", default_value_t = 250)]
    people: usize,
    /// The same seed makes the same people.
    #[arg(long, value_name = "S", default_value_t = 7)]
    seed: u64,
    /// Leave everything up at the end, until Ctrl-C, and say how to look around.
    #[arg(long)]
    keep: bool,
    /// How the story is told.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// Play in the cluster of this kubeconfig, in a namespace of its own, instead of a local control plane.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Plays the demo.
///
/// # Errors
/// As [`demo::play`].
pub async fn run(arguments: Arguments) -> Result<Exit, Stop> {
    let Arguments { people, seed, keep, output, kubeconfig } = arguments;
    if people < demo::LEAST_PEOPLE {
        let least = demo::LEAST_PEOPLE;
        return Err(Stop::bad_input(
            format!("the story needs {least} people"),
            format!("give --people {least} or more"),
        ));
    }
    Box::pin(demo::play(&Play { people, seed, keep, format: output, kubeconfig })).await
}
