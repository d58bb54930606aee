//! The product's binary, and the two simulators as processes of their own, so that what they need is not counted.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde::{Deserialize, Serialize};

use crate::{error::BenchError, measure::cpu_of};

/// Where the product's binary is.
pub struct Stage {
    program: PathBuf,
    simulators: PathBuf,
}

/// A simulated Okta organisation, as it says itself where it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OktaPlace {
    /// The organisation.
    #[serde(rename = "orgURL")]
    pub org_url: String,
    /// Its admin port.
    #[serde(rename = "adminURL")]
    pub admin_url: String,
    /// Its CA.
    pub ca_file: PathBuf,
    /// Token for its management API.
    pub ssws: String,
    /// The API Services app.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// The key of that app.
    pub private_key_file: PathBuf,
    /// The SAML app.
    #[serde(rename = "appID")]
    pub app_id: String,
}

/// A simulated Auth Service, as it says itself where it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TeleportPlace {
    /// `host:port`.
    pub auth_address: String,
    /// Its admin port.
    #[serde(rename = "adminURL")]
    pub admin_url: String,
    /// The CA of hosts.
    pub ca_file: PathBuf,
    /// Identity of the operator's bot.
    pub identity_file: PathBuf,
    /// The SAML connector.
    pub connector: String,
}

/// Both.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Places {
    /// The organisation.
    pub okta: OktaPlace,
    /// The Auth Service.
    pub teleport: TeleportPlace,
}

/// A running simulator. It is ended when this is dropped.
pub struct Running<P> {
    /// Where it is.
    pub place: P,
    child: Child,
}

impl<P> Running<P> {
    /// Seconds of CPU time that it has used.
    pub fn cpu(&self) -> Result<f64, BenchError> {
        cpu_of(self.child.id())
    }
}

impl<P> Drop for Running<P> {
    fn drop(&mut self) {
        // Whether it was still there makes no difference here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Stage {
    /// With the product's binary at `program`; without one, it is built as releases are built. The simulators are in
    /// the same one, unless `simulators` says where.
    pub fn set(program: Option<&Path>, simulators: Option<&Path>) -> Result<Self, BenchError> {
        let program = match program {
            Some(program) => program.to_path_buf(),
            None => Self::build()?,
        };
        let simulators = simulators.map_or_else(|| program.clone(), Path::to_path_buf);
        Ok(Self { program, simulators })
    }

    fn build() -> Result<PathBuf, BenchError> {
        eprintln!("== building okta-user-sync");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--release", "--package", "okta-user-sync"])
            .status()
            .map_err(BenchError::system("cargo build"))?;
        if !built.success() {
            return Err(BenchError::process("cargo build", &built));
        }
        // This program stands in the same folder.
        let here = env::current_exe().map_err(BenchError::system("finding this program"))?;
        Ok(here.with_file_name("okta-user-sync"))
    }

    /// The product's binary.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// An organisation of so many people.
    pub fn okta(&self, people: usize) -> Result<Running<OktaPlace>, BenchError> {
        self.simulator(&["sim", "okta", "--people", &people.to_string(), "--seed", "7"])
    }

    /// An Auth Service whose connector belongs to that app, and which has none of its people yet.
    pub fn teleport(&self, app_id: &str) -> Result<Running<TeleportPlace>, BenchError> {
        self.simulator(&["sim", "teleport", "--okta-app-id", app_id])
    }

    fn simulator<P: for<'de> Deserialize<'de>>(&self, arguments: &[&str]) -> Result<Running<P>, BenchError> {
        let what = arguments.join(" ");
        let mut child = Command::new(&self.simulators)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(BenchError::system(&what))?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line).map_err(BenchError::system(&what))?;
        }
        match serde_json::from_str(&line) {
            Ok(place) => Ok(Running { place, child }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(BenchError::unreadable(format!("what {what} said ({line:?})"), &error))
            }
        }
    }
}
