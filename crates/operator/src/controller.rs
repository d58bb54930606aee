//! The controller: which watches there are, and which of their events make it look at a resource.

use std::{
    future::Future,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use api::{OktaUserSync, names};
use futures::{FutureExt as _, Stream, StreamExt as _, future, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    runtime::{
        WatchStreamExt as _, applier,
        controller::{Config, ReconcileRequest, trigger_self},
        reflector::{self, ObjectRef},
        watcher,
    },
};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use crate::{
    fast_path::Wants,
    http::{Readiness, Role},
    reconcile::{Context, Guarded, ReconcileError, after_error, reconcile},
    references::{Reference, Watches, references},
};

/// Name of the obstacle in [`Readiness`] while the watch is broken.
const OBSTACLE: &str = "watch";

/// `kubectl apply` keeps a copy of the manifest here.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Where resources are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// In every namespace.
    Cluster,
    /// In one.
    Namespace(String),
}

/// Which resources this process serves: its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Where.
    pub reach: Reach,
    /// Those with these labels only, as `kubectl --selector` writes it.
    pub selector: Option<String>,
}

impl Shard {
    /// Name of the Lease of this shard: `base` for the process that serves everything; else with a suffix made from
    /// what is served, so that no two shards ever wait for each other.
    #[must_use]
    pub fn lease(&self, base: &str) -> String {
        if self.reach == Reach::Cluster && self.selector.is_none() {
            return base.to_owned();
        }
        let digest = Sha256::digest(format!("{:?}", (&self.reach, &self.selector)).as_bytes());
        let suffix = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        format!("{base}-{suffix:08x}")
    }
}

impl Reach {
    pub(crate) fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// A controller that is set up and not running yet.
pub struct Controller {
    /// What runs it.
    pub client: Client,
    /// Which resources.
    pub shard: Shard,
    /// How many resources are worked on at once; 0: without bound.
    pub concurrency: u16,
    /// Told how the watch is.
    pub readiness: Readiness,
    /// What every reconcile shares.
    pub context: Arc<Context>,
    /// The writing side of the context's store of watched resources.
    pub writer: reflector::store::Writer<Guarded>,
    /// Resources for which the fast path asks for a full pass.
    pub(crate) wants: Wants,
}

impl Controller {
    /// Runs until the context's stop; then ends when the reconciles that run have ended.
    pub async fn run(self) {
        let context = self.context.clone();
        let store = context.watched.clone();
        let stop = context.stop.clone();
        let config = Config::default().concurrency(self.concurrency);
        let (told, written) = unbounded_channel();
        let watches = Watches::new(self.client.clone(), told);
        let queue = stream::select(
            resources(&self.client, &self.shard, self.writer, context.clone(), self.readiness, watches),
            stream::select(
                referring(written, context.clone()),
                self.wants.map(|wanted| Ok(ReconcileRequest::from(wanted))),
            ),
        )
        .take_until(stop.cancelled_owned());
        let look = |object, context| on_own_task(reconcile(object, context));
        let policy =
            |object: Arc<Guarded>, error: &ReconcileError, context: Arc<Context>| after_error(&object, error, &context);
        applier(look, policy, context, store, queue.boxed(), config)
            .for_each(|done| {
                if let Err(kube::runtime::controller::Error::QueueError(error)) = done {
                    warn!("the watch of OktaUserSyncs is broken and is tried again: {error}");
                }
                future::ready(())
            })
            .await;
    }
}

/// Requests for resources that were written in a way that matters.
fn resources(
    client: &Client,
    shard: &Shard,
    writer: reflector::store::Writer<Guarded>,
    context: Arc<Context>,
    readiness: Readiness,
    mut named: Watches,
) -> impl Stream<Item = Result<ReconcileRequest<Guarded>, watcher::Error>> + Send + use<> {
    let mut failures = 0_u32;
    let config = watcher::Config { label_selector: shard.selector.clone(), ..watcher::Config::default() };
    let watched = watcher(shard.reach.api::<Guarded>(client), config)
        .modify(|object| forget_bookkeeping(object.meta_mut()))
        .default_backoff()
        .reflect(writer)
        .inspect(move |event| {
            failures = if event.is_ok() { 0 } else { failures.saturating_add(1) };
            follow(event, &context, &mut named);
            observe(event, &context, &readiness, failures);
        })
        .applied_objects()
        .predicate_filter(fingerprint, kube::runtime::PredicateConfig::default());
    trigger_self(watched, ())
}

/// What others note on a resource for themselves, and what is often larger than the resource: it is not kept in memory, and
/// never written back.
fn forget_bookkeeping(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

/// What the watch itself tells: whether it works, and who is gone. `failures`: how often in a row it has failed.
fn observe(
    event: &Result<watcher::Event<Guarded>, watcher::Error>,
    context: &Context,
    readiness: &Readiness,
    failures: u32,
) {
    match event {
        Ok(watcher::Event::InitDone) => {
            readiness.cleared(OBSTACLE);
            readiness.role(Role::Leading);
            let all = context.watched.state();
            for object in &all {
                shown(object, context);
            }
            let there = all.iter().filter_map(|object| object.uid()).collect();
            context.fast_path.keep(&there);
            for gone in context.records.keep(&there) {
                context.metrics.forget(&gone);
            }
        }
        Ok(watcher::Event::Delete(object)) => {
            let meta = object.meta();
            let gone = crate::metrics::Resource {
                namespace: meta.namespace.clone().unwrap_or_default(),
                name: meta.name.clone().unwrap_or_default(),
            };
            context.fast_path.forget(meta.uid.as_deref().unwrap_or_default());
            context.records.forget(meta.uid.as_deref().unwrap_or_default(), &gone);
            context.metrics.forget(&gone);
        }
        Ok(watcher::Event::Apply(object)) => {
            readiness.cleared(OBSTACLE);
            shown(object, context);
        }
        Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => readiness.cleared(OBSTACLE),
        Err(error) => {
            let why = format!("OktaUserSyncs cannot be watched: {error}");
            readiness.blocked_for(OBSTACLE, why, next_failure_within(failures));
        }
    }
}

/// Tells the record of a resource what the store of the watch, which is told first, shows by now.
fn shown(object: &Guarded, context: &Context) {
    let meta = object.meta();
    context.records.shown(meta.uid.as_deref().unwrap_or_default(), meta.resource_version.as_deref());
}

/// When the next failure would be known at the latest. A watch that works again says nothing as long as nobody writes a
/// resource, so its silence for that long is the good news. (The watch is tried again after 0.8 s, then twice as long each
/// time, up to 30 s, with jitter; and an answer may take a while.)
fn next_failure_within(failures: u32) -> Duration {
    let wait = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(failures)).min(Duration::from_secs(30));
    2 * wait + crate::kubernetes::CALL_LIMIT
}

/// Everything about a resource that may make a pass due. Status is not among it; finalizers and the deletion stamp are,
/// which a generation alone would swallow.
#[allow(clippy::unnecessary_wraps, reason = "a predicate may have no answer")]
fn fingerprint(object: &Guarded) -> Option<u64> {
    let meta = object.meta();
    let annotation = |key| meta.annotations.as_ref().and_then(|all| all.get(key));
    let mut hasher = DefaultHasher::new();
    (&meta.uid, meta.generation, &meta.finalizers, meta.deletion_timestamp.is_some()).hash(&mut hasher);
    (annotation(names::REQUESTED_AT), annotation(names::APPROVE_PLAN), annotation(names::ROTATE_KEY)).hash(&mut hasher);
    Some(hasher.finish())
}

/// Keeps the watches of what resources refer to in step with the resources.
fn follow(event: &Result<watcher::Event<Guarded>, watcher::Error>, context: &Context, watches: &mut Watches) {
    match event {
        Ok(watcher::Event::Apply(guarded) | watcher::Event::InitApply(guarded)) => {
            // One that cannot be decoded is left alone, and so is what it may refer to.
            let wanted = guarded.0.as_ref().map(references).unwrap_or_default();
            watches.follow(guarded.meta().uid.as_deref().unwrap_or_default(), &wanted);
            if guarded.meta().deletion_timestamp.is_some() {
                context.records.depart();
            }
        }
        Ok(watcher::Event::Delete(guarded)) => watches.forget(guarded.meta().uid.as_deref().unwrap_or_default()),
        Ok(watcher::Event::InitDone) => {
            watches.keep(&context.watched.state().iter().filter_map(|object| object.uid()).collect());
        }
        Ok(watcher::Event::Init) | Err(_) => {}
    }
}

/// Requests for resources that refer to an object that was made, written or deleted; each is marked, so that its
/// reconcile looks at the content.
fn referring(
    mut written: UnboundedReceiver<Reference>,
    context: Arc<Context>,
) -> impl Stream<Item = Result<ReconcileRequest<Guarded>, watcher::Error>> + Send {
    let written = stream::poll_fn(move |task| written.poll_recv(task));
    written.flat_map(move |reference| {
        let refers = |object: &OktaUserSync| references(object).contains(&reference);
        let found = context.watched.state_filter(|guarded| guarded.0.as_ref().is_ok_and(refers));
        let requests: Vec<_> = found
            .iter()
            .filter_map(|guarded| guarded.0.as_ref().ok())
            .map(|object| {
                context.records.touch(&object.uid().unwrap_or_default());
                debug!(name = object.name_any(), ?reference, "something that it refers to was written");
                let named = ObjectRef::new(&object.name_any()).within(&reference.namespace);
                Ok(ReconcileRequest::from(named))
            })
            .collect();
        stream::iter(requests)
    })
}

/// Runs a reconcile on a task of its own, so that one that computes holds up no other. Dropped, it is aborted.
fn on_own_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, ReconcileError>> + Send + 'static,
) -> impl Future<Output = Result<T, ReconcileError>> + Unpin {
    AbortOnDropHandle::new(tokio::spawn(work))
        .map(|ended| ended.unwrap_or_else(|error| Err(ReconcileError::Broken(error.to_string()))))
}

/// How long the ends of reconciles are waited for after a stop.
pub const GRACE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_note_on_a_resource_is_not_kept() {
        let kept = || [(names::REQUESTED_AT.to_owned(), "now".to_owned())].into();
        let mut meta = ObjectMeta { managed_fields: Some(vec![]), annotations: Some(kept()), ..ObjectMeta::default() };
        meta.annotations.get_or_insert_default().insert(LAST_APPLIED.into(), "{}".into());
        forget_bookkeeping(&mut meta);
        assert_eq!(meta, ObjectMeta { annotations: Some(kept()), ..ObjectMeta::default() });
    }

    #[test]
    fn each_shard_has_a_lease_of_its_own() {
        let shard = |reach: Reach, selector: Option<&str>| Shard { reach, selector: selector.map(str::to_owned) };
        let namespace = || Reach::Namespace("home".into());
        let names = [
            shard(Reach::Cluster, None),
            shard(Reach::Cluster, Some("shard=a")),
            shard(Reach::Cluster, Some("shard=b")),
            shard(namespace(), None),
            shard(namespace(), Some("shard=a")),
        ]
        .map(|shard| shard.lease("okta-user-sync"));
        assert_eq!(names[0], "okta-user-sync");
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
        assert_eq!(
            shard(namespace(), None).lease("x"),
            shard(namespace(), None).lease("x"),
            "the same after a restart"
        );
        assert!(names.iter().all(|name| name.len() <= "okta-user-sync".len() + 9), "{names:?}");
    }
}
