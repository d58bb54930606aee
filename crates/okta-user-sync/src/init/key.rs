//! The key of the API Services app: the one that is there, or a new one.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use okta::key::{KeyKind, PrivateKey};
use secrecy::ExposeSecret as _;

use crate::exit::Stop;

/// The key in `file`; made there if there is no such file. And whether it was made.
///
/// # Errors
/// The file cannot be read or made, or holds no key.
pub fn take_or_make(file: &Path) -> Result<(PrivateKey, bool), Stop> {
    match std::fs::read(file) {
        Ok(bytes) => {
            let key = PrivateKey::parse(&bytes);
            key.map(|key| (key, false)).map_err(|e| Stop::bad_input(format!("{}: {e}", file.display()), e.remedy()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = PrivateKey::generate(KeyKind::Rsa2048).map_err(|e| Stop::undone(e.to_string(), e.remedy()))?;
            let pem = key.to_pkcs8_pem().map_err(|e| Stop::undone(e.to_string(), e.remedy()))?;
            write_private(file, pem.expose_secret())?;
            Ok((key, true))
        }
        Err(error) => Err(unusable(file, &error)),
    }
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// It cannot be written.
pub fn write_private(file: &Path, content: &str) -> Result<(), Stop> {
    let _ = std::fs::remove_file(file);
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    opened.and_then(|mut opened| opened.write_all(content.as_bytes())).map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, error: &std::io::Error) -> Stop {
    Stop::bad_input(format!("{}: {error}", file.display()), "name a file that can be read and written")
}
