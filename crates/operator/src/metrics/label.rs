//! Labels. Their values are names of resources, of Okta organisations and words of this program: never people, so the
//! number of series is bounded by what administrators make.
//!
//! A resource's labels are `resource_namespace` and `resource_name`. A plain `namespace` would collide with the label
//! that every scrape in Kubernetes adds, and come out as `exported_namespace` in some installations only.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder},
    metrics::family::{Family, MetricConstructor},
};

/// One resource.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub struct Resource {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl EncodeLabelSet for Resource {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ("resource_namespace", self.namespace.as_str()).encode(encoder.encode_label())?;
        ("resource_name", self.name.as_str()).encode(encoder.encode_label())
    }
}

/// A resource and further words.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(super) struct Of<W> {
    resource: Resource,
    words: W,
}

impl<W: EncodeLabelSet> EncodeLabelSet for Of<W> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.resource.encode(encoder)?;
        self.words.encode(encoder)
    }
}

/// No further words.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) struct Alone;

impl EncodeLabelSet for Alone {
    fn encode(&self, _: &mut LabelSetEncoder<'_>) -> fmt::Result {
        Ok(())
    }
}

/// Metrics of resources, each of which can be forgotten whole.
pub(super) struct PerResource<W, M> {
    family: Family<Of<W>, M>,
    known: Mutex<HashMap<Resource, HashSet<W>>>,
}

impl<W, M> Default for PerResource<W, M>
where
    W: Clone + Hash + Eq,
    M: Default,
{
    fn default() -> Self {
        Self { family: Family::default(), known: Mutex::default() }
    }
}

impl<W, M> PerResource<W, M>
where
    W: Clone + Hash + Eq,
    M: Clone + Default,
    fn() -> M: MetricConstructor<M>,
{
    /// For the registry.
    pub(super) fn family(&self) -> Family<Of<W>, M> {
        self.family.clone()
    }

    /// The metric of that resource with those words.
    pub(super) fn of(&self, resource: &Resource, words: W) -> M {
        self.known().entry(resource.clone()).or_default().insert(words.clone());
        self.family.get_or_create_owned(&Of { resource: resource.clone(), words })
    }

    /// Forgets a resource.
    pub(super) fn forget(&self, resource: &Resource) {
        for words in self.known().remove(resource).unwrap_or_default() {
            self.family.remove(&Of { resource: resource.clone(), words });
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Resource, HashSet<W>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
