//! `okta-user-sync init`: see [`crate::init`].

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::cluster::ClusterArguments;
use super::sync::{OktaArguments, TeleportArguments};
use crate::exit::{Exit, Stop};

/// Shown below `init --help`.
pub const EXAMPLES: &str = "\
Examples:
  From question to question; writes acme.yaml (for Git) and acme-secrets.yaml (not for Git):
    okta-user-sync init

  Applies them to the current cluster instead:
    okta-user-sync init --apply

  Without a private key that anybody sees: the operator makes it, and keeps it:
    okta-user-sync init --keyless

  With nobody to ask, as in a pipeline; each answer is a flag:
    okta-user-sync init --yes --org-url https://acme.okta.com --client-id 0oa1api2services3app \\
      --okta-key key.pem --app-id 0oa9saml8app7teleprt --teleport-identity identity \\
      --teleport-address teleport.example.com:443 --out acme/

It makes the key pair (--okta-key names where; a key that is there is used again), says which page of
Okta's Admin Console takes the public half, waits until Okta accepts it, lets you choose the app, finds
the app's SAML connector in Teleport, looks at both sides as `check` does, and shows the first preview.
Nothing is written to Okta or Teleport. The namespace of the OktaUserSync is okta-user-sync, unless -n
names another.

Exit codes: 0 the manifests are written or applied; 1 something stands against it; 2 bad input.";

/// What the command takes.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // each is a flag of its own on the command line
pub struct Arguments {
    /// Name of the OktaUserSync [default: the first word of the organisation's host].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Whether the operator is to apply plans, or only to report them at first.
    #[arg(long, value_name = "MODE", default_value = "enforce")]
    pub mode: Mode,
    /// Ask nothing: take flags and defaults.
    #[arg(short, long)]
    pub yes: bool,
    /// Folder for the manifests; - writes them to standard output.
    #[arg(long, value_name = "FOLDER", default_value = ".", conflicts_with = "apply")]
    pub out: PathBuf,
    /// Write over manifests that are there.
    #[arg(long)]
    pub overwrite: bool,
    /// Apply the manifests to the current cluster instead of writing files.
    #[arg(long)]
    pub apply: bool,
    /// The Okta organisation, such as https://acme.okta.com.
    #[arg(long, value_name = "URL", help_heading = "Okta")]
    pub org_url: Option<String>,
    /// Client ID (0oa…) of the API Services app.
    #[arg(long, value_name = "ID", help_heading = "Okta")]
    pub client_id: Option<String>,
    /// The SAML app (0oa…) that people use to sign in to Teleport.
    #[arg(long, value_name = "ID", help_heading = "Okta")]
    pub app_id: Option<String>,
    /// Make no key: the operator makes one in the cluster, and Okta is told of it afterwards, or fetches it from a URL. Okta
    /// cannot be looked at before, so --app-id has to name the app.
    #[arg(long, conflicts_with = "okta_key", help_heading = "Okta")]
    pub keyless: bool,
    /// How long it is waited until Okta accepts key and scopes [default: 600, or 0 if nobody can be asked].
    #[arg(long, value_name = "SECONDS", help_heading = "Okta")]
    pub wait_seconds: Option<u64>,
    #[command(flatten)]
    pub okta: OktaArguments,
    #[command(flatten)]
    pub teleport: TeleportArguments,
    /// The SAML connector [default: the one that belongs to the app; okta where Teleport does not tell].
    #[arg(long, value_name = "NAME", help_heading = "Teleport")]
    pub connector: Option<String>,
    /// A role that everybody gets; may be repeated [default: the first one of --allowed-role].
    #[arg(long, value_name = "ROLE", value_delimiter = ',', help_heading = "Teleport")]
    pub role: Vec<String>,
    #[command(flatten)]
    pub cluster: ClusterArguments,
}

/// Whether plans are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Apply them.
    Enforce,
    /// Report them.
    Preview,
}

impl Mode {
    /// The word in the resource.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "Enforce",
            Self::Preview => "Preview",
        }
    }
}

impl Arguments {
    /// How long is waited for Okta.
    pub fn patience(&self, interactive: bool) -> Duration {
        Duration::from_secs(self.wait_seconds.unwrap_or(if interactive { 600 } else { 0 }))
    }
}

/// Leads through it.
///
/// # Errors
/// As [`crate::init::run`].
pub async fn run(arguments: Arguments) -> Result<Exit, Stop> {
    crate::init::run(arguments).await
}
