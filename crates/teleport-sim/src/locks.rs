//! Reading and writing locks (reference §2, §15, §16 H).

use std::sync::Arc;

use teleport_proto::{auth, types};

use crate::{
    Refusal,
    caller::Caller,
    clock::{from_wire, to_wire},
    cluster::Cluster,
    lock::{StoredLock, is_okta, matches, names_somebody},
    user::{check_labels, check_name, key},
    users::{NOT_OKTA_SERVICE, OKTA_SERVICE_WITHOUT_ORIGIN},
};

impl Cluster {
    pub(crate) fn upsert_lock(&mut self, caller: &Caller, lock: types::LockV2) -> Result<(), Refusal> {
        self.require(caller, "lock", &["create", "update"])?;
        self.require_mfa(caller)?;
        let target = lock.spec.as_ref().and_then(|spec| spec.target.clone()).unwrap_or_default();
        match (caller.is_okta_service(), is_okta(&lock)) {
            (true, false) => return Err(Refusal::bad_parameter(OKTA_SERVICE_WITHOUT_ORIGIN)),
            (false, true) => return Err(Refusal::bad_parameter(NOT_OKTA_SERVICE)),
            (true, true) if self.users.stored(&key(&target.user)).is_some_and(|user| !user.is_okta()) => {
                return Err(Refusal::access_denied("Okta service may only lock okta user"));
            }
            _ => {}
        }
        let name = lock.metadata.as_ref().map_or("", |metadata| metadata.name.as_str()).to_owned();
        check_name(&name, self.version)?;
        check_labels(lock.metadata.as_ref(), self.version)?;
        if !names_somebody(&target) {
            return Err(Refusal::bad_parameter("at least one target field must be set"));
        }
        self.store_lock(name, caller.name(), lock);
        Ok(())
    }

    /// Stores a lock; fills in who made it, and when.
    pub(crate) fn store_lock(&mut self, name: String, by: &str, mut lock: types::LockV2) {
        let now = self.now();
        "lock".clone_into(&mut lock.kind);
        "v2".clone_into(&mut lock.version);
        let metadata = lock.metadata.get_or_insert_default();
        metadata.revision = uuid::Uuid::new_v4().to_string();
        let spec = lock.spec.get_or_insert_default();
        if spec.created_by.is_empty() {
            by.clone_into(&mut spec.created_by);
        }
        if from_wire(spec.created_at.as_ref()).is_none() {
            spec.created_at = Some(to_wire(now));
        }
        let visible = self.locks_visible();
        self.locks.put(name, Arc::new(StoredLock { lock }), visible);
        self.settle();
    }

    pub(crate) fn delete_lock(&mut self, caller: &Caller, name: &str) -> Result<(), Refusal> {
        self.require(caller, "lock", &["delete"])?;
        self.require_mfa(caller)?;
        let stored = self.locks.stored(name).ok_or_else(|| not_found(name))?;
        if caller.is_okta_service() && !stored.is_okta() {
            return Err(Refusal::access_denied("Okta service may only delete Okta resources"));
        }
        let visible = self.locks_visible();
        self.locks.remove(name, visible);
        self.settle();
        Ok(())
    }

    /// A lock by name: says that it is stored.
    pub(crate) fn get_lock(&mut self, caller: &Caller, name: &str) -> Result<types::LockV2, Refusal> {
        self.settle();
        self.require(caller, "lock", &["read"])?;
        self.locks.read(name).map(|stored| stored.lock.clone()).ok_or_else(|| not_found(name))
    }

    /// The locks that are enforced.
    pub(crate) fn get_locks(
        &mut self,
        caller: &Caller,
        request: &auth::GetLocksRequest,
    ) -> Result<Vec<types::LockV2>, Refusal> {
        self.settle();
        self.require(caller, "lock", &["list", "read"])?;
        let now = self.now();
        let wanted = |stored: &StoredLock| {
            (!request.in_force_only || stored.in_force(now))
                && (request.targets.is_empty() || request.targets.iter().any(|asked| matches(asked, &stored.target())))
        };
        Ok(self.locks.cache().values().filter(|stored| wanted(stored)).map(|stored| stored.lock.clone()).collect())
    }
}

fn not_found(name: &str) -> Refusal {
    Refusal::not_found(format!("lock {name:?} not found"))
}
