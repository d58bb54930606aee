//! The key of the API Services app: the one that is there, or a new one.

use std::path::Path;

use okta::key::{KeyKind, PrivateKey};

use crate::exit::Stop;
use crate::private_file::keep_key;

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
            keep_key(file, &key)?;
            Ok((key, true))
        }
        Err(error) => Err(unusable(file, &error)),
    }
}

fn unusable(file: &Path, error: &std::io::Error) -> Stop {
    Stop::bad_input(format!("{}: {error}", file.display()), "name a file that can be read")
}
