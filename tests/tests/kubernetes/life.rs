//! The life of the process: it starts whatever is missing around it, and ends in time whatever it is doing.

use std::time::{Duration, Instant};

use serde_json::json;
use suites::{Ground, Replica, ground::SOON, replica::binary};
use teleport_sim::{Fault, TeleportSim};
use testkit::{Launch, eventually, process::Stream};

use crate::{private_key, refers_to};

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_and_serves_although_okta_and_teleport_are_not_there() {
    let ground = Ground::shared("alone").await;
    ground.put_secret("key", &private_key()).await;
    let teleport = TeleportSim::start(teleport_sim::Options::default()).await.unwrap();
    ground.put_secret("identity", &std::fs::read_to_string(&teleport.ready().identity_file).unwrap()).await;
    let mut spec = refers_to("key", "identity");
    // Nobody listens on either.
    spec["okta"]["orgURL"] = "https://127.0.0.1:1".into();
    ground.put("acme", &spec).await;
    let mut replica = Replica::start(&ground, ground.control_plane().port(), &["--no-leader-election"]).await;
    replica.is("leading").await;
    let resource = ground.until("acme", "a word on it", |o| o["status"]["lastRun"]["result"] == "Refused").await;
    assert_eq!(suites::condition(&resource, "Reconciling")["reason"], "ProgressingWithRetry", "{resource:#}");
    assert_eq!((replica.healthz().await, replica.readyz().await.unwrap().0), (Ok(200), 200));
    assert!(replica.process.terminate(SOON).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_after_the_write_in_hand_and_gives_the_lease_back() {
    let ground = Ground::shared("sigterm").await;
    let okta = okta_sim::OktaSim::start(okta_sim::Options::with_people(200, 7)).await.unwrap();
    let options = teleport_sim::Options { okta_app_id: okta.ready().app_id, ..teleport_sim::Options::default() };
    let teleport = TeleportSim::start(options).await.unwrap();
    teleport.fault(Fault::delay("CreateUser", Duration::from_millis(500)));
    ground.put_secret("key", &std::fs::read_to_string(okta.ready().private_key_file).unwrap()).await;
    ground.put_secret("identity", &std::fs::read_to_string(&teleport.ready().identity_file).unwrap()).await;
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), okta.ca_pem()).unwrap();
    let mut spec = refers_to("key", "identity");
    spec["okta"]["orgURL"] = okta.ready().org_url.into();
    spec["okta"]["clientID"] = okta.ready().client_id.into();
    spec["scope"] = json!({ "appID": okta.ready().app_id });
    spec["teleport"]["address"] = teleport.ready().auth_address.clone().into();
    ground.put("acme", &spec).await;
    let ca = format!("--okta-ca={}", ca.path().display());
    let mut replica = Replica::start(&ground, ground.control_plane().port(), &[&ca, "--grace-seconds=20"]).await;
    eventually(SOON, "the import to be under way", async || {
        let made = teleport.writes().len();
        if made >= 3 { Ok(()) } else { Err(format!("{made} writes")) }
    })
    .await
    .unwrap();

    let began = Instant::now();
    let ended = replica.process.terminate(SOON).await.unwrap();
    assert!(ended.success(), "{}", replica.process.output());
    eprintln!("SIGTERM within an import: ended after {:.1} s", began.elapsed().as_secs_f64());
    let made = teleport.writes().len();
    assert!(made < 200, "it did not go on to the end: {made}");
    // What was written is accounted for, and the next process need not wait for the lease.
    let resource = ground.get("acme").await;
    assert_eq!(resource["status"]["users"]["created"], made, "{:#}", resource["status"]);
    let leases = ground.api::<k8s_openapi::api::coordination::v1::Lease>();
    let leases = leases.list(&kube::api::ListParams::default()).await.unwrap();
    let holder = leases.items[0].spec.as_ref().unwrap().holder_identity.as_deref();
    assert!(holder.is_none_or(str::is_empty), "{holder:?}");
    // And it goes on from there.
    teleport.clear_faults();
    let replica = Replica::start(&ground, ground.control_plane().port(), &[&ca]).await;
    replica.is("leading").await;
    ground.until("acme", "everybody", |o| suites::condition(o, "Ready")["reason"] == "Synced").await;
}

/// Asks the door for administrators, as `curl` does behind `kubectl port-forward`.
async fn log_level(address: &str, put: Option<&str>) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{address}/log-level");
    let request = put.map_or_else(|| client.get(&url), |level| client.put(&url).body(level.to_owned()));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Whether the log tells of the end of that pass.
fn tells(replica: &Replica, pass: &str) -> bool {
    replica.process.lines().iter().any(|(_, line)| line.contains("pass ended") && line.contains(pass))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_of_the_log_is_changed_while_the_process_runs() {
    let ground = Ground::shared("levels").await;
    ground.put("acme", &refers_to("key", "identity")).await;
    let flags = ["--no-leader-election", "--admin-listen=127.0.0.1:0"];
    let mut replica = Replica::start(&ground, ground.control_plane().port(), &flags).await;
    let address = replica.process.await_line(SOON, "the address for administrators", |_: Stream, line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let it_is = line["message"] == "serving administrators";
        it_is.then(|| line["address"].as_str().map(str::to_owned)).flatten()
    });
    let address = address.await.unwrap();
    ground.until_reason("acme", "KeySecretMissing").await;
    // Each pass ends in one line, if the level is such.
    let pass = async |token: &str| {
        ground.annotate("acme", "reconcile.fluxcd.io/requestedAt", token).await;
        let done = ground.until("acme", token, |object| object["status"]["lastHandledReconcileAt"] == token).await;
        done["status"]["lastRun"]["id"].as_str().unwrap().to_owned()
    };
    let shown = log_level(&address, None).await;
    // The parts of it in whatever order.
    let mut parts: Vec<&str> = shown.1.trim_end().split(',').collect();
    parts.sort_unstable();
    assert_eq!((shown.0, parts), (200, vec!["info", "operator=debug"]));
    let (code, told) = log_level(&address, Some("operator=loud")).await;
    assert!(code == 400 && told.contains("give error, warn, info"), "{code} {told}");
    assert_eq!(log_level(&address, Some("error")).await, (200, "error\n".into()));
    let unheard = pass("unheard").await;
    assert_eq!(log_level(&address, Some("info")).await.0, 200);
    let heard = pass("heard").await;
    eventually(
        SOON,
        "the line of the second pass",
        async || {
            if tells(&replica, &heard) { Ok(()) } else { Err("not yet") }
        },
    )
    .await
    .unwrap();
    assert!(!tells(&replica, &unheard), "{}", replica.process.output());
    // It is not to be had where probes are: that port is open to other machines.
    let elsewhere = replica.url.strip_prefix("http://").unwrap().to_owned();
    assert_eq!(log_level(&elsewhere, Some("trace")).await.0, 404);
    assert!(replica.process.terminate(SOON).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_door_for_administrators_is_opened_to_other_machines() {
    let ground = Ground::shared("door").await;
    let kubeconfig = format!("--kubeconfig={}", ground.control_plane().kubeconfig().display());
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8082"] {
        let launch = Launch::new(binary()).args(["operator", "--no-leader-election", "--listen=127.0.0.1:0"]);
        let launch = launch.args([kubeconfig.clone(), format!("--admin-listen={address}")]);
        let mut process = launch.start().unwrap();
        let ended = process.wait(SOON).await.unwrap();
        let told = process.output();
        assert_eq!(ended.code(), Some(1), "{address}: {told}");
        assert!(told.contains(address) && told.contains("give 127.0.0.1:PORT"), "{address}: {told}");
    }
}
