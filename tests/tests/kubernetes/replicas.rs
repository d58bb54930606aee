//! Several replicas: one writes (P8), the others stand by; or each has a shard of its own. The operator is the binary.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use okta_sim::OktaSim;
use serde_json::{Value, json};
use suites::{Ground, Replica, ground::SOON};
use teleport_sim::{Fault, IdentityKind, TeleportSim};
use testkit::{Passage, eventually};

use crate::refers_to;

/// Short times, so that a test takes seconds; with more between the end of a claim and the end of the lease than a call
/// takes on a busy machine.
const TIMES: [&str; 3] = ["--lease-seconds=6", "--renew-seconds=3", "--retry-seconds=1"];

/// So many that nobody is done with them before it is disturbed.
const PEOPLE: usize = 400;

/// Who writes to Teleport for the first replica: the simulator's own bot.
const FIRST: &str = "bot-okta-user-sync";
/// And for the second, so that their writes can be told apart: the simulator's other user, with the bot's role.
const SECOND: &str = "admin";

/// An import that takes long enough to be disturbed.
struct Import {
    ground: Ground,
    okta: OktaSim,
    teleport: TeleportSim,
    ca: tempfile::NamedTempFile,
}

impl Import {
    async fn prepare(prefix: &str) -> Self {
        let import = Self::of(prefix, PEOPLE).await;
        // Each write takes a while, so that whoever is disturbed is disturbed in the middle of one.
        import.teleport.fault(Fault::delay("CreateUser", Duration::from_millis(300)));
        import
    }

    /// One that takes as long as it takes.
    async fn of(prefix: &str, people: usize) -> Self {
        let ground = Ground::shared(prefix).await;
        let okta = OktaSim::start(okta_sim::Options::with_people(people, 7)).await.unwrap();
        let options = teleport_sim::Options { okta_app_id: okta.ready().app_id, ..teleport_sim::Options::default() };
        let teleport = TeleportSim::start(options).await.unwrap();
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), okta.ca_pem()).unwrap();
        let import = Self { ground, okta, teleport, ca };
        import.ground.put_secret("key", &std::fs::read_to_string(import.okta.ready().private_key_file).unwrap()).await;
        import
    }

    /// From now on whoever reads the Secret writes under this name.
    async fn write_as(&self, name: &str) {
        let identity = self.teleport.identity(&IdentityKind::user(name, &["okta-user-sync"])).unwrap();
        self.ground.put_secret("identity", &identity).await;
    }

    async fn begin(&self) {
        let (okta, teleport) = (self.okta.ready(), self.teleport.ready());
        let mut spec = refers_to("key", "identity");
        spec["okta"]["orgURL"] = okta.org_url.into();
        spec["okta"]["clientID"] = okta.client_id.into();
        spec["scope"] = json!({ "appID": okta.app_id });
        spec["teleport"]["address"] = teleport.auth_address.clone().into();
        spec["teleport"]["connector"] = teleport.connector.clone().into();
        self.ground.put("acme", &spec).await;
    }

    async fn replica(&self, name: &str, port: u16) -> Replica {
        let (instance, ca) = (format!("--instance={name}"), format!("--okta-ca={}", self.ca.path().display()));
        let arguments = [TIMES.as_slice(), &[&instance, &ca]].concat();
        Replica::start(&self.ground, port, &arguments).await
    }

    /// How many users this name has made.
    fn written_by(&self, name: &str) -> usize {
        self.teleport.writes().iter().filter(|write| write.who == name).count()
    }

    async fn until_written(&self, name: &str, least: usize) {
        eventually(SOON, "writes", async || {
            let written = self.written_by(name);
            if written >= least { Ok(()) } else { Err(format!("{written} by {name}")) }
        })
        .await
        .unwrap();
    }

    async fn until_synced(&self) {
        self.teleport.clear_faults();
        self.ground.until("acme", "everybody", |object| suites::condition(object, "Ready")["reason"] == "Synced").await;
    }
}

// leader.rs, `keep`: `Ended::Lost`, which ends the process.
#[tokio::test(flavor = "multi_thread")]
async fn p08_a_leader_that_was_paused_writes_nothing_when_it_wakes() {
    let import = Import::prepare("paused").await;
    let port = import.ground.control_plane().port();
    import.write_as(FIRST).await;
    let mut first = import.replica("first", port).await;
    first.is("leading").await;
    let second = import.replica("second", port).await;
    second.is("standingBy").await;
    assert_eq!(second.healthz().await, Ok(200), "a standby serves its probes");
    import.begin().await;
    import.until_written(FIRST, 5).await;

    first.process.signal("STOP").unwrap();
    import.write_as(SECOND).await;
    second.is("leading").await;
    import.until_written(SECOND, 1).await;
    // What was on its way when it was paused has arrived by now: each write takes a third of a second, and the second has made one since.
    let written = import.written_by(FIRST);
    first.process.signal("CONT").unwrap();
    let ended = first.process.wait(SOON).await.unwrap();
    assert_eq!(ended.code(), Some(1), "{}", first.process.output());
    assert!(first.process.output().contains("the lease was lost"), "{}", first.process.output());
    import.until_synced().await;
    assert_eq!(import.written_by(FIRST), written, "{}", first.process.output());
    assert_eq!(import.ground.get("acme").await["status"]["users"]["synced"], PEOPLE);
}

// leader.rs, `keep`: `Ended::Lost`, which ends the process.
#[tokio::test(flavor = "multi_thread")]
async fn p08_a_leader_that_was_paused_within_a_partial_pass_does_not_go_on_with_it() {
    let import = Import::of("partial", 6).await;
    import.okta.org().rate_limit("/api/v1/logs", 1_000_000);
    let port = import.ground.control_plane().port();
    import.write_as(FIRST).await;
    let mut first = import.replica("first", port).await;
    first.is("leading").await;
    let second = import.replica("second", port).await;
    second.is("standingBy").await;
    import.begin().await;
    let read =
        |object: &Value| object["status"]["fastPath"]["state"] == "Active" && object["status"]["users"]["synced"] == 6;
    let before = import.ground.until("acme", "the import to end and the log to be read", read).await;

    // Somebody leaves. The lock is stored, and before the first hears of it, it is stopped.
    let app = import.okta.ready().app_id;
    let leaver = import.okta.org().assigned(&app).unwrap().remove(0);
    let entry = import.okta.org().app_user(&app, &leaver).unwrap();
    let user = entry["credentials"]["userName"].as_str().unwrap().to_owned();
    import.teleport.hold_after(1);
    import.okta.org().deactivate(&leaver).unwrap();
    let holding = async || import.teleport.is_holding().then_some(()).ok_or("no write yet");
    eventually(SOON, "the lock to be stored", holding).await.unwrap();
    first.process.signal("STOP").unwrap();
    let last = import.teleport.writes().pop().unwrap();
    assert_eq!((last.method.as_str(), last.who.as_str()), ("UpsertLock", FIRST), "{last:?}");
    let pass = import.ground.get("acme").await["status"]["lastRun"]["id"].clone();
    assert_eq!(pass, before["status"]["lastRun"]["id"], "it was a partial pass");

    import.write_as(SECOND).await;
    second.is("leading").await;
    import.teleport.release();
    let written = import.written_by(FIRST);
    first.process.signal("CONT").unwrap();
    let ended = first.process.wait(SOON).await.unwrap();
    assert_eq!(ended.code(), Some(1), "{}", first.process.output());
    eventually(SOON, "the account to go", async || import.teleport.user(&user).map_or(Ok(()), |_| Err("still there")))
        .await
        .unwrap();
    assert_eq!(import.written_by(FIRST), written, "{}", first.process.output());
    let gone = import.teleport.writes().into_iter().find(|write| write.method == "DeleteUser").unwrap();
    assert_eq!(gone.who, SECOND, "{gone:?}");
}

// leader.rs, `keep`: `Ended::Lost`, which ends the process.
#[tokio::test(flavor = "multi_thread")]
async fn p08_a_leader_that_is_cut_off_has_stopped_writing_before_another_may_begin() {
    let import = Import::prepare("partition").await;
    let passage = Passage::to(import.ground.control_plane().port()).await.unwrap();
    import.write_as(FIRST).await;
    let mut first = import.replica("first", passage.port()).await;
    first.is("leading").await;
    let second = import.replica("second", import.ground.control_plane().port()).await;
    second.is("standingBy").await;
    import.begin().await;
    import.until_written(FIRST, 5).await;

    // Teleport is still there for the first; only the API server, and with it the lease, is not.
    import.write_as(SECOND).await;
    passage.block();
    let began = Instant::now();
    second.is("leading").await;
    let (failover, written) = (began.elapsed(), import.written_by(FIRST));
    import.until_written(SECOND, 1).await;
    let ended = first.process.wait(SOON).await.unwrap();
    assert_eq!(ended.code(), Some(1), "it ends by itself: {}", first.process.output());
    import.until_synced().await;
    assert_eq!(import.written_by(FIRST), written, "{}", first.process.output());
    let first_of_second = import.teleport.writes().iter().position(|write| write.who == SECOND).unwrap();
    let late = import.teleport.writes().into_iter().skip(first_of_second).find(|write| write.who == FIRST);
    assert!(late.is_none(), "{late:?}");
    eprintln!("failover after a partition, with a lease of 6 s: {:.1} s", failover.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shard_has_its_own_lease_and_its_own_resources() {
    let ground = Ground::shared("shards").await;
    let port = ground.control_plane().port();
    let shard = async |name: &str| {
        let (selector, instance) = (format!("--watch-label-selector=shard={name}"), format!("--instance={name}"));
        Replica::start(&ground, port, &[TIMES.as_slice(), &[&selector, &instance]].concat()).await
    };
    let (a, b) = (shard("a").await, shard("b").await);
    // Neither waits for the other.
    a.is("leading").await;
    b.is("leading").await;
    for name in ["a", "b", "c"] {
        ground.put(name, &refers_to("key", "identity")).await;
        ground.patch(name, &json!({ "metadata": { "labels": { "shard": name } } })).await;
    }
    for name in ["a", "b"] {
        ground.until_reason(name, "KeySecretMissing").await;
    }
    let leases = ground.api::<Lease>().list(&ListParams::default()).await.unwrap();
    let mut holders: Vec<_> =
        leases.items.iter().filter_map(|lease| lease.spec.as_ref()?.holder_identity.clone()).collect();
    holders.sort();
    assert_eq!(holders, ["a", "b"]);
    // One that passes to the other shard is worked on there, and one that fits none by nobody.
    ground.patch("a", &json!({ "metadata": { "labels": { "shard": "b" } }, "spec": { "suspend": true } })).await;
    ground.until_reason("a", "Suspended").await;
    let shown = |metrics: &str| {
        let ready = metrics.lines().filter(|line| line.starts_with("okta_user_sync_ready{"));
        ready.filter(|line| line.contains("name=\"a\"")).count()
    };
    eventually(SOON, "the resource in the metrics of its new shard alone", async || {
        let (of_a, of_b) = (shown(&a.metrics().await), shown(&b.metrics().await));
        if (of_a, of_b) == (0, 1) { Ok(()) } else { Err(format!("{of_a} {of_b}")) }
    })
    .await
    .unwrap();
    assert_eq!(ground.get("c").await["status"], json!({ "observedGeneration": -1 }));
    let touched: Vec<Value> =
        ground.witness.versions("c").into_iter().filter(|o| o["status"]["conditions"].is_array()).collect();
    assert!(touched.is_empty());
}
