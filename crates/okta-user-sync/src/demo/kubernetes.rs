//! The cluster that the demo plays in: a control plane of its own on this machine, or one that a kubeconfig names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use api::OktaUserSync;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde_json::{Value, json};
use testkit::{ControlPlane, ControlPlaneError, eventually};

use crate::exit::Stop;
use crate::terminal::Progress;

/// Namespace in a control plane of our own; in a cluster of somebody else it gets a suffix.
const NAMESPACE: &str = "okta-user-sync";

/// The operator's ServiceAccount, and its roles.
const OPERATOR: &str = "okta-user-sync";

/// Name of the resource's definition.
const DEFINITION: &str = "oktausersyncs.usersync.dev";

/// Field manager of what the demo applies.
const MANAGER: &str = "okta-user-sync-demo";

/// The cluster, as its administrator.
pub struct Kubernetes {
    /// A client with the administrator's rights.
    pub client: Client,
    /// Where everything is made.
    pub namespace: String,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    folder: tempfile::TempDir,
    /// Whether the definition was there before us; then it stays.
    definition_stays: bool,
    /// Ours, if it is; it ends with this value.
    own: Option<ControlPlane>,
}

impl Kubernetes {
    /// Starts a control plane, or reaches the one that `kubeconfig` names, and makes the namespace.
    ///
    /// # Errors
    /// There is none to be had.
    pub async fn reach(kubeconfig: Option<&Path>, progress: &Progress) -> Result<(Self, String), Stop> {
        let own = match kubeconfig {
            Some(_) => None,
            None => Some(start(progress).await?),
        };
        let kubeconfig = own.as_ref().map(ControlPlane::kubeconfig).or(kubeconfig).unwrap_or(Path::new("")).to_owned();
        let client = client(&kubeconfig).await?;
        let version = client.apiserver_version().await.map_err(|e| {
            Stop::bad_input(
                format!("the cluster of {} does not answer: {e}", kubeconfig.display()),
                "try kubectl with it",
            )
        })?;
        let definitions = Api::<CustomResourceDefinition>::all(client.clone());
        let definition_stays = own.is_none() && refused(definitions.get_opt(DEFINITION).await)?.is_some();
        let namespace = make_namespace(&client, own.is_some()).await?;
        let observed =
            format!("Kubernetes {} at {}; namespace {namespace}", version.git_version, kubeconfig_server(&kubeconfig));
        let folder =
            tempfile::tempdir().map_err(|e| Stop::undone(format!("no temporary folder: {e}"), "free some space"))?;
        Ok((Self { client, namespace, kubeconfig, folder, definition_stays, own }, observed))
    }

    /// Installs the definition, and the operator's account with its rights.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn install(&self) -> Result<((), String), Stop> {
        let crd = api::crd();
        let definitions = Api::<CustomResourceDefinition>::all(self.client.clone());
        apply(&definitions, DEFINITION, &crd).await?;
        eventually(Duration::from_secs(30), "the definition to be established", async || {
            match definitions.get(DEFINITION).await {
                Ok(crd) if is_established(&crd) => Ok(()),
                Ok(_) => Err("not yet".to_owned()),
                Err(e) => Err(e.to_string()),
            }
        })
        .await
        .map_err(|e| Stop::undone(e.to_string(), ""))?;
        let rules = self.grant().await?;
        Ok(((), format!("{} established; ServiceAccount {}/{OPERATOR} with {rules} rules", DEFINITION, self.namespace)))
    }

    /// The operator's ServiceAccount, its Role and the binding between them; how many rules the Role has.
    async fn grant(&self) -> Result<usize, Stop> {
        let namespace = &self.namespace;
        let account: ServiceAccount = literal(json!({ "metadata": { "name": OPERATOR, "namespace": namespace } }))?;
        let mut role: Role = literal(json!({ "metadata": { "name": OPERATOR, "namespace": namespace } }))?;
        role.rules = Some(operator::rbac::rules().into_iter().chain(operator::rbac::own_rules()).collect());
        let binding: RoleBinding = literal(json!({
            "metadata": { "name": OPERATOR, "namespace": namespace },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": OPERATOR },
            "subjects": [{ "kind": "ServiceAccount", "name": OPERATOR, "namespace": namespace }],
        }))?;
        apply(&self.api(), OPERATOR, &account).await?;
        apply(&self.api(), OPERATOR, &role).await?;
        apply(&self.api(), OPERATOR, &binding).await?;
        Ok(role.rules.map_or(0, |rules| rules.len()))
    }

    /// A kubeconfig that authenticates as the operator's ServiceAccount alone.
    ///
    /// # Errors
    /// The API server gives no token.
    pub async fn operator_kubeconfig(&self) -> Result<PathBuf, Stop> {
        let request = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(24 * 3600), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = self.api();
        let answer = refused(accounts.create_token_request(OPERATOR, &PostParams::default(), &request).await)?;
        let token = answer.status.map(|status| status.token).unwrap_or_default();
        let mut config = read(&self.kubeconfig)?;
        let current = config.current_context.clone().unwrap_or_default();
        let context = config.contexts.iter().find(|context| context.name == current).and_then(|c| c.context.as_ref());
        let user = context.and_then(|context| context.user.clone()).unwrap_or_default();
        config.auth_infos.retain(|info| info.name == user);
        for info in &mut config.auth_infos {
            info.auth_info = Some(AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() });
        }
        let path = self.folder.path().join("operator.kubeconfig");
        let text = serde_saphyr::to_string(&config).map_err(|e| Stop::undone(e.to_string(), ""))?;
        std::fs::write(&path, text).map_err(|e| Stop::undone(format!("{}: {e}", path.display()), ""))?;
        Ok(path)
    }

    /// Applies an object of a manifest.
    ///
    /// # Errors
    /// The API server refuses, or the kind is not one of a quickstart.
    pub async fn apply_manifest(&self, object: &Value) -> Result<(), Stop> {
        let kind = match object["kind"].as_str() {
            Some("Namespace") => return Ok(()),
            Some("Secret") => ApiResource::erase::<Secret>(&()),
            Some("OktaUserSync") => ApiResource::erase::<OktaUserSync>(&()),
            other => {
                return Err(Stop::undone(
                    format!("the quickstart holds a {other:?}"),
                    "this is a bug; please report it",
                ));
            }
        };
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, &kind);
        let object: DynamicObject = literal(object.clone())?;
        apply(&api, &object.metadata.name.clone().unwrap_or_default(), &object).await
    }

    /// The objects of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Takes away what was made in a cluster of somebody else; a control plane of our own just ends.
    pub async fn clean(self) {
        if let Some(own) = self.own {
            own.stop();
            return;
        }
        let gone = DeleteParams::background();
        let _ = Api::<Namespace>::all(self.client.clone()).delete(&self.namespace, &gone).await;
        if !self.definition_stays {
            let _ = Api::<CustomResourceDefinition>::all(self.client).delete(DEFINITION, &gone).await;
        }
    }
}

async fn start(progress: &Progress) -> Result<ControlPlane, Stop> {
    let line = progress.clone();
    let options = testkit::control_plane::Options {
        progress: testkit::Progress::new(move |step| line.say(step)),
        ..testkit::control_plane::Options::default()
    };
    ControlPlane::start(options).await.map_err(|error| match error {
        // The sentence names the ways out itself.
        ControlPlaneError::NothingToRun | ControlPlaneError::AssetMissing(_) => Stop::bad_input(error.to_string(), ""),
        other => Stop::undone(other.to_string(), "run with --log-level info to see more"),
    })
}

async fn client(kubeconfig: &Path) -> Result<Client, Stop> {
    let unusable = |e: &dyn std::fmt::Display| {
        Stop::bad_input(format!("{} cannot be used: {e}", kubeconfig.display()), "try kubectl with it")
    };
    let config = kube::Config::from_custom_kubeconfig(read(kubeconfig)?, &KubeConfigOptions::default()).await;
    Client::try_from(config.map_err(|e| unusable(&e))?).map_err(|e| unusable(&e))
}

fn read(kubeconfig: &Path) -> Result<Kubeconfig, Stop> {
    Kubeconfig::read_from(kubeconfig)
        .map_err(|e| Stop::bad_input(format!("{}: {e}", kubeconfig.display()), "name a kubeconfig with --kubeconfig"))
}

/// Address of the cluster that the current context means.
fn kubeconfig_server(kubeconfig: &Path) -> String {
    let server = || {
        let config = Kubeconfig::read_from(kubeconfig).ok()?;
        let current = config.current_context?;
        let context = config.contexts.into_iter().find(|context| context.name == current)?.context?;
        config.clusters.into_iter().find(|cluster| cluster.name == context.cluster)?.cluster?.server
    };
    server().unwrap_or_default()
}

async fn make_namespace(client: &Client, own: bool) -> Result<String, Stop> {
    if !own {
        return refused(testkit::namespace(client, &format!("{NAMESPACE}-demo")).await);
    }
    let namespace: Namespace = literal(json!({ "metadata": { "name": NAMESPACE } }))?;
    apply(&Api::all(client.clone()), NAMESPACE, &namespace).await?;
    Ok(NAMESPACE.to_owned())
}

async fn apply<K>(api: &Api<K>, name: &str, object: &K) -> Result<(), Stop>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + Serialize,
{
    refused(api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await).map(|_| ())
}

fn literal<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Stop> {
    serde_json::from_value(value).map_err(|e| Stop::undone(e.to_string(), "this is a bug; please report it"))
}

fn refused<T>(answer: kube::Result<T>) -> Result<T, Stop> {
    answer.map_err(|e| {
        Stop::undone(format!("the API server refused: {e}"), "the demo needs an administrator's kubeconfig")
    })
}

fn is_established(crd: &CustomResourceDefinition) -> bool {
    let conditions = crd.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Established" && c.status == "True"))
}
