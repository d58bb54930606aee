//! One pass of one resource: resolve what it refers to, run the engine, make the next status.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use api::{OktaUserSync, OktaUserSyncStatus};
use engine::{
    census::SHARED_FOR,
    failure::{Class, Failure, Side},
    ledger::Ledger,
    pass::{Pass, Progress},
    policy::Policy,
    report::{Outcome, Read, Report},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use tracing::{Span, debug, field};

use crate::{
    budget, events,
    fast_path::{self, Lane, Opening},
    journal::PassJournal,
    keys,
    metrics::{Kind, Measured, Resource},
    pace,
    reconcile::{Context, Generation},
    records::Record,
    resolve::{Clients, Material, Subject},
    status::{self, Ending, Moment},
    trace,
    trigger::{self, Trigger},
};

/// Runs one pass of `object` and answers the status after it; `None` if the process was told to stop, or the deletion of the
/// resource began, before anything was written. `record` holds what the next pass needs.
pub(crate) async fn attempt(
    context: &Arc<Context>,
    object: &OktaUserSync,
    previous: &OktaUserSyncStatus,
    record: &mut Record,
    why: Trigger,
) -> Option<OktaUserSyncStatus> {
    // 32 hexadecimal digits: a W3C trace id as well, so that one word finds a pass in status, log, journal and traces.
    let id = uuid::Uuid::new_v4().simple().to_string();
    let started = Timestamp::now();
    let generation = object.metadata.generation.unwrap_or_default();
    let mut part = Part::default();
    let work = async {
        let ended = run(context, object, previous, record, (&id, started, why), &mut part).await;
        if let Some(ended) = &ended {
            note(&Span::current(), ended);
        }
        ended
    };
    let ended = trace::within(&id, || span(object, &id, why), Box::pin(work)).await?;
    let ended = keys::explain(object, previous, &mut record.keys, ended);
    record.passed = true;
    record.approval = trigger::approval(object).map(str::to_owned);
    let ending = ended.as_ref().map_or_else(Ending::Refused, Ending::Report);
    let now = Timestamp::now();
    let moment = Moment {
        generation,
        started,
        now,
        next_run: now + next_wait(context, object, record, ending, &id),
        token: trigger::requested(object),
        id: &id,
    };
    tell(context, object, ending, &moment, why);
    let mut next = status::ended(previous, ending, moment);
    keys::note_accepted(context, object, &mut next, ended.as_ref().ok(), now);
    next.fast_path = Some(context.fast_path.status(&object.uid().unwrap_or_default()));
    if let Some(lane) = part.lane {
        let read = ended.as_ref().map_or(&Read::NotBegun, |report| &report.read);
        lane.passed(&next, read, &part.owed);
    }
    if let (Ending::Report(_), Some(clients)) = (ending, &record.clients) {
        budget::note(&mut next, clients.okta());
    }
    Some(next)
}

/// Goes on with the fast path where an earlier process left it, without a full pass: that comes when it is due, or when
/// somebody is named of whom nothing is known here.
pub(crate) async fn resume(
    context: &Arc<Context>,
    object: &OktaUserSync,
    previous: &OktaUserSyncStatus,
    record: &mut Record,
) {
    if record.passed || !context.fast_path.is_left(object, previous) {
        return;
    }
    match prepare(context, object, previous, record).await {
        Ok((policy, clients)) => {
            let ledger = record.ledger.clone();
            let opening = Opening { object, previous, policy: &policy, clients: &clients, ledger: &ledger };
            context.fast_path.open(context, &opening);
        }
        Err(failure) => debug!(name = object.name_any(), "the fast path cannot go on: {failure}"),
    }
}

/// The part that the fast path takes in a pass: the resource's lane, and whom it owed a look when the pass began.
#[derive(Default)]
struct Part {
    lane: Option<Arc<Lane>>,
    owed: HashSet<String>,
}

/// The pass itself.
async fn run(
    context: &Arc<Context>,
    object: &OktaUserSync,
    previous: &OktaUserSyncStatus,
    record: &mut Record,
    (id, started, why): (&str, Timestamp, Trigger),
    part: &mut Part,
) -> Option<Result<Report, Failure>> {
    match prepare(context, object, previous, record).await {
        Ok((policy, clients)) => {
            let ledger = record.ledger.clone();
            let opening = Opening { object, previous, policy: &policy, clients: &clients, ledger: &ledger };
            part.lane = context.fast_path.open(context, &opening);
            part.owed = part.lane.as_ref().map(|lane| lane.begins()).unwrap_or_default();
            let pass = Setting { context, object, previous, policy: &policy, clients: &clients, id, started, why };
            let resource = resource(object);
            let journal = context.journal.of_pass(&resource, id, Some(&context.metrics));
            let ran = pass.run(&ledger, &journal).await;
            record.news.extend(events::of_writes(&journal.done()));
            let mut report = ran?;
            if report.read != Read::NotBegun {
                report.warnings.extend(context.records.overlaps(&resource, &report.overlaps));
            }
            fast_path::demand(part.lane.as_ref(), object, &mut report).await;
            weigh_membership(context, object, &mut report).await;
            Some(Ok(report))
        }
        Err(failure) => Some(Err(failure)),
    }
}

/// How old a list of Teleport's users may be that the pass takes from another one. Who has changed something and waits for
/// the pass sees what is there now.
fn list_age(object: &OktaUserSync, why: Trigger) -> Duration {
    match why {
        Trigger::Time | Trigger::FastPath => SHARED_FOR.min(Duration::from(object.spec.interval) / 4),
        Trigger::Specification | Trigger::Requested | Trigger::Approval | Trigger::Secret => Duration::ZERO,
    }
}

/// The span of a pass. Its parent is none: a trace is a pass.
fn span(object: &OktaUserSync, id: &str, why: Trigger) -> Span {
    tracing::info_span!(
        target: "pass",
        parent: None,
        "pass",
        trace_id = id,
        kind = Kind::Full.as_str(),
        namespace = object.namespace(),
        name = object.name_any(),
        trigger = why.as_str(),
        outcome = field::Empty,
        reason = field::Empty,
        okta_calls = field::Empty,
        writes = field::Empty,
        "otel.status_code" = field::Empty,
    )
}

/// What a trace says of the end of a pass.
fn note(span: &Span, ended: &Result<Report, Failure>) {
    let ending = ended.as_ref().map_or_else(Ending::Refused, Ending::Report);
    span.record("outcome", ending.outcome().as_str());
    if let Some(failure) = ending.cause() {
        span.record("reason", failure.reason);
    }
    if ending.failed() {
        span.record("otel.status_code", "ERROR");
    }
    if let Ok(report) = ended {
        span.record("okta_calls", report.okta_calls);
        span.record("writes", report.writes);
    }
}

/// What a pass runs on.
async fn prepare(
    context: &Context,
    object: &OktaUserSync,
    status: &OktaUserSyncStatus,
    record: &mut Record,
) -> Result<(Policy, Clients), Failure> {
    let subject = subject(object, status);
    let resolver = &context.resolver;
    let policy = resolver.policy(&subject)?;
    if let Some(failure) = keys::obstacle(context, object, status, &record.keys) {
        return Err(failure);
    }
    let material = resolver.read(&subject, &context.secrets).await;
    record.prints = Some(material.as_ref().map(Material::prints).map_err(Clone::clone));
    let clients = resolver.clients(&subject, &material?, record.clients.as_ref())?;
    record.clients = Some(clients.clone());
    if let Some(membership) = resolver.membership(&subject) {
        membership.enrol(subject.namespace, subject.name, clients.teleport()).await;
    }
    let (from, until) = (clients.teleport().identity().from(), clients.identity_expires());
    context.metrics.identity(&resource(object), from, until);
    record.news.extend(events::of_identity(from, until, Timestamp::now(), &mut record.expiry_told));
    Ok((policy, clients))
}

/// What the pass says of an identity that the operator has joined with, and what that says of the pass.
async fn weigh_membership(context: &Context, object: &OktaUserSync, report: &mut Report) {
    let Some(membership) = context.resolver.membership(&subject(object, &OktaUserSyncStatus::default())) else {
        return;
    };
    let expiring = report.cluster.as_mut().map(|cluster| &mut cluster.expiring);
    match (expiring, membership.trouble().await) {
        // It says why, beside when.
        (Some(expiring), trouble @ Some(_)) => *expiring = trouble,
        (_, trouble) => report.warnings.extend(trouble),
    }
    let refused = |failure: &Failure| failure.side == Side::Teleport && failure.class == Class::Credential;
    // Refused, deleted, or of an authority that was rotated away: a new one may do.
    if report.failure.as_ref().is_some_and(refused) {
        membership.doubt().await;
    }
}

/// Everything around one run of the engine.
struct Setting<'a> {
    context: &'a Arc<Context>,
    object: &'a OktaUserSync,
    previous: &'a OktaUserSyncStatus,
    policy: &'a Policy,
    clients: &'a Clients,
    id: &'a str,
    started: Timestamp,
    why: Trigger,
}

impl Setting<'_> {
    /// Runs the engine. A stop of the process, or the deletion of the resource, ends a pass that has written nothing at
    /// once; a pass that writes ends by itself, because every further write is refused. But what it asks meanwhile may get no
    /// answer, and the finalizer waits for it: so after a deletion it has no longer than a partial pass (P15).
    async fn run(&self, ledger: &Ledger, journal: &PassJournal<'_>) -> Option<Report> {
        let wrote = AtomicBool::new(false);
        let generation = Generation::of(self.object);
        let may_write = || {
            let may = self.context.may_write(&generation);
            if may {
                wrote.store(true, Ordering::Relaxed);
            }
            may
        };
        let progress = |progress: Progress<'_>| match progress {
            Progress::Reading { people } => debug!(pass = self.id, people, "reading"),
            Progress::Writing { done, total } => debug!(pass = self.id, done, total, "writing"),
            Progress::Locked(..) => {}
        };
        let pass = Pass {
            policy: self.policy,
            memory: self.previous.memory.clone().unwrap_or_default(),
            pending: self.previous.pending_plan.as_deref().cloned(),
            pinned_org: self.previous.okta.as_ref().map_or("", |okta| okta.org_id.as_str()),
            ledger,
            started: self.started,
            list_age: list_age(self.object, self.why),
            id: self.id.to_owned(),
            may_write: &may_write,
            detail: false,
            progress: &progress,
            journal,
        };
        let stopped = async {
            tokio::select! {
                () = self.context.stop.cancelled() => {
                    if wrote.load(Ordering::Relaxed) {
                        std::future::pending::<()>().await;
                    }
                }
                () = self.deleted() => {
                    if wrote.load(Ordering::Relaxed) {
                        tokio::time::sleep(self.context.fast_path.patience()).await;
                    }
                }
            }
        };
        let clients = self.clients.of_pass();
        let report = tokio::select! {
            biased;
            report = pass.run(&clients.okta, &clients.teleport) => Some(report),
            () = stopped => None,
            () = self.refresh() => None,
        };
        self.context.metrics.teleport_calls(&clients.teleport.calls());
        report
    }
}

impl Setting<'_> {
    /// Ends when the watch shows that the resource is being deleted: a pass that waits for an answer which does not come
    /// must not hold the finalizer up (P15).
    async fn deleted(&self) {
        let mut departures = self.context.records.departures();
        while !self.context.now(self.object, |now| now.metadata.deletion_timestamp.is_some()) {
            if departures.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Goes on under an identity that is renewed in its Secret while the pass runs: an import may outlive a certificate. Never returns.
    async fn refresh(&self) {
        let (subject, uid) = (subject(self.object, self.previous), self.object.uid().unwrap_or_default());
        let mut touches = self.context.records.touches();
        while touches.changed().await.is_ok() {
            if self.context.records.is_touched(&uid)
                && let Some(identity) =
                    self.context.resolver.refresh(&subject, &self.context.secrets, self.clients).await
            {
                let (from, until) = (identity.from(), identity.expires());
                debug!(pass = self.id, %until, "goes on under a renewed identity");
                self.context.metrics.identity(&resource(self.object), from, until);
            }
        }
        std::future::pending::<()>().await;
    }
}

/// How long until the next pass; counts failures in a row.
fn next_wait(context: &Context, object: &OktaUserSync, record: &mut Record, ending: Ending<'_>, id: &str) -> Duration {
    let interval = Duration::from(object.spec.interval);
    // Where only the fast path is missing, everybody was dealt with; when it is granted, a pass is asked for.
    if !ending.failed() || ending.cause().is_some_and(fast_path::is_demand) {
        record.failures = 0;
        return pace::jittered(interval, id);
    }
    record.failures = record.failures.saturating_add(1);
    // Why a join is refused lies in Teleport or in the pod's own files, which tell nobody when they are mended.
    let unwatched = |failure: &Failure| {
        failure.side == Side::Teleport
            && context.resolver.membership(&subject(object, &OktaUserSyncStatus::default())).is_some()
    };
    if let Ending::Refused(failure) = ending
        && !failure.class.retry()
        && !unwatched(failure)
    {
        // What stands in the way lies in the specification or in what it refers to. Both are watched, so looking again
        // and again would only cost; the interval is for a change that was missed.
        return pace::jittered(interval, id);
    }
    let mut backoff = context.backoff;
    if ending.cause().is_none() {
        // The pass itself is well; single people are not. Reading everybody every two minutes would not help them.
        backoff.most = interval;
    }
    pace::jittered(backoff.after(record.failures, interval), id)
}

/// The one line, and the numbers, of a pass.
fn tell(context: &Context, object: &OktaUserSync, ending: Ending<'_>, moment: &Moment<'_>, why: Trigger) {
    let took = moment.now.duration_since(moment.started);
    let (okta_calls, writes, counts) = match ending {
        Ending::Report(report) => (report.okta_calls, report.writes, report.counts),
        Ending::Refused(_) => (0, 0, api::status::UserCounts::default()),
    };
    let outcome = ending.outcome();
    let (kind, cause) = (Kind::Full, ending.cause());
    context.metrics.pass(&resource(object), Measured { kind, outcome, took, okta_calls, cause });
    let report = match ending {
        Ending::Report(report) => Some(report),
        Ending::Refused(_) => None,
    };
    context.metrics.problems(&resource(object), report);
    let failure = ending.cause().map(status::sentence).unwrap_or_default();
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                namespace,
                name,
                pass = moment.id,
                trace_id = moment.id,
                trigger = why.as_str(),
                outcome = outcome.as_str(),
                in_scope = counts.in_scope,
                synced = counts.synced,
                created = counts.created,
                updated = counts.updated,
                locked = counts.locked,
                removed = counts.removed,
                held = counts.held,
                conflicts = counts.conflicts,
                failed = counts.failed,
                okta_calls,
                writes,
                seconds = took.as_secs_f64(),
                reason = ending.cause().map_or("", |failure| failure.reason),
                failure,
                "pass ended"
            )
        };
    }
    if matches!(outcome, Outcome::Partial | Outcome::Refused | Outcome::Held) {
        line!(warn);
    } else {
        line!(info);
    }
}

/// The resource, as resolving sees it; `status` is its newest, which names the key that the operator made.
pub(crate) fn subject<'a>(object: &'a OktaUserSync, status: &OktaUserSyncStatus) -> Subject<'a> {
    Subject {
        namespace: object.metadata.namespace.as_deref().unwrap_or_default(),
        name: object.metadata.name.as_deref().unwrap_or_default(),
        spec: &object.spec,
        own_key: keys::reference(status),
        approvals: trigger::approval(object).map(str::to_owned).into_iter().collect(),
    }
}

/// The resource, as metrics name it.
pub(crate) fn resource(object: &OktaUserSync) -> Resource {
    Resource { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::example;

    #[test]
    fn a_pass_that_nobody_waits_for_takes_a_list_no_older_than_half_a_minute_or_a_quarter_of_its_interval() {
        let age = |interval, why| {
            let mut object = example();
            object.spec.interval = Duration::from_secs(interval).into();
            list_age(&object, why).as_secs()
        };
        for why in [Trigger::Time, Trigger::FastPath] {
            assert_eq!((age(60, why), age(120, why), age(86_400, why)), (15, 30, 30), "{why:?}");
        }
        for why in [Trigger::Specification, Trigger::Requested, Trigger::Approval, Trigger::Secret] {
            assert_eq!(age(600, why), 0, "{why:?}");
        }
    }
}
