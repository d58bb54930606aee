//! The root file system of the container image, the same from the same inputs whoever lays it out: the binary, Mozilla's
//! certificate authorities as `Cargo.lock` pins them, the user that it runs as, and nothing else.

use std::fs::{self, File, FileTimes, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Where the binary is.
pub const BINARY: &str = "usr/local/bin/okta-user-sync";

/// Where rustls-native-certs looks for authorities on a Linux without OpenSSL's own settings.
pub const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// Who is who: the user that the image runs as has a name, so that tools that show names have one to show.
const PASSWD: &str = "nonroot:x:65532:65532::/:/nonexistent\n";

/// A file or folder that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}; name a binary that is there and a folder that is not", .path.display())]
pub struct LayoutError {
    path: PathBuf,
    source: io::Error,
}

/// Lays out `root`, which must not be there yet, with `binary` in it; everything is as old as `epoch` (seconds since 1970,
/// as in <https://reproducible-builds.org/specs/source-date-epoch/>).
///
/// # Errors
/// The binary cannot be read, or the folder is there or cannot be written.
pub fn lay_out(root: &Path, binary: &Path, epoch: u64) -> Result<(), LayoutError> {
    make_folder(root)?;
    let program = fs::read(binary).map_err(at(binary))?;
    for (path, content, mode) in [
        (BINARY, program.as_slice(), 0o755),
        (AUTHORITIES, authorities().as_bytes(), 0o644),
        ("etc/passwd", PASSWD.as_bytes(), 0o644),
    ] {
        let mut folder = root.to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        for part in &parts[..parts.len() - 1] {
            folder.push(part);
            if !folder.exists() {
                make_folder(&folder)?;
            }
        }
        let file = root.join(path);
        fs::write(&file, content).map_err(at(&file))?;
        fs::set_permissions(&file, Permissions::from_mode(mode)).map_err(at(&file))?;
    }
    date(root, SystemTime::UNIX_EPOCH + Duration::from_secs(epoch))
}

/// The certificate authorities as one PEM file (RFC 7468), in the order of Mozilla's list.
#[must_use]
pub fn authorities() -> String {
    let mut text = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = BASE64_STANDARD.encode(certificate);
        for line in encoded.as_bytes().chunks(64) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// A new folder that everybody may enter, whatever the umask.
fn make_folder(folder: &Path) -> Result<(), LayoutError> {
    fs::create_dir(folder).map_err(at(folder))?;
    fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(at(folder))
}

/// Sets the age of a folder and of all below it; of what is below first, because writing there changes the folder's own.
fn date(path: &Path, time: SystemTime) -> Result<(), LayoutError> {
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(at(path))? {
            date(&entry.map_err(at(path))?.path(), time)?;
        }
    }
    let times = FileTimes::new().set_accessed(time).set_modified(time);
    File::open(path).and_then(|file| file.set_times(times)).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> LayoutError + '_ {
    move |source| LayoutError { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn all_authorities_can_be_read_back() {
        let text = authorities();
        let read: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().unwrap();
        assert!(read.len() > 100 && read == webpki_root_certs::TLS_SERVER_ROOT_CERTS, "{}", read.len());
    }

    #[test]
    fn a_root_file_system_holds_three_files_all_of_one_age_and_is_never_laid_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("binary");
        fs::write(&binary, "program").unwrap();
        let root = folder.path().join("root");
        lay_out(&root, &binary, 1_700_000_000).unwrap();
        let mut files = Vec::new();
        let mut open = vec![root.clone()];
        while let Some(path) = open.pop() {
            let about = fs::metadata(&path).unwrap();
            let age = about.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(age.as_secs(), 1_700_000_000, "{}", path.display());
            let mode = about.permissions().mode() & 0o7777;
            if about.is_dir() {
                assert_eq!(mode, 0o755, "{}", path.display());
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                files.push((path.strip_prefix(&root).unwrap().display().to_string(), mode));
            }
        }
        files.sort();
        let wanted = [("etc/passwd", 0o644), (AUTHORITIES, 0o644), (BINARY, 0o755)];
        assert_eq!(files, wanted.map(|(path, mode)| (path.to_owned(), mode)));
        assert_eq!(fs::read_to_string(root.join(BINARY)).unwrap(), "program");

        let words = lay_out(&root, &binary, 0).unwrap_err().to_string();
        assert!(words.contains("exists") && words.contains("a folder that is not"), "{words}");
        let words = lay_out(&folder.path().join("other"), Path::new("/nowhere/binary"), 0).unwrap_err().to_string();
        assert!(words.starts_with("/nowhere/binary"), "{words}");
    }
}
