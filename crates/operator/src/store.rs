//! The operator's two writes to a resource: its status, and its finalizer.

use api::{
    OktaUserSync, OktaUserSyncStatus, names,
    status::{FastPathStatus, RemovalTally},
};
use jiff::Timestamp;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    definition::Declared,
    kubernetes::{ApiError, within_limit},
    status::declared,
};

/// Field manager of what the fast path writes.
const FAST_PATH_MANAGER: &str = "okta-user-sync-fast-path";

/// How often a write that met another writer is made anew.
const TRIES: usize = 4;

/// A status that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The version after it, for the next one.
    pub version: Option<String>,
    /// The whole of it, with a word (`DefinitionOutdated`) about what the served definition has no place for.
    pub status: OktaUserSyncStatus,
}

/// Writes resources.
#[derive(Clone)]
pub struct Store {
    client: Client,
}

impl Store {
    /// Writes with the rights of `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    fn api(&self, object: &OktaUserSync) -> Api<OktaUserSync> {
        Api::namespaced(self.client.clone(), object.namespace().as_deref().unwrap_or_default())
    }

    /// Writes the whole status, made from the status `from`, by server-side apply.
    ///
    /// The version goes with it: not because anybody else writes our part, but because nothing else keeps a resource that
    /// was made anew under the same name from getting the status (and with it the memory) of the former one. Where the
    /// version is an older one, it is read anew, and written on if it is the same resource and its last pass is still the
    /// one that `from` knows. Else another process has been there, whose word is not overwritten by one that does not
    /// know it (P8).
    ///
    /// Under a definition that is older than this program only what that declares is written, and the condition
    /// `DefinitionOutdated` says what else there was.
    ///
    /// # Errors
    /// The API server refused or did not answer; a conflict if the resource is another by now, or
    /// [`ApiError::Overtaken`].
    pub async fn write_status(
        &self,
        object: &OktaUserSync,
        from: &OktaUserSyncStatus,
        status: &OktaUserSyncStatus,
    ) -> Result<Written, ApiError> {
        let overtaken = |now: &OktaUserSyncStatus| told(now) != told(from);
        let (generation, now) = (object.metadata.generation.unwrap_or_default(), Timestamp::now());
        let mut fitted = status.clone();
        let fit = |left_out: &[String]| {
            fitted = declared(status, left_out, generation, now).unwrap_or_else(|| status.clone());
            json!(fitted)
        };
        let version = self.apply_status(object, names::FIELD_MANAGER, fit, overtaken).await?;
        Ok(Written { version, status: fitted })
    }

    /// Writes what the fast path has to say between full passes, and the removals that it has made (P5), as a field
    /// manager of its own: so it neither needs nor touches the rest of the status.
    ///
    /// # Errors
    /// The API server refused or did not answer; a conflict if the resource is another by now.
    pub async fn write_fast_path(
        &self,
        object: &OktaUserSync,
        fast_path: &FastPathStatus,
        removals: &[RemovalTally],
    ) -> Result<Option<String>, ApiError> {
        let mut status = json!({ "fastPath": fast_path });
        if !removals.is_empty() {
            status["memory"] = json!({ "removals": removals });
        }
        self.apply_status(object, FAST_PATH_MANAGER, |_| status.clone(), |_| false).await
    }

    /// Writes what `fit` answers, given what the definition does not declare: at first nothing.
    async fn apply_status(
        &self,
        object: &OktaUserSync,
        manager: &str,
        mut fit: impl FnMut(&[String]) -> Value,
        overtaken: impl Fn(&OktaUserSyncStatus) -> bool,
    ) -> Result<Option<String>, ApiError> {
        let (api, name) = (self.api(object), object.name_any());
        let params = PatchParams::apply(manager).force();
        let mut version = object.resource_version();
        let mut status = fit(&[]);
        let mut tries = 0;
        loop {
            let body = json!({
                "apiVersion": OktaUserSync::api_version(&()),
                "kind": OktaUserSync::kind(&()),
                "metadata": { "name": name, "resourceVersion": version },
                "status": status,
            });
            let refused = match within_limit(api.patch_status(&name, &params, &Patch::Apply(body))).await {
                Err(error) if (error.is_conflict() || error.is_undeclared()) && tries < TRIES => error,
                other => return Ok(other?.resource_version()),
            };
            tries += 1;
            if refused.is_undeclared() {
                let definition = Declared::read(&self.client).await?;
                let left_out = definition.keep(&mut status);
                if left_out.is_empty() {
                    return Err(refused);
                }
                status = fit(&left_out);
                definition.keep(&mut status);
                continue;
            }
            let now = within_limit(api.get(&name)).await?;
            if now.metadata.uid != object.metadata.uid {
                return Err(refused);
            }
            if overtaken(&now.status.unwrap_or_default()) {
                return Err(ApiError::Overtaken);
            }
            version = now.metadata.resource_version;
        }
    }

    /// Adds our finalizer, unless it is there. Goes before the first write to Teleport. Answers the version after the
    /// write, if one was needed.
    ///
    /// # Errors
    /// The API server refused or did not answer; the resource is gone or being deleted.
    pub async fn add_finalizer(&self, object: &OktaUserSync) -> Result<Option<String>, ApiError> {
        self.change_finalizers(object, |finalizers| {
            if finalizers.iter().any(|name| name == names::FINALIZER) {
                return false;
            }
            finalizers.push(names::FINALIZER.to_owned());
            true
        })
        .await
    }

    /// Takes our finalizer away; no error if the resource is gone already.
    ///
    /// # Errors
    /// The API server refused or did not answer.
    pub async fn remove_finalizer(&self, object: &OktaUserSync) -> Result<(), ApiError> {
        let removed = self.change_finalizers(object, |finalizers| {
            let before = finalizers.len();
            finalizers.retain(|name| name != names::FINALIZER);
            finalizers.len() != before
        });
        match removed.await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    /// A write on exactly the version whose finalizers it is made from, so that nobody else's finalizer is lost.
    async fn change_finalizers(
        &self,
        object: &OktaUserSync,
        change: impl Fn(&mut Vec<String>) -> bool,
    ) -> Result<Option<String>, ApiError> {
        let (api, name) = (self.api(object), object.name_any());
        let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.into()), ..PatchParams::default() };
        let mut tries = 0;
        let mut meta = object.metadata.clone();
        loop {
            let mut finalizers = meta.finalizers.clone().unwrap_or_default();
            if !change(&mut finalizers) {
                return Ok(None);
            }
            let body = json!({ "metadata": {
                "uid": object.uid(), "resourceVersion": meta.resource_version, "finalizers": finalizers,
            }});
            match within_limit(api.patch_metadata(&name, &params, &Patch::Merge(body))).await {
                Err(error) if error.is_conflict() && tries < TRIES => tries += 1,
                other => return other.map(|written| written.metadata.resource_version),
            }
            meta = within_limit(api.get_metadata(&name)).await?.metadata;
            if meta.uid != object.metadata.uid {
                return Ok(None);
            }
        }
    }
}

/// What a status tells that every write of a pass changes, so that two of them can be told apart. Not the fast path's
/// part, which is written beside it by the same process.
fn told(status: &OktaUserSyncStatus) -> Value {
    let mut conditions: Vec<_> = status.conditions.iter().collect();
    conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
    json!([status.observed_generation, status.last_run, conditions])
}
