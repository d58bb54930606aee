//! What a simulator leaves for its clients: the ready line, the CA and the identity files.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Edition, IdentityKind, KeyKind, Options, TeleportSimError, identity::Pki, preset};

/// What a simulator says when it is ready: one line of JSON for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// `host:port` of the Auth Service.
    #[serde(rename = "authAddress")]
    pub auth_address: String,
    /// URL of the admin port.
    #[serde(rename = "adminURL")]
    pub admin_url: String,
    /// File with the host CA, PEM.
    #[serde(rename = "caFile")]
    pub ca_file: String,
    /// File with the identity of the operator's bot.
    #[serde(rename = "identityFile")]
    pub identity_file: String,
    /// File with the identity of an administrator.
    #[serde(rename = "adminIdentityFile")]
    pub admin_identity_file: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the SAML connector; empty on Community Edition, which has none.
    pub connector: String,
}

/// Where the doors are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) auth: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) proxy: SocketAddr,
    pub(crate) balancer: SocketAddr,
}

/// Where everything of a simulator is.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) addresses: Addresses,
    pub(crate) keys: KeyKind,
    pub(crate) tls_routing: bool,
    cluster: String,
    connector: String,
    folder: PathBuf,
}

impl Site {
    pub(crate) fn new(options: &Options, folder: PathBuf, addresses: Addresses) -> Self {
        let connector = if options.edition == Edition::Enterprise { options.connector.clone() } else { String::new() };
        Self {
            addresses,
            keys: options.keys,
            tls_routing: options.tls_routing,
            cluster: options.cluster.clone(),
            connector,
            folder,
        }
    }

    /// File with the CA of the Proxy's web side.
    pub(crate) fn web_ca_file(&self) -> String {
        self.folder.join("web-ca.pem").to_string_lossy().into_owned()
    }

    /// Writes CA and identities, valid for thirty days, and tells where they are.
    pub(crate) fn write(&self, pki: &Pki, now: Timestamp) -> Result<Ready, TeleportSimError> {
        let month = now + SignedDuration::from_hours(24 * 30);
        let identity = |name: &str, roles: &[&str]| {
            let kind = IdentityKind { key: self.keys, not_after: Some(month), ..IdentityKind::user(name, roles) };
            pki.identity(&kind, now)
        };
        self.file("web-ca.pem", &pki.web.pem())?;
        Ok(Ready {
            auth_address: self.addresses.auth.to_string(),
            admin_url: format!("http://{}", self.addresses.admin),
            ca_file: self.file("ca.pem", &pki.hosts.pem())?,
            identity_file: self.file("identity", &identity(preset::BOT_USER, &[preset::BOT_ROLE])?)?,
            admin_identity_file: self.file("admin-identity", &identity(preset::ADMIN_USER, &preset::ADMIN_ROLES)?)?,
            cluster: self.cluster.clone(),
            connector: self.connector.clone(),
        })
    }

    fn file(&self, name: &str, text: &str) -> Result<String, TeleportSimError> {
        let path = self.folder.join(name);
        write_private(&path, text).map_err(|source| TeleportSimError::File { path: path.clone(), source })?;
        Ok(path.to_string_lossy().into_owned())
    }
}

/// The folder for the files: the one that was asked for, or one of our own.
pub(crate) fn folder(asked: Option<&Path>) -> Result<(Option<tempfile::TempDir>, PathBuf), TeleportSimError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TeleportSimError::File { path, source }
    };
    if let Some(path) = asked {
        std::fs::create_dir_all(path).map_err(failed(path))?;
        return Ok((None, path.to_owned()));
    }
    let folder = tempfile::Builder::new().prefix("teleport-sim-").tempdir().map_err(failed(&std::env::temp_dir()))?;
    let path = folder.path().to_owned();
    Ok((Some(folder), path))
}

/// Writes a file that only its owner reads, in one step: a reader sees the old text or the new, never half of it.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};

    let draft = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&draft, path)
}
