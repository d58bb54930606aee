//! The operator as the demo runs it: this very binary as a child, with nothing but its ServiceAccount's rights.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use testkit::eventually;
use testkit::process::{Launch, Process};

use super::kubernetes::Kubernetes;
use crate::exit::Stop;

/// How many of its last lines are shown when something did not come about.
const SHOWN: usize = 15;

/// The running operator.
pub struct Operator(Process);

impl Operator {
    /// Starts it and waits until it holds its Lease.
    ///
    /// # Errors
    /// It ends, or does not lead in time.
    pub async fn start(kubernetes: &Kubernetes, okta_ca: &Path) -> Result<(Self, String), Stop> {
        let failed = |e: String| Stop::undone(e, "run with --log-level info to see more");
        let program = std::env::current_exe().map_err(|e| failed(format!("this program cannot be found: {e}")))?;
        let process = Launch::new(program)
            .args(["operator", "--watch-namespace", &kubernetes.namespace, "--namespace", &kubernetes.namespace])
            .args(["--listen", "127.0.0.1:0", "--okta-ca"])
            .args([okta_ca])
            .env("KUBECONFIG", kubernetes.operator_kubeconfig().await?)
            .start()
            .map_err(|e| failed(e.to_string()))?;
        let mut operator = Self(process);
        let leases = kubernetes.api::<Lease>();
        let holder = eventually(Duration::from_secs(60), "the operator to lead", async || {
            operator.still_runs()?;
            let all = leases.list(&ListParams::default()).await.map_err(|e| e.to_string())?;
            let holder = all.items.into_iter().find_map(|lease| lease.spec?.holder_identity.filter(|h| !h.is_empty()));
            holder.ok_or_else(|| "nobody holds the Lease".to_owned())
        })
        .await;
        match holder {
            Ok(holder) => {
                let observed = format!("process {} leads as {holder}", operator.0.id());
                Ok((operator, observed))
            }
            Err(e) => Err(failed(format!("{e}; its last lines:\n{}", operator.last_lines()))),
        }
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// How it ended.
    pub fn still_runs(&mut self) -> Result<(), String> {
        match self.0.ended() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("the operator has ended ({status})")),
            Err(e) => Err(e.to_string()),
        }
    }

    /// Its last lines.
    pub fn last_lines(&self) -> String {
        let lines = self.0.lines();
        let last = lines.iter().skip(lines.len().saturating_sub(SHOWN));
        last.map(|(_, line)| format!("  {line}\n")).collect::<Vec<_>>().concat()
    }

    /// Asks it to end, and waits for that.
    pub async fn stop(&mut self) {
        if let Err(e) = self.0.terminate(Duration::from_secs(10)).await {
            tracing::warn!("{e}");
        }
    }
}
