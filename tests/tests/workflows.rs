//! The workflows, which run where nobody here can look: the linter that knows GitHub's own schemas reads them, and what they
//! run of others is pinned.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::{fs, path::PathBuf, process::Command};

use suites::{
    built,
    chart::{Helm, repository, succeed},
};
use testkit::go::Recipe;

fn workflows() -> Vec<PathBuf> {
    let folder = fs::read_dir(repository().join(".github/workflows")).unwrap();
    let mut all: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// actionlint, built with Go once for a machine.
async fn linter() -> Option<PathBuf> {
    let recipe = Recipe {
        what: "actionlint",
        takes: "half a minute",
        folder: "actionlint",
        result: "actionlint",
        files: &[
            ("go.mod", include_str!("../tools/actionlint/go.mod")),
            ("go.sum", include_str!("../tools/actionlint/go.sum")),
        ],
        packages: &["github.com/rhysd/actionlint/cmd/actionlint"],
        tags: "",
        linker_flags: "-s -w".to_owned(),
    };
    built(recipe).await
}

#[tokio::test]
async fn the_linter_has_nothing_to_say() {
    let Some(linter) = linter().await else { return };
    // Not what else this machine may have: shellcheck and pyflakes would say other things on another.
    let lint = |files: &[PathBuf]| {
        let mut command = Command::new(&linter);
        succeed(command.args(["-no-color", "-shellcheck=", "-pyflakes="]).args(files).current_dir(repository()))
    };
    lint(&workflows()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.yaml");
    fs::write(&wrong, "on: push\njobs: { a: { runs-on: ubuntu-24.04, step: [] } }\n").unwrap();
    let words = lint(&[wrong]).expect_err("it would say so");
    assert!(words.contains("unexpected key \"step\""), "{words}");
}

#[test]
fn every_script_of_a_workflow_is_one_that_bash_can_read() {
    let mut count = 0;
    for path in workflows() {
        let workflow: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for (job, what) in workflow["jobs"].as_object().unwrap() {
            for script in what["steps"].as_array().unwrap().iter().filter_map(|step| step["run"].as_str()) {
                let read = succeed(Command::new("bash").args(["-n", "-c", script]));
                read.unwrap_or_else(|words| panic!("{}, {job}: {words}\n{script}", path.display()));
                count += 1;
            }
        }
    }
    assert!(count > 5, "only {count} scripts were found");
}

#[tokio::test]
async fn the_chart_of_a_release_names_the_image_by_digest_and_the_runbooks_of_its_tag() {
    let (helm, folder) = (Helm::provide().await, tempfile::tempdir().unwrap());
    let chart = folder.path().join("chart");
    succeed(Command::new("cp").arg("-r").arg(repository().join("charts/okta-user-sync")).arg(&chart)).unwrap();
    let digest = format!("sha256:{}", "5f".repeat(32));
    let fill_in = || {
        let mut command = Command::new(repository().join(".ci/fill-in"));
        let (image, runbooks) = ("registry.example.com/acme/okta-user-sync", "https://example.com/v1/docs/runbooks");
        succeed(command.arg(&chart).args([image, &digest, runbooks]))
    };
    fill_in().unwrap();
    let render =
        helm.command("helm").arg("template").arg("x").arg(&chart).args(["--set", "alerts.create=true"]).output();
    let rendered = String::from_utf8(render.unwrap().stdout).unwrap();
    assert!(rendered.contains(&format!("image: \"registry.example.com/acme/okta-user-sync@{digest}\"")), "{rendered}");
    assert!(rendered.contains("runbook_url: https://example.com/v1/docs/runbooks/OktaUserSyncStale.md"), "{rendered}");

    // Packed twice it is the same file, under the name that the next step looks for.
    let package = |name: &str| {
        let out = folder.path().join(name);
        succeed(helm.command("helm").arg("package").arg(&chart).arg("--destination").arg(&out)).unwrap();
        let packed: Vec<_> = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [packed] = &packed[..] else { panic!("{packed:?}") };
        let name = packed.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.starts_with("okta-user-sync-") && packed.extension().is_some_and(|end| end == "tgz"), "{name}");
        fs::read(packed).unwrap()
    };
    assert!(package("one") == package("again"));

    fs::write(chart.join("values.yaml"), "image: {}\n").unwrap();
    assert!(fill_in().unwrap_err().contains("has no place for repository"));
}

/// A step that pipes would else end with its last command's word alone.
#[test]
fn a_failure_within_a_pipe_fails_its_step() {
    for path in workflows() {
        let workflow: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let steps = workflow["jobs"].as_object().unwrap().values().flat_map(|job| job["steps"].as_array().unwrap());
        let pipes = steps.filter_map(|step| step["run"].as_str()).any(|script| script.contains(" | "));
        assert!(!pipes || workflow["defaults"]["run"]["shell"] == "bash", "{}", path.display());
    }
}

#[test]
fn workflows_run_no_code_of_others_that_is_not_pinned() {
    for path in workflows() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\npermissions: { contents: read }\n"), "{}: rights begin small", path.display());
        for line in text.lines().filter(|line| line.trim_start().trim_start_matches("- ").starts_with("uses:")) {
            let pin = line.rsplit('@').next().unwrap().split_whitespace().next().unwrap();
            let pinned = pin.len() == 40 && pin.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(pinned, "{}: {line} is not pinned by digest", path.display());
        }
        for line in text.lines().filter(|line| line.contains("go install") || line.contains("cargo install")) {
            let pinned = line.contains("@v") || line.contains("--version");
            assert!(pinned, "{}: {line} takes whatever is newest", path.display());
        }
    }
}
