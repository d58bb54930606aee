//! The words of the README and of docs/install.md, run word for word: every shell block marked `runnable=...`, page by page,
//! against a real API server, with real helm and kubectl, and the real binary run as the Deployment says.
//!
//! What a reader does in between is done here as well: the places of the quickstart are filled in. The chart trusts the
//! simulated Okta by a default in its values, since a document has no word for that.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::fs;
use std::path::Path;

mod support;
use support::cluster::{Cluster, repository};

/// The shell blocks of a page that are to be run, in order.
fn blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join(page)).unwrap();
    let mut blocks = Vec::new();
    let mut open = None::<String>;
    for line in text.lines() {
        match &mut open {
            Some(_) if line.trim() == "```" => blocks.extend(open.take()),
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
            None if line.starts_with("```sh runnable=") => open = Some(String::new()),
            None => {}
        }
    }
    blocks
}

/// What the words of a document need of the repository, with the places filled in.
fn copy(cluster: &Cluster, folder: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([repository().join("charts"), repository().join("examples")])
        .arg(folder)
        .status();
    assert!(copied.unwrap().success());
    fs::write(folder.join("examples/quickstart.yaml"), cluster.world.quickstart()).unwrap();
    let values = folder.join("charts/okta-user-sync/values.yaml");
    let text = fs::read_to_string(&values).unwrap();
    let ca = fs::read_to_string(cluster.world.okta.field("caFile")).unwrap();
    let trusting = text.replace("oktaCA: \"\"", &format!("oktaCA: {}", serde_json::Value::String(ca)));
    assert_ne!(text, trusting);
    fs::write(values, trusting).unwrap();
}

/// Runs every block of a page.
async fn follow(page: &str, least: usize) -> String {
    let blocks = blocks(page);
    assert!(blocks.len() >= least, "{page} has {} blocks to run", blocks.len());
    let cluster = Cluster::start(5).await;
    let folder = tempfile::tempdir().unwrap();
    copy(&cluster, folder.path());
    blocks.iter().map(|block| cluster.follow(block, folder.path(), page)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_can_be_followed_word_for_word() {
    let said = follow("README.md", 1).await;
    assert!(said.contains("NAME"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn installing_can_be_followed_word_for_word() {
    let said = follow("docs/install.md", 5).await;
    let table = said.lines().find(|line| line.contains("acme") && line.contains("True"));
    assert!(table.is_some(), "{said}");
}
