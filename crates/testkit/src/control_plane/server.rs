//! etcd and kube-apiserver as child processes.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::ControlPlaneError;
use super::audit;
use super::credentials::Credentials;
use super::folder::Folder;
use super::log::last_lines;
use super::programs::Programs;
use crate::guardian::Guardian;

/// The issuer of `ServiceAccount` tokens, as kubeadm names it.
pub const SERVICE_ACCOUNT_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Name of the audit log in the folder of the control plane.
pub(crate) const AUDIT_LOG: &str = "audit.log";

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    log_file: PathBuf,
}

impl Server {
    fn start(
        name: &'static str,
        command: &mut Command,
        folder: &Folder,
        guardian: &mut Guardian,
    ) -> Result<Self, ControlPlaneError> {
        let log_file = folder.file(&format!("{name}.log"));
        let system = |doing: &str| ControlPlaneError::system(format!("{doing} {name}"));
        // Appended to: a server that is started again keeps what it said before.
        let log =
            File::options().create(true).append(true).open(&log_file).map_err(system("making the log file of"))?;
        // An empty environment: etcd takes any flag from ETCD_*, and both would use a proxy.
        command.env_clear().stdin(Stdio::null()).stderr(log.try_clone().map_err(system("sharing the log file of"))?);
        let child = guardian.spawn(command.stdout(log)).map_err(system("starting"))?;
        Ok(Self { name, child, log_file })
    }

    /// An error if the server has ended by itself.
    pub(crate) fn still_runs(&mut self) -> Result<(), ControlPlaneError> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(ControlPlaneError::ServerEnded { server: self.name, status, log: self.log() }),
            Ok(None) => Ok(()),
            Err(error) => Err(ControlPlaneError::system(format!("looking after {}", self.name))(error)),
        }
    }

    /// Kills it and waits for its end.
    pub(crate) fn kill(&mut self) -> Result<(), ControlPlaneError> {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        ended.map(drop).map_err(ControlPlaneError::system(format!("ending {}", self.name)))
    }

    /// The last lines of its log.
    pub(crate) fn log(&self) -> String {
        last_lines(&self.log_file)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two ports of loopback that were free a moment ago.
pub(crate) fn free_ports() -> Result<(u16, u16), ControlPlaneError> {
    let pick = || {
        let (one, other) = (TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?);
        Ok((one.local_addr()?.port(), other.local_addr()?.port()))
    };
    pick().map_err(ControlPlaneError::system("looking for a free port"))
}

/// Starts etcd on loopback, for clients with a certificate of our authority only. Nothing needs to survive, so
/// nothing is flushed to disk.
pub(crate) fn start_etcd(
    programs: &Programs,
    port: u16,
    credentials: &Credentials,
    folder: &Folder,
    guardian: &mut Guardian,
) -> Result<Server, ControlPlaneError> {
    let url = format!("https://127.0.0.1:{port}");
    let mut command = programs.etcd();
    command
        .args(["--unsafe-no-fsync", "--log-level=warn", "--client-cert-auth"])
        .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
        // There are no peers; any free port will do.
        .args(["--listen-peer-urls", "http://127.0.0.1:0"])
        .arg("--data-dir")
        .arg(folder.file("etcd"))
        .arg("--trusted-ca-file")
        .arg(&credentials.ca_file)
        .arg("--cert-file")
        .arg(&credentials.cert_file)
        .arg("--key-file")
        .arg(&credentials.key_file);
    Server::start("etcd", &mut command, folder, guardian)
}

/// Starts kube-apiserver on loopback: RBAC and `TokenRequest` as in a real cluster. Only the `ServiceAccount` admission
/// plugin is off, because no controller makes the `default` accounts that it would demand.
pub(crate) fn start_api_server(
    programs: &Programs,
    (etcd_port, port): (u16, u16),
    credentials: &Credentials,
    folder: &Folder,
    guardian: &mut Guardian,
) -> Result<Server, ControlPlaneError> {
    let mut command = programs.api_server();
    command
        .arg(format!("--etcd-servers=https://127.0.0.1:{etcd_port}"))
        .arg(format!("--secure-port={port}"))
        // Loopback is no address to advertise to a cluster, and there is none to advertise to.
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"])
        .args(["--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount"])
        .args(["--service-cluster-ip-range=10.0.0.0/24", "--profiling=false"])
        .arg(format!("--service-account-issuer={SERVICE_ACCOUNT_ISSUER}"));
    let files = [
        ("--cert-dir", &folder.file("certificates")),
        ("--etcd-cafile", &credentials.ca_file),
        ("--etcd-certfile", &credentials.cert_file),
        ("--etcd-keyfile", &credentials.key_file),
        ("--tls-cert-file", &credentials.cert_file),
        ("--tls-private-key-file", &credentials.key_file),
        ("--service-account-key-file", &credentials.service_account_key_file),
        ("--service-account-signing-key-file", &credentials.service_account_key_file),
        ("--token-auth-file", &credentials.token_file),
    ];
    for (flag, file) in files {
        command.arg(flag).arg(file);
    }
    let (policy, log) = (folder.file("audit-policy.yaml"), folder.file(AUDIT_LOG));
    audit::write_policy(&policy)?;
    // Written before the answer is, so that whoever has an answer finds the request in the log.
    command.arg("--audit-log-mode=blocking");
    for (flag, file) in [("--audit-policy-file", &policy), ("--audit-log-path", &log)] {
        command.arg(flag).arg(file);
    }
    Server::start("kube-apiserver", &mut command, folder, guardian)
}
