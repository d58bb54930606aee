//! The tests of the promises P1 to P18: each promise has some, named after it, and over each stands a comment that names the
//! line whose removal makes it fail. A comment that names a file or a word that is no more is found here.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Number of the promises in README.md.
const PROMISES: std::ops::RangeInclusive<u32> = 1..=18;

/// One test of a promise.
struct Named {
    place: String,
    promise: u32,
    comment: String,
}

/// Every file below `folder` with one of these endings.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The tests of promises in one source, with the comment that stands over each.
fn named(path: &Path) -> Vec<Named> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let found = lines.iter().enumerate().filter_map(|(at, line)| {
        let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn p")?;
        let promise = name.split_once('_')?.0.parse().ok()?;
        let above = lines[..at].iter().rev().skip_while(|line| line.starts_with("#["));
        let mut comment: Vec<&str> = above.map_while(|line| line.strip_prefix("// ")).collect();
        comment.reverse();
        Some(Named { place: format!("{}:{}", path.display(), at + 1), promise, comment: comment.join(" ") })
    });
    found.collect()
}

/// The files that a piece of a comment outside backticks names.
fn file_names(piece: &str) -> impl Iterator<Item = &str> {
    let bare = piece.split([' ', '(', '/']).map(|word| word.trim_end_matches([',', '.', ':', ';', ')']));
    bare.filter(|word| Path::new(word).extension().is_some_and(|ending| ending == "rs" || ending == "yaml"))
}

/// What is wrong with a comment: it has to name a file, and words (in backticks) that stand in a file of that name.
fn wrong(comment: &str, sources: &[PathBuf]) -> Option<String> {
    let mut texts: Option<Vec<String>> = None;
    for (at, piece) in comment.split('`').enumerate() {
        if at % 2 == 1 {
            let word = piece.rsplit("::").next().unwrap_or_default();
            match &texts {
                None => return Some(format!("{word:?} stands before any file")),
                Some(texts) if !texts.iter().any(|text| text.contains(word)) => {
                    return Some(format!("{word:?} is not in the file named before it"));
                }
                Some(_) => continue,
            }
        }
        for file in file_names(piece) {
            let called = |path: &&PathBuf| path.file_name().unwrap().to_str() == Some(file);
            let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
            let of_that_name: Vec<String> = sources.iter().filter(called).map(read).collect();
            if of_that_name.is_empty() {
                return Some(format!("there is no {file}"));
            }
            texts = Some(of_that_name);
        }
    }
    if texts.is_none() { Some("it names no file".into()) } else { None }
}

#[test]
fn every_test_of_a_promise_names_a_line_that_is_there() {
    let root = root();
    let tests: Vec<PathBuf> = ["crates", "tests/tests"].iter().flat_map(|at| files(&root.join(at), &[".rs"])).collect();
    let mut sources = tests.clone();
    sources.extend(files(&root.join("charts"), &[".yaml"]));
    let named: Vec<Named> = tests.iter().flat_map(|path| named(path)).collect();
    let faults: Vec<String> = named
        .iter()
        .filter_map(|test| {
            wrong(&test.comment, &sources).map(|fault| format!("{}: {fault}: {}", test.place, test.comment))
        })
        .collect();
    assert_eq!(faults, Vec::<String>::new(), "write over each: // file.rs, `what is removed`.");
    let kept: BTreeSet<u32> = named.iter().map(|test| test.promise).collect();
    assert_eq!(kept, PROMISES.collect(), "each promise has a test of its name");
}

#[test]
fn a_comment_that_has_drifted_is_found() {
    let sources = files(&root().join("crates/engine/src"), &[".rs"]);
    let ask = |comment: &str| wrong(comment, &sources);
    assert_eq!(ask("guard.rs, `brake`: letting part of a set pass."), None);
    assert_eq!(ask("cleanup.rs."), None);
    for (comment, fault) in [
        ("", "names no file"),
        ("the brake", "names no file"),
        ("gaurd.rs, `brake`.", "there is no gaurd.rs"),
        ("guard.rs, `no_such_word`.", "is not in the file"),
        ("`brake` of guard.rs", "before any file"),
    ] {
        assert!(ask(comment).is_some_and(|told| told.contains(fault)), "{comment}: {:?}", ask(comment));
    }
}
