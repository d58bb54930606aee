//! One person, explained.

use api::spec::RemovalAction;
use engine::{explain::Explanation, lock::Lock, person::PersonStatus};

use crate::world::{World, id, local_user, name};

#[tokio::test]
async fn one_person_explained() {
    let mut world = World::imported(8).await;
    world.foreign_user(local_user("local"));
    world.hire(&id(20), "local");
    world.hire(&id(21), "new");
    world.deactivate(&id(0));
    world.set_status(&id(1), PersonStatus::Suspended);
    world.okta().assigned.remove(&id(2));
    world.set_status(&id(3), PersonStatus::Other("VACATION".into()));
    world.rename(&id(4), "ann");
    let table = [
        (name(0), "not in the source", "lock the user user00 for 31h and delete it"),
        (id(0), "not in the source", "lock the user user00 for 31h and delete it"),
        (name(1), "suspended in Okta", "lock the user user01 until the person comes back"),
        (name(2), "not in the source", "delete it"),
        (name(3), "VACATION", "left as they are"),
        ("ann".into(), "belongs", "make the user ann (until now user04)"),
        (name(5), "belongs", "nothing"),
        ("new".into(), "belongs", "make the user new"),
        ("local".into(), "belongs", "a local user has that name"),
    ];
    for (who, rule, next) in table {
        let told = world.explain(&who).await.unwrap();
        assert!(told.rule.contains(rule), "{who}: {told:?}");
        assert!(told.next.iter().any(|line| line.contains(next)), "{who}: {told:?}");
        assert!(!told.okta.is_empty() && !told.teleport.is_empty(), "{who}: {told:?}");
    }
    assert_eq!(world.explain("nobody-at-all").await.unwrap_err().reason, "NobodyByThatName");
    assert_eq!(world.writes(), Vec::<String>::new());
    // After the pass the lock is what is left to tell.
    world.pass().await;
    let told = world.explain(&name(0)).await.unwrap();
    assert!(told.teleport.iter().any(|line| line.starts_with("locked by us until")), "{told:?}");
}

// explain.rs, `tell_removals`, `in_teleport`: what a pass would find out by asking is found out here too.
#[tokio::test]
async fn one_person_explained_as_okta_and_the_guard_see_them() {
    let mut world = World::imported(8).await;
    world.okta().hidden.insert(id(0));
    world.set_status(&id(1), PersonStatus::Other("ARCHIVED".into()));
    world.okta().assigned.remove(&id(1));
    let foreign = Lock {
        name: "by-hand".into(),
        user: name(2),
        message: "look into it".into(),
        expires: None,
        created: None,
        ours: None,
    };
    world.teleport().locks.insert(foreign.name.clone(), foreign);
    world.teleport().enforced.insert("by-hand".into());
    let lines =
        |told: &Explanation| [told.teleport.clone(), told.next.clone(), told.remedies.clone()].concat().join("\n");
    for (n, words) in
        [(0, "keep the user user00"), (1, "ARCHIVED is not known"), (2, "the lock by-hand, which is not ours")]
    {
        let told = world.explain(&name(n)).await.unwrap();
        assert!(lines(&told).contains(words), "{told:?}");
    }
    world.spec.removal.action = RemovalAction::LockOnly;
    world.deactivate(&id(3));
    let told = world.explain(&name(3)).await.unwrap();
    assert!(told.next[0].starts_with("lock the user user03 until the person comes back"), "{told:?}");
    // What stands against every removal is said of each.
    (3..8).for_each(|n| world.deactivate(&id(n)));
    (0..2).for_each(|n| world.deactivate(&id(n)));
    world.pass().await;
    let told = world.explain(&name(3)).await.unwrap();
    let hash = world.pending.clone().unwrap().hash;
    assert!(told.remedies.iter().any(|remedy| remedy.contains(&hash)), "{told:?}");
    world.okta().app.0 = "INACTIVE".into();
    let told = world.explain(&name(3)).await.unwrap();
    assert!(
        told.remedies.iter().any(|remedy| remedy.contains("nobody is removed") && remedy.contains("INACTIVE")),
        "{told:?}"
    );
}

#[tokio::test]
async fn who_is_about_to_get_a_name_is_told_what_becomes_of_its_user() {
    let world = World::imported(3).await;
    world.rename(&id(0), &name(1));
    world.set_status(&id(1), PersonStatus::Suspended);
    let told = world.explain(&id(0)).await.unwrap();
    assert_eq!((told.user, told.okta_id), (name(1), id(0)));
    let next = told.next.join("; ");
    assert!(next.contains("lock the user user01 until the person comes back"), "{next}");
}

// explain.rs, `find`, `name_of` and `is_about`.
#[tokio::test]
async fn one_person_is_found_by_id_by_name_and_by_what_is_left_of_them() {
    let mut world = World::imported(6).await;
    world.deactivate(&id(0));
    world.pass().await;
    // Gone from both sides: what is left is the lock, by the name it stands on, and the person, by id.
    let told = world.explain(&name(0)).await.unwrap();
    assert_eq!((told.user, told.okta_id), (name(0), id(0)));
    assert_eq!(told.okta, ["status DEPROVISIONED", "not assigned"]);
    world.okta().people.remove(&id(0));
    let told = world.explain(&name(0)).await.unwrap();
    assert_eq!(told.okta, [format!("no user has the id {}: deleted", id(0))]);
    assert!(told.teleport.contains(&"no user".to_owned()), "{told:?}");

    // A user of ours whose person the list does not show is found by its label, and by the id on it.
    world.okta().hidden.insert(id(1));
    for who in [name(1), id(1)] {
        let told = world.explain(&who).await.unwrap();
        assert_eq!((told.user, told.okta_id), (name(1), id(1)), "{who}");
        assert_eq!(told.okta, ["status ACTIVE", "assignment ACTIVE", "user name user01"]);
    }

    // Somebody who is about to get a name, and whoever has it now, are told apart.
    world.rename(&id(2), &name(3));
    let next = |told: &Explanation| told.next.join("; ");
    let (goes, has) = (world.explain(&id(2)).await.unwrap(), world.explain(&id(3)).await.unwrap());
    assert_eq!((goes.okta_id.as_str(), has.okta_id.as_str()), (id(2).as_str(), id(3).as_str()));
    assert!(!next(&goes).is_empty() && !next(&has).is_empty());
    // What is planned for others is not told of them.
    world.hire(&id(30), "newcomer");
    world.set_profile(&id(4), "title", "Boss".into());
    assert_eq!(world.explain(&name(5)).await.unwrap().next, ["nothing: all is as it should be"]);
    let newcomer = world.explain(&id(30)).await.unwrap();
    assert_eq!((newcomer.user.as_str(), next(&newcomer).as_str()), ("newcomer", "make the user newcomer"));
    assert_eq!(
        next(&world.explain(&name(4)).await.unwrap()),
        "change the user user04: it differs from what it should be"
    );

    // Both ends of a rename are told, whichever name is asked for.
    world.rename(&id(5), "eve");
    for who in [id(5), "eve".to_owned()] {
        let told = next(&world.explain(&who).await.unwrap());
        assert!(
            told.contains("make the user eve (until now user05)") && told.contains("lock the user user05"),
            "{told}"
        );
    }

    // Where the list could not be read, a user of ours is known by its label alone.
    world.okta().fail_on_page = Some(1);
    assert_eq!(world.explain(&name(4)).await.unwrap().okta_id, id(4));
    world.okta().fail_on_page = None;

    // Somebody without any user name has their id alone.
    world.okta().people.get_mut(&id(30)).unwrap().user_name = None;
    let told = world.explain(&id(30)).await.unwrap();
    assert_eq!((told.user.as_str(), told.okta_id), ("", id(30)));
}
