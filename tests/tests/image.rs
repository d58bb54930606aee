//! The image: what its recipe refers to exists; and where buildah is at hand it is built, without a daemon, and looked at.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use suites::chart::{repository, succeed};

/// What the image may weigh, compressed.
const MOST_BYTES: u64 = 20 * 1024 * 1024;

fn recipe() -> String {
    fs::read_to_string(repository().join("Dockerfile")).unwrap()
}

#[test]
fn what_the_recipe_copies_and_builds_exists() {
    let recipe = recipe();
    for line in recipe.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--")) {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words.pop();
        for word in words {
            assert!(repository().join(word).exists(), "the Dockerfile copies {word}, which is not there");
        }
    }
    // Everything that is compiled in lies below what is copied.
    let manifest = fs::read_to_string(repository().join("crates/okta-user-sync/Cargo.toml")).unwrap();
    assert!(recipe.contains("--no-default-features") && manifest.contains("default = [\"demo\"]"));
    let least = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let least =
        least.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"').to_owned();
    assert!(
        recipe.contains(&format!("ARG RUST={least}")),
        "the Dockerfile builds with the oldest Rust that is promised"
    );
}

#[test]
fn the_recipe_ends_in_an_image_of_one_binary_that_is_not_root() {
    let recipe = recipe();
    let last = recipe.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("scratch\n"), "{last}");
    assert!(last.contains("\nUSER 65532:65532\n"), "{last}");
    assert!(!last.contains("\nRUN "), "there is nothing that could run it");
    let chart = fs::read_to_string(repository().join("charts/okta-user-sync/values.yaml")).unwrap();
    assert!(chart.contains("runAsUser: 65532"), "the chart and the image name the same user");
}

#[test]
fn workflows_run_no_code_of_others_that_is_not_pinned() {
    for entry in fs::read_dir(repository().join(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\npermissions: { contents: read }\n"), "{}: rights begin small", path.display());
        for line in text.lines().filter(|line| line.trim_start().trim_start_matches("- ").starts_with("uses:")) {
            let pin = line.rsplit('@').next().unwrap().split_whitespace().next().unwrap();
            let pinned = pin.len() == 40 && pin.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(pinned, "{}: {line} is not pinned by digest", path.display());
        }
    }
}

#[test]
fn buildah_builds_it_without_a_daemon() {
    let Ok(version) = Command::new("buildah").arg("--version").output() else {
        eprintln!("skipped: there is no buildah on the PATH to build the image with");
        return;
    };
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let build = |archive: &Path| {
        let mut command = Command::new("buildah");
        command.args(["bud", "--layers", "--timestamp", "0", "--tag", "okta-user-sync:test", "."]);
        succeed(command.current_dir(repository()))?;
        let archive = format!("oci-archive:{}", archive.display());
        succeed(Command::new("buildah").args(["push", "okta-user-sync:test", &archive]))
    };
    let archive = folder.path().join("image.tar");
    if let Err(words) = build(&archive) {
        assert!(words.contains("registry") || words.contains("lookup") || words.contains("dial"), "{version}: {words}");
        eprintln!("skipped: {version} cannot fetch the image that builds: {words}");
        return;
    }
    let size = fs::metadata(&archive).unwrap().len();
    assert!(size <= MOST_BYTES, "the image has {size} bytes");
    let inspected =
        succeed(Command::new("buildah").args(["inspect", "--type", "image", "okta-user-sync:test"])).unwrap();
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["OCIv1"]["config"]["User"], "65532:65532");
    let started = || {
        let container = succeed(Command::new("buildah").args(["from", "okta-user-sync:test"]))?;
        let run =
            ["run", "--user", "65532:65532", container.trim(), "--", "/usr/local/bin/okta-user-sync", "--version"];
        let said = succeed(Command::new("buildah").args(run));
        succeed(Command::new("buildah").args(["rm", container.trim()]))?;
        said
    };
    let said = started().unwrap();
    assert!(said.starts_with("okta-user-sync "), "{said}");
    println!("{version}: {size} bytes");
}
