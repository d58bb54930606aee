//! One pod: its object in the API server, and its process.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::container::{Invocation, Network};
use super::probe::HttpProbe;
use super::volumes::{self, ACCOUNT};
use super::{PodError, PodView, Surroundings};
use crate::process::{Launch, Process};

/// The longest pause before an ended program is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A running pod.
#[derive(Debug)]
pub(super) struct RunningPod {
    around: Surroundings,
    pod: Pod,
    deployment: String,
    /// Digest of the template that it was made from.
    pub(super) template: String,
    launch: Launch,
    args: Vec<String>,
    network: Network,
    process: Process,
    startup: Option<HttpProbe>,
    liveness: Option<HttpProbe>,
    readiness: Option<HttpProbe>,
    pub(super) ready: bool,
    restarts: u32,
    start_again: Option<Instant>,
    former_output: String,
    _files: TempDir,
}

impl RunningPod {
    /// Makes the Pod object and starts its process.
    pub(super) async fn start(
        around: &Surroundings,
        deployment: &Deployment,
        template: &str,
    ) -> Result<Self, PodError> {
        let pods = Api::<Pod>::namespaced(around.client.clone(), &around.namespace);
        let wanted = object(deployment, template);
        let pod = pods.create(&PostParams::default(), &wanted).await.map_err(PodError::client("making a pod"))?;
        match Self::run(around, deployment, template, pod.clone()).await {
            Ok(running) => Ok(running),
            Err(error) => {
                let _ = pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await;
                Err(error)
            }
        }
    }

    async fn run(around: &Surroundings, deployment: &Deployment, template: &str, pod: Pod) -> Result<Self, PodError> {
        let container = only_container(&pod)?;
        let files = tempfile::Builder::new().prefix("okta-user-sync-pod-").tempdir();
        let files = files.map_err(PodError::system("making a folder for a pod"))?;
        let network = Network::choose(&Sha256::digest(pod.uid().unwrap_or_default()), &container)?;
        let mounts = volumes::mount(around, &pod, &container, files.path()).await?;
        let mut invocation = Invocation::read(around, &pod, &container, &mounts, &network).await?;
        if let Some(account) = mounts.find(ACCOUNT) {
            let path = files.path().join("kubeconfig");
            std::fs::write(&path, volumes::kubeconfig(around, account))
                .map_err(PodError::system(format!("writing {}", path.display())))?;
            invocation.env.insert("KUBECONFIG".to_owned(), path.to_string_lossy().into_owned());
        }
        let launch = Launch::new(&around.program).bare().args(invocation.args.clone());
        let launch = invocation.env.into_iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        let probe = |probe: &Option<_>| HttpProbe::read(probe.as_ref(), &network);
        let running = Self {
            around: around.clone(),
            deployment: deployment.name_any(),
            template: template.to_owned(),
            process: launch.clone().start()?,
            startup: probe(&container.startup_probe)?,
            liveness: probe(&container.liveness_probe)?,
            readiness: probe(&container.readiness_probe)?,
            launch,
            args: invocation.args,
            network,
            pod,
            ready: false,
            restarts: 0,
            start_again: None,
            former_output: String::new(),
            _files: files,
        };
        running.tell().await?;
        Ok(running)
    }

    /// Looks after the process: its end, its probes, its restart.
    pub(super) async fn look(&mut self) -> Result<(), PodError> {
        let ended = self.process.ended().map_err(PodError::system("looking after a pod's process"))?.is_some();
        if ended {
            return self.revive().await;
        }
        if let Some(startup) = &mut self.startup {
            // Nothing else is probed before the program has started.
            if startup.answers().await {
                self.startup = None;
            } else if startup.has_failed().await {
                return self.end_process("its startup probe failed");
            } else {
                return Ok(());
            }
        }
        if let Some(liveness) = &mut self.liveness
            && liveness.has_failed().await
        {
            return self.end_process("its liveness probe failed");
        }
        let ready = match &self.readiness {
            Some(readiness) => readiness.answers().await,
            None => true,
        };
        if ready != self.ready {
            self.ready = ready;
            self.tell().await?;
        }
        Ok(())
    }

    fn end_process(&mut self, why: &str) -> Result<(), PodError> {
        tracing::warn!("{}: {why}", self.pod.name_any());
        self.process.kill().map(drop).map_err(PodError::system("killing a pod's process"))
    }

    /// Starts the program again, after a pause that grows.
    async fn revive(&mut self) -> Result<(), PodError> {
        let pause = Duration::from_secs(1 << self.restarts.min(4)).min(LONGEST_PAUSE);
        let due = *self.start_again.get_or_insert_with(|| Instant::now() + pause);
        if self.ready {
            self.ready = false;
            self.tell().await?;
        }
        if Instant::now() >= due {
            self.former_output.push_str(&self.process.output());
            self.process = self.launch.clone().start()?;
            self.restarts += 1;
            self.start_again = None;
            let container = only_container(&self.pod)?;
            self.startup = HttpProbe::read(container.startup_probe.as_ref(), &self.network)?;
            self.liveness = HttpProbe::read(container.liveness_probe.as_ref(), &self.network)?;
            self.tell().await?;
        }
        Ok(())
    }

    /// Ends the process within its grace period, and takes the object away.
    pub(super) async fn end(mut self) -> Result<(), PodError> {
        let spec = self.pod.spec.as_ref();
        let grace = spec.and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or_default());
        if self.process.terminate(grace).await.is_err() {
            self.end_process("it outlived its grace period")?;
        }
        let pods = Api::<Pod>::namespaced(self.around.client.clone(), &self.around.namespace);
        let name = self.pod.name_any();
        match pods.delete(&name, &DeleteParams::default().grace_period(0)).await {
            Ok(_) => Ok(()),
            // Somebody else was quicker.
            Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
            Err(error) => Err(PodError::client(format!("taking pod {name} away"))(error)),
        }
    }

    /// Writes the pod's status.
    async fn tell(&self) -> Result<(), PodError> {
        let container = only_container(&self.pod)?;
        let ready = if self.ready { "True" } else { "False" };
        let ip = self.network.ip.to_string();
        let status = json!({ "status": {
            "phase": "Running",
            "podIP": ip, "podIPs": [{ "ip": ip }], "hostIP": "127.0.0.1",
            "conditions": [{ "type": "Ready", "status": ready }, { "type": "ContainersReady", "status": ready }],
            "containerStatuses": [{
                "name": container.name, "image": container.image, "imageID": self.around.program,
                "ready": self.ready, "started": true, "restartCount": self.restarts, "state": { "running": {} },
            }],
        }});
        let pods = Api::<Pod>::namespaced(self.around.client.clone(), &self.around.namespace);
        let name = self.pod.name_any();
        let told = pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
        told.map(drop).map_err(PodError::client(format!("writing the status of pod {name}")))
    }

    /// As a test sees it.
    pub(super) fn view(&self) -> PodView {
        PodView {
            name: self.pod.name_any(),
            deployment: self.deployment.clone(),
            process: self.process.id(),
            ip: self.network.ip.to_string(),
            ports: self.network.ports.iter().map(|(name, _, outside)| (name.clone(), *outside)).collect(),
            args: self.args.clone(),
            ready: self.ready,
            restarts: self.restarts,
            output: self.former_output.clone() + &self.process.output(),
        }
    }
}

/// The Pod that the Deployment's template describes.
fn object(deployment: &Deployment, template: &str) -> Pod {
    let source = deployment.spec.clone().unwrap_or_default().template;
    let metadata = source.metadata.unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-{template}-", deployment.name_any())),
            labels: metadata.labels,
            annotations: metadata.annotations,
            owner_references: Some(vec![OwnerReference {
                controller: Some(true),
                ..deployment.owner_ref(&()).unwrap_or_default()
            }]),
            ..ObjectMeta::default()
        },
        spec: source.spec,
        status: None,
    }
}

fn only_container(pod: &Pod) -> Result<Container, PodError> {
    let spec = pod.spec.as_ref();
    let inits = spec.and_then(|spec| spec.init_containers.as_ref()).map_or(0, Vec::len);
    match spec.map(|spec| spec.containers.as_slice()) {
        Some([only]) if inits == 0 => Ok(only.clone()),
        _ => Err(PodError::Unknown("pods of several containers".to_owned())),
    }
}
