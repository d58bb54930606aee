//! The fast path of one resource: whom it owes a look, and the partial passes that deal with them.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use api::{
    OktaUserSync, OktaUserSyncStatus,
    spec::FastPath as Wanted,
    status::{FastPathState, FastPathStatus, Memory},
};
use engine::{
    failure::Failure,
    feed::{Hint, Owed, Watch},
    ledger::Ledger,
    partial::Partial,
    pass::{Pass, Progress},
    policy::Policy,
    report::{Outcome, Read},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use tracing::{Span, debug, field, warn};

use super::{Opening, shown::Shown};
use crate::{
    attempt::resource,
    events,
    metrics::{Kind, Measured},
    reconcile::Context,
    resolve::{Clients, Print},
    status, trace,
};

/// People of one partial pass.
const MOST: usize = 50;

/// Of so many people a full pass is the cheaper way.
const CROWD: usize = 200;

/// Between two wishes for a full pass.
const WISH_WAIT: Duration = Duration::from_secs(60);

/// A person who could not be dealt with so often is left to a full pass.
const TRIES: u32 = 5;

/// The fast path of one resource.
pub(crate) struct Lane {
    uid: String,
    setup: Mutex<Setup>,
    state: Mutex<State>,
    /// Held while a partial pass runs: there is one at a time.
    working: tokio::sync::Mutex<()>,
    shut: AtomicBool,
    /// A full pass is under way.
    passing: AtomicBool,
    polled: tokio::sync::watch::Sender<bool>,
}

/// What partial passes run on: that of the full pass that began last.
#[derive(Clone)]
pub(crate) struct Setup {
    object: Arc<OktaUserSync>,
    policy: Arc<Policy>,
    clients: Clients,
    ledger: Arc<Ledger>,
    watch: Watch,
    print: Print,
    memory: Memory,
    pinned_org: String,
}

struct State {
    shown: Shown,
    owed: Owed,
    /// How often somebody who is owed was tried.
    tries: HashMap<String, u32>,
    /// Why the log may not be read.
    refusal: Option<Failure>,
    /// The poll has not looked for this lane yet: it has to begin here.
    joins: Option<Timestamp>,
    wished: Option<Instant>,
    wish: Option<String>,
    /// Seconds that Okta's clock is ahead.
    ahead: SignedDuration,
}

impl Setup {
    pub(super) fn new(opening: &Opening<'_>, watch: Watch, print: Print) -> Self {
        let mut setup = Self {
            object: Arc::new(opening.object.clone()),
            policy: opening.policy.clone(),
            clients: opening.clients.clone(),
            ledger: opening.ledger.clone(),
            watch,
            print,
            memory: Memory::default(),
            pinned_org: String::new(),
        };
        setup.learn(opening.previous);
        setup
    }

    /// Takes over what a status remembers.
    fn learn(&mut self, status: &OktaUserSyncStatus) {
        self.memory = status.memory.clone().unwrap_or_default();
        self.pinned_org = status.okta.as_ref().map(|okta| okta.org_id.clone()).unwrap_or_default();
    }
}

impl Lane {
    pub(super) fn new(uid: String, setup: Setup, written: Option<FastPathStatus>, interval: Duration) -> Self {
        // Where an earlier process was; else from now on, as the full pass that begins reads everybody.
        let since = written.as_ref().and_then(|status| status.cursor.as_ref()).map(|cursor| cursor.0);
        let since = since.unwrap_or_else(Timestamp::now);
        let state = State {
            shown: Shown::after(written, since, interval),
            owed: Owed::default(),
            tries: HashMap::new(),
            refusal: None,
            joins: Some(since),
            wished: None,
            wish: None,
            ahead: SignedDuration::ZERO,
        };
        Self {
            uid,
            setup: Mutex::new(setup),
            state: Mutex::new(state),
            working: tokio::sync::Mutex::new(()),
            shut: AtomicBool::new(false),
            passing: AtomicBool::new(false),
            polled: tokio::sync::watch::Sender::new(false),
        }
    }

    /// Begins with what another lane knows of the same log: the poll that both share has told it already (P9: so the record
    /// of the first pass says all there is to say, and nothing has to be written after it).
    pub(super) fn join(&self, other: &Self) {
        let (read, refusal) = {
            let other = other.state();
            (other.shown.now().clone(), other.refusal.clone())
        };
        let mut state = self.state();
        state.shown.joins(&read);
        state.refusal = refusal;
        drop(state);
        self.polled.send_replace(true);
    }

    /// Whether a poll has had an answer for it.
    pub(super) fn has_polled(&self) -> bool {
        *self.polled.borrow()
    }

    pub(super) fn set_up(&self, setup: Setup) {
        *self.setup() = setup;
    }

    /// A full pass has ended with this status: what it remembers counts from now on, and whoever was owed when it began
    /// was dealt with if it read everybody.
    pub(crate) fn passed(&self, status: &OktaUserSyncStatus, read: &Read, owed_before: &HashSet<String>) {
        self.passing.store(false, Ordering::Release);
        self.setup().learn(status);
        let mut state = self.state();
        if *read == Read::Complete {
            state.owed.drop_people(owed_before);
            state.tries.retain(|okta_id, _| !owed_before.contains(okta_id));
        }
        if let Some(written) = &status.fast_path {
            state.shown.told_by_pass(written.clone());
        }
    }

    /// A full pass begins. Answers who is owed now: whoever it reads everybody after.
    pub(crate) fn begins(&self) -> HashSet<String> {
        self.passing.store(true, Ordering::Release);
        let mut state = self.state();
        state.shown.pass_begins(Instant::now());
        state.owed.people()
    }

    /// What status says of it.
    pub(crate) fn status(&self) -> FastPathStatus {
        self.state().shown.now().clone()
    }

    /// Returns when the log has answered once, with whatever.
    pub(crate) async fn polled(&self) {
        // The other end is this lane itself.
        let _ = self.polled.subscribe().wait_for(|polled| *polled).await;
    }

    /// Why the log may not be read, if that was the last answer.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        self.state().refusal.clone()
    }

    pub(super) fn uid(&self) -> &str {
        &self.uid
    }

    pub(super) fn object(&self) -> Arc<OktaUserSync> {
        self.setup().object.clone()
    }

    pub(super) fn print(&self) -> Print {
        self.setup().print
    }

    pub(super) fn watch(&self) -> Watch {
        self.setup().watch.clone()
    }

    pub(super) fn demands(&self, wanted: Wanted) -> bool {
        self.setup().object.spec.okta.fast_path == wanted
    }

    /// From where on the log matters to it.
    pub(super) fn since(&self) -> Timestamp {
        let state = self.state();
        state.joins.or_else(|| state.shown.now().cursor.as_ref().map(|cursor| cursor.0)).unwrap_or_else(Timestamp::now)
    }

    /// The same, if the poll has not looked for it yet.
    pub(super) fn joins(&self) -> Option<Timestamp> {
        self.state().joins
    }

    /// The log was read to there, and named these people. Answers whether it had not been granted before.
    pub(super) fn read(&self, to: Timestamp, hints: Vec<Hint>, ahead: SignedDuration) -> bool {
        let mut state = self.state();
        state.joins = None;
        state.ahead = ahead;
        state.shown.read(to);
        for hint in &hints {
            state.shown.looked(hint.at);
        }
        state.owed.add(hints);
        if state.owed.disperse(CROWD) {
            state.wish = Some(format!("more than {CROWD} people are named at once"));
        }
        let granted_now = state.refusal.take().is_some();
        drop(state);
        self.polled.send_replace(true);
        granted_now
    }

    /// The log could not be read. Answers whether it had been granted before.
    pub(super) fn failed(&self, to: FastPathState, message: &str, refusal: Option<Failure>) -> bool {
        let mut state = self.state();
        let refused_now = refusal.is_some() && state.refusal.is_none() && *self.polled.borrow();
        state.shown.failed(to, message);
        // What cannot be read at the moment is not thereby granted.
        state.refusal = refusal.or_else(|| state.refusal.take());
        drop(state);
        self.polled.send_replace(true);
        refused_now
    }

    /// Whether a full pass may be wished for now; else the wish is kept.
    pub(super) fn may_want(&self, why: &str) -> bool {
        let mut state = self.state();
        if state.wished.is_some_and(|at| at.elapsed() < WISH_WAIT) {
            state.wish = Some(why.to_owned());
            return false;
        }
        state.wished = Some(Instant::now());
        state.wish = None;
        true
    }

    /// A wish that came too soon after another.
    pub(super) fn waiting_wish(&self) -> Option<String> {
        self.state().wish.clone()
    }

    /// Nothing more begins, and what is under way writes nothing more.
    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::Release);
    }

    /// The same, and waits for the end of what is under way.
    pub(super) async fn close(&self) {
        self.shut();
        drop(self.working.lock().await);
    }

    /// Deals with those who are owed, on a task of its own, unless that is being done already.
    pub(super) fn go(self: Arc<Self>, context: &Arc<Context>) {
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

    /// One partial pass; answers whether somebody is owed still, so that it is time to wait for the next poll.
    async fn deal_with(&self, context: &Arc<Context>, hints: Vec<Hint>) -> bool {
        let setup = self.setup().clone();
        if !setup.ledger.ready() && self.passing.load(Ordering::Acquire) {
            // The full pass is about to list the users; that is all that is missing.
            self.state().owed.add(hints);
            return true;
        }
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
        let resource = resource(&setup.object);
        let journal = context.journal.of_pass(&resource, &id, Some(&context.metrics));
        let may_write = || !self.is_shut() && context.may_write(&setup.object);
        let pass = Pass {
            policy: &setup.policy,
            memory: setup.memory.clone(),
            pending: None,
            pinned_org: &setup.pinned_org,
            ledger: &setup.ledger,
            started,
            id: id.clone(),
            may_write: &may_write,
            detail: false,
            progress: &progress,
            journal: &journal,
        };
        let work = async {
            let partial = pass.partial(setup.clients.okta(), setup.clients.teleport().as_ref(), &people).await;
            note(&Span::current(), &partial);
            partial
        };
        let partial = trace::within(&id, || span(&setup, &id, people.len()), Box::pin(work)).await;
        context.metrics.teleport_calls(&setup.clients.new_calls());
        tell(&setup, &partial, people.len(), &id, started);
        let (outcome, took) = (partial.report.outcome, Timestamp::now().duration_since(started));
        let (okta_calls, cause) = (partial.report.okta_calls, partial.report.failure.as_ref());
        context.metrics.pass(&resource, Measured { kind: Kind::Fast, outcome, took, okta_calls, cause });
        context.announcer.tell(&setup.object, events::of_writes(&journal.done())).await;
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
    fn keep(&self, hints: Vec<Hint>, owed: &[String]) -> Option<String> {
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
    pub(super) async fn show(&self, context: &Arc<Context>) {
        let (now, object) = (Instant::now(), self.object());
        if self.is_shut() || !context.may_write(&object) || !self.state().shown.due(now) {
            return;
        }
        let status = self.state().shown.now().clone();
        let removals = self.setup().ledger.removals();
        let Some(object) = context.newest(&object) else { return };
        match context.store.write_fast_path(&object, &status, &removals).await {
            Ok(_) => self.state().shown.wrote(status, now),
            Err(error) if error.is_not_found() => debug!("the resource is gone"),
            Err(error) => warn!(name = object.name_any(), "what the fast path did is not in status yet: {error}"),
        }
    }

    fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    fn setup(&self) -> MutexGuard<'_, Setup> {
        self.setup.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The span of a partial pass. Its parent is none: a trace is a pass.
fn span(setup: &Setup, id: &str, people: usize) -> Span {
    let object = &setup.object;
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
fn tell(setup: &Setup, partial: &Partial, people: usize, id: &str, started: Timestamp) {
    let (report, object) = (&partial.report, &setup.object);
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
