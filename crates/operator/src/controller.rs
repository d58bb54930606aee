//! The controller: which watches there are, and which of their events make it look at a resource.

use std::{
    future::Future,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use api::{OktaUserSync, names};
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, future, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _, applier,
        controller::{Config, ReconcileRequest, trigger_self, trigger_with},
        reflector::{self, ObjectRef},
        watcher,
    },
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use crate::{
    http::{Readiness, Role},
    reconcile::{Context, Guarded, ReconcileError, after_error, reconcile},
};

/// Name of the obstacle in [`Readiness`] while the watch is broken.
const OBSTACLE: &str = "watch";

/// Where resources (and their Secrets) are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// In every namespace.
    Cluster,
    /// In one.
    Namespace(String),
}

impl Reach {
    fn api<K>(&self, client: &Client) -> Api<K>
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
    /// Where.
    pub reach: Reach,
    /// How many resources are worked on at once; 0: without bound.
    pub concurrency: u16,
    /// Told how the watch is.
    pub readiness: Readiness,
    /// What every reconcile shares.
    pub context: Arc<Context>,
    /// The writing side of the context's store of watched resources.
    pub writer: reflector::store::Writer<Guarded>,
}

impl Controller {
    /// Runs until the context's stop; then ends when the reconciles that run have ended.
    pub async fn run(self) {
        let context = self.context.clone();
        let store = context.watched.clone();
        let stop = context.stop.clone();
        let config = Config::default().concurrency(self.concurrency);
        let queue = stream::select(
            resources(&self.client, &self.reach, self.writer, context.clone(), self.readiness),
            secrets(&self.client, &self.reach, context.clone()),
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
    reach: &Reach,
    writer: reflector::store::Writer<Guarded>,
    context: Arc<Context>,
    readiness: Readiness,
) -> impl Stream<Item = Result<ReconcileRequest<Guarded>, watcher::Error>> + Send + use<> {
    let watched = watcher(reach.api::<Guarded>(client), watcher::Config::default())
        .modify(|object| drop(object.meta_mut().managed_fields.take()))
        .default_backoff()
        .reflect(writer)
        .inspect(move |event| observe(event, &context, &readiness))
        .applied_objects()
        .predicate_filter(fingerprint, kube::runtime::PredicateConfig::default());
    trigger_self(watched, ())
}

/// What the watch itself tells: whether it works, and who is gone.
fn observe(event: &Result<watcher::Event<Guarded>, watcher::Error>, context: &Context, readiness: &Readiness) {
    match event {
        Ok(watcher::Event::InitDone) => {
            readiness.cleared(OBSTACLE);
            readiness.role(Role::Leading);
            let there = context.watched.state().iter().filter_map(|object| object.uid()).collect();
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
            context.records.forget(meta.uid.as_deref().unwrap_or_default(), &gone);
            context.metrics.forget(&gone);
        }
        Ok(_) => readiness.cleared(OBSTACLE),
        Err(error) => readiness.blocked(OBSTACLE, format!("OktaUserSyncs cannot be watched: {error}")),
    }
}

/// Everything about a resource that may make a pass due. Status is not among it; finalizers and the deletion stamp are,
/// which a generation alone would swallow.
#[allow(clippy::unnecessary_wraps, reason = "a predicate may have no answer")]
fn fingerprint(object: &Guarded) -> Option<u64> {
    let meta = object.meta();
    let annotation = |key| meta.annotations.as_ref().and_then(|all| all.get(key));
    let mut hasher = DefaultHasher::new();
    (&meta.uid, meta.generation, &meta.finalizers, meta.deletion_timestamp.is_some()).hash(&mut hasher);
    (annotation(names::REQUESTED_AT), annotation(names::APPROVE_PLAN)).hash(&mut hasher);
    Some(hasher.finish())
}

/// Requests for resources that refer to a Secret that was written, made or deleted. Only metadata travels.
fn secrets(
    client: &Client,
    reach: &Reach,
    context: Arc<Context>,
) -> impl Stream<Item = Result<ReconcileRequest<Guarded>, watcher::Error>> + Send + use<> {
    let touched = watcher(reach.api::<PartialObjectMeta<Secret>>(client), watcher::Config::default())
        .default_backoff()
        .touched_objects()
        .inspect_err(|error| warn!("the watch of Secrets is broken and is tried again: {error}"))
        // Without it, a changed Secret is seen at the next pass; no reason to hold anything up.
        .filter(|event| future::ready(event.is_ok()));
    trigger_with(touched, move |secret: PartialObjectMeta<Secret>| referring(&context, &secret.metadata))
}

/// Resources that refer to this Secret; each is marked, so that its reconcile looks at the content.
fn referring(context: &Context, secret: &kube::api::ObjectMeta) -> Vec<ObjectRef<Guarded>> {
    let (namespace, name) = (secret.namespace.as_deref(), secret.name.as_deref().unwrap_or_default());
    let refers = |object: &OktaUserSync| {
        let spec = &object.spec;
        object.metadata.namespace.as_deref() == namespace
            && [&spec.okta.private_key_secret_ref, &spec.teleport.identity_secret_ref]
                .into_iter()
                .flatten()
                .any(|reference| reference.name == name)
    };
    let found = context.watched.state_filter(|guarded| guarded.0.as_ref().is_ok_and(refers));
    found
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .map(|object| {
            context.records.touch(&object.uid().unwrap_or_default());
            debug!(name = object.name_any(), secret = name, "a Secret was written");
            ObjectRef::new(&object.name_any()).within(namespace.unwrap_or_default())
        })
        .collect()
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
