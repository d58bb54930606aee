//! How the operator reaches Teleport, and joins it by its pod's own token.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use operator::membership::JoinOffer;
use operator::resolve::TeleportDefaults;
use sha2::{Digest as _, Sha256};
use teleport::{JoinRole, Way};

use crate::exit::Stop;

/// As what the operator joins.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum JoinAs {
    /// A bot that impersonates roles; users carry our own labels.
    Bot,
    /// The system role Okta; users carry the origin okta, as Teleport's own sync writes them.
    Okta,
}

/// Which way leads to the Auth Service.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Route {
    /// Whichever works.
    Auto,
    /// Straight to an Auth Service.
    Auth,
    /// Through a Proxy that routes TLS.
    Proxy,
    /// Through a Proxy behind a balancer that ends TLS.
    Upgrade,
}

/// Settings for Teleport that hold for all resources.
#[derive(Debug, Args)]
#[command(next_help_heading = "Teleport")]
#[allow(clippy::struct_field_names, reason = "a flag has the name of its field")]
pub struct TeleportArguments {
    /// Join the cluster at --teleport-address by the pod's own token, with this provision token (join method kubernetes). It
    /// serves every resource without teleport.identitySecretRef.
    #[arg(long, value_name = "NAME", env = "OKTA_USER_SYNC_TELEPORT_JOIN_TOKEN")]
    teleport_join_token: Option<String>,
    /// The projected token of the pod's ServiceAccount: its audience the cluster's name, 1800 seconds at the most. Read anew
    /// at each join.
    #[arg(long, value_name = "FILE", env = "OKTA_USER_SYNC_TELEPORT_JOIN_TOKEN_FILE", default_value = teleport::join::JWT_FILE)]
    teleport_join_token_file: PathBuf,
    /// As what to join.
    #[arg(long, value_name = "KIND", env = "OKTA_USER_SYNC_TELEPORT_JOIN_AS", default_value = "bot")]
    teleport_join_as: JoinAs,
    /// A role that the bot impersonates to do its work. May be repeated.
    #[arg(
        long,
        value_name = "ROLE",
        env = "OKTA_USER_SYNC_TELEPORT_JOIN_ROLES",
        value_delimiter = ',',
        default_value = "okta-user-sync"
    )]
    teleport_join_role: Vec<String>,
    /// Name of the cluster that is joined [default: as its Proxy says].
    #[arg(long, value_name = "NAME", env = "OKTA_USER_SYNC_TELEPORT_CLUSTER")]
    teleport_cluster: Option<String>,
    /// A pin of the cluster's authority (sha256:..., as tctl status shows it), which the server must prove before it is shown
    /// the token. May be repeated. With neither pin nor authority the Proxy's web certificate is trusted.
    #[arg(long, value_name = "PIN", env = "OKTA_USER_SYNC_TELEPORT_CA_PINS", value_delimiter = ',')]
    teleport_ca_pin: Vec<String>,
    /// The cluster's host authorities (PEM), in place of pins. Read anew at each join.
    #[arg(long, value_name = "FILE", env = "OKTA_USER_SYNC_TELEPORT_CA", conflicts_with = "teleport_ca_pin")]
    teleport_ca: Option<PathBuf>,
    /// Certificate authorities (PEM) that are trusted for the Proxy's web side beside the system's.
    #[arg(long, value_name = "FILE", env = "OKTA_USER_SYNC_TELEPORT_WEB_CA")]
    teleport_web_ca: Option<PathBuf>,
    /// Which way leads to the Auth Service.
    #[arg(long, value_name = "WAY", env = "OKTA_USER_SYNC_TELEPORT_ROUTE", default_value = "auto")]
    teleport_route: Route,
    #[command(flatten)]
    load: LoadArguments,
}

/// How much is asked of Teleport at a time.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Teleport")]
pub struct LoadArguments {
    /// Users made and changed per second, at most; 0: without bound. More delays the enforcement of locks.
    #[arg(long, value_name = "N", env = "OKTA_USER_SYNC_TELEPORT_WRITE_RATE", default_value_t = teleport::WRITE_RATE)]
    teleport_write_rate: u32,
    /// Writes that a pass has under way at the same time. Eight are enough for any cluster that was measured.
    #[arg(
        long,
        value_name = "N",
        env = "OKTA_USER_SYNC_TELEPORT_WRITES_AT_ONCE",
        default_value_t = teleport::WRITES_AT_ONCE as u64,
        value_parser = clap::value_parser!(u64).range(1..=64)
    )]
    teleport_writes_at_once: u64,
}

impl LoadArguments {
    /// These settings over others.
    pub fn over(self, defaults: TeleportDefaults) -> TeleportDefaults {
        TeleportDefaults {
            write_rate: self.teleport_write_rate,
            writes_at_once: usize::try_from(self.teleport_writes_at_once).unwrap_or(teleport::WRITES_AT_ONCE),
            ..defaults
        }
    }
}

impl TeleportArguments {
    /// As the operator takes it.
    ///
    /// # Errors
    /// Joining without an address, as a bot without a role, or a file that cannot be read.
    pub fn defaults(self, address: Option<&str>, namespace: &str) -> Result<TeleportDefaults, Stop> {
        let web_authorities = self.teleport_web_ca.as_deref().map(read).transpose()?;
        let way = match self.teleport_route {
            Route::Auto => Way::Auto,
            Route::Auth => Way::Auth,
            Route::Proxy => Way::Proxy,
            Route::Upgrade => Way::Upgrade,
        };
        let load = self.load;
        let join = self.offer(address, namespace)?;
        Ok(load.over(TeleportDefaults { way, web_authorities, join, ..TeleportDefaults::default() }))
    }

    fn offer(self, address: Option<&str>, namespace: &str) -> Result<Option<JoinOffer>, Stop> {
        let Some(token) = self.teleport_join_token.filter(|token| !token.is_empty()) else { return Ok(None) };
        let Some(address) = address else {
            return Err(Stop::bad_input(
                "--teleport-join-token is given, but not where to join",
                "give --teleport-address: the operator joins at its own address alone, because it shows the pod's token there",
            ));
        };
        let role = match self.teleport_join_as {
            JoinAs::Okta => JoinRole::Okta { host_id: host_id(&[address, &token, namespace]) },
            JoinAs::Bot if self.teleport_join_role.iter().all(String::is_empty) => {
                return Err(Stop::bad_input("a bot needs a role to work with", "give --teleport-join-role"));
            }
            JoinAs::Bot => JoinRole::Bot { roles: self.teleport_join_role },
        };
        Ok(Some(JoinOffer {
            token,
            token_file: self.teleport_join_token_file,
            role,
            cluster: self.teleport_cluster,
            pins: self.teleport_ca_pin,
            authorities: self.teleport_ca,
        }))
    }
}

/// An id that stays the same over restarts and replicas, so that a lock on it in Teleport stays in force.
fn host_id(parts: &[&str]) -> String {
    let digest =
        parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part).chain_update([0])).finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(byte, random)| *byte = random);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

fn read(path: &Path) -> Result<String, Stop> {
    std::fs::read_to_string(path)
        .map_err(|e| Stop::bad_input(format!("{}: {e}", path.display()), "name a file that can be read"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        teleport: TeleportArguments,
    }

    fn defaults(line: &[&str], address: Option<&str>) -> Result<TeleportDefaults, Stop> {
        let line = Line::parse_from(std::iter::once(&"operator").chain(line));
        line.teleport.defaults(address, "home")
    }

    #[test]
    fn without_a_token_nothing_is_joined() {
        let defaults = defaults(&[], None).unwrap();
        assert!(defaults.join.is_none());
        assert_eq!((defaults.way, defaults.write_rate), (Way::Auto, teleport::WRITE_RATE));
    }

    #[test]
    fn a_bot_and_the_system_role_can_be_joined_as() {
        let line = ["--teleport-join-token", "t", "--teleport-ca-pin", "sha256:00,sha256:11"];
        let join = defaults(&line, Some("t:443")).unwrap().join.unwrap();
        assert_eq!(join.role, JoinRole::Bot { roles: vec!["okta-user-sync".into()] });
        assert_eq!(join.pins, ["sha256:00", "sha256:11"]);
        let line = ["--teleport-join-token", "t", "--teleport-join-as", "okta"];
        let id = |address| match defaults(&line, Some(address)).unwrap().join.unwrap().role {
            JoinRole::Okta { host_id } => host_id,
            JoinRole::Bot { .. } => String::new(),
        };
        assert_eq!(id("t:443"), id("t:443"), "a lock on it outlasts a restart");
        assert_ne!(id("t:443"), id("u:443"));
        assert_eq!(id("t:443").len(), 36);
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        assert!(defaults(&["--teleport-join-token", "t"], None).is_err(), "joining nowhere");
        assert!(defaults(&["--teleport-join-token", "t", "--teleport-join-role", ""], Some("t:1")).is_err());
        assert!(defaults(&["--teleport-web-ca", "/nowhere"], None).is_err());
    }
}
