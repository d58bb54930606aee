//! One look at the keys of a resource: every step that is due, carried out in the order that no crash can hurt.

use api::{
    OktaUserSync, OktaUserSyncStatus,
    status::{NextKey, PreviousKey, PublicKey},
};
use engine::failure::Failure;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use okta::key::{KeyError, KeyKind, PrivateKey};
use tracing::{debug, info};

use super::{
    published,
    rotation::{Key, Memory, Sight, State, Step, Why, Wish},
    token,
    upkeep::Upkeep,
    vault::{Held, PutError, secret_name},
    whole, words,
};
use crate::{
    attempt::{resource, subject},
    journal::{KeyAction, KeyEntry, KeyStep, Verdict},
    reconcile::{Context, Generation},
};

/// Steps of one look at most. Three would do; the bound keeps a mistake from becoming a loop.
const MOST_STEPS: usize = 8;

/// One look at the keys of a resource.
pub(super) struct Look<'a> {
    context: &'a Context,
    object: &'a OktaUserSync,
    previous: &'a OktaUserSyncStatus,
    upkeep: &'a mut Upkeep,
    held: Vec<Held>,
    /// Okta has said no in this look.
    said_no: bool,
}

impl<'a> Look<'a> {
    /// A look that has seen nothing yet.
    pub(super) fn new(
        context: &'a Context,
        object: &'a OktaUserSync,
        previous: &'a OktaUserSyncStatus,
        upkeep: &'a mut Upkeep,
    ) -> Self {
        Self { context, object, previous, upkeep, held: Vec::new(), said_no: false }
    }

    /// Carries out every step that is due. What was done before a step failed counts, too.
    pub(super) async fn carry_out(&mut self) -> Result<Option<PublicKey>, (Option<PublicKey>, Failure)> {
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
            if !self.context.may_write(&Generation::of(self.object)) {
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

fn remembered(status: &OktaUserSyncStatus) -> Memory {
    let Some(key) = &status.public_key else { return Memory::default() };
    Memory {
        in_use: Some(key.kid.clone()),
        accepted: key.accepted.as_ref().map(|at| at.0),
        previous: key.previous.as_ref().map(|key| (key.kid.clone(), key.removal.0)),
        handled: key.last_handled_rotation.clone(),
    }
}
