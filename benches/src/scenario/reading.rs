//! Each side alone: everybody in Okta, every user in Teleport.

use super::{
    Pair, Scenario, calls_of_a_pass, count,
    passes::{BYTES_A_PERSON, DIGEST},
    seen,
};
use crate::{
    error::BenchError,
    part::Which,
    report::{Bound, Figure},
    scene::Scenes,
};

/// Memory that two runs of the same code may differ by without any reason: arenas of the allocator, MiB.
const NOISE_MIB: f64 = 8.0;

/// CPU time that either may need, as a multiple of the bare loop's.
const MOST_CPU: f64 = 1.3;

pub(super) fn people(scenes: &mut Scenes<'_>, people: usize, rounds: usize) -> Result<Vec<Figure>, BenchError> {
    let scenario = Scenario::OktaRead;
    let few = scenes.imported(people / 10)?.places();
    let few = Pair::of_parts(&few, Which::OktaRead, Which::OktaFloor, 1)?;
    let scene = scenes.imported(people)?;
    let before = scene.okta.cpu()?;
    let many = Pair::of_parts(&scene.places(), Which::OktaRead, Which::OktaFloor, rounds)?;
    let simulator = scene.okta.cpu()? - before;
    let grown = many.peak() - few.peak();
    Ok(vec![
        many.cpu(scenario, "", simulator).held(Bound::AtMost(MOST_CPU)),
        many.wall(scenario, ""),
        seen(scenario, &many, scene.people),
        scenario.figure("calls to Okta", many.calls()).held(Bound::AtMost(calls_of_a_pass(scene.people))),
        scenario
            .figure("memory over that of a tenth of the people, MiB", grown)
            .held(Bound::AtMost(NOISE_MIB))
            .with(format!("peak {:.1} MiB", many.peak())),
    ])
}

pub(super) fn users(scenes: &mut Scenes<'_>, people: usize, rounds: usize) -> Result<Vec<Figure>, BenchError> {
    let scenario = Scenario::TeleportList;
    let few = scenes.imported(people / 10)?.places();
    let few = Pair::of_parts(&few, Which::TeleportList, Which::TeleportFloor, 1)?;
    let scene = scenes.imported(people)?;
    let before = scene.teleport.cpu()?;
    let many = Pair::of_parts(&scene.places(), Which::TeleportList, Which::TeleportFloor, rounds)?;
    let simulator = scene.teleport.cpu()? - before;
    let grown = (many.peak() - few.peak()).max(0.0) * 1024.0 * 1024.0;
    let each = grown / count(people - people / 10);
    Ok(vec![
        many.cpu(scenario, "", simulator).held(Bound::AtMost(MOST_CPU)),
        many.wall(scenario, ""),
        seen(scenario, &many, scene.people),
        scenario
            .figure("memory for each further user, bytes", each)
            .held(Bound::AtMost(BYTES_A_PERSON + DIGEST))
            .with(format!("peak {:.1} MiB", many.peak())),
    ])
}
