//! What a competent engineer would write in an afternoon instead: Okta's own Go SDK and Teleport's own Go API client
//! (`tests/tools/peers/sync`), doing the same import and the same pass without a change.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Pair, Scenario, count};
use crate::{
    error::BenchError,
    measure::{Measured, run},
    report::{Bound, Figure},
    scene::{Scene, Scenes},
};

pub(super) fn peers(scenes: &mut Scenes<'_>, people: usize, rounds: usize) -> Result<Vec<Figure>, BenchError> {
    let scenario = Scenario::Peers;
    let folder = tempfile::tempdir().map_err(BenchError::system("a temporary folder"))?;
    let Some(program) = build(folder.path())? else {
        eprintln!("skipped: there is no go on the PATH to build the peer with");
        return Ok(Vec::new());
    };
    let mut scene = Scene::of(scenes.stage, people)?;
    let mut import = Pair::default();
    import.floor.push(peer(&program, &scene)?);
    // The users that the peer made are not ours, so its pass without a change is measured on its own cluster.
    let mut quiet = Pair::default();
    for _ in 0..rounds.max(1) {
        quiet.floor.push(peer(&program, &scene)?);
    }
    scene.empty_cluster(scenes.stage)?;
    import.subject.push(scene.sync(&["--teleport-write-rate=0"])?);
    for _ in 0..rounds.max(1) {
        quiet.subject.push(scene.sync(&[])?);
    }
    let written = quiet.floor.iter().map(|run| run.done.writes).max().unwrap_or_default();
    let mut figures = compared(scenario, &import, "first import");
    figures.extend(compared(scenario, &quiet, "nothing changed"));
    figures.push(scenario.figure("writes of the peer when nothing changed", count(written)).held(Bound::AtMost(0.0)));
    Ok(figures)
}

/// Ours as a multiple of the peer's.
fn compared(scenario: Scenario, pair: &Pair, what: &str) -> Vec<Figure> {
    let figure = |name: &str, unit: &str, of: fn(&Measured) -> f64| {
        scenario.figure(format!("{what}: {name}, of the peer's"), pair.ratio(of)).with(format!(
            "{:.1} {unit} of {:.1} {unit}",
            pair.subject(of),
            pair.floor(of)
        ))
    };
    vec![
        figure("CPU time", "s", |run| run.cpu_seconds),
        figure("wall time", "s", |run| run.wall_seconds),
        figure("peak memory", "MiB", |run| run.peak_mib),
    ]
}

fn peer(program: &Path, scene: &Scene) -> Result<Measured, BenchError> {
    let places =
        serde_json::to_string(&scene.places()).map_err(|error| BenchError::unreadable("the places", &error))?;
    run("the peer", Command::new(program).arg(places), |said| {
        serde_json::from_str(said).map_err(|error| error.to_string())
    })
}

/// The peer's program; `None` where there is no Go.
fn build(folder: &Path) -> Result<Option<PathBuf>, BenchError> {
    if Command::new("go").arg("version").stdout(Stdio::null()).status().is_err() {
        return Ok(None);
    }
    eprintln!("-- building the peer");
    let program = folder.join("sync");
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/peers");
    let built = Command::new("go")
        .args(["build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(&program)
        .arg("./sync")
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .status()
        .map_err(BenchError::system("go build"))?;
    if built.success() { Ok(Some(program)) } else { Err(BenchError::process("go build", &built)) }
}
