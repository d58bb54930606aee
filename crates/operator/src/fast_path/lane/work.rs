//! The work of a lane: partial passes over those who are owed a look, and what status says of them.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use api::{OktaUserSync, OktaUserSyncStatus};
use engine::{
    feed::Hint,
    partial::Partial,
    pass::{Pass, Progress},
    report::Outcome,
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use tracing::{Span, debug, field, warn};

use super::Lane;
use crate::{
    attempt::{resource, subject},
    events,
    metrics::{Kind, Measured},
    reconcile::Context,
    status, trace,
};

/// People of one partial pass.
const MOST: usize = 50;

/// A person who could not be dealt with so often is left to a full pass.
const TRIES: u32 = 5;

impl Lane {
    /// Deals with those who are owed, on a task of its own, unless that is being done already.
    pub(in crate::fast_path) fn go(self: Arc<Self>, context: &Arc<Context>) {
        if self.state().owed.is_empty() || self.working.try_lock().is_err() {
            return;
        }
        let context = context.clone();
        tokio::spawn(async move {
            let Ok(_working) = self.working.try_lock() else { return };
            while !self.is_shut() && !context.stop.is_cancelled() && context.claim.holds() {
                let hints = self.state().owed.take(MOST);
                if hints.is_empty() || self.deal_with(&context, hints).await {
                    break;
                }
            }
            self.show(&context).await;
        });
    }

    /// One partial pass; answers whether somebody is owed still, so that it is time to wait for the next poll. One that waits
    /// for an answer when the lane is shut is broken off.
    async fn deal_with(&self, context: &Arc<Context>, hints: Vec<Arc<Hint>>) -> bool {
        let setup = self.setup().clone();
        if !setup.ledger.ready() && self.passing.load(Ordering::Acquire) {
            // The full pass is about to list the users; that is all that is missing.
            self.state().owed.add(hints);
            return true;
        }
        let Some(object) = context.at(&setup.generation) else {
            // Whoever has changed it has made a full pass due.
            self.state().owed.add(hints);
            return true;
        };
        // Compiled when there is something to do: compiled patterns are large, and lanes are many.
        let policy = match context.resolver.policy(&subject(&object, &OktaUserSyncStatus::default())) {
            Ok(policy) => policy,
            Err(failure) => {
                self.state().owed.add(hints);
                context.fast_path.want(context, self, &failure.message);
                return true;
            }
        };
        let people: Vec<String> = hints.iter().map(|hint| hint.person.clone()).collect();
        let (id, started) = (uuid::Uuid::new_v4().simple().to_string(), Timestamp::now());
        let at: HashMap<&str, Timestamp> = hints.iter().map(|hint| (hint.person.as_str(), hint.at)).collect();
        let ahead = self.state().ahead;
        let progress = |progress: Progress<'_>| {
            if let Progress::Locked(okta_id, reason) = progress
                && let Some(at) = at.get(okta_id)
            {
                let by_okta = Timestamp::now().saturating_add(ahead).unwrap_or(*at);
                context.metrics.event_to_lock(reason, by_okta.duration_since(*at));
            }
        };
        let resource = resource(&object);
        let journal = context.journal.of_pass(&resource, &id, Some(&context.metrics));
        let wrote = AtomicBool::new(false);
        let may_write = || {
            let may = !self.is_shut() && context.may_write(&setup.generation);
            if may {
                wrote.store(true, Ordering::Relaxed);
            }
            may
        };
        let pass = Pass {
            policy: &policy,
            memory: setup.memory.clone(),
            pending: None,
            pinned_org: &setup.pinned_org,
            ledger: &setup.ledger,
            started,
            list_age: Duration::ZERO,
            id: id.clone(),
            may_write: &may_write,
            detail: false,
            progress: &progress,
            journal: &journal,
        };
        let clients = setup.clients.of_pass();
        let work = async {
            let partial = tokio::select! {
                biased;
                partial = pass.partial(&clients.okta, &clients.teleport, &people) => partial,
                () = self.broken_off(&wrote) => return None,
            };
            note(&Span::current(), &partial);
            Some(partial)
        };
        let partial = trace::within(&id, || span(&object, &id, people.len()), Box::pin(work)).await;
        context.metrics.teleport_calls(&clients.teleport.calls());
        let Some(partial) = partial else {
            // Whom it concerned, the next pass of the resource finds, if there is one. What the brake has counted stays so.
            debug!(name = object.name_any(), pass = id, "a partial pass is broken off");
            context.announcer.tell(&object, events::of_writes(&journal.done())).await;
            return true;
        };
        tell(&object, &partial, people.len(), &id, started);
        let (outcome, took) = (partial.report.outcome, Timestamp::now().duration_since(started));
        let (okta_calls, cause) = (partial.report.okta_calls, partial.report.failure.as_ref());
        context.metrics.pass(&resource, Measured { kind: Kind::Fast, outcome, took, okta_calls, cause });
        context.announcer.tell(&object, events::of_writes(&journal.done())).await;
        let given_up = self.keep(hints, &partial.owed);
        if partial.report.writes > 0 {
            self.state().shown.changed();
        }
        if let Some(why) = partial.full_pass.clone().or(given_up) {
            context.fast_path.want(context, self, &why);
        }
        !partial.owed.is_empty()
    }

    /// Keeps those of whom something is left to do. Answers why a full pass is due, if somebody was tried often enough.
    fn keep(&self, hints: Vec<Arc<Hint>>, owed: &[String]) -> Option<String> {
        let mut state = self.state();
        let (mut given_up, mut kept) = (None, Vec::new());
        for hint in hints {
            if !owed.contains(&hint.person) {
                state.tries.remove(&hint.person);
                continue;
            }
            let tries = state.tries.entry(hint.person.clone()).or_default();
            *tries += 1;
            if *tries >= TRIES {
                given_up = Some(format!("{} could not be dealt with alone", hint.person));
                *tries = 0;
            }
            kept.push(hint);
        }
        state.owed.add(kept);
        given_up
    }

    /// Writes to status what is worth a write.
    pub(in crate::fast_path) async fn show(&self, context: &Arc<Context>) {
        let (now, generation) = (Instant::now(), self.generation());
        if self.is_shut() || !context.may_write(&generation) || !self.state().shown.due(now) {
            return;
        }
        let status = self.state().shown.now().clone();
        let removals = self.setup().ledger.removals();
        let Some(object) = context.at(&generation) else { return };
        match context.store.write_fast_path(&object, &status, &removals).await {
            Ok(_) => self.state().shown.wrote(status, now),
            Err(error) if error.is_not_found() => debug!("the resource is gone"),
            Err(error) => warn!(name = object.name_any(), "what the fast path did is not in status yet: {error}"),
        }
    }
}

/// The span of a partial pass. Its parent is none: a trace is a pass.
fn span(object: &OktaUserSync, id: &str, people: usize) -> Span {
    tracing::info_span!(
        target: "pass",
        parent: None,
        "pass",
        trace_id = id,
        kind = Kind::Fast.as_str(),
        namespace = object.namespace(),
        name = object.name_any(),
        people,
        outcome = field::Empty,
        reason = field::Empty,
        okta_calls = field::Empty,
        writes = field::Empty,
        "otel.status_code" = field::Empty,
    )
}

/// What a trace says of the end of a partial pass.
fn note(span: &Span, partial: &Partial) {
    let report = &partial.report;
    span.record("outcome", report.outcome.as_str());
    span.record("okta_calls", report.okta_calls);
    span.record("writes", report.writes);
    if let Some(failure) = &report.failure {
        span.record("reason", failure.reason);
        span.record("otel.status_code", "ERROR");
    }
}

/// The one line of a partial pass.
fn tell(object: &OktaUserSync, partial: &Partial, people: usize, id: &str, started: Timestamp) {
    let report = &partial.report;
    let failure = report.failure.as_ref().map(status::sentence).unwrap_or_default();
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                namespace = object.namespace(),
                name = object.name_any(),
                pass = id,
                trace_id = id,
                outcome = report.outcome.as_str(),
                people,
                created = report.counts.created,
                updated = report.counts.updated,
                removed = report.counts.removed,
                failed = report.counts.failed,
                owed = partial.owed.len(),
                full_pass = partial.full_pass,
                okta_calls = report.okta_calls,
                writes = report.writes,
                seconds = Timestamp::now().duration_since(started).as_secs_f64(),
                failure,
                "partial pass ended"
            )
        };
    }
    match (report.outcome, report.writes) {
        (Outcome::Succeeded, 0) => line!(debug),
        (Outcome::Succeeded, _) => line!(info),
        _ => line!(warn),
    }
}
