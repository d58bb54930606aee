//! `okta-user-sync sim okta|teleport`: a simulator in the foreground. One JSON line says where it is; it runs until it
//! is asked to stop.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::exit::{Exit, Stop};
use crate::signal::StopSignal;
use crate::terminal;

/// Shown below `--help`.
pub const EXAMPLES: &str = "\
Examples:
  An Okta organisation of 250 people; the line that it prints has the address, the CA, a management token, the client
  id and the key file:
    okta-user-sync sim okta --people 250 --seed 7

  A Teleport Auth Service; the line has the address and the identity files:
    okta-user-sync sim teleport --okta-app-id 0oa9saml8app7teleprt

  Somebody leaves:
    curl --cacert $caFile -X POST -H \"Authorization: SSWS $ssws\" $orgURL/api/v1/users/$id/lifecycle/deactivate

docs/cli.md describes the lines, and what the admin ports can do.";

const OKTA_EXAMPLES: &str = "\
Examples:
  okta-user-sync sim okta --people 250 --seed 7
  okta-user-sync sim okta --people 100000 --listen 127.0.0.1:8443 --dir /tmp/okta
  okta-user-sync sim okta --people 20 --awkward --dpop required";

const TELEPORT_EXAMPLES: &str = "\
Examples:
  okta-user-sync sim teleport
  okta-user-sync sim teleport --listen 127.0.0.1:3025 --release v18 --okta-app-id 0oa9saml8app7teleprt
  okta-user-sync sim teleport --edition community --people 1000 --seed 7";

/// What the command takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Which simulator.
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// An Okta organisation: HTTPS, with Okta's rules, limits and known defects.
    #[command(after_help = OKTA_EXAMPLES)]
    Okta(OktaArguments),
    /// A Teleport Auth Service: gRPC over mutual TLS, with Teleport's rules.
    #[command(after_help = TELEPORT_EXAMPLES)]
    Teleport(TeleportArguments),
}

#[derive(Debug, Args)]
struct OktaArguments {
    /// People in the organisation, each assigned to the SAML app.
    #[arg(long, value_name = "N", default_value_t = 250)]
    people: usize,
    /// The same seed makes the same people.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Custom attributes of each person, beside about twenty ordinary ones.
    #[arg(long, value_name = "N", default_value_t = 0)]
    custom_attributes: usize,
    /// Add one awkward person for each thing that has broken a client before.
    #[arg(long)]
    awkward: bool,
    /// Whether the API Services app demands proof of possession.
    #[arg(long, value_name = "WHEN", default_value = "not-required")]
    dpop: Dpop,
    /// A further name or address for the certificate; the first one stands in orgURL. May be repeated.
    #[arg(long, value_name = "HOST")]
    host_name: Vec<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct TeleportArguments {
    /// Local users that are there already, none of them ours.
    #[arg(long, value_name = "N", default_value_t = 0)]
    people: usize,
    /// The same seed makes the same users.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Name of the cluster.
    #[arg(long, value_name = "NAME", default_value = "teleport.sim")]
    cluster: String,
    /// Name of the SAML connector (Enterprise only).
    #[arg(long, value_name = "NAME", default_value = "okta")]
    connector: String,
    /// Okta app that the connector is tied to by its label.
    #[arg(long, value_name = "ID", default_value = "")]
    okta_app_id: String,
    /// Edition: Community has no SAML connectors and no role okta-requester.
    #[arg(long, value_name = "EDITION", default_value = "enterprise")]
    edition: Edition,
    /// Line of versions that it behaves like.
    #[arg(long, value_name = "RELEASE", default_value = "v17")]
    release: Release,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// Where it listens; port 0 is any free one.
    #[arg(long, value_name = "ADDRESS", default_value_t = loopback())]
    listen: SocketAddr,
    /// Where its admin port listens (plain HTTP, no credential: keep it on this machine).
    #[arg(long, value_name = "ADDRESS", default_value_t = loopback())]
    admin_listen: SocketAddr,
    /// Folder for the CA, key and identity files [default: a temporary one, removed at the end].
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dpop {
    /// A plain request gets a plain token.
    NotRequired,
    /// As in apps made since February 2024.
    Required,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Edition {
    /// With SAML connectors.
    Enterprise,
    /// Without.
    Community,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Release {
    /// 15.
    V15,
    /// 17.
    V17,
    /// 18.
    V18,
    /// 19.
    V19,
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Runs the simulator until a signal.
///
/// # Errors
/// It does not start: a port is taken, or a folder cannot be written.
pub async fn run(arguments: Arguments) -> Result<Exit, Stop> {
    let mut stop = StopSignal::listen()?;
    match arguments.which {
        Which::Okta(arguments) => {
            let sim = okta_sim::OktaSim::start(okta(arguments)).await.map_err(|e| did_not_start("okta", &e))?;
            serve(&sim.ready(), &mut stop).await
        }
        Which::Teleport(arguments) => {
            let options = teleport(arguments);
            let sim = teleport_sim::TeleportSim::start(options).await.map_err(|e| did_not_start("teleport", &e))?;
            serve(sim.ready(), &mut stop).await
        }
    }
}

async fn serve(ready: &impl Serialize, stop: &mut StopSignal) -> Result<Exit, Stop> {
    terminal::print_line(ready)?;
    stop.received().await;
    Ok(Exit::Done)
}

fn okta(arguments: OktaArguments) -> okta_sim::Options {
    okta_sim::Options {
        people: arguments.people,
        seed: arguments.seed,
        custom_attributes: arguments.custom_attributes,
        nasty: arguments.awkward,
        listen: arguments.place.listen,
        admin_listen: arguments.place.admin_listen,
        host_names: arguments.host_name,
        out_dir: arguments.place.dir,
        dpop: match arguments.dpop {
            Dpop::NotRequired => okta_sim::DpopMode::NotRequired,
            Dpop::Required => okta_sim::DpopMode::Required,
        },
        ..okta_sim::Options::default()
    }
}

fn teleport(arguments: TeleportArguments) -> teleport_sim::Options {
    teleport_sim::Options {
        cluster: arguments.cluster,
        people: arguments.people,
        seed: arguments.seed,
        listen: arguments.place.listen,
        admin_listen: arguments.place.admin_listen,
        version: match arguments.release {
            Release::V15 => teleport_sim::Version::V15,
            Release::V17 => teleport_sim::Version::V17,
            Release::V18 => teleport_sim::Version::V18,
            Release::V19 => teleport_sim::Version::V19,
        },
        edition: match arguments.edition {
            Edition::Enterprise => teleport_sim::Edition::Enterprise,
            Edition::Community => teleport_sim::Edition::Community,
        },
        connector: arguments.connector,
        okta_app_id: arguments.okta_app_id,
        directory: arguments.place.dir,
        ..teleport_sim::Options::default()
    }
}

fn did_not_start(which: &str, error: &dyn std::fmt::Display) -> Stop {
    Stop::bad_input(
        format!("the {which} simulator did not start: {error}"),
        "give a free port with --listen and a writable folder with --dir",
    )
}
