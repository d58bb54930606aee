//! The operator as a process, in a house that has none.

use std::time::Duration;

use suites::House;
use testkit::{Launch, Process};

use super::binary;

/// How long the process may take to come up.
const UP: Duration = Duration::from_secs(60);

/// Starts the operator under the account of its house, with these arguments beside those that it needs there, and waits until it watches.
pub async fn start(house: &House, folder: &std::path::Path, further: &[&str]) -> Process {
    let file = |name: &str, content: &str| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let kubeconfig = file("kubeconfig", &house.kubeconfig().await);
    let okta_ca = file("okta-ca.pem", house.okta.ca_pem());
    let launch = Launch::new(binary())
        .args([
            "operator",
            "--no-leader-election",
            "--listen",
            "127.0.0.1:0",
            "--watch-namespace",
            house.namespace.as_str(),
        ])
        .args(["--kubeconfig".into(), kubeconfig.into_os_string(), "--okta-ca".into(), okta_ca.into_os_string()])
        .args(further.iter().copied());
    let mut process = launch.start().unwrap();
    process
        .await_line(UP, "the operator's first line", |_, line| line.contains("serving probes").then_some(()))
        .await
        .unwrap();
    process
}
