//! Keys that the operator makes for resources that name none (`okta.privateKeySecretRef` left out).
//!
//! [`rotation`] decides, over values, which key is in use and what is to be done; [`vault`] keeps the keys in Secrets;
//! this module carries the steps out before a pass (or between two, when one is due) and makes `status.publicKey` of them,
//! from which [`jwks`] serves the public halves; [`words`] tells what happened.
//!
//! The order of writes is always the same: the Secret, then status, and only then a question to Okta. So whatever is lost
//! in a crash, no key is used that nobody could have published, and none is made twice.

pub mod jwks;
pub mod rotation;
pub mod vault;
mod words;

use api::{
    OktaUserSync, OktaUserSyncStatus, names,
    spec::SecretKeyRef,
    status::{NextKey, PreviousKey, PublicKey},
};
use engine::{
    failure::{Class, Failure, Side},
    report::{Read, Report},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use okta::key::{KeyError, KeyKind, PrivateKey};
use tracing::{debug, info};

use self::{
    rotation::{Key, Memory, Sight, State, Step, Why, Wish},
    vault::{Held, PutError, secret_name},
};
use crate::{
    attempt::{resource, subject},
    journal::{KeyAction, KeyEntry, KeyStep, Verdict},
    kubernetes::ApiError,
    pace::{self, Backoff},
    reconcile::Context,
    records::Record,
};

pub(crate) use self::words::news;

/// Steps of one look at most. Three would do; the bound keeps a mistake from becoming a loop.
const MOST_STEPS: usize = 8;

/// How fast keys are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two questions to Okta about the next key. Okta throttles how often it reads a JWKS URL, so minutes.
    pub ask: Backoff,
    /// How long the former key stays after the next one is accepted. Tokens live an hour; what Okta keeps of a JWKS URL is
    /// not documented, so a day.
    pub overlap: SignedDuration,
}

impl Default for Pace {
    fn default() -> Self {
        let ask = Backoff { first: std::time::Duration::from_secs(30), most: std::time::Duration::from_secs(600) };
        Self { ask, overlap: SignedDuration::from_hours(24) }
    }
}

/// What is kept in memory of a resource's keys between two looks.
#[derive(Debug, Default)]
pub struct Upkeep {
    /// Whether this process has looked already.
    looked: bool,
    /// When to look again, whatever else happens.
    wake: Option<Timestamp>,
    /// Why a key could not be made or kept.
    trouble: Option<Failure>,
    /// Name of the key that Okta refused in the last pass.
    refused: Option<String>,
    /// What was asked about the next key.
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    kid: String,
    times: u32,
    again: Timestamp,
}

impl Upkeep {
    /// When to look again.
    pub(crate) fn wake(&self) -> Option<Timestamp> {
        self.wake
    }

    /// Whether a look is due although no pass is.
    fn due(&self, object: &OktaUserSync, status: &OktaUserSyncStatus, now: Timestamp) -> bool {
        let handled = status.public_key.as_ref().and_then(|key| key.last_handled_rotation.as_deref());
        !self.looked
            || self.wake.is_some_and(|wake| wake <= now)
            || (self.trouble.is_none() && token(object).is_some_and(|token| handled != Some(token)))
    }

    /// When Okta may be asked about the key `kid`; its first time is a moment after it was seen first.
    fn ask_at(&mut self, kid: &str, pace: &Pace, now: Timestamp) -> Timestamp {
        match &self.asked {
            Some(asked) if asked.kid == kid => asked.again,
            _ => {
                let again = now + pace.ask.first;
                self.asked = Some(Asked { kid: kid.to_owned(), times: 0, again });
                again
            }
        }
    }

    /// Okta has said no.
    fn said_no(&mut self, pace: &Pace, now: Timestamp) {
        if let Some(asked) = &mut self.asked {
            asked.times = asked.times.saturating_add(1);
            let wait = pace.ask.after(asked.times, pace.ask.most);
            asked.again = now + pace::jittered(wait, &format!("{}/{}", asked.kid, asked.times));
        }
    }
}

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
    let mut look = Look { context, object, previous, upkeep: &mut record.keys, held: Vec::new(), said_no: false };
    let (shown, trouble) = match look.carry_out().await {
        Ok(shown) => (shown, None),
        Err((shown, failure)) => (shown, Some(failure)),
    };
    if trouble.is_some() {
        // Nobody watches rights, or a Secret that nobody refers to.
        record.keys.wake = Some(Timestamp::now() + context.backoff.most);
    }
    record.keys.trouble = trouble;
    let public_key = shown?;
    let changed = previous.public_key.as_ref() != Some(&public_key);
    changed.then(|| OktaUserSyncStatus { public_key: Some(public_key), ..previous.clone() })
}

/// One look at the keys of a resource.
struct Look<'a> {
    context: &'a Context,
    object: &'a OktaUserSync,
    previous: &'a OktaUserSyncStatus,
    upkeep: &'a mut Upkeep,
    held: Vec<Held>,
    /// Okta has said no in this look.
    said_no: bool,
}

impl Look<'_> {
    /// Carries out every step that is due. What was done before a step failed counts, too.
    async fn carry_out(&mut self) -> Result<Option<PublicKey>, (Option<PublicKey>, Failure)> {
        self.held = self.context.vault.keys(self.object).await.map_err(|error| (None, words::unavailable(&error)))?;
        let keys = self.held.iter().map(|held| held.key.clone()).collect();
        let mut state = State::new(keys, remembered(self.previous));
        let wish = Wish {
            token: token(self.object),
            every: self.object.spec.okta.key_rotation.map(|days| SignedDuration::from_secs(days.seconds())),
        };
        for _ in 0..MOST_STEPS {
            state = state.settled(wish);
            let now = Timestamp::now();
            let refused = self.upkeep.refused.clone();
            let sight = Sight { refused: refused.as_deref(), ask_at: self.ask_at(&state, now) };
            let step = state.step(wish, sight, now);
            if let Step::Rest(wake) = step {
                self.upkeep.wake = self.wake(&state, wake);
                break;
            }
            if !self.context.may_write(self.object) {
                break;
            }
            let before = state.clone();
            state = match self.step(state, step, now).await {
                Ok(state) => state,
                Err(failure) => return Err((self.shown(&before), failure)),
            };
        }
        Ok(self.shown(&state))
    }

    /// Carries out one step.
    async fn step(&mut self, state: State, step: Step, now: Timestamp) -> Result<State, Failure> {
        let overlap = self.context.keys.overlap;
        Ok(match step {
            Step::Make(number, why) => state.with(self.make(number, why, now).await?),
            Step::Ask(kid) if self.ask(&kid).await => {
                self.upkeep.asked = None;
                self.note(KeyAction::Accept, &kid, "Okta accepts it");
                state.accepted(&kid, now, overlap)
            }
            Step::Ask(_) => {
                self.upkeep.said_no(&self.context.keys, Timestamp::now());
                self.said_no = true;
                state
            }
            Step::Revert => {
                self.upkeep.refused = None;
                let state = state.revert(now);
                if let Some(used) = state.in_use() {
                    self.note(KeyAction::Revert, &used.kid, "Okta refuses its successor");
                }
                state
            }
            Step::Remove(kid) => {
                if let Some(held) = self.held.iter().find(|held| held.key.kid == kid) {
                    self.remove(held).await?;
                }
                state.removed(&kid)
            }
            Step::Rest(_) => state,
        })
    }

    /// Makes the key of that number, unless another process has made it meanwhile.
    async fn make(&mut self, number: u32, why: Why, now: Timestamp) -> Result<Key, Failure> {
        // RSA takes a good part of a second.
        let made = tokio::task::spawn_blocking(|| PrivateKey::generate(KeyKind::Rsa2048));
        let key = made.await.unwrap_or(Err(KeyError::Generation)).map_err(|error| words::unusable(&error))?;
        let entry = self.begins(KeyAction::Make, key.kid(), &secret_name(self.object, number), why.words());
        let put = self.context.vault.put(self.object, number, &key, now).await.map_err(|error| match error {
            PutError::Api(error) => words::unwritable(self.object, &error),
            PutError::Key(error) => words::unusable(&error),
        });
        match put {
            Ok(true) => {
                entry.ended(Verdict::Done, None);
                let (namespace, name) = (self.object.namespace(), self.object.name_any());
                info!(namespace, name, kid = key.kid(), ?why, "made a key pair");
            }
            Ok(false) => {
                entry.ended(Verdict::Exists, None);
                debug!(name = self.object.name_any(), number, "the key is there already");
            }
            Err(failure) => {
                entry.ended(Verdict::Failed, Some(failure.reason));
                return Err(failure);
            }
        }
        self.held = self.context.vault.keys(self.object).await.map_err(|error| words::unavailable(&error))?;
        let found = self.held.iter().find(|held| held.key.number == number);
        found.map(|held| held.key.clone()).ok_or_else(|| words::taken(&secret_name(self.object, number)))
    }

    /// Deletes a key's Secret.
    async fn remove(&self, held: &Held) -> Result<(), Failure> {
        let kid = &held.key.kid;
        let entry = self.begins(KeyAction::Remove, kid, &held.secret, "it is used no more");
        let removed = self.context.vault.remove(self.object, held).await.map_err(|error| words::unavailable(&error));
        match &removed {
            Ok(()) => entry.ended(Verdict::Done, None),
            Err(failure) => entry.ended(Verdict::Failed, Some(failure.reason)),
        }
        removed?;
        info!(namespace = self.object.namespace(), name = self.object.name_any(), kid, "removed a key");
        Ok(())
    }

    /// Notes in the journal what is going to be done to a key.
    fn begins(&self, action: KeyAction, kid: &str, secret: &str, why: &'static str) -> KeyEntry<'_> {
        let step = KeyStep { action, kid, secret, why };
        self.context.journal.key_begins(step, &resource(self.object), Some(&self.context.metrics))
    }

    /// Notes in the journal what has become of a key.
    fn note(&self, action: KeyAction, kid: &str, why: &'static str) {
        let Some(held) = self.held.iter().find(|held| held.key.kid == kid) else { return };
        let step = KeyStep { action, kid, secret: &held.secret, why };
        self.context.journal.key_happened(step, &resource(self.object), Some(&self.context.metrics));
    }

    /// Whether Okta gives a token for this key. The client in use, with its token, has no part in it.
    async fn ask(&self, kid: &str) -> bool {
        let Some(held) = self.held.iter().find(|held| held.key.kid == kid) else { return false };
        let subject = subject(self.object, self.previous);
        let answer = tokio::select! {
            answer = self.context.resolver.prove(&subject, &held.private, &self.context.secrets) => answer,
            () = self.context.stop.cancelled() => return false,
        };
        let name = self.object.name_any();
        answer.inspect_err(|failure| debug!(name, kid, reason = failure.reason, "the next key is not accepted")).is_ok()
    }

    /// When Okta may be asked about the next key: once it is published, at our pace; at once if the one in use is refused.
    fn ask_at(&mut self, state: &State, now: Timestamp) -> Option<Timestamp> {
        let next = &state.next()?.kid;
        let at = self.upkeep.ask_at(next, &self.context.keys, now);
        let urgent = self.upkeep.refused.is_some() && self.upkeep.refused == state.memory().in_use && !self.said_no;
        published(self.context, self.object, next).then_some(if urgent { at.min(now) } else { at })
    }

    /// `wake`, or when a key that is not published yet will be.
    fn wake(&self, state: &State, wake: Option<Timestamp>) -> Option<Timestamp> {
        let unpublished = state.next().filter(|next| !published(self.context, self.object, &next.kid));
        let soon = unpublished.and(self.upkeep.asked.as_ref()).map(|asked| asked.again);
        wake.into_iter().chain(soon).min()
    }

    /// What status shows of this state.
    fn shown(&self, state: &State) -> Option<PublicKey> {
        let find = |key: &Key| self.held.iter().find(|held| held.key == *key);
        let used = find(state.in_use()?)?;
        let memory = state.memory();
        Some(PublicKey {
            kid: used.key.kid.clone(),
            jwk: used.jwk.clone(),
            secret_name: used.secret.clone(),
            created: whole(used.key.created),
            accepted: memory.accepted.map(whole),
            next: state.next().and_then(find).map(|held| NextKey {
                kid: held.key.kid.clone(),
                jwk: held.jwk.clone(),
                secret_name: held.secret.clone(),
                created: whole(held.key.created),
            }),
            previous: state.previous().and_then(|(key, until)| {
                let held = find(key)?;
                Some(PreviousKey {
                    kid: held.key.kid.clone(),
                    jwk: held.jwk.clone(),
                    secret_name: held.secret.clone(),
                    removal: whole(until),
                })
            }),
            last_handled_rotation: memory.handled.clone(),
        })
    }
}

/// Status knows whole seconds; so that what is read back is what was written.
fn whole(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

fn remembered(status: &OktaUserSyncStatus) -> Memory {
    let Some(key) = &status.public_key else { return Memory::default() };
    Memory {
        in_use: Some(key.kid.clone()),
        accepted: key.accepted.as_ref().map(|at| at.0),
        previous: key.previous.as_ref().map(|key| (key.kid.clone(), key.removal.0)),
        handled: key.last_handled_rotation.clone(),
    }
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

impl Upkeep {
    /// Puts a refusal of the key into words that fit one that the operator made; answers the words before.
    fn retell(&mut self, object: &OktaUserSync, key: &PublicKey, failure: &mut Failure) -> Option<String> {
        let refused = failure.side == Side::Okta && failure.class == Class::Credential;
        if !refused || !matches!(failure.reason, "KeyUnknown" | "KeyNotRegistered") {
            return None;
        }
        self.refused = Some(key.kid.clone());
        let before = api::condition::cut(&failure.message, 512);
        *failure = words::not_accepted(object, key, &failure.message);
        Some(before)
    }
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
