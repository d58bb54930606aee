//! The bundle of certificate authorities that a resource names for Okta (`okta.caBundleRef`).

use api::spec::{BundleKind, BundleRef};
use engine::failure::{Class, Failure, Side};
use secrecy::ExposeSecret as _;

use super::Subject;
use crate::secrets::{SecretError, Secrets};

/// The bundle that `subject` refers to; `None` if it names none.
///
/// # Errors
/// The reference leads nowhere. That there are certificates in it is found out where the client is made.
pub(super) async fn read(subject: &Subject<'_>, secrets: &impl Secrets) -> Result<Option<Vec<u8>>, Failure> {
    let Some(reference) = &subject.spec.okta.ca_bundle_ref else { return Ok(None) };
    let BundleRef { kind, name, key } = reference;
    let read = match kind {
        BundleKind::ConfigMap => secrets.get_config(subject.namespace, name, key).await,
        BundleKind::Secret => {
            secrets.get(subject.namespace, name, key).await.map(|bytes| bytes.expose_secret().to_vec())
        }
    };
    read.map(Some).map_err(|error| failure(subject.namespace, reference, &error))
}

/// Several bundles as one: the operator's own, and that of the resource.
pub(super) fn joined(bundles: [Option<&[u8]>; 2]) -> Option<Vec<u8>> {
    let given: Vec<&[u8]> = bundles.into_iter().flatten().collect();
    (!given.is_empty()).then(|| given.join(&b'\n'))
}

fn failure(namespace: &str, reference: &BundleRef, error: &SecretError) -> Failure {
    let BundleRef { kind, name, key } = reference;
    let kind = kind.as_str();
    let what = "the certificates of the authorities (PEM)";
    let (class, reason, remedy) = match error {
        SecretError::NoSecret => (
            Class::Configuration,
            "CaBundleMissing",
            format!("make the {kind} {name} in the namespace {namespace}, with {what} under the key {key}"),
        ),
        SecretError::NoKey(_) => (
            Class::Configuration,
            "CaBundleMissing",
            format!("put {what} under the key {key}, or name another key in okta.caBundleRef"),
        ),
        SecretError::Forbidden(_) => (
            Class::Permission,
            "SecretForbidden",
            format!("let the operator's ServiceAccount get {kind}s in the namespace {namespace}"),
        ),
        SecretError::Unavailable(_) => (Class::Transient, "SecretUnavailable", "nothing; it is tried again".to_owned()),
    };
    let message = format!("okta.caBundleRef: {kind} {namespace}/{name}, key {key}: {error}");
    Failure::new(Side::Okta, class, reason, message, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{secrets::MapSecrets, status::tests::example};

    fn naming(kind: BundleKind, name: &str, key: &str) -> api::OktaUserSyncSpec {
        let mut spec = example().spec;
        spec.okta.ca_bundle_ref = Some(BundleRef { kind, name: name.into(), key: key.into() });
        spec
    }

    async fn bundle(spec: &api::OktaUserSyncSpec) -> Result<Option<Vec<u8>>, Failure> {
        let mut secrets = MapSecrets::default();
        secrets.insert("home", "ca", "ca.crt", b"of a Secret".to_vec());
        secrets.insert_config("home", "ca", "ca.crt", b"of a ConfigMap".to_vec());
        let subject = Subject { namespace: "home", name: "acme", spec, own_key: None, approvals: vec![] };
        read(&subject, &secrets).await
    }

    #[tokio::test]
    async fn a_bundle_comes_from_a_config_map_or_a_secret() {
        assert_eq!(bundle(&example().spec).await.unwrap(), None);
        for (kind, content) in [(BundleKind::ConfigMap, "of a ConfigMap"), (BundleKind::Secret, "of a Secret")] {
            let found = bundle(&naming(kind, "ca", "ca.crt")).await.unwrap();
            assert_eq!(found.as_deref(), Some(content.as_bytes()));
        }
        assert_eq!(joined([Some(b"a"), Some(b"b")]).as_deref(), Some(&b"a\nb"[..]));
        assert_eq!(joined([None, Some(b"b")]).as_deref(), Some(&b"b"[..]));
        assert_eq!(joined([None, None]), None);
    }

    #[tokio::test]
    async fn a_reference_that_leads_nowhere_is_named() {
        let (map, secret) = (BundleKind::ConfigMap, BundleKind::Secret);
        for (kind, name, key, words) in [
            (map, "gone", "ca.crt", "ConfigMap home/gone, key ca.crt: it does not exist"),
            (secret, "gone", "ca.crt", "Secret home/gone, key ca.crt: it does not exist"),
            (map, "ca", "other", "it has no such key; it has: ca.crt"),
        ] {
            let failure = bundle(&naming(kind, name, key)).await.unwrap_err();
            assert_eq!(
                (failure.side, failure.class, failure.reason),
                (Side::Okta, Class::Configuration, "CaBundleMissing")
            );
            assert!(failure.message.contains(words) && !failure.remedy.is_empty(), "{failure:?}");
        }
    }
}
