//! What a Deployment says is what its program finds: arguments, variables, files and tokens; and pods are replaced,
//! restarted, refused and ended as in a cluster.

// Helper functions of a test may say what they expect, as the test functions do.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use base64::Engine as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::control_plane::shared;
use testkit::{PodRunner, PodView, eventually};

/// More than a busy machine needs.
const SOON: Duration = Duration::from_secs(120);

/// A namespace whose Deployments run, with an account, a Secret and a `ConfigMap`.
struct Home {
    client: Client,
    namespace: String,
    pods: PodRunner,
}

impl Home {
    /// Every image is a shell.
    async fn with_shells() -> Self {
        let control_plane = shared().await.unwrap();
        let client = control_plane.client().unwrap();
        let namespace = testkit::namespace(&client, "pods").await.unwrap();
        let home = Self { pods: PodRunner::start(control_plane, &namespace, "/bin/sh").unwrap(), client, namespace };
        let named = |name: &str| json!({ "metadata": { "name": name } });
        home.create::<ServiceAccount>(&named("worker")).await;
        let mut secret = named("secret");
        secret["stringData"] = json!({ "word": "open sesame" });
        home.create::<Secret>(&secret).await;
        let mut settings = named("settings");
        settings["data"] = json!({ "colour": "blue", "unused": "x" });
        home.create::<ConfigMap>(&settings).await;
        home
    }

    async fn create<K>(&self, object: &Value)
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + serde::de::DeserializeOwned
            + serde::Serialize
            + std::fmt::Debug,
    {
        let object = serde_json::from_value(object.clone()).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await.unwrap();
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A Deployment whose pods run this script, with these further fields of the container and the pod.
    fn deployment(script: &str, container: &Value, pod: &Value) -> Value {
        let mut object = json!({
            "metadata": { "name": "work" },
            "spec": {
                "selector": { "matchLabels": { "app": "work" } },
                "template": {
                    "metadata": { "labels": { "app": "work" } },
                    "spec": { "serviceAccountName": "worker", "containers": [
                        { "name": "shell", "image": "shell", "args": ["-c", script] },
                    ]},
                },
            },
        });
        merge(&mut object["spec"]["template"]["spec"]["containers"][0], container);
        merge(&mut object["spec"]["template"]["spec"], pod);
        object
    }

    /// Waits until the pods are as wanted.
    async fn until(&self, what: &str, wanted: impl Fn(&[PodView]) -> bool) -> Vec<PodView> {
        eventually(SOON, what, async || {
            let pods = self.pods.pods();
            if wanted(&pods) { Ok(pods) } else { Err(format!("{pods:#?} {:?}", self.pods.problems())) }
        })
        .await
        .unwrap()
    }
}

fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().unwrap() {
        into[name] = value.clone();
    }
}

fn said(pod: &PodView, line: &str) -> bool {
    pod.output.lines().any(|said| said == line)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_finds_what_its_deployment_says() {
    let home = Home::with_shells().await;
    let script = "echo name=$NAME; echo word=$WORD; echo where=$WHERE; echo file=$(cat /etc/settings/hue); \
                  echo token=$(cat /var/run/join/token); echo kubeconfig=$(test -r \"$KUBECONFIG\" && echo there); \
                  echo alien=$HOME; echo done; exec sleep 600";
    let container = json!({
        "env": [
            { "name": "NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
            { "name": "WORD", "valueFrom": { "secretKeyRef": { "name": "secret", "key": "word" } } },
            { "name": "NOWHERE", "valueFrom": { "secretKeyRef": { "name": "x", "key": "y", "optional": true } } },
            { "name": "WHERE", "value": "$(KUBERNETES_SERVICE_HOST)$(NOWHERE)" },
        ],
        "volumeMounts": [
            { "name": "settings", "mountPath": "/etc/settings" }, { "name": "join", "mountPath": "/var/run/join" },
        ],
    });
    let pod = json!({ "volumes": [
        { "name": "settings", "configMap": { "name": "settings", "items": [{ "key": "colour", "path": "hue" }] } },
        { "name": "join", "projected": { "sources": [
            { "serviceAccountToken": { "path": "token", "audience": "somewhere.else", "expirationSeconds": 900 } },
        ]}},
    ]});
    home.create::<Deployment>(&Home::deployment(script, &container, &pod)).await;
    let pods = home.until("the program to say what it finds", |pods| pods.iter().any(|pod| said(pod, "done"))).await;
    let pod = &pods[0];
    for line in [
        format!("name={}", pod.name),
        "word=open sesame".to_owned(),
        "where=127.0.0.1$(NOWHERE)".to_owned(),
        "file=blue".to_owned(),
        "kubeconfig=there".to_owned(),
        // Nothing of this machine's environment.
        "alien=".to_owned(),
    ] {
        assert!(said(pod, &line), "{line} is not in {}", pod.output);
    }
    let token = pod.output.lines().find_map(|line| line.strip_prefix("token=")).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["aud"], json!(["somewhere.else"]));
    assert_eq!(claims["kubernetes.io"]["pod"]["name"], pod.name.as_str(), "bound to the pod");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    let object = home.api::<Pod>().get(&pod.name).await.unwrap();
    assert_eq!(object.status.unwrap().phase.as_deref(), Some("Running"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_restarted_replaced_and_ended() {
    let home = Home::with_shells().await;
    // Ends by itself the first time, and says how it is asked to end.
    let script = |word: &str| {
        format!(
            "echo {word}; trap 'echo asked; exit 0' TERM; test -e $DIR/once && while :; do sleep 0.1; done; touch $DIR/once"
        )
    };
    let container = json!({
        "env": [{ "name": "DIR", "value": "/scratch" }],
        "volumeMounts": [{ "name": "scratch", "mountPath": "/scratch" }],
    });
    let pod = json!({ "volumes": [{ "name": "scratch", "emptyDir": {} }] });
    home.create::<Deployment>(&Home::deployment(&script("one"), &container, &pod)).await;
    let first = home.until("a restart", |pods| pods.iter().any(|pod| pod.restarts == 1 && pod.ready)).await.remove(0);
    assert_eq!(first.output.matches("one").count(), 2, "{}", first.output);

    let deployments = home.api::<Deployment>();
    let mut changed = Home::deployment(&script("two"), &container, &pod);
    changed["spec"]["replicas"] = 2.into();
    let patch = PatchParams::default();
    deployments.patch("work", &patch, &Patch::Merge(&changed)).await.unwrap();
    let pods = home
        .until("two pods of the new template", |pods| {
            pods.len() == 2 && pods.iter().all(|pod| pod.name != first.name && said(pod, "two") && pod.ready)
        })
        .await;
    assert_ne!(pods[0].ip, pods[1].ip, "each pod has an address of its own");
    eventually(SOON, "the status to say so", async || {
        let status = deployments.get("work").await.unwrap().status.unwrap();
        if status.ready_replicas == Some(2) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await
    .unwrap();

    deployments.delete("work", &DeleteParams::default()).await.unwrap();
    home.until("the pods to go", <[PodView]>::is_empty).await;
    let left = home.api::<Pod>().list(&kube::api::ListParams::default()).await.unwrap();
    assert_eq!(left.items.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_admission_refuses_does_not_run() {
    let home = Home::with_shells().await;
    let enforce = json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
    let namespaces = Api::<Namespace>::all(home.client.clone());
    namespaces.patch(&home.namespace, &PatchParams::default(), &Patch::Merge(&enforce)).await.unwrap();
    home.create::<Deployment>(&Home::deployment("sleep 600", &json!({}), &json!({}))).await;
    let refused = eventually(SOON, "the refusal to be told", async || {
        home.pods.problems().into_iter().find(|problem| problem.contains("PodSecurity")).ok_or("nothing is told")
    })
    .await
    .unwrap();
    assert!(refused.contains("runAsNonRoot"), "{refused}");
    assert_eq!(home.pods.pods(), []);
}
