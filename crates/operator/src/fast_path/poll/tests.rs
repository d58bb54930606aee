//! Polls of a log in memory, whose readings begin and end when the test says so.

use std::{
    collections::HashSet,
    future::Future,
    pin::pin,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use api::{OktaUserSyncStatus, status::FastPathStatus};
use engine::{failure::Side, feed::Hint, report::Read};
use futures::poll;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::reflector::store::Writer;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    attempt::subject,
    fast_path::{INTERVAL, Opening, Setup},
    reconcile::{Guarded, tests::lonely},
    resolve::{Clients, tests::example_clients},
    status::tests::example,
};

/// How far a reading reaches back behind the last one.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// A log in memory, with one event of each person.
struct Log {
    events: Mutex<Vec<Arc<Hint>>>,
    now: Mutex<Timestamp>,
    /// Readings that may end.
    leave: Semaphore,
    reads: AtomicUsize,
    /// Which reading fails.
    fails: AtomicUsize,
}

impl Log {
    fn new() -> Self {
        Self {
            events: Mutex::default(),
            now: Mutex::new(at(0)),
            leave: Semaphore::new(0),
            reads: AtomicUsize::new(0),
            fails: AtomicUsize::new(0),
        }
    }

    fn happens(&self, person: &str, second: i64) {
        let hint = Hint { person: person.into(), event: "user.lifecycle.suspend", at: at(second), leaving: true };
        self.events.lock().unwrap().push(Arc::new(hint));
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

impl Feed for Log {
    type Found = Vec<Arc<Hint>>;

    async fn read(&self, cursor: &mut Cursor, _: &[Watch]) -> Result<Self::Found, Failure> {
        let reading = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        self.leave.acquire().await.unwrap().forget();
        if self.fails.load(Ordering::Relaxed) == reading {
            return Err(Failure::new(Side::Okta, Class::Transient, "OktaUnavailable", "it is down", "wait"));
        }
        let (since, now) = (cursor.position() - OVERLAP, *self.now.lock().unwrap());
        let events = self.events.lock().unwrap();
        let span = events.iter().filter(|event| (since..=now).contains(&event.at));
        let fresh: Vec<_> = span.filter(|event| !cursor.has_seen(&event.person)).cloned().collect();
        cursor.advance(now, fresh.iter().map(|event| (event.person.as_str(), event.at)), OVERLAP * 2);
        Ok(fresh)
    }

    fn news(&self, found: &Self::Found, _: &Watch) -> News {
        News::of(found.iter().cloned())
    }

    fn ahead(&self) -> SignedDuration {
        SignedDuration::ZERO
    }
}

/// An operator whose resources read that log.
struct House {
    context: Arc<Context>,
    /// Nobody tells it of resources, so whoever is owed a look stays so.
    _watch: Writer<Guarded>,
    clients: Clients,
    log: Arc<Log>,
}

impl House {
    async fn new() -> (Self, Poll<Log>) {
        let (context, watch) = lonely();
        let house = Self { context, _watch: watch, clients: example_clients().await, log: Arc::new(Log::new()) };
        let poll = Poll { log: house.log.clone(), print: house.print(), cursor: None, failures: 0, refused: false };
        (house, poll)
    }

    fn print(&self) -> Print {
        self.clients.feed().unwrap().0
    }

    /// Opens the lane of a resource; an earlier process has read the log for it as far as `left_at`.
    fn opens(&self, uid: &str, left_at: Option<i64>) -> Arc<Lane> {
        let (mut object, mut previous) = (example(), OktaUserSyncStatus::default());
        object.metadata.uid = Some(uid.into());
        previous.fast_path = left_at.map(|left| FastPathStatus {
            state: FastPathState::Active,
            cursor: Some(Time(at(left))),
            ..FastPathStatus::default()
        });
        let policy = self.context.resolver.policy(&subject(&object, &previous)).unwrap();
        let opening = Opening {
            object: &object,
            previous: &previous,
            policy: &policy,
            clients: &self.clients,
            ledger: &Arc::default(),
        };
        let setup = Setup::new(&opening, Watch::default(), self.print());
        let lane = Arc::new(Lane::new(uid.into(), setup, previous.fast_path.clone(), INTERVAL));
        self.context.fast_path.state().lanes.insert(uid.into(), lane.clone());
        lane
    }

    /// A poll at that time by the log's clock, which may end at once.
    async fn polls(&self, poll: &mut Poll<Log>, second: i64) {
        self.log.leave.add_permits(2);
        self.polls_with_leave(poll, second).await;
        let left = self.log.leave.available_permits();
        self.log.leave.forget_permits(left);
    }

    fn polls_with_leave(&self, poll: &mut Poll<Log>, second: i64) -> impl Future<Output = ()> {
        *self.log.now.lock().unwrap() = at(second);
        let lanes = self.context.fast_path.served_by(&self.print());
        async move { poll.once(&self.context, &lanes).await }
    }
}

/// Whom a lane owes a look; they are dealt with.
fn told(lane: &Lane) -> Vec<String> {
    let owed: HashSet<String> = lane.begins();
    lane.passed(&OktaUserSyncStatus::default(), &Read::Complete, &owed);
    let mut owed: Vec<String> = owed.into_iter().collect();
    owed.sort();
    owed
}

#[tokio::test]
async fn a_lane_that_opens_while_a_poll_is_under_way_is_told_what_that_poll_reads() {
    let (house, mut poll) = House::new().await;
    let first = house.opens("first", Some(0));
    house.log.happens("00u1", 5);
    {
        let mut reading = pin!(house.polls_with_leave(&mut poll, 10));
        assert!(poll!(reading.as_mut()).is_pending(), "the log has not answered");
        let second = house.opens("second", None);
        house.log.happens("00u2", 9);
        house.log.leave.add_permits(1);
        reading.await;
        assert_eq!(told(&first), ["00u1", "00u2"]);
        assert_eq!(told(&second), ["00u1", "00u2"], "for the next poll these are told");
        assert!(second.has_polled());
    }
    house.log.happens("00u3", 12);
    house.polls(&mut poll, 20).await;
    let second = house.context.fast_path.lanes_of(&house.print()).into_iter().find(|lane| lane.uid() == "second");
    assert_eq!((told(&first), told(&second.unwrap())), (vec!["00u3".to_owned()], vec!["00u3".to_owned()]));
    assert_eq!(house.log.reads(), 2, "one call a poll");
}

#[tokio::test]
async fn a_lane_that_was_left_further_behind_is_told_what_others_were_and_they_are_not_told_again() {
    let (house, mut poll) = House::new().await;
    let first = house.opens("first", Some(1_000));
    house.log.happens("00u1", 850);
    house.log.happens("00u2", 1_005);
    house.polls(&mut poll, 1_010).await;
    assert_eq!(told(&first), ["00u2"]);

    // An earlier process had not come as far with it. Some of what it missed was told to the other; some lies so far back that
    // nobody remembers whether it was told.
    let second = house.opens("second", Some(800));
    house.log.happens("00u3", 1_015);
    house.polls(&mut poll, 1_020).await;
    assert_eq!(told(&first), ["00u3"]);
    assert_eq!(told(&second), ["00u1", "00u2", "00u3"]);
    assert_eq!(house.log.reads(), 3);

    // From then on it is one of them.
    house.log.happens("00u4", 1_025);
    house.polls(&mut poll, 1_030).await;
    assert_eq!(told(&first), ["00u4"]);
    assert_eq!(told(&second), ["00u4"]);
    assert_eq!(house.log.reads(), 4);
}

#[tokio::test]
async fn a_lane_that_was_left_behind_and_opens_while_a_poll_is_under_way_catches_up_at_its_end() {
    let (house, mut poll) = House::new().await;
    let first = house.opens("first", Some(1_000));
    house.log.happens("00u1", 850);
    house.log.happens("00u2", 1_005);
    let mut reading = pin!(house.polls_with_leave(&mut poll, 1_010));
    assert!(poll!(reading.as_mut()).is_pending());
    let second = house.opens("second", Some(800));
    house.log.leave.add_permits(2);
    reading.await;
    assert_eq!(told(&first), ["00u2"]);
    assert_eq!(told(&second), ["00u1", "00u2"]);
}

#[tokio::test]
async fn who_could_not_catch_up_tries_again_and_holds_up_nobody() {
    let (house, mut poll) = House::new().await;
    let first = house.opens("first", Some(1_000));
    house.polls(&mut poll, 1_010).await;
    let second = house.opens("second", Some(800));
    house.log.happens("00u1", 850);
    house.log.happens("00u2", 1_015);
    house.log.fails.store(3, Ordering::Relaxed);
    house.polls(&mut poll, 1_020).await;
    assert_eq!((house.log.reads(), first.status().state), (3, FastPathState::Active));
    assert_eq!(told(&first), ["00u2"]);
    assert!(told(&second).is_empty());
    assert_eq!((second.status().state, second.left_at()), (FastPathState::Behind, Some(at(800))));
    house.polls(&mut poll, 1_030).await;
    assert_eq!(told(&second), ["00u1", "00u2"]);
    assert_eq!((second.status().state, second.left_at()), (FastPathState::Active, None));
    assert!(told(&first).is_empty());
}

#[tokio::test]
async fn failing_polls_come_less_often_and_missing_rights_are_asked_for_rarely() {
    let (_, mut poll) = House::new().await;
    let interval = Duration::from_secs(15);
    let waits: Vec<u64> = [0, 1, 2, 3, 4, 5, 99]
        .into_iter()
        .map(|failures| {
            poll.failures = failures;
            poll.wait(interval).as_secs()
        })
        .collect();
    assert_eq!(waits, [15, 15, 30, 60, 120, 120, 120]);
    poll.refused = true;
    assert_eq!(poll.wait(interval).as_secs(), 600);
}
