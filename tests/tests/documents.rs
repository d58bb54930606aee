//! Every Markdown file of the repository: relative links lead to files and headings that exist, every page of docs/ is in
//! the book's summary, and words for people name no file that is gone.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use suites::chart::repository;
use testkit::Tools;

/// Where the summary's own part ends; pages that it does not name follow, made by this test.
const REST: &str = "<!-- The rest is made: UPDATE=1 cargo test -p suites --test documents -->";

/// Every Markdown file that is the project's own.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["target", ".git", "node_modules", "book"].contains(&name.as_str()) {
            all.extend(pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// The lines outside fenced blocks, with their numbers.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fence = None::<String>;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let ticks: String = start.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if ticks.len() >= open.len() && start.trim_end() == ticks => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => lines.push((number + 1, line)),
        }
    }
    lines
}

/// The names of a page's headings, as links name them: the way of GitHub, which mdBook follows for plain words.
fn anchors(text: &str) -> Vec<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut all = Vec::new();
    for (_, line) in prose(text) {
        let level = line.chars().take_while(|c| *c == '#').count();
        let Some(title) = (1..=6).contains(&level).then(|| line[level..].strip_prefix(' ')).flatten() else { continue };
        let plain = title.replace('`', "").replace("](", "\u{0}");
        // Of a link only its text counts.
        let plain = plain.split('\u{0}').enumerate().map(|(n, part)| {
            if n == 0 { part.to_owned() } else { part.split_once(')').map_or("", |(_, rest)| rest).to_owned() }
        });
        let slug: String = plain
            .collect::<String>()
            .to_lowercase()
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect();
        let count = seen.entry(slug.clone()).or_default();
        all.push(if *count == 0 { slug.clone() } else { format!("{slug}-{count}") });
        *count += 1;
    }
    // Anchors that a page sets itself.
    all.extend(text.split("id=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    all
}

/// The targets of the links and pictures in a line; code spans hold none.
fn links(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let targets = prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    let sources = line.split("src=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()));
    targets.chain(sources).map(|target| target.trim_matches(['<', '>']).to_owned()).collect()
}

/// What is wrong with a link on a page, if anything.
fn broken(page: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = path.split_whitespace().next().unwrap_or_default();
    let file = if path.is_empty() { page.to_owned() } else { page.parent().unwrap().join(path) };
    if !file.exists() {
        return Some(format!("{target}: there is no such file"));
    }
    if anchor.is_empty() || file.extension().is_none_or(|extension| extension != "md") {
        return None;
    }
    let known = anchors(&fs::read_to_string(&file).unwrap());
    (!known.iter().any(|name| name == anchor)).then(|| format!("{target}: there is no such heading, but {known:?}"))
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages(&repository());
    assert!(pages.len() > 10, "{pages:?}");
    let (mut problems, mut count) = (Vec::new(), 0);
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for (number, line) in prose(&text) {
            for target in links(line) {
                count += 1;
                problems.extend(broken(page, &target).map(|why| format!("{}:{number}: {why}", page.display())));
            }
        }
    }
    assert!(count > 50, "only {count} links were found");
    assert_eq!(problems, Vec::<String>::new());
}

/// In which situations a shell block is run by a test (`crates/okta-user-sync/tests/documents.rs`).
const RUN: [&str; 4] = ["chart", "preview", "setup", "operating"];

/// What a shell block may need that no test has: cargo and the sources, in a checkout of their own (a test that builds would
/// wait for the one that runs it); a published release; a
/// real Teleport's tool; logs and ports of pods, which a kubelet serves; what the Prometheus operator defines; and jq.
const NEEDED: [&str; 6] = ["cargo", "release", "tctl", "kubelet", "prometheus-operator", "jq"];

/// What is wrong with the fence that begins a block, if anything.
fn unclear(fence: &str) -> Option<&'static str> {
    let (language, attribute) = fence.split_once(' ').unwrap_or((fence, ""));
    let known = |names: &[&str], value: &str| names.contains(&value);
    match language {
        "" => Some("has no language; text, if it is none"),
        "console" | "bash" | "shell" => Some("is a shell block; call it sh, with runnable= or needs="),
        "sh" => match attribute.split_once('=') {
            Some(("runnable", situation)) if known(&RUN, situation) => None,
            Some(("needs", what)) if known(&NEEDED, what) => None,
            _ => Some("says neither in which situation it is run (runnable=) nor what it needs (needs=)"),
        },
        _ => None,
    }
}

#[test]
fn every_shell_block_is_run_or_says_what_it_needs() {
    let (mut problems, mut run) = (Vec::new(), 0);
    for page in pages(&repository()) {
        let mut open = false;
        for (number, line) in fs::read_to_string(&page).unwrap().lines().enumerate() {
            let Some(fence) = line.trim_start().strip_prefix("```") else { continue };
            open = !open;
            if open {
                run += usize::from(fence.starts_with("sh runnable="));
                problems.extend(unclear(fence.trim()).map(|why| format!("{}:{}: {why}", page.display(), number + 1)));
            }
        }
    }
    assert_eq!(problems, Vec::<String>::new());
    assert!(run > 25, "only {run} are run");
    assert!(unclear("sh").is_some() && unclear("console").is_some() && unclear("sh needs=time").is_some());
}

#[test]
fn a_link_to_nowhere_would_be_found() {
    let readme = repository().join("README.md");
    assert!(broken(&readme, "docs/nowhere.md").is_some());
    assert!(broken(&readme, "#no-such-heading").is_some());
    assert!(broken(&readme, "docs/cli.md#exit-codes").is_none());
    assert_eq!(links("a [b](c.md#d) `[e](f)` ![g](h.svg)"), ["c.md#d", "h.svg"]);
    assert_eq!(anchors("# A `b` c\n```\n# no\n```\n## A b c\n"), ["a-b-c", "a-b-c-1"]);
}

#[test]
fn the_book_holds_every_page() {
    let docs = repository().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let (chosen, _) = summary.split_once(REST).unwrap_or_else(|| panic!("docs/SUMMARY.md has no line {REST}"));
    let mut made = format!("{chosen}{REST}\n");
    for page in pages(&docs) {
        let name = page.strip_prefix(&docs).unwrap().display().to_string();
        if name != "SUMMARY.md" && !chosen.contains(&format!("({name})")) {
            let text = fs::read_to_string(&page).unwrap();
            let title = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or(&name).replace('`', "");
            writeln!(made, "- [{title}]({name})").unwrap();
        }
    }
    suites::chart::made(&docs.join("SUMMARY.md"), &made, "UPDATE=1 cargo test -p suites --test documents");
}

#[test]
fn every_promise_links_to_tests_that_are_named_after_it() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| P")).collect();
    assert_eq!(rows.len(), 18);
    for (number, row) in (1..).zip(rows) {
        let cell = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        let shown = links(cell);
        assert!(!shown.is_empty(), "P{number} names no test");
        for target in shown {
            let text = fs::read_to_string(repository().join(&target)).unwrap();
            assert!(text.contains(&format!("fn p{number:02}_")), "{target} has no test of P{number}");
        }
    }
}

/// What follows `mark` in a file of the repository, up to the end of the word.
fn stated(file: &str, mark: &str) -> String {
    let text = fs::read_to_string(repository().join(file)).unwrap();
    let (_, rest) = text.split_once(mark).unwrap_or_else(|| panic!("{file} has no {mark:?}"));
    let word = |c: &char| c.is_ascii_alphanumeric() || ".-".contains(*c);
    rest.chars().take_while(word).collect::<String>().trim_end_matches('.').to_owned()
}

/// Every `x.y.z` in a text.
fn versions(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.')).map(|word| word.trim_matches('.'));
    let parts = |word: &&str| word.split('.').count() == 3 && word.split('.').all(|part| !part.is_empty());
    words.filter(parts).map(str::to_owned).collect()
}

#[test]
fn documents_name_the_versions_that_are_released_and_needed() {
    let program = stated("Cargo.toml", "\nversion = \"");
    let (chart, of_chart) = (
        stated("charts/okta-user-sync/Chart.yaml", "\nversion: "),
        stated("charts/okta-user-sync/Chart.yaml", "\nappVersion: "),
    );
    assert_eq!(of_chart, program, "the chart installs the program of this tree");

    // What a reader verifies is what a release of this tree is called.
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let blocks: Vec<&str> =
        readme.split("```sh needs=release").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let mut named = 0;
    for line in blocks.iter().flat_map(|block| block.lines()) {
        for version in versions(line) {
            let expected = if line.contains("charts/okta-user-sync") { &chart } else { &program };
            assert_eq!(&version, expected, "README.md: {line}");
            named += 1;
        }
    }
    assert!(named >= 5, "only {named} versions in what is verified");
    assert_eq!(stated("examples/production/values.yaml", "  tag: "), program);

    // What is needed is what the files say that ask for it.
    assert_eq!(stated("README.md", "Rust ≥ "), stated("Cargo.toml", "rust-version = \""));
    let go = stated("tests/tools/controlplane/go.mod", "\ngo ");
    assert!(go.starts_with(&stated("README.md", "Go ≥ ")), "the demo needs Go {go}");
    let kubernetes = stated("charts/okta-user-sync/Chart.yaml", "kubeVersion: \">=");
    assert!(
        kubernetes.starts_with(&stated("docs/install.md", "a Kubernetes cluster (")),
        "the chart wants {kubernetes}"
    );
    for (words, constant) in
        [("Versions ", "MADE_FOR"), ("Versions 17 to ", "NEWEST_TESTED"), (" what it is tested with. ", "OLDEST")]
    {
        let known = stated("crates/teleport/src/lines.rs", &format!("const {constant}: u64 = "));
        assert_eq!(stated("docs/teleport-setup.md", words), known, "{constant}");
    }
    assert_eq!(versions("v0.1.0-amd64 1.2 a.b.c :0.2.0\" 10.20.30."), ["0.1.0", "0.2.0", "10.20.30"]);
}

/// (Every line that the suites' operators write is held against the schema at the end of its test.)
#[tokio::test]
async fn the_line_that_the_journal_s_page_shows_fits_its_schema_and_a_wrong_one_does_not() {
    let (tools, folder) = (Tools::provide().await.unwrap(), tempfile::tempdir().unwrap());
    let read = |file: &str| fs::read_to_string(repository().join("docs").join(file)).unwrap();
    let schema: Value = serde_json::from_str(&read("journal.schema.json")).unwrap();
    let page = read("journal.md");
    let (_, rest) = page.split_once("```json\n").unwrap();
    let line: Value = serde_json::from_str(rest.split("```").next().unwrap()).unwrap();
    assert_eq!(tools.unfit(&schema, std::slice::from_ref(&line), folder.path()).unwrap(), None);

    let (mut nameless, mut numbered) = (line.clone(), line.clone());
    nameless.as_object_mut().unwrap().remove("id");
    numbered["pass"] = Value::from(3);
    for (wrong, words) in [(nameless, "missing property 'id'"), (numbered, "got number, want string")] {
        let said = tools.unfit(&schema, &[line.clone(), wrong], folder.path()).unwrap().unwrap_or_default();
        assert!(said.contains("/documents/1") && !said.contains("/documents/0") && said.contains(words), "{said}");
    }
}
