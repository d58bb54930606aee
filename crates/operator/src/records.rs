//! What is kept in memory of each resource between two passes. Lost with the process, and nothing depends on it that
//! status does not know as well, but for who has which account (see [`engine::ledger`]).

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::{OktaUserSync, OktaUserSyncStatus, condition};
use engine::{failure::Failure, ledger::Ledger};
use jiff::Timestamp;

use tokio::sync::watch;

use crate::{
    events::News,
    keys::Upkeep,
    metrics::Resource,
    resolve::{Clients, Print},
    store::Written,
};

/// What is known of one resource.
#[derive(Debug, Default)]
pub struct Record {
    /// The status that was made last, as long as the watch does not show it: just after the write it shows an older one,
    /// and the brake counts by the newest (P5).
    pub unshown: Option<Box<Unshown>>,
    /// The status could not be written yet.
    pub unwritten: bool,
    /// Clients of the last pass.
    pub clients: Option<Clients>,
    /// Prints of what the Secrets held at the last pass, or why they could not be read.
    pub prints: Option<Result<[Print; 2], Failure>>,
    /// Whether a pass of this process has run.
    pub passed: bool,
    /// What the passes over it share, the fast path's among them.
    pub ledger: Arc<Ledger>,
    /// The approval that the last pass has judged.
    pub approval: Option<String>,
    /// What is to be told by Events with the next status.
    pub news: Vec<News>,
    /// The end of the identity that an Event has warned of.
    pub expiry_told: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// What is known of keys that the operator made.
    pub keys: Upkeep,
    /// Its name in metrics.
    pub shown_as: Option<Resource>,
}

/// A status that is newer, or knows more, than what the watch shows.
#[derive(Debug)]
pub struct Unshown {
    /// All of it.
    pub status: OktaUserSyncStatus,
    /// The version of the resource at which the watch shows all of it; `None`: at none.
    pub until: Option<String>,
}

impl Unshown {
    /// The status as it was written. Where the definition has no place for part of it, no watch ever shows that.
    #[must_use]
    pub fn written(Written { version, status }: Written) -> Self {
        let whole = condition::find(&status.conditions, condition::DEFINITION_OUTDATED).is_none();
        Self { until: version.filter(|_| whole), status }
    }
}

impl Record {
    /// The newest status of a resource whose newest state in the watch is `object`.
    #[must_use]
    pub fn status_of(&self, object: &OktaUserSync) -> OktaUserSyncStatus {
        match &self.unshown {
            Some(unshown) => unshown.status.clone(),
            None => object.status.clone().unwrap_or_default(),
        }
    }
}

/// All records, by uid, so that a resource made anew under an old name starts from nothing.
#[derive(Debug, Default)]
pub struct Records {
    state: Mutex<State>,
    /// Changes with every [`Records::touch`].
    touches: watch::Sender<()>,
    /// Changes with every [`Records::depart`].
    departures: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Each in a place of its own: a table has room for twice as many as it holds, and a record is large.
    records: HashMap<String, Box<Record>>,
    touched: HashSet<String>,
    wanted: HashSet<String>,
    undecodable: HashSet<String>,
    /// By resource: how many people of its scope are users of which other one.
    overlaps: HashMap<String, BTreeMap<String, i64>>,
}

impl Records {
    /// Takes the record out, to be worked with; only one reconcile of a resource runs at a time.
    #[must_use]
    pub fn take(&self, uid: &str) -> Box<Record> {
        self.state().records.remove(uid).unwrap_or_default()
    }

    /// Puts it back.
    pub fn put(&self, uid: &str, record: Box<Record>) {
        self.state().records.insert(uid.to_owned(), record);
    }

    /// The watch shows the resource at that version. A status that was written as this version is kept no longer: from now
    /// on that of the watch is as new, and there are many resources. (It is looked up there after the record was taken.)
    pub fn shown(&self, uid: &str, version: Option<&str>) {
        if let (Some(record), Some(version)) = (self.state().records.get_mut(uid), version) {
            record.unshown.take_if(|unshown| unshown.until.as_deref() == Some(version));
        }
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, uid: &str, named: &Resource) {
        let mut state = self.state();
        state.overlaps.remove(&owner(named));
        state.records.remove(uid);
        state.touched.remove(uid);
        state.wanted.remove(uid);
        state.undecodable.remove(uid);
    }

    /// Forgets all resources that are not `there` any more (their deletion may not have been seen); answers their names in
    /// metrics.
    pub fn keep(&self, there: &HashSet<String>) -> Vec<Resource> {
        let mut state = self.state();
        state.touched.retain(|uid| there.contains(uid));
        state.wanted.retain(|uid| there.contains(uid));
        state.undecodable.retain(|uid| there.contains(uid));
        let gone: Vec<String> = state.records.keys().filter(|uid| !there.contains(*uid)).cloned().collect();
        let gone: Vec<_> = gone.iter().filter_map(|uid| state.records.remove(uid)?.shown_as).collect();
        for named in &gone {
            state.overlaps.remove(&owner(named));
        }
        gone
    }

    /// Notes which other resources have users of people in the scope of `named`, and answers what is to be said about it
    /// in the status of `named`: of its own overlaps, and of those that others have with it.
    #[must_use]
    pub fn overlaps(&self, named: &Resource, own: &BTreeMap<String, i64>) -> Vec<String> {
        let (mut state, this) = (self.state(), owner(named));
        let mut words: Vec<String> = own
            .iter()
            .map(|(other, count)| {
                format!("{count} people of this scope are users of the OktaUserSync {other}; the scopes overlap")
            })
            .collect();
        if own.is_empty() {
            state.overlaps.remove(&this);
        } else {
            state.overlaps.insert(this.clone(), own.clone());
        }
        let mut claims: Vec<_> =
            state.overlaps.iter().filter_map(|(other, theirs)| Some((other, theirs.get(&this)?))).collect();
        claims.sort();
        words.extend(claims.into_iter().map(|(other, count)| {
            format!("{count} users of this resource are people of the scope of the OktaUserSync {other} too; the scopes overlap")
        }));
        words
    }

    /// Notes that a Secret of the resource was written.
    pub fn touch(&self, uid: &str) {
        self.state().touched.insert(uid.to_owned());
        self.touches.send_replace(());
    }

    /// Changes whenever a Secret of any resource was written.
    #[must_use]
    pub fn touches(&self) -> watch::Receiver<()> {
        self.touches.subscribe()
    }

    /// Whether a Secret of the resource was written and [`Records::was_touched`] has not been asked since.
    #[must_use]
    pub fn is_touched(&self, uid: &str) -> bool {
        self.state().touched.contains(uid)
    }

    /// Whether a Secret was written since this was asked last.
    #[must_use]
    pub fn was_touched(&self, uid: &str) -> bool {
        self.state().touched.remove(uid)
    }

    /// Notes that the watch has shown a resource whose deletion has begun.
    pub fn depart(&self) {
        self.departures.send_replace(());
    }

    /// Changes whenever the deletion of any resource has begun.
    #[must_use]
    pub fn departures(&self) -> watch::Receiver<()> {
        self.departures.subscribe()
    }

    /// Notes that the fast path asks for a full pass of the resource.
    pub fn want(&self, uid: &str) {
        self.state().wanted.insert(uid.to_owned());
    }

    /// Whether a full pass was asked for since this was asked last.
    #[must_use]
    pub fn was_wanted(&self, uid: &str) -> bool {
        self.state().wanted.remove(uid)
    }

    /// Notes whether the resource can be decoded; answers how many cannot.
    pub fn decodable(&self, uid: &str, decodable: bool) -> usize {
        let mut state = self.state();
        if decodable {
            state.undecodable.remove(uid);
        } else {
            state.undecodable.insert(uid.to_owned());
        }
        state.undecodable.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `namespace/name`, as the ownership label says it.
fn owner(named: &Resource) -> String {
    format!("{}/{}", named.namespace, named.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_that_overlap_are_told_on_both_sides_until_one_is_gone() {
        let records = Records::default();
        let named = |name: &str| Resource { namespace: "home".into(), name: name.into() };
        assert!(records.overlaps(&named("old"), &BTreeMap::new()).is_empty());
        let told = records.overlaps(&named("new"), &[("home/old".to_owned(), 3)].into());
        assert!(told.len() == 1 && told[0].contains("3 people") && told[0].contains("home/old"), "{told:?}");
        let told = records.overlaps(&named("old"), &BTreeMap::new());
        assert!(told.len() == 1 && told[0].contains("3 users") && told[0].contains("home/new"), "{told:?}");
        records.forget("uid", &named("new"));
        assert!(records.overlaps(&named("old"), &BTreeMap::new()).is_empty());
    }

    #[test]
    fn a_record_lives_as_long_as_its_resource() {
        let records = Records::default();
        records.put("1", Box::new(Record { failures: 3, ..Record::default() }));
        let record = records.take("1");
        assert_eq!((record.failures, records.take("2").failures), (3, 0));
        records.put("1", record);
        records.touch("1");
        assert!(records.was_touched("1") && !records.was_touched("1"));
        records.want("1");
        assert!(records.was_wanted("1") && !records.was_wanted("1"));
        assert_eq!((records.decodable("1", false), records.decodable("1", true)), (1, 0));
        records.forget("1", &Resource { namespace: "home".into(), name: "a".into() });
        assert_eq!(records.take("1").failures, 0);
    }

    // records.rs, `written`, `shown`.
    #[test]
    fn p05_a_status_goes_when_the_watch_shows_all_of_it_and_not_before() {
        let records = Records::default();
        let kept = |unshown: Unshown, shown: Option<&str>| {
            records.put("1", Box::new(Record { unshown: Some(Box::new(unshown)), ..Record::default() }));
            records.shown("1", shown);
            records.shown("2", shown);
            records.take("1").unshown.is_some()
        };
        let written = |version: Option<&str>, type_: &str| {
            let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH);
            let conditions = vec![condition::condition(type_, true, "X", "", 1, &time)];
            let status = OktaUserSyncStatus { conditions, ..OktaUserSyncStatus::default() };
            Unshown::written(Written { version: version.map(str::to_owned), status })
        };
        let whole = |version| written(version, condition::READY);
        assert!(!kept(whole(Some("7")), Some("7")));
        assert!(kept(whole(Some("7")), Some("6")) && kept(whole(Some("7")), None), "an older one is shown");
        assert!(kept(whole(None), None) && kept(whole(None), Some("7")), "nobody knows at which version");
        let unwritten = Unshown { status: OktaUserSyncStatus::default(), until: None };
        assert!(kept(unwritten, Some("7")), "it is not written yet");
        assert!(kept(written(Some("7"), condition::DEFINITION_OUTDATED), Some("7")), "part of it is shown nowhere");
    }

    #[test]
    fn who_is_gone_unseen_is_forgotten_with_its_metrics() {
        let records = Records::default();
        let named = |name: &str| Resource { namespace: "home".into(), name: name.into() };
        for name in ["a", "b"] {
            records.put(name, Box::new(Record { failures: 1, shown_as: Some(named(name)), ..Record::default() }));
        }
        assert_eq!(records.keep(&["b".to_owned()].into()), [named("a")]);
        assert_eq!((records.take("a").failures, records.take("b").failures), (0, 1));
    }

    /// 500 resources at rest are to fit into a few megabytes (docs/performance.md): what is large and rare is kept elsewhere.
    #[test]
    fn what_is_kept_of_a_resource_is_small() {
        assert!(size_of::<Record>() <= 560, "{}", size_of::<Record>());
        assert!(size_of::<api::OktaUserSync>() <= 1920, "{}", size_of::<api::OktaUserSync>());
    }
}
