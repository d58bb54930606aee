//! The operator as a process: how soon a leaver is locked, and what a restart and a lost leader cost.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use super::{Scenario, count};
use crate::{
    error::BenchError,
    measure::quantile,
    post::Post,
    report::{Bound, Figure},
    scene::{Scene, Scenes},
    stage::Stage,
};

/// Seconds between two looks at the System Log: the product's default.
const POLL: f64 = 15.0;

/// Seconds beyond a poll in which all but one leaver in twenty are locked.
const BEYOND_POLL: f64 = 5.0;

/// Leavers while nothing else happens.
const LEAVERS: usize = 200;

/// Leavers while an import runs.
const LEAVERS_IN_IMPORT: usize = 40;

/// Between two leavers. It is no divisor of the poll, so that they fall on all parts of it.
const APART: Duration = Duration::from_millis(370);

/// The caches of a real cluster (measured): a second behind, and no more than so many changes a second.
fn as_measured() -> Value {
    json!({ "usersMs": 1000, "locksMs": 1000, "changesPerSecond": 512 })
}

/// Peak resident memory of the operator in passes over 100 000 people, MiB.
const MOST_MIB: f64 = 96.0;

const NAME: &str = "acme";

pub(super) fn run<T>(work: impl Future<Output = Result<T, BenchError>>) -> Result<T, BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(BenchError::system("starting the runtime"))?.block_on(work)
}

fn no_brake(people: usize) -> Value {
    json!({ "removal": { "brake": { "maxUsers": people } } })
}

pub(super) fn ready(object: &Value) -> bool {
    suites::condition(object, "Ready")["status"] == "True"
}

/// Event → lock in force, among everybody, while nothing else happens; then a restart.
pub(super) fn fast_path(scenes: &mut Scenes<'_>, people: usize) -> Result<Vec<Figure>, BenchError> {
    let scene = Scene::of(scenes.stage, people)?;
    run(async {
        let post = Post::new().await?;
        let mut operator = post.start(scenes.stage, &scene, &["--teleport-write-rate=0"]).await?;
        operator.is("leading").await?;
        post.put_secrets(&scene).await?;
        post.ground.put(NAME, &Post::spec(&scene, &no_brake(people))).await;
        post.until(NAME, "everybody to be imported", ready).await?;
        post.until(NAME, "the System Log to be read", |object| object["status"]["fastPath"]["state"] == "Active")
            .await?;
        let (_, peak) = operator.memory()?;
        scene.tell_cluster("/lag", &as_measured()).await?;
        let leavers = scene.first(LEAVERS).await?;
        let taken = shut_out(&scene, &leavers).await?;
        let mut figures = latencies(Scenario::FastPath, &taken, &format!("{LEAVERS} leavers among {people} people"));
        figures.push(Scenario::FastPath.figure("peak memory of the import before it, MiB", peak));
        operator.kill()?;
        drop(operator);
        figures.extend(restart(scenes.stage, &post, &scene, people).await?);
        Ok(figures)
    })
}

/// Deactivates them one after the other, and says how long it took until each one's lock was in force, in seconds.
async fn shut_out(scene: &Scene, leavers: &[(String, String)]) -> Result<Vec<f64>, BenchError> {
    let began: tokio::sync::Mutex<HashMap<&str, Instant>> = tokio::sync::Mutex::default();
    let leaving = async {
        for (id, name) in leavers {
            scene.manage(Method::POST, &format!("/api/v1/users/{id}/lifecycle/deactivate"), &json!({})).await?;
            began.lock().await.insert(name, Instant::now());
            tokio::time::sleep(APART).await;
        }
        Ok::<_, BenchError>(())
    };
    let watching = async {
        let mut taken: HashMap<String, f64> = HashMap::new();
        let limit =
            Instant::now() + APART * u32::try_from(leavers.len()).unwrap_or(u32::MAX) + Duration::from_secs(180);
        while taken.len() < leavers.len() && Instant::now() < limit {
            let locks = scene.cluster("/locks").await?;
            let began = began.lock().await;
            for lock in locks.as_array().into_iter().flatten().filter(|lock| lock["enforced"] == true) {
                let user = lock["user"].as_str().unwrap_or_default();
                if let Some(at) = began.get(user) {
                    taken.entry(user.to_owned()).or_insert_with(|| at.elapsed().as_secs_f64());
                }
            }
            drop(began);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok::<_, BenchError>(taken)
    };
    let ((), taken) = tokio::try_join!(leaving, watching)?;
    Ok(taken.into_values().collect())
}

fn latencies(scenario: Scenario, taken: &[f64], detail: &str) -> Vec<Figure> {
    let at = |share| quantile(taken.iter().copied(), share);
    vec![
        scenario.figure("locked", count(taken.len())).with(detail),
        scenario.figure("event to lock in force, p50, s", at(0.5)),
        scenario
            .figure("event to lock in force, p95, s", at(0.95))
            .held(Bound::AtMost(POLL + BEYOND_POLL))
            .with(format!("a poll every {POLL} s; the cluster's caches a second behind")),
        scenario.figure("event to lock in force, p99, s", at(0.99)),
    ]
}

/// The operator is started again, and passes over everybody.
async fn restart(stage: &Stage, post: &Post, scene: &Scene, people: usize) -> Result<Vec<Figure>, BenchError> {
    let scenario = Scenario::FastPath;
    let began = Instant::now();
    let operator = post.start(stage, scene, &[]).await?;
    operator.is("leading").await?;
    let leading = began.elapsed().as_secs_f64();
    let before = operator.cpu()?;
    let pass = Instant::now();
    post.pass(NAME).await?;
    let took = pass.elapsed().as_secs_f64();
    let (first, passes) = (operator.cpu()? - before, operator.full_passes().await?);
    post.pass(NAME).await?;
    let (_, peak) = operator.memory()?;
    Ok(vec![
        scenario.figure("restart to leading, s", leading).with("the Lease of the killed one has to run out first"),
        scenario
            .figure("first full pass after a restart, s", took)
            .with(format!("{first:.2} s of CPU time, {passes} full passes since the start")),
        scenario.figure("peak memory of two full passes after a restart, MiB", peak).held(if people <= 100_000 {
            Bound::AtMost(MOST_MIB)
        } else {
            Bound::AtMost(f64::MAX)
        }),
    ])
}

/// Event → lock in force, while everybody is being imported at the default rate.
pub(super) fn fast_path_in_import(scenes: &mut Scenes<'_>, people: usize) -> Result<Vec<Figure>, BenchError> {
    let scene = Scene::of(scenes.stage, people)?;
    run(async {
        scene.tell_cluster("/lag", &as_measured()).await?;
        let post = Post::new().await?;
        let operator = post.start(scenes.stage, &scene, &["--no-leader-election"]).await?;
        operator.is("leading").await?;
        post.put_secrets(&scene).await?;
        post.ground.put(NAME, &Post::spec(&scene, &no_brake(people))).await;
        post.until(NAME, "the System Log to be read", |object| object["status"]["fastPath"]["state"] == "Active")
            .await?;
        let there = made(&scene, people / 20).await?;
        let people_there = scene.first(people).await?.into_iter().filter(|(_, name)| there.contains(name));
        let leavers: Vec<_> = people_there.take(LEAVERS_IN_IMPORT).collect();
        let taken = shut_out(&scene, &leavers).await?;
        let made = scene.cluster("/state").await?["users"].as_u64().unwrap_or_default();
        let mut figures = latencies(
            Scenario::FastPathInImport,
            &taken,
            &format!("{LEAVERS_IN_IMPORT} leavers while {people} people are imported at 300 a second"),
        );
        figures.push(
            Scenario::FastPathInImport
                .figure("users when the last leaver was locked", count(made))
                .held(Bound::AtMost(count(people - 1)))
                .with("fewer than all: the import was still running"),
        );
        Ok(figures)
    })
}

/// Names of the users who are there, once there are so many.
async fn made(scene: &Scene, at_least: usize) -> Result<HashSet<String>, BenchError> {
    loop {
        let names = scene.cluster("/users").await?;
        let names: HashSet<String> =
            names.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        if names.len() >= at_least {
            return Ok(names);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The leader is killed; how long until the other has run its first pass.
pub(super) fn failover(scenes: &mut Scenes<'_>) -> Result<Vec<Figure>, BenchError> {
    /// Seconds of the Lease, the product's default.
    const LEASE: f64 = 15.0;
    let scenario = Scenario::Failover;
    let scene = Scene::of(scenes.stage, 100)?;
    run(async {
        let post = Post::new().await?;
        let mut leader = post.start(scenes.stage, &scene, &["--instance=first"]).await?;
        leader.is("leading").await?;
        let other = post.start(scenes.stage, &scene, &["--instance=second"]).await?;
        other.is("standingBy").await?;
        post.put_secrets(&scene).await?;
        post.ground.put(NAME, &Post::spec(&scene, &json!({}))).await;
        post.until(NAME, "everybody to be imported", ready).await?;
        let mut taken = Vec::new();
        leader.kill()?;
        let began = Instant::now();
        post.pass(NAME).await?;
        taken.push(began.elapsed().as_secs_f64());
        let standing_by = other.memory()?.0;
        Ok(vec![
            scenario
                .figure("leader killed to first pass of the next one done, s", quantile(taken, 0.5))
                .held(Bound::AtMost(LEASE + 5.0))
                .with(format!("a Lease of {LEASE} s, 100 people, a pass asked for when it was killed")),
            scenario.figure("memory of the next one after that pass, MiB", standing_by),
        ])
    })
}
