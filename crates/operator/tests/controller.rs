//! The operator in this process over a real API server, under an account with exactly our rules. Okta and Teleport are
//! never reached here: these are the stories of the plumbing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use engine::{
    failure::{Class, Failure, Side},
    role::Ceiling,
};
use k8s_openapi::{
    ByteString,
    api::{coordination::v1::Lease, core::v1::Secret, events::v1::Event},
};
use kube::{
    Api, Config,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use operator::{
    LeaderElection, Operator, RunError, Settings,
    controller::Reach,
    leader::Times,
    pace::Backoff,
    resolve::{Defaults, TeleportDefaults},
};
use serde_json::{Value, json};
use support::{SOON, World, install_definition, least, with, world};
use testkit::{Status, check_conditions, check_settled, eventually, kstatus};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// So long that nothing in these tests can come from a wait that is over.
const NEVER: Duration = Duration::from_secs(3600);

fn settings(kube: Config, namespace: &str) -> Settings {
    let defaults = Defaults {
        okta_ca: None,
        teleport_address: Some("127.0.0.1:1".into()),
        teleport: TeleportDefaults::default(),
        ceiling: Ceiling::new(&["okta-requester".into()]).unwrap(),
    };
    Settings {
        reach: Reach::Namespace(namespace.to_owned()),
        listen: "127.0.0.1:0".parse().unwrap(),
        backoff: Backoff { first: NEVER, most: NEVER },
        ..Settings::new(kube, defaults)
    }
}

/// An operator that runs until it is dropped or stopped.
struct Running {
    url: String,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), RunError>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Running {
    async fn start(settings: Settings) -> Self {
        let operator = Operator::bind(settings).await.unwrap();
        let url = format!("http://{}", operator.address());
        let stop = CancellationToken::new();
        Self { url, ended: tokio::spawn(operator.run(stop.clone())), stop }
    }

    async fn in_world(world: &World) -> Self {
        Self::start(settings(world.operator_config().await, &world.namespace)).await
    }

    async fn readyz(&self) -> (u16, Value) {
        let answer = reqwest::get(format!("{}/readyz", self.url)).await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn metrics(&self) -> String {
        reqwest::get(format!("{}/metrics", self.url)).await.unwrap().text().await.unwrap()
    }

    /// Waits until it is ready in this role.
    async fn is(&self, role: &str) {
        eventually(SOON, role, async || match self.readyz().await {
            (200, answer) if answer["role"] == role => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
    }

    async fn stopped(mut self) -> Result<(), RunError> {
        self.stop.cancel();
        tokio::time::timeout(SOON, &mut self.ended).await.expect("ends in time").unwrap()
    }
}

fn condition<'a>(object: &'a Value, type_: &str) -> &'a Value {
    let all = object.pointer("/status/conditions").and_then(Value::as_array);
    all.into_iter().flatten().find(|condition| condition["type"] == type_).unwrap_or(&Value::Null)
}

/// Waits until the condition Ready has this reason, and checks all conditions on the way.
async fn ready_is(world: &World, name: &str, reason: &str) -> Value {
    eventually(SOON, reason, async || {
        let object = world.get(name).await;
        if object["status"]["conditions"].is_array() {
            assert_eq!(check_conditions(&object), Vec::<String>::new(), "{object:#}");
        }
        let ready = condition(&object, "Ready").clone();
        if ready["reason"] == reason { Ok(object) } else { Err(ready.to_string()) }
    })
    .await
    .unwrap()
}

async fn put_secret(world: &World, name: &str, key: &str, bytes: &str) {
    let secret = Secret {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        data: Some([(key.to_owned(), ByteString(bytes.as_bytes().to_vec()))].into()),
        ..Secret::default()
    };
    let secrets = Api::<Secret>::namespaced(world.client.clone(), &world.namespace);
    secrets.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(secret)).await.unwrap();
}

fn with_references() -> Value {
    with(
        least(),
        json!({
            "okta": { "privateKeySecretRef": { "name": "okta", "key": "private.pem" } },
            "teleport": { "identitySecretRef": { "name": "teleport", "key": "identity" } },
        }),
    )
}

async fn event(world: &World, reason: &str) -> Event {
    let events = Api::<Event>::namespaced(world.client.clone(), &world.namespace);
    eventually(SOON, reason, async || {
        let all = events.list(&kube::api::ListParams::default()).await.map_err(|error| error.to_string())?;
        let reasons: Vec<_> = all.items.iter().filter_map(|event| event.reason.clone()).collect();
        let found = all.items.into_iter().find(|event| event.reason.as_deref() == Some(reason));
        found.ok_or_else(|| format!("{reasons:?}"))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_named_and_each_mended_secret_is_seen_at_once() {
    let world = world("input").await;
    world.create("acme", with_references()).await.unwrap();
    let operator = Running::in_world(&world).await;
    let object = ready_is(&world, "acme", "KeySecretMissing").await;
    assert_eq!(check_settled(&object), Vec::<String>::new());
    assert_eq!(kstatus(&object), Status::Failed);
    assert_eq!(object["metadata"]["finalizers"], json!(["usersync.dev/cleanup"]));
    assert_eq!(condition(&object, "OktaReady")["status"], "False");
    assert!(object["status"]["errors"][0]["remedy"].as_str().unwrap().contains("make the Secret okta"), "{object:#}");
    assert!(event(&world, "KeySecretMissing").await.note.unwrap().contains("To do:"));

    put_secret(&world, "okta", "private.key", "x").await;
    eventually(SOON, "the key's name in the message", async || {
        let message = condition(&world.get("acme").await, "Ready")["message"].as_str().unwrap_or_default().to_owned();
        if message.contains("it has: private.key") { Ok(()) } else { Err(message) }
    })
    .await
    .unwrap();
    put_secret(&world, "okta", "private.pem", "no key at all").await;
    ready_is(&world, "acme", "IdentitySecretMissing").await;
    put_secret(&world, "teleport", "identity", "no identity").await;
    let object = ready_is(&world, "acme", "KeyUnreadable").await;
    assert!(!object.to_string().contains("no key at all"), "P16: {object:#}");
    let key = okta::key::PrivateKey::generate(okta::key::KeyKind::P256).unwrap().to_pkcs8_pem().unwrap();
    put_secret(&world, "okta", "private.pem", secrecy::ExposeSecret::expose_secret(&key)).await;
    let object = ready_is(&world, "acme", "IdentityUnreadable").await;
    assert_eq!(condition(&object, "TeleportReady")["status"], "False");

    let line = format!(r#"okta_user_sync_ready{{resource_namespace="{}",resource_name="acme"}} 0"#, world.namespace);
    assert!(operator.metrics().await.contains(&line));
    operator.stopped().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_requested_pass_runs_once_for_each_token() {
    let world = world("requested").await;
    world.create("acme", with_references()).await.unwrap();
    let _operator = Running::in_world(&world).await;
    let first = ready_is(&world, "acme", "KeySecretMissing").await;
    let request = async |token: &str| {
        let annotation = json!({ "metadata": { "annotations": { "reconcile.fluxcd.io/requestedAt": token } } });
        world.patch("acme", annotation).await.unwrap();
        eventually(SOON, token, async || {
            let object = world.get("acme").await;
            if object["status"]["lastHandledReconcileAt"] == token { Ok(object) } else { Err(object.to_string()) }
        })
        .await
        .unwrap()
    };
    let second = request("one").await;
    assert_ne!(first["status"]["lastRun"]["id"], second["status"]["lastRun"]["id"]);
    // An annotation of no concern, and the status writes of before, have started nothing when the next token is handled.
    world.patch("acme", json!({ "metadata": { "annotations": { "other": "x" } } })).await.unwrap();
    let before = world.get("acme").await;
    assert_eq!(before["status"]["lastRun"]["id"], second["status"]["lastRun"]["id"]);
    let third = request("two").await;
    assert_ne!(second["status"]["lastRun"]["id"], third["status"]["lastRun"]["id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_one_that_could_not_begin_is_looked_at_once_more() {
    let world = world("restart").await;
    world.create("acme", with_references()).await.unwrap();
    let operator = Running::in_world(&world).await;
    let before = ready_is(&world, "acme", "KeySecretMissing").await;
    operator.stopped().await.unwrap();

    // What stood in its way may have been a setting of the operator; nobody is asked before it is gone.
    let operator = Running::in_world(&world).await;
    let again = eventually(SOON, "a second look", async || {
        let object = world.get("acme").await;
        if object["status"]["lastRun"]["id"] == before["status"]["lastRun"]["id"] {
            return Err("the first".to_owned());
        }
        Ok(object)
    })
    .await
    .unwrap();
    // A second resource is worked on; the first had its turn before it, and is left alone now.
    world.create("beta", least()).await.unwrap();
    ready_is(&world, "beta", "IdentitySecretMissing").await;
    assert_eq!(world.get("acme").await["status"], again["status"]);
    operator.stopped().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspending_is_said_and_resuming_starts_a_pass() {
    let world = world("suspend").await;
    world.create("acme", with(with_references(), json!({ "suspend": true }))).await.unwrap();
    let _operator = Running::in_world(&world).await;
    let object = ready_is(&world, "acme", "Suspended").await;
    assert_eq!(check_settled(&object), Vec::<String>::new());
    assert!(
        object["metadata"].get("finalizers").is_none(),
        "nothing was written yet, so nothing needs to be cleaned up"
    );
    assert!(object["status"].get("lastRun").is_none());
    world.patch("acme", json!({ "spec": { "suspend": false } })).await.unwrap();
    ready_is(&world, "acme", "KeySecretMissing").await;
    world.patch("acme", json!({ "spec": { "suspend": true } })).await.unwrap();
    let object = ready_is(&world, "acme", "Suspended").await;
    assert!(condition(&object, "Stalled").is_null() && object["status"].get("nextRun").is_none(), "{object:#}");
}

async fn gone(world: &World, name: &str) {
    eventually(SOON, "the end of the resource", async || match world.get(name).await {
        Value::Null => Ok(()),
        object => Err(object.to_string()),
    })
    .await
    .unwrap();
}

// finalizer.rs, `end`: `leave_behind`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p15_deletion_ends_although_every_secret_is_gone() {
    let world = world("deletion").await;
    for (name, policy) in [("orphan", "Orphan"), ("lock", "Lock"), ("preview", "Delete")] {
        let mode = if name == "preview" { "Preview" } else { "Enforce" };
        let spec = with(with_references(), json!({ "deletionPolicy": policy, "mode": mode }));
        world.create(name, spec).await.unwrap();
    }
    let mut settings = settings(world.operator_config().await, &world.namespace);
    settings.cleanup_within = Duration::from_secs(2);
    let operator = Running::start(settings).await;
    for name in ["orphan", "lock", "preview"] {
        ready_is(&world, name, "KeySecretMissing").await;
        world.raw().delete(name, &DeleteParams::default()).await.unwrap();
    }
    for name in ["orphan", "preview", "lock"] {
        gone(&world, name).await;
    }
    let event = event(&world, "LeftBehind").await;
    assert_eq!(event.regarding.as_ref().unwrap().name.as_deref(), Some("lock"));
    assert!(
        event.note.as_ref().unwrap().contains(&format!("usersync.dev/owner={}/lock", world.namespace)),
        "{event:?}"
    );
    eventually(SOON, "no series of what is gone", async || {
        let metrics = operator.metrics().await;
        if metrics.contains("resource_name=\"") { Err(metrics) } else { Ok(()) }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_finalizer_is_kept() {
    let world = world("finalizer").await;
    world.create("acme", with_references()).await.unwrap();
    let theirs = json!({ "metadata": { "finalizers": ["example.com/theirs"] } });
    world.patch("acme", theirs).await.unwrap();
    let _operator = Running::in_world(&world).await;
    let object = ready_is(&world, "acme", "KeySecretMissing").await;
    assert_eq!(object["metadata"]["finalizers"], json!(["example.com/theirs", "usersync.dev/cleanup"]));
    world.raw().delete("acme", &DeleteParams::default()).await.unwrap();
    eventually(SOON, "our finalizer's end", async || {
        let finalizers = world.get("acme").await["metadata"]["finalizers"].clone();
        if finalizers == json!(["example.com/theirs"]) { Ok(()) } else { Err(finalizers.to_string()) }
    })
    .await
    .unwrap();
    world.patch("acme", json!({ "metadata": { "finalizers": null } })).await.unwrap();
    gone(&world, "acme").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_is_never_given_to_a_resource_made_anew() {
    let world = world("anew").await;
    world.create("acme", least()).await.unwrap();
    let old = world.resources().get("acme").await.unwrap();
    world.raw().delete("acme", &DeleteParams::default()).await.unwrap();
    gone(&world, "acme").await;
    world.create("acme", least()).await.unwrap();
    let config = operator::kubernetes::tuned(world.operator_config().await);
    let store = operator::store::Store::new(kube::Client::try_from(config).unwrap());
    let status = api::OktaUserSyncStatus { observed_generation: Some(1), ..api::OktaUserSyncStatus::default() };
    store.write_status(&old, &old.status.clone().unwrap_or_default(), &status).await.expect_err("the uid differs");
    if let Err(error) = store.add_finalizer(&old).await {
        assert!(!error.is_not_found(), "{error}");
    }
    let now = world.get("acme").await;
    assert!(
        now["status"] == json!({ "observedGeneration": -1 }) && now["metadata"].get("finalizers").is_none(),
        "{now:#}"
    );
}

// store.rs, `apply_status`: the version that was read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p08_a_status_is_not_written_over_one_that_its_writer_has_not_seen() {
    let world = world("overtaken").await;
    world.create("acme", least()).await.unwrap();
    let before = world.resources().get("acme").await.unwrap();
    let config = operator::kubernetes::tuned(world.operator_config().await);
    let [ours, theirs] = [(); 2].map(|()| operator::store::Store::new(kube::Client::try_from(config.clone()).unwrap()));
    let from = before.status.clone().unwrap_or_default();
    let now = jiff::Timestamp::now();
    let begun = operator::status::begun(&from, 1, now).unwrap();

    theirs.write_status(&before, &from, &begun).await.unwrap();
    let refused = ours.write_status(&before, &from, &begun).await.expect_err("it has not seen the other's word");
    assert!(refused.is_overtaken() && refused.is_conflict(), "{refused}");

    // An annotation or the fast path may come between: the last word is still the one that ours was made from.
    world.patch("acme", json!({ "metadata": { "annotations": { "example.com/note": "hello" } } })).await.unwrap();
    theirs.write_fast_path(&before, &api::status::FastPathStatus::default(), &[]).await.unwrap();
    let failure = Failure::new(Side::Okta, Class::Configuration, "CaBundleInvalid", "no certificate", "give one");
    let moment = operator::status::Moment { generation: 1, started: now, now, next_run: now, token: None, id: "1" };
    let ended = operator::status::ended(&begun, operator::status::Ending::Refused(&failure), moment);
    ours.write_status(&before, &begun, &ended).await.unwrap();
    let shown = world.get("acme").await;
    assert_eq!(shown["status"]["lastRun"]["id"], "1", "{shown:#}");
}

fn election(namespace: &str) -> LeaderElection {
    let times =
        Times { lease: Duration::from_secs(3), renew: Duration::from_secs(2), retry: Duration::from_millis(200) };
    LeaderElection { namespace: namespace.to_owned(), lease: "okta-user-sync".into(), times }
}

// leader.rs, `next`: whose the Lease is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p08_one_leads_the_other_stands_by_and_takes_over() {
    let world = world("leader").await;
    let replica = async |name: &str| {
        let mut settings = settings(world.operator_config().await, &world.namespace);
        settings.instance = name.to_owned();
        settings.leader_election = Some(election(&world.namespace));
        Running::start(settings).await
    };
    let first = replica("first").await;
    first.is("leading").await;
    let second = replica("second").await;
    second.is("standingBy").await;
    assert!(first.metrics().await.contains("okta_user_sync_leader 1"));
    assert!(second.metrics().await.contains("okta_user_sync_leader 0"));

    first.stopped().await.unwrap();
    second.is("leading").await;
    world.create("acme", least()).await.unwrap();
    ready_is(&world, "acme", "IdentitySecretMissing").await;
    let leases = Api::<Lease>::namespaced(world.client.clone(), &world.namespace);
    let name = settings(world.control_plane.config(), &world.namespace).shard().lease("okta-user-sync");
    let lease = leases.get(&name).await.unwrap().spec.unwrap();
    assert_eq!((lease.holder_identity.as_deref(), lease.lease_transitions), (Some("second"), Some(1)));

    // Somebody else is in the place: this process has lost, and ends.
    let taken = json!({ "spec": { "holderIdentity": "third" } });
    leases.patch(&name, &PatchParams::default(), &Patch::Merge(taken)).await.unwrap();
    let mut second = second;
    let ended = tokio::time::timeout(SOON, &mut second.ended).await.unwrap().unwrap();
    assert!(matches!(ended, Err(RunError::LeaseLost)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_definition_is_waited_for_and_an_undecodable_resource_stops_no_other() {
    // A control plane of its own, because the definition is there for all.
    let control_plane = testkit::ControlPlane::start(testkit::control_plane::Options::default()).await.unwrap();
    let client = control_plane.client().unwrap();
    let namespace = testkit::namespace(&client, "late").await.unwrap();
    let operator = Running::start(settings(control_plane.config(), &namespace)).await;
    eventually(SOON, "the reason", async || {
        let (code, answer) = operator.readyz().await;
        let told = answer["reasons"][0].as_str().unwrap_or_default().contains("install the custom resource definition");
        if code == 503 && told { Ok(()) } else { Err(answer.to_string()) }
    })
    .await
    .unwrap();
    assert!(operator.metrics().await.contains("okta_user_sync_crd_missing 1"));

    // The definition of a later version: it knows a mode that this program does not.
    install_definition(&client).await;
    let modes = json!([{ "op": "add", "path":
        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/mode/enum/-", "value": "Later" }]);
    let crds = Api::<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>::all(
        client.clone(),
    );
    let patch = Patch::<()>::Json(serde_json::from_value(modes).unwrap());
    crds.patch("oktausersyncs.usersync.dev", &PatchParams::default(), &patch).await.unwrap();
    let resource = kube::api::ApiResource::erase::<api::OktaUserSync>(&());
    let raw = Api::<kube::api::DynamicObject>::namespaced_with(client.clone(), &namespace, &resource);
    let later = support::object("later", &with(least(), json!({ "mode": "Later" })));
    eventually(SOON, "the new mode to be taken", async || raw.create(&PostParams::default(), &later).await.map(drop))
        .await
        .unwrap();
    raw.create(&PostParams::default(), &support::object("good", &least())).await.unwrap();
    eventually(SOON, "the good one's status", async || {
        let good = serde_json::to_value(raw.get("good").await.unwrap()).unwrap();
        if condition(&good, "Ready")["reason"] == "IdentitySecretMissing" { Ok(()) } else { Err(good.to_string()) }
    })
    .await
    .unwrap();
    operator.is("leading").await;
    let metrics = operator.metrics().await;
    assert!(metrics.contains("okta_user_sync_crd_missing 0"), "{metrics}");
    assert!(metrics.contains("okta_user_sync_undecodable_resources 1"), "{metrics}");
    operator.stopped().await.unwrap();
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_refused() {
    let world = world("settings").await;
    let mut settings = settings(world.control_plane.config(), &world.namespace);
    let mut election = election(&world.namespace);
    election.times.renew = Duration::from_secs(60);
    settings.leader_election = Some(election);
    assert!(matches!(Operator::bind(settings).await.map(drop), Err(RunError::Times)));
}
