//! What tests ask of etcd itself, over its JSON gateway.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kube::config::AuthInfo;
use kube::{Client, Config};
use serde_json::{Value, json};

use super::ControlPlaneError;
use super::credentials::Credentials;

/// Compacts etcd up to its newest revision.
pub(crate) async fn compact(port: u16, credentials: &Credentials) -> Result<(), ControlPlaneError> {
    let client = client(port, credentials)?;
    // Any key will do: the header of each answer names the newest revision.
    let answer = ask(&client, "/v3/kv/range", &json!({ "key": BASE64.encode("\0"), "limit": "1" })).await?;
    let revision = &answer["header"]["revision"];
    ask(&client, "/v3/kv/compaction", &json!({ "revision": revision, "physical": true })).await?;
    Ok(())
}

async fn ask(client: &Client, path: &str, body: &Value) -> Result<Value, ControlPlaneError> {
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(body.to_string().into_bytes())
        .map_err(|error| ControlPlaneError::from(kube::Error::HttpError(error)))?;
    Ok(client.request(request).await?)
}

/// The Kubernetes client speaks HTTP with a client certificate as well as any.
fn client(port: u16, credentials: &Credentials) -> Result<Client, ControlPlaneError> {
    let read =
        |file| fs::read(file).map(|bytes| BASE64.encode(bytes)).map_err(ControlPlaneError::system("reading a key"));
    let address = http::Uri::builder()
        .scheme("https")
        .authority(format!("127.0.0.1:{port}"))
        .path_and_query("/")
        .build()
        .map_err(|error| ControlPlaneError::from(kube::Error::HttpError(error)))?;
    let mut config = Config::new(address);
    config.root_cert = Some(vec![credentials.ca_der.clone()]);
    config.auth_info = AuthInfo {
        client_certificate_data: Some(read(&credentials.cert_file)?),
        client_key_data: Some(read(&credentials.key_file)?.into()),
        ..AuthInfo::default()
    };
    Ok(Client::try_from(config)?)
}
