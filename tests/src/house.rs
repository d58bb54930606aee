//! The operator over a real API server, in a namespace of its own, under its own `ServiceAccount`, between both simulators.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use api::OktaUserSync;
use engine::role::Ceiling;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use okta_sim::OktaSim;
use operator::{
    Operator, RunError, Settings,
    controller::Reach,
    journal::Target,
    keys::Pace,
    pace::Backoff,
    resolve::{Defaults, TeleportDefaults},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use teleport_sim::TeleportSim;
use testkit::{ControlPlane, Status, Tools, Witness, check_settled, control_plane::Request, eventually, kstatus};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::rights::{self, ACCOUNT as OPERATOR, Right};

const RESOURCE: &str = "acme";
const WITHIN: Duration = Duration::from_secs(60);

/// A running operator and what it stands between.
pub struct House {
    /// The Okta organisation.
    pub okta: OktaSim,
    /// The Teleport cluster.
    pub teleport: TeleportSim,
    /// The administrator's client.
    pub client: Client,
    /// The namespace of everything.
    pub namespace: String,
    /// Sees every version of the resource.
    pub witness: Witness,
    /// Where the operator serves probes, metrics and public keys; empty for one that runs elsewhere.
    pub url: String,
    /// A folder that lives as long as the house; the operator's journal is in it.
    pub folder: tempfile::TempDir,
    control_plane: &'static ControlPlane,
    /// What the operator's account may do, and what a suite expects to be refused.
    rights: Mutex<(BTreeSet<Right>, BTreeSet<Right>)>,
    settings: Box<Settings>,
    operator: Option<JoinHandle<Result<(), RunError>>>,
    stop: CancellationToken,
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
        if std::thread::panicking() {
            return;
        }
        let mut violations = self.witness.violations();
        let (allowed, refusals) = &*self.rights.lock().unwrap_or_else(PoisonError::into_inner);
        violations.extend(rights::violations(&self.requests(), allowed, &self.namespace, refusals));
        violations.extend(crate::journal::violations(Tools::provided().unwrap(), self.folder.path()));
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }
}

/// What the operator's administrator sets here.
fn defaults(okta: &OktaSim) -> Defaults {
    Defaults {
        okta_ca: Some(okta.ca_pem().as_bytes().to_vec()),
        teleport_address: None,
        teleport: TeleportDefaults::default(),
        ceiling: Ceiling::new(&["okta-requester".to_owned()]).unwrap(),
    }
}

impl House {
    /// An operator that waits for its first resource, and an organisation of so many people.
    pub async fn with_people(people: usize) -> Self {
        Self::with_settings(people, |_| {}).await
    }

    /// The same, with other settings of the operator.
    pub async fn with_settings(people: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let mut house = Self::vacant(people, teleport_sim::Options::default()).await;
        change(&mut house.settings);
        house.start().await;
        house
    }

    /// The same with an operator that does not trust the organisation's certificate authority by itself.
    pub async fn without_okta_ca(people: usize) -> Self {
        Self::with_settings(people, |settings| settings.defaults.okta_ca = None).await
    }

    /// Starts the operator.
    async fn start(&mut self) {
        let (url, operator) = self.operate((*self.settings).clone()).await;
        self.url = url;
        self.operator = Some(operator);
    }

    async fn operate(&self, settings: Settings) -> (String, JoinHandle<Result<(), RunError>>) {
        let operator = Operator::bind(settings).await.unwrap();
        let url = format!("http://{}", operator.address());
        (url, tokio::spawn(operator.run(self.stop.clone())))
    }

    /// Stops the operator, and starts another that knows nothing of what that one had in memory.
    pub async fn restart(&mut self) {
        self.stop.cancel();
        if let Some(operator) = self.operator.take() {
            operator.await.unwrap().unwrap();
        }
        self.stop = CancellationToken::new();
        self.start().await;
    }

    /// Starts an operator that works at once, whoever else does, with its journal in that file of the folder; answers where
    /// it serves.
    pub async fn another_operator(&self, journal: &str) -> String {
        let mut settings = (*self.settings).clone();
        settings.kube = self.operator_config().await;
        settings.audit_journal = Some(Target::File(self.folder.path().join(journal)));
        self.operate(settings).await.0
    }

    /// A client with the operator's rights and no others.
    pub async fn operator_client(&self) -> Client {
        Client::try_from(self.operator_config().await).unwrap()
    }

    async fn operator_config(&self) -> kube::Config {
        let mut config = self.control_plane.config();
        config.auth_info =
            kube::config::AuthInfo { token: Some(self.token().await.into()), ..kube::config::AuthInfo::default() };
        config
    }

    /// Everything but the operator: whoever calls starts one, under the account of [`House::kubeconfig`].
    pub async fn vacant(people: usize, teleport: teleport_sim::Options) -> Self {
        // One provider for the process; a second installation fails, and that is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let control_plane = testkit::control_plane::shared().await.unwrap();
        // For the end, which has to do without waiting.
        Tools::provide().await.unwrap();
        let client = control_plane.client().unwrap();
        let namespace = testkit::namespace(&client, "house").await.unwrap();
        let okta = OktaSim::start(okta_sim::Options::with_people(people, 7)).await.unwrap();
        // Here the log is polled many times as often as elsewhere.
        okta.org().rate_limit("/api/v1/logs", 1_000_000);
        let options = teleport_sim::Options { okta_app_id: okta.ready().app_id, ..teleport };
        let teleport = TeleportSim::start(options).await.unwrap();
        crate::ground::install_definition(&client).await;
        let witness =
            Witness::post(crate::ground::resources(&client, &namespace), crate::ground::unknown_reasons).await;
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Box::new(Settings::new(control_plane.config(), defaults(&okta)));
        settings.reach = Reach::Namespace(namespace.clone());
        settings.listen = ([127, 0, 0, 1], 0).into();
        settings.audit_journal = Some(Target::File(folder.path().join("journal")));
        settings.backoff = Backoff { first: Duration::from_millis(200), most: Duration::from_secs(1) };
        settings.keys = Pace { ask: settings.backoff, overlap: SignedDuration::from_secs(2) };
        settings.fast_path_interval = Duration::from_millis(500);
        let allowed = Box::pin(rights::install(&client, &namespace, &json!({}))).await;
        let rights = Mutex::new((allowed, BTreeSet::new()));
        let mut house = Self {
            control_plane,
            rights,
            okta,
            teleport,
            client,
            namespace,
            witness,
            url: String::new(),
            folder,
            settings,
            operator: None,
            stop: CancellationToken::new(),
        };
        house.settings.kube = house.operator_config().await;
        house
    }

    /// A token of the operator's account.
    async fn token(&self) -> String {
        self.control_plane.service_account_token(&self.namespace, OPERATOR, &[]).await.unwrap()
    }

    /// The text of a kubeconfig for the operator's account.
    pub async fn kubeconfig(&self) -> String {
        self.control_plane.kubeconfig_with_token(OPERATOR, &self.token().await)
    }

    /// A token of the operator's account as a projected volume holds it: for this audience, bound to a pod, good for half an hour.
    pub async fn projected_token(&self, audience: &str) -> String {
        self.control_plane.projected_token(&self.namespace, OPERATOR, audience, 1800).await.unwrap()
    }

    /// The provision token that lets the operator's account join as a bot, or as a host of a system role.
    pub async fn provision_token(&self, role: &str) -> teleport_sim::ProvisionToken {
        let jwks = self.control_plane.jwks().await.unwrap();
        teleport_sim::ProvisionToken {
            name: OPERATOR.into(),
            role: role.into(),
            bot_name: OPERATOR.into(),
            kind: teleport_sim::KubernetesJoin::StaticJwks,
            allow: vec![format!("{}:{OPERATOR}", self.namespace)],
            jwks,
        }
    }

    /// From now on the operator's account has what the chart gives it with these values, and is going to be refused these.
    pub async fn change_rights(&self, values: &Value, refused: impl IntoIterator<Item = Right>) {
        let now = Box::pin(rights::install(&self.client, &self.namespace, values)).await;
        let mut rights = self.rights.lock().unwrap_or_else(PoisonError::into_inner);
        // What was asked before was allowed before.
        rights.0.extend(now);
        rights.1.extend(refused);
    }

    /// Every request of the operator's account so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.control_plane.requests_of(&self.namespace, OPERATOR)
    }

    /// What the operator serves at `path` to whoever accepts that.
    pub async fn get(&self, path: &str, accept: &str) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = client.get(format!("{}{path}", self.url)).header("accept", accept).send().await;
        asked.unwrap().text().await.unwrap()
    }

    /// The lines of the operator's journal.
    #[must_use]
    pub fn journal(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("journal")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Objects of one kind in the namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The right Okta key.
    #[must_use]
    pub fn okta_key(&self) -> String {
        std::fs::read_to_string(self.okta.ready().private_key_file).unwrap()
    }

    /// The right Teleport identity.
    #[must_use]
    pub fn identity(&self) -> String {
        std::fs::read_to_string(&self.teleport.ready().identity_file).unwrap()
    }

    /// Makes or replaces a Secret with the key that resources of this house refer to.
    pub async fn put_secret(&self, name: &str, content: &str) {
        let secret = json!({
            "metadata": { "name": name, "namespace": self.namespace },
            "stringData": { "content": content },
        });
        apply::<Secret>(&self.api(), name, &of(&secret)).await;
    }

    /// Both Secrets as they should be.
    pub async fn put_secrets(&self) {
        self.put_secret("okta-key", &self.okta_key()).await;
        self.put_secret("identity", &self.identity()).await;
    }

    /// The specification that fits both simulators.
    #[must_use]
    pub fn spec(&self) -> Value {
        let (okta, teleport) = (self.okta.ready(), self.teleport.ready());
        json!({
            "okta": {
                "orgURL": okta.org_url, "clientID": okta.client_id,
                "privateKeySecretRef": { "name": "okta-key", "key": "content" },
            },
            "scope": { "appID": okta.app_id },
            "teleport": {
                "address": teleport.auth_address, "connector": teleport.connector,
                "identitySecretRef": { "name": "identity", "key": "content" },
            },
        })
    }

    /// The same without a key, so that the operator makes one.
    #[must_use]
    pub fn keyless(&self) -> Value {
        let mut spec = self.spec();
        spec["okta"].as_object_mut().unwrap().remove("privateKeySecretRef");
        spec
    }

    /// Where the operator publishes the keys of the resource.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/.well-known/{}/{RESOURCE}/jwks.json", self.url, self.namespace)
    }

    /// Has Okta fetch the keys from the operator, as often as it likes.
    pub fn let_okta_fetch_keys(&self) {
        let org = self.okta.org();
        org.switch(|switches| switches.jwks_refetch_seconds = 0);
        org.use_jwks_url(&self.jwks_url(), None).unwrap();
    }

    /// Sets an annotation of the resource.
    pub async fn annotate(&self, key: &str, value: &str) {
        let patch = json!({ "metadata": { "annotations": { key: value } } });
        self.api::<OktaUserSync>().patch(RESOURCE, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Deletes the resource, if there is one; it may take a while to go.
    pub async fn begin_removal(&self) {
        let _ = self.api::<OktaUserSync>().delete(RESOURCE, &DeleteParams::default()).await;
    }

    /// Deletes the resource, if there is one, and waits until it has gone.
    pub async fn remove(&self) {
        self.begin_removal().await;
        let gone = async || self.resource().await.map_or(Ok(()), |_| Err("still there"));
        eventually(WITHIN, "the former resource to be gone", gone).await.unwrap();
    }

    /// Applies a specification.
    pub async fn change(&self, spec: &Value) {
        let object = json!({
            "apiVersion": "usersync.dev/v1alpha1", "kind": "OktaUserSync",
            "metadata": { "name": RESOURCE, "namespace": self.namespace }, "spec": spec,
        });
        apply::<OktaUserSync>(&self.api(), RESOURCE, &of(&object)).await;
    }

    /// The resource as it stands; `None` if there is none.
    pub async fn resource(&self) -> Option<Value> {
        let there = self.api::<OktaUserSync>().get_opt(RESOURCE).await.unwrap();
        there.map(|resource| serde_json::to_value(resource).unwrap())
    }

    /// Asks for a pass at once; answers the token of the request.
    pub async fn request(&self) -> String {
        let token = format!("request-{}", jiff::Timestamp::now().as_nanosecond());
        let patch = json!({ "metadata": { "annotations": { "reconcile.fluxcd.io/requestedAt": token } } });
        self.api::<OktaUserSync>().patch(RESOURCE, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        token
    }

    /// Asks for a pass at once, and waits until it has been carried out and the resource has settled.
    pub async fn pass(&mut self) -> Value {
        let token = self.request().await;
        self.until("the requested pass to be carried out", |resource| {
            resource["status"]["lastHandledReconcileAt"] == token.as_str()
        })
        .await
    }

    /// Asks for one pass after the other, a second apart, until the resource is as `wanted`.
    pub async fn ask_until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                self.request().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            resource = self.until(what, wanted) => resource,
            () = asking => Value::Null,
        }
    }

    /// Waits until the resource is as `wanted`; its conditions are by the book at every look.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(WITHIN, what, async || {
            let Some(resource) = self.resource().await else { return Err("there is no resource".to_owned()) };
            if resource["status"]["conditions"].as_array().is_some_and(|all| !all.is_empty()) {
                let broken = testkit::check_conditions(&resource);
                assert!(broken.is_empty(), "{broken:?}\n{resource:#}");
            }
            if wanted(&resource) { Ok(resource) } else { Err(format!("{:#}", resource["status"])) }
        })
        .await
        .unwrap()
    }

    /// Waits until everything is synced, and holds the resource against kstatus.
    pub async fn until_ready(&self) -> Value {
        let resource = self.until("the resource to be Ready", |r| condition(r, "Ready")["status"] == "True").await;
        assert_eq!(check_settled(&resource), Vec::<String>::new());
        assert_eq!(kstatus(&resource), Status::Current);
        resource
    }
}

/// The condition of that type; null if there is none.
#[must_use]
pub fn condition(resource: &Value, type_: &str) -> Value {
    let all = resource["status"]["conditions"].as_array();
    all.and_then(|all| all.iter().find(|condition| condition["type"] == type_)).cloned().unwrap_or_default()
}

pub(crate) fn of<K: DeserializeOwned>(object: &Value) -> K {
    serde_json::from_value(object.clone()).unwrap()
}

pub(crate) async fn apply<K>(api: &Api<K>, name: &str, object: &K)
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let mut object = serde_json::to_value(object).unwrap();
    object["apiVersion"] = K::api_version(&()).into();
    object["kind"] = K::kind(&()).into();
    // What a struct does not hold is written as null; an apply must not claim such fields.
    object.as_object_mut().unwrap().remove("status");
    api.patch(name, &PatchParams::apply("suites").force(), &Patch::Apply(&object)).await.unwrap();
}
