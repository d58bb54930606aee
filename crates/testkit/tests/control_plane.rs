//! The control plane is the real thing, is shared by the tests of a process, and leaves nothing behind.

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt as _};
use testkit::control_plane::{ControlPlane, Options, shared};

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

/// Processes whose command line holds `text`, by name.
fn processes_with(text: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}
