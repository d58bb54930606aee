//! The image: what its recipes refer to exists; and where buildah and a Rust for musl are at hand it is built as a release
//! builds it, without a daemon and twice in different folders, and started from its own root file system.
//!
//! That takes two release builds (`target/image` and `target/image-again` keep what they can), so a machine without
//! buildah, such as one that only develops, does not pay for it.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use suites::chart::{repository, succeed};
use suites::skip;

/// What the image may weigh, compressed.
const MOST_BYTES: u64 = 20 * 1024 * 1024;

/// The recipe that needs nothing but an engine for containers, and the one over a root file system that is there.
const RECIPES: [&str; 2] = ["Dockerfile", "image/Dockerfile"];

/// The image needs Rust 1 with this minor version, for its musl: packed relocations are what makes the program start.
const OLDEST_RUST: u32 = 93;

fn recipe(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap()
}

#[test]
fn what_the_recipe_copies_and_builds_exists() {
    let recipe = recipe("Dockerfile");
    let mut copied = Vec::new();
    for line in recipe.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--")) {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words.pop();
        for word in words {
            assert!(repository().join(word).exists(), "the Dockerfile copies {word}, which is not there");
            copied.push(word);
        }
    }
    // A workspace is read whole, so all of its members have to be there.
    let workspace = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let members = workspace.lines().find_map(|line| line.strip_prefix("members = [")).unwrap();
    for member in members.trim_end_matches(']').split(", ") {
        let member = member.trim_matches('"').trim_end_matches("/*");
        assert!(copied.contains(&member), "the Dockerfile does not copy {member}");
    }
    let build = fs::read_to_string(repository().join("image/build")).unwrap();
    assert!(recipe.contains(&format!("ARG RUST=1.{OLDEST_RUST}\n")), "the oldest Rust that image/build can do with");
    assert!(build.contains(&format!("Needed: Rust 1.{OLDEST_RUST} or later")));
    let least =
        workspace.lines().find_map(|line| line.strip_prefix("rust-version = \"1.")).unwrap().trim_end_matches('"');
    assert!(least.parse::<u32>().unwrap() <= OLDEST_RUST, "the sources need a later one");
    let manifest = fs::read_to_string(repository().join("crates/okta-user-sync/Cargo.toml")).unwrap();
    assert!(build.contains("--no-default-features") && manifest.contains("default = [\"demo\"]"));
}

/// arm64 is built where a release is made, by the same recipe on a machine of that kind.
#[test]
fn each_architecture_of_a_release_is_a_machine_of_its_own_and_a_target_that_rust_knows() {
    let release = fs::read_to_string(repository().join(".github/workflows/release.yaml")).unwrap();
    let release: Value = serde_saphyr::from_str(&release).unwrap();
    let machines = release["jobs"]["image"]["strategy"]["matrix"]["include"].as_array().unwrap();
    let known = succeed(Command::new("rustc").args(["--print", "target-list"])).unwrap();
    let architectures = machines.iter().map(|machine| {
        let (architecture, runner) = (machine["arch"].as_str().unwrap(), machine["runner"].as_str().unwrap());
        assert_eq!(runner.ends_with("-arm"), architecture == "arm64", "{machine}: nothing is cross-compiled");
        // image/build takes the name from uname.
        let rust = if architecture == "arm64" { "aarch64" } else { "x86_64" };
        assert!(known.lines().any(|target| target == format!("{rust}-unknown-linux-musl")), "{architecture}");
        architecture
    });
    let architectures: Vec<&str> = architectures.collect();
    let named = format!("--platform linux/{}", architectures.join(",linux/"));
    assert!(recipe("Dockerfile").contains(&named), "the Dockerfile says how to build {architectures:?}");
    let index = release["jobs"]["publish"]["steps"].to_string();
    assert!(index.contains(&format!("for arch in {}", architectures.join(" "))), "one name for all of them");
}

#[test]
fn both_recipes_end_in_the_same_image_of_one_binary_that_is_not_root() {
    let last = RECIPES.map(|name| {
        let text = recipe(name);
        let (_, last) = text.rsplit_once("FROM scratch\n").unwrap_or_else(|| panic!("{name}"));
        let (copy, rest) = last.split_once('\n').unwrap();
        assert!(copy.starts_with("COPY ") && copy.ends_with(" /"), "{name}: {copy}");
        rest.to_owned()
    });
    assert_eq!(last[0], last[1]);
    assert!(last[0].contains("\nUSER 65532:65532\n"), "{}", last[0]);
    assert!(!last[0].contains("\nRUN ") && !last[0].contains("COPY"), "there is nothing that could run it");
    let chart = fs::read_to_string(repository().join("charts/okta-user-sync/values.yaml")).unwrap();
    assert!(chart.contains("runAsUser: 65532"), "the chart and the image name the same user");
}

/// Whether a command of this machine can be run and succeeds.
fn has(command: &[&str]) -> bool {
    let run = Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

const NO_BUILDAH: &str = "there is no buildah on the PATH to build the image with (Debian: apt-get install buildah)";

/// Why it cannot be built here, if it cannot.
fn missing() -> Option<&'static str> {
    let target = succeed(Command::new("rustc").args(["--print", "target-libdir", "--target"]).arg(target()));
    if !has(&["buildah", "--version"]) {
        Some(NO_BUILDAH)
    } else if !target.is_ok_and(|folder| Path::new(folder.trim()).is_dir()) {
        Some("this Rust cannot build for musl (rustup target add)")
    } else if minor_of_rust() < OLDEST_RUST {
        Some("this Rust is too old for the image (1.93 or later; rustup update)")
    } else if !has(&["musl-gcc", "--version"]) {
        Some("there is no C compiler for musl (Debian: apt-get install musl-tools)")
    } else if !has(&["make", "--version"]) {
        Some("there is no make, which builds the allocator (Debian: apt-get install make)")
    } else if !has(&["cargo", "auditable", "--help"]) {
        Some("there is no cargo-auditable (cargo install cargo-auditable)")
    } else if !has(&["sh", "-c", "command -v auditable2cdx"]) {
        Some("there is no auditable2cdx to list what is inside (cargo install auditable2cdx)")
    } else {
        None
    }
}

fn minor_of_rust() -> u32 {
    let version = succeed(Command::new("rustc").arg("--version")).unwrap();
    version.split('.').nth(1).unwrap().parse().unwrap()
}

fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// The sources as they are in this working tree, in another folder; what is unchanged there is left alone.
fn copy_of_the_sources() -> PathBuf {
    let copy = repository().join("target/image-again/src");
    fs::create_dir_all(&copy).unwrap();
    // A folder whose files are put there anew looks changed to Cargo, and everything would be built again.
    let script =
        "git ls-files -z | xargs -0 cp --parents --update --preserve=mode,timestamps --target-directory \"$1\"";
    succeed(Command::new("bash").args(["-euo", "pipefail", "-c", script, "bash"]).arg(&copy).current_dir(repository()))
        .unwrap();
    copy
}

/// Builds the root file system of the sources in `sources` into `root`, and an image of it; its digest.
fn build(sources: &Path, root: &Path, name: &str) -> String {
    let mut command = Command::new(sources.join("image/build"));
    // What this test itself was built with is no part of it.
    command.arg(root).env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR").env("SOURCE_DATE_EPOCH", "1700000000");
    succeed(&mut command).unwrap();
    pack(sources, root, name)
}

/// Makes an image of a root file system; its digest.
fn pack(sources: &Path, root: &Path, name: &str) -> String {
    let mut command = Command::new(sources.join("image/pack"));
    succeed(command.arg(root).arg(name).env("SOURCE_DATE_EPOCH", "1700000000")).unwrap().trim().to_owned()
}

/// Forgets images.
fn forget(names: &[&str]) {
    for name in names {
        succeed(Command::new("buildah").args(["rmi", "--force", name])).unwrap();
    }
}

/// What buildah knows of an image.
fn inspect(name: &str) -> Value {
    let inspected = succeed(Command::new("buildah").args(["inspect", "--type", "image", name])).unwrap();
    serde_json::from_str(&inspected).unwrap()
}

/// Runs the binary of a root file system in it: read-only, as the user of the image, and with nothing else in sight.
fn run_in(root: &Path, arguments: &[&str]) -> (bool, String) {
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && root=\"$1\" && shift && exec unshare \
                  --user --map-user=65532 --map-group=65532 --root=\"$root\" /usr/local/bin/okta-user-sync \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(root).args(arguments).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    match succeed(&mut command) {
        Ok(said) => (true, said),
        Err(said) => (false, said),
    }
}

/// Bytes of the layers, as a registry would hold them.
fn compressed(name: &str, folder: &Path) -> u64 {
    let archive = folder.join("image");
    succeed(Command::new("buildah").args(["push", "--quiet", name]).arg(format!("dir:{}", archive.display()))).unwrap();
    let manifest: Value = serde_json::from_slice(&fs::read(archive.join("manifest.json")).unwrap()).unwrap();
    manifest["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap()).sum()
}

/// Needs no Rust for musl and no time: any program stands in for the binary.
#[test]
fn one_root_file_system_is_packed_to_one_digest_whenever_and_wherever_it_lies() {
    if !has(&["buildah", "--version"]) {
        return skip(NO_BUILDAH).unwrap_or_default();
    }
    let folder = tempfile::tempdir().unwrap();
    let names = ["okta-user-sync:stand-in-one", "okta-user-sync:stand-in-two"];
    let digests = names.map(|name| {
        let root = folder.path().join(name.replace(':', "-"));
        image::lay_out(&root, Path::new("/bin/sh"), 1_700_000_000).unwrap();
        pack(&repository(), &root, name)
    });
    assert!(digests[0].starts_with("sha256:"), "{digests:?}");
    assert_eq!(digests[0], digests[1]);
    let inspected = inspect(names[0]);
    let config = &inspected["OCIv1"]["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], serde_json::json!([format!("/{}", image::BINARY)]));
    assert_eq!(config["Cmd"], serde_json::json!(["operator"]));
    let labels: Vec<&String> = config["Labels"].as_object().unwrap().keys().collect();
    assert!(
        labels.iter().all(|label| label.starts_with("org.opencontainers.image.")),
        "no word of the builder's: {labels:?}"
    );
    assert_eq!(labels.len(), 3, "{labels:?}");
    forget(&names);
}

#[test]
fn it_is_built_without_a_daemon_twice_to_the_same_digest_and_starts_read_only_as_its_user() {
    if let Some(why) = missing() {
        return skip(why).unwrap_or_default();
    }
    let folder = tempfile::tempdir().unwrap();
    // One of several test runs at a time: they would build into the same folders.
    fs::create_dir_all(repository().join("target")).unwrap();
    let lock = File::create(repository().join("target/image.lock")).unwrap();
    lock.lock().unwrap();
    let (root, again) = (folder.path().join("root"), folder.path().join("again"));
    let names = ["okta-user-sync:one", "okta-user-sync:two"];
    let first = build(&repository().canonicalize().unwrap(), &root, names[0]);
    let second = build(&copy_of_the_sources().canonicalize().unwrap(), &again, names[1]);
    assert!(first.starts_with("sha256:"), "{first}");
    assert_eq!(first, second, "built in two folders");

    let binary = root.join(image::BINARY);
    let about = succeed(Command::new("file").arg(&binary)).unwrap();
    assert!(about.contains("static") && about.contains("stripped"), "{about}");
    let bytes = compressed(names[0], folder.path());
    assert!(bytes <= MOST_BYTES, "the image has {bytes} bytes");
    // What is inside, as the release tells it: the program and what it is made of, without the simulators.
    let bill = succeed(Command::new("auditable2cdx").arg(&binary)).unwrap();
    let bill: Value = serde_json::from_str(&bill).unwrap();
    let parts = bill["components"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap());
    let parts: Vec<&str> = parts.collect();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert!(["engine", "kube", "rustls"].iter().all(|part| parts.contains(part)), "{parts:?}");
    assert!(!parts.iter().any(|part| part.ends_with("-sim")), "{parts:?}");

    let (started, said) = run_in(&root, &["--version"]);
    assert!(started && said.starts_with("okta-user-sync "), "{said}");
    // Its allocator is the one that gives memory back, which nobody would miss until it is measured.
    let told = Command::new(&binary).arg("--version").env("_RJEM_MALLOC_CONF", "stats_print:true").output().unwrap();
    let told = String::from_utf8(told.stderr).unwrap();
    for set in ["opt.narenas: 1\n", "opt.dirty_decay_ms: 1000 ", "opt.tcache_max: 4096\n"] {
        assert!(told.contains(set), "{set:?} is not in {told}");
    }
    let (_, said) = run_in(&root, &["key", "new", "/key.pem"]);
    assert!(said.contains("Read-only file system"), "{said}");
    // The authorities are found: what stands against this organisation is that nobody listens there.
    fs::write(root.join("acme.yaml"), MANIFEST).unwrap();
    succeed(Command::new(&binary).args(["key", "new"]).arg(root.join("key.pem"))).unwrap();
    fs::set_permissions(root.join("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let check = ["check", "-f", "/acme.yaml", "--okta-key", "/key.pem"];
    let (_, said) = run_in(&root, &check);
    let without = "No CA certificates were loaded from the system";
    assert!(said.contains("Connection refused") && !said.contains(without), "{said}");
    fs::remove_file(root.join(image::AUTHORITIES)).unwrap();
    let (_, said) = run_in(&root, &check);
    assert!(said.contains(without) && said.contains("a bundle of certificate authorities"), "it says so: {said}");
    println!("{first}: {bytes} bytes compressed, {} of the binary", fs::metadata(binary).unwrap().len());
    forget(&names);
}

/// An organisation at which nobody listens.
const MANIFEST: &str = "\
apiVersion: usersync.dev/v1alpha1
kind: OktaUserSync
metadata: { name: acme, namespace: okta-user-sync }
spec:
  okta:
    orgURL: https://127.0.0.1:9
    clientID: 0oa1api2services3app
    privateKeySecretRef: { name: acme-okta-key, key: private.pem }
  scope: { appID: 0oa9saml8app7teleprt }
";
