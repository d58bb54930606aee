//! Why a simulated org cannot start.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::refusal::Refusal;

/// Why a simulated org cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OktaSimError {
    /// No listener at the address that was asked for.
    #[error("cannot listen at {address}: {source}; choose another address, or port 0 for any free port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the org could not be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS configuration is refused.
    #[error("cannot configure TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A key pair could not be made.
    #[error("cannot make a key pair: the crypto library gave no reason")]
    Key,
    /// The people asked for could not be made.
    #[error("cannot make the org's people: {0}")]
    Seed(#[from] Refusal),
}
