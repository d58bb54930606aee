//! What the operator's account may do: exactly what helm makes of the chart. And what it did, by the API server's own audit
//! log, held against that.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::ServiceAccount,
    rbac::v1::{PolicyRule, Role, RoleBinding},
};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::control_plane::Request;
use tokio::sync::Mutex;

use crate::{
    chart::{Helm, documents},
    house::{apply, of},
};

/// Name of the release, and with it of the operator's account.
pub const ACCOUNT: &str = "okta-user-sync";

/// Label of Secrets in which the operator keeps keys: the only ones that it looks for other than by name.
const KEYS: &str = "labelSelector=usersync.dev%2Fkey-of%3D";

/// One thing that a rule allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// API group.
    pub group: String,
    /// Resource with its subresource.
    pub resource: String,
    /// Verb.
    pub verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.verb, self.resource, self.group)
    }
}

impl Right {
    /// What `request` needed; `None` for discovery documents, which every authenticated client may read.
    #[must_use]
    pub fn of(request: &Request) -> Option<Self> {
        let Request { group, resource, verb, .. } = request.clone();
        (!resource.is_empty()).then_some(Self { group, resource, verb })
    }
}

/// The rules one by one.
#[must_use]
pub fn one_by_one<'a>(rules: impl IntoIterator<Item = &'a PolicyRule>) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(rule.verbs.iter().map(|verb| Right {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                }));
            }
        }
    }
    rights
}

/// Everything that the chart renders with these values for a release in `namespace` that serves this namespace alone.
pub async fn rendered(namespace: &str, values: &Value) -> Vec<Value> {
    // helm takes a good part of a second, and what it makes differs by the namespace only.
    static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::const_new(BTreeMap::new());
    const ANY: &str = "any-namespace-of-a-suite";
    let mut known = KNOWN.lock().await;
    let text = if let Some(text) = known.get(&values.to_string()) {
        text.clone()
    } else {
        let mut all = values.clone();
        all["watchNamespace"] = ANY.into();
        // Asked about a cluster, helm would know by itself that there are such policies.
        let policies = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy";
        let further = ["--namespace", ANY, "--api-versions", policies];
        let text = Helm::provide().await.render(&all, &further).unwrap();
        known.insert(values.to_string(), text.clone());
        text
    };
    documents(&text.replace(ANY, namespace))
}

/// The rules that are among rendered documents.
#[must_use]
pub fn rules(rendered: &[Value]) -> Vec<PolicyRule> {
    let roles = rendered.iter().filter(|object| object["kind"] == "Role" || object["kind"] == "ClusterRole");
    roles.flat_map(|role| of::<Vec<PolicyRule>>(&role["rules"])).collect()
}

/// Makes the operator's account, its roles, and what holds it to Secrets of keys, as the chart does with these values.
/// Answers what is allowed now.
pub async fn install(client: &Client, namespace: &str, values: &Value) -> BTreeSet<Right> {
    let rendered = rendered(namespace, values).await;
    let keys = format!("{ACCOUNT}-keys-{namespace}");
    for object in &rendered {
        let name = object["metadata"]["name"].as_str().unwrap();
        let within = || (client.clone(), namespace);
        match object["kind"].as_str().unwrap() {
            "ServiceAccount" => put::<ServiceAccount>(within(), name, object).await,
            "Role" => put::<Role>(within(), name, object).await,
            "RoleBinding" => put::<RoleBinding>(within(), name, object).await,
            "ValidatingAdmissionPolicy" if name == keys => {
                apply::<ValidatingAdmissionPolicy>(&Api::all(client.clone()), name, &of(object)).await;
            }
            "ValidatingAdmissionPolicyBinding" if name == keys => {
                apply::<ValidatingAdmissionPolicyBinding>(&Api::all(client.clone()), name, &of(object)).await;
            }
            _ => {}
        }
    }
    one_by_one(&rules(&rendered))
}

async fn put<K>((client, namespace): (Client, &str), name: &str, object: &Value)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + serde::Serialize
        + fmt::Debug,
{
    assert_eq!(object["metadata"]["namespace"], json!(namespace), "{object:#}");
    apply::<K>(&Api::namespaced(client, namespace), name, &of(object)).await;
}

/// What is against the rules in what the operator asked in a suite: whatever was refused (403), what no rule allows, what
/// lies outside its namespace, and lists of what others put there. `expected`: what a suite has taken away on purpose.
#[must_use]
pub fn violations(
    requests: &[Request],
    allowed: &BTreeSet<Right>,
    namespace: &str,
    expected: &BTreeSet<Right>,
) -> Vec<String> {
    let mut told = Vec::new();
    for request in requests {
        let Some(right) = Right::of(request) else {
            if request.code == 403 {
                told.push(format!("was refused: {request:?}"));
            }
            continue;
        };
        if expected.contains(&right) {
            continue;
        }
        if request.code == 403 {
            told.push(format!("was refused: {request:?}"));
        }
        if !allowed.contains(&right) {
            told.push(format!("no rule of the chart allows {right}: {request:?}"));
        }
        if request.namespace != namespace {
            told.push(format!("asked outside its namespace: {request:?}"));
        }
        let listed = matches!(request.verb.as_str(), "list" | "watch") && request.name.is_empty();
        if listed && request.resource != "oktausersyncs" && !request.uri.contains(KEYS) {
            told.push(format!("asked neither by name nor for its own keys: {request:?}"));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(verb: &str, resource: &str, name: &str, uri: &str, code: u16) -> Request {
        Request {
            verb: verb.into(),
            group: String::new(),
            resource: resource.into(),
            namespace: "home".into(),
            name: name.into(),
            uri: uri.into(),
            code,
        }
    }

    #[test]
    fn whatever_goes_beyond_the_rules_is_found() {
        let rule = |verbs: &[&str]| PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["secrets".into()]),
            verbs: verbs.iter().map(|&verb| verb.to_owned()).collect(),
            ..PolicyRule::default()
        };
        let allowed = one_by_one(&[rule(&["get", "list"])]);
        let told = |request: Request, expected: &BTreeSet<Right>| violations(&[request], &allowed, "home", expected);
        let none = BTreeSet::new();
        assert_eq!(told(request("get", "secrets", "key", "", 200), &none), Vec::<String>::new());
        assert_eq!(told(request("list", "secrets", "", &format!("/x?{KEYS}1"), 200), &none), Vec::<String>::new());
        assert_eq!(told(request("get", "", "", "/api", 200), &none), Vec::<String>::new());
        for (request, words) in [
            (request("get", "", "", "/logs", 403), "was refused"),
            (request("get", "secrets", "key", "", 403), "was refused"),
            (request("delete", "secrets", "key", "", 200), "no rule"),
            (Request { namespace: "away".into(), ..request("get", "secrets", "key", "", 200) }, "outside"),
            (request("list", "secrets", "", "/x", 200), "neither by name"),
        ] {
            let told = told(request.clone(), &none);
            assert!(told.len() == 1 && told[0].contains(words), "{words}: {told:?}");
        }
        let expected = one_by_one(&[rule(&["create"])]);
        assert_eq!(told(request("create", "secrets", "", "", 403), &expected), Vec::<String>::new());
    }
}
