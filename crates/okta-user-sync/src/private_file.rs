//! Files that only their owner may read: private keys, and manifests of Secrets.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use okta::key::PrivateKey;
use secrecy::ExposeSecret as _;

use crate::exit::Stop;

/// Writes a private key into a file that was not there before: PEM, or a JWK where PEM cannot say what the key signs with.
///
/// # Errors
/// The file is there already, or cannot be written; then there is none afterwards.
pub fn keep_key(file: &Path, key: &PrivateKey) -> Result<(), Stop> {
    let text = key.to_text().map_err(|error| Stop::undone(error.to_string(), error.remedy()))?;
    make(file, text.expose_secret())
}

/// Makes a file of mode 0600 that was not there before.
///
/// # Errors
/// As [`keep_key`].
pub fn make(file: &Path, content: &str) -> Result<(), Stop> {
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options.write(true).create_new(true).mode(0o600).open(file).map_err(|error| {
        let remedy = if error.kind() == ErrorKind::AlreadyExists {
            "name another file, or move that one away: a key is never overwritten"
        } else {
            "name a file in a folder that can be written"
        };
        Stop::bad_input(format!("{}: {error}", file.display()), remedy)
    })?;
    let written = opened.write_all(content.as_bytes()).and_then(|()| opened.sync_all());
    written.map_err(|error| {
        // Half a key is of no use to anybody. If it cannot be removed, the message says where it is.
        let _ = std::fs::remove_file(file);
        Stop::undone(format!("{} cannot be written: {error}", file.display()), "free some disk space")
    })
}

/// The same in place of a file that may be there; that one's mode and readers go with it.
///
/// # Errors
/// As [`keep_key`].
pub fn replace(file: &Path, content: &str) -> Result<(), Stop> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Stop::bad_input(format!("{}: {error}", file.display()), "name a file in a folder that can be written"))
        }
        _ => make(file, content),
    }
}
