//! `cargo run -p bench --release [-- SCENARIO…]`: what this product needs, beside what a bare loop over the same answers
//! needs, in the same run.
//!
//! | module | what |
//! |---|---|
//! | `stage` | the product's binary and the two simulators, each a process of its own |
//! | `scene` | both simulators and the product between them: an organisation whose people come, change and leave |
//! | `post` | the operator over a real API server |
//! | `part` | what runs in a measured process: one of our readers, or a floor |
//! | `floor` | the bare loops |
//! | `reader` | ours |
//! | `measure` | one measured process: wall time, CPU time, peak memory |
//! | `scenario` | which figures there are, and what holds them |
//! | `report` | one JSON document, one table |
//!
//! A figure is a ratio of two processes that ran one after the other against the same simulator, so that a slow or busy
//! machine moves both. Every measurement is taken several times; the medians are compared.

mod error;
mod floor;
mod measure;
mod part;
mod post;
mod reader;
mod report;
mod scenario;
mod scene;
mod stage;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{error::BenchError, report::Document, scenario::Scenario, scene::Scenes, stage::Stage};

/// Measures scenarios (all, unless some are named), prints a table, and writes one JSON document.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    /// Which scenarios.
    scenarios: Vec<Scenario>,
    /// People in the large runs.
    #[arg(long, default_value_t = 100_000)]
    people: usize,
    /// How often each measurement is taken.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the JSON document is written [default: target/bench.json].
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
    /// A Markdown file whose table, between its two marks, is replaced.
    #[arg(long)]
    table: Option<PathBuf>,
    /// The product's binary, if it is not to be built anew.
    #[arg(long)]
    program: Option<PathBuf>,
    /// A binary that has the simulators, where the product's has none: the one in the image.
    #[arg(long, requires = "program")]
    simulators: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// What runs in a measured process; the bench starts it itself.
    #[command(hide = true)]
    Part {
        /// Which.
        which: part::Which,
        /// Where the simulators are, as JSON.
        place: String,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.part {
        Some(Part::Part { which, place }) => part::run(*which, place).map(|()| true),
        None => bench(&cli),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every figure holds.
fn bench(cli: &Cli) -> Result<bool, BenchError> {
    let stage = Stage::set(cli.program.as_deref(), cli.simulators.as_deref())?;
    let mut scenes = Scenes::of(&stage);
    let wanted = if cli.scenarios.is_empty() { Scenario::ALL.to_vec() } else { cli.scenarios.clone() };
    let mut figures = Vec::new();
    for scenario in wanted {
        eprintln!("== {}", scenario.name());
        figures.extend(scenario.run(&mut scenes, cli.people, cli.rounds)?);
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let document = Document::new(figures, format!("bench {}", words.join(" ")), cli.people, cli.rounds);
    print!("{}", document.table());
    document.store(&cli.json)?;
    if let Some(file) = &cli.table {
        document.put_table(file)?;
    }
    Ok(document.holds())
}
