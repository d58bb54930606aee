//! A cluster in which charts are installed: a real API server that enforces the Pod Security Standard "restricted" in the
//! namespace, both simulators, and what runs pods.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::{ControlPlane, PodRunner, Tools, eventually};

use super::{World, binary};

/// Where everything is, as the README says it; also the name of the release, and so of its ServiceAccount.
pub const NAMESPACE: &str = "okta-user-sync";
/// Name of the resource in the quickstart.
pub const RESOURCE: &str = "acme";

/// More than a busy machine needs.
pub const SOON: Duration = Duration::from_secs(180);

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A cluster with a namespace that is restricted, both simulators, and what runs pods.
pub struct Cluster {
    tools: &'static Tools,
    client: Client,
    pub world: World,
    pub pods: PodRunner,
    /// How many requests the pods had made when the chart was installed; `usize::MAX` while it is not.
    installed: AtomicUsize,
    // Last, so that it ends last.
    control_plane: ControlPlane,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
    }
}

impl Cluster {
    /// The chart's rules allow whatever its pods have asked of the API server since they were installed. Not afterwards:
    /// helm takes an account's rights away while its pods still end.
    fn check(&self) {
        let asked = self.control_plane.requests_of(NAMESPACE, NAMESPACE);
        let since = asked.into_iter().skip(self.installed.load(Ordering::Relaxed));
        let refused: Vec<_> = since.filter(|request| request.code == 403).collect();
        assert!(refused.is_empty(), "the chart's rules do not allow what its pods asked: {refused:#?}");
    }

    /// The pods ask under the account that is looked at, so that the check above cannot look at nothing.
    fn has_asked(&self) {
        let asked = self.control_plane.requests_of(NAMESPACE, NAMESPACE);
        assert!(!asked.is_empty(), "no pod of the chart has asked anything under its ServiceAccount {NAMESPACE}");
    }

    /// The chart is about to be installed.
    fn begin(&self) {
        self.installed.store(self.control_plane.requests_of(NAMESPACE, NAMESPACE).len(), Ordering::Relaxed);
    }

    /// The chart is about to be uninstalled.
    fn end(&self) {
        self.has_asked();
        self.check();
        self.installed.store(usize::MAX, Ordering::Relaxed);
    }
}

impl Cluster {
    pub async fn start(people: usize) -> Self {
        Self::around(World::of(people).await).await
    }

    /// A cluster beside these simulators.
    pub async fn around(world: World) -> Self {
        let tools = Tools::provide().await.unwrap();
        let control_plane = ControlPlane::start(testkit::control_plane::Options::default()).await.unwrap();
        let client = control_plane.client().unwrap();
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": NAMESPACE, "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
        }});
        let apply = PatchParams::apply("test");
        Api::<Namespace>::all(client.clone()).patch(NAMESPACE, &apply, &Patch::Apply(&namespace)).await.unwrap();
        let pods = PodRunner::start(&control_plane, NAMESPACE, binary()).unwrap();
        Self { tools, client, world, pods, installed: AtomicUsize::new(0), control_plane }
    }

    /// Runs helm or kubectl as the cluster's administrator; what it printed.
    pub fn run(&self, program: &str, args: &[&str]) -> String {
        if program == "helm" && args.first() == Some(&"uninstall") {
            self.end();
        }
        let mut command: Command = self.tools.command(program, self.world.folder.path());
        command.args(args).env("KUBECONFIG", self.control_plane.kubeconfig()).current_dir(repository());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "{program} {args:?}: {out}{err}\npods: {:#?} {:?}",
            self.pods.pods(),
            self.pods.problems()
        );
        out
    }

    /// Runs words of a document in bash, in `folder`, with the tools and the binary on the PATH; what they printed.
    pub fn follow(&self, script: &str, folder: &std::path::Path, title: &str) -> String {
        if script.contains("helm uninstall") {
            self.end();
        }
        let path =
            [self.tools.folder(), binary().parent().unwrap()].map(|folder| folder.display().to_string()).join(":");
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", script]).current_dir(folder).env_clear();
        command.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap())).env("HOME", self.world.folder.path());
        command
            .env("KUBECONFIG", self.control_plane.kubeconfig())
            .env("OKTA_USER_SYNC_OKTA_CA", self.world.okta.field("caFile"));
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(
            output.status.success(),
            "{title}:\n{script}\n{all}\npods: {:#?} {:?}",
            self.pods.pods(),
            self.pods.problems()
        );
        all
    }

    /// `helm <verb> okta-user-sync <chart>`, and waits as helm does until everything is there.
    pub fn helm(&self, verb: &str, chart: &str, further: &[&str]) -> String {
        if verb == "install" {
            self.begin();
        }
        let ca = format!("oktaCA={}", self.world.okta.field("caFile"));
        let fixed = [
            verb,
            NAMESPACE,
            chart,
            "--namespace",
            NAMESPACE,
            "--wait",
            "--timeout",
            "5m",
            "--set-file",
            &ca,
            // So that a failover can be awaited.
            "--set",
            "leaderElection.leaseSeconds=6,leaderElection.renewSeconds=4,leaderElection.retrySeconds=1",
        ];
        self.run("helm", &[&fixed, further].concat())
    }

    pub async fn resource(&self) -> Value {
        self.find("OktaUserSync", "usersync.dev/v1alpha1", RESOURCE).await.unwrap_or_default()
    }

    pub async fn find(&self, kind: &str, api_version: &str, name: &str) -> Option<Value> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = kube::core::GroupVersionKind::gvk(group, version, kind);
        let (resource, _) = kube::discovery::pinned_kind(&self.client, &kind).await.ok()?;
        let api = Api::<kube::api::DynamicObject>::namespaced_with(self.client.clone(), NAMESPACE, &resource);
        api.get_opt(name).await.unwrap().map(|object| serde_json::to_value(object).unwrap())
    }

    /// Asks for a pass, and waits until it has been carried out.
    pub async fn pass(&self, token: &str) -> Value {
        let annotation = format!("reconcile.fluxcd.io/requestedAt={token}");
        self.run("kubectl", &["annotate", "ous", RESOURCE, "--namespace", NAMESPACE, "--overwrite", &annotation]);
        eventually(SOON, "the pass to be carried out", async || {
            let resource = self.resource().await;
            let done = resource["status"]["lastHandledReconcileAt"] == token;
            if done { Ok(resource) } else { Err(format!("{:#}\n{:#?}", resource["status"], self.pods.pods())) }
        })
        .await
        .unwrap()
    }

    /// `kubectl wait` until the resource is Ready.
    pub fn wait_until_ready(&self) {
        let resource = format!("ous/{RESOURCE}");
        self.run("kubectl", &["wait", "--for=condition=Ready", &resource, "--namespace", NAMESPACE, "--timeout=180s"]);
        self.has_asked();
    }

    /// Name of the pod that holds the Lease, as far as one does.
    pub async fn leader(&self) -> Option<String> {
        let leases = Api::<k8s_openapi::api::coordination::v1::Lease>::namespaced(self.client.clone(), NAMESPACE);
        let all = leases.list(&kube::api::ListParams::default()).await.unwrap();
        let holder = all.items.into_iter().find_map(|lease| lease.spec?.holder_identity)?;
        self.pods.pods().into_iter().find(|pod| holder.contains(&pod.name)).map(|pod| pod.name)
    }

    /// The keys that the API server signs tokens with, as `kubectl get --raw /openid/v1/jwks` prints them.
    pub fn jwks(&self) -> String {
        self.run("kubectl", &["get", "--raw", "/openid/v1/jwks"])
    }

    pub async fn writes(&self) -> u64 {
        self.world.writes().await
    }
}
