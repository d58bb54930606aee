//! Labels. Their values are names of resources, of Okta organisations and words of this program: never people, so the
//! number of series is bounded by what administrators make.
//!
//! A resource's labels are `resource_namespace` and `resource_name`. A plain `namespace` would collide with the label
//! that every scrape in Kubernetes adds, and come out as `exported_namespace` in some installations only.

use std::fmt;

use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};

/// One resource.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
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
pub(super) struct Of<'a, W> {
    pub(super) resource: &'a Resource,
    pub(super) words: &'a W,
}

impl<W: EncodeLabelSet> EncodeLabelSet for Of<'_, W> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.resource.encode(encoder)?;
        self.words.encode(encoder)
    }
}
