//! What can go wrong in the simulator itself. What it tells its callers is a [`crate::Refusal`].

/// The simulator could not start, or could not make what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum TeleportSimError {
    /// A port could not be bound.
    #[error("teleport-sim cannot listen on {address}: {source}; choose another address, or port 0 for any free one")]
    Listen {
        /// What was to be bound.
        address: std::net::SocketAddr,
        /// Why it could not.
        source: std::io::Error,
    },
    /// A file (CA, identity) could not be written.
    #[error("teleport-sim cannot write {path}: {source}; give it a folder that it may write to")]
    File {
        /// Which file.
        path: std::path::PathBuf,
        /// Why it could not.
        source: std::io::Error,
    },
    /// A key could not be made, or did not sign.
    #[error("teleport-sim cannot make or use a key: {0}")]
    Key(String),
    /// A certificate or a key that was handed in is not what it should be.
    #[error("teleport-sim cannot read {what}: {why}")]
    Malformed {
        /// What it was to be.
        what: &'static str,
        /// Why it is not.
        why: String,
    },
    /// The TLS configuration was refused.
    #[error("teleport-sim cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}
