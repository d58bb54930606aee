//! Every example, applied to a real API server that checks strictly: our own resources against our definition with its
//! defaults and rules, those of other projects against theirs.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use suites::chart::{Helm, documents, dry_run, install_definitions, kubeconform, make_namespaces, repository};

/// Every file below a folder with this extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// The examples that are Kubernetes objects, and these objects.
fn examples() -> Vec<(PathBuf, Vec<Value>)> {
    let read = |path: PathBuf| {
        let all = documents(&fs::read_to_string(&path).unwrap());
        (path, all)
    };
    let all = files(&repository().join("examples"), "yaml").into_iter().map(read);
    // Chart values and Teleport's own resources have no apiVersion.
    all.filter(|(_, documents)| documents.iter().all(|document| document["apiVersion"].is_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_takes_every_example() {
    let client = testkit::control_plane::shared().await.unwrap().client().unwrap();
    install_definitions(&client).await;
    make_namespaces(&client, &["okta-user-sync", "flux-system", "argocd"]).await;
    let examples = examples();
    assert!(examples.len() >= 10, "{examples:?}");
    for (path, documents) in &examples {
        for document in documents {
            let taken = dry_run(&client, document).await;
            taken.unwrap_or_else(|error| panic!("{}, {}: {error}", path.display(), document["kind"]));
        }
    }
    // The check itself can fail.
    let mut wrong = examples.iter().flat_map(|(_, all)| all).find(|one| one["kind"] == "OktaUserSync").unwrap().clone();
    wrong["spec"]["users"]["role"] = "editor".into();
    let refused = dry_run(&client, &wrong).await.unwrap_err();
    assert!(refused.to_string().contains("spec.users.role"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_fits_its_schema() {
    let helm = Helm::provide().await;
    let client = testkit::control_plane::shared().await.unwrap().client().unwrap();
    install_definitions(&client).await;
    for (path, _) in examples() {
        let text = fs::read_to_string(&path).unwrap();
        kubeconform(&helm, &client, &text).await.unwrap_or_else(|words| panic!("{}: {words}", path.display()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_values_of_the_examples_fit_the_chart() {
    let helm = Helm::provide().await;
    let production = fs::read_to_string(repository().join("examples/production/values.yaml")).unwrap();
    let mut values = vec![documents(&production).remove(0)];
    for (_, documents) in examples() {
        for document in documents {
            let inline = [&document["spec"]["values"], &document["spec"]["source"]["helm"]["valuesObject"]];
            values.extend(inline.into_iter().filter(|values| values.is_object()).cloned());
        }
    }
    assert_eq!(values.len(), 3, "production, Flux and Argo CD");
    for values in values {
        helm.render(&values, &[]).unwrap_or_else(|words| panic!("{values}: {words}"));
    }
}

#[test]
fn every_example_is_in_the_list_and_says_what_it_is_for() {
    let folder = repository().join("examples");
    let list = fs::read_to_string(folder.join("README.md")).unwrap();
    for path in files(&folder, "yaml") {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{} does not say what it is for", path.display());
        let name = path.strip_prefix(&folder).unwrap();
        let shown = name.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(name);
        assert!(list.contains(&format!("]({}", shown.display())), "{} is not in examples/README.md", name.display());
    }
}
