//! Where the bytes behind a reference come from: the cluster, or manifests and files on a command line.

use std::{collections::BTreeMap, future::Future};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use secrecy::SecretSlice;

use crate::kubernetes::{ApiError, within_limit};

/// Bytes that are wiped when dropped and never shown (P16).
pub type SecretBytes = SecretSlice<u8>;

/// Why a key of a Secret (or of a ConfigMap) could not be had. Its words do not say which: who refers to it does.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is nothing of that name.
    #[error("it does not exist")]
    NoSecret,
    /// It has no such key; with the keys that it has.
    #[error("it has no such key; it has: {}", if .0.is_empty() { "none".to_owned() } else { .0.join(", ") })]
    NoKey(Vec<String>),
    /// This operator may not read it there.
    #[error("this operator may not read it: {0}")]
    Forbidden(String),
    /// The Kubernetes API could not be asked.
    #[error("{0}")]
    Unavailable(String),
}

/// A source of secrets.
pub trait Secrets: Send + Sync {
    /// The bytes under `key` of the Secret `name` in `namespace`.
    fn get(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> impl Future<Output = Result<SecretBytes, SecretError>> + Send;

    /// The bytes under `key` of the ConfigMap `name` in `namespace`.
    fn get_config(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> impl Future<Output = Result<Vec<u8>, SecretError>> + Send;
}

/// The Secrets of a cluster, each read by name at the moment of use and kept nowhere.
#[derive(Clone)]
pub struct KubeSecrets {
    client: Client,
}

impl KubeSecrets {
    /// Reads with the rights of `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Secrets for KubeSecrets {
    async fn get(&self, namespace: &str, name: &str, key: &str) -> Result<SecretBytes, SecretError> {
        let api = Api::<Secret>::namespaced(self.client.clone(), namespace);
        let secret = within_limit(api.get(name)).await.map_err(unread)?;
        let mut data = secret.data.unwrap_or_default();
        match data.remove(key) {
            Some(bytes) => Ok(bytes.0.into()),
            None => Err(SecretError::NoKey(data.into_keys().collect())),
        }
    }

    async fn get_config(&self, namespace: &str, name: &str, key: &str) -> Result<Vec<u8>, SecretError> {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), namespace);
        let config = within_limit(api.get(name)).await.map_err(unread)?;
        let (mut texts, mut binaries) = (config.data.unwrap_or_default(), config.binary_data.unwrap_or_default());
        match (texts.remove(key), binaries.remove(key)) {
            (Some(text), _) => Ok(text.into_bytes()),
            (None, Some(bytes)) => Ok(bytes.0),
            (None, None) => Err(SecretError::NoKey(texts.into_keys().chain(binaries.into_keys()).collect())),
        }
    }
}

/// Why an object could not be read.
fn unread(error: ApiError) -> SecretError {
    match error {
        error if error.is_not_found() => SecretError::NoSecret,
        ApiError::Refused(kube::Error::Api(status)) if status.code == 403 => SecretError::Forbidden(status.message),
        other => SecretError::Unavailable(other.to_string()),
    }
}

/// Secrets and ConfigMaps in memory, of manifests and files: for a pass without Kubernetes.
#[derive(Default)]
pub struct MapSecrets {
    secrets: BTreeMap<(String, String), BTreeMap<String, SecretBytes>>,
    configs: BTreeMap<(String, String), BTreeMap<String, Vec<u8>>>,
}

impl MapSecrets {
    /// Adds one key of one Secret, such as the content of a file that stands in for it.
    pub fn insert(&mut self, namespace: &str, name: &str, key: &str, bytes: Vec<u8>) {
        let secret = self.secrets.entry((namespace.to_owned(), name.to_owned())).or_default();
        secret.insert(key.to_owned(), bytes.into());
    }

    /// Adds one key of one ConfigMap.
    pub fn insert_config(&mut self, namespace: &str, name: &str, key: &str, bytes: Vec<u8>) {
        let config = self.configs.entry((namespace.to_owned(), name.to_owned())).or_default();
        config.insert(key.to_owned(), bytes);
    }
}

impl Secrets for MapSecrets {
    async fn get(&self, namespace: &str, name: &str, key: &str) -> Result<SecretBytes, SecretError> {
        let found = self.secrets.get(&(namespace.to_owned(), name.to_owned())).ok_or(SecretError::NoSecret)?;
        found.get(key).cloned().ok_or_else(|| SecretError::NoKey(found.keys().cloned().collect()))
    }

    async fn get_config(&self, namespace: &str, name: &str, key: &str) -> Result<Vec<u8>, SecretError> {
        let found = self.configs.get(&(namespace.to_owned(), name.to_owned())).ok_or(SecretError::NoSecret)?;
        found.get(key).cloned().ok_or_else(|| SecretError::NoKey(found.keys().cloned().collect()))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[tokio::test]
    async fn a_map_answers_as_a_cluster_would() {
        let mut secrets = MapSecrets::default();
        secrets.insert("home", "key", "a", b"old".to_vec());
        secrets.insert("home", "key", "a", b"new".to_vec());
        secrets.insert("home", "key", "b", b"other".to_vec());
        assert_eq!(secrets.get("home", "key", "a").await.unwrap().expose_secret(), b"new");
        assert!(matches!(secrets.get("away", "key", "a").await, Err(SecretError::NoSecret)));
        let error = secrets.get("home", "key", "c").await.unwrap_err();
        assert_eq!(error.to_string(), "it has no such key; it has: a, b");
        secrets.insert_config("home", "key", "a", b"plain".to_vec());
        assert_eq!(secrets.get_config("home", "key", "a").await.unwrap(), b"plain");
        assert!(matches!(secrets.get_config("home", "other", "a").await, Err(SecretError::NoSecret)));
        assert!(matches!(secrets.get_config("home", "key", "b").await, Err(SecretError::NoKey(_))));
    }

    // secrets.rs, `SecretBytes`, which shows nothing.
    #[tokio::test]
    async fn p16_bytes_are_not_shown() {
        let mut secrets = MapSecrets::default();
        secrets.insert("home", "key", "a", b"hush".to_vec());
        let shown = format!("{:?}", secrets.get("home", "key", "a").await);
        assert!(!shown.contains("hush") && !shown.contains("104"), "{shown}");
    }
}
