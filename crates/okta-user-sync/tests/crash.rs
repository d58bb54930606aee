//! The operator is killed (SIGKILL) after each single write of a leaver, a return and a rename. The next one ends the work in the right state, and at no
//! moment can somebody who has left use an old certificate while the account is gone.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use suites::House;
use teleport_sim::{LockState, Options, Probe};
use testkit::{Process, eventually};

mod support;
use support::operator;

const SOON: Duration = Duration::from_secs(90);

/// Asks, all the time and from a thread of its own, whether a certificate from before is good for a session although its account is gone.
struct Watch {
    names: Arc<Mutex<BTreeSet<String>>>,
    seen: Arc<Mutex<Vec<String>>>,
    asked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(probe: Probe, before: Timestamp) -> Self {
        let names = Arc::new(Mutex::new(BTreeSet::<String>::new()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (asked, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (of, to, count, end) = (names.clone(), seen.clone(), asked.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let names = of.lock().unwrap().clone();
                for name in names {
                    let session = probe.session(&name, Some(before));
                    if session.usable && !session.user_exists {
                        to.lock().unwrap().push(format!("{name}: {session:?}"));
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { names, seen, asked, stop, thread: Some(thread) }
    }

    /// These have left, and are looked at from now on.
    fn left(&self, name: &str) {
        self.names.lock().unwrap().insert(name.to_owned());
    }

    /// This one may come back.
    fn returns(&self, name: &str) {
        self.names.lock().unwrap().remove(name);
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let seen = self.seen.lock().unwrap();
        assert!(seen.is_empty(), "{} moments without a lock, first {:?}", seen.len(), seen.first());
        assert!(self.asked.load(Ordering::Relaxed) > 1000, "hardly asked");
    }
}

/// The house, its operator, and what is known of its people.
struct Story {
    house: House,
    folder: tempfile::TempDir,
    operator: Process,
    app: String,
    watch: Watch,
}

impl Story {
    async fn begin(people: usize) -> Self {
        let house = House::vacant(people, Options::default()).await;
        house.put_secrets().await;
        let folder = tempfile::tempdir().unwrap();
        let operator = operator::start(&house, folder.path(), &[]).await;
        let mut spec = house.spec();
        spec["removal"] = json!({ "brake": { "maxUsers": 100, "maxPercent": 100 } });
        house.change(&spec).await;
        house.until_ready().await;
        let app = house.okta.ready().app_id;
        for name in house.teleport.user_names() {
            let _ = house.teleport.issue_certificate(&name, SignedDuration::from_hours(12));
        }
        let watch = Watch::start(house.teleport.probe(), Timestamp::now());
        Self { house, folder, operator, app, watch }
    }

    fn name(&self, id: &str) -> String {
        let entry = self.house.okta.org().app_user(&self.app, id).unwrap();
        entry["credentials"]["userName"].as_str().unwrap().to_owned()
    }

    /// Has the operator do what is due up to its `writes`-th write, kills it there, and has another one do the rest.
    async fn crash_after(&mut self, writes: u64) {
        let before = self.house.teleport.writes().len();
        self.house.teleport.hold_after(writes);
        let token = self.house.request().await;
        let holding = async || self.house.teleport.is_holding().then_some(()).ok_or("writes go on");
        let reached = eventually(SOON, "the last write before the crash", holding).await;
        reached.unwrap_or_else(|e| panic!("{e}; {:?}\n{}", self.house.teleport.writes(), self.operator.output()));
        self.operator.kill().unwrap();
        let done = self.house.teleport.writes();
        assert_eq!(done.len() - before, usize::try_from(writes).unwrap(), "{:?}", &done[before..]);
        self.house.teleport.release();
        self.operator = operator::start(&self.house, self.folder.path(), &[]).await;
        let carried_out = |resource: &serde_json::Value| resource["status"]["lastHandledReconcileAt"] == token.as_str();
        self.house.until("the pass after the crash", carried_out).await;
        self.house.until_ready().await;
    }

    /// Has left: locked, and gone.
    fn assert_left(&self, name: &str) {
        let session = self.house.teleport.session(name, None);
        assert_eq!((session.user_exists, session.usable, session.lock), (false, false, LockState::Enforced), "{name}");
        let ours = self.house.teleport.locks().into_iter().filter(|lock| lock.user == name).count();
        assert_eq!(ours, 1, "one lock, however often it was begun: {name}");
    }

    /// Is here: with an account and no lock. (A lock is lifted a moment after it was deleted, as one is enforced a moment after it was stored.)
    async fn assert_here(&self, name: &str) {
        let here = async || {
            let session = self.house.teleport.session(name, None);
            let here = session.user_exists && session.lock == LockState::None;
            here.then_some(()).ok_or_else(|| format!("{session:?}"))
        };
        eventually(SOON, "the account without a lock", here).await.unwrap();
        assert_eq!(self.house.teleport.user(name).unwrap().roles, ["okta-requester"], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_write_the_next_one_ends_it_and_no_moment_is_without_a_lock() {
    let mut story = Story::begin(6).await;
    let people = story.house.okta.org().assigned(&story.app).unwrap();

    // A leaver: lock, delete.
    let leavers: Vec<_> = people[..2].iter().map(|id| (id.clone(), story.name(id))).collect();
    for (writes, (id, name)) in (1..).zip(&leavers) {
        story.watch.left(name);
        story.house.okta.org().unassign(&story.app, id).unwrap();
        story.crash_after(writes).await;
        story.assert_left(name);
    }

    // A return: unlock, create.
    for (writes, (id, name)) in (1..).zip(&leavers) {
        story.watch.returns(name);
        story.house.okta.org().assign(&story.app, id, Some(name)).unwrap();
        story.crash_after(writes).await;
        story.assert_here(name).await;
    }

    // A rename: create, lock, delete.
    for (writes, id) in (1..=3).zip(&people[2..]) {
        let (old, new) = (story.name(id), format!("new-{writes}@example.com"));
        story.watch.left(&old);
        story.house.okta.org().rename(&story.app, id, &new).unwrap();
        story.crash_after(writes).await;
        story.assert_left(&old);
        story.assert_here(&new).await;
    }

    story.watch.end();
    let early = story
        .house
        .teleport
        .writes()
        .into_iter()
        .find(|write| write.lock.is_some_and(|lock| lock != LockState::Enforced));
    assert_eq!(early, None, "P4");
}
