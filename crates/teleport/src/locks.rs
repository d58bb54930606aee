//! Locks: stored by a write, enforced a moment later.
//!
//! `GetLock` answers from storage, `GetLocks` from the cache that the server enforces from. So a lock is in force exactly when `GetLocks` lists it:
//! about a second after it was stored, and much later after a burst of writes.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use engine::{
    cluster::{OriginMode, WriteError},
    lock::{Lock, Mark},
    user::label,
};
use teleport_proto::{auth, types};
use tokio::time::Instant;
use tonic::Code;

use crate::{answer::CallError, call::Call, client::TeleportClient, error::TeleportError, instant, users::failed};

/// First pause between two looks at what is enforced; it grows to four times that.
const POLL: Duration = Duration::from_millis(250);

/// A lock as it goes on the wire.
pub(crate) fn encode(lock: &Lock, mode: OriginMode) -> types::LockV2 {
    let mut labels: BTreeMap<String, String> =
        lock.ours.iter().flat_map(Mark::labels).map(|(key, value)| (key.to_owned(), value)).collect();
    if mode == OriginMode::Okta {
        labels.insert(label::ORIGIN.into(), label::ORIGIN_OKTA.into());
    }
    // One expiry ends the force, the other drops the lock from storage: without the second it would be listed for ever.
    let expires = lock.expires.map(instant::write);
    types::LockV2 {
        kind: "lock".into(),
        version: "v2".into(),
        metadata: Some(types::Metadata { name: lock.name.clone(), labels, expires, ..types::Metadata::default() }),
        spec: Some(types::LockSpecV2 {
            target: Some(types::LockTarget { user: lock.user.clone(), ..types::LockTarget::default() }),
            message: lock.message.clone(),
            expires,
            ..types::LockSpecV2::default()
        }),
        ..types::LockV2::default()
    }
}

/// A lock as the server answered it.
pub(crate) fn decode(lock: types::LockV2) -> Lock {
    let metadata = lock.metadata.unwrap_or_default();
    let spec = lock.spec.unwrap_or_default();
    let ours = Mark::read(&metadata.name, &metadata.labels);
    Lock {
        name: metadata.name,
        user: spec.target.unwrap_or_default().user,
        message: spec.message,
        expires: instant::read(spec.expires.as_ref()),
        created: instant::read(spec.created_at.as_ref()),
        ours,
    }
}

impl TeleportClient {
    /// The locks that are enforced.
    pub(crate) async fn list_locks(&self) -> Result<Vec<Lock>, TeleportError> {
        let answer = self
            .link
            .read(Call::GetLocks, |mut stubs| async move {
                stubs.auth.get_locks(auth::GetLocksRequest { targets: Vec::new(), in_force_only: true }).await
            })
            .await;
        match answer {
            Ok(answer) => Ok(answer.locks.into_iter().map(decode).collect()),
            Err(error) => Err(self.explain(Call::GetLocks, error).await),
        }
    }

    pub(crate) async fn store_lock(&self, lock: &Lock) -> Result<(), WriteError> {
        if lock.name.is_empty() || lock.user.is_empty() {
            let detail = "a lock without a name or a user".to_owned();
            return Err(failed(TeleportError::Unsendable { call: Call::UpsertLock, detail }));
        }
        let request = encode(lock, self.link.identity().origin_mode());
        let answer =
            self.write(Call::UpsertLock, &request, |mut stubs, request| async move {
                stubs.auth.upsert_lock(request).await
            })
            .await;
        match answer {
            Ok(()) => Ok(()),
            Err(error) => Err(failed(self.explain(Call::UpsertLock, error).await)),
        }
    }

    pub(crate) async fn drop_lock(&self, name: &str) -> Result<(), WriteError> {
        let request = auth::DeleteLockRequest { name: name.to_owned() };
        let answer =
            self.write(Call::DeleteLock, &request, |mut stubs, request| async move {
                stubs.auth.delete_lock(request).await
            })
            .await;
        match answer {
            Ok(()) => Ok(()),
            Err(CallError::Answer(Code::NotFound, _)) => self.prove().await.map(|_| ()).map_err(failed),
            Err(error) => Err(failed(self.explain(Call::DeleteLock, error).await)),
        }
    }

    /// Those of `names` that are enforced, as soon as all are, or when the wait is over.
    ///
    /// Errors while waiting are waited out, too; one is answered only if no look succeeded at all.
    pub(crate) async fn wait_in_force(&self, names: &[String]) -> Result<HashSet<String>, TeleportError> {
        let wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
        if wanted.is_empty() {
            return Ok(HashSet::new());
        }
        let start = Instant::now();
        let end = start + self.link.lock_wait();
        let mut pause = POLL;
        let mut outcome: Option<Result<HashSet<String>, TeleportError>> = None;
        loop {
            match self.list_locks().await {
                Ok(locks) => {
                    let listed: HashSet<String> =
                        locks.into_iter().map(|lock| lock.name).filter(|name| wanted.contains(name.as_str())).collect();
                    if listed.len() == wanted.len() {
                        self.link.pace().learn(start.elapsed());
                        return Ok(listed);
                    }
                    outcome = Some(Ok(listed));
                }
                Err(error) if !error.retry() => return Err(error),
                Err(error) => {
                    outcome.get_or_insert(Err(error));
                }
            }
            let now = Instant::now();
            if now >= end {
                self.link.pace().learn(start.elapsed());
                return outcome.unwrap_or_else(|| Ok(HashSet::new()));
            }
            tokio::time::sleep(pause.min(end - now)).await;
            pause = (pause * 2).min(POLL * 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::lock::{LockReason, lock_name};
    use jiff::Timestamp;
    use prost::Message as _;

    use super::*;

    fn lock() -> Lock {
        Lock {
            name: lock_name("ns/a", "00u1", "ada"),
            user: "ada".into(),
            message: "left".into(),
            expires: Some("2026-11-26T12:00:00.5Z".parse().unwrap()),
            created: None,
            ours: Some(Mark {
                owner: "ns/a".into(),
                org_url: "https://acme.okta.com".into(),
                okta_id: "00u1".into(),
                reason: LockReason::Suspended,
            }),
        }
    }

    // locks.rs, `encode`: `expires`, twice.
    #[test]
    fn p10_both_expiries_are_written() {
        let encoded = encode(&lock(), OriginMode::Bot);
        let (metadata, spec) = (encoded.metadata.clone().unwrap(), encoded.spec.clone().unwrap());
        assert_eq!(instant::read(metadata.expires.as_ref()), lock().expires);
        assert_eq!(instant::read(spec.expires.as_ref()), lock().expires);
        assert_eq!((encoded.kind.as_str(), encoded.version.as_str()), ("lock", "v2"));
        assert_eq!(spec.target.unwrap(), types::LockTarget { user: "ada".into(), ..Default::default() });
        let for_ever = encode(&Lock { expires: None, ..lock() }, OriginMode::Bot);
        assert_eq!((for_ever.metadata.unwrap().expires, for_ever.spec.unwrap().expires), (None, None));
    }

    #[test]
    fn a_lock_makes_the_round_trip_over_the_wire() {
        let wire = encode(&lock(), OriginMode::Bot).encode_to_vec();
        assert_eq!(decode(types::LockV2::decode(&wire[..]).unwrap()), lock());
    }

    #[test]
    fn the_system_role_alone_writes_the_origin() {
        let origin = |mode| encode(&lock(), mode).metadata.unwrap().labels.get(label::ORIGIN).cloned();
        assert_eq!(origin(OriginMode::Bot), None);
        assert_eq!(origin(OriginMode::Okta).as_deref(), Some("okta"));
    }

    // lock.rs, `read`: `NAME_PREFIX` and each label.
    #[test]
    fn p06_a_lock_is_ours_by_name_and_labels_together() {
        let ours = encode(&lock(), OriginMode::Bot);
        let mut renamed = ours.clone();
        renamed.metadata.as_mut().unwrap().name = "scim-1".into();
        assert_eq!(decode(renamed).ours, None);
        for (key, _) in lock().ours.unwrap().labels() {
            let mut bare = ours.clone();
            bare.metadata.as_mut().unwrap().labels.remove(key);
            assert_eq!(decode(bare).ours, None, "{key}");
        }
        let role = types::LockV2 {
            spec: Some(types::LockSpecV2 {
                target: Some(types::LockTarget { role: "dev".into(), ..Default::default() }),
                expires: Some(teleport_proto::time::go_zero()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let read = decode(role);
        assert_eq!((read.user.as_str(), read.expires, read.ours), ("", None, None));
        assert!(Lock { expires: None, ..lock() }.in_force(Timestamp::now()));
    }
}
