//! The control plane is the real thing, is shared by the tests of a process, and leaves nothing behind.

// Helper functions of a test may say what they expect, as the test functions do.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt as _};
use testkit::control_plane::{ControlPlane, Options, SERVICE_ACCOUNT_ISSUER, shared};
use testkit::{Launch, Process, eventually};

/// More than a busy machine needs to start or end the servers.
const SOON: Duration = Duration::from_secs(120);

async fn service_account(client: &Client, namespace: &str, name: &str) {
    let account = ServiceAccount {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        ..ServiceAccount::default()
    };
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &account).await.unwrap();
}

#[tokio::test]
async fn a_control_plane_starts_serves_and_is_gone_when_it_is_stopped() {
    let control_plane = ControlPlane::start(Options::default()).await.unwrap();
    let version = control_plane.client().unwrap().apiserver_version().await.unwrap();
    assert_eq!(version.major, "1");
    assert!(!version.git_version.starts_with("v0"), "charts ask for a version: {}", version.git_version);

    let folder = control_plane.kubeconfig().parent().unwrap().to_owned();
    assert!(folder.join("etcd").is_dir());
    control_plane.stop();
    assert!(!folder.exists());
    assert_eq!(processes_with(folder.to_str().unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn tests_share_one_control_plane_and_have_a_namespace_each() {
    let control_plane = shared().await.unwrap();
    assert_eq!(shared().await.unwrap().url(), control_plane.url());

    let client = control_plane.client().unwrap();
    let (mine, yours) =
        (testkit::namespace(&client, "share").await.unwrap(), testkit::namespace(&client, "share").await.unwrap());
    assert_ne!(mine, yours);
    let secret =
        Secret { metadata: ObjectMeta { name: Some("key".into()), ..ObjectMeta::default() }, ..Secret::default() };
    Api::<Secret>::namespaced(client.clone(), &mine).create(&PostParams::default(), &secret).await.unwrap();
    let seen = Api::<Secret>::namespaced(client, &yours).list(&ListParams::default()).await.unwrap();
    assert!(seen.items.is_empty());
}

#[tokio::test]
async fn the_kubeconfig_file_leads_to_the_same_server() {
    let control_plane = shared().await.unwrap();
    let kubeconfig = kube::config::Kubeconfig::read_from(control_plane.kubeconfig()).unwrap();
    let config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await.unwrap();
    let client = Client::try_from(config).unwrap();
    let namespace = testkit::namespace(&control_plane.client().unwrap(), "file").await.unwrap();
    let found: k8s_openapi::api::core::v1::Namespace = Api::all(client).get(&namespace).await.unwrap();
    assert_eq!(found.name_any(), namespace);
}

#[tokio::test]
async fn a_service_account_without_rights_is_known_and_refused() {
    let control_plane = shared().await.unwrap();
    let admin = control_plane.client().unwrap();
    let namespace = testkit::namespace(&admin, "powerless").await.unwrap();
    service_account(&admin, &namespace, "nobody").await;

    let nobody = control_plane.client_as_service_account(&namespace, "nobody").await.unwrap();
    let refusal = Api::<Secret>::namespaced(nobody, &namespace).list(&ListParams::default()).await.unwrap_err();
    let kube::Error::Api(status) = refusal else { panic!("not an answer of the server: {refusal}") };
    assert_eq!(status.code, 403, "{status:?}");
    let user = format!("system:serviceaccount:{namespace}:nobody");
    assert!(status.message.contains(&user), "the server knows who asks: {}", status.message);
}

#[tokio::test]
async fn a_token_request_gives_a_token_that_the_server_accepts_for_its_audience_alone() {
    let control_plane = shared().await.unwrap();
    let admin = control_plane.client().unwrap();
    let namespace = testkit::namespace(&admin, "token").await.unwrap();
    service_account(&admin, &namespace, "operator").await;
    let review = async |token: String, audience: &str| {
        let spec = TokenReviewSpec { token: Some(token), audiences: Some(vec![audience.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = Api::all(admin.clone()).create(&PostParams::default(), &review).await.unwrap();
        answer.status.unwrap()
    };

    let token = control_plane.service_account_token(&namespace, "operator", &[]).await.unwrap();
    let status = review(token.clone(), SERVICE_ACCOUNT_ISSUER).await;
    assert_eq!(status.authenticated, Some(true), "{status:?}");
    assert_eq!(status.user.unwrap().username, Some(format!("system:serviceaccount:{namespace}:operator")));
    assert_ne!(review(token, "somebody-else").await.authenticated, Some(true));

    let token = control_plane.service_account_token(&namespace, "operator", &["teleport.example.com"]).await.unwrap();
    assert_ne!(review(token.clone(), SERVICE_ACCOUNT_ISSUER).await.authenticated, Some(true));
    let outsider = control_plane.client_with_token(&token).unwrap();
    let refusal = outsider.apiserver_version().await.unwrap_err();
    assert!(matches!(&refusal, kube::Error::Api(status) if status.code == 401), "{refusal}");
}

#[tokio::test]
async fn the_keys_of_service_account_tokens_are_published_as_in_a_cluster() {
    let client = shared().await.unwrap().client().unwrap();
    let get = async |path: &str| {
        let text = client.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    assert_eq!(get("/.well-known/openid-configuration").await["issuer"], SERVICE_ACCOUNT_ISSUER);
    assert_eq!(get("/openid/v1/jwks").await["keys"][0]["alg"], "RS256");
}

/// Starts a control plane in a process of its own; gives the process and the folder of the control plane.
async fn in_another_process() -> (Process, String) {
    let mut process = Launch::new(env!("CARGO_BIN_EXE_local-control-plane")).start().unwrap();
    let ready = process.first_json(10 * SOON).await.unwrap();
    let folder = ready["folder"].as_str().unwrap().to_owned();
    (process, folder)
}

#[tokio::test]
async fn nothing_is_left_when_the_owner_is_killed() {
    let (mut owner, folder) = in_another_process().await;
    let servers = processes_with(&folder);
    for server in ["etcd", "kube-apiserver", "guardian"] {
        assert!(servers.iter().any(|line| line.contains(server)), "{server} is not in {servers:?}");
    }

    owner.kill().unwrap();

    eventually(SOON, "the end of servers and folder", async || {
        let left = processes_with(&folder);
        if left.is_empty() && !Path::new(&folder).exists() { Ok(()) } else { Err(format!("{folder} {left:?}")) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn nothing_is_left_when_the_owner_is_told_to_end() {
    let (mut owner, folder) = in_another_process().await;
    assert!(owner.terminate(SOON).await.unwrap().success(), "{}", owner.output());
    assert_eq!(processes_with(&folder), Vec::<String>::new());
    assert!(!Path::new(&folder).exists());
}

#[tokio::test]
async fn a_machine_with_nothing_gets_the_sentence_and_not_a_stack() {
    let home = std::env::temp_dir().join("no-such-home");
    let mut process = Launch::new(env!("CARGO_BIN_EXE_local-control-plane"))
        .bare()
        .env("HOME", home)
        .env("PATH", "")
        .start()
        .unwrap();
    assert!(!process.wait(SOON).await.unwrap().success());
    let output = process.output();
    assert_eq!(output.lines().count(), 1, "{output}");
    assert!(output.contains("install Go 1.24 or newer, or set KUBEBUILDER_ASSETS"), "{output}");
}

/// Processes whose command line holds `text`, by name.
fn processes_with(text: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}
