//! One poll of one log, for all resources that read it by the same credential.

use std::{collections::HashMap, sync::Arc, time::Duration};

use api::{spec::FastPath as Wanted, status::FastPathState};
use engine::{
    failure::{Class, Failure},
    feed::{Cursor, Feed, News, Watch},
};
use jiff::{SignedDuration, Timestamp};
use tracing::{debug, warn};

use super::{Around, Lane, Log, NOT_GRANTED};
use crate::{pace, reconcile::Context, resolve::Print};

/// After a refusal for want of a right, so many intervals pass before it is tried again: an administrator grants rights.
const GRANT_WAIT: u32 = 40;

/// While the log cannot be read, the wait between polls doubles up to so many intervals.
const MOST_WAIT: u32 = 8;

/// Polls until nobody needs it any more.
pub(super) async fn run(around: Around, print: Print, log: Log, interval: Duration) {
    let mut poll = Poll { log, print, cursor: None, failures: 0, refused: false };
    let seed = uuid::Uuid::new_v4();
    for round in 0_u64.. {
        let Some(context) = around.upgrade() else { return };
        if context.stop.is_cancelled() || !context.claim.holds() {
            return;
        }
        let lanes = context.fast_path.served_by(&print);
        if lanes.is_empty() {
            return;
        }
        poll.once(&context, &lanes).await;
        drop((context, lanes));
        tokio::time::sleep(pace::jittered(poll.wait(interval), &format!("{seed}/{round}"))).await;
    }
}

struct Poll<F> {
    log: Arc<F>,
    print: Print,
    cursor: Option<Cursor>,
    /// In a row.
    failures: u32,
    /// The last answer was that a right is missing.
    refused: bool,
}

impl<F: Feed> Poll<F> {
    async fn once(&mut self, context: &Arc<Context>, lanes: &[Arc<Lane>]) {
        let cursor = self.cursor.get_or_insert_with(|| Cursor::since(start(lanes)));
        let began = cursor.position();
        match self.log.read(cursor, &watches(lanes)).await {
            Ok(found) => {
                (self.failures, self.refused) = (0, false);
                let read_to = cursor.position();
                // Who came, or watches something else, since the reading began is told as well: it is not read again.
                let lanes = context.fast_path.lanes_of(&self.print);
                let (behind, there): (Vec<_>, Vec<_>) =
                    lanes.into_iter().partition(|lane| lane.left_at().is_some_and(|left| left < began));
                self.tell_all(context, &there, &found, read_to).await;
                self.catch_up(context, &behind).await;
            }
            Err(failure) => {
                self.failures = self.failures.saturating_add(1);
                self.refused = failure.class == Class::Permission;
                warn_once(self.failures, &failure);
                for lane in lanes {
                    self.tell_failure(context, lane, &failure).await;
                }
            }
        }
    }

    /// Tells those whom an earlier process left further behind what the others know already. They have a cursor of their own,
    /// so nobody else is told twice, and what is too much or too long ago for them is so for nobody else.
    async fn catch_up(&self, context: &Arc<Context>, lanes: &[Arc<Lane>]) {
        if lanes.is_empty() {
            return;
        }
        let mut cursor = Cursor::since(start(lanes));
        match self.log.read(&mut cursor, &watches(lanes)).await {
            Ok(found) => self.tell_all(context, lanes, &found, cursor.position()).await,
            Err(failure) => {
                debug!(reason = failure.reason, "the System Log cannot be read from where it was left");
                for lane in lanes {
                    self.tell_failure(context, lane, &failure).await;
                }
            }
        }
    }

    /// Tells what was found. It is worked out once for all who watch the same, and not held longer than they are told.
    async fn tell_all(&self, context: &Arc<Context>, lanes: &[Arc<Lane>], found: &F::Found, read_to: Timestamp) {
        let ahead = self.log.ahead();
        let mut alike: HashMap<Watch, Vec<&Arc<Lane>>> = HashMap::new();
        for lane in lanes {
            alike.entry(lane.watch()).or_default().push(lane);
        }
        for (watch, lanes) in alike {
            let news = self.log.news(found, &watch);
            for lane in lanes {
                tell(context, lane, &news, read_to, ahead).await;
            }
        }
    }

    async fn tell_failure(&self, context: &Arc<Context>, lane: &Arc<Lane>, failure: &Failure) {
        let state = if self.refused { FastPathState::NotGranted } else { FastPathState::Behind };
        let refusal = self.refused.then(|| Failure { reason: NOT_GRANTED, ..failure.clone() });
        if lane.failed(state, &crate::status::sentence(failure), refusal) && lane.demands(Wanted::Required) {
            context.fast_path.want(context, lane, "the fast path is demanded, and not granted any more");
        }
        // Who is owed is asked about whether or not the log can be read.
        lane.clone().go(context);
        lane.show(context).await;
    }

    /// Until the next poll, without jitter.
    fn wait(&self, interval: Duration) -> Duration {
        match (self.refused, self.failures) {
            (_, 0) => interval,
            (true, _) => interval * GRANT_WAIT,
            (false, failures) => interval * 2_u32.saturating_pow(failures.min(31) - 1).min(MOST_WAIT),
        }
    }
}

/// What a poll brought for one resource.
async fn tell(context: &Arc<Context>, lane: &Arc<Lane>, news: &News, read_to: Timestamp, ahead: SignedDuration) {
    if !news.hints.is_empty() {
        debug!(people = news.hints.len(), "the System Log names people");
    }
    let granted_now = lane.read(read_to, &news.hints, ahead);
    if granted_now && lane.demands(Wanted::Required) {
        context.fast_path.want(context, lane, "the fast path is granted now");
    }
    match &news.full_pass {
        Some(why) => context.fast_path.want(context, lane, why),
        None => {
            if let Some(why) = lane.waiting_wish() {
                context.fast_path.want(context, lane, &why);
            }
        }
    }
    lane.clone().go(context);
    lane.show(context).await;
}

/// Where the first poll begins: as far back as any of them needs it.
fn start(lanes: &[Arc<Lane>]) -> Timestamp {
    lanes.iter().map(|lane| lane.since()).min().unwrap_or_else(Timestamp::now)
}

fn watches(lanes: &[Arc<Lane>]) -> Vec<Watch> {
    lanes.iter().map(|lane| lane.watch()).collect()
}

fn warn_once(failures: u32, failure: &Failure) {
    if failures == 1 {
        warn!(reason = failure.reason, "the System Log cannot be read: {}", crate::status::sentence(failure));
    } else {
        debug!(failures, reason = failure.reason, "the System Log can still not be read");
    }
}

#[cfg(test)]
mod tests;
