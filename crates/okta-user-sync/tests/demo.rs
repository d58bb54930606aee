//! `demo` as a program runs it: one document, every step observed on both sides.

use std::fmt::Write as _;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use serde_json::Value;
use testkit::process::Stream;
use testkit::{Launch, eventually};

mod support;
use support::snapshot::{differs, hold};
use support::{binary, told};

/// The control plane may have to be built first, which takes minutes.
const PATIENCE: Duration = Duration::from_secs(900);

#[tokio::test]
async fn every_step_is_observed_in_teleport_and_in_status() {
    let mut demo = Launch::new(binary()).args(["demo", "-o", "json", "--people", "25"]).start().unwrap();
    let status = demo.wait(PATIENCE).await.unwrap();
    let out: String =
        demo.lines().into_iter().filter(|(stream, _)| *stream == Stream::Out).map(|(_, line)| line + "\n").collect();
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {}", demo.output()));
    assert_eq!((status.code(), &document["ok"]), (Some(0), &Value::Bool(true)), "{}", demo.output());

    let steps = document["steps"].as_array().unwrap();
    let names: Vec<_> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    let expected = [
        "control-plane",
        "simulators",
        "definition",
        "operator",
        "import",
        "quiet",
        "profile",
        "deactivated",
        "suspended",
        "unsuspended",
        "unassigned",
        "returned",
        "renamed",
        "brake",
        "approved",
        "kubectl-get",
    ];
    assert_eq!(names, expected);
    for step in steps {
        let mut fields: Vec<_> = step.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["expected", "name", "observed", "ok", "seconds"]);
        assert!(step["seconds"].is_f64() && !step["observed"].as_str().unwrap().is_empty(), "{step:#}");
    }
    assert!(steps[15]["observed"].as_str().unwrap().starts_with("NAME   READY   USERS"), "{:#}", steps[15]);
}

/// The story without what is another at each run: seconds, times, hashes, and whatever the four steps before it found.
fn still(lines: impl Iterator<Item = String>) -> String {
    let (mut text, mut preparing, mut table) = (String::new(), true, false);
    for line in lines.take_while(|line| !line.starts_with("Everything stays up")) {
        if let Some(step) = line.strip_prefix("✓ ") {
            let name = step.split(' ').next().unwrap_or_default();
            (preparing, table) = (preparing && name != "import", name == "kubectl-get");
            let _ = writeln!(text, "✓ {name} (<seconds> s)");
        } else if line.starts_with("    ") && (preparing || table && !line.contains("NAME ")) {
            text.push_str("    <found>\n");
        } else {
            let words = line.split(' ').map(|word| {
                let hash = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
                if hash {
                    "<hash>"
                } else if word.parse::<jiff::Timestamp>().is_ok() {
                    "<time>"
                } else {
                    word
                }
            });
            text.push_str(&words.collect::<Vec<_>>().join(" "));
            text.push('\n');
        }
    }
    text
}

#[tokio::test]
async fn keep_leaves_everything_up_until_a_signal() {
    let mut demo = Launch::new(binary()).args(["demo", "--keep", "--people", "20"]).start().unwrap();
    let kubeconfig = demo
        .await_line(PATIENCE, "export KUBECONFIG=", |_, line| {
            Some(line.trim().strip_prefix("export KUBECONFIG=")?.to_owned())
        })
        .await
        .unwrap();
    let told = demo.lines().into_iter().filter(|(stream, _)| *stream == Stream::Out).map(|(_, line)| line);
    hold(&differs("output-demo", &still(told)).into_iter().collect::<Vec<_>>(), "demo");
    let config = kube::config::Kubeconfig::read_from(&kubeconfig).unwrap();
    let config =
        kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default()).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let listed = kube::Api::<api::OktaUserSync>::all(client).list(&ListParams::default()).await.unwrap();
    assert_eq!(listed.items.len(), 1);

    let status = demo.terminate(Duration::from_secs(60)).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", demo.output());
    eventually(Duration::from_secs(20), "the control plane's folder to go", async || {
        if std::path::Path::new(&kubeconfig).exists() { Err("it is still there") } else { Ok(()) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_cluster_of_one_s_own_is_left_as_it_was() {
    let control_plane = testkit::ControlPlane::start(testkit::control_plane::Options::default()).await.unwrap();
    let kubeconfig = control_plane.kubeconfig().to_str().unwrap().to_owned();
    let arguments = ["demo", "-o", "json", "--people", "20", "--kubeconfig", &kubeconfig];
    let mut demo = Launch::new(binary()).args(arguments).start().unwrap();
    let status = demo.wait(PATIENCE).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", demo.output());

    let client = control_plane.client().unwrap();
    let definitions = kube::Api::<CustomResourceDefinition>::all(client.clone());
    eventually(Duration::from_secs(30), "the definition to go", async || {
        match definitions.list(&ListParams::default()).await {
            Ok(left) if left.items.is_empty() => Ok(()),
            Ok(_) => Err("it is still there".to_owned()),
            Err(e) => Err(e.to_string()),
        }
    })
    .await
    .unwrap();
    let namespaces = kube::Api::<Namespace>::all(client).list(&ListParams::default()).await.unwrap();
    let left: Vec<_> = namespaces
        .iter()
        // Nobody empties namespaces here; what counts is that it was deleted.
        .filter(|one| one.metadata.deletion_timestamp.is_none())
        .filter_map(|one| one.metadata.name.as_deref().filter(|name| name.contains("okta")))
        .collect();
    assert_eq!(left, Vec::<&str>::new());
}

#[test]
fn without_an_api_server_one_sentence_says_what_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(binary());
        command.args(arguments).env_clear().env("HOME", home.path()).env("PATH", home.path());
        told(&command.output().unwrap())
    };
    let (code, out, err) = run(&["demo"]);
    assert_eq!(code, 2, "{err}");
    assert!(out.starts_with("✗ control-plane"), "{out}");
    assert_eq!(err.lines().count(), 1, "more than one sentence: {err}");
    for way in ["install Go", "KUBEBUILDER_ASSETS", "--kubeconfig"] {
        assert!(err.contains(way), "{way} not in {err}");
    }
    let (code, out, _) = run(&["demo", "-o", "json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["ok"], &document["steps"][0]["ok"]), (2, &Value::Bool(false), &Value::Bool(false)));
}

#[test]
fn too_few_people_and_a_bad_kubeconfig_are_bad_input() {
    for (arguments, expected) in [
        (&["demo", "--people", "5"][..], "the story needs 20 people"),
        (&["demo", "--kubeconfig", "/nowhere/config"], "/nowhere/config"),
    ] {
        let (code, _, err) = told(&support::run(arguments));
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(expected), "{err}");
    }
}
