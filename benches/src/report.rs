//! One JSON document, one table.

use std::{fmt, fmt::Write as _, fs, path::Path, process::Command};

use serde::Serialize;

use crate::error::BenchError;

/// Where the table stands in a Markdown file.
const BEGIN: &str = "<!-- made by `cargo run -p bench --release -- --table docs/performance.md`: begin -->\n";
const END: &str = "<!-- made by `cargo run -p bench --release -- --table docs/performance.md`: end -->\n";

/// What a figure has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Bound {
    /// Not more.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
        }
    }
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    scenario: &'static str,
    name: String,
    value: f64,
    bound: Option<Bound>,
    holds: bool,
    detail: String,
}

impl Figure {
    /// A figure that nothing holds yet.
    pub fn new(scenario: &'static str, name: impl Into<String>, value: f64) -> Self {
        Self { scenario, name: name.into(), value, bound: None, holds: true, detail: String::new() }
    }

    /// The same, held by a bound.
    pub fn held(self, bound: Bound) -> Self {
        Self { bound: Some(bound), holds: bound.holds(self.value), ..self }
    }

    /// The same, with a word on where it comes from.
    pub fn with(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }
}

/// All figures of one run, and where they were taken.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    commit: String,
    machine: String,
    command: String,
    people: usize,
    rounds: usize,
    figures: Vec<Figure>,
}

impl Document {
    /// Of figures taken just now on this machine.
    pub fn new(figures: Vec<Figure>, command: String, people: usize, rounds: usize) -> Self {
        Self { commit: commit(), machine: machine(), command, people, rounds, figures }
    }

    /// Whether every bound is kept.
    pub fn holds(&self) -> bool {
        self.figures.iter().all(|figure| figure.holds)
    }

    /// The figures as Markdown.
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "Commit {}, {}; `{}`: {} people, median of {} runs.\n",
            self.commit, self.machine, self.command, self.people, self.rounds
        );
        text.push_str("| scenario | figure | value | must be | |\n|---|---|---|---|---|\n");
        for figure in &self.figures {
            let bound = figure.bound.map(|bound| bound.to_string()).unwrap_or_default();
            let broken = if figure.holds { "" } else { " (broken)" };
            let (scenario, name, detail) = (figure.scenario, &figure.name, &figure.detail);
            let _ = writeln!(text, "| `{scenario}` | {name} | {} | {bound}{broken} | {detail} |", shown(figure.value));
        }
        text
    }

    /// Writes the document.
    pub fn store(&self, file: &Path) -> Result<(), BenchError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| BenchError::unreadable("the figures", &error))?;
        fs::write(file, text + "\n").map_err(BenchError::system(file.display().to_string()))
    }

    /// Replaces the table between the two marks of a Markdown file.
    pub fn put_table(&self, file: &Path) -> Result<(), BenchError> {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).map_err(BenchError::system(&name))?;
        let parts = text.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
        let (head, tail) =
            parts.ok_or_else(|| BenchError::unreadable(&name, "the two marks of the table are missing"))?;
        fs::write(file, format!("{head}{BEGIN}\n{}\n{END}{tail}", self.table())).map_err(BenchError::system(name))
    }
}

/// Whole numbers whole, others with two digits.
fn shown(value: f64) -> String {
    if value.fract().abs() < f64::EPSILON { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// The commit that is checked out, with a mark if files differ from it.
fn commit() -> String {
    let git = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output();
    git.ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(String::new, |text| text.trim().into())
}

/// Cores and their name.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = about.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    format!("{cores} × {}", name.trim_start_matches([' ', '\t', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let figures = vec![
            Figure::new("okta_read", "calls to Okta", 203.0).held(Bound::AtMost(203.0)),
            Figure::new("okta_read", "CPU time", 1.234).held(Bound::AtMost(1.2)),
        ];
        Document {
            commit: "abc".into(),
            machine: "2 × thing".into(),
            command: "bench".into(),
            people: 10,
            rounds: 3,
            figures,
        }
    }

    #[test]
    fn a_bound_that_is_broken_is_shown_and_told() {
        let document = document();
        assert!(!document.holds());
        let table = document.table();
        assert!(table.contains("| `okta_read` | calls to Okta | 203 | ≤ 203 |  |"), "{table}");
        assert!(table.contains("| 1.23 | ≤ 1.2 (broken) |"), "{table}");
    }

    #[test]
    fn the_table_replaces_the_former_one_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("page.md");
        fs::write(&file, format!("before\n{BEGIN}old\n{END}after\n")).unwrap();
        document().put_table(&file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("before\n") && text.ends_with("after\n") && !text.contains("old"), "{text}");
    }
}
