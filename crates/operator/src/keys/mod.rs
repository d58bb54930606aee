//! Keys that the operator makes for resources that name none (`okta.privateKeySecretRef` left out).
//!
//! [`rotation`] decides, over values, which key is in use and what is to be done; [`vault`] keeps the keys in Secrets;
//! [`look`] carries the steps out and makes `status.publicKey` of them, from which [`jwks`] serves the public halves;
//! [`upkeep`] is what is remembered between two looks; [`words`] tells what happened. What a pass asks is here: a look
//! before it (or between two, when one is due), whether it can begin, and what its end means for the key.
//!
//! The order of writes is always the same: the Secret, then status, and only then a question to Okta. So whatever is lost
//! in a crash, no key is used that nobody could have published, and none is made twice.

pub mod jwks;
mod look;
pub mod rotation;
mod upkeep;
pub mod vault;
mod words;

use api::{OktaUserSync, OktaUserSyncStatus, names, spec::SecretKeyRef};
use engine::{
    failure::Failure,
    report::{Read, Report},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use self::look::Look;
use crate::{
    attempt::resource,
    journal::{KeyAction, KeyStep},
    kubernetes::ApiError,
    reconcile::Context,
    records::Record,
};

pub use self::upkeep::{Pace, Upkeep};
pub(crate) use self::words::news;

/// Where the key in use lies that the operator made.
#[must_use]
pub fn reference(status: &OktaUserSyncStatus) -> Option<SecretKeyRef> {
    let key = status.public_key.as_ref()?;
    Some(SecretKeyRef { name: key.secret_name.clone(), key: vault::PRIVATE.to_owned() })
}

/// The token of the annotation that asks for another key.
pub(crate) fn token(object: &OktaUserSync) -> Option<&str> {
    object.annotations().get(names::ROTATE_KEY).map(String::as_str).filter(|token| !token.is_empty())
}

/// Looks after the keys of `object`, if that is due, and answers the status that has to be written because of it.
pub(crate) async fn tend(
    context: &Context,
    object: &OktaUserSync,
    previous: &OktaUserSyncStatus,
    record: &mut Record,
    pass_due: bool,
) -> Option<OktaUserSyncStatus> {
    if object.spec.okta.private_key_secret_ref.is_some() {
        record.keys = Upkeep::default();
        // The Secrets stay: who takes the reference away again gets the same key back.
        return previous.public_key.is_some().then(|| OktaUserSyncStatus { public_key: None, ..previous.clone() });
    }
    if !pass_due && !record.keys.due(object, previous, Timestamp::now()) {
        return None;
    }
    record.keys.looked = true;
    record.keys.wake = None;
    let (shown, trouble) = match Look::new(context, object, previous, &mut record.keys).carry_out().await {
        Ok(shown) => (shown, None),
        Err((shown, failure)) => (shown, Some(failure)),
    };
    if trouble.is_some() {
        // Nobody watches rights, or a Secret that nobody refers to.
        record.keys.wake = Some(Timestamp::now() + context.backoff.most);
    }
    record.keys.trouble = trouble;
    let public_key = shown?;
    let changed = previous.public_key.as_deref() != Some(&public_key);
    changed.then(|| OktaUserSyncStatus { public_key: Some(Box::new(public_key)), ..previous.clone() })
}

/// Status knows whole seconds; so that what is read back is what was written.
fn whole(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// Whether the watch has shown the key in the resource's status: then every replica serves it, or will in a moment.
fn published(context: &Context, object: &OktaUserSync, kid: &str) -> bool {
    context.now(object, |now| {
        let shown = now.status.as_ref().and_then(|status| status.public_key.as_ref());
        shown.is_some_and(|key| key.jwks().any(|jwk| jwk.kid == kid))
    })
}

/// Why a pass cannot begin yet, as far as keys go.
pub(crate) fn obstacle(
    context: &Context,
    object: &OktaUserSync,
    status: &OktaUserSyncStatus,
    upkeep: &Upkeep,
) -> Option<Failure> {
    if object.spec.okta.private_key_secret_ref.is_some() {
        return None;
    }
    match &status.public_key {
        None => Some(upkeep.trouble.clone().unwrap_or_else(words::not_yet)),
        // Okta may fetch the key set as soon as it sees the key, and keep what it got.
        Some(key) if key.accepted.is_none() && !published(context, object, &key.kid) => {
            Some(words::just_made(object, key))
        }
        Some(_) => None,
    }
}

/// Says what a pass's end means for a key that the operator made.
pub(crate) fn explain(
    object: &OktaUserSync,
    status: &OktaUserSyncStatus,
    upkeep: &mut Upkeep,
    mut ended: Result<Report, Failure>,
) -> Result<Report, Failure> {
    let Some(key) = &status.public_key else { return ended };
    upkeep.refused = None;
    match &mut ended {
        Err(failure) => drop(upkeep.retell(object, key, failure)),
        Ok(report) => {
            let failures = report.failure.iter_mut().chain(match &mut report.read {
                Read::Incomplete { why, .. } => Some(why),
                Read::NotBegun | Read::Complete => None,
            });
            for failure in failures {
                let Some(before) = upkeep.retell(object, key, failure) else { continue };
                for problem in report.problems.iter_mut().filter(|problem| problem.message == before) {
                    problem.message.clone_from(&failure.message);
                    problem.remedy.clone_from(&failure.remedy);
                }
            }
            report.warnings.extend(words::warnings(object, key, upkeep.trouble.as_ref()));
        }
    }
    ended
}

/// Notes in the status after a pass, and in the journal, that Okta has accepted the key, which a pass that reached the
/// organisation proves.
pub(crate) fn note_accepted(
    context: &Context,
    object: &OktaUserSync,
    status: &mut OktaUserSyncStatus,
    report: Option<&Report>,
    now: Timestamp,
) {
    if let Some(key) = &mut status.public_key
        && key.accepted.is_none()
        && report.is_some_and(|report| report.organisation.is_some())
    {
        key.accepted = Some(whole(now));
        let (kid, secret) = (key.kid.as_str(), key.secret_name.as_str());
        let step = KeyStep { action: KeyAction::Accept, kid, secret, why: "Okta accepts it" };
        context.journal.key_happened(step, &resource(object), Some(&context.metrics));
    }
}

/// Whether an error of the API server is a refusal for lack of rights.
fn is_forbidden(error: &ApiError) -> bool {
    matches!(error, ApiError::Refused(kube::Error::Api(status)) if status.code == 403)
}
