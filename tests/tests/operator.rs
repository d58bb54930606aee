//! The operator over a real API server, under the rights of its own ServiceAccount, between both simulators.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use suites::{House, condition};

fn writes(house: &House) -> Vec<String> {
    house.teleport.writes().iter().map(|write| format!("{} {}", write.method, write.name)).collect()
}

/// A mistake that a person can make, and how it is mended.
struct Mistake {
    what: &'static str,
    /// The reason that the condition gives, and the side that it speaks of.
    reason: &'static str,
    side: &'static str,
    make: fn(&House) -> Change,
    mend: fn(&House) -> Change,
}

/// What has to be written for it; what lies in Okta or Teleport is changed at once.
enum Change {
    Nothing,
    Secret(&'static str, String),
    Spec(Value),
}

fn spec_with(house: &House, pointer: &str, value: &str) -> Change {
    let mut spec = house.spec();
    *spec.pointer_mut(pointer).unwrap() = value.into();
    Change::Spec(spec)
}

fn mistakes() -> Vec<Mistake> {
    vec![
        Mistake {
            what: "an unreadable key",
            reason: "KeyUnreadable",
            side: "OktaReady",
            make: |_| {
                Change::Secret("okta-key", "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n".into())
            },
            mend: |house| Change::Secret("okta-key", house.okta_key()),
        },
        Mistake {
            what: "a Secret that does not exist",
            reason: "KeySecretMissing",
            side: "OktaReady",
            make: |house| spec_with(house, "/okta/privateKeySecretRef/name", "nowhere"),
            mend: |house| Change::Secret("nowhere", house.okta_key()),
        },
        Mistake {
            what: "a wrong client ID",
            reason: "ClientUnknown",
            side: "OktaReady",
            make: |house| spec_with(house, "/okta/clientID", "0oa00000000000000000"),
            mend: |house| Change::Spec(house.spec()),
        },
        Mistake {
            what: "an org URL that answers HTML",
            reason: "NotOkta",
            side: "OktaReady",
            make: |house| {
                house.okta.org().fault_json(&json!({ "kind": { "html": {} } })).unwrap();
                Change::Nothing
            },
            mend: |house| {
                house.okta.org().clear_faults();
                Change::Nothing
            },
        },
        Mistake {
            what: "an identity that has expired",
            reason: "IdentityExpired",
            side: "TeleportReady",
            make: |house| {
                let expired = teleport_sim::IdentityKind::user("bot-okta-user-sync", &["okta-user-sync"]);
                let expired = expired.until("2020-01-01T00:00:00Z".parse().unwrap());
                Change::Secret("identity", house.teleport.identity(&expired).unwrap())
            },
            mend: |house| Change::Secret("identity", house.identity()),
        },
        Mistake {
            what: "a role that does not exist",
            reason: "RoleMissing",
            side: "TeleportReady",
            make: |house| {
                house.teleport.remove_role("okta-requester");
                Change::Nothing
            },
            mend: |house| {
                house.teleport.put_plain_role("okta-requester", 3600);
                Change::Nothing
            },
        },
        Mistake {
            what: "a role above the ceiling",
            reason: "RoleAboveCeiling",
            side: "Ready",
            make: |house| {
                let mut spec = house.spec();
                spec["users"] = json!({ "roles": ["editor"] });
                Change::Spec(spec)
            },
            mend: |house| Change::Spec(house.spec()),
        },
    ]
}

async fn carry_out(house: &House, change: Change) {
    match change {
        Change::Nothing => {}
        Change::Secret(name, content) => house.put_secret(name, &content).await,
        Change::Spec(spec) => house.change(&spec).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_a_condition_with_a_remedy_and_no_write_and_mends_itself() {
    let house = House::with_people(3).await;
    for mistake in mistakes() {
        house.put_secrets().await;
        house.remove().await;
        let written = writes(&house).len();
        let change = (mistake.make)(&house);
        let spec = if let Change::Spec(spec) = &change { spec.clone() } else { house.spec() };
        carry_out(&house, change).await;
        house.change(&spec).await;

        let refused = |resource: &Value| resource["status"]["lastRun"]["result"] == "Refused";
        let resource = house.until(mistake.what, refused).await;
        let ready = condition(&resource, "Ready");
        assert_eq!(
            (ready["status"].as_str(), ready["reason"].as_str()),
            (Some("False"), Some(mistake.reason)),
            "{ready}"
        );
        assert_eq!(condition(&resource, mistake.side)["status"], "False", "{}: {resource:#}", mistake.what);
        let told = resource["status"]["errors"][0]["remedy"].as_str();
        assert!(told.is_some_and(|remedy| !remedy.is_empty()), "{}: {resource:#}", mistake.what);
        assert_eq!(writes(&house).len(), written, "{} wrote: {:?}", mistake.what, writes(&house));

        // Mended, it goes on by itself; nobody asks for a pass.
        carry_out(&house, (mistake.mend)(&house)).await;
        let resource = house.until_ready().await;
        assert_eq!(resource["status"]["users"]["synced"], 3, "{}", mistake.what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_lives_through_the_operator() {
    let mut house = House::with_people(6).await;
    house.put_secrets().await;
    house.change(&house.spec()).await;
    let resource = house.until_ready().await;
    assert_eq!(resource["status"]["users"]["created"], 6);
    let (app, org) = (house.okta.ready().app_id, house.okta.org());
    let people = org.assigned(&app).unwrap();
    let name =
        |n: usize| org.app_user(&app, &people[n]).unwrap()["credentials"]["userName"].as_str().unwrap().to_owned();
    let (leaver, suspended) = (name(0), name(1));
    org.deactivate(&people[0]).unwrap();
    org.suspend(&people[1]).unwrap();
    house.pass().await;
    assert!(house.teleport.user(&leaver).is_none());
    assert!(house.teleport.user(&suspended).is_some());
    let locked: Vec<_> = house.teleport.locks().into_iter().map(|lock| lock.user).collect();
    assert!(locked.contains(&leaver) && locked.contains(&suspended), "{locked:?}");
    let writes_before = writes(&house).len();
    let resource = house.pass().await;
    assert_eq!(writes(&house).len(), writes_before, "nothing changed, nothing written");
    assert_eq!(resource["status"]["users"]["suspended"], 1);
}

// attempt.rs, `list_age`.
#[tokio::test(flavor = "multi_thread")]
async fn passes_that_only_time_brings_share_a_list_of_teleports_users_and_one_that_is_asked_for_reads_its_own() {
    let mut house = House::with_people(3).await;
    house.put_secrets().await;
    // Okta shows nobody, so that nothing is written, and passes follow each other by the wait after a failure.
    house
        .okta
        .org()
        .fault_json(&json!({ "path": "/api/v1/apps/*/users*", "kind": { "status": { "status": 403 } } }))
        .unwrap();
    let lists = |house: &House| house.teleport.counters().of("ListUsers");
    house.change(&house.spec()).await;
    let passes = |resource: &Value| resource["status"]["lastRun"]["id"].as_str().unwrap_or_default().to_owned();
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 4 {
        let failed = house.until("another pass", |r| !passes(r).is_empty() && !seen.contains(&passes(r))).await;
        seen.insert(passes(&failed));
    }
    assert_eq!(lists(&house), 1, "{seen:?}");
    house.pass().await;
    assert_eq!(lists(&house), 2);
}
