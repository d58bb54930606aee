//! The folder of one control plane: data, certificates, logs. It lives as long as its control plane.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// How such a folder is recognised in the system's folder for temporary files; the process id follows.
const PREFIX: &str = "okta-user-sync-control-plane-";

/// Held locked by the living owner.
const LOCK: &str = "lock";

/// A folder that only its owner may read, locked while the owner lives and removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: TempDir,
    _lock: File,
}

impl Folder {
    /// Makes a folder in the system's folder for temporary files.
    pub(crate) fn make() -> io::Result<Self> {
        Self::make_in(&env::temp_dir())
    }

    fn make_in(parent: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir_in(parent)?;
        // The lock gets its name when it is held, so that nobody can find it free in between.
        let unnamed = folder.path().join("lock.new");
        let lock = File::create(&unnamed)?;
        lock.try_lock().map_err(io::Error::from)?;
        fs::rename(unnamed, folder.path().join(LOCK))?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Removes folders whose owner died together with its guardian. Best effort: what is in use or belongs to another
/// person stays.
pub(crate) fn sweep() {
    sweep_in(&env::temp_dir());
}

fn sweep_in(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if ours && is_abandoned(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_abandoned(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_the_dead_is_swept_and_one_of_the_living_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let living = Folder::make_in(parent.path()).unwrap();
        let dead = parent.path().join(format!("{PREFIX}1-x"));
        let foreign = parent.path().join("something-else");
        let unborn = parent.path().join(format!("{PREFIX}2-x"));
        for folder in [&dead, &foreign, &unborn] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(foreign.join(LOCK), "").unwrap();

        sweep_in(parent.path());

        assert!(!dead.exists(), "its lock was free");
        assert!(living.path().exists() && foreign.exists() && unborn.exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists(), "dropped is removed");
    }
}
