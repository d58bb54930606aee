//! The end of a resource: its deletion policy is carried out within a bounded time, whatever is gone (P15).

use std::{sync::Arc, time::Duration};

use api::{
    OktaUserSync, OktaUserSyncStatus,
    spec::{DeletionPolicy, Mode},
};
use engine::cleanup::{self, Cleanup, cleanup};
use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt as _, runtime::controller::Action};
use tracing::{Span, info, warn};

use crate::{
    attempt::{resource, subject},
    events::News,
    kubernetes::ApiError,
    pace,
    reconcile::{self, Context},
    records::Record,
    resolve::Subject,
    status, trace,
};

/// The least time that an attempt gets, however late it is.
const LEAST: Duration = Duration::from_secs(5);

/// Carries out the deletion policy of `object` and takes the finalizer away; or says when to try again.
pub(crate) async fn end(
    context: &Arc<Context>,
    object: &OktaUserSync,
    previous: OktaUserSyncStatus,
    record: &mut Record,
) -> Result<Action, ApiError> {
    let deletion = object.metadata.deletion_timestamp.as_ref().map_or_else(Timestamp::now, |time| time.0);
    let left = context.cleanup_within.saturating_sub(since(deletion));
    let news = match object.spec.deletion_policy {
        DeletionPolicy::Orphan => None,
        // Preview never writes to Teleport, not even at the end.
        _ if object.spec.mode == Mode::Preview => None,
        policy => match clean_up(context, object, policy, record, left.max(LEAST)).await {
            Ok(done) => Some(News::of_cleanup(
                false,
                "CleanedUp",
                format!("{} users locked, {} locked and deleted", done.locked, done.deleted),
            )),
            Err(why) if left.is_zero() => Some(leave_behind(object, policy, &why)),
            Err(why) => return try_again(context, object, previous, record, &why, left).await,
        },
    };
    if let Some(news) = news {
        context.announcer.tell(object, vec![news]).await;
    }
    context.store.remove_finalizer(object).await?;
    context.metrics.forget(&resource(object));
    info!(namespace = object.namespace(), name = object.name_any(), "released the deleted resource");
    Ok(Action::await_change())
}

/// One attempt; `Err` says in words for people what is left to do.
async fn clean_up(
    context: &Arc<Context>,
    object: &OktaUserSync,
    policy: DeletionPolicy,
    record: &Record,
    within: Duration,
) -> Result<Cleanup, Unfinished> {
    let attempt = async {
        // What lies in Okta plays no part here, nor does a key.
        let spec = cleanup::what_counts(&object.spec);
        let subject = Subject { spec: &spec, ..subject(object, &OktaUserSyncStatus::default()) };
        let mut rules = context.resolver.policy(&subject).map_err(|failure| Unfinished::said(&failure))?;
        let teleport = context.resolver.for_cleanup(&subject, &context.secrets, record.clients.as_ref());
        let teleport = teleport.await.map_err(|failure| Unfinished::said(&failure))?.counting_anew();
        let may_write = || context.claim.holds() && !context.stop.is_cancelled();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let resource = resource(object);
        let journal = context.journal.of_pass(&resource, &id, Some(&context.metrics));
        let work = cleanup(&teleport, &mut rules, policy, &id, Timestamp::now(), &may_write, &journal);
        let done = trace::within(&id, || span(object, &id, policy), Box::pin(work)).await;
        context.metrics.teleport_calls(&teleport.calls());
        done.map_err(|failure| Unfinished::said(&failure))
    };
    let done = tokio::time::timeout(within, attempt)
        .await
        .unwrap_or_else(|_| Err(Unfinished { why: "Teleport did not answer in time".into(), users: Vec::new() }))?;
    if done.left.is_empty() {
        return Ok(done);
    }
    let first = done.problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
    Err(Unfinished { why: format!("{} users or more are left: {first}", done.left.len()), users: done.left })
}

/// The span of a clean-up. Its parent is none: a trace is one attempt.
fn span(object: &OktaUserSync, id: &str, policy: DeletionPolicy) -> Span {
    tracing::info_span!(
        target: "pass",
        parent: None,
        "clean-up",
        trace_id = id,
        namespace = object.namespace(),
        name = object.name_any(),
        policy = ?policy,
    )
}

/// What an attempt left undone.
struct Unfinished {
    why: String,
    users: Vec<String>,
}

impl Unfinished {
    fn said(failure: &engine::failure::Failure) -> Self {
        Self { why: status::sentence(failure), users: Vec::new() }
    }
}

async fn try_again(
    context: &Arc<Context>,
    object: &OktaUserSync,
    previous: OktaUserSyncStatus,
    record: &mut Record,
    unfinished: &Unfinished,
    left: Duration,
) -> Result<Action, ApiError> {
    record.failures = record.failures.saturating_add(1);
    let why = format!("deletionPolicy could not be carried out yet: {}", unfinished.why);
    warn!(namespace = object.namespace(), name = object.name_any(), "{why}");
    let generation = object.metadata.generation.unwrap_or_default();
    let next = status::leaving(&previous, generation, Timestamp::now(), &why);
    if let Some(next) = next {
        reconcile::write(context, object, record, &previous, next).await?;
    }
    let wait = context.backoff.after(record.failures, left.max(Duration::from_secs(1)));
    Ok(Action::requeue(pace::jittered(wait, &format!("{:?}/{}", object.uid(), record.failures))))
}

/// The time is up: the resource goes, and what it leaves is named. Names go to the log, which fewer people may read.
fn leave_behind(object: &OktaUserSync, policy: DeletionPolicy, unfinished: &Unfinished) -> News {
    let (namespace, name) = (object.namespace(), object.name_any());
    warn!(
        namespace, name, ?policy, users = ?unfinished.users, why = unfinished.why,
        "deleted without its deletionPolicy being carried out: users with the label usersync.dev/owner are left in Teleport"
    );
    let note = format!(
        "deletionPolicy {policy:?} could not be carried out in time, so users labelled usersync.dev/owner={}/{} are left \
         in Teleport; lock or delete them by hand (tctl). Last: {}",
        namespace.unwrap_or_default(),
        name,
        if unfinished.users.is_empty() { unfinished.why.as_str() } else { "some users could not be locked" },
    );
    News::of_cleanup(true, "LeftBehind", note)
}

fn since(time: Timestamp) -> Duration {
    let since: SignedDuration = Timestamp::now().duration_since(time);
    Duration::try_from(since).unwrap_or(Duration::ZERO)
}
