//! Random histories of an organisation against a small model of what must be true.
//!
//! Whatever happens, in whatever order, with crashes after any write and lists that lose, repeat or lag: no write touches
//! what is not ours (nor does a lock shut out who bears a name that has changed hands), no account goes before its lock is
//! enforced (the world notes both), the first undisturbed pass after the last change brings everything to where the model
//! says, and the next one writes nothing.

// Helpers of tests say what they expect; clippy.toml allows that only inside #[test] functions themselves.
#![allow(clippy::unwrap_used)]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use api::spec::OnSpecChange;
use engine::{ledger::Ledger, person::PersonStatus, report::Outcome, user::User};
use proptest::{prelude::*, test_runner::Config};
use serde_json::json;
use world::{World, id, is_ours, local_user};

/// The filter that a history switches on and off. People with an even number are of the team that it leaves out.
const FILTER: &str = "user.profile.team != 'even'";

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    Hire,
    Deactivate(usize),
    Unassign(usize),
    Delete(usize),
    Suspend(usize),
    Return(usize),
    Rename(usize),
    /// One takes the user name that another has or had.
    TakeOver(usize, usize),
    Profile(usize),
    /// The filter is set, or taken away.
    Filter,
    /// Okta's next lists lose the person.
    Hide(usize),
    /// Okta's next lists end on that page.
    Cut(usize),
    /// Okta's next lists give that page twice.
    Repeat(usize),
    /// Teleport's next lists show what is there now, whatever happens until then.
    Lag,
    /// The pass of another resource lists everybody, and the next pass may take its list.
    Neighbour,
    /// The process dies after so many writes of the next pass, and with it what it remembered.
    Crash(usize),
    /// An administrator gives a role by hand, or a login rewrites the user.
    ByHand(usize),
    /// Somebody deletes a user of ours and makes one of their own under that name; the next lists show the former still.
    ChangeHands(usize),
    Pass,
    /// The fast path asks about everybody to whom something happened since it asked last.
    Fast,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let who = 0..12_usize;
    let event = prop_oneof![
        Just(Event::Hire),
        who.clone().prop_map(Event::Deactivate),
        who.clone().prop_map(Event::Unassign),
        who.clone().prop_map(Event::Delete),
        who.clone().prop_map(Event::Suspend),
        who.clone().prop_map(Event::Return),
        who.clone().prop_map(Event::Rename),
        (who.clone(), who.clone()).prop_map(|(one, other)| Event::TakeOver(one, other)),
        who.clone().prop_map(Event::Profile),
        Just(Event::Filter),
        who.clone().prop_map(Event::Hide),
        (1..4_usize).prop_map(Event::Cut),
        (1..4_usize).prop_map(Event::Repeat),
        Just(Event::Lag),
        Just(Event::Neighbour),
        (0..6_usize).prop_map(Event::Crash),
        who.clone().prop_map(Event::ByHand),
        who.prop_map(Event::ChangeHands),
        Just(Event::Pass),
        Just(Event::Pass),
        Just(Event::Fast),
        Just(Event::Fast),
    ];
    prop::collection::vec(event, 1..40)
}

/// Histories of people alone: nothing goes wrong, and nobody interferes. With `names`, people take each other's names.
fn lives(names: bool) -> impl Strategy<Value = Vec<Event>> {
    events().prop_map(move |mut events| {
        events.retain(|event| match event {
            Event::Hide(_)
            | Event::Cut(_)
            | Event::Repeat(_)
            | Event::Lag
            | Event::Neighbour
            | Event::Crash(_)
            | Event::ByHand(_)
            | Event::ChangeHands(_)
            | Event::Filter => false,
            Event::TakeOver(..) => names,
            _ => true,
        });
        events
    })
}

/// A world in which things happen, and what only its history tells.
struct History {
    world: World,
    /// Every user name, and everybody who ever had it in Okta.
    holders: BTreeMap<String, BTreeSet<String>>,
    names: usize,
    /// User names that somebody else has in Teleport by now, for good.
    taken: BTreeSet<String>,
    /// Whom the fast path will ask about.
    hinted: BTreeSet<String>,
}

impl History {
    fn begin() -> Self {
        let mut world = World::with_people(6);
        world.spec.removal.brake.max_users = 1000;
        world.spec.removal.brake.on_spec_change = OnSpecChange::Allow;
        world.foreign_user(local_user("admin"));
        world.foreign_user(local_user("zz-bot"));
        let mut history =
            Self { world, holders: BTreeMap::new(), names: 0, taken: BTreeSet::new(), hinted: BTreeSet::new() };
        for n in 0..6 {
            history.note(n);
        }
        history.hinted.clear();
        history
    }

    /// Gives a new person their team, and remembers who has which name.
    fn note(&mut self, n: usize) {
        self.world.set_profile(&id(n), "team", json!(if n.is_multiple_of(2) { "even" } else { "odd" }));
        let name = self.world.okta().people[&id(n)].user_name.clone().unwrap();
        self.holders.entry(name).or_default().insert(id(n));
        self.hinted.insert(id(n));
    }

    /// A name that nobody had before.
    fn fresh(&mut self) -> String {
        self.names += 1;
        format!("name{}", self.names)
    }

    async fn happen(&mut self, event: &Event) {
        let exists = |n: &usize| self.world.okta().people.contains_key(&id(*n));
        match event {
            Event::Hire => {
                let n = (0..1000).find(|n| !exists(n)).unwrap();
                let name = self.fresh();
                self.world.hire(&id(n), &name);
                self.note(n);
            }
            Event::Filter => {
                let filter = &mut self.world.spec.scope.filter;
                *filter = if filter.is_empty() { FILTER.into() } else { String::new() };
            }
            Event::Rename(n) if exists(n) => {
                let name = self.fresh();
                self.world.rename(&id(*n), &name);
                self.note(*n);
            }
            Event::TakeOver(n, other) if exists(n) && exists(other) && n != other => {
                let name = self.world.okta().people[&id(*other)].user_name.clone().unwrap();
                let free = self.fresh();
                self.world.rename(&id(*other), &free);
                self.note(*other);
                self.world.rename(&id(*n), &name);
                self.note(*n);
            }
            Event::Deactivate(n)
            | Event::Unassign(n)
            | Event::Delete(n)
            | Event::Suspend(n)
            | Event::Return(n)
            | Event::Profile(n)
            | Event::Hide(n)
                if exists(n) =>
            {
                to_person(&self.world, event, &id(*n));
                self.hinted.insert(id(*n));
            }
            Event::Cut(page) => self.world.okta().cut_after_page = Some(*page),
            Event::Repeat(page) => self.world.okta().repeat_page = Some(*page),
            Event::Lag => self.lists_lag(),
            Event::Neighbour => self.world.neighbour_lists().await,
            Event::Crash(writes) => self.world.teleport().dies_after = Some(*writes),
            Event::ByHand(n) => by_hand(&self.world, *n),
            Event::ChangeHands(n) => self.change_hands(*n),
            Event::Pass => self.pass().await,
            Event::Fast => self.fast().await,
            _ => {}
        }
    }

    fn lists_lag(&self) {
        let mut teleport = self.world.teleport();
        teleport.stale = Some(teleport.users.values().cloned().collect());
    }

    /// From here on every write to that user, a lock as well, breaks a rule of the world.
    fn change_hands(&mut self, n: usize) {
        let Some(name) = accounts(&self.world).into_keys().nth(n) else { return };
        self.lists_lag();
        self.world.foreign_user(local_user(&name));
        self.taken.insert(name);
    }

    /// A partial pass; whom it owes something, it is told of again.
    async fn fast(&mut self) {
        let people: Vec<String> = std::mem::take(&mut self.hinted).into_iter().collect();
        let partial = self.world.partial(&people).await;
        self.hinted.extend(partial.owed);
        self.die();
    }

    /// With the process goes all that it knew, and all that its passes had for each other.
    fn die(&mut self) {
        let mut teleport = self.world.teleport();
        if teleport.dies_after.take().is_some() {
            teleport.shelf = None;
            drop(teleport);
            self.world.ledger = Ledger::default();
        }
    }

    /// A pass, with whatever is broken; then it is mended.
    async fn pass(&mut self) {
        self.world.pass().await;
        self.die();
        let mut teleport = self.world.teleport();
        (teleport.stale, teleport.shelf) = (None, None);
        drop(teleport);
        let mut okta = self.world.okta();
        okta.cut_after_page = None;
        okta.repeat_page = None;
        okta.hidden.clear();
    }

    /// Okta ids of those who are assigned and whom the filter lets pass.
    fn in_scope(&self) -> BTreeSet<String> {
        let okta = self.world.okta();
        let everybody = self.world.spec.scope.filter.is_empty();
        let passes = |id: &&String| everybody || okta.people[*id].profile["team"] != json!("even");
        okta.assigned.iter().filter(passes).cloned().collect()
    }

    /// The model: who must have which account, who must not, and whose must be shut.
    fn check(&self) -> Result<(), TestCaseError> {
        let accounts = accounts(&self.world);
        let people = self.world.okta().people.clone();
        let in_scope = self.in_scope();
        for (okta_id, person) in &people {
            let name = person.user_name.clone().unwrap();
            let in_scope = in_scope.contains(okta_id);
            let shared = self.holders[&name].len() > 1;
            let account = accounts.get(&name);
            match (&person.status, in_scope) {
                (PersonStatus::Active, true) if self.taken.contains(&name) => {}
                // The name was another's: its certificates may live, so that one waits behind a lock (P11).
                (PersonStatus::Active, true) if shared && account.is_none() => {
                    let kept = accounts.values().any(|owner| owner == okta_id);
                    let is_shut = self.world.locked(&name);
                    prop_assert!(kept || is_shut, "{name} waits for {okta_id} without a lock");
                }
                (PersonStatus::Active, true) => {
                    prop_assert_eq!(account, Some(okta_id), "{} belongs", name);
                    prop_assert!(!self.world.locked(&name), "{} is not locked", name);
                    let titles = self.world.teleport().users[&name].traits.get("okta/title").cloned();
                    prop_assert_eq!(titles.is_some(), person.profile.contains_key("title"));
                }
                (PersonStatus::Suspended, true) => {
                    for (account, _) in accounts.iter().filter(|(_, owner)| *owner == okta_id) {
                        prop_assert!(self.world.locked(account), "{} is suspended", account);
                    }
                }
                _ => prop_assert!(!accounts.values().any(|owner| owner == okta_id), "{} left", name),
            }
        }
        for name in &self.taken {
            prop_assert_eq!(&self.world.teleport().users[name], &local_user(name), "{} is somebody else's", name);
        }
        for (name, okta_id) in &accounts {
            prop_assert!(people.contains_key(okta_id), "{} belongs to nobody", name);
        }
        // Whoever had an account and has none any more is locked out as long as a certificate could live.
        for deleted in self.world.writes().iter().filter_map(|write| write.strip_prefix("delete ")) {
            let back = accounts.contains_key(deleted) || self.taken.contains(deleted);
            prop_assert!(back || self.world.locked(deleted), "{} was deleted and is not locked", deleted);
        }
        Ok(())
    }
}

/// Our accounts, by user name, with the Okta id of each.
fn accounts(world: &World) -> BTreeMap<String, String> {
    let teleport = world.teleport();
    let ours = teleport.users.values().filter(|user| is_ours(user));
    ours.map(|user| (user.name.clone(), user.labels["usersync.dev/okta-user-id"].clone())).collect()
}

fn to_person(world: &World, event: &Event, id: &str) {
    match event {
        Event::Deactivate(_) => world.deactivate(id),
        Event::Unassign(_) => {
            world.okta().assigned.remove(id);
        }
        Event::Delete(_) => {
            world.okta().assigned.remove(id);
            world.okta().people.remove(id);
        }
        Event::Suspend(_) => world.set_status(id, PersonStatus::Suspended),
        Event::Return(_) => world.reactivate(id),
        Event::Profile(_) => world.set_profile(id, "title", json!("another")),
        Event::Hide(_) => {
            world.okta().hidden.insert(id.to_owned());
        }
        _ => {}
    }
}

/// Users of people who may get in. Who left and came back suspended has no account where the leaving was seen, and a locked
/// one where it was not.
fn open_users(world: &World) -> BTreeMap<String, User> {
    let users: Vec<User> = world.teleport().users.values().filter(|user| is_ours(user)).cloned().collect();
    let suspended = |user: &User| {
        let id = &user.labels["usersync.dev/okta-user-id"];
        world.okta().people.get(id).is_some_and(|person| person.status == PersonStatus::Suspended)
    };
    let (shut, open): (Vec<_>, Vec<_>) = users.into_iter().partition(suspended);
    assert!(shut.iter().all(|user| world.locked(&user.name)));
    open.into_iter().map(|user| (user.name.clone(), User { revision: String::new(), ..user })).collect()
}

/// A world at the end of that history and a last full pass, with the fast path or without.
async fn ended(events: &[Event], fast: bool) -> World {
    let mut history = History::begin();
    for event in events.iter().filter(|event| fast || !matches!(event, Event::Fast)) {
        history.happen(event).await;
    }
    history.pass().await;
    history.world
}

fn by_hand(world: &World, n: usize) {
    let mut teleport = world.teleport();
    if let Some(user) = teleport.users.values_mut().filter(|user| is_ours(user)).nth(n) {
        user.roles.push("by-hand".into());
        user.revision.push('+');
    }
}

/// 512 histories of each kind, unless `PROPTEST_CASES` says otherwise.
fn config() -> Config {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    if asked { Config::default() } else { Config::with_cases(512) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_history_ends_where_the_model_says(events in events()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut history = History::begin();
            for event in &events {
                history.happen(event).await;
            }
            history.pass().await; // whatever was still broken is used up
            let nobody = history.world.okta().assigned.is_empty();
            let report = history.world.pass().await;
            if nobody {
                return Ok(()); // an empty list is refused (P2)
            }
            prop_assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.problems);
            history.check()?;
            let before = history.world.writes().len();
            let again = history.world.pass().await;
            prop_assert_eq!(history.world.writes().len(), before, "the second pass wrote: {:?}", again.changes);
            Ok(())
        })?;
    }
    // With the fast path or without, everybody ends the same, and whoever is shut out without it is so with it.
    #[test]
    fn the_fast_path_changes_when_and_not_what(events in lives(false)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (fast, slow) = (ended(&events, true).await, ended(&events, false).await);
            if slow.okta().assigned.is_empty() {
                return Ok(()); // an empty list is refused (P2)
            }
            prop_assert_eq!(open_users(&fast), open_users(&slow));
            let names: Vec<String> = slow.teleport().locks.values().map(|lock| lock.user.clone()).collect();
            for name in names.iter().filter(|name| slow.locked(name)) {
                prop_assert!(fast.locked(name), "{} is locked by full passes alone", name);
            }
            Ok(())
        })?;
    }

    // At every moment, what the fast path writes is among what a full pass would write; with a brake that often holds.
    #[test]
    fn the_fast_path_does_nothing_that_a_full_pass_would_not(events in lives(true)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut fast, mut full) = (History::begin(), History::begin());
            for history in [&mut fast, &mut full] {
                history.world.spec.removal.brake.max_users = 2;
                for event in events.iter().filter(|event| !matches!(event, Event::Fast)) {
                    history.happen(event).await;
                }
            }
            let before = fast.world.writes().len();
            fast.fast().await;
            full.world.pass().await;
            let allowed = full.world.writes().split_off(before);
            for write in fast.world.writes().split_off(before) {
                prop_assert!(allowed.contains(&write), "{} is not among {:?}", write, allowed);
            }
            Ok(())
        })?;
    }
}
