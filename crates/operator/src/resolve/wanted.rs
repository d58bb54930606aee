//! One reference of a specification, and the words for when it leads nowhere.

use api::spec::SecretKeyRef;
use engine::failure::{Class, Failure, Side};

use crate::secrets::{SecretBytes, SecretError, Secrets};

/// One reference of a specification, and the words for when it leads nowhere.
pub(super) struct Wanted {
    pub(super) side: Side,
    pub(super) field: &'static str,
    pub(super) what: &'static str,
    pub(super) missing: &'static str,
    /// What else would do.
    pub(super) otherwise: &'static str,
}

impl Wanted {
    pub(super) async fn read(
        &self,
        namespace: &str,
        reference: Option<&SecretKeyRef>,
        secrets: &impl Secrets,
    ) -> Result<SecretBytes, Failure> {
        let Some(SecretKeyRef { name, key }) = reference else {
            return Err(self.failure(
                Class::Configuration,
                self.missing,
                format!("{} is not set", self.field),
                format!(
                    "put {} into a Secret of the namespace {namespace} and name it in {}{}",
                    self.what, self.field, self.otherwise
                ),
            ));
        };
        secrets.get(namespace, name, key).await.map_err(|error| {
            let (class, reason, remedy) = match &error {
                SecretError::NoSecret => (
                    Class::Configuration,
                    self.missing,
                    format!(
                        "make the Secret {name} in the namespace {namespace}, with {} under the key {key}",
                        self.what
                    ),
                ),
                SecretError::NoKey(_) => (
                    Class::Configuration,
                    self.missing,
                    format!("put {} under the key {key}, or name another key in {}", self.what, self.field),
                ),
                SecretError::Forbidden(_) => (
                    Class::Permission,
                    "SecretForbidden",
                    format!("let the operator's ServiceAccount get Secrets in the namespace {namespace}"),
                ),
                SecretError::Unavailable(_) => {
                    (Class::Transient, "SecretUnavailable", "nothing; it is tried again".to_owned())
                }
            };
            let message = format!("{}: Secret {namespace}/{name}, key {key}: {error}", self.field);
            self.failure(class, reason, message, remedy)
        })
    }

    fn failure(&self, class: Class, reason: &'static str, message: String, remedy: String) -> Failure {
        Failure::new(self.side, class, reason, message, remedy)
    }
}
