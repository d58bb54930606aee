//! Many resources of one organisation and one cluster: what they cost while nothing happens, and in full passes.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Scenario, count,
    operator::{ready, run},
};
use crate::{
    error::BenchError,
    post::{Operator, Post},
    report::{Bound, Figure},
    scene::{Scene, Scenes},
};

/// Resources, each with a group of its own.
const RESOURCES: usize = 500;

/// What put these people into their groups stands in the System Log, which every poll reads again as far as three minutes
/// back: so long after the import it is not true that nothing happens.
const ECHO: Duration = Duration::from_secs(200);

/// How long it is looked at, while that echo lasts and after it.
const MINUTE: Duration = Duration::from_secs(60);

/// What an operator may cost that has nothing to do: MiB, and share of a core. The share is held under the echo too.
const IDLE_MIB: f64 = 25.0;
const IDLE_CORE: f64 = 0.005;

/// Time between two full passes of each resource while those are measured, as `spec.interval` says it, and how long it is
/// looked at: each comes once. By default they come a fifth as often.
const OFTEN: &str = "2m";
const LOOK: Duration = Duration::from_secs(120);

const SCENARIO: Scenario = Scenario::ManyResources;

/// Everybody is imported, then nothing happens, then full passes come.
pub(super) fn many_resources(scenes: &mut Scenes<'_>, people: usize) -> Result<Vec<Figure>, BenchError> {
    let each = (people / RESOURCES).max(1);
    let people = each * RESOURCES;
    let scene = Scene::of(scenes.stage, people)?;
    run(async {
        let groups = grouped(&scene, each).await?;
        let post = Post::new().await?;
        let operator = post.start(scenes.stage, &scene, &["--no-leader-election", "--teleport-write-rate=0"]).await?;
        operator.is("leading").await?;
        post.put_secrets(&scene).await?;
        let began = Instant::now();
        put_all(&post, &scene, &groups, "24h").await;
        for group in &groups {
            post.until(group, "its people to be imported", ready).await?;
        }
        let served = began.elapsed().as_secs_f64();
        let made = scene.cluster("/state").await?["users"].as_u64().unwrap_or_default();
        let mut figures = vec![
            SCENARIO
                .figure("users", count(made))
                .held(Bound::AtLeast(count(people)))
                .with(format!("{RESOURCES} resources, a group of {each} each; all imported after {served:.0} s")),
        ];
        figures.extend(at_rest(&operator).await?);
        put_all(&post, &scene, &groups, OFTEN).await;
        for group in &groups {
            let seen = |object: &Value| object["status"]["observedGeneration"] == 2 && ready(object);
            post.until(group, "its interval to be seen", seen).await?;
        }
        figures.extend(in_passes(&operator, made).await?);
        Ok(figures)
    })
}

/// The minute right after the import, and one in which nothing happens at all.
async fn at_rest(operator: &Operator) -> Result<Vec<Figure>, BenchError> {
    let (_, peak) = operator.memory()?;
    let (core_in_echo, mib_in_echo) = minute(operator).await?;
    tokio::time::sleep(ECHO.saturating_sub(MINUTE)).await;
    let (core, mib) = minute(operator).await?;
    let at_most = Bound::AtMost(IDLE_CORE * 100.0);
    Ok(vec![
        SCENARIO
            .figure("right after the import: share of a core, %", core_in_echo * 100.0)
            .held(at_most)
            .with("its first minute: each poll reads the events of the last three again"),
        SCENARIO.figure("right after the import: memory, MiB", mib_in_echo).with(format!("peak {peak:.1} MiB")),
        SCENARIO
            .figure("idle: share of a core, %", core * 100.0)
            .held(at_most)
            .with(format!("a minute that begins {} s after the import", ECHO.as_secs())),
        SCENARIO.figure("idle: memory, MiB", mib).held(Bound::AtMost(IDLE_MIB)),
    ])
}

/// Full passes that nobody asks for, and that find nothing to do.
async fn in_passes(operator: &Operator, users: u64) -> Result<Vec<Figure>, BenchError> {
    let (before, spent) = (operator.full_passes().await?, operator.cpu()?);
    tokio::time::sleep(LOOK).await;
    let spent = operator.cpu()? - spent;
    let passes = operator.full_passes().await? - before;
    Ok(vec![
        SCENARIO
            .figure("a full pass that finds nothing to do: CPU time, ms", spent * 1000.0 / passes)
            .with(format!("{passes} of them in {} s, {users} users there", LOOK.as_secs())),
        SCENARIO.figure(
            format!("full passes, one of each in {OFTEN}: share of a core, %"),
            spent / LOOK.as_secs_f64() * 100.0,
        ),
    ])
}

/// A minute in which nothing is done to the operator: its share of a core, and its memory at the end, in MiB.
async fn minute(operator: &Operator) -> Result<(f64, f64), BenchError> {
    let before = operator.cpu()?;
    tokio::time::sleep(MINUTE).await;
    let (mib, _) = operator.memory()?;
    Ok(((operator.cpu()? - before) / MINUTE.as_secs_f64(), mib))
}

/// A resource for each group, with that time between full passes.
async fn put_all(post: &Post, scene: &Scene, groups: &[String], interval: &str) {
    let puts = stream::iter(groups).for_each_concurrent(8, |group| {
        let scope = json!({ "source": "Groups", "appID": null, "groups": [group] });
        let spec = without_nulls(Post::spec(scene, &json!({ "interval": interval, "scope": scope })));
        async move { post.ground.put(group, &spec).await }
    });
    puts.await;
}

/// A group for every so many people; answers the groups' names.
async fn grouped(scene: &Scene, each: usize) -> Result<Vec<String>, BenchError> {
    let people = scene.first(scene.people).await?;
    let groups = people.chunks(each).enumerate().map(|(n, people)| async move {
        let name = format!("group-{n:03}");
        let made = scene.manage(Method::POST, "/api/v1/groups", &json!({ "profile": { "name": name } })).await?;
        let group = made["id"].as_str().unwrap_or_default();
        for (id, _) in people {
            scene.manage(Method::PUT, &format!("/api/v1/groups/{group}/users/{id}"), &json!({})).await?;
        }
        Ok(name)
    });
    stream::iter(groups).buffered(8).try_collect().await
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, field| !field.is_null());
        for field in fields.values_mut() {
            *field = without_nulls(std::mem::take(field));
        }
    }
    value
}
