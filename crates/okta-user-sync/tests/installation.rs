//! The chart as people install it: real helm, a real API server that enforces the Pod Security Standard "restricted", the
//! real binary run as the Deployment says and with nothing but the chart's own ServiceAccount, both simulators; installed
//! from the previous chart, upgraded, uninstalled, installed again.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Tools, eventually};

mod support;
use support::cluster::{Cluster, NAMESPACE, RESOURCE, SOON, repository};

fn chart() -> &'static str {
    "charts/okta-user-sync"
}

fn condition<'a>(resource: &'a Value, type_: &str) -> Option<&'a Value> {
    resource["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)
}

#[tokio::test(flavor = "multi_thread")]
async fn installed_upgraded_and_uninstalled_it_keeps_people_in_sync() {
    let cluster = Cluster::start(12).await;

    // From the previous chart.
    cluster.helm("install", "tests/fixtures/previous-chart", &[]);
    let before = cluster.pods.pods();
    assert_eq!(before.iter().filter(|pod| pod.ready).count(), 2, "{before:#?}");
    cluster.run("kubectl", &["apply", "--filename", cluster.world.manifest().to_str().unwrap()]);
    cluster.wait_until_ready();
    let synced = cluster.resource().await;
    assert_eq!(synced["status"]["users"]["synced"], 12, "{:#}", synced["status"]);
    // The program is newer than the definition of the previous chart: what that does not know is named, the rest is kept,
    // above all what the brake must not forget.
    let outdated = condition(&synced, "DefinitionOutdated").expect("it says so");
    assert!(outdated["message"].as_str().unwrap().contains("status.fastPath"), "{outdated:#}");
    assert!(synced["status"]["fastPath"].is_null(), "{:#}", synced["status"]);
    assert_eq!(synced["status"]["memory"]["people"], 12, "{:#}", synced["status"]);
    let table = cluster.run("kubectl", &["get", "ous", "--all-namespaces"]);
    assert!(table.lines().any(|line| line.contains(RESOURCE) && line.contains("True")), "{table}");

    // To this one: every pod is replaced, the definition follows, and no person notices.
    let writes = cluster.writes().await;
    cluster.helm("upgrade", chart(), &[]);
    let after = cluster.pods.pods();
    assert_eq!(after.iter().filter(|pod| pod.ready).count(), 2, "{after:#?}");
    assert!(after.iter().all(|pod| before.iter().all(|old| old.name != pod.name)), "{after:#?}");
    let definition = cluster.run("kubectl", &["get", "crd", "oktausersyncs.usersync.dev", "-o", "json"]);
    let definition: Value = serde_json::from_str(&definition).unwrap();
    let version = std::fs::read_to_string(repository().join(chart()).join("Chart.yaml")).unwrap();
    let version = version.lines().find_map(|line| line.strip_prefix("version: ")).unwrap();
    assert_eq!(definition["metadata"]["labels"]["helm.sh/chart"], format!("okta-user-sync-{version}"));
    let upgraded = cluster.pass("after-upgrade").await;
    assert_eq!(upgraded["metadata"]["uid"], synced["metadata"]["uid"]);
    assert_eq!(cluster.writes().await, writes, "nothing changed, so nothing is written");
    assert_eq!(condition(&upgraded, "DefinitionOutdated"), None, "{:#}", upgraded["status"]);
    assert!(upgraded["status"]["fastPath"].is_object(), "{:#}", upgraded["status"]);

    // With a resource from the values, which needs the definition to be there.
    let mut spec = upgraded["spec"].clone();
    spec["mode"] = "Preview".into();
    let value = format!("oktaUserSyncs={}", json!([{ "name": "second", "spec": spec }]));
    cluster.helm("upgrade", chart(), &["--set-json", &value]);
    let second = cluster.find("OktaUserSync", "usersync.dev/v1alpha1", "second").await.unwrap();
    assert_eq!(second["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
    cluster.helm("upgrade", chart(), &[]);
    assert!(cluster.find("OktaUserSync", "usersync.dev/v1alpha1", "second").await.is_some(), "it stays");
    cluster.run("kubectl", &["delete", "ous", "second", "--namespace", NAMESPACE, "--timeout=120s"]);

    // Uninstalled: what ran is gone, what was decided about people stays.
    cluster.run("helm", &["uninstall", NAMESPACE, "--namespace", NAMESPACE, "--wait", "--timeout", "5m"]);
    eventually(SOON, "the pods to go", async || {
        let left = cluster.pods.pods();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
    })
    .await
    .unwrap();
    let left = cluster.run(
        "kubectl",
        &[
            "get",
            "deployments,services,serviceaccounts,configmaps,roles,rolebindings,clusterroles,clusterrolebindings,pods",
            "--namespace",
            NAMESPACE,
            "--selector",
            "app.kubernetes.io/instance=okta-user-sync",
            "--output",
            "name",
        ],
    );
    assert_eq!(left, "", "left behind");
    assert_eq!(cluster.resource().await["metadata"]["uid"], synced["metadata"]["uid"]);
    assert_eq!(cluster.writes().await, writes, "nobody was touched");

    // And back again, over the definition that stayed.
    cluster.helm("install", chart(), &[]);
    let again = cluster.pass("back-again").await;
    assert_eq!(again["status"]["users"]["synced"], 12, "{:#}", again["status"]);
    assert_eq!(cluster.writes().await, writes, "nothing changed, so nothing is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_and_its_pod_runs_again() {
    let cluster = Cluster::start(4).await;
    cluster.helm("install", chart(), &[]);
    cluster.run("kubectl", &["apply", "--filename", cluster.world.manifest().to_str().unwrap()]);
    cluster.wait_until_ready();
    let leader = eventually(SOON, "somebody to lead", async || cluster.leader().await.ok_or("nobody")).await.unwrap();
    let process = cluster.pods.pods().into_iter().find(|pod| pod.name == leader).unwrap().process;
    assert!(
        Command::new("sh").args(["-c", "kill -s KILL \"$1\"", "sh", &process.to_string()]).status().unwrap().success()
    );
    let resource = cluster.pass("after-the-crash").await;
    assert_eq!(resource["status"]["users"]["synced"], 4, "{:#}", resource["status"]);
    eventually(SOON, "the killed pod to run again", async || {
        let pods = cluster.pods.pods();
        let again = pods.iter().any(|pod| pod.name == leader && pod.restarts == 1 && pod.ready);
        if again { Ok(()) } else { Err(format!("{pods:#?}")) }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_argument_of_the_chart_is_one_that_the_program_takes() {
    let tools = Tools::provide().await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let values = |file: &Path| {
        let mut command = tools.command("helm", home.path());
        command.args(["template", "x", chart(), "--kube-version", "1.34.0", "--values"]).arg(file);
        let output = command.current_dir(repository()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let help = support::told(&support::run(&["operator", "--help"])).1;
    let rendered = values(&repository().join("examples/production/values.yaml"));
    let flags: Vec<&str> = rendered
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- --"))
        .map(|flag| flag.split('=').next().unwrap())
        .collect();
    assert!(flags.len() > 8, "{rendered}");
    for flag in flags {
        assert!(help.contains(&format!("--{flag}")), "the program does not know --{flag}\n{help}");
    }
}
