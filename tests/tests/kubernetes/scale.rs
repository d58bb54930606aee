//! Hundreds of resources at once, and what they cost while nothing happens.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, stream};
use okta_sim::OktaSim;
use serde_json::json;
use suites::{Ground, Replica, condition, ground::SOON};
use teleport_sim::TeleportSim;
use testkit::{control_plane::Request, eventually};

use crate::refers_to;

/// How many.
const RESOURCES: usize = 500;
/// How many are served to their end.
const SERVED: usize = 60;
/// Files and sockets that an operator may have open beyond what it had without resources.
const MORE_FILES: usize = 12;
/// How long it is looked at while nothing happens. Nothing ends that: only time shows what polls, and whatever does so
/// more often than four times a minute for each of hundreds is seen within this.
const IDLE: Duration = Duration::from_secs(15);
/// Leader election as in the product.
const RETRY: u64 = 2;

fn name(n: usize) -> String {
    format!("resource-{n:03}")
}

/// Processor time of a process so far, in seconds.
fn processor(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // User and system time, in ticks of a hundredth of a second (USER_HZ is 100 on every Linux that Rust runs on).
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// Resident memory of a process, in MiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Files and sockets that a process has open.
fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Requests by verb and resource.
fn counted(requests: &[Request]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for request in requests {
        *counted.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
    }
    counted
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_resources_are_all_served_and_cost_nothing_while_nothing_happens() {
    let ground = Ground::own("scale").await;
    let replica = Replica::start(&ground, ground.control_plane().port(), &["--instance=only"]).await;
    replica.is("leading").await;
    let began = std::time::Instant::now();
    // Each with a Secret of its own, and one that they share.
    let made = stream::iter(0..RESOURCES).for_each_concurrent(8, |n| {
        let ground = &ground;
        async move { ground.put(&name(n), &refers_to(&format!("key-{n:03}"), "identity")).await }
    });
    made.await;
    let all = ground.resources();
    eventually(4 * SOON, "a word on each of them", async || {
        let all = all.list(&kube::api::ListParams::default()).await.map_err(|error| error.to_string())?;
        let spoken = all.items.iter().filter(|object| {
            let object = serde_json::to_value(object).unwrap();
            condition(&object, "Ready")["reason"] == "KeySecretMissing"
        });
        let spoken = spoken.count();
        if spoken == RESOURCES { Ok(()) } else { Err(format!("{spoken} of {RESOURCES}")) }
    })
    .await
    .unwrap();
    let served = began.elapsed();

    // Nothing happens, so nothing is asked but for the lease, however many there are.
    let quiet = |requests: Vec<Request>| requests.into_iter().filter(|r| r.resource != "leases").collect::<Vec<_>>();
    // What each of them needs at its beginning: a finalizer, two words in status, an Event on the first pass, a look at its
    // Secret, and watches of the two Secrets. Whatever comes after the last of these comes while nothing happens.
    let beginning = [
        ("patch oktausersyncs", RESOURCES),
        ("patch oktausersyncs/status", 2 * RESOURCES),
        ("create events", RESOURCES),
        ("get secrets", RESOURCES),
        ("watch secrets", RESOURCES + 1),
    ];
    eventually(SOON, "the beginning of each to be over", async || {
        let calls = counted(&ground.requests());
        let missing = beginning.iter().find(|(what, count)| calls.get(*what).copied().unwrap_or_default() < *count);
        missing.map_or(Ok(()), |missing| Err(format!("{missing:?} of {calls:?}")))
    })
    .await
    .unwrap();
    let settled = quiet(ground.requests()).len();
    let pid = replica.process.id();
    let (leases, spent) = (ground.requests().len() - settled, processor(pid));
    tokio::time::sleep(IDLE).await;
    let (requests, spent) = (ground.requests(), processor(pid) - spent);
    let asked = quiet(requests.clone());
    let idle = &asked[settled.min(asked.len())..];
    eprintln!(
        "{RESOURCES} resources: all served after {:.1} s; then {} requests in {} s beside {} for the lease, {spent:.2} s of \
         processor time; {} MiB resident (debug build); in all {:?}",
        served.as_secs_f64(),
        idle.len(),
        IDLE.as_secs(),
        requests.len() - asked.len() - leases,
        memory(pid),
        counted(&asked),
    );
    // One finalizer and two words on the first pass for each, an Event, its Secret: no write met a version of our own.
    let calls = counted(&asked);
    assert_eq!(calls.get("patch oktausersyncs/status").copied().unwrap_or_default(), 2 * RESOURCES, "{calls:?}");
    assert!(idle.len() <= 2, "asked while nothing happened: {idle:?}");
    let renewals = usize::try_from(2 * (IDLE.as_secs() / RETRY + 2)).unwrap();
    assert!(requests.len() - asked.len() - leases <= renewals, "one read and one write a renewal, and no more");
    assert!(spent < IDLE.as_secs_f64() / 10.0, "{spent:.2} s of processor time");

    // And among all of them, a change of one is seen at once.
    let changed = std::time::Instant::now();
    ground.put_secret("key-250", "no key at all").await;
    ground.until_reason(&name(250), "IdentitySecretMissing").await;
    eprintln!("one Secret of one of them written: acted on after {:.2} s", changed.elapsed().as_secs_f64());
    assert_eq!(
        quiet(ground.requests())
            .iter()
            .filter(|r| r.resource == "secrets" && r.verb == "list" && r.name.is_empty())
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_with_the_same_credentials_share_tokens_and_connections() {
    let ground = Ground::own("shared").await;
    let okta = OktaSim::start(okta_sim::Options::with_people(SERVED, 7)).await.unwrap();
    let app = okta.ready().app_id;
    let teleport = teleport_sim::Options { okta_app_id: app.clone(), ..teleport_sim::Options::default() };
    let teleport = TeleportSim::start(teleport).await.unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), okta.ca_pem()).unwrap();
    let okta_ca = format!("--okta-ca={}", ca.path().display());
    let arguments = ["--instance=only", &okta_ca, "--teleport-write-rate=0"];
    let replica = Replica::start(&ground, ground.control_plane().port(), &arguments).await;
    replica.is("leading").await;
    let (before, users) = (open_files(replica.process.id()), teleport.state().users);

    // Each has a group of one; all have one key and one identity. (A Secret of its own would be a watch of its own, which is
    // a connection to the API server.)
    ground.put_secret("okta-key", &std::fs::read_to_string(okta.ready().private_key_file).unwrap()).await;
    ground.put_secret("identity", &std::fs::read_to_string(&teleport.ready().identity_file).unwrap()).await;
    for (n, person) in okta.org().assigned(&app).unwrap().into_iter().enumerate() {
        let group = okta.org().create_group(&name(n)).unwrap();
        okta.org().join(&group, &person).unwrap();
    }
    let made = stream::iter(0..SERVED).for_each_concurrent(8, |n| {
        let (ground, okta, teleport) = (&ground, okta.ready(), teleport.ready());
        async move {
            let spec = json!({
                "okta": { "orgURL": okta.org_url, "clientID": okta.client_id,
                          "privateKeySecretRef": { "name": "okta-key", "key": "content" } },
                "scope": { "source": "Groups", "groups": [name(n)] },
                "teleport": { "address": teleport.auth_address, "connector": teleport.connector,
                              "identitySecretRef": { "name": "identity", "key": "content" } },
            });
            ground.put(&name(n), &spec).await;
        }
    });
    made.await;
    for n in 0..SERVED {
        ground.until_reason(&name(n), "Synced").await;
    }
    assert_eq!(teleport.state().users - users, SERVED);

    // One token for passes and one for the System Log; one connection to the cluster; and no more files than that takes.
    let counters = okta.org().counters();
    assert_eq!(counters.of("POST", "/oauth2/v1/token"), 2, "{:?}", counters.requests);
    assert_eq!((teleport.counters().connections, teleport.open_connections()), (1, 1));
    let after = open_files(replica.process.id());
    eprintln!("{SERVED} resources: {before} files open without them, {after} with them");
    assert!(after <= before + MORE_FILES, "{before} before, {after} after");

    // What each of them says it took is its own.
    let calls = async |n: usize| ground.get(&name(n)).await["status"]["lastRun"]["oktaCalls"].as_i64().unwrap();
    for n in 0..SERVED {
        assert!((1..=6).contains(&calls(n).await), "{}", calls(n).await);
    }
}
