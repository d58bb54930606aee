//! Random histories of an organisation against a small model of what must be true.
//!
//! Whatever happens, in whatever order, with crashes after any write and lists that lose people: no write touches what is
//! not ours, no account goes before its lock is enforced (the world notes both), the first undisturbed pass after the last
//! change brings everything to where the model says, and the next one writes nothing.

// Helpers of tests say what they expect; clippy.toml allows that only inside #[test] functions themselves.
#![allow(clippy::unwrap_used)]

mod world;

use std::collections::BTreeMap;

use engine::{person::PersonStatus, report::Outcome};
use proptest::{prelude::*, test_runner::Config};
use serde_json::json;
use world::{World, id, is_ours, local_user};

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
    Profile(usize),
    /// Okta's next lists lose the person.
    Hide(usize),
    /// Okta's next lists end on that page.
    Cut(usize),
    /// The process dies after so many writes of the next pass.
    Crash(usize),
    /// An administrator gives a role by hand, or a login rewrites the user.
    ByHand(usize),
    Pass,
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
        who.clone().prop_map(Event::Profile),
        who.clone().prop_map(Event::Hide),
        (1..4_usize).prop_map(Event::Cut),
        (0..6_usize).prop_map(Event::Crash),
        who.prop_map(Event::ByHand),
        Just(Event::Pass),
        Just(Event::Pass),
    ];
    prop::collection::vec(event, 1..40)
}

/// Lets one event happen. `names` counts user names, so that each is new and belongs to one person only.
async fn happen(world: &mut World, event: &Event, names: &mut usize) {
    let exists = |world: &World, n: usize| world.okta().people.contains_key(&id(n));
    let mut fresh = || {
        *names += 1;
        format!("name{names}")
    };
    match event {
        Event::Hire => {
            let n = (0..1000).find(|n| !exists(world, *n)).unwrap();
            world.hire(&id(n), &fresh());
        }
        Event::Pass => {
            world.pass().await;
            world.teleport().dies_after = None;
            world.okta().cut_after_page = None;
            world.okta().hidden.clear();
        }
        Event::Cut(page) => world.okta().cut_after_page = Some(*page),
        Event::Crash(writes) => world.teleport().dies_after = Some(*writes),
        Event::ByHand(n) => {
            let mut teleport = world.teleport();
            let ours = teleport.users.values_mut().filter(|user| is_ours(user)).nth(*n);
            if let Some(user) = ours {
                user.roles.push("by-hand".into());
                user.revision.push('+');
            }
        }
        Event::Deactivate(n)
        | Event::Unassign(n)
        | Event::Delete(n)
        | Event::Suspend(n)
        | Event::Return(n)
        | Event::Rename(n)
        | Event::Profile(n)
        | Event::Hide(n) => {
            if exists(world, *n) {
                to_person(world, event, &id(*n), &fresh());
            }
        }
    }
}

fn to_person(world: &World, event: &Event, id: &str, fresh: &str) {
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
        Event::Rename(_) => world.rename(id, fresh),
        Event::Profile(_) => world.set_profile(id, "title", json!(fresh)),
        Event::Hide(_) => {
            world.okta().hidden.insert(id.to_owned());
        }
        _ => {}
    }
}

/// The model: who must have which account, who must not, and whose must be shut.
fn check(world: &World) -> Result<(), TestCaseError> {
    let okta = world.okta();
    let accounts: BTreeMap<String, String> = world
        .teleport()
        .users
        .values()
        .filter(|user| is_ours(user))
        .map(|user| (user.name.clone(), user.labels["usersync.dev/okta-user-id"].clone()))
        .collect();
    for (name, person) in okta.people.iter().map(|(id, person)| (person.user_name.clone().unwrap(), (id, person))) {
        let (okta_id, person) = person;
        let assigned = okta.assigned.contains(okta_id);
        match (&person.status, assigned) {
            (PersonStatus::Active, true) => {
                prop_assert_eq!(accounts.get(&name), Some(okta_id), "{} belongs", name);
                prop_assert!(!world.locked(&name), "{} is not locked", name);
                let titles = world.teleport().users[&name].traits.get("okta/title").cloned();
                prop_assert_eq!(titles.is_some(), person.profile.contains_key("title"));
            }
            (PersonStatus::Suspended, true) => {
                for (account, _) in accounts.iter().filter(|(_, owner)| *owner == okta_id) {
                    prop_assert!(world.locked(account), "{} is suspended", account);
                }
            }
            _ => prop_assert!(!accounts.values().any(|owner| owner == okta_id), "{} left", name),
        }
    }
    for (name, okta_id) in &accounts {
        prop_assert!(okta.people.contains_key(okta_id), "{} belongs to nobody", name);
    }
    drop(okta);
    // Whoever had an account and has none any more is locked out as long as a certificate could live.
    for deleted in world.writes().iter().filter_map(|write| write.strip_prefix("delete ")) {
        let back = accounts.contains_key(deleted);
        prop_assert!(back || world.locked(deleted), "{} was deleted and is not locked", deleted);
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 256, ..Config::default() })]

    #[test]
    fn every_history_ends_where_the_model_says(history in events()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::with_people(6);
            world.spec.removal.brake.max_users = 1000;
            world.foreign_user(local_user("admin"));
            world.foreign_user(local_user("zz-bot"));
            let mut names = 0;
            for event in &history {
                happen(&mut world, event, &mut names).await;
            }
            happen(&mut world, &Event::Pass, &mut names).await; // whatever was still broken is used up
            let nobody = world.okta().assigned.is_empty();
            let report = world.pass().await;
            if nobody {
                return Ok(()); // an empty list is refused (P2)
            }
            prop_assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.problems);
            check(&world)?;
            let before = world.writes().len();
            let again = world.pass().await;
            prop_assert_eq!(world.writes().len(), before, "the second pass wrote: {:?}", again.changes);
            Ok(())
        })?;
    }
}
