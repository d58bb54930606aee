//! The operator at its post: the product's binary over a real API server, between both simulators.

use std::time::Duration;

use serde_json::{Value, json};
use suites::Ground;
use tempfile::TempDir;
use testkit::{Launch, Process, eventually, process::Stream};

use crate::{
    error::BenchError,
    measure::{cpu_of, memory_of},
    scene::Scene,
    stage::Stage,
};

/// Name of the operator's account, and of its Lease.
const ACCOUNT: &str = "okta-user-sync";

/// For what should come soon.
const SOON: Duration = Duration::from_secs(120);

/// For what takes as long as there are people.
const LONG: Duration = Duration::from_secs(1800);

/// An API server with the definition and the operator's account.
pub struct Post {
    /// The API server's part.
    pub ground: Ground,
    folder: TempDir,
}

/// A running operator.
pub struct Operator {
    process: Process,
    url: String,
}

impl Post {
    /// A new API server of its own.
    pub async fn new() -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::system("a temporary folder"))?;
        Ok(Self { ground: Ground::own("bench").await, folder })
    }

    /// Starts an operator that trusts the scene's organisation.
    pub async fn start(&self, stage: &Stage, scene: &Scene, more: &[&str]) -> Result<Operator, BenchError> {
        let kubeconfig = self.folder.path().join("kubeconfig");
        let content = self.ground.control_plane().kubeconfig_with_token(ACCOUNT, &self.ground.token().await);
        std::fs::write(&kubeconfig, content).map_err(BenchError::system("the kubeconfig"))?;
        let mut process = Launch::new(stage.program())
            .args(["operator", "--listen=127.0.0.1:0", "--log-format=json", "--log-level=info"])
            .args([
                format!("--kubeconfig={}", kubeconfig.display()),
                format!("--okta-ca={}", scene.okta.place.ca_file.display()),
            ])
            .args([
                format!("--namespace={}", self.ground.namespace),
                format!("--watch-namespace={}", self.ground.namespace),
            ])
            .args(more.iter().copied())
            .start()
            .map_err(|error| BenchError::process("the operator", &error))?;
        let address = process.await_line(SOON, "the address of probes", |_: Stream, line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let found = line.pointer("/fields/address").or(line.get("address"))?;
            found.as_str().map(str::to_owned)
        });
        let address = address.await.map_err(|error| BenchError::process("the operator", &error))?;
        Ok(Operator { process, url: format!("http://{address}") })
    }

    /// The Secrets of the scene.
    pub async fn put_secrets(&self, scene: &Scene) -> Result<(), BenchError> {
        let (okta, teleport) = (&scene.okta.place, &scene.teleport.place);
        for (name, file) in [("okta-key", &okta.private_key_file), ("identity", &teleport.identity_file)] {
            let content = std::fs::read_to_string(file).map_err(BenchError::system(file.display().to_string()))?;
            self.ground.put_secret(name, &content).await;
        }
        Ok(())
    }

    /// A specification of the scene with those Secrets, a day between full passes, and `more` over it.
    pub fn spec(scene: &Scene, more: &Value) -> Value {
        let mut spec = scene.spec(&json!({
            "interval": "24h",
            "okta": { "privateKeySecretRef": { "name": "okta-key", "key": "content" } },
            "teleport": { "identitySecretRef": { "name": "identity", "key": "content" } },
        }));
        crate::scene::lay_over(&mut spec, more);
        spec
    }

    /// Waits until the resource is as `wanted`.
    pub async fn until(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value, BenchError> {
        let found = eventually(LONG, what, async || {
            let object = self.ground.get(name).await;
            if wanted(&object) { Ok(object) } else { Err(format!("{:#}", object["status"])) }
        });
        found.await.map_err(|error| BenchError::process(what, &error))
    }

    /// Asks for a full pass, and waits until it has been carried out.
    pub async fn pass(&self, name: &str) -> Result<Value, BenchError> {
        let token = format!("request-{}", jiff::Timestamp::now().as_nanosecond());
        self.ground.annotate(name, "reconcile.fluxcd.io/requestedAt", &token).await;
        self.until(name, "the requested pass", |object| object["status"]["lastHandledReconcileAt"] == token.as_str())
            .await
    }
}

impl Operator {
    /// Seconds of CPU time that it has used.
    pub fn cpu(&self) -> Result<f64, BenchError> {
        cpu_of(self.process.id())
    }

    /// Its resident memory in MiB: now, and at its peak.
    pub fn memory(&self) -> Result<(f64, f64), BenchError> {
        memory_of(self.process.id())
    }

    /// Full passes that it has run, of all resources.
    pub async fn full_passes(&self) -> Result<f64, BenchError> {
        let failed = |error: reqwest::Error| BenchError::process("reading the metrics", &error);
        let client = reqwest::Client::builder().no_proxy().build().map_err(failed)?;
        let text =
            client.get(format!("{}/metrics", self.url)).send().await.map_err(failed)?.text().await.map_err(failed)?;
        let full = |line: &&str| line.starts_with("okta_user_sync_passes_total{") && line.contains("kind=\"full\"");
        Ok(text.lines().filter(full).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Waits until it is ready in this role: `leading` or `standingBy`.
    pub async fn is(&self, role: &str) -> Result<(), BenchError> {
        let client = reqwest::Client::builder().no_proxy().build();
        let client = client.map_err(|error| BenchError::process("an HTTP client", &error))?;
        let found = eventually(SOON, role, async || {
            let answer = client.get(format!("{}/readyz", self.url)).send().await.map_err(|error| error.to_string())?;
            let text = answer.text().await.map_err(|error| error.to_string())?;
            let told: Value = serde_json::from_str(&text).unwrap_or_default();
            if told["role"] == role { Ok(()) } else { Err(text) }
        });
        found.await.map_err(|error| BenchError::process("the operator", &error))
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) -> Result<(), BenchError> {
        self.process.kill().map(drop).map_err(BenchError::system("ending the operator"))
    }
}
