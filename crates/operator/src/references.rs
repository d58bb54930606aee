//! What resources refer to by name, and the watches of it: one for each object that is referred to, by its name, of its
//! metadata only.
//!
//! One watch of all Secrets would be less work here, but needs the right to list every Secret of the namespace, or of
//! the cluster. With these a rule with `resourceNames` is enough, and what nobody refers to is never seen. The kubelet
//! does the same for the Secrets of its pods.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use api::{OktaUserSync, spec::BundleKind};
use futures::{Stream, StreamExt as _};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

/// How long one watch lasts before it is asked for anew. Long, because there may be hundreds; a connection that has
/// died is noticed by its silence ([`crate::kubernetes::SILENCE`]).
const WATCH_LASTS: Duration = Duration::from_secs(1800);

/// What kind of object is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A `ConfigMap`.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// One object that a resource refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, which is the resource's own.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Everything that `object` refers to.
#[must_use]
pub fn references(object: &OktaUserSync) -> BTreeSet<Reference> {
    let spec = &object.spec;
    let secrets = [&spec.okta.private_key_secret_ref, &spec.teleport.identity_secret_ref];
    let named = secrets.into_iter().flatten().map(|reference| (Kind::Secret, reference.name.as_str()));
    let bundle = spec.okta.ca_bundle_ref.as_ref().map(|bundle| match bundle.kind {
        BundleKind::ConfigMap => (Kind::ConfigMap, bundle.name.as_str()),
        BundleKind::Secret => (Kind::Secret, bundle.name.as_str()),
    });
    // Those of keys that the operator made for it are named in its status.
    let made = object.status.iter().flat_map(|status| &status.public_key).flat_map(|key| key.secret_names());
    named
        .chain(bundle)
        .chain(made.map(|name| (Kind::Secret, name)))
        .map(|(kind, name)| Reference {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: name.to_owned(),
        })
        .collect()
}

/// The watches that are needed now, and no others.
pub struct Watches {
    client: Client,
    /// Told of each object that was made, written or deleted.
    told: UnboundedSender<Reference>,
    /// By uid. Most resources refer to what others refer to as well.
    wanted: HashMap<String, Box<[Arc<Reference>]>>,
    running: HashMap<Arc<Reference>, AbortOnDropHandle<()>>,
}

impl Watches {
    /// No watches yet; each will tell `told`.
    #[must_use]
    pub fn new(client: Client, told: UnboundedSender<Reference>) -> Self {
        Self { client, told, wanted: HashMap::new(), running: HashMap::new() }
    }

    /// The resource `uid` refers to `references` now.
    pub fn follow(&mut self, uid: &str, references: &BTreeSet<Reference>) {
        if self.wanted.get(uid).is_some_and(|before| before.iter().map(AsRef::as_ref).eq(references)) {
            return;
        }
        let wanted = references.iter().map(|reference| self.watched(reference)).collect();
        self.wanted.insert(uid.to_owned(), wanted);
        self.end_unwanted();
    }

    /// The reference, which is watched from now on.
    fn watched(&mut self, reference: &Reference) -> Arc<Reference> {
        if let Some((watched, _)) = self.running.get_key_value(reference) {
            return watched.clone();
        }
        let watched = Arc::new(reference.clone());
        let task = watch(self.client.clone(), reference.clone(), self.told.clone());
        self.running.insert(watched.clone(), AbortOnDropHandle::new(tokio::spawn(task)));
        watched
    }

    /// The resource `uid` is gone.
    pub fn forget(&mut self, uid: &str) {
        if self.wanted.remove(uid).is_some() {
            self.end_unwanted();
        }
    }

    /// All resources but these are gone.
    pub fn keep(&mut self, there: &HashSet<String>) {
        self.wanted.retain(|uid, _| there.contains(uid));
        self.end_unwanted();
    }

    fn end_unwanted(&mut self) {
        let wanted: HashSet<&Arc<Reference>> = self.wanted.values().flatten().collect();
        self.running.retain(|reference, _| wanted.contains(reference));
    }
}

/// Watches one object until it is dropped.
async fn watch(client: Client, reference: Reference, told: UnboundedSender<Reference>) {
    match reference.kind {
        Kind::Secret => follow(versions::<Secret>(client, &reference), reference, &told).await,
        Kind::ConfigMap => follow(versions::<ConfigMap>(client, &reference), reference, &told).await,
    }
}

/// What a watch shows: the version of the object, or that there is none.
type Seen = Result<Option<String>, watcher::Error>;

/// The versions of one object, as they come.
fn versions<K>(client: Client, reference: &Reference) -> impl Stream<Item = Seen> + Send + use<K>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
    PartialObjectMeta<K>: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned,
{
    let api = Api::<PartialObjectMeta<K>>::namespaced(client, &reference.namespace);
    let config = watcher::Config::default()
        .fields(&format!("metadata.name={}", reference.name))
        .timeout(u32::try_from(WATCH_LASTS.as_secs()).unwrap_or(u32::MAX));
    let mut listed = None;
    watcher(api, config).default_backoff().filter_map(move |event| {
        let seen = match event {
            Err(error) => Some(Err(error)),
            Ok(watcher::Event::Init) => {
                listed = None;
                None
            }
            Ok(watcher::Event::InitApply(object)) => {
                listed = object.resource_version();
                None
            }
            Ok(watcher::Event::InitDone) => Some(Ok(listed.take())),
            Ok(watcher::Event::Apply(object)) => Some(Ok(object.resource_version())),
            Ok(watcher::Event::Delete(_)) => Some(Ok(None)),
        };
        std::future::ready(seen)
    })
}

/// Tells of each change. What the first look finds counts as one: it may have been written since a pass read it.
async fn follow(versions: impl Stream<Item = Seen>, reference: Reference, told: &UnboundedSender<Reference>) {
    let mut versions = std::pin::pin!(versions);
    let (mut last, mut broken) = (None, false);
    while let Some(seen) = versions.next().await {
        match seen {
            Ok(version) => {
                broken = false;
                if version != last {
                    debug!(?reference, "was written");
                    // Nobody listens any more: the controller is ending.
                    if told.send(reference.clone()).is_err() {
                        return;
                    }
                }
                last = version;
            }
            Err(error) => {
                // Without it, a change is seen at the next pass; no reason to hold anything up.
                if !broken {
                    warn!(?reference, "cannot be watched, and is tried again: {error}");
                }
                broken = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::status::tests::example;

    fn secret(name: &str) -> Reference {
        Reference { kind: Kind::Secret, namespace: "home".into(), name: name.into() }
    }

    #[test]
    fn references_are_those_of_the_specification_in_its_own_namespace() {
        let mut object = example();
        assert_eq!(references(&object), BTreeSet::new());
        let named = |name: &str| Some(api::spec::SecretKeyRef { name: name.into(), key: "x".into() });
        object.spec.okta.private_key_secret_ref = named("key");
        object.spec.teleport.identity_secret_ref = named("identity");
        assert_eq!(references(&object), [secret("key"), secret("identity")].into());
        for (kind, reference) in [
            (BundleKind::ConfigMap, Reference { kind: Kind::ConfigMap, ..secret("ca") }),
            (BundleKind::Secret, secret("ca")),
        ] {
            let bundle = api::spec::BundleRef { kind, name: "ca".into(), key: "ca.crt".into() };
            object.spec.okta.ca_bundle_ref = Some(bundle);
            assert_eq!(references(&object), [secret("key"), secret("identity"), reference].into());
        }
    }

    #[tokio::test]
    async fn each_change_is_told_once_however_the_watch_learns_of_it() {
        let version = |n: u64| Ok(Some(n.to_string()));
        // Absent; made; the same again after a broken watch; written while it was broken; deleted; still absent.
        let broken = || Err(watcher::Error::NoResourceVersion);
        let story = [Ok(None), version(1), broken(), version(1), broken(), broken(), version(3), Ok(None), Ok(None)];
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        follow(futures::stream::iter(VecDeque::from(story)), secret("key"), &told).await;
        drop(told);
        let mut times = 0;
        while heard.recv().await.is_some() {
            times += 1;
        }
        assert_eq!(times, 3, "made, written, deleted");
    }

    #[tokio::test]
    async fn a_watch_lives_as_long_as_somebody_refers_to_it() {
        let client = Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let mut watches = Watches::new(client, tokio::sync::mpsc::unbounded_channel().0);
        let running = |watches: &Watches| watches.running.keys().map(|of| (**of).clone()).collect::<BTreeSet<_>>();
        watches.follow("1", &[secret("a"), secret("b")].into());
        watches.follow("2", &[secret("a")].into());
        // Hundreds of resources may refer to one Secret: its name is kept once.
        assert!(Arc::ptr_eq(&watches.wanted["1"][0], &watches.wanted["2"][0]));
        assert_eq!(running(&watches), [secret("a"), secret("b")].into());
        watches.follow("1", &[secret("c")].into());
        assert_eq!(running(&watches), [secret("a"), secret("c")].into());
        watches.forget("2");
        assert_eq!(running(&watches), [secret("c")].into());
        watches.keep(&HashSet::new());
        assert_eq!(running(&watches), BTreeSet::new());
    }
}
