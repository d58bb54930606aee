//! A namespace of a real API server with the definition, the operator's account and its rights, and somebody who watches
//! every version of every resource. What the operator is, and what it stands between, is up to each suite.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use api::OktaUserSync;
use k8s_openapi::{
    api::core::v1::Secret, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use testkit::{ControlPlane, Witness, control_plane::Request, eventually};

pub use crate::rights::ACCOUNT;
use crate::{
    house::{apply, of},
    rights::{self, Right},
};

/// Longest wait for something that should come soon.
pub const SOON: Duration = Duration::from_secs(90);

/// Whose API server it is.
enum Plane {
    Shared(&'static ControlPlane),
    Own(Box<ControlPlane>),
}

/// The ground.
pub struct Ground {
    plane: Plane,
    /// The administrator's client.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    /// Sees every version of every resource.
    pub witness: Witness,
    /// What the operator's account may do.
    allowed: BTreeSet<Right>,
    /// What a suite expects to be refused.
    refusals: BTreeSet<Right>,
    /// The requests, by their place in the log, that came while the API server was starting again.
    starting: Vec<Range<usize>>,
}

impl Drop for Ground {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
    }
}

impl Ground {
    /// In the control plane that all tests of this process share.
    pub async fn shared(prefix: &str) -> Self {
        let plane = testkit::control_plane::shared().await.unwrap();
        Self::lay(Plane::Shared(plane), prefix, &json!({})).await
    }

    /// In a control plane of its own, which may be restarted, and counts nobody else's requests.
    pub async fn own(prefix: &str) -> Self {
        let plane = ControlPlane::start(testkit::control_plane::Options::default()).await.unwrap();
        Self::lay(Plane::Own(Box::new(plane)), prefix, &json!({})).await
    }

    /// As [`Self::shared`], but the operator's account has what the chart gives it with these values.
    pub async fn with_values(prefix: &str, values: &Value) -> Self {
        let plane = testkit::control_plane::shared().await.unwrap();
        Self::lay(Plane::Shared(plane), prefix, values).await
    }

    async fn lay(plane: Plane, prefix: &str, values: &Value) -> Self {
        // One provider for the process; a second installation fails, and that is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = plane.get().client().unwrap();
        install_definition(&client).await;
        let namespace = testkit::namespace(&client, prefix).await.unwrap();
        let allowed = Box::pin(rights::install(&client, &namespace, values)).await;
        let witness = Witness::post(resources(&client, &namespace), unknown_reasons).await;
        Self { plane, client, namespace, witness, allowed, refusals: BTreeSet::new(), starting: Vec::new() }
    }

    /// Says that the operator is going to be refused this, because the suite has taken the right away.
    pub fn expect_refusal(&mut self, right: Right) {
        self.refusals.insert(right);
    }

    /// The control plane.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        self.plane.get()
    }

    /// The control plane, to be restarted: only of one's own.
    pub fn own_control_plane(&mut self) -> &mut ControlPlane {
        match &mut self.plane {
            Plane::Own(plane) => plane,
            Plane::Shared(_) => panic!("other tests stand on it"),
        }
    }

    /// Starts the API server again, and waits until it is ready. Until it is, it knows no roles and refuses everybody.
    pub async fn start_api_server(&mut self, within: Duration) {
        let before = self.requests().len();
        self.own_control_plane().start_api_server(within).await.unwrap();
        self.starting.push(before..self.requests().len());
    }

    /// Objects of one kind in the namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Resources without our types.
    #[must_use]
    pub fn resources(&self) -> Api<DynamicObject> {
        resources(&self.client, &self.namespace)
    }

    /// Applies a resource, as a person writes it.
    pub async fn put(&self, name: &str, spec: &Value) {
        self.try_put(name, spec).await.unwrap();
    }

    /// As [`Self::put`], where the API server may refuse.
    pub async fn try_put(&self, name: &str, spec: &Value) -> kube::Result<DynamicObject> {
        let object = json!({ "apiVersion": "usersync.dev/v1alpha1", "kind": "OktaUserSync",
                             "metadata": { "name": name }, "spec": spec });
        self.resources().patch(name, &PatchParams::apply("suites").force(), &Patch::Apply(&object)).await
    }

    /// Merges a patch into a resource.
    pub async fn patch(&self, name: &str, patch: &Value) {
        self.resources().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Sets an annotation of a resource.
    pub async fn annotate(&self, name: &str, key: &str, value: &str) {
        self.patch(name, &json!({ "metadata": { "annotations": { key: value } } })).await;
    }

    /// Deletes a resource.
    pub async fn delete(&self, name: &str) {
        self.resources().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Makes or replaces a Secret with one key, `content`.
    pub async fn put_secret(&self, name: &str, content: &str) {
        let secret = json!({ "metadata": { "name": name }, "stringData": { "content": content } });
        apply::<Secret>(&self.api(), name, &of(&secret)).await;
    }

    /// The resource as it stands; null if there is none.
    pub async fn get(&self, name: &str) -> Value {
        let there = self.resources().get_opt(name).await.unwrap();
        there.map_or(Value::Null, |object| serde_json::to_value(object).unwrap())
    }

    /// Waits until the resource is as `wanted`.
    pub async fn until(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(SOON, what, async || {
            let object = self.get(name).await;
            if wanted(&object) { Ok(object) } else { Err(format!("{:#}", object["status"])) }
        })
        .await
        .unwrap()
    }

    /// Waits until Ready has this reason, for the newest generation.
    pub async fn until_reason(&self, name: &str, reason: &str) -> Value {
        self.until(name, reason, |object| {
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
                && crate::condition(object, "Ready")["reason"] == reason
        })
        .await
    }

    /// Waits until the resource is gone.
    pub async fn until_gone(&self, name: &str) {
        self.until(name, "its end", Value::is_null).await;
    }

    /// A token of the operator's account.
    pub async fn token(&self) -> String {
        self.control_plane().service_account_token(&self.namespace, ACCOUNT, &[]).await.unwrap()
    }

    /// The operator's way to the API server: its account, and no other rights.
    pub async fn operator_config(&self) -> kube::Config {
        let mut config = self.control_plane().config();
        config.auth_info =
            kube::config::AuthInfo { token: Some(self.token().await.into()), ..kube::config::AuthInfo::default() };
        config
    }

    /// Every request of the operator so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.control_plane().requests_of(&self.namespace, ACCOUNT)
    }

    /// What holds at the end of each suite: conditions were by the book in every version of every resource, and nothing
    /// was asked of the API server that the rules do not allow.
    pub fn check(&self) {
        let mut violations = self.witness.violations();
        let starting = |at: usize| self.starting.iter().any(|window| window.contains(&at));
        let judged: Vec<Request> = self
            .requests()
            .into_iter()
            .enumerate()
            .filter(|(at, request)| request.code != 403 || !starting(*at))
            .map(|(_, request)| request)
            .collect();
        violations.extend(rights::violations(&judged, &self.allowed, &self.namespace, &self.refusals));
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }
}

impl Plane {
    fn get(&self) -> &ControlPlane {
        match self {
            Self::Shared(plane) => plane,
            Self::Own(plane) => plane,
        }
    }
}

/// Resources of a namespace without our types.
pub(crate) fn resources(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let resource = kube::api::ApiResource::erase::<OktaUserSync>(&());
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// Reasons in `object` that the definition does not know.
pub(crate) fn unknown_reasons(object: &Value) -> Vec<String> {
    let conditions = object["status"]["conditions"].as_array();
    let reasons = conditions.into_iter().flatten().filter_map(|condition| condition["reason"].as_str());
    reasons
        .filter(|reason| api::reason::find(reason).is_none())
        .map(|reason| format!("the reason {reason} is not in crates/api/src/reason.rs"))
        .collect()
}

pub(crate) async fn install_definition(client: &Client) {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    apply(&definitions, "oktausersyncs.usersync.dev", &api::crd()).await;
    let all = Api::<DynamicObject>::all_with(client.clone(), &kube::api::ApiResource::erase::<OktaUserSync>(&()));
    eventually(SOON, "the definition", async || all.list(&kube::api::ListParams::default()).await.map(drop))
        .await
        .unwrap();
}
