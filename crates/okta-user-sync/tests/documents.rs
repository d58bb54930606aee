//! The words of the documents, run word for word: every shell block marked `runnable=...`, page by page, against a real API
//! server, with real helm and kubectl, and the real binary run as the Deployment says. (`tests/tests/documents.rs` sees to it
//! that every other shell block says what it needs that is not here.)
//!
//! What a reader does in between is done here as well: the places of the quickstart are filled in. The chart trusts the
//! simulated Okta by a default in its values, since a document has no word for that.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use testkit::eventually;

mod support;
use support::cluster::{Cluster, NAMESPACE, RESOURCE, SOON, repository};

/// The shell blocks of a page that are to be run in one of these situations, in order.
fn blocks(page: &Path, situations: &[&str]) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut blocks = Vec::new();
    let mut open = None::<String>;
    for line in text.lines() {
        match &mut open {
            Some(_) if line.trim() == "```" => blocks.extend(open.take()),
            Some(block) => {
                block.push_str(line.trim_start());
                block.push('\n');
            }
            None => {
                let situation = line.trim_start().strip_prefix("```sh runnable=");
                open = situation.filter(|one| situations.contains(&one.trim())).map(|_| String::new());
            }
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

/// Runs every block of a page that begins with an empty cluster.
async fn follow(page: &str, least: usize) -> String {
    let blocks = blocks(&repository().join(page), &["chart", "preview"]);
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

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_s_own_page_can_be_followed_word_for_word() {
    let said = follow("charts/okta-user-sync/README.md", 1).await;
    assert!(said.contains("deployed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn setting_up_okta_can_be_followed_word_for_word() {
    let blocks = blocks(&repository().join("docs/okta-setup.md"), &["setup"]);
    assert!(blocks.len() >= 2, "{blocks:?}");
    let cluster = Cluster::start(1).await;
    let folder = tempfile::tempdir().unwrap();
    let said: String = blocks.iter().map(|block| cluster.follow(block, folder.path(), "docs/okta-setup.md")).collect();
    assert!(said.contains("secret/acme-okta-key created"), "{said}");
    let key = fs::read(folder.path().join("private.pem")).unwrap();
    let secret = cluster.find("Secret", "v1", "acme-okta-key").await.unwrap();
    assert_eq!(secret["data"]["private.pem"], BASE64_STANDARD.encode(key), "under the key that the page's YAML names");
}

/// Every page, with operating first: it sets the context's namespace, and its plan is approved before others look at it.
fn pages() -> Vec<PathBuf> {
    let (docs, runbooks) = (repository().join("docs"), repository().join("docs/runbooks"));
    let mut pages: Vec<PathBuf> = [docs.clone(), runbooks]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort_by_key(|page| (*page != docs.join("operations.md"), page.clone()));
    pages
}

#[tokio::test(flavor = "multi_thread")]
async fn operating_can_be_followed_word_for_word_on_every_page() {
    let cluster = Cluster::start(12).await;
    let folder = tempfile::tempdir().unwrap();
    copy(&cluster, folder.path());
    fs::write(folder.path().join("acme.yaml"), cluster.world.quickstart()).unwrap();
    cluster.helm("install", "charts/okta-user-sync", &[]);
    cluster.run("kubectl", &["apply", "--filename", cluster.world.manifest().to_str().unwrap()]);
    cluster.wait_until_ready();
    // More leave than the brake lets go.
    let people = cluster.world.assigned().await;
    for (id, _) in &people[..6] {
        cluster.world.unassign(id).await;
    }
    let held = cluster.pass("leavers").await;
    let hash = held["status"]["pendingPlan"]["hash"].as_str().unwrap_or_else(|| panic!("{:#}", held["status"]));
    let person = people[7].1.as_str();
    let places = [
        ("NAMESPACE", NAMESPACE),
        ("NAME", RESOURCE),
        ("PERSON", person),
        ("alice@example.com", person),
        ("HASH", hash),
    ];
    let mut run = 0;
    for page in pages() {
        for block in blocks(&page, &["operating"]) {
            let block = places.iter().fold(block, |text, (place, value)| text.replace(place, value));
            cluster.follow(&block, folder.path(), &page.display().to_string());
            run += 1;
        }
    }
    assert!(run > 20, "only {run} blocks were run");
    eventually(SOON, "the approved plan to be carried out", async || {
        let status = cluster.resource().await["status"].clone();
        let done = status["pendingPlan"].is_null() && status["users"]["inScope"] == 6;
        if done { Ok(()) } else { Err(format!("{status:#}")) }
    })
    .await
    .unwrap();
}
