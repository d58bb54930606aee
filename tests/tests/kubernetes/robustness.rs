//! Nothing is missed: the API server restarted, etcd compacted, the watch cut, the way slow, the operator absent.
//!
//! Each story makes changes while the operator cannot see them, and then waits for each of them to have been acted on.

use std::time::Duration;

use serde_json::json;
use suites::{Ground, Replica, ground::SOON};
use testkit::Passage;

use crate::refers_to;

/// Leader election as quick as these stories need it.
const TIMES: [&str; 4] = ["--lease-seconds=6", "--renew-seconds=5", "--retry-seconds=1", "--instance=only"];

/// Four resources that the operator has seen: one each to be changed, to be deleted, whose Secret is written, and left
/// alone.
async fn settled(ground: &Ground) {
    for name in ["changed", "deleted", "mended", "quiet"] {
        ground.put(name, &refers_to(&format!("key-of-{name}"), "identity")).await;
    }
    for name in ["changed", "deleted", "mended", "quiet"] {
        ground.until_reason(name, "KeySecretMissing").await;
    }
}

/// The replica has noticed, and says so to probes.
async fn until_not_ready(replica: &Replica) {
    testkit::eventually(SOON, "the replica to be unready", async || match replica.readyz().await {
        Ok((503, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
}

/// One change of each kind.
async fn change(ground: &Ground) {
    ground.patch("changed", &json!({ "spec": { "suspend": true } })).await;
    ground.delete("deleted").await;
    ground.put_secret("key-of-mended", "no key at all").await;
    ground.put_secret("identity", "no identity").await;
    ground.put("made", &refers_to("key-of-made", "identity")).await;
}

/// Each of them has been acted on.
async fn until_seen(ground: &Ground) {
    ground.until_reason("changed", "Suspended").await;
    ground.until_gone("deleted").await;
    ground.until_reason("mended", "KeyUnreadable").await;
    ground.until_reason("made", "KeySecretMissing").await;
    assert_eq!(suites::condition(&ground.get("quiet").await, "Ready")["reason"], "KeySecretMissing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_was_absent_for_a_while() {
    let ground = Ground::shared("absent").await;
    let port = ground.control_plane().port();
    let mut replica = Replica::start(&ground, port, &TIMES).await;
    settled(&ground).await;
    replica.process.kill().unwrap();
    change(&ground).await;
    let _replica = Replica::start(&ground, port, &TIMES).await;
    until_seen(&ground).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_is_cut() {
    let ground = Ground::shared("cut").await;
    let passage = Passage::to(ground.control_plane().port()).await.unwrap();
    let mut replica = Replica::start(&ground, passage.port(), &TIMES).await;
    settled(&ground).await;
    // Nothing comes through while the changes are made; then every connection breaks.
    passage.block();
    change(&ground).await;
    passage.cut();
    passage.open();
    until_seen(&ground).await;
    assert_eq!(replica.process.ended().unwrap(), None, "{}", replica.process.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_is_slow() {
    let ground = Ground::shared("slow").await;
    let passage = Passage::to(ground.control_plane().port()).await.unwrap();
    let mut replica = Replica::start(&ground, passage.port(), &TIMES).await;
    settled(&ground).await;
    passage.slow(Duration::from_millis(250));
    change(&ground).await;
    until_seen(&ground).await;
    replica.is("leading").await;
    assert_eq!(replica.process.ended().unwrap(), None, "the lease was kept: {}", replica.process.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_is_restarted_and_etcd_was_compacted() {
    let mut ground = Ground::own("restart").await;
    // Long enough for the API server to be away; the operator would end otherwise, and be started anew.
    let patient = ["--lease-seconds=120", "--renew-seconds=110", "--retry-seconds=1", "--instance=only"];
    let passage = Passage::to(ground.control_plane().port()).await.unwrap();
    let mut replica = Replica::start(&ground, passage.port(), &patient).await;
    settled(&ground).await;

    // Restarted: it is ready again although nothing happens, and what changes afterwards is seen.
    ground.own_control_plane().stop_api_server().unwrap();
    until_not_ready(&replica).await;
    ground.start_api_server(SOON).await;
    replica.is("leading").await;
    ground.annotate("quiet", "reconcile.fluxcd.io/requestedAt", "after the restart").await;
    ground.until("quiet", "the request", |o| o["status"]["lastHandledReconcileAt"] == "after the restart").await;

    // Compacted while the operator sees nothing: its watch resumes at a version that nobody remembers.
    let lists = |ground: &Ground| {
        let requests = ground.requests();
        requests.iter().filter(|r| r.resource == "oktausersyncs" && r.verb == "list").count()
    };
    passage.block();
    let before = lists(&ground);
    change(&ground).await;
    ground.own_control_plane().compact_etcd().await.unwrap();
    ground.own_control_plane().stop_api_server().unwrap();
    ground.start_api_server(SOON).await;
    passage.cut();
    passage.open();
    until_seen(&ground).await;
    assert!(lists(&ground) > before, "a new list shows that the old version was gone (410)");
    assert_eq!(replica.process.ended().unwrap(), None, "{}", replica.process.output());
}
