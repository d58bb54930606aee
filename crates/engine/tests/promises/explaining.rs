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
