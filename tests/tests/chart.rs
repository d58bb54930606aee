//! The chart: what it renders, held against snapshots, against the API server's own schemas, and against the Pod Security
//! Standard; and values that do not fit, each refused by the schema with the value's name.
//!
//! `UPDATE=1 cargo test -p suites --test chart` writes the snapshots, the descriptions in values.schema.json and the chart's
//! README anew.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use suites::chart::{
    Helm, documents, dry_run, install_definitions, kubeconform, made, make_namespaces, repository, succeed,
};

/// Characters of a line that a snapshot keeps.
const LONGEST: usize = 300;

const HOW: &str = "UPDATE=1 cargo test -p suites --test chart";

/// Values that switch on everything, for what can only be seen then.
fn everything() -> Value {
    let mut values = json!({
        "image": { "repository": "registry.example.com/okta-user-sync", "digest": format!("sha256:{}", "a".repeat(64)) },
        "imagePullSecrets": [{ "name": "registry" }],
        "teleportAddress": "teleport.example.com:443",
        "teleportJoin": { "token": "operator", "cluster": "teleport.example.com", "tokenSeconds": 1800, "caPins": [format!("sha256:{}", "b".repeat(64))] },
        "watchLabelSelector": "shard in (a, b)",
        "rbac": { "secretNames": ["okta-key", "teleport-identity"] },
        "admission": { "action": "Warn", "secretNames": ["okta-*", "teleport-identity"], "namespaces": ["people", "identity"] },
        "journal": { "enabled": true }, "events": { "showNames": true },
        "admin": { "port": 8082 }, "traces": { "endpoint": "http://collector.observability:4318" },
        "allowedRoles": ["okta-requester", "staff-*"],
        "oktaCAFrom": { "configMap": "company-ca", "key": "bundle.pem" },
        "proxy": { "https": "http://proxy.example.com:3128", "noProxy": ["teleport.example.com", "10.0.0.0/8"] },
        "listenAddress": "::",
        "jwks": { "enabled": true, "annotations": { "example.com/a": "b" } },
        "serviceAccount": { "annotations": { "example.com/owner": "identity" } },
        "service": { "annotations": { "prometheus.io/scrape": "true" } },
        "serviceMonitor": { "create": true, "labels": { "release": "prometheus" } },
        "alerts": {
            "create": true, "labels": { "release": "prometheus" }, "runbookURL": "https://docs.example.com/runbooks/",
        },
        "dashboard": { "create": true, "namespace": "monitoring", "annotations": { "grafana_folder": "Identity" } },
        "networkPolicy": {
            "create": true,
            "teleport": { "to": [{ "ipBlock": { "cidr": "192.0.2.0/24" } }], "ports": [443] },
            "apiServer": { "to": [{ "ipBlock": { "cidr": "10.0.0.1/32" } }] },
            "extraEgress": [{ "ports": [{ "port": 3128 }] }],
        },
        "extraArgs": ["--log-level=info,okta=debug"],
        "env": [{ "name": "TZ", "value": "UTC" }],
        "extraVolumes": [{ "name": "scratch", "emptyDir": {} }],
        "extraVolumeMounts": [{ "name": "scratch", "mountPath": "/scratch" }],
        "podAnnotations": { "example.com/a": "b" }, "podLabels": { "team": "identity" },
        "nodeSelector": { "kubernetes.io/os": "linux" },
        "tolerations": [{ "key": "dedicated", "operator": "Exists" }],
        "priorityClassName": "system-cluster-critical",
        "crd": { "keep": false },
        "oktaUserSyncs": [{ "name": "acme", "annotations": { "example.com/a": "b" }, "spec": {
            "okta": { "orgURL": "https://acme.okta.com", "clientID": "0oa1api2services3app" },
        } }],
    });
    // One macro holds no more than that.
    values["onlyAllowedRoles"] = true.into();
    values
}

/// The cases that snapshots are kept of.
fn cases() -> [(&'static str, Value, &'static [&'static str]); 3] {
    let alone = json!({
        "replicas": 1, "leaderElection": { "enabled": false }, "watchNamespace": "people",
        "oktaCA": "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
        "serviceAccount": { "create": false, "name": "known" }, "service": { "create": false },
        "podMonitor": { "create": true }, "crd": { "install": false },
        "affinity": { "nodeAffinity": {} }, "topologySpreadConstraints": [
            { "maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule" },
        ],
    });
    let known = &["--api-versions", "usersync.dev/v1alpha1/OktaUserSync"][..];
    let policies = &["--api-versions", "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"][..];
    [("defaults", json!({}), policies), ("everything", everything(), known), ("alone", alone, &[])]
}

/// What each template renders, by its name; the definition, which is a file of its own, is left out.
fn by_template(rendered: &str) -> BTreeMap<String, String> {
    let mut templates = BTreeMap::<String, String>::new();
    for part in rendered.split("\n---\n").map(|part| part.trim_start_matches("---\n")) {
        let Some((source, manifest)) = part.strip_prefix("# Source: ").and_then(|part| part.split_once('\n')) else {
            continue;
        };
        let template = source.rsplit('/').next().unwrap();
        let text = templates.entry(template.to_owned()).or_default();
        if !text.is_empty() {
            text.push_str("---\n");
        }
        for line in manifest.trim_end().lines() {
            // A dashboard is one line of many thousand characters, and a file of its own.
            let cut = line.char_indices().nth(LONGEST).map_or(line.len(), |(at, _)| at);
            text.push_str(&line[..cut]);
            text.push_str(if cut < line.len() { "…\n" } else { "\n" });
        }
    }
    templates.remove("crd.yaml");
    templates
}

#[tokio::test(flavor = "multi_thread")]
async fn every_template_renders_as_it_did() {
    let helm = Helm::provide().await;
    let folder = repository().join("tests/snapshots/chart");
    for (case, values, further) in cases() {
        let rendered = helm.render(&values, further).unwrap();
        let templates = by_template(&rendered);
        for (template, text) in &templates {
            made(&folder.join(case).join(template), text, HOW);
        }
        let kept = fs::read_dir(folder.join(case)).unwrap().map(|entry| entry.unwrap().file_name());
        for file in kept {
            let file = file.to_string_lossy().into_owned();
            assert!(templates.contains_key(&file), "{case}/{file} is not rendered any more; delete it");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lint_has_nothing_to_say() {
    let helm = Helm::provide().await;
    let values = helm.file("everything.json", &{
        let mut values = everything();
        // What needs a cluster that knows the definition.
        values["oktaUserSyncs"] = json!([]);
        values.to_string()
    });
    let chart = repository().join("charts/okta-user-sync");
    succeed(helm.command("helm").args(["lint", "--strict"]).arg(&chart)).unwrap();
    succeed(helm.command("helm").args(["lint", "--strict", "--values"]).arg(values).arg(&chart)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rendered_fits_the_schemas_and_the_server_takes_it() {
    let helm = Helm::provide().await;
    let client = testkit::control_plane::shared().await.unwrap().client().unwrap();
    install_definitions(&client).await;
    make_namespaces(&client, &["identity", "people", "monitoring"]).await;
    for (case, values, further) in cases() {
        let rendered = helm.render(&values, further).unwrap();
        kubeconform(&helm, &client, &rendered).await.unwrap_or_else(|words| panic!("{case}: {words}"));
        for document in documents(&rendered) {
            let taken = dry_run(&client, &document).await;
            taken.unwrap_or_else(|error| panic!("{case}, {}: {error}", document["kind"]));
        }
    }
    // The check itself can fail.
    let wrong = helm.render(&json!({}), &[]).unwrap().replace("replicas:", "replica:");
    let words = kubeconform(&helm, &client, &wrong).await.unwrap_err();
    assert!(words.contains("replica"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pod_is_restricted_and_the_server_agrees() {
    let helm = Helm::provide().await;
    let client = testkit::control_plane::shared().await.unwrap().client().unwrap();
    let namespace = testkit::namespace(&client, "restricted").await.unwrap();
    let enforce = json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces.patch(&namespace, &PatchParams::default(), &Patch::Merge(&enforce)).await.unwrap();
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    for (case, values, further) in cases() {
        let all = documents(&helm.render(&values, further).unwrap());
        let deployment = all.iter().find(|document| document["kind"] == "Deployment").unwrap();
        let spec = &deployment["spec"]["template"]["spec"];
        let container = &spec["containers"][0]["securityContext"];
        assert_eq!(container["readOnlyRootFilesystem"], true, "{case}: the standard does not ask for it, but we do");
        let mut spec = spec.clone();
        spec.as_object_mut().unwrap().remove("priorityClassName");
        let pod = json!({ "metadata": { "name": "operator" }, "spec": spec });
        pods.create(&dry, &serde_json::from_value(pod.clone()).unwrap())
            .await
            .unwrap_or_else(|e| panic!("{case}: {e}"));
        let mut loose = pod;
        loose["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
        let refused = pods.create(&dry, &serde_json::from_value(loose).unwrap()).await.unwrap_err();
        assert!(refused.to_string().contains("restricted"), "{refused}");
    }
}

/// Values that do not fit: the value, and the words of the refusal.
fn mistakes() -> Vec<(Value, &'static str)> {
    vec![
        (json!({ "replica": 2 }), "replica"),
        (json!({ "replicas": "two" }), "/replicas"),
        (json!({ "replicas": -1 }), "/replicas"),
        (json!({ "image": { "digest": "sha256:abc" } }), "/image/digest"),
        (json!({ "image": { "tag": "a b" } }), "/image/tag"),
        (json!({ "image": { "pullPolicy": "Sometimes" } }), "/image/pullPolicy"),
        (json!({ "imagePullSecrets": ["registry"] }), "/imagePullSecrets/0"),
        (json!({ "watchNamespace": "A_B" }), "/watchNamespace"),
        (json!({ "teleportAddress": "https://teleport.example.com" }), "/teleportAddress"),
        (json!({ "teleportAddress": "teleport.example.com" }), "/teleportAddress"),
        (json!({ "teleportJoin": { "tokenSeconds": 3600 } }), "/teleportJoin/tokenSeconds"),
        (json!({ "teleportJoin": { "as": "admin" } }), "/teleportJoin/as"),
        (json!({ "teleportJoin": { "caPins": ["sha256:short"] } }), "/teleportJoin/caPins/0"),
        (json!({ "teleportJoin": { "token": "t", "cluster": "c" } }), "needs teleportAddress"),
        (json!({ "teleportJoin": { "token": "t" }, "teleportAddress": "t:443" }), "needs teleportAddress"),
        (json!({ "allowedRoles": [] }), "/allowedRoles"),
        (json!({ "allowedRoles": ["a,b"] }), "/allowedRoles/0"),
        (json!({ "onlyAllowedRoles": "yes" }), "/onlyAllowedRoles"),
        (json!({ "oktaCA": "/etc/ca.pem" }), "/oktaCA"),
        (json!({ "proxy": { "https": "https://proxy:3128" } }), "/proxy/https"),
        (json!({ "concurrency": 0 }), "/concurrency"),
        (json!({ "fastPathSeconds": 0 }), "/fastPathSeconds"),
        (json!({ "leaderElection": { "enabled": false } }), "/replicas"),
        (json!({ "leaderElection": { "leaseSeconds": 1 } }), "/leaderElection/leaseSeconds"),
        (json!({ "log": { "format": "xml" } }), "/log/format"),
        (json!({ "listenAddress": "localhost" }), "/listenAddress"),
        (json!({ "admin": { "port": 80 } }), "/admin/port"),
        (json!({ "traces": { "endpoint": "collector:4318" } }), "/traces/endpoint"),
        (json!({ "oktaUserSyncs": [{ "name": "acme" }] }), "/oktaUserSyncs/0"),
        (json!({ "service": { "port": 70000 } }), "/service/port"),
        (json!({ "serviceMonitor": { "interval": "often" } }), "/serviceMonitor/interval"),
        (json!({ "alerts": { "runbookURL": "docs/runbooks" } }), "/alerts/runbookURL"),
        (json!({ "podDisruptionBudget": { "maxUnavailable": 0 } }), "/podDisruptionBudget/maxUnavailable"),
        (json!({ "networkPolicy": { "teleport": { "ports": [] } } }), "/networkPolicy/teleport/ports"),
        (json!({ "networkPolicy": { "okta": { "to": [{ "cidr": "0.0.0.0/0" }] } } }), "/networkPolicy/okta/to/0"),
        (json!({ "resources": { "memory": "1Gi" } }), "/resources"),
        (json!({ "terminationGracePeriodSeconds": 5 }), "/terminationGracePeriodSeconds"),
        (json!({ "extraArgs": ["operator"] }), "/extraArgs/0"),
        (json!({ "env": { "A": "b" } }), "/env"),
        (json!({ "podLabels": { "a": 1 } }), "/podLabels/a"),
        // What a schema cannot say, the templates do.
        (json!({ "admin": { "port": 8081 } }), "admin.port"),
        (json!({ "oktaCA": "-----BEGIN CERTIFICATE-----", "oktaCAFrom": { "configMap": "x" } }), "not both"),
        (json!({ "serviceMonitor": { "create": true }, "service": { "create": false } }), "podMonitor.create"),
        (json!({ "serviceMonitor": { "create": true }, "podMonitor": { "create": true } }), "counted twice"),
        (json!({ "serviceAccount": { "create": false } }), "serviceAccount.name"),
        (json!({ "oktaUserSyncs": [{ "name": "acme", "spec": {} }] }), "does not know OktaUserSync yet"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_does_not_fit_is_refused_by_its_name() {
    let helm = Helm::provide().await;
    for (values, words) in mistakes() {
        let refused = helm.render(&values, &[]).expect_err(&values.to_string());
        // helm names '' for the root and '/a/b' for what lies below.
        assert!(refused.contains(words), "{values} was refused without naming {words}: {refused}");
    }
}

#[test]
fn the_chart_and_the_program_have_one_version() {
    let chart = fs::read_to_string(repository().join("charts/okta-user-sync/Chart.yaml")).unwrap();
    let chart = documents(&chart).remove(0);
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

/// A value of values.yaml with its comment.
struct Documented {
    path: String,
    text: String,
}

/// Reads the comments `# -- …` of values.yaml; each belongs to the key below it.
fn documented(yaml: &str) -> Vec<Documented> {
    let (mut all, mut above, mut text) = (Vec::new(), Vec::<(usize, String)>::new(), None::<String>);
    for line in yaml.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(first) = line.strip_prefix("# -- ") {
            text = Some(first.to_owned());
        } else if let (Some(more), Some(text)) = (line.strip_prefix("# "), &mut text) {
            text.push(' ');
            text.push_str(more);
        } else if let Some((key, _)) = line.split_once(':')
            && !key.starts_with(['-', '#'])
        {
            above.retain(|(outer, _)| *outer < indent);
            above.push((indent, key.to_owned()));
            if let Some(text) = text.take() {
                let path = above.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>().join(".");
                all.push(Documented { path, text });
            }
        }
    }
    all
}

/// Every value that the schema knows: paths of what has no properties of its own.
fn known(schema: &Value, path: &str, all: &mut Vec<String>) {
    match schema["properties"].as_object() {
        // What Kubernetes describes is one value for us.
        Some(properties) if path != "resources" => {
            for (name, below) in properties {
                known(below, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, all);
            }
        }
        _ => all.push(path.to_owned()),
    }
}

#[test]
fn every_value_is_documented_once_and_the_schema_and_the_readme_say_the_same() {
    let chart = repository().join("charts/okta-user-sync");
    let yaml = fs::read_to_string(chart.join("values.yaml")).unwrap();
    let values = documents(&yaml).remove(0);
    let documented = documented(&yaml);
    let mut schema: Value =
        serde_json::from_str(&fs::read_to_string(chart.join("values.schema.json")).unwrap()).unwrap();

    let (mut in_schema, mut in_values) = (Vec::new(), documented.iter().map(|one| &one.path).collect::<Vec<_>>());
    known(&schema, "", &mut in_schema);
    // Helm's own.
    in_schema.retain(|path| path != "global");
    in_schema.sort();
    in_values.sort();
    assert_eq!(in_values, in_schema.iter().collect::<Vec<_>>(), "values.yaml (left) and values.schema.json (right)");

    let mut table = String::from("| value | default | what it does |\n|---|---|---|\n");
    for Documented { path, text } in &documented {
        let pointer = format!("/{}", path.replace('.', "/"));
        let default = values.pointer(&pointer).unwrap_or_else(|| panic!("{path} has no default"));
        let in_schema = format!("/properties/{}", path.replace('.', "/properties/"));
        schema.pointer_mut(&in_schema).unwrap()["description"] = text.as_str().into();
        writeln!(table, "| `{path}` | `{default}` | {} |", text.replace('|', "\\|")).unwrap();
    }
    made(&chart.join("values.schema.json"), &format!("{schema:#}\n"), HOW);
    let readme = fs::read_to_string(chart.join("README.md")).unwrap();
    let (begin, end) = ("<!-- values: begin -->\n", "<!-- values: end -->");
    let (before, rest) = readme.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    made(&chart.join("README.md"), &format!("{before}{begin}{table}{end}{after}"), HOW);
}
