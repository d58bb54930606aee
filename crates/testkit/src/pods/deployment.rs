//! What the Deployment controller does: as many pods as are wanted, replaced one by one when the template changes.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::pod::RunningPod;
use super::{PodError, PodView, Surroundings};

/// The Deployments of one namespace and their pods.
#[derive(Debug)]
pub(super) struct Deployments {
    around: Surroundings,
    /// Pods by the uid of their Deployment.
    pods: BTreeMap<String, Vec<RunningPod>>,
    /// The status that was written last, by uid.
    told: BTreeMap<String, Value>,
}

impl Deployments {
    pub(super) fn new(around: Surroundings) -> Self {
        Self { around, pods: BTreeMap::new(), told: BTreeMap::new() }
    }

    /// The pods as they stand.
    pub(super) fn view(&self) -> Vec<PodView> {
        self.pods.values().flatten().map(RunningPod::view).collect()
    }

    /// One step towards what the Deployments say; what could not be done.
    pub(super) async fn look(&mut self) -> Vec<String> {
        let api = Api::<Deployment>::namespaced(self.around.client.clone(), &self.around.namespace);
        let listed = match api.list(&ListParams::default()).await {
            Ok(listed) => listed.items,
            Err(error) => return vec![format!("listing Deployments: {error}")],
        };
        let mut problems = Vec::new();
        let mut gone: Vec<String> = self.pods.keys().cloned().collect();
        for deployment in &listed {
            let uid = deployment.uid().unwrap_or_default();
            if deployment.metadata.deletion_timestamp.is_none() {
                gone.retain(|known| *known != uid);
            }
            if let Err(error) = Box::pin(self.step(deployment, &uid)).await {
                problems.push(error.to_string());
            }
            if let Err(error) = self.tell(deployment, &uid).await {
                problems.push(error.to_string());
            }
        }
        for uid in gone {
            for pod in self.pods.remove(&uid).unwrap_or_default() {
                problems.extend(pod.end().await.err().map(|error| error.to_string()));
            }
        }
        problems
    }

    /// Starts one pod or ends one, if that is called for.
    async fn step(&mut self, deployment: &Deployment, uid: &str) -> Result<(), PodError> {
        let pods = self.pods.entry(uid.to_owned()).or_default();
        for pod in pods.iter_mut() {
            pod.look().await?;
        }
        let spec = deployment.spec.as_ref();
        let wanted = spec.and_then(|spec| spec.replicas).and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
        let recreate = spec.and_then(|spec| spec.strategy.as_ref()?.type_.as_deref()) == Some("Recreate");
        let template = digest(deployment)?;
        let old = pods.iter().position(|pod| pod.template != template);
        let new = pods.iter().filter(|pod| pod.template == template).count();
        let new_ready = pods.iter().filter(|pod| pod.template == template).all(|pod| pod.ready);
        if let Some(old) = old
            && (recreate || (pods.len() > wanted && new_ready))
        {
            return pods.remove(old).end().await;
        }
        // One more than is wanted while old ones are replaced, as a rollout does.
        let room = if recreate { pods.len() < wanted && old.is_none() } else { pods.len() <= wanted };
        if new < wanted && room {
            pods.push(Box::pin(RunningPod::start(&self.around, deployment, &template)).await?);
        } else if new > wanted
            && let Some(last) = pods.pop()
        {
            return last.end().await;
        }
        Ok(())
    }

    /// Writes the Deployment's status, if it has changed.
    async fn tell(&mut self, deployment: &Deployment, uid: &str) -> Result<(), PodError> {
        let api = Api::<Deployment>::namespaced(self.around.client.clone(), &self.around.namespace);
        let pods = self.pods.get(uid).map(Vec::as_slice).unwrap_or_default();
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let template = digest(deployment)?;
        let count =
            |which: &dyn Fn(&&RunningPod) -> bool| i32::try_from(pods.iter().filter(which).count()).unwrap_or(i32::MAX);
        let (all, ready) = (count(&|_| true), count(&|pod| pod.ready));
        let updated = count(&|pod| pod.template == template);
        let done = updated == wanted && ready >= wanted;
        let status = json!({
            "observedGeneration": deployment.metadata.generation,
            "replicas": all, "updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": ready,
            "unavailableReplicas": (wanted - ready).max(0),
            "conditions": [
                condition("Available", ready >= wanted, "MinimumReplicasAvailable"),
                condition("Progressing", true, if done { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" }),
            ],
        });
        if self.told.get(uid) == Some(&status) {
            return Ok(());
        }
        let name = deployment.name_any();
        let patch = json!({ "status": status });
        match api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => drop(self.told.insert(uid.to_owned(), status)),
            // It has gone meanwhile.
            Err(kube::Error::Api(answer)) if answer.code == 404 => {}
            Err(error) => return Err(PodError::client(format!("writing the status of Deployment {name}"))(error)),
        }
        Ok(())
    }
}

fn condition(type_: &str, holds: bool, reason: &str) -> Value {
    json!({ "type": type_, "status": if holds { "True" } else { "False" }, "reason": reason, "message": "" })
}

/// Eight hexadecimal digits that change with the template.
fn digest(deployment: &Deployment) -> Result<String, PodError> {
    let template = deployment.spec.as_ref().map(|spec| &spec.template);
    let bytes = serde_json::to_vec(&template).map_err(|error| PodError::Missing(error.to_string()))?;
    Ok(hex::encode(&Sha256::digest(bytes)[..4]))
}
