//! What the command line does in a cluster, against a real API server: plans are shown and approved, and only the right
//! ones; `check` reads a resource there; `init` applies its manifests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use api::OktaUserSync;
use api::names::APPROVE_PLAN;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use support::snapshot::{differs, hold};
use support::{World, binary, told};
use testkit::{ControlPlane, eventually};

const HASH: &str = "3f9c0a2b5d7e8f10";

/// A namespace of its own in a real API server that knows the resource.
struct Cluster {
    control_plane: &'static ControlPlane,
    client: Client,
    namespace: String,
}

impl Cluster {
    async fn new(prefix: &str) -> Self {
        let control_plane = testkit::control_plane::shared().await.unwrap();
        let client = control_plane.client().unwrap();
        let definitions = Api::<CustomResourceDefinition>::all(client.clone());
        let parameters = PatchParams::apply("test").force();
        definitions.patch("oktausersyncs.usersync.dev", &parameters, &Patch::Apply(api::crd())).await.unwrap();
        let resources = Api::<OktaUserSync>::all(client.clone());
        eventually(Duration::from_secs(60), "the definition", async || {
            resources.list(&ListParams::default()).await.map(drop)
        })
        .await
        .unwrap();
        let namespace = testkit::namespace(&client, prefix).await.unwrap();
        Self { control_plane, client, namespace }
    }

    fn resources(&self) -> Api<OktaUserSync> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A resource that holds a plan, or none.
    async fn holding(&self, name: &str, plan: Option<Value>) {
        let resource = json!({
            "apiVersion": "usersync.dev/v1alpha1", "kind": "OktaUserSync", "metadata": { "name": name },
            "spec": { "okta": { "orgURL": "https://acme.okta.com", "clientID": "0oa1api2services3app" } },
        });
        let resource: OktaUserSync = serde_json::from_value(resource).unwrap();
        self.resources().create(&PostParams::default(), &resource).await.unwrap();
        let status = json!({ "status": { "pendingPlan": plan } });
        self.resources().patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    async fn approval(&self, name: &str) -> Option<String> {
        self.resources().get(name).await.unwrap().annotations().get(APPROVE_PLAN).cloned()
    }

    /// Runs the program with this cluster as the current one.
    fn run(&self, program: &std::path::Path, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(program);
        command.args(arguments).env("KUBECONFIG", self.control_plane.kubeconfig()).stdin(Stdio::null());
        told(&command.output().unwrap())
    }
}

fn plan(expires: &str) -> Value {
    json!({
        "hash": HASH, "reason": "30 removals are more than the brake allows", "removals": 30,
        "sample": ["ada@example.com: unassigned"], "heldSince": "2026-02-02T12:00:00Z", "expires": expires,
    })
}

// plan.rs, `approve`: `fits`.
#[tokio::test(flavor = "multi_thread")]
async fn p05_a_held_plan_is_shown_and_approved_by_its_hash_alone() {
    let cluster = Cluster::new("plan").await;
    cluster.holding("acme", Some(plan("2099-01-01T00:00:00Z"))).await;
    cluster.holding("late", Some(plan("2026-02-03T12:00:00Z"))).await;
    cluster.holding("calm", None).await;
    let (program, namespace) = (binary(), cluster.namespace.as_str());
    let run = |arguments: &[&str]| cluster.run(&program, &[arguments, &["-n", namespace]].concat());

    let (code, table, err) = run(&["plan", "show"]);
    assert_eq!(code, 0, "{err}");
    for words in [&format!("{namespace}/acme: 30 removals wait"), HASH, "ada@example.com: unassigned", "and 29 more"] {
        assert!(table.contains(words), "{words:?} not in\n{table}");
    }
    // Another namespace at each run.
    let still = |text: &str| text.replace(namespace, "<namespace>");
    let mut differences: Vec<String> = differs("output-plan-show", &still(&table)).into_iter().collect();
    let (code, document, _) = run(&["plan", "show", "acme", "-o", "json"]);
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        (code, &document["plans"][0]["hash"], document["plans"].as_array().unwrap().len()),
        (0, &json!(HASH), 1)
    );
    assert_eq!(run(&["plan", "show", "calm"]), (0, "nothing is held (1 looked at)\n".to_owned(), String::new()));

    // What does not fit changes nothing.
    let mut refusals = String::new();
    for (arguments, expected, words) in [
        (["acme", "3f9c0a2b5d7e8f11"], 1, "the plan that"),
        (["late", HASH], 1, "could be approved until"),
        (["calm", HASH], 1, "holds no removals"),
        (["nobody", HASH], 2, "no OktaUserSync"),
    ] {
        let (code, out, err) = run(&["plan", "approve", arguments[0], arguments[1]]);
        assert_eq!((code, out.as_str()), (expected, ""), "{arguments:?}: {err}");
        assert!(err.contains(words) && err.contains("remedy:"), "{words:?} not in {err}");
        refusals.push_str(&still(&err));
    }
    differences.extend(differs("output-plan-approve-refused", &refusals));
    let (code, _, err) = run(&["plan", "approve", "acme"]);
    assert!(code == 2 && err.contains("nobody can be asked"), "{err}");
    for name in ["acme", "late", "calm"] {
        assert_eq!(cluster.approval(name).await, None, "{name}");
    }

    let (code, out, err) = run(&["plan", "approve", "acme", HASH, "-o", "json"]);
    assert_eq!(code, 0, "{err}");
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&document["approved"], &document["removals"]), (&json!(true), &json!(30)));
    assert_eq!(cluster.approval("acme").await.as_deref(), Some(HASH));
    let (_, told, _) = run(&["plan", "approve", "acme", HASH]);
    differences.extend(differs("output-plan-approve", &still(&told)));
    hold(&differences, "kubernetes");
}

// plan.rs, `ask`.
#[tokio::test(flavor = "multi_thread")]
async fn p05_at_a_terminal_the_plan_is_shown_and_asked_for() {
    let cluster = Cluster::new("asked").await;
    cluster.holding("acme", Some(plan("2099-01-01T00:00:00Z"))).await;
    for (key, approval) in [("n", None), ("y", Some(HASH))] {
        let mut command = Command::new(binary());
        command.args(["plan", "approve", "acme", "-n", &cluster.namespace]).env("TERM", "xterm");
        command.env("KUBECONFIG", cluster.control_plane.kubeconfig());
        let patience = u64::try_from(support::LONG.as_millis()).unwrap();
        let mut terminal = rexpect::session::spawn_command(command, Some(patience)).unwrap();
        terminal.exp_string("ada@example.com: unassigned").unwrap();
        terminal.exp_string("Remove these 30 people?").unwrap();
        terminal.send(key).unwrap();
        terminal.flush().unwrap();
        terminal.exp_eof().unwrap();
        assert_eq!(cluster.approval("acme").await.as_deref(), approval, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_a_plugin_of_kubectl_under_that_name() {
    let cluster = Cluster::new("plugin").await;
    cluster.holding("acme", Some(plan("2099-01-01T00:00:00Z"))).await;
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-ousync");
    symlink(binary(), &plugin).unwrap();
    let resource = format!("{}/acme", cluster.namespace);
    let (code, out, err) = cluster.run(&plugin, &["plan", "approve", &resource, HASH]);
    assert!(code == 0 && out.contains("approved 30 removals"), "{out} {err}");
    assert_eq!(cluster.approval("acme").await.as_deref(), Some(HASH));
    let (_, help, _) = cluster.run(&plugin, &["plan", "--help"]);
    assert!(help.contains("Usage: kubectl ousync plan"), "{help}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_init_applies_is_what_check_finds_in_the_cluster() {
    let (cluster, world) = (Cluster::new("init").await, World::of(3).await);
    let (okta, namespace, answers) = (&world.okta, cluster.namespace.as_str(), world.answers().with("--name", "acme"));
    let arguments = [&["init", "--yes", "--apply", "-n", namespace][..], &answers.words()].concat();
    let (code, out, err) = cluster.run(&binary(), &arguments);
    assert_eq!(code, 0, "{out} {err}");
    assert!(out.contains("OktaUserSync acme applied"), "{out}");
    let applied = cluster.resources().get("acme").await.unwrap();
    assert_eq!(applied.spec.okta.client_id, okta.field("clientID"));
    let secrets = Api::<Secret>::namespaced(cluster.client.clone(), namespace);
    assert!(secrets.get("acme-okta-key").await.unwrap().data.unwrap().contains_key("private.pem"));

    // The resource is found by the flags that kubectl has, and by what they leave out.
    let (ca, resource) = (okta.field("caFile"), format!("{namespace}/acme"));
    let elsewhere = elsewhere(&cluster, world.folder.path());
    let config = elsewhere.to_str().unwrap();
    let (_, person) = world.assigned().await.remove(0);
    for place in [
        &["--from-cluster", &resource][..],
        &["--from-cluster", "acme", "-n", namespace],
        &["--from-cluster", "acme", "--kubeconfig", config, "--context", "people"],
    ] {
        let run = |verb: &[&str]| cluster.run(&binary(), &[verb, place, &["--okta-ca", &ca, "-o", "json"]].concat());
        let (code, out, err) = run(&["check"]);
        let document: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e} in {out}; {err}"));
        assert_eq!((code, &document["ok"], &document["resource"]), (0, &json!(true), &json!(resource)), "{document:#}");
        let (code, out, err) = run(&["explain", &person]);
        let document: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e} in {out}; {err}"));
        assert_eq!((code, &document["user"]), (0, &json!(person)), "{document:#}");
    }
    assert_eq!(world.writes().await, 0);
    for (arguments, words) in [
        (&["--from-cluster", "acme", "--kubeconfig", config, "--context", "nobody"][..], "nobody"),
        (&["--from-cluster", "acme", "--kubeconfig", config, "--context", "nowhere"], "no OktaUserSync"),
        (&["--from-cluster", "acme", "--kubeconfig", "/nowhere/config"], "/nowhere/config"),
        (&["-f", world.manifest().to_str().unwrap(), "--context", "people"], "nothing to say about manifests"),
    ] {
        for verb in [&["check"][..], &["explain", "anybody"]] {
            let (code, _, err) = cluster.run(&binary(), &[verb, arguments].concat());
            assert!(code == 2 && err.contains(words) && err.contains("remedy:"), "{arguments:?}: {err}");
        }
    }
}

/// A kubeconfig whose current context leads to a namespace in which nothing is, and whose context `people` to the cluster's.
fn elsewhere(cluster: &Cluster, folder: &std::path::Path) -> PathBuf {
    let mut config = Kubeconfig::read_from(cluster.control_plane.kubeconfig()).unwrap();
    let known = config.contexts.iter().find(|context| Some(&context.name) == config.current_context.as_ref()).unwrap();
    let named = |name: &str, namespace: &str| {
        let mut context = known.clone();
        name.clone_into(&mut context.name);
        context.context.as_mut().unwrap().namespace = Some(namespace.to_owned());
        context
    };
    config.contexts = vec![named("people", &cluster.namespace), named("nowhere", "kube-public")];
    config.current_context = Some("nowhere".to_owned());
    let path = folder.join("kubeconfig");
    std::fs::write(&path, serde_json::to_string(&config).unwrap()).unwrap();
    path
}
