//! What was observed, told step by step: to a person as it happens, to a program as one document at the end.

use std::future::Future;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;

use super::stage::Stage;
use super::story::Step;
use crate::exit::Stop;
use crate::terminal::{self, Progress};

/// How the story is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people, step by step.
    Text,
    /// One JSON document at the end, and nothing else.
    Json,
}

/// The document (docs/cli.md).
#[derive(Debug, Serialize)]
struct Document<'a> {
    ok: bool,
    steps: &'a [Told],
}

/// One step, as it was observed.
#[derive(Debug, Serialize)]
struct Told {
    name: String,
    ok: bool,
    expected: String,
    observed: String,
    seconds: f64,
}

/// Tells the story.
#[derive(Debug)]
pub struct Telling {
    format: Format,
    colour: bool,
    progress: Progress,
    steps: Vec<Told>,
}

impl Telling {
    /// Begins.
    pub fn new(format: Format) -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { format, colour, progress: Progress::start_interactive(), steps: Vec::new() }
    }

    /// The line that moves while something takes long.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Does a step of the preparation, and tells what came of it.
    ///
    /// # Errors
    /// The step failed.
    pub async fn step<T>(
        &mut self,
        name: &str,
        expected: &str,
        work: impl Future<Output = Result<(T, String), Stop>>,
    ) -> Result<T, Stop> {
        let begun = Instant::now();
        self.progress.say(format!("{name}: {expected}"));
        match work.await {
            Ok((value, observed)) => {
                self.tell(name, true, expected, observed, begun.elapsed())?;
                Ok(value)
            }
            Err(stop) => {
                self.tell(name, false, expected, stop.message.clone(), begun.elapsed())?;
                Err(stop)
            }
        }
    }

    /// Plays a step of the story, and tells what was observed; whether it was what is expected.
    ///
    /// # Errors
    /// It could not be told.
    pub async fn scene(&mut self, step: &Step, stage: &mut Stage) -> Result<bool, Stop> {
        let begun = Instant::now();
        self.progress.say(format!("{}: {}", step.name, step.expected));
        let (ok, observed) = match step.play(stage, &self.progress).await {
            Ok(observed) => (true, observed),
            Err(seen) => (false, seen),
        };
        self.tell(step.name, ok, &step.expected, observed, begun.elapsed())?;
        Ok(ok)
    }

    fn tell(&mut self, name: &str, ok: bool, expected: &str, observed: String, took: Duration) -> Result<(), Stop> {
        let told = Told {
            name: name.to_owned(),
            ok,
            expected: expected.to_owned(),
            observed,
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
        };
        let text = self.paragraph(&told);
        self.steps.push(told);
        match self.format {
            Format::Text => self.progress.above(|| terminal::print(&text)),
            Format::Json => Ok(()),
        }
    }

    fn paragraph(&self, told: &Told) -> String {
        let (mark, code) = if told.ok { ("✓", "32") } else { ("✗", "31") };
        let mark = if self.colour { format!("\x1b[{code}m{mark}\x1b[0m") } else { mark.to_owned() };
        let observed = told.observed.lines().map(|line| format!("    {line}\n")).collect::<Vec<_>>().concat();
        format!("{mark} {} ({:.1} s)\n  {}\n{observed}\n", told.name, told.seconds, told.expected)
    }

    /// Ends the story: prints the document, if that is how it is told.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn close(&self) -> Result<(), Stop> {
        self.progress.end();
        match self.format {
            Format::Text => Ok(()),
            Format::Json => {
                let ok = !self.steps.is_empty() && self.steps.iter().all(|step| step.ok);
                terminal::print_json(&Document { ok, steps: &self.steps })
            }
        }
    }

    /// Says something beside the story: on standard output to a person, on standard error if that belongs to a program.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn aside(&self, text: &str) -> Result<(), Stop> {
        match self.format {
            Format::Text => terminal::print(text),
            Format::Json => {
                eprint!("{text}");
                Ok(())
            }
        }
    }
}
