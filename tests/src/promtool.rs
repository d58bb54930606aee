//! Prometheus's own tool, built once for a machine from `tests/tools/prometheus` into the user's cache folder.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use testkit::{go::Recipe, guardian::Guardian};

use crate::built;

/// The program.
pub struct Promtool(PathBuf);

impl Promtool {
    /// Builds it unless that is done; `None`, with a word on why, where it is not possible.
    pub async fn provide() -> Option<Self> {
        let recipe = Recipe {
            what: "promtool",
            takes: "about two minutes",
            folder: "promtool",
            result: "promtool",
            files: &[
                ("go.mod", include_str!("../tools/prometheus/go.mod")),
                ("go.sum", include_str!("../tools/prometheus/go.sum")),
            ],
            packages: &["github.com/prometheus/prometheus/cmd/promtool"],
            // None of Prometheus's service discoveries.
            tags: "remove_all_sd",
            linker_flags: "-s -w".to_owned(),
        };
        built(recipe).await.map(Self)
    }

    /// Runs it in `folder` with `input`: whether it is content, and what it said.
    #[must_use]
    pub fn run(&self, folder: &Path, arguments: &[&str], input: &str) -> (bool, String) {
        let mut command = Command::new(&self.0);
        command.args(arguments).current_dir(folder).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut guardian = Guardian::post(None).unwrap();
        let mut child = guardian.spawn(&mut command).unwrap();
        // A command that does not read its input may have ended before it is written.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let done = child.wait_with_output().unwrap();
        let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (done.status.success(), said)
    }
}
