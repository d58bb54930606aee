//! The operator as the chart starts it: the binary, as a process of its own, with flags and a kubeconfig.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use serde_json::Value;
use testkit::{Launch, Process, process::Stream};

use crate::ground::{ACCOUNT, Ground, SOON};

/// One process of the operator.
pub struct Replica {
    /// The process.
    pub process: Process,
    /// Where it serves probes and metrics.
    pub url: String,
    _folder: tempfile::TempDir,
}

/// The binary, built by now.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // A test of this package alone does not build it; where it is built already, this takes a moment.
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--package", "okta-user-sync", "--message-format", "json"]);
        let output = build.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let artifacts = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut executables = artifacts.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
        executables.find(|path| path.ends_with("okta-user-sync")).expect("cargo names the binary")
    })
}

impl Replica {
    /// Starts a process under the operator's account for the namespace of `ground`, which reaches the API server on this
    /// port; waits until it serves probes.
    pub async fn start(ground: &Ground, port: u16, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control_plane = ground.control_plane();
        let direct = format!("127.0.0.1:{}", control_plane.port());
        let kubeconfig = control_plane.kubeconfig_with_token(ACCOUNT, &ground.token().await);
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, kubeconfig.replace(&direct, &format!("127.0.0.1:{port}"))).unwrap();
        let mut process = Launch::new(binary())
            .args(["operator", "--listen=127.0.0.1:0", "--log-format=json", "--log-level=info,operator=debug"])
            .args([format!("--kubeconfig={}", file.display()), format!("--watch-namespace={}", ground.namespace)])
            .args([format!("--namespace={}", ground.namespace)])
            .args(arguments.iter().copied())
            .start()
            .unwrap();
        let address = process.await_line(SOON, "the address of probes", |_: Stream, line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let found = line.pointer("/fields/address").or(line.get("address"))?;
            found.as_str().map(str::to_owned)
        });
        let url = format!("http://{}", address.await.unwrap());
        Self { process, url, _folder: folder }
    }

    /// What `/readyz` answers.
    pub async fn readyz(&self) -> Result<(u16, Value), String> {
        get(&format!("{}/readyz", self.url)).await.and_then(|(code, text)| {
            serde_json::from_str(&text).map(|answer| (code, answer)).map_err(|error| error.to_string())
        })
    }

    /// What `/healthz` answers.
    pub async fn healthz(&self) -> Result<u16, String> {
        get(&format!("{}/healthz", self.url)).await.map(|(code, _)| code)
    }

    /// What `/metrics` answers.
    pub async fn metrics(&self) -> String {
        get(&format!("{}/metrics", self.url)).await.unwrap().1
    }

    /// Waits until it is ready in this role: `leading` or `standingBy`.
    pub async fn is(&self, role: &str) {
        testkit::eventually(SOON, role, async || match self.readyz().await {
            Ok((200, answer)) if answer["role"] == role => Ok(()),
            other => Err(format!("{other:?}\n{}", self.process.output())),
        })
        .await
        .unwrap();
    }
}

async fn get(url: &str) -> Result<(u16, String), String> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build().unwrap();
    let answer = client.get(url).send().await.map_err(|error| error.to_string())?;
    let code = answer.status().as_u16();
    answer.text().await.map(|text| (code, text)).map_err(|error| error.to_string())
}
