//! Texts that are kept word for word in `tests/snapshots/`; `UPDATE=1` writes them anew.

use std::path::{Path, PathBuf};

/// Where they are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")
}

/// Compares a text with the one in the folder. What is wrong, if anything.
pub fn differs(name: &str, text: &str) -> Option<String> {
    let path = folder().join(format!("{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(&path, text).unwrap();
        return None;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    (kept != text).then(|| format!("{}:\n--- kept\n{kept}\n--- now\n{text}", path.display()))
}

/// Fails with all differences.
pub fn hold(differences: &[String], test: &str) {
    assert!(
        differences.is_empty(),
        "{}\n\nIf that is as it should be: UPDATE=1 cargo test -p okta-user-sync --test {test}",
        differences.join("\n")
    );
}
