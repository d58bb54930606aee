//! What is told about keys: failures with their remedy, warnings, events. Names of keys only, never a key.

use api::{OktaUserSync, OktaUserSyncStatus, status::PublicKey};
use engine::failure::{Class, Failure, Side};
use kube::ResourceExt as _;
use okta::key::KeyError;

use super::is_forbidden;
use crate::{events::News, kubernetes::ApiError};

/// Where a key is added in Okta.
const PAGE: &str =
    "in Okta's Admin Console under Applications > Applications > your API Services app > General > Client Credentials";

/// Okta does not accept the key in use.
pub(super) fn not_accepted(object: &OktaUserSync, key: &PublicKey, why: &str) -> Failure {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    Failure::new(
        Side::Okta,
        Class::Credential,
        "KeyNotAccepted",
        format!("Okta does not accept the key {} that this operator made for the resource: {why}", key.kid),
        format!(
            "{PAGE} choose \"Public key / Private key\" and add the JWK that stands in status.publicKey.jwk (kubectl get ous \
             {name} -n {namespace} -o jsonpath='{{.status.publicKey.jwk}}'), or let Okta fetch it from the URL under which \
             /.well-known/{namespace}/{name}/jwks.json of this operator is published. The next try follows by itself."
        ),
    )
}

/// The key is too new for a question to Okta.
pub(super) fn just_made(object: &OktaUserSync, key: &PublicKey) -> Failure {
    Failure { class: Class::Waiting, ..not_accepted(object, key, "it has just been made") }
}

/// There is no key, and nothing has failed: this process was not allowed to write.
pub(super) fn not_yet() -> Failure {
    failure(Class::Transient, "KeyNotMade", "no key has been made for the resource yet", "nothing; it is tried again")
}

/// Secrets cannot be read or deleted.
pub(super) fn unavailable(error: &ApiError) -> Failure {
    let (class, reason, remedy) = if is_forbidden(error) {
        (Class::Permission, "SecretForbidden", RIGHTS)
    } else {
        (Class::Transient, "SecretUnavailable", "nothing; it is tried again")
    };
    failure(class, reason, format!("the Secrets that hold the keys of the resource: {error}"), remedy)
}

/// A Secret cannot be made.
pub(super) fn unwritable(object: &OktaUserSync, error: &ApiError) -> Failure {
    let namespace = object.namespace().unwrap_or_default();
    let message =
        format!("okta.privateKeySecretRef is not set, and no key can be kept in the namespace {namespace}: {error}");
    if is_forbidden(error) {
        return failure(Class::Permission, "SecretForbidden", message, RIGHTS);
    }
    failure(Class::Transient, "SecretUnavailable", message, "nothing; it is tried again")
}

const RIGHTS: &str = "let the operator's ServiceAccount create and delete Secrets there (the chart's value keys.create, \
                      which needs rbac.secretNames to be empty), or make a key yourself (okta-user-sync key new) and name \
                      its Secret in okta.privateKeySecretRef";

/// Another object has the name that the key's Secret would have.
pub(super) fn taken(secret: &str) -> Failure {
    failure(
        Class::Conflict,
        "KeySecretTaken",
        format!("the Secret {secret} is there and is none that this operator made, so it is left alone"),
        "rename or delete it; a key is made then",
    )
}

/// The key itself.
pub(super) fn unusable(error: &KeyError) -> Failure {
    failure(Class::Credential, error.reason(), error.to_string(), error.remedy())
}

fn failure(class: Class, reason: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Failure {
    Failure::new(Side::Okta, class, reason, message, remedy)
}

/// What is worth knowing while the key in use does its work.
pub(super) fn warnings(object: &OktaUserSync, key: &PublicKey, trouble: Option<&Failure>) -> Vec<String> {
    let name = object.name_any();
    let waits = key.next.as_ref().map(|next| {
        format!(
            "the next key {} waits until Okta accepts it, and the one in use goes on meanwhile: unless Okta fetches keys \
             from a URL, {PAGE} add the JWK of status.publicKey.next.jwk (kubectl get ous {name} -o \
             jsonpath='{{.status.publicKey.next.jwk}}') beside the one in use",
            next.kid
        )
    });
    let trouble = trouble.map(|failure| format!("no other key could be made: {}", crate::status::sentence(failure)));
    waits.into_iter().chain(trouble).collect()
}

/// What is new about keys in `next`.
pub(crate) fn news(previous: &OktaUserSyncStatus, next: &OktaUserSyncStatus) -> Vec<News> {
    let mut all = Vec::new();
    let mut tell = |warning, reason: &str, note: String| {
        all.push(News { action: "RotateKey", ..News::of_sync(warning, reason, note) });
    };
    let Some(key) = &next.public_key else { return all };
    let before = previous.public_key.as_ref();
    let known = |kid: &str| before.is_some_and(|before| before.jwks().any(|jwk| jwk.kid == kid));
    let kid = &key.kid;
    match before {
        None => tell(
            false,
            "KeyMade",
            format!("the key {kid} is in the Secret {}; add status.publicKey.jwk {PAGE}", key.secret_name),
        ),
        Some(before) if before.kid != *kid => {
            let was_next = before.next.as_ref().is_some_and(|next| next.kid == *kid);
            let was_previous = before.previous.as_ref().is_some_and(|previous| previous.kid == *kid);
            if was_next && key.accepted.is_some() {
                tell(false, "KeyRotated", format!("Okta accepts the key {kid}, which is used from now on"));
            } else if was_previous && key.next.as_ref().is_some_and(|next| next.kid == before.kid) {
                let note = format!("Okta refuses the key {} again, so {kid} is used until it is accepted", before.kid);
                tell(true, "KeyRotationReverted", note);
            } else {
                let note = format!(
                    "the Secret {} of the key {} is gone; the key {kid} takes its place. Add status.publicKey.jwk {PAGE}",
                    before.secret_name, before.kid
                );
                tell(true, "KeyLost", note);
            }
        }
        Some(before) if before.accepted.is_none() && key.accepted.is_some() => {
            tell(false, "KeyAccepted", format!("Okta accepts the key {kid}"));
        }
        Some(_) => {}
    }
    if let Some(made) = key.next.as_ref().filter(|made| !known(&made.kid)) {
        let note = format!(
            "the next key {} is published, and used once Okta accepts it; unless Okta fetches keys from a URL, add \
             status.publicKey.next.jwk {PAGE}",
            made.kid
        );
        tell(false, "KeyRotationBegun", note);
    }
    let gone = before.and_then(|before| before.previous.as_ref());
    if let Some(gone) = gone.filter(|gone| key.jwks().all(|jwk| jwk.kid != gone.kid)) {
        let note = format!("the former key {} is removed; it can be removed in Okta as well", gone.kid);
        tell(false, "KeyRetired", note);
    }
    all
}

#[cfg(test)]
mod tests {
    use api::status::{Jwk, NextKey, PreviousKey};
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::status::tests::example;

    fn at() -> Time {
        Time(Timestamp::UNIX_EPOCH)
    }

    fn jwk(kid: &str) -> Jwk {
        serde_json::from_value(serde_json::json!({ "kty": "RSA", "use": "sig", "kid": kid, "alg": "RS256" })).unwrap()
    }

    fn using(kid: &str, accepted: bool, next: Option<&str>, previous: Option<&str>) -> OktaUserSyncStatus {
        let secret = |kid: &str| format!("secret-{kid}");
        let public_key = PublicKey {
            kid: kid.into(),
            jwk: jwk(kid),
            secret_name: secret(kid),
            created: at(),
            accepted: accepted.then(at),
            next: next.map(|kid| NextKey { kid: kid.into(), jwk: jwk(kid), secret_name: secret(kid), created: at() }),
            previous: previous.map(|kid| PreviousKey {
                kid: kid.into(),
                jwk: jwk(kid),
                secret_name: secret(kid),
                removal: at(),
            }),
            last_handled_rotation: None,
        };
        OktaUserSyncStatus { public_key: Some(Box::new(public_key)), ..OktaUserSyncStatus::default() }
    }

    #[test]
    fn each_step_of_a_rotation_is_told_once() {
        let none = OktaUserSyncStatus::default();
        let steps = [
            (using("a", false, None, None), "KeyMade", false),
            (using("a", true, None, None), "KeyAccepted", false),
            (using("a", true, Some("b"), None), "KeyRotationBegun", false),
            (using("b", true, None, Some("a")), "KeyRotated", false),
            (using("a", true, Some("b"), None), "KeyRotationReverted", true),
            (using("b", true, None, Some("a")), "KeyRotated", false),
            (using("b", true, None, None), "KeyRetired", false),
            (using("c", false, None, None), "KeyLost", true),
        ];
        let mut before = none;
        for (next, reason, warning) in steps {
            let told: Vec<_> = news(&before, &next).into_iter().map(|news| (news.reason, news.warning)).collect();
            assert_eq!(told, [(reason.to_owned(), warning)]);
            assert_eq!(news(&next, &next), []);
            before = next;
        }
    }

    #[test]
    fn the_remedy_names_page_and_place_and_fits_into_status() {
        let mut object = example();
        object.metadata.name = Some("a-name-as-people-choose-it".into());
        let status = using(&"k".repeat(43), false, None, None);
        let failure = not_accepted(&object, status.public_key.as_ref().unwrap(), "its kid is invalid");
        assert_eq!((failure.class, failure.reason), (Class::Credential, "KeyNotAccepted"));
        for words in ["Client Credentials", "status.publicKey.jwk", "/.well-known/home/a-name-as-people-choose-it/jwks"]
        {
            assert!(failure.remedy.contains(words), "{words:?} in {}", failure.remedy);
        }
        assert!(failure.remedy.len() <= 512, "{}", failure.remedy.len());
    }
}
