//! Conditions are by the book at every moment, and every GitOps tool judges each of them rightly.

use std::path::PathBuf;

use mlua::LuaSerdeExt as _;
use serde_json::{Value, json};
use suites::{House, condition};
use testkit::{
    Status::{self, Current, Failed, InProgress, Terminating},
    kstatus,
};

fn shipped(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/gitops").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Health as Argo CD sees it: the shipped script, run by a Lua of the version that Argo CD has.
fn argo(object: &Value) -> (String, String) {
    let lua = mlua::Lua::new();
    // What is null in JSON is nil in Lua.
    let options = mlua::SerializeOptions::new().serialize_none_to_null(false).serialize_unit_to_null(false);
    lua.globals().set("obj", lua.to_value_with(object, options).unwrap()).unwrap();
    let health: mlua::Table = lua.load(shipped("argocd-health.lua")).eval().unwrap();
    (health.get("status").unwrap(), health.get("message").unwrap())
}

/// Status as Flux computes it with the shipped expressions (its RFC 9): the generation first, then in this order.
fn flux(object: &Value) -> Status {
    let shipped: Value = serde_saphyr::from_str(&shipped("flux-health-checks.yaml")).unwrap();
    let expressions = &shipped["healthCheckExprs"][0];
    assert_eq!((&expressions["apiVersion"], &expressions["kind"]), (&object["apiVersion"], &object["kind"]));
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] {
        return Status::InProgress;
    }
    let is = |name: &str| {
        let program = cel::Program::compile(expressions[name].as_str().unwrap()).unwrap();
        let mut context = cel::Context::default();
        for field in ["metadata", "spec", "status"] {
            context.add_variable(field, &object[field]).unwrap();
        }
        let answer = program.execute(&context).unwrap_or_else(|error| panic!("{name}: {error}\n{object:#}"));
        answer == cel::Value::Bool(true)
    };
    let order = [("inProgress", Status::InProgress), ("failed", Status::Failed), ("current", Status::Current)];
    order.into_iter().find(|(name, _)| is(name)).map_or(Status::InProgress, |(_, status)| status)
}

/// What the table in docs/gitops.md says of a version.
fn expected(object: &Value) -> (&'static str, Status) {
    let newest = object["status"]["observedGeneration"] == object["metadata"]["generation"];
    match kstatus(object) {
        Status::Terminating => ("Progressing", Status::Terminating),
        Status::Current => ("Healthy", Status::Current),
        Status::Failed => ("Degraded", Status::Failed),
        _ if newest && object["spec"]["suspend"] == true => ("Suspended", Status::Current),
        _ => ("Progressing", Status::InProgress),
    }
}

fn unavailable(method: &str) -> teleport_sim::Fault {
    let fault = teleport_sim::Fault::delay(method, std::time::Duration::ZERO);
    teleport_sim::Fault { code: Some("UNAVAILABLE".into()), ..fault }
}

/// Whether the newest specification has been looked at, with this outcome.
fn is(object: &Value, type_: &str, status: &str, reason: &str) -> bool {
    let condition = condition(object, type_);
    condition["observedGeneration"] == object["metadata"]["generation"]
        && condition["status"] == status
        && condition["reason"] == reason
}

#[tokio::test(flavor = "multi_thread")]
async fn every_moment_is_by_the_book_and_judged_rightly_by_kstatus_argo_cd_and_flux() {
    let mut house = House::with_people(30).await;
    house.put_secrets().await;
    let with = |change: Value| {
        let mut spec = house.spec();
        for (key, value) in change.as_object().unwrap() {
            spec[key] = value.clone();
        }
        spec
    };
    let (spec, preview, suspended) =
        (house.spec(), with(json!({ "mode": "Preview" })), with(json!({ "suspend": true })));
    let locked = with(json!({ "deletionPolicy": "Lock" }));

    // Made, imported, settled.
    house.change(&spec).await;
    house.until_ready().await;
    // A new specification; suspended; resumed.
    house.change(&preview).await;
    house.until("the preview", |object| is(object, "Ready", "True", "Previewed")).await;
    house.change(&suspended).await;
    house.until("the suspension", |object| is(object, "Ready", "False", "Suspended")).await;
    house.change(&spec).await;
    house.until("the resumption", |object| is(object, "Ready", "True", "Synced")).await;
    // A failure that mends itself.
    house.okta.org().fault_json(&json!({ "kind": { "status": { "status": 503 } } })).unwrap();
    house.pass().await;
    house.until("a failure", |object| is(object, "Reconciling", "True", "ProgressingWithRetry")).await;
    house.okta.org().clear_faults();
    house.until("its end", |object| is(object, "Ready", "True", "Synced")).await;
    // One that a person has to mend.
    house.put_secret("okta-key", "no key at all").await;
    house.until("a bad key", |object| is(object, "Stalled", "True", "KeyUnreadable")).await;
    house.put_secret("okta-key", &house.okta_key()).await;
    house.until("the good one", |object| is(object, "Ready", "True", "Synced")).await;
    // A login rewrites a user.
    let app = house.okta.ready().app_id;
    let people = house.okta.org().assigned(&app).unwrap();
    let name =
        house.okta.org().app_user(&app, &people[29]).unwrap()["credentials"]["userName"].as_str().unwrap().to_owned();
    house.teleport.saml_login(&teleport_sim::SamlLogin::of(&name)).unwrap();
    house.pass().await;
    house.until("the drift", |object| is(object, "DriftSeen", "True", "RewrittenByOthers")).await;
    house.pass().await;
    house.until("no drift any more", |object| condition(object, "DriftSeen").is_null()).await;
    // Too many leave at once.
    for person in &people[..8] {
        house.okta.org().deactivate(person).unwrap();
    }
    house.pass().await;
    let held = house.until("held removals", |object| is(object, "RemovalsHeld", "True", "BrakeApplied")).await;
    assert!(argo(&held).1.contains("8 removals held"), "{:?}", argo(&held));
    // Deleted, while Teleport takes no lock.
    house.change(&locked).await;
    house.until("the policy", |object| is(object, "Ready", "True", "RemovalsHeld")).await;
    house.teleport.fault(unavailable("UpsertLock"));
    house.begin_removal().await;
    house.until("the deletion", |object| is(object, "Reconciling", "True", "Deleting")).await;
    house.teleport.clear_faults();
    house.remove().await;

    let versions = house.witness.versions("acme");
    let mut seen: Vec<Status> = Vec::new();
    for version in &versions {
        let (health, status) = expected(version);
        assert_eq!(argo(version).0, health, "Argo CD: {version:#}");
        // Flux asks kstatus first whether an object is being deleted, whatever the expressions say.
        if status != Status::Terminating {
            assert_eq!(flux(version), status, "Flux: {version:#}");
        }
        if seen.last() != Some(&kstatus(version)) {
            seen.push(kstatus(version));
        }
    }
    assert_eq!(versions[0]["status"], json!({ "observedGeneration": -1 }), "nobody has looked at it yet");
    let story = [
        InProgress,
        Current, // imported
        InProgress,
        Current, // previewed
        InProgress,
        Current, // suspended and resumed
        InProgress,
        Current, // failed and mended by itself
        Failed,
        Current, // failed and mended
        InProgress,
        Current, // held, with another policy
        Terminating,
    ];
    assert_eq!(seen, story);
}

#[test]
fn what_nobody_has_spoken_of_is_not_healthy() {
    let object = json!({ "apiVersion": "usersync.dev/v1alpha1", "kind": "OktaUserSync",
                         "metadata": { "generation": 1 }, "spec": {}, "status": { "observedGeneration": -1 } });
    assert_eq!(
        (argo(&object).0.as_str(), flux(&object), kstatus(&object)),
        ("Progressing", Status::InProgress, Status::InProgress)
    );
    let bare = json!({ "apiVersion": "usersync.dev/v1alpha1", "kind": "OktaUserSync", "metadata": { "generation": 1 }, "spec": {} });
    assert_eq!(argo(&bare).0, "Progressing", "with an older definition");
}
