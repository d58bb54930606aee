//! What people see, word for word: the help of every command, and the output of those that tell something. The texts are
//! in `tests/snapshots/`; `UPDATE=1` writes them anew. Read the difference before you commit it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use support::snapshot::{differs, folder, hold};
use support::{World, binary, told};

/// Runs the program as wide as a snapshot is, and without what this machine's environment would say.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null()).env("COLUMNS", "120");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("OKTA_USER_SYNC_") || name.starts_with("POD_") || name == "KUBECONFIG" {
            command.env_remove(name.as_ref());
        }
    }
    told(&command.output().unwrap())
}

/// All commands, as their words: each has a manual page of its name.
fn commands() -> Vec<Vec<String>> {
    let pages = tempfile::tempdir().unwrap();
    assert_eq!(run(&["man", "--dir", pages.path().to_str().unwrap()]).0, 0);
    let words = |name: String| {
        let name = name.strip_prefix("okta-user-sync").unwrap().strip_suffix(".1").unwrap().to_owned();
        name.split('-').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let entries = std::fs::read_dir(pages.path()).unwrap();
    let mut all: Vec<_> = entries.map(|entry| words(entry.unwrap().file_name().into_string().unwrap())).collect();
    all.sort();
    all
}

#[test]
fn the_help_of_every_command() {
    let commands = commands();
    assert!(commands.contains(&vec!["plan".to_owned(), "approve".to_owned()]), "{commands:?}");
    let mut differences = Vec::new();
    let mut kept: BTreeSet<String> = BTreeSet::new();
    for words in commands {
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.push("--help");
        let (code, text, err) = run(&arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
        assert!(!text.contains('\u{1b}'), "colours where there is no terminal: {words:?}");
        let name = format!("help-{}", if words.is_empty() { "root".to_owned() } else { words.join("-") });
        differences.extend(differs(&name, &text));
        kept.insert(format!("{name}.txt"));
    }
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("help-") && !kept.contains(&name) {
            differences.push(format!("{name} is the help of no command any more"));
        }
    }
    hold(&differences, "snapshots");
}

#[test]
fn every_shell_gets_its_completion_and_every_command_its_page() {
    for (shell, words) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef okta-user-sync"),
        ("fish", "complete -c"),
        ("powershell", "Register-"),
    ] {
        let (code, script, _) = run(&["completion", shell]);
        assert!(code == 0 && script.contains(words) && script.contains("approve"), "{shell}: {script}");
    }
    let (code, page, _) = run(&["man"]);
    assert!(code == 0 && page.contains(".TH okta-user-sync 1") && page.contains("Exit codes"), "{page}");
    let (code, page, _) = run(&["man", "plan", "approve"]);
    assert!(code == 0 && page.contains("plan approve"), "{page}");
    assert_eq!(run(&["man", "nothing"]).0, 2);
}

/// Takes out what is another at each run: addresses, times, spans, the name of the key.
fn still(text: &str, world: &World) -> String {
    let (org, auth) = (world.okta.field("orgURL"), world.teleport.field("authAddress"));
    let folder = world.folder.path().to_str().unwrap().to_owned();
    let text =
        text.replace(&org, "https://acme.okta.com").replace(&auth, "teleport.example.com:443").replace(&folder, "…");
    let mut words: Vec<String> = Vec::new();
    for word in text.split_inclusive([' ', '\n']) {
        let bare = word.trim_end_matches([' ', '\n', ',', ')']);
        let rest = &word[bare.len()..];
        let before = words.last().map(|word| word.trim().to_owned()).unwrap_or_default();
        let shown = if bare.parse::<jiff::Timestamp>().is_ok() {
            "<time>"
        } else if before == "in" && bare.parse::<f64>().is_ok() {
            "<seconds>"
        } else if before == "(pass" {
            "<id>"
        } else if before == "key" && bare.len() == 43 {
            "<kid>"
        } else if before.starts_with('(') && rest.starts_with(' ') && bare.ends_with("min") {
            "<left>"
        } else {
            bare
        };
        if bare == "s" && before.strip_prefix('(').is_some_and(|offset| offset.parse::<i64>().is_ok()) {
            // Clocks that agree differ by a second now and then, as whole seconds are told.
            words.pop();
            words.push("(<n> ".to_owned());
        }
        if bare.trim_end_matches(';') == "left" && before.parse::<u64>().is_ok() {
            // Calls of a rate window, which may end at any moment.
            words.pop();
            words.push("<n> ".to_owned());
        }
        words.push(format!("{shown}{rest}"));
    }
    words.concat()
}

#[tokio::test]
async fn the_output_of_commands_that_tell_something() {
    let world = World::of(3).await;
    let (_, name) = world.assigned().await.remove(0);
    let mut differences = Vec::new();
    for (snapshot, verb, further) in [
        ("output-check", "check", vec![]),
        ("output-preview", "preview", vec![]),
        ("output-sync", "sync", vec![]),
        ("output-explain", "explain", vec![name.as_str()]),
    ] {
        let (code, table, err) = world.told(verb, &further);
        assert_eq!((code, err.as_str()), (0, ""), "{table}");
        differences.extend(differs(snapshot, &still(&table, &world)));
    }
    std::fs::write(world.manifest(), world.quickstart().replace("roles: [okta-requester]", "roles: [editor]")).unwrap();
    for verb in ["check", "sync"] {
        let (_, table, err) = world.told(verb, &[]);
        differences.extend(differs(&format!("output-{verb}-refused"), &still(&format!("{table}{err}"), &world)));
    }
    hold(&differences, "snapshots");
}
