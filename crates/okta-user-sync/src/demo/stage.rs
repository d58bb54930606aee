//! What the story plays on: Kubernetes, both simulators, the operator, and the resource.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use api::status::PendingPlan;
use api::{OktaUserSync, OktaUserSyncStatus, condition, names};
use kube::api::{DeleteParams, Patch, PatchParams};
use okta_sim::OktaSim;
use serde_json::json;
use teleport_sim::{Edition, LockState, LockView, TeleportSim, UserView, WriteRecord};
use testkit::eventually;

use super::cast::{Cast, Person};
use super::kubernetes::Kubernetes;
use super::operator::Operator;
use super::{manifests, table};
use crate::exit::Stop;
use crate::terminal::Progress;

/// Name of the resource in the quickstart.
const RESOURCE: &str = "acme";

/// Both simulators, and who plays.
pub struct Simulators {
    okta: OktaSim,
    teleport: TeleportSim,
    cast: Cast,
}

/// Starts both simulators.
///
/// # Errors
/// A port or a folder cannot be had, or there are too few people for the story.
pub async fn simulators(people: usize, seed: u64, progress: &Progress) -> Result<(Simulators, String), Stop> {
    progress.say(format!("making {people} people"));
    let failed = |e: &dyn std::fmt::Display| Stop::undone(format!("a simulator did not start: {e}"), "");
    let okta = OktaSim::start(okta_sim::Options::with_people(people, seed)).await.map_err(|e| failed(&e))?;
    let options = teleport_sim::Options {
        edition: Edition::Enterprise,
        okta_app_id: okta.ready().app_id,
        ..teleport_sim::Options::default()
    };
    let teleport = TeleportSim::start(options).await.map_err(|e| failed(&e))?;
    let cast = Cast::choose(&okta)?;
    let observed = format!("Okta at {}, Teleport at {}", okta.ready().org_url, teleport.ready().auth_address);
    Ok((Simulators { okta, teleport, cast }, observed))
}

/// Everything that runs.
pub struct Stage {
    /// The Okta organisation.
    pub okta: OktaSim,
    /// The Teleport Auth Service.
    pub teleport: TeleportSim,
    /// Who plays.
    pub cast: Cast,
    /// How many people are assigned to the app at first.
    pub people: usize,
    /// The cluster.
    pub kubernetes: Kubernetes,
    /// Users that were in Teleport before.
    natives: usize,
    operator: Operator,
    requests: AtomicU32,
    /// Number of Teleport's last write when the step began.
    mark: AtomicU64,
}

impl Stage {
    /// Starts the operator, and waits until it leads.
    ///
    /// # Errors
    /// It ends, or does not lead in time.
    pub async fn set(
        kubernetes: Kubernetes,
        simulators: Simulators,
        progress: &Progress,
    ) -> Result<(Self, String), Stop> {
        let Simulators { okta, teleport, cast } = simulators;
        progress.say("starting the operator");
        let (operator, observed) = Operator::start(&kubernetes, &okta.ready().ca_file).await?;
        let people = okta.org().assigned(&okta.ready().app_id).map_err(|e| Stop::undone(e.to_string(), ""))?.len();
        let natives = teleport.state().users;
        Ok((
            Self {
                okta,
                teleport,
                cast,
                people,
                kubernetes,
                natives,
                operator,
                requests: AtomicU32::new(0),
                mark: AtomicU64::new(0),
            },
            observed,
        ))
    }

    /// Applies the quickstart: Secrets and resource. Its first pass is asked for by `token`.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn apply_quickstart(&self, token: &str) -> Result<(), Stop> {
        for mut object in manifests::quickstart(&self.okta, &self.teleport, &self.kubernetes.namespace)? {
            if object["kind"] == "OktaUserSync" {
                object["metadata"]["annotations"] = json!({ names::REQUESTED_AT: token });
            }
            self.kubernetes.apply_manifest(&object).await?;
        }
        Ok(())
    }

    /// A value for the annotation that asks for a pass; each one is new.
    pub fn token(&self) -> String {
        format!("demo-{}", self.requests.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Asks for a pass at once, as `flux reconcile` and `kubectl annotate` do, and sets a further annotation, if one is
    /// given, in the same write.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn request_pass(&self, token: &str, further: Option<(&str, &str)>) -> Result<(), Stop> {
        let mut annotations = json!({ names::REQUESTED_AT: token });
        if let Some((key, value)) = further {
            annotations[key] = value.into();
        }
        let patch = json!({ "metadata": { "annotations": annotations } });
        let api = self.kubernetes.api::<OktaUserSync>();
        match api.patch(RESOURCE, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            Err(e) => Err(Stop::undone(format!("the resource could not be annotated: {e}"), "")),
        }
    }

    /// The resource's status, if a pass that was asked for by `token` has ended; else what is there instead.
    ///
    /// # Errors
    /// What is there instead, in words.
    pub async fn status_after(&mut self, token: &str) -> Result<OktaUserSyncStatus, String> {
        self.operator.still_runs()?;
        let resource = self.kubernetes.api::<OktaUserSync>().get(RESOURCE).await.map_err(|e| e.to_string())?;
        let Some(status) = resource.status else { return Err("no status yet".to_owned()) };
        if status.last_handled_reconcile_at.as_deref() == Some(token) {
            Ok(status)
        } else {
            Err(format!("the pass has not ended; status: {}", words(&status)))
        }
    }

    /// The plan that is held.
    ///
    /// # Errors
    /// None is, or the API server refuses.
    pub async fn pending_plan(&self) -> Result<PendingPlan, String> {
        let resource = self.kubernetes.api::<OktaUserSync>().get(RESOURCE).await.map_err(|e| e.to_string())?;
        resource
            .status
            .and_then(|status| status.pending_plan)
            .map(|plan| *plan)
            .ok_or_else(|| "no plan is held".to_owned())
    }

    /// The users that the resource owns, by their label.
    pub fn users(&self) -> Vec<UserView> {
        let owner = format!("{}/{RESOURCE}", self.kubernetes.namespace);
        let all = self.teleport.user_names().into_iter().filter_map(|name| self.teleport.user(&name));
        all.filter(|user| user.labels.get(names::OWNER_LABEL) == Some(&owner)).collect()
    }

    /// How many users were made since the beginning.
    pub fn imported(&self) -> usize {
        self.teleport.state().users.saturating_sub(self.natives)
    }

    /// A person's user.
    ///
    /// # Errors
    /// There is none.
    pub fn user(&self, person: &Person) -> Result<UserView, String> {
        self.teleport.user(&person.name).ok_or_else(|| format!("{} is not there", person.name))
    }

    /// Begins to count writes to Teleport.
    pub fn mark(&self) {
        self.mark.store(self.teleport.state().writes, Ordering::Relaxed);
    }

    /// Writes to Teleport since [`Self::mark`].
    pub fn writes(&self) -> Vec<WriteRecord> {
        self.teleport.writes_after(self.mark.load(Ordering::Relaxed))
    }

    /// The state of the lock on a name when its user was deleted last.
    pub fn lock_at_deletion(&self, name: &str) -> Option<LockState> {
        let writes = self.writes();
        writes.iter().rev().find(|write| write.method == "DeleteUser" && write.name == name && write.done())?.lock
    }

    /// A lock on a user name, as Teleport holds it.
    pub fn lock_on(&self, name: &str) -> Option<LockView> {
        self.teleport.locks().into_iter().find(|lock| lock.user == name && lock.in_force)
    }

    /// What `kubectl get ous` prints; the resource must stand there as Ready.
    ///
    /// # Errors
    /// It does not.
    pub async fn printed(&self) -> Result<String, Stop> {
        let table = table::kubectl_get(&self.kubernetes.client, &self.kubernetes.namespace).await?;
        let ready = table.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(RESOURCE) && words.next() == Some("True")
        });
        if ready { Ok(table) } else { Err(Stop::undone(format!("it prints:\n{table}"), "")) }
    }

    /// How to look around, for `--keep`.
    pub fn invitation(&self) -> String {
        let (org, auth) = (self.okta.ready(), self.teleport.ready());
        let namespace = &self.kubernetes.namespace;
        format!(
            "Everything stays up until Ctrl-C. In another terminal:\n\n  \
             export KUBECONFIG={}\n  \
             kubectl get ous --namespace {namespace}\n  \
             kubectl describe ous {RESOURCE} --namespace {namespace}\n  \
             kubectl edit ous {RESOURCE} --namespace {namespace}\n\n\
             Okta      {}  admin port {}\n          curl --cacert {} -H 'Authorization: SSWS {}' {}/api/v1/users\n\
             Teleport  {}  admin port {}\n          identity of an administrator: {}\n",
            self.kubernetes.kubeconfig.display(),
            org.org_url,
            org.admin_url,
            org.ca_file.display(),
            org.ssws,
            org.org_url,
            auth.auth_address,
            auth.admin_url,
            auth.admin_identity_file,
        )
    }

    /// The operator's last lines, for when something did not come about.
    pub fn last_words(&self) -> String {
        format!("The operator's last lines:\n{}", self.operator.last_lines())
    }

    /// Takes everything down. The resource goes first, while the operator can still let it go.
    pub async fn strike(mut self) {
        let api = self.kubernetes.api::<OktaUserSync>();
        if api.delete(RESOURCE, &DeleteParams::default()).await.is_ok() {
            let gone =
                eventually(Duration::from_secs(10), "the resource to go", async || match api.get_opt(RESOURCE).await {
                    Ok(None) => Ok(()),
                    Ok(Some(_)) => Err("it is still there".to_owned()),
                    Err(e) => Err(e.to_string()),
                });
            if let Err(e) = gone.await {
                tracing::warn!("{e}");
            }
        }
        self.operator.stop().await;
        self.kubernetes.clean().await;
    }
}

/// A status in a few words.
pub fn words(status: &OktaUserSyncStatus) -> String {
    let ready = condition::find(&status.conditions, condition::READY);
    let ready = ready.map_or_else(|| "no Ready".to_owned(), |c| format!("Ready={} ({})", c.status, c.reason));
    let users = status.users.map_or_else(String::new, |users| {
        let all = [
            ("created", users.created),
            ("updated", users.updated),
            ("renamed", users.renamed),
            ("suspended", users.suspended),
            ("locked", users.locked),
            ("removed", users.removed),
            ("held", users.held),
            ("failed", users.failed),
        ];
        let some = all.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!(", {n} {word}"));
        let some = some.collect::<Vec<_>>().concat();
        format!(", {} of {} in scope synced{some}", users.synced, users.in_scope)
    });
    let errors = status.errors.iter().map(|e| format!("; {} {}: {}", e.class, e.user, e.message));
    let errors = errors.collect::<Vec<_>>().concat();
    format!("{ready}{users}{errors}")
}
