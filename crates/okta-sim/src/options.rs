//! What kind of org to start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::auth::{DpopMode, KeyKind, Role};
use crate::org::Switches;
use crate::rate::RatePlan;

/// What kind of org to start. [`Default`] is an org of no people on free ports of the loopback interface, with nothing
/// that could get in a test's way.
#[derive(Debug, Clone)]
pub struct Options {
    /// Ordinary, active people, each assigned to the SAML app.
    pub people: usize,
    /// The same seed makes the same ids, names and profiles.
    pub seed: u64,
    /// Custom attributes of each person, beside the twenty ordinary ones (300 is what large orgs have).
    pub custom_attributes: usize,
    /// Adds one awkward person for each thing that has broken a client before.
    pub nasty: bool,
    /// Where the org answers (HTTPS). Default `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// Where the admin port answers (plain HTTP, no credential: keep it on loopback). Default `127.0.0.1:0`.
    pub admin_listen: SocketAddr,
    /// Further DNS names or addresses for the certificate. The first one, if any, stands in `orgURL`.
    pub host_names: Vec<String>,
    /// Where the CA certificate and the private key are written. None: a folder of its own, removed at the end.
    pub out_dir: Option<PathBuf>,
    /// Kind of the API Services app's key.
    pub client_key: KeyKind,
    /// Whether the API Services app demands DPoP.
    pub dpop: DpopMode,
    /// Scopes granted to the API Services app.
    pub scopes: Vec<String>,
    /// Admin role of the API Services app.
    pub role: Role,
    /// Rate limits.
    pub rates: RatePlan,
    /// Behaviour where orgs differ.
    pub switches: Switches,
}

impl Default for Options {
    fn default() -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            people: 0,
            seed: 1,
            custom_attributes: 0,
            nasty: false,
            listen: loopback,
            admin_listen: loopback,
            host_names: Vec::new(),
            out_dir: None,
            client_key: KeyKind::default(),
            dpop: DpopMode::default(),
            scopes: ["okta.apps.read", "okta.users.read", "okta.groups.read", "okta.logs.read"]
                .map(str::to_owned)
                .to_vec(),
            role: Role::default(),
            rates: RatePlan::default(),
            switches: Switches::default(),
        }
    }
}

impl Options {
    /// An org of `people` people made from `seed`.
    #[must_use]
    pub fn with_people(people: usize, seed: u64) -> Self {
        Self { people, seed, ..Self::default() }
    }
}
