//! How clients reach a control plane.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::config::AuthInfo;
use kube::{Api, Client, Config};

use super::ControlPlaneError;
use super::credentials::{ADMIN, Credentials, write_secret};

/// How long one look at `/readyz` may take.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// Lifetime of `ServiceAccount` tokens that tests ask for, in seconds.
const TOKEN_LIFETIME: i64 = 3600;

/// The address and the credentials of one API server.
#[derive(Debug)]
pub(crate) struct Access {
    port: u16,
    url: String,
    address: http::Uri,
    credentials: Credentials,
    kubeconfig: PathBuf,
}

impl Access {
    /// Access to the API server on this port; writes the administrator's kubeconfig into `folder`.
    pub(crate) fn new(port: u16, credentials: Credentials, folder: &Path) -> Result<Self, ControlPlaneError> {
        let url = format!("https://127.0.0.1:{port}");
        let address = http::Uri::builder()
            .scheme("https")
            .authority(format!("127.0.0.1:{port}"))
            .path_and_query("/")
            .build()
            .map_err(|error| ControlPlaneError::Client(Box::new(kube::Error::HttpError(error))))?;
        let kubeconfig = folder.join("kubeconfig");
        write_secret(&kubeconfig, &credentials.kubeconfig(&url, ADMIN, &credentials.admin_token))?;
        Ok(Self { port, url, address, credentials, kubeconfig })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(crate) fn ca_file(&self) -> &Path {
        &self.credentials.ca_file
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(crate) fn kubeconfig_with_token(&self, user: &str, token: &str) -> String {
        self.credentials.kubeconfig(&self.url, user, token)
    }

    /// The administrator's configuration.
    pub(crate) fn config(&self) -> Config {
        self.config_with_token(&self.credentials.admin_token)
    }

    /// A configuration with this bearer token and nothing else.
    pub(crate) fn config_with_token(&self, token: &str) -> Config {
        let mut config = Config::new(self.address.clone());
        config.root_cert = Some(vec![self.credentials.ca_der.clone()]);
        config.auth_info = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
        config
    }

    /// Whether every check of the API server passes; if not, what it says.
    pub(crate) async fn is_ready(&self) -> Result<(), String> {
        let mut config = self.config();
        // The caller asks again by itself.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|error| error.to_string())?;
        let request = http::Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
        match tokio::time::timeout(READY_TIMEOUT, client.request_text(request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
    }
}

/// A token of a `ServiceAccount` that is bound to a pod, as the kubelet would ask for it to project it into that pod. The pod is made, if it is not there;
/// nobody runs it.
pub(crate) async fn projected_token(
    client: Client,
    namespace: &str,
    account: &str,
    audience: &str,
    seconds: i64,
) -> Result<String, ControlPlaneError> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    if pods.get_opt(account).await?.is_none() {
        let container = Container { name: "main".into(), image: Some("none".into()), ..Container::default() };
        let pod = Pod {
            metadata: ObjectMeta { name: Some(account.to_owned()), ..ObjectMeta::default() },
            spec: Some(PodSpec {
                service_account_name: Some(account.to_owned()),
                automount_service_account_token: Some(false),
                containers: vec![container],
                ..PodSpec::default()
            }),
            ..Pod::default()
        };
        pods.create(&PostParams::default(), &pod).await?;
    }
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec![audience.to_owned()],
            expiration_seconds: Some(seconds),
            bound_object_ref: Some(BoundObjectReference {
                kind: Some("Pod".into()),
                api_version: Some("v1".into()),
                name: Some(account.to_owned()),
                uid: None,
            }),
        },
        ..TokenRequest::default()
    };
    let accounts = Api::<ServiceAccount>::namespaced(client, namespace);
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    Ok(answer.status.map(|status| status.token).unwrap_or_default())
}

/// A token of a `ServiceAccount`, as the kubelet would ask for it.
pub(crate) async fn service_account_token(
    client: Client,
    namespace: &str,
    name: &str,
    audiences: &[&str],
) -> Result<String, ControlPlaneError> {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: audiences.iter().map(|&audience| audience.to_owned()).collect(),
            expiration_seconds: Some(TOKEN_LIFETIME),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let accounts = Api::<ServiceAccount>::namespaced(client, namespace);
    let answer = accounts.create_token_request(name, &PostParams::default(), &request).await?;
    Ok(answer.status.map(|status| status.token).unwrap_or_default())
}
