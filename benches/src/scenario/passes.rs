//! Whole passes of the product, as a process: nothing to do, something to do.

use super::{Pair, Scenario, calls_of_a_pass, count, seen, size};
use crate::{
    error::BenchError,
    measure::measure,
    part::Which,
    report::{Bound, Figure},
    scene::Scenes,
};

/// CPU time of a pass that finds nothing to do, as a multiple of both bare loops'.
const MOST_CPU: f64 = 1.5;

/// Peak resident memory of such a pass over 100 000 people, MiB.
const MOST_MIB: f64 = 96.0;

/// Bytes for each further person beyond what names and digests them.
pub(super) const BYTES_A_PERSON: f64 = 160.0;

/// What names and digests a person: id (20 bytes), user name (30 in these people), digest (8).
pub(super) const DIGEST: f64 = 58.0;

/// One person in so many is changed, or leaves.
const ONE_IN: usize = 100;

pub(super) fn no_change(scenes: &mut Scenes<'_>, people: usize, rounds: usize) -> Result<Vec<Figure>, BenchError> {
    let scenario = Scenario::NoChange;
    let mut figures = Vec::new();
    let mut peaks = Vec::new();
    for people in [people / 100, people / 10, people] {
        let scene = scenes.imported(people)?;
        let places = scene.places();
        let before = scene.simulators_cpu()?;
        let pair = Pair::of(rounds, || scene.sync(&[]), || measure(Which::PassFloor, &places))?;
        let simulators = scene.simulators_cpu()? - before;
        let size = size(scene.people);
        let written = pair.subject.iter().map(|run| run.done.writes).max().unwrap_or_default();
        let cpu = pair.cpu(scenario, &size, simulators);
        // The start of a process weighs more than a few pages.
        figures.push(if people >= 10_000 { cpu.held(Bound::AtMost(MOST_CPU)) } else { cpu });
        figures.push(pair.wall(scenario, &size));
        let calls = scenario.figure(format!("calls to Okta{size}"), pair.calls());
        figures.push(calls.held(Bound::AtMost(calls_of_a_pass(scene.people))));
        let writes = scenario.figure(format!("writes to Teleport{size}"), count(written));
        figures.push(writes.held(Bound::AtMost(0.0)));
        let peak = scenario.figure(format!("peak memory{size}, MiB"), pair.peak());
        figures.push(if people <= 100_000 { peak.held(Bound::AtMost(MOST_MIB)) } else { peak });
        figures.push(seen(scenario, &pair, scene.people));
        peaks.push((scene.people, pair.peak()));
    }
    if let [.., (few, less), (many, more)] = peaks[..] {
        let each = (more - less) * 1024.0 * 1024.0 / count(many - few);
        figures.push(
            scenario
                .figure("memory for each further person, bytes", each)
                .held(Bound::AtMost(BYTES_A_PERSON + DIGEST))
                .with(format!("from {few} to {many} people; {DIGEST} of the bound are id, name and digest")),
        );
    }
    Ok(figures)
}

pub(super) fn changed(scenes: &mut Scenes<'_>, people: usize) -> Result<Vec<Figure>, BenchError> {
    let scenario = Scenario::Changed;
    let scene = scenes.imported(people)?;
    let quiet = scene.sync(&[])?;
    let changed = people / ONE_IN;
    scene.change(changed)?;
    let pass = scene.sync(&["--teleport-write-rate=0"])?;
    Ok(vec![
        scenario
            .figure("writes to Teleport", count(pass.done.writes))
            .held(Bound::AtMost(count(changed)))
            .with(format!("{changed} people changed")),
        scenario.figure("calls to Okta", count(pass.done.calls)).held(Bound::AtMost(calls_of_a_pass(scene.people))),
        scenario
            .figure("CPU time for each, ms", (pass.cpu_seconds - quiet.cpu_seconds) * 1000.0 / count(changed))
            .with("over that of a pass that finds nothing to do"),
        scenario
            .figure("wall time, s", pass.wall_seconds)
            .with(format!("{:.2} s with nothing to do; write rate unbounded", quiet.wall_seconds)),
        scenario.figure("peak memory, MiB", pass.peak_mib),
    ])
}

pub(super) fn leavers(scenes: &mut Scenes<'_>, people: usize) -> Result<Vec<Figure>, BenchError> {
    let scenario = Scenario::Leavers;
    let scene = scenes.imported(people)?;
    let quiet = scene.sync(&[])?;
    let leavers = people / ONE_IN;
    scene.leave(leavers)?;
    let pass = scene.sync(&[])?;
    let after = scene.sync(&[])?;
    // Each is asked for by id; lock and deletion are two writes.
    let calls = calls_of_a_pass(scene.people) + count(leavers);
    Ok(vec![
        scenario
            .figure("calls to Okta", count(pass.done.calls))
            .held(Bound::AtMost(calls))
            .with(format!("{leavers} leavers, each confirmed by id; brake {} users", people / 10)),
        scenario.figure("writes to Teleport", count(pass.done.writes)).held(Bound::AtLeast(count(2 * leavers))),
        scenario.figure("writes of the pass after it", count(after.done.writes)).held(Bound::AtMost(0.0)),
        scenario
            .figure("CPU time for each, ms", (pass.cpu_seconds - quiet.cpu_seconds) * 1000.0 / count(leavers))
            .with("over that of a pass that finds nothing to do"),
        scenario
            .figure("wall time, s", pass.wall_seconds)
            .with(format!("{:.2} s with nothing to do", quiet.wall_seconds)),
    ])
}
