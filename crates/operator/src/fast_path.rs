//! The fast path: between full passes, Okta's System Log is polled, and whoever is named there is dealt with at once.
//!
//! Each resource that takes part has a [`Lane`], opened anew by each full pass with the settings, clients and ledger of that
//! pass. Resources that read the same log by the same credential share one poll ([`poll`]). What the log names is a hint:
//! people are asked about by id, and go through the same rules as everybody ([`engine::partial`]), also while a full pass of
//! the resource runs. What cannot be decided that way asks for a full pass.
//!
//! Nothing here polls the Kubernetes API: the resources are those of the watch, and a status is written when somebody was
//! dealt with, when the state changes, and otherwise every ten minutes at most.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use api::{
    OktaUserSync, OktaUserSyncStatus,
    spec::{FastPath as Wanted, Mode, Source},
    status::{FastPathState, FastPathStatus},
};
use engine::{
    failure::Failure,
    feed::Watch,
    ledger::Ledger,
    policy::Policy,
    report::{Outcome, Report},
};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};
use okta::OktaClient;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info};

use crate::{
    reconcile::{Context, Guarded},
    resolve::{Clients, Print},
};

mod lane;
mod poll;
mod shown;

pub(crate) use lane::{Lane, Setup};

/// Between two polls of one log, unless it is set otherwise. A poll is one call.
pub const INTERVAL: Duration = Duration::from_secs(15);

/// How long a resource that demands the fast path waits, at the end of its first pass, for the answer of the first poll.
const FIRST_POLL: Duration = Duration::from_secs(30);

/// How long a pass that has written may go on after its resource has ended: by then a call to Teleport has been answered
/// or given up.
const LAST_CALL: Duration = Duration::from_secs(30);

/// Resources whose full pass is due.
pub(crate) type Wants = UnboundedReceiver<ObjectRef<Guarded>>;

/// All lanes, and the polls that serve them.
pub struct FastPath {
    interval: Duration,
    /// The longest wait for a pass at the end of its resource.
    patience: Duration,
    state: Mutex<State>,
    wants: UnboundedSender<ObjectRef<Guarded>>,
}

#[derive(Default)]
struct State {
    /// By uid.
    lanes: HashMap<String, Arc<Lane>>,
    /// By what tells one log and credential from another.
    polls: HashMap<Print, AbortOnDropHandle<()>>,
}

impl State {
    fn lanes_of(&self, print: &Print) -> Vec<Arc<Lane>> {
        self.lanes.values().filter(|lane| lane.print() == *print).cloned().collect()
    }
}

/// What a full pass hands to the fast path.
pub(crate) struct Opening<'a> {
    pub(crate) object: &'a OktaUserSync,
    pub(crate) previous: &'a OktaUserSyncStatus,
    pub(crate) policy: &'a Policy,
    pub(crate) clients: &'a Clients,
    pub(crate) ledger: &'a Arc<Ledger>,
}

impl FastPath {
    /// No lanes yet; polls come at this interval. A lane that is closed because its resource ends takes at most half of the
    /// time that the clean-up has. Answers, too, where wishes for full passes arrive.
    pub(crate) fn new(interval: Duration, cleanup_within: Duration) -> (Self, Wants) {
        let (wants, wanted) = unbounded();
        let patience = LAST_CALL.min(cleanup_within / 2);
        (Self { interval, patience, state: Mutex::default(), wants }, wanted)
    }

    /// Opens the lane of a resource whose full pass begins, or brings it up to date; `None` (and none is left open) if the
    /// resource takes no part.
    pub(crate) fn open(&self, context: &Arc<Context>, opening: &Opening<'_>) -> Option<Arc<Lane>> {
        let uid = opening.object.uid().unwrap_or_default();
        let removals = opening.previous.memory.as_ref().map_or(&[][..], |memory| &memory.removals);
        opening.ledger.remember(removals, opening.previous.pending_plan.is_some());
        let part = takes_part(opening.object).then(|| Some((opening.clients.feed()?, watch(opening)?))).flatten();
        let Some(((print, feed), watch)) = part else {
            self.forget(&uid);
            return None;
        };
        let setup = Setup::new(opening, watch, print);
        let mut state = self.state();
        let other = state.lanes.values().find(|lane| lane.print() == print && lane.has_polled()).cloned();
        let lane = state
            .lanes
            .entry(uid.clone())
            .and_modify(|lane| lane.set_up(setup.clone()))
            .or_insert_with(|| {
                let lane = Lane::new(uid, setup, opening.previous.fast_path.clone(), self.interval);
                if let Some(other) = &other {
                    lane.join(other);
                }
                Arc::new(lane)
            })
            .clone();
        if state.polls.get(&print).is_none_or(AbortOnDropHandle::is_finished) {
            let task = poll::run(Arc::downgrade(context), print, feed.clone(), self.interval);
            state.polls.insert(print, AbortOnDropHandle::new(tokio::spawn(task)));
        }
        Some(lane)
    }

    /// The longest wait for a pass that has written, at the end of its resource.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Whether an earlier process polled for the resource and this one does not yet.
    pub(crate) fn is_left(&self, object: &OktaUserSync, previous: &OktaUserSyncStatus) -> bool {
        let polled = previous.fast_path.as_ref().is_some_and(|status| status.state != FastPathState::Off);
        polled && takes_part(object) && !self.state().lanes.contains_key(&object.uid().unwrap_or_default())
    }

    /// What status says of the fast path of a resource.
    pub(crate) fn status(&self, uid: &str) -> FastPathStatus {
        let lane = self.state().lanes.get(uid).cloned();
        lane.map_or_else(off, |lane| lane.status())
    }

    /// Closes the lane of a resource, once nothing of it is under way; what waits for an answer that does not come is broken
    /// off.
    pub(crate) async fn close(&self, uid: &str) {
        if let Some(lane) = self.take(uid) {
            lane.close(self.patience).await;
        }
    }

    /// Closes the lane of a resource that is gone or takes no part; what is under way may write nothing more.
    pub(crate) fn forget(&self, uid: &str) {
        if let Some(lane) = self.take(uid) {
            lane.shut();
        }
    }

    /// Closes all lanes but those of resources that are `there`.
    pub(crate) fn keep(&self, there: &HashSet<String>) {
        let gone: Vec<String> = self.state().lanes.keys().filter(|uid| !there.contains(*uid)).cloned().collect();
        for uid in gone {
            self.forget(&uid);
        }
    }

    /// Ends all polls, and waits for what is under way.
    pub(crate) async fn end(&self) {
        let lanes: Vec<Arc<Lane>> = {
            let mut state = self.state();
            state.polls.clear();
            state.lanes.drain().map(|(_, lane)| lane).collect()
        };
        for lane in &lanes {
            lane.shut();
        }
        for lane in lanes {
            lane.close(self.patience).await;
        }
    }

    /// Asks for a full pass of the lane's resource, at most once a minute; a wish that comes sooner waits for the next poll.
    fn want(&self, context: &Context, lane: &Lane, why: &str) {
        if !lane.may_want(why) {
            return;
        }
        let generation = lane.generation();
        let resource = generation.reference();
        info!(namespace = resource.namespace, name = resource.name, why, "the fast path asks for a full pass");
        context.records.want(lane.uid());
        // The other end goes with the controller, which is the end of everything.
        let _ = self.wants.unbounded_send(resource.clone());
    }

    /// Lanes that are served by that poll; if there are none, it is not needed any more and is taken off the list.
    fn served_by(&self, print: &Print) -> Vec<Arc<Lane>> {
        let mut state = self.state();
        let lanes = state.lanes_of(print);
        if lanes.is_empty()
            && let Some(poll) = state.polls.remove(print)
        {
            // It is the poll itself that asks; it ends by itself.
            poll.detach();
        }
        lanes
    }

    /// The same lanes, for a poll that goes on in any case.
    fn lanes_of(&self, print: &Print) -> Vec<Arc<Lane>> {
        self.state().lanes_of(print)
    }

    fn take(&self, uid: &str) -> Option<Arc<Lane>> {
        self.state().lanes.remove(uid)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What status says of a resource without a lane.
#[must_use]
pub(crate) fn off() -> FastPathStatus {
    FastPathStatus { state: FastPathState::Off, ..FastPathStatus::default() }
}

/// What the report of a full pass says where the fast path is demanded and cannot be had: the pass did its part, and the
/// resource is not as it should be.
pub(crate) async fn demand(lane: Option<&Arc<Lane>>, object: &OktaUserSync, report: &mut Report) {
    let Some(lane) = lane.filter(|_| object.spec.okta.fast_path == Wanted::Required) else { return };
    if tokio::time::timeout(FIRST_POLL, lane.polled()).await.is_err() {
        debug!("the System Log has not answered yet");
    }
    let Some(refusal) = lane.refusal() else { return };
    report.failed("", &refusal);
    if report.failure.is_none() {
        report.failure = Some(refusal);
        report.outcome = Outcome::Partial;
    }
}

/// Whether a failure is only that the fast path, which is demanded, is not granted: everybody was dealt with all the same,
/// so there is no reason to do it again soon.
pub(crate) fn is_demand(failure: &Failure) -> bool {
    failure.reason == NOT_GRANTED
}

/// Reason of the failure that the fast path is demanded and not granted.
const NOT_GRANTED: &str = "FastPathNotGranted";

fn takes_part(object: &OktaUserSync) -> bool {
    let spec = &object.spec;
    spec.okta.fast_path != Wanted::Disabled
        && spec.mode != Mode::Preview
        && !spec.suspend
        && object.metadata.deletion_timestamp.is_none()
}

/// What is watched for the resource; `None` as long as it is not known which app people come from.
fn watch(opening: &Opening<'_>) -> Option<Watch> {
    let policy = opening.policy;
    let app = match policy.source {
        Source::App => {
            let seen = opening.previous.okta.as_ref().map(|okta| okta.app_id.clone());
            Some(policy.app_id.clone().or(seen).filter(|id| !id.is_empty())?)
        }
        Source::Groups | Source::Org => None,
    };
    Some(Watch { app, groups: !policy.groups.is_empty() })
}

/// A poll's own way to everything; nothing of it keeps the process's parts alive.
type Around = Weak<Context>;

/// The client of a log.
type Log = Arc<OktaClient>;
