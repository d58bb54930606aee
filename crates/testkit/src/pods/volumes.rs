//! The files that a pod finds: Secrets, `ConfigMaps`, its own metadata, and tokens of its `ServiceAccount`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, ServiceAccount, ServiceAccountTokenProjection,
    Volume, VolumeProjection,
};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::container::field;
use super::{PodError, Surroundings};

/// Where the files of the pod's `ServiceAccount` stand, by convention.
pub(super) const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The kubelet asks for no shorter life.
const LEAST_SECONDS: i64 = 600;

/// Paths of the container, and where they are on this machine.
#[derive(Debug, Default)]
pub(super) struct Mounts(Vec<(String, PathBuf)>);

impl Mounts {
    /// A text of the manifest with every mounted path replaced.
    pub(super) fn translate(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (inside, outside)| {
            let mut translated = String::new();
            let mut rest = text.as_str();
            while let Some(at) = rest.find(inside.as_str()) {
                let (before, found) = rest.split_at(at);
                let after = &found[inside.len()..];
                translated.push_str(before);
                // Not the beginning of a longer name.
                let whole = after.chars().next().is_none_or(|c| !(c.is_alphanumeric() || "-_.".contains(c)));
                if whole {
                    translated.push_str(&outside.to_string_lossy());
                } else {
                    translated.push_str(inside);
                }
                rest = after;
            }
            translated + rest
        })
    }

    /// Where that path is on this machine, if it is mounted.
    pub(super) fn find(&self, inside: &str) -> Option<&Path> {
        self.0.iter().find(|(path, _)| path == inside).map(|(_, outside)| outside.as_path())
    }
}

/// Writes every volume that the container mounts below `root`.
pub(super) async fn mount(
    around: &Surroundings,
    pod: &Pod,
    container: &Container,
    root: &Path,
) -> Result<Mounts, PodError> {
    let spec = pod.spec.clone().unwrap_or_default();
    let volumes = spec.volumes.unwrap_or_default();
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = volumes.iter().find(|volume| volume.name == mount.name);
        let volume = volume.ok_or_else(|| PodError::Missing(format!("there is no volume {}", mount.name)))?;
        let folder = root.join("volumes").join(&mount.name);
        if !folder.exists() {
            let files = contents(around, pod, volume).await?;
            write(&folder, &files)?;
        }
        let place = mount.sub_path.as_ref().map_or(folder.clone(), |below| folder.join(below));
        mounts.push((mount.mount_path.trim_end_matches('/').to_owned(), place));
    }
    if mounts_account(around, pod).await? {
        let folder = root.join("account");
        let token = token(around, pod, None, LEAST_SECONDS * 6).await?;
        let files = [("token", token), ("ca.crt", around.ca_pem.clone()), ("namespace", around.namespace.clone())];
        write(&folder, &files.map(|(name, content)| (name.to_owned(), content.into_bytes())).into())?;
        mounts.push((ACCOUNT.to_owned(), folder));
    }
    // Longer paths first, so that a mount below another is found.
    mounts.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    Ok(Mounts(mounts))
}

type Files = BTreeMap<String, Vec<u8>>;

fn write(folder: &Path, files: &Files) -> Result<(), PodError> {
    let system = |path: &Path| PodError::system(format!("writing {}", path.display()));
    fs::create_dir_all(folder).map_err(system(folder))?;
    for (name, content) in files {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(system(parent))?;
        }
        fs::write(&path, content).map_err(system(&path))?;
    }
    Ok(())
}

async fn contents(around: &Surroundings, pod: &Pod, volume: &Volume) -> Result<Files, PodError> {
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.clone().unwrap_or_default();
        return chosen(read_secret(around, &name).await, secret.items.as_deref(), secret.optional);
    }
    if let Some(map) = &volume.config_map {
        return chosen(read_config_map(around, &map.name).await, map.items.as_deref(), map.optional);
    }
    if let Some(own) = &volume.downward_api {
        return metadata(pod, own.items.as_deref());
    }
    if let Some(projected) = &volume.projected {
        let mut files = Files::new();
        for source in projected.sources.iter().flatten() {
            files.extend(projection(around, pod, source).await?);
        }
        return Ok(files);
    }
    if volume.empty_dir.is_some() {
        return Ok(Files::new());
    }
    Err(PodError::Unknown(format!("the kind of volume {}", volume.name)))
}

async fn projection(around: &Surroundings, pod: &Pod, source: &VolumeProjection) -> Result<Files, PodError> {
    if let Some(ServiceAccountTokenProjection { audience, expiration_seconds, path }) = &source.service_account_token {
        let seconds = expiration_seconds.unwrap_or(3600);
        let token = token(around, pod, audience.as_deref(), seconds).await?;
        return Ok([(path.clone(), token.into_bytes())].into());
    }
    if let Some(secret) = &source.secret {
        return chosen(read_secret(around, &secret.name).await, secret.items.as_deref(), secret.optional);
    }
    if let Some(map) = &source.config_map {
        return chosen(read_config_map(around, &map.name).await, map.items.as_deref(), map.optional);
    }
    if let Some(own) = &source.downward_api {
        return metadata(pod, own.items.as_deref());
    }
    Err(PodError::Unknown("a source of a projected volume".to_owned()))
}

/// All keys as files, or the chosen ones under their paths. What is optional may be missing.
fn chosen(
    all: Result<Files, PodError>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
) -> Result<Files, PodError> {
    let optional = optional == Some(true);
    let all = match all {
        Err(PodError::Client { .. }) if optional => return Ok(Files::new()),
        other => other?,
    };
    let Some(items) = items.filter(|items| !items.is_empty()) else { return Ok(all) };
    let mut files = Files::new();
    for item in items {
        match all.get(&item.key) {
            Some(content) => drop(files.insert(item.path.clone(), content.clone())),
            None if optional => {}
            None => return Err(PodError::Missing(format!("there is no key {}", item.key))),
        }
    }
    Ok(files)
}

fn metadata(pod: &Pod, items: Option<&[DownwardAPIVolumeFile]>) -> Result<Files, PodError> {
    let file = |item: &DownwardAPIVolumeFile| {
        let reference = item.field_ref.as_ref();
        let reference = reference.ok_or_else(|| PodError::Unknown("resourceFieldRef".to_owned()))?;
        Ok((item.path.clone(), field(pod, &reference.field_path)?.into_bytes()))
    };
    items.unwrap_or_default().iter().map(file).collect()
}

/// A Secret's keys and values.
pub(super) async fn read_secret(around: &Surroundings, name: &str) -> Result<Files, PodError> {
    let api = Api::<Secret>::namespaced(around.client.clone(), &around.namespace);
    let secret = api.get(name).await.map_err(PodError::client(format!("reading Secret {name}")))?;
    Ok(secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect())
}

/// A `ConfigMap`'s keys and values.
pub(super) async fn read_config_map(around: &Surroundings, name: &str) -> Result<Files, PodError> {
    let api = Api::<ConfigMap>::namespaced(around.client.clone(), &around.namespace);
    let map = api.get(name).await.map_err(PodError::client(format!("reading ConfigMap {name}")))?;
    let binary = map.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
    Ok(map.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes())).chain(binary).collect())
}

fn account(pod: &Pod) -> String {
    let name = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "default".to_owned())
}

/// Whether the pod wants the token for the API server; the pod's word counts before the account's.
async fn mounts_account(around: &Surroundings, pod: &Pod) -> Result<bool, PodError> {
    if let Some(word) = pod.spec.as_ref().and_then(|spec| spec.automount_service_account_token) {
        return Ok(word);
    }
    let name = account(pod);
    let api = Api::<ServiceAccount>::namespaced(around.client.clone(), &around.namespace);
    let account = api.get(&name).await.map_err(PodError::client(format!("reading ServiceAccount {name}")))?;
    Ok(account.automount_service_account_token != Some(false))
}

/// A token that is bound to this pod, as the kubelet asks for it.
async fn token(around: &Surroundings, pod: &Pod, audience: Option<&str>, seconds: i64) -> Result<String, PodError> {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: audience.map(str::to_owned).into_iter().collect(),
            expiration_seconds: Some(seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod.name_any()),
                uid: pod.uid(),
            }),
        },
        ..TokenRequest::default()
    };
    let name = account(pod);
    let api = Api::<ServiceAccount>::namespaced(around.client.clone(), &around.namespace);
    let answer = api.create_token_request(&name, &PostParams::default(), &request).await;
    let answer = answer.map_err(PodError::client(format!("asking for a token of ServiceAccount {name}")))?;
    Ok(answer.status.map(|status| status.token).unwrap_or_default())
}

/// A kubeconfig over the files of the account's volume.
pub(super) fn kubeconfig(around: &Surroundings, folder: &Path) -> String {
    let (cluster, user) = ("local", "pod");
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": cluster, "cluster": {
            "server": around.api_server, "certificate-authority": folder.join("ca.crt"),
        }}],
        "users": [{ "name": user, "user": { "tokenFile": folder.join("token") } }],
        "contexts": [{ "name": cluster, "context": {
            "cluster": cluster, "user": user, "namespace": around.namespace,
        }}],
        "current-context": cluster,
    });
    config.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_paths_are_replaced_and_longer_names_are_not() {
        let mounts = Mounts(vec![("/etc/app/ca".into(), "/tmp/1".into()), ("/etc/app".into(), "/tmp/2".into())]);
        let cases = [
            ("--ca=/etc/app/ca/ca.pem", "--ca=/tmp/1/ca.pem"),
            ("--file=/etc/app/x", "--file=/tmp/2/x"),
            ("/etc/app", "/tmp/2"),
            ("/etc/application/x:/etc/app/y", "/etc/application/x:/tmp/2/y"),
            ("no path", "no path"),
        ];
        for (text, expected) in cases {
            assert_eq!(mounts.translate(text), expected);
        }
    }
}
