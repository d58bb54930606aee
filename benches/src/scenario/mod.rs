//! Which figures there are, and what holds them.

mod import;
mod many;
mod operator;
mod passes;
mod peers;
mod reading;

use clap::ValueEnum;
use serde::Serialize;

use crate::{
    error::BenchError,
    measure::{Measured, measure, median},
    part::Which,
    report::{Bound, Figure},
    scene::Scenes,
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Everybody in an app, read whole: calls, CPU, memory.
    #[value(name = "okta_read")]
    OktaRead,
    /// Every user of a cluster, listed and digested: CPU, memory.
    #[value(name = "teleport_list")]
    TeleportList,
    /// A pass that finds nothing to do: calls, CPU, memory, at three sizes.
    #[value(name = "no_change")]
    NoChange,
    /// A pass that finds one person in a hundred changed.
    #[value(name = "changed")]
    Changed,
    /// A pass that finds one person in a hundred gone: confirmed, locked, removed.
    #[value(name = "leavers")]
    Leavers,
    /// Everybody made, at three degrees of concurrency.
    #[value(name = "first_import")]
    FirstImport,
    /// What somebody would write instead with both vendors' Go libraries, beside the product.
    #[value(name = "peers")]
    Peers,
    /// The operator as a process: from an event in Okta to the lock in force, then a restart.
    #[value(name = "fast_path")]
    FastPath,
    /// From an event to the lock in force, while an import is running.
    #[value(name = "fast_path_in_import")]
    FastPathInImport,
    /// The leader is killed.
    #[value(name = "failover")]
    Failover,
    /// Five hundred resources, idle and in full passes.
    #[value(name = "many_resources")]
    ManyResources,
}

impl Scenario {
    /// All of them, in the order in which they are run.
    pub const ALL: [Self; 11] = [
        Self::OktaRead,
        Self::TeleportList,
        Self::NoChange,
        Self::Changed,
        Self::Leavers,
        Self::FirstImport,
        Self::Peers,
        Self::FastPath,
        Self::FastPathInImport,
        Self::Failover,
        Self::ManyResources,
    ];

    /// Its name on the command line and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::OktaRead => "okta_read",
            Self::TeleportList => "teleport_list",
            Self::NoChange => "no_change",
            Self::Changed => "changed",
            Self::Leavers => "leavers",
            Self::FirstImport => "first_import",
            Self::Peers => "peers",
            Self::FastPath => "fast_path",
            Self::FastPathInImport => "fast_path_in_import",
            Self::Failover => "failover",
            Self::ManyResources => "many_resources",
        }
    }

    /// Measures it with so many people.
    pub fn run(self, scenes: &mut Scenes<'_>, people: usize, rounds: usize) -> Result<Vec<Figure>, BenchError> {
        match self {
            Self::OktaRead => reading::people(scenes, people, rounds),
            Self::TeleportList => reading::users(scenes, people, rounds),
            Self::NoChange => passes::no_change(scenes, people, rounds),
            Self::Changed => passes::changed(scenes, people),
            Self::Leavers => passes::leavers(scenes, people),
            Self::FirstImport => import::first_import(scenes, people, rounds),
            Self::Peers => peers::peers(scenes, people, rounds),
            Self::FastPath => operator::fast_path(scenes, people),
            Self::FastPathInImport => operator::fast_path_in_import(scenes, people),
            Self::Failover => operator::failover(scenes),
            Self::ManyResources => many::many_resources(scenes, people),
        }
    }

    /// A figure of it.
    fn figure(self, name: impl Into<String>, value: f64) -> Figure {
        Figure::new(self.name(), name, value)
    }
}

/// Several runs of a subject and of its floor, one after the other.
#[derive(Default)]
struct Pair {
    subject: Vec<Measured>,
    floor: Vec<Measured>,
}

impl Pair {
    /// Of two parts of this program.
    fn of_parts(place: &impl Serialize, subject: Which, floor: Which, rounds: usize) -> Result<Self, BenchError> {
        Self::of(rounds, || measure(subject, place), || measure(floor, place))
    }

    /// Of anything that can be measured.
    fn of(
        rounds: usize,
        subject: impl Fn() -> Result<Measured, BenchError>,
        floor: impl Fn() -> Result<Measured, BenchError>,
    ) -> Result<Self, BenchError> {
        let mut pair = Self::default();
        for _ in 0..rounds.max(1) {
            pair.floor.push(floor()?);
            pair.subject.push(subject()?);
        }
        Ok(pair)
    }

    fn subject(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        median(self.subject.iter().map(of))
    }

    fn floor(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        median(self.floor.iter().map(of))
    }

    fn ratio(&self, of: impl Fn(&Measured) -> f64 + Copy) -> f64 {
        self.subject(of) / self.floor(of).max(f64::MIN_POSITIVE)
    }

    fn peak(&self) -> f64 {
        self.subject(|run| run.peak_mib)
    }

    /// The fewest that any run saw.
    fn seen(&self) -> f64 {
        count(self.subject.iter().chain(&self.floor).map(|run| run.done.seen).min().unwrap_or_default())
    }

    /// The most calls that the subject made.
    fn calls(&self) -> f64 {
        count(self.subject.iter().map(|run| run.done.calls).max().unwrap_or_default())
    }

    /// CPU time of the subject, as a multiple of the floor's; `simulators` is the CPU time of those in all runs together.
    fn cpu(&self, scenario: Scenario, size: &str, simulators: f64) -> Figure {
        let runs = count(self.subject.len() + self.floor.len());
        scenario.figure(format!("CPU time, of the bare loop's{size}"), self.ratio(|run| run.cpu_seconds)).with(format!(
            "{:.2} s of {:.2} s; the simulators themselves {:.2} s a run",
            self.subject(|run| run.cpu_seconds),
            self.floor(|run| run.cpu_seconds),
            simulators / runs,
        ))
    }

    /// Wall time of the subject, as a multiple of the floor's.
    fn wall(&self, scenario: Scenario, size: &str) -> Figure {
        scenario.figure(format!("wall time, of the bare loop's{size}"), self.ratio(|run| run.wall_seconds)).with(
            format!("{:.2} s of {:.2} s", self.subject(|run| run.wall_seconds), self.floor(|run| run.wall_seconds)),
        )
    }
}

#[allow(clippy::cast_precision_loss)] // counts here are far below 2^52
fn count(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or_default() as f64
}

/// Okta calls of a pass over so many people, beside the pages: token, organisation, app.
fn calls_of_a_pass(people: usize) -> f64 {
    count(people.div_ceil(500) + 3)
}

/// So many people, in a figure's name.
fn size(people: usize) -> String {
    format!(", {people} people")
}

/// That everybody was seen.
fn seen(scenario: Scenario, pair: &Pair, people: usize) -> Figure {
    scenario.figure("seen by both, at least", pair.seen()).held(Bound::AtLeast(count(people)))
}
