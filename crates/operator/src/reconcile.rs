//! What happens when the controller looks at one resource. Nothing, unless a pass is due.

use std::{sync::Arc, time::Duration};

use api::{OktaUserSync, OktaUserSyncStatus, condition, names};
use jiff::Timestamp;
use kube::{
    ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        controller::Action,
        reflector::{self, ObjectRef},
    },
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    attempt::{attempt, resource, resume, subject},
    events::{Announcer, news},
    fast_path::{self, FastPath},
    finalizer,
    journal::Journal,
    keys,
    kubernetes::ApiError,
    leader::Claim,
    metrics::Metrics,
    pace::{self, Backoff},
    records::{Record, Records, Unshown},
    resolve::Resolver,
    secrets::KubeSecrets,
    status,
    store::Store,
    trigger::{self, Known, Trigger},
};

/// A resource that may be undecodable; such a one is left alone and stops no other.
pub type Guarded = DeserializeGuard<OktaUserSync>;

/// What every reconcile shares.
pub struct Context {
    pub(crate) store: Store,
    pub(crate) secrets: KubeSecrets,
    pub(crate) vault: keys::vault::Vault,
    pub(crate) keys: keys::Pace,
    pub(crate) resolver: Resolver,
    pub(crate) watched: reflector::Store<Guarded>,
    pub(crate) records: Records,
    pub(crate) fast_path: FastPath,
    pub(crate) claim: Claim,
    pub(crate) stop: CancellationToken,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) announcer: Announcer,
    pub(crate) journal: Journal,
    pub(crate) backoff: Backoff,
    pub(crate) cleanup_within: Duration,
}

/// A resource at one generation: what a pass begins with, and writes for as long as the watch shows that and no other.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    reference: ObjectRef<Guarded>,
    uid: Option<String>,
    number: Option<i64>,
}

impl Generation {
    /// That of `object`.
    pub(crate) fn of(object: &OktaUserSync) -> Self {
        Self { reference: reference(object), uid: object.uid(), number: object.metadata.generation }
    }

    /// The resource, whatever its generation.
    pub(crate) fn reference(&self) -> &ObjectRef<Guarded> {
        &self.reference
    }

    /// Whether `now` is that resource with that specification, and is to stay.
    fn is(&self, now: &OktaUserSync) -> bool {
        now.metadata.uid == self.uid
            && now.metadata.generation == self.number
            && now.metadata.deletion_timestamp.is_none()
    }
}

impl Context {
    /// Whether a pass over a resource, begun at that generation, may still write: this process leads, is not stopping, and
    /// nobody has changed, suspended or deleted the resource since.
    pub(crate) fn may_write(&self, generation: &Generation) -> bool {
        self.claim.holds()
            && !self.stop.is_cancelled()
            && self
                .watched
                .get(&generation.reference)
                .is_some_and(|now| now.0.as_ref().is_ok_and(|now| generation.is(now)))
    }

    /// The resource as the watch saw it last, with its newest version, if it is still at that generation.
    pub(crate) fn at(&self, generation: &Generation) -> Option<OktaUserSync> {
        self.watched.get(&generation.reference)?.0.as_ref().ok().filter(|now| generation.is(now)).cloned()
    }

    /// Whether the watch shows `object`, and shows it as `wanted`.
    pub(crate) fn now(&self, object: &OktaUserSync, wanted: impl Fn(&OktaUserSync) -> bool) -> bool {
        self.watched.get(&reference(object)).is_some_and(|now| now.0.as_ref().is_ok_and(wanted))
    }
}

/// What the store of watched resources, and the controller, know it by.
pub(crate) fn reference(object: &OktaUserSync) -> ObjectRef<Guarded> {
    ObjectRef::new(&object.name_any()).within(object.namespace().as_deref().unwrap_or_default())
}

/// Why a reconcile is tried again. Failures of a pass are no such error: they are in status.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The Kubernetes API did not do its part.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The task ended without an answer.
    #[error("the pass broke off: {0}")]
    Broken(String),
}

/// Looks at one resource.
///
/// # Errors
/// The Kubernetes API refused or did not answer.
pub async fn reconcile(guarded: Arc<Guarded>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let uid = guarded.uid().unwrap_or_default();
    let mut record = context.records.take(&uid);
    // Looked up after the record was taken, which knows no status that the watch shows. What led here may be older.
    let guarded = newest(&guarded, &context).unwrap_or(guarded);
    let done = match &guarded.0 {
        Ok(object) => {
            context.metrics.undecodable(context.records.decodable(&uid, true));
            record.shown_as.get_or_insert_with(|| resource(object));
            Box::pin(look(&context, object, &mut record)).await
        }
        Err(invalid) => {
            context.metrics.undecodable(context.records.decodable(&uid, false));
            let (namespace, name) = (&invalid.metadata.namespace, &invalid.metadata.name);
            // No status is written: it would lose what the former one remembers (P5), which cannot be read either.
            warn!(?namespace, ?name, "left alone, because it cannot be decoded: {}", invalid.error);
            Ok(Action::await_change())
        }
    };
    // One that was deleted meanwhile has been forgotten already, and is not to be remembered again.
    if newest(&guarded, &context).is_some() {
        context.records.put(&uid, record);
        // The watch may have shown what was written before there was a record that could have been told.
        if let Some(now) = newest(&guarded, &context) {
            context.records.shown(&uid, now.resource_version().as_deref());
        }
    }
    Ok(done?)
}

/// The resource as the watch saw it last, if it is still there.
fn newest(guarded: &Guarded, context: &Context) -> Option<Arc<Guarded>> {
    let reference = ObjectRef::new(&guarded.name_any()).within(&guarded.namespace().unwrap_or_default());
    context.watched.get(&reference).filter(|now| now.uid() == guarded.uid())
}

async fn look(context: &Arc<Context>, object: &OktaUserSync, record: &mut Record) -> Result<Action, ApiError> {
    if !context.claim.holds() || context.stop.is_cancelled() {
        return Ok(Action::await_change());
    }
    let previous = record.status_of(object);
    let uid = object.uid().unwrap_or_default();
    if object.metadata.deletion_timestamp.is_some() {
        context.fast_path.close(&uid).await;
        return if object.finalizers().iter().any(|name| name == names::FINALIZER) {
            Box::pin(finalizer::end(context, object, previous, record)).await
        } else {
            Ok(Action::await_change())
        };
    }
    if record.unwritten {
        let shown = object.status.clone().unwrap_or_default();
        write(context, object, record, &shown, previous).await?;
    }
    let previous = record.status_of(object);
    context.metrics.status(&resource(object), &previous);
    context.metrics.spec(&resource(object), &object.spec);
    let generation = generation(object);
    if object.spec.suspend {
        context.fast_path.close(&uid).await;
        if let Some(mut next) = status::suspended(&previous, generation, Timestamp::now()) {
            next.fast_path = Some(fast_path::off());
            publish(context, object, record, &previous, next).await?;
        }
        return Ok(Action::await_change());
    }
    let secret_changed = secret_changed(context, object, &previous, record).await;
    let wanted = context.records.was_wanted(&uid);
    let known = Known {
        status: &previous,
        approval_seen: approval_seen(record),
        secret_changed,
        wanted,
        first_look: !record.passed,
    };
    let why = trigger::due(object, known, Timestamp::now());
    // Each write names the version that it is made on, so it has to know of the ones before it.
    let mut written = object.clone();
    let object = &mut written;
    let mut previous = previous;
    if why.is_some() {
        if let Some(version) = context.store.add_finalizer(object).await? {
            object.metadata.resource_version = Some(version);
        }
        if previous.observed_generation != Some(generation)
            && let Some(next) = status::begun(&previous, generation, Timestamp::now())
        {
            object.metadata.resource_version = write(context, object, record, &previous, next).await?;
            previous = record.status_of(object);
        }
    }
    let mut why = why;
    if let Some(next) = keys::tend(context, object, &previous, record, why.is_some()).await {
        if previous.public_key.is_none() && next.public_key.is_some() {
            // What the last pass lacked is there.
            why = why.or(Some(Trigger::Secret));
        }
        if let Some(version) = publish(context, object, record, &previous, next).await? {
            object.metadata.resource_version = Some(version);
        }
        previous = record.status_of(object);
    }
    let Some(why) = why else {
        debug!(name = object.name_any(), "not due");
        resume(context, object, &previous, record).await;
        return Ok(until_next(&previous, record));
    };
    let Some(next) = attempt(context, object, &previous, record, why).await else {
        return Ok(Action::await_change());
    };
    let wait = until_next(&next, record);
    publish(context, object, record, &previous, next).await?;
    Ok(wait)
}

/// The one status write of a pass, and what it tells. Answers the version after the write, for the next one.
async fn publish(
    context: &Arc<Context>,
    object: &OktaUserSync,
    record: &mut Record,
    previous: &OktaUserSyncStatus,
    next: OktaUserSyncStatus,
) -> Result<Option<String>, ApiError> {
    context.metrics.status(&resource(object), &next);
    let told = news(previous, &next);
    let version = match write(context, object, record, previous, next).await {
        // The resource is gone, or another of the same name is there.
        Err(error) if error.is_not_found() => None,
        other => other?,
    };
    let mut all = std::mem::take(&mut record.news);
    all.extend(told);
    context.announcer.tell(object, all).await;
    Ok(version)
}

/// Writes the status `next`, made from `previous`. It counts from now on, written or not: it remembers removals that have
/// happened (P5). But where another operator has written, that status is what the next pass begins with; our removals are
/// in the ledger.
///
/// Answers the version after the write, for the next one.
pub(crate) async fn write(
    context: &Context,
    object: &OktaUserSync,
    record: &mut Record,
    previous: &OktaUserSyncStatus,
    next: OktaUserSyncStatus,
) -> Result<Option<String>, ApiError> {
    record.unwritten = true;
    let unshown = record.unshown.insert(Box::new(Unshown { status: next, until: None }));
    match context.store.write_status(object, previous, &unshown.status).await {
        Ok(written) => {
            warn_of_definition(object, previous, &written.status);
            let version = written.version.clone();
            **unshown = Unshown::written(written);
            record.unwritten = false;
            Ok(version)
        }
        Err(error) => {
            if error.is_overtaken() {
                record.unshown = None;
                record.unwritten = false;
            }
            Err(error)
        }
    }
}

/// One line when part of the status begins to be lost, or is kept again.
fn warn_of_definition(object: &OktaUserSync, previous: &OktaUserSyncStatus, next: &OktaUserSyncStatus) {
    let said = |status: &OktaUserSyncStatus| {
        condition::find(&status.conditions, condition::DEFINITION_OUTDATED).map(|outdated| outdated.message.clone())
    };
    let (namespace, name) = (object.namespace(), object.name_any());
    match (said(previous), said(next)) {
        (before, Some(now)) if before.as_ref() != Some(&now) => warn!(namespace, name, "{now}"),
        (Some(_), None) => info!(namespace, name, "the installed definition knows every field of the status"),
        _ => {}
    }
}

fn generation(object: &OktaUserSync) -> i64 {
    object.metadata.generation.unwrap_or_default()
}

/// Whether what a Secret holds is another than at the last pass of this process. Asked only when one was written.
async fn secret_changed(
    context: &Arc<Context>,
    object: &OktaUserSync,
    status: &OktaUserSyncStatus,
    record: &Record,
) -> bool {
    if !context.records.was_touched(&object.uid().unwrap_or_default()) || !record.passed {
        return false;
    }
    let material = context.resolver.read(&subject(object, status), &context.secrets).await;
    Some(material.map(|material| material.prints())) != record.prints
}

/// The approval that a pass of this process has judged; `Some("")` if it judged none.
fn approval_seen(record: &Record) -> Option<&str> {
    record.passed.then(|| record.approval.as_deref().unwrap_or_default())
}

/// To look again when the next pass, or something about keys, is due.
fn until_next(status: &OktaUserSyncStatus, record: &Record) -> Action {
    let now = Timestamp::now();
    let wait = |until: Timestamp| Duration::try_from(until.duration_since(now)).unwrap_or_default();
    // A status knows whole seconds only, so a second is added rather than looking too early.
    let pass = status.next_run.as_ref().map(|next| wait(next.0) + Duration::from_secs(1));
    let keys = record.keys.wake().map(wait);
    pass.into_iter().chain(keys).min().map_or_else(Action::await_change, Action::requeue)
}

/// The wait after a reconcile that could not do its part with the Kubernetes API.
#[must_use]
pub fn after_error(guarded: &Guarded, error: &ReconcileError, context: &Context) -> Action {
    use kube::Resource as _;
    let meta = guarded.meta();
    let uid = meta.uid.clone().unwrap_or_default();
    if matches!(error, ReconcileError::Api(error) if error.is_conflict()) {
        debug!(name = meta.name, "somebody else wrote first: {error}");
        return Action::requeue(Duration::from_secs(1));
    }
    warn!(namespace = meta.namespace, name = meta.name, "{error}");
    context.metrics.kubernetes_failed();
    let mut record = context.records.take(&uid);
    record.failures = record.failures.saturating_add(1);
    let wait = context.backoff.after(record.failures, context.backoff.most);
    let seed = format!("{uid}/{}", record.failures);
    context.records.put(&uid, record);
    Action::requeue(pace::jittered(wait, &seed))
}

#[cfg(test)]
pub(crate) mod tests;
