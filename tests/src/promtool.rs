//! Prometheus's own tool and its query engine, built once for a machine from `tests/tools/prometheus` into the user's cache
//! folder.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::json;
use testkit::{go::Recipe, guardian::Guardian};

use crate::{Recording, built, recording::Series};

/// The folder with the programs.
pub struct Promtool(PathBuf);

impl Promtool {
    /// Builds it unless that is done; `None`, with a word on why, where it is not possible.
    pub async fn provide() -> Option<Self> {
        let recipe = Recipe {
            what: "promtool",
            takes: "about two minutes",
            folder: "promtool",
            result: "bin/",
            files: &[
                ("go.mod", include_str!("../tools/prometheus/go.mod")),
                ("go.sum", include_str!("../tools/prometheus/go.sum")),
                ("evaluate/main.go", include_str!("../tools/prometheus/evaluate/main.go")),
            ],
            packages: &["github.com/prometheus/prometheus/cmd/promtool", "./evaluate"],
            // None of Prometheus's service discoveries.
            tags: "remove_all_sd",
            linker_flags: "-s -w".to_owned(),
        };
        built(recipe).await.map(Self)
    }

    /// Runs promtool in `folder` with `input`: whether it is content, and what it said.
    #[must_use]
    pub fn run(&self, folder: &Path, arguments: &[&str], input: &str) -> (bool, String) {
        let mut command = Command::new(self.0.join("promtool"));
        command.args(arguments).current_dir(folder);
        let (content, [out, err]) = talk(command, input.as_bytes());
        (content, out + &err)
    }

    /// What each query answers over a recording: its series, with a point each `step` milliseconds.
    #[must_use]
    pub fn evaluate(&self, recording: &Recording, queries: &[String], step: i64) -> Vec<Vec<Series>> {
        let (start, end) = recording.span();
        let asked = json!({
            "series": recording.series(), "queries": queries, "start": start, "end": end, "step": step,
        });
        let (done, [out, err]) = talk(Command::new(self.0.join("evaluate")), asked.to_string().as_bytes());
        assert!(done, "{err}");
        serde_json::from_str(&out).unwrap()
    }
}

/// Runs a command with `input`: whether it succeeded, and what it said on both streams.
fn talk(mut command: Command, input: &[u8]) -> (bool, [String; 2]) {
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut guardian = Guardian::post(None).unwrap();
    let mut child = guardian.spawn(&mut command).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A command that does not read its input may have ended before it is written.
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        let done = child.wait_with_output().unwrap();
        let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (done.status.success(), said)
    })
}
