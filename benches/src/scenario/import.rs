//! Everybody made in an empty cluster.

use super::{Pair, Scenario, count, size};
use crate::{
    error::BenchError,
    measure::measure,
    part::Which,
    report::{Bound, Figure},
    scene::{Scene, Scenes},
};

/// Wall time of an import, as a multiple of the bare loop's with as many calls at once.
const MOST_WALL: f64 = 1.15;

/// Memory that the chart grants the operator, MiB: an import must fit.
const GRANTED_MIB: f64 = 192.0;

pub(super) fn first_import(scenes: &mut Scenes<'_>, people: usize, rounds: usize) -> Result<Vec<Figure>, BenchError> {
    let mut figures = Vec::new();
    let mut scene = Scene::of(scenes.stage, people / 10)?;
    for (at_once, floor) in [(1, Which::ImportFloor1), (8, Which::ImportFloor8), (32, Which::ImportFloor32)] {
        figures.extend(import(scenes, &mut scene, (at_once, floor), rounds)?);
    }
    scene = Scene::of(scenes.stage, people)?;
    figures.extend(import(scenes, &mut scene, (8, Which::ImportFloor8), rounds)?);
    Ok(figures)
}

fn import(
    scenes: &Scenes<'_>,
    scene: &mut Scene,
    (at_once, floor): (usize, Which),
    rounds: usize,
) -> Result<Vec<Figure>, BenchError> {
    let scenario = Scenario::FirstImport;
    let mut pair = Pair::default();
    let mut simulators = 0.0;
    let arguments = format!("--teleport-writes-at-once={at_once}");
    for _ in 0..rounds.max(1) {
        scene.empty_cluster(scenes.stage)?;
        pair.floor.push(measure(floor, &scene.places())?);
        simulators += scene.teleport.cpu()?;
        scene.empty_cluster(scenes.stage)?;
        pair.subject.push(scene.sync(&["--teleport-write-rate=0", &arguments])?);
        simulators += scene.teleport.cpu()?;
    }
    let size = format!("{}, {at_once} at once", size(scene.people));
    let made = pair.subject.iter().map(|run| run.done.writes).min().unwrap_or_default();
    Ok(vec![
        pair.wall(scenario, &size).held(Bound::AtMost(MOST_WALL)),
        pair.cpu(scenario, &size, simulators),
        scenario.figure(format!("made{size}"), count(made)).held(Bound::AtLeast(count(scene.people))).with(format!(
            "{:.0} a second; the bare loop's creates alone took {:.2} s",
            count(made) / pair.subject(|run| run.wall_seconds),
            pair.floor(|run| run.done.writing_seconds),
        )),
        scenario.figure(format!("peak memory{size}, MiB"), pair.peak()).held(Bound::AtMost(GRANTED_MIB)),
    ])
}
