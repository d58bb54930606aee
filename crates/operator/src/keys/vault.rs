//! The Secrets in which keys are kept: one for each key, immutable, made and deleted but never changed.
//!
//! The name of a Secret follows from the resource's uid and the key's number, so that two processes that make the same
//! key get one Secret: the second is told that it is there. Another object of that name is never touched.

use api::{OktaUserSync, names, status::Jwk};
use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
};
use okta::key::{KeyError, PrivateKey};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::rotation::Key;
use crate::{
    kubernetes::{ApiError, within_limit},
    secrets::SecretBytes,
};

/// Where the private half (PKCS#8 PEM) lies within a Secret.
pub const PRIVATE: &str = "private.pem";
/// Where the public half lies, for people.
const PUBLIC: &str = "public.jwk.json";

/// Longest part of a resource's name in the name of a Secret.
const NAME_PART: usize = 200;

/// A key and the Secret that holds it.
pub(super) struct Held {
    /// Number, name, age.
    pub(super) key: Key,
    /// The Secret's name.
    pub(super) secret: String,
    /// The Secret's uid.
    uid: Option<String>,
    /// The public half.
    pub(super) jwk: Jwk,
    /// The private half.
    pub(super) private: SecretBytes,
}

/// The keys of a cluster's resources.
#[derive(Clone)]
pub struct Vault {
    client: Client,
}

impl Vault {
    /// Works with the rights of `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    fn api(&self, object: &OktaUserSync) -> Api<Secret> {
        Api::namespaced(self.client.clone(), object.namespace().as_deref().unwrap_or_default())
    }

    /// The keys of `object`. A Secret that only looks like one of ours (another type or owner, no key in it) is none.
    pub(super) async fn keys(&self, object: &OktaUserSync) -> Result<Vec<Held>, ApiError> {
        let uid = object.uid().unwrap_or_default();
        let ours = ListParams::default().labels(&format!("{}={uid}", names::KEY_OF_LABEL));
        let list = within_limit(self.api(object).list(&ours)).await?;
        Ok(list.items.into_iter().filter(|secret| is_ours(secret, &uid)).filter_map(held).collect())
    }

    /// Keeps `key` in a new Secret. `false`: there is an object of that name already, and nothing was written.
    pub(super) async fn put(
        &self,
        object: &OktaUserSync,
        number: u32,
        key: &PrivateKey,
        now: jiff::Timestamp,
    ) -> Result<bool, PutError> {
        let secret = secret(object, number, key, now)?;
        let params = PostParams { field_manager: Some(names::FIELD_MANAGER.into()), ..PostParams::default() };
        match within_limit(self.api(object).create(&params, &secret)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the Secret of a key, and no other that may have its name by now.
    pub(super) async fn remove(&self, object: &OktaUserSync, held: &Held) -> Result<(), ApiError> {
        let only = Preconditions { uid: held.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
        match within_limit(self.api(object).delete(&held.secret, &params)).await {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }
}

/// Why a key could not be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum PutError {
    /// The Kubernetes API did not do its part.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The key cannot be written as PEM.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Name of the Secret of a key: of the resource for people, of its uid so that one made anew gets another.
#[must_use]
pub fn secret_name(object: &OktaUserSync, number: u32) -> String {
    let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
    let digest = hex::encode(&Sha256::digest(uid.as_bytes())[..4]);
    let part: String = name.chars().take(NAME_PART).collect();
    format!("{}-okta-key-{digest}-{number}", part.trim_end_matches(['.', '-']))
}

fn secret(object: &OktaUserSync, number: u32, key: &PrivateKey, now: jiff::Timestamp) -> Result<Secret, KeyError> {
    let uid = object.uid().unwrap_or_default();
    let owner = OwnerReference {
        api_version: OktaUserSync::api_version(&()).into_owned(),
        kind: OktaUserSync::kind(&()).into_owned(),
        name: object.name_any(),
        uid: uid.clone(),
        controller: Some(true),
        // True would need the right to change the resource's finalizers in another place, and nothing has to wait.
        block_owner_deletion: Some(false),
    };
    let labels = [
        ("app.kubernetes.io/managed-by", names::FIELD_MANAGER.to_owned()),
        (names::KEY_OF_LABEL, uid),
        (names::KEY_NUMBER_LABEL, number.to_string()),
    ];
    let public = serde_json::to_vec(&key.public_jwk()).map_err(|_| KeyError::Generation)?;
    let private = key.to_pkcs8_pem()?;
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(secret_name(object, number)),
            labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            annotations: Some([(names::KEY_CREATED.to_owned(), now.to_string())].into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some(names::KEY_SECRET_TYPE.to_owned()),
        immutable: Some(true),
        data: Some(
            [
                (PRIVATE.to_owned(), ByteString(private.expose_secret().as_bytes().to_vec())),
                (PUBLIC.to_owned(), ByteString(public)),
            ]
            .into(),
        ),
        ..Secret::default()
    })
}

/// Whether a Secret that carries our label was made by us for the resource of that uid.
fn is_ours(secret: &Secret, uid: &str) -> bool {
    secret.type_.as_deref() == Some(names::KEY_SECRET_TYPE)
        && secret.metadata.deletion_timestamp.is_none()
        && secret.owner_references().iter().any(|owner| owner.uid == uid)
}

/// The key of a Secret of ours.
fn held(mut secret: Secret) -> Option<Held> {
    let private: SecretBytes = secret.data.as_mut()?.remove(PRIVATE)?.0.into();
    let number = secret.labels().get(names::KEY_NUMBER_LABEL)?.parse().ok()?;
    let key = PrivateKey::parse(private.expose_secret()).ok()?;
    let told = secret.annotations().get(names::KEY_CREATED).and_then(|at| at.parse().ok());
    let created = told.or_else(|| Some(secret.creation_timestamp()?.0))?;
    Some(Held {
        key: Key { number, kid: key.kid().to_owned(), created },
        secret: secret.name_any(),
        uid: secret.uid(),
        jwk: jwk(&key)?,
        private,
    })
}

/// The public half as status shows it.
fn jwk(key: &PrivateKey) -> Option<Jwk> {
    serde_json::from_value(serde_json::to_value(key.public_jwk()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use okta::key::KeyKind;

    use super::*;
    use crate::status::tests::example;

    #[test]
    fn the_name_of_a_secret_follows_from_resource_and_number() {
        let object = example();
        assert_eq!(secret_name(&object, 1), secret_name(&object, 1));
        assert_ne!(secret_name(&object, 1), secret_name(&object, 2));
        let mut anew = object.clone();
        anew.metadata.uid = Some("uid-2".into());
        assert_ne!(secret_name(&object, 1), secret_name(&anew, 1), "made anew under the same name");
        let mut long = object;
        long.metadata.name = Some(format!("{}.{}", "a".repeat(NAME_PART - 1), "b".repeat(53)));
        let name = secret_name(&long, u32::MAX);
        assert!(name.len() <= 253 && !name.contains(".-"), "{name}");
    }

    #[test]
    fn a_secret_holds_its_key_and_is_read_back_as_it_was() {
        let (object, now) = (example(), "2026-01-02T03:04:05Z".parse().unwrap());
        let key = PrivateKey::generate(KeyKind::P256).unwrap();
        let made = secret(&object, 3, &key, now).unwrap();
        assert_eq!((made.immutable, made.type_.as_deref()), (Some(true), Some("usersync.dev/okta-key")));
        assert!(is_ours(&made, "uid-1") && !is_ours(&made, "uid-2"));
        let held = held(made).unwrap();
        assert_eq!(held.key, Key { number: 3, kid: key.kid().to_owned(), created: now });
        assert_eq!(serde_json::to_value(&held.jwk).unwrap(), serde_json::to_value(key.public_jwk()).unwrap());
    }

    #[test]
    fn what_only_looks_like_a_key_of_ours_is_none() {
        let key = PrivateKey::generate(KeyKind::P256).unwrap();
        let made = secret(&example(), 1, &key, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let changed = |change: fn(&mut Secret)| {
            let mut other = made.clone();
            change(&mut other);
            is_ours(&other, "uid-1") && held(other).is_some()
        };
        assert!(changed(|_| ()));
        assert!(!changed(|secret| secret.type_ = Some("Opaque".into())));
        assert!(!changed(|secret| secret.metadata.owner_references = None));
        assert!(!changed(|secret| secret.metadata.labels = None));
        assert!(!changed(|secret| drop(secret.data.as_mut().unwrap().insert(PRIVATE.into(), ByteString(vec![1])))));
        assert!(!changed(|secret| secret.data = None));
    }
}
