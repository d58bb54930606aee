//! Which figures there are, and what holds them.

use clap::ValueEnum;
use serde::Serialize;

use crate::{
    error::BenchError,
    measure::{Measured, measure, median},
    part::Which,
    report::{Bound, Figure},
    stage::{Running, Stage},
};

/// Memory that two runs of the same code may differ by without any reason: arenas of the allocator, MiB.
const NOISE_MIB: f64 = 8.0;

/// Bytes that a pass may keep for each user beside its name: digest, owner, place in the maps.
const BYTES_A_USER: f64 = 160.0;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Everybody in an app, read whole: calls, CPU, memory.
    #[value(name = "okta_read")]
    OktaRead,
    /// Every user of a cluster, listed and digested: CPU, memory.
    #[value(name = "teleport_list")]
    TeleportList,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::OktaRead, Self::TeleportList];

    /// Its name on the command line and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::OktaRead => "okta_read",
            Self::TeleportList => "teleport_list",
        }
    }

    /// Measures it with so many people.
    pub fn run(self, stage: &Stage, people: usize, rounds: usize) -> Result<Vec<Figure>, BenchError> {
        match self {
            Self::OktaRead => okta_read(stage, people, rounds),
            Self::TeleportList => teleport_list(stage, people, rounds),
        }
    }
}

/// Runs of a subject and of its floor against one simulator, one after the other.
struct Pair {
    subject: Vec<Measured>,
    floor: Vec<Measured>,
    /// CPU time that the simulator used in all of them.
    simulator: f64,
}

impl Pair {
    fn run<P: Serialize>(
        running: &Running<P>,
        subject: Which,
        floor: Which,
        rounds: usize,
    ) -> Result<Self, BenchError> {
        let before = running.cpu()?;
        let mut pair = Self { subject: Vec::new(), floor: Vec::new(), simulator: 0.0 };
        for _ in 0..rounds.max(1) {
            pair.floor.push(measure(floor, &running.place)?);
            pair.subject.push(measure(subject, &running.place)?);
        }
        pair.simulator = running.cpu()? - before;
        Ok(pair)
    }

    fn ratio(&self, of: impl Fn(&Measured) -> f64 + Copy) -> f64 {
        median(self.subject.iter().map(of)) / median(self.floor.iter().map(of)).max(f64::MIN_POSITIVE)
    }

    fn peak(&self) -> f64 {
        median(self.subject.iter().map(|run| run.peak_mib))
    }

    /// Figures that every pair has: everybody was seen, and how much CPU time it took.
    fn figures(&self, scenario: Scenario, people: usize, most: f64) -> Vec<Figure> {
        let seen = self.subject.iter().chain(&self.floor).map(|run| run.done.seen).min().unwrap_or_default();
        let name = scenario.name();
        let cpu = Figure::new(name, "CPU time, of the bare loop's", self.ratio(|run| run.cpu_seconds))
            .held(Bound::AtMost(most))
            .with(format!(
                "{:.2} s of {:.2} s; the simulator itself {:.2} s a run",
                median(self.subject.iter().map(|run| run.cpu_seconds)),
                median(self.floor.iter().map(|run| run.cpu_seconds)),
                self.simulator / count(self.subject.len() + self.floor.len()),
            ));
        let wall = Figure::new(name, "wall time, of the bare loop's", self.ratio(|run| run.wall_seconds));
        let seen = Figure::new(name, "seen by both, at least", count(seen)).held(Bound::AtLeast(count(people)));
        vec![cpu, wall, seen]
    }
}

#[allow(clippy::cast_precision_loss)] // counts here are far below 2^52
fn count(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or_default() as f64
}

fn okta_read(stage: &Stage, people: usize, rounds: usize) -> Result<Vec<Figure>, BenchError> {
    let scenario = Scenario::OktaRead;
    let few = Pair::run(&stage.okta(people / 10)?, Which::OktaRead, Which::OktaFloor, 1)?;
    let many = Pair::run(&stage.okta(people)?, Which::OktaRead, Which::OktaFloor, rounds)?;
    let mut figures = many.figures(scenario, people, 1.3);
    let calls = many.subject.iter().map(|run| run.done.calls).max().unwrap_or_default();
    let most = people.div_ceil(500) + 3;
    figures.push(Figure::new(scenario.name(), "calls to Okta", count(calls)).held(Bound::AtMost(count(most))));
    figures.push(
        Figure::new(scenario.name(), "memory over that of a tenth of the people, MiB", many.peak() - few.peak())
            .held(Bound::AtMost(NOISE_MIB))
            .with(format!("peak {:.1} MiB", many.peak())),
    );
    Ok(figures)
}

fn teleport_list(stage: &Stage, users: usize, rounds: usize) -> Result<Vec<Figure>, BenchError> {
    let scenario = Scenario::TeleportList;
    let few = Pair::run(&stage.teleport(users / 10)?, Which::TeleportList, Which::TeleportFloor, 1)?;
    let many = Pair::run(&stage.teleport(users)?, Which::TeleportList, Which::TeleportFloor, rounds)?;
    let mut figures = many.figures(scenario, users, 1.3);
    let grown = (many.peak() - few.peak() - NOISE_MIB).max(0.0) * 1024.0 * 1024.0;
    let each = grown / count(users - users / 10);
    figures.push(
        Figure::new(scenario.name(), "memory for each further user, bytes", each)
            .held(Bound::AtMost(BYTES_A_USER))
            .with(format!("peak {:.1} MiB; {NOISE_MIB} MiB of noise left out", many.peak())),
    );
    Ok(figures)
}
