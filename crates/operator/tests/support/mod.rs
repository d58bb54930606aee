//! What the tests over a real API server share: the definition installed, a namespace, the operator's own account.
#![allow(dead_code, reason = "each test file uses a part")]

use std::time::Duration;

use api::OktaUserSync;
use k8s_openapi::{
    api::{
        core::v1::ServiceAccount,
        rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config,
    api::{DynamicObject, ObjectMeta, Patch, PatchParams, PostParams},
    config::AuthInfo,
};
use operator::rbac;
use serde_json::{Value, json};
use testkit::{ControlPlane, eventually};

/// Name of the operator's account.
const ACCOUNT: &str = "operator";

/// Longest wait for something that should come soon.
pub const SOON: Duration = Duration::from_secs(60);

/// A namespace of its own in a real API server.
pub struct World {
    pub control_plane: &'static ControlPlane,
    /// The administrator.
    pub client: Client,
    pub namespace: String,
}

impl Drop for World {
    /// At the end of each story: nothing was asked of the API server that the rules do not allow.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let asked = self.control_plane.requests_of(&self.namespace, ACCOUNT);
        let refused: Vec<_> = asked.into_iter().filter(|request| request.code == 403).collect();
        assert!(refused.is_empty(), "the rules do not allow what the operator asked: {refused:#?}");
    }
}

/// A world with the definition installed.
pub async fn world(prefix: &str) -> World {
    let control_plane = testkit::control_plane::shared().await.unwrap();
    let client = control_plane.client().unwrap();
    install_definition(&client).await;
    let namespace = testkit::namespace(&client, prefix).await.unwrap();
    World { control_plane, client, namespace }
}

/// Installs the definition and waits until it is served.
pub async fn install_definition(client: &Client) {
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    let params = PatchParams::apply("test").force();
    crds.patch("oktausersyncs.usersync.dev", &params, &Patch::Apply(api::crd())).await.unwrap();
    let objects = Api::<DynamicObject>::all_with(client.clone(), &kube::api::ApiResource::erase::<OktaUserSync>(&()));
    eventually(SOON, "the definition", async || objects.list(&kube::api::ListParams::default()).await.map(drop))
        .await
        .unwrap();
}

impl World {
    pub fn resources(&self) -> Api<OktaUserSync> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Resources as the API server answers them, without our types.
    pub fn raw(&self) -> Api<DynamicObject> {
        let resource = kube::api::ApiResource::erase::<OktaUserSync>(&());
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// Creates a resource as a person writes it.
    pub async fn create(&self, name: &str, spec: Value) -> kube::Result<DynamicObject> {
        self.raw().create(&PostParams::default(), &object(name, &spec)).await
    }

    /// Merges `patch` into a resource.
    pub async fn patch(&self, name: &str, patch: Value) -> kube::Result<DynamicObject> {
        self.raw().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    /// The resource as JSON.
    pub async fn get(&self, name: &str) -> Value {
        self.raw().get_opt(name).await.unwrap().map_or(Value::Null, |object| serde_json::to_value(object).unwrap())
    }

    /// The operator's way to the cluster: an account with our rules and no other rights.
    pub async fn operator_config(&self) -> Config {
        let account = ACCOUNT;
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), &self.namespace);
        let made = ServiceAccount { metadata: named(account), ..ServiceAccount::default() };
        if accounts.get_opt(account).await.unwrap().is_none() {
            accounts.create(&PostParams::default(), &made).await.unwrap();
            let rules = rbac::rules().into_iter().chain(rbac::key_rules()).chain(rbac::own_rules()).collect();
            self.allow(account, rules).await;
        }
        let token = self.control_plane.service_account_token(&self.namespace, account, &[]).await.unwrap();
        let mut config = self.control_plane.config();
        config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
        config
    }

    async fn allow(&self, account: &str, rules: Vec<PolicyRule>) {
        let role = Role { metadata: named(account), rules: Some(rules) };
        Api::<Role>::namespaced(self.client.clone(), &self.namespace)
            .create(&PostParams::default(), &role)
            .await
            .unwrap();
        let binding = RoleBinding {
            metadata: named(account),
            role_ref: RoleRef {
                api_group: "rbac.authorization.k8s.io".into(),
                kind: "Role".into(),
                name: account.into(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".into(),
                name: account.into(),
                namespace: Some(self.namespace.clone()),
                ..Subject::default()
            }]),
        };
        Api::<RoleBinding>::namespaced(self.client.clone(), &self.namespace)
            .create(&PostParams::default(), &binding)
            .await
            .unwrap();
    }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() }
}

/// A resource as JSON.
pub fn object(name: &str, spec: &Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "usersync.dev/v1alpha1", "kind": "OktaUserSync", "metadata": { "name": name }, "spec": spec,
    }))
    .unwrap()
}

/// The least that a person must write.
pub fn least() -> Value {
    json!({ "okta": { "orgURL": "https://acme.okta.com", "clientID": "0oa1api2services3app" } })
}

/// `base` with `change` merged into it (RFC 7396).
pub fn with(mut base: Value, change: Value) -> Value {
    merge(&mut base, change);
    base
}

fn merge(base: &mut Value, change: Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    base.remove(&key);
                } else {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (base, change) => *base = change,
    }
}
