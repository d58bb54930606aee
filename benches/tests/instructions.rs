//! The engine's pure parts need as many instructions as they did: a change of more than 5 % either way is a decision, made by
//! writing the baseline anew (`UPDATE=1 cargo test -p bench --test instructions`).
//!
//! Counts depend on the compiler and the processor's kind, so the baseline names both, and is compared under the same only.
//! Without valgrind nothing is counted, and the test says so.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use serde::{Deserialize, Serialize};

/// How far a count may be from the baseline, in percent.
const PERCENT: u64 = 5;

/// What is counted, as `count` calls it.
const PARTS: [&str; 4] = ["plan", "traits", "hash", "again"];

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Baseline {
    /// Of the compiler, as `rustc --version` says.
    rustc: String,
    /// Kind of processor.
    architecture: String,
    /// Instructions by part.
    instructions: BTreeMap<String, u64>,
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.json")
}

fn first_line(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.lines().next().map(str::to_owned)
}

/// Instructions of one part, counted by callgrind.
fn instructions(part: &str) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*measured*"])
        .arg(format!("--callgrind-out-file={}", folder.path().join("out").display()))
        .args([env!("CARGO_BIN_EXE_count"), part])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let collected = told.lines().find_map(|line| line.split_once("Collected :")).unwrap_or_else(|| panic!("{told}"));
    collected.1.trim().parse().unwrap()
}

#[test]
fn the_pure_parts_need_as_many_instructions_as_they_did() {
    let known: Option<Baseline> = fs::read_to_string(file()).ok().map(|text| serde_json::from_str(&text).unwrap());
    let rustc = first_line("rustc", "--version").unwrap();
    let architecture = std::env::consts::ARCH.to_owned();
    let update = std::env::var_os("UPDATE").is_some();
    if first_line("valgrind", "--version").is_none() {
        eprintln!("skipped: there is no valgrind to count instructions with");
        return;
    }
    if let Some(known) =
        known.as_ref().filter(|known| !update && (&known.rustc, &known.architecture) != (&rustc, &architecture))
    {
        eprintln!(
            "skipped: the baseline is of {} on {}, this is {rustc} on {architecture}",
            known.rustc, known.architecture
        );
        return;
    }
    let instructions = PARTS.map(|part| (part.to_owned(), instructions(part))).into();
    let now = Baseline { rustc, architecture, instructions };
    if update {
        fs::write(file(), serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
        return;
    }
    let known = known.expect("instructions.json holds the baseline");
    for (part, now) in &now.instructions {
        let then = known.instructions[part];
        eprintln!("{part}: {now} instructions, {then} in the baseline");
        assert!(
            now.abs_diff(then) * 100 <= then * PERCENT,
            "{part} needs {now} instructions, not {then} as in the baseline; if that is meant, write it anew with UPDATE=1"
        );
    }
}
