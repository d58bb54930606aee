//! The chart's admission policy on the real API server: what must pass passes, what must fail fails, with words that say
//! what to do.

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use suites::{
    Ground,
    chart::{Helm, documents},
    ground::SOON,
};
use testkit::eventually;

use crate::refers_to;

/// Applies the policy and the binding that the chart renders with these values, bound to the namespace of the ground.
async fn install(ground: &Ground, values: Value) -> ValidatingAdmissionPolicy {
    let helm = Helm::provide().await;
    let mut values = values;
    // A policy belongs to the whole cluster: its name holds the release's namespace, and it is bound to this one alone.
    values["watchNamespace"] = ground.namespace.clone().into();
    let further = ["--namespace", &ground.namespace, "--show-only", "templates/admission.yaml"];
    let rendered = helm.render(&values, &further).unwrap();
    let documents = documents(&rendered);
    assert_eq!(documents.len(), 2, "{rendered}");
    let policy = apply::<ValidatingAdmissionPolicy>(ground, &documents[0]).await;
    apply::<ValidatingAdmissionPolicyBinding>(ground, &documents[1]).await;
    policy
}

async fn apply<K>(ground: &Ground, object: &Value) -> K
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let api = Api::<K>::all(ground.client.clone());
    let name = object["metadata"]["name"].as_str().unwrap();
    api.patch(name, &PatchParams::apply("suites").force(), &Patch::Apply(object)).await.unwrap()
}

fn with_roles(roles: &[&str]) -> Value {
    let mut spec = refers_to("key", "identity");
    spec["users"] = json!({ "roles": roles });
    spec
}

/// The policy is in force a moment after it was made: then a specification that it refuses is refused. Nothing is stored.
async fn until_in_force(ground: &Ground, bad: &Value) {
    let object = json!({ "apiVersion": "usersync.dev/v1alpha1", "kind": "OktaUserSync", "metadata": { "name": "probe" },
                         "spec": bad });
    let object = serde_json::from_value(object).unwrap();
    let params = PostParams { dry_run: true, ..PostParams::default() };
    eventually(SOON, "the policy to be in force", async || match ground.resources().create(&params, &object).await {
        Err(kube::Error::Api(status)) if status.message.contains("ValidatingAdmissionPolicy") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
}

async fn refused(ground: &Ground, name: &str, spec: &Value, words: &[&str]) {
    let told = ground.try_put(name, spec).await.expect_err("should be refused").to_string();
    for word in words {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
}

// admission.yaml of the chart: the rule over `roles`.
#[tokio::test(flavor = "multi_thread")]
async fn p13_the_ceiling_on_roles_holds_at_admission() {
    let ground = Ground::shared("ceiling").await;
    let allowed = ["okta-requester", "team-*", "a.b?", "auditor", "*-on-call"];
    install(&ground, json!({ "allowedRoles": allowed, "onlyAllowedRoles": true })).await;
    until_in_force(&ground, &with_roles(&["no-such-role"])).await;
    for (n, roles) in [
        vec!["okta-requester"],
        vec!["team-", "team-blue", "okta-requester"],
        vec!["a.bc"],
        vec!["auditor"],
        vec!["db-on-call"],
    ]
    .into_iter()
    .enumerate()
    {
        ground.put(&format!("good-{n}"), &with_roles(&roles)).await;
    }
    ground.put("defaults", &refers_to("key", "identity")).await;
    for roles in [
        vec!["okta-requester", "editor"],
        vec!["access"],
        vec!["my-team-blue"],
        vec!["a.b"],
        vec!["aXbc"],
        vec!["OKTA-REQUESTER"],
    ] {
        refused(
            &ground,
            "bad",
            &with_roles(&roles),
            &[roles.last().unwrap(), "gives nobody the role", "team-*", "allowedRoles"],
        )
        .await;
    }
    // A change may not go above it either; everything else about a resource may be changed.
    refused(&ground, "good-1", &with_roles(&["editor"]), &["editor"]).await;
    ground.put("good-1", &with_roles(&["team-blue"])).await;
}

// admission.yaml of the chart: `role in ['editor', 'auditor', 'access']`, without onlyAllowedRoles.
#[tokio::test(flavor = "multi_thread")]
async fn p13_what_a_role_grants_is_left_to_the_operator_but_for_the_three_that_hand_out_the_cluster() {
    let ground = Ground::shared("contents").await;
    install(&ground, json!({ "allowedRoles": ["okta-requester", "auditor", "*"] })).await;
    until_in_force(&ground, &with_roles(&["editor"])).await;
    ground.put("good", &with_roles(&["okta-requester", "newcomer", "auditor"])).await;
    for role in ["editor", "access"] {
        refused(&ground, "bad", &with_roles(&["newcomer", role]), &[role, "grants nothing by itself"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_never_allows_what_hands_out_the_cluster() {
    let ground = Ground::shared("pattern").await;
    let admission = json!({ "secretNames": ["probe"] });
    install(&ground, json!({ "allowedRoles": ["*"], "onlyAllowedRoles": true, "admission": admission })).await;
    until_in_force(&ground, &with_roles(&["anything"])).await;
    let mut spec = with_roles(&["anything"]);
    spec["okta"]["privateKeySecretRef"]["name"] = "probe".into();
    spec["teleport"]["identitySecretRef"]["name"] = "probe".into();
    ground.put("good", &spec).await;
    for role in ["editor", "auditor", "access"] {
        spec["users"]["roles"] = json!([role]);
        refused(&ground, "bad", &spec, &[role]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_named_secrets_and_namespaces_where_somebody_wants_that() {
    let ground = Ground::shared("secrets").await;
    let admission = json!({ "secretNames": ["okta-*", "teleport-identity"], "namespaces": [ground.namespace] });
    install(&ground, json!({ "onlyAllowedRoles": true, "admission": admission })).await;
    until_in_force(&ground, &with_roles(&["no-such-role"])).await;
    ground.put("good", &refers_to("okta-key", "teleport-identity")).await;
    ground
        .put("none", &json!({ "okta": { "orgURL": "https://acme.okta.com", "clientID": "0oa1api2services3app" } }))
        .await;
    let words = ["may refer to the Secret database-password", "okta-*, teleport-identity"];
    refused(&ground, "bad", &refers_to("database-password", "teleport-identity"), &words).await;
    refused(&ground, "bad", &refers_to("okta-key", "database-password"), &words).await;
    // Authorities may come from a Secret too, which is held to the same names; a ConfigMap is no secret.
    let with_authorities = |reference: Value| {
        let mut spec = refers_to("okta-key", "teleport-identity");
        spec["okta"]["caBundleRef"] = reference;
        spec
    };
    refused(
        &ground,
        "bad",
        &with_authorities(json!({ "kind": "Secret", "name": "database-password", "key": "password" })),
        &words,
    )
    .await;
    for (name, reference) in [
        ("secret", json!({ "kind": "Secret", "name": "okta-authorities" })),
        ("config-map", json!({ "kind": "ConfigMap", "name": "database-password" })),
        ("by-default", json!({ "name": "company-authorities" })),
    ] {
        ground.put(&format!("with-{name}"), &with_authorities(reference)).await;
    }
    // What was allowed does not become a way around it by a change.
    let changed = with_authorities(json!({ "kind": "Secret", "name": "database-password" }));
    refused(&ground, "with-config-map", &changed, &words).await;

    let elsewhere = Ground::shared("elsewhere").await;
    install(&elsewhere, json!({ "admission": { "namespaces": ["identity"] } })).await;
    until_in_force(&elsewhere, &with_roles(&["okta-requester"])).await;
    refused(&elsewhere, "bad", &with_roles(&["okta-requester"]), &["no OktaUserSync in the namespace", "identity"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_can_still_be_deleted_and_is_told_by_the_operator() {
    let ground = Ground::shared("lowered").await;
    ground.put("old", &with_roles(&["editor"])).await;
    ground.patch("old", &json!({ "metadata": { "finalizers": ["usersync.dev/cleanup"] } })).await;
    install(&ground, json!({ "onlyAllowedRoles": true })).await;
    until_in_force(&ground, &with_roles(&["no-such-role"])).await;
    let operator = crate::Inside::start(&ground, |_| {}).await;
    // Status, finalizer and annotations are written as before; only a new specification is looked at.
    ground.until_reason("old", "RoleAboveCeiling").await;
    ground.annotate("old", "note", "x").await;
    ground.delete("old").await;
    ground.until_gone("old").await;
    operator.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_finds_nothing_wrong_with_the_expressions() {
    let ground = Ground::shared("types").await;
    let admission = json!({ "secretNames": ["x"], "namespaces": ["y"] });
    let values = json!({ "allowedRoles": ["a", "b-*"], "onlyAllowedRoles": true, "admission": admission });
    let policy = install(&ground, values).await;
    let name = policy.metadata.name.unwrap();
    // Each path that an expression names is there in the definition: the server's own controller would warn; without one
    // here, each is looked up in the schema.
    let definition = serde_json::to_value(api::crd()).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let text = serde_json::to_string(&policy.spec).unwrap();
    let paths = text.split("object.spec").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
        rest[..end].split('.').filter(|field| !field.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    });
    let mut looked_up = 0;
    for path in paths {
        let mut at = &schema["properties"]["spec"];
        for field in &path {
            at = &at["properties"][field];
            assert!(!at.is_null(), "{name}: there is no spec.{}", path.join("."));
            looked_up += 1;
        }
    }
    assert!(looked_up > 5);
}
