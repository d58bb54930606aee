use std::collections::BTreeMap;

use api::{OktaUserSync, OktaUserSyncSpec, status::UserCounts};
use engine::{
    cluster::{ClusterFacts, OriginMode},
    directory::{App, Organisation},
    failure::Class,
};
use serde_json::json;
use testkit::{Status, check_settled, check_step, kstatus};

use super::*;

/// A resource with the least that a person must write.
pub(crate) fn example() -> OktaUserSync {
    let spec = json!({ "okta": { "orgURL": "https://acme.okta.com", "clientID": "0oa1api2services3app" } });
    let spec: OktaUserSyncSpec = serde_json::from_value(spec).unwrap();
    let mut object = OktaUserSync::new("acme", spec);
    object.metadata.namespace = Some("home".into());
    object.metadata.uid = Some("uid-1".into());
    object.metadata.generation = Some(1);
    object
}

const NOW: i64 = 1_700_000_000;

pub(crate) fn report(outcome: Outcome) -> Report {
    Report {
        id: "pass-1".into(),
        started: at(NOW),
        outcome,
        read: Read::Complete,
        failure: None,
        counts: UserCounts { in_scope: 250, synced: 249, suspended: 1, ..UserCounts::default() },
        problems: vec![],
        problem_count: 0,
        problem_classes: BTreeMap::new(),
        failure_reasons: BTreeMap::new(),
        pending: None,
        approval: None,
        warnings: vec![],
        okta_calls: 4,
        organisation: Some(Organisation {
            id: "00o1".into(),
            app: Some(App { id: "0oa9".into(), label: "Teleport".into(), ..App::default() }),
            ..Organisation::default()
        }),
        cluster: Some(ClusterFacts {
            name: "example".into(),
            version: "18.5.0".into(),
            origin_mode: OriginMode::Bot,
            own_name: "bot-okta-user-sync".into(),
            route: "Proxy".into(),
            identity_expires: None,
            notices: vec![],
            expiring: None,
        }),
        lock_life: Some(SignedDuration::from_hours(31)),
        memory: api::status::Memory { people: 250, ..api::status::Memory::default() },
        undone: Vec::new(),
        changes: vec![],
        writes: 0,
        overlaps: BTreeMap::new(),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn failure(side: Side, class: Class) -> Failure {
    Failure::new(side, class, "KeyUnreadable", "the key cannot be read", "put a PEM or JWK there")
}

/// A resource in time: each step is checked by the rules for conditions, alone and against the one before.
struct Life {
    generation: i64,
    seconds: i64,
    status: OktaUserSyncStatus,
}

impl Life {
    fn begin() -> Self {
        let mut life = Self { generation: 0, seconds: 0, status: OktaUserSyncStatus::default() };
        assert_eq!(life.change(), Status::InProgress);
        life
    }

    fn now(&self) -> Timestamp {
        at(NOW + self.seconds)
    }

    fn object(&self) -> serde_json::Value {
        json!({ "metadata": { "generation": self.generation }, "status": self.status })
    }

    fn step(&mut self, next: OktaUserSyncStatus) -> Status {
        let before = self.object();
        self.status = next;
        let after = self.object();
        assert_eq!(check_settled(&after), Vec::<String>::new(), "{after:#}");
        assert_eq!(check_step(&before, &after), Vec::<String>::new(), "{before:#} {after:#}");
        self.seconds += 10;
        kstatus(&after)
    }

    /// A new generation, whose first pass begins.
    fn change(&mut self) -> Status {
        self.generation += 1;
        let next = begun(&self.status, self.generation, self.now()).expect("a new generation is shown");
        self.step(next)
    }

    fn pass(&mut self, ending: Ending<'_>) -> Status {
        let moment = Moment {
            generation: self.generation,
            started: self.now() - SignedDuration::from_millis(1234),
            now: self.now(),
            next_run: self.now() + SignedDuration::from_mins(10),
            token: Some("token"),
            id: "pass-1",
        };
        self.step(ended(&self.status, ending, moment))
    }

    fn find(&self, type_: &str) -> Option<(&str, &str)> {
        condition::find(&self.status.conditions, type_).map(|c| (c.status.as_str(), c.reason.as_str()))
    }
}

#[test]
fn each_ending_is_judged_rightly_by_gitops_tools() {
    let incomplete = |class| Report {
        read: Read::Incomplete { page: 3, why: failure(Side::Okta, class) },
        ..report(Outcome::Partial)
    };
    let refused = |side, class| Report { failure: Some(failure(side, class)), ..report(Outcome::Refused) };
    let table = [
        (report(Outcome::Succeeded), "True", "Synced", Status::Current),
        (report(Outcome::Previewed), "True", "Previewed", Status::Current),
        (report(Outcome::Held), "True", "RemovalsHeld", Status::Current),
        (report(Outcome::Partial), "False", "PartlyFailed", Status::InProgress),
        (incomplete(Class::Transient), "False", "KeyUnreadable", Status::InProgress),
        (incomplete(Class::Bug), "False", "KeyUnreadable", Status::Failed),
        (refused(Side::Okta, Class::Transient), "False", "KeyUnreadable", Status::InProgress),
        (refused(Side::Okta, Class::Budget), "False", "KeyUnreadable", Status::InProgress),
        (refused(Side::Okta, Class::Credential), "False", "KeyUnreadable", Status::Failed),
        (refused(Side::Teleport, Class::Permission), "False", "KeyUnreadable", Status::Failed),
        (refused(Side::Here, Class::Configuration), "False", "KeyUnreadable", Status::Failed),
    ];
    for (report, ready, reason, judged) in table {
        let mut life = Life::begin();
        assert_eq!(life.pass(Ending::Report(&report)), judged, "{report:?}");
        assert_eq!(life.find(condition::READY), Some((ready, reason)), "{report:?}");
        // And from each of them on: all well, a new specification, all well.
        assert_eq!(life.pass(Ending::Report(&self::report(Outcome::Succeeded))), Status::Current);
        assert_eq!(life.change(), Status::InProgress);
        assert_eq!(life.pass(Ending::Report(&report)), judged);
        assert_eq!(life.change(), Status::InProgress, "also from a stalled one");
    }
}

#[test]
fn what_we_may_not_do_is_named_where_everything_failed_for_it() {
    let of = |failures: &[(Class, &'static str)]| {
        let mut report = report(Outcome::Partial);
        for (class, reason) in failures {
            let refused = Failure { reason, ..failure(Side::Teleport, *class) };
            report.failed("ada@example.com", &refused);
            report.failed("bob@example.com", &refused);
        }
        // What is left alone on purpose has not failed.
        report.problem(Class::Conflict, "eve@example.com", "a local user", "rename one of them");
        report
    };
    let (second, missing) = ((Class::Permission, "SecondFactorDemanded"), (Class::Permission, "PermissionMissing"));
    for (failures, reason) in [
        (vec![second], "SecondFactorDemanded"),
        (vec![missing], "PermissionMissing"),
        (vec![second, missing], "PartlyFailed"),
        (vec![second, (Class::Transient, "TeleportTimeout")], "PartlyFailed"),
        // It may be one person's own matter.
        (vec![(Class::Configuration, "UserNameRefused")], "PartlyFailed"),
        (vec![], "PartlyFailed"),
    ] {
        let mut life = Life::begin();
        assert_eq!(
            life.pass(Ending::Report(&of(&failures))),
            Status::InProgress,
            "the rest is done, and will be tried"
        );
        assert_eq!(life.find(condition::READY), Some(("False", reason)), "{failures:?}");
    }
}

#[test]
fn the_condition_of_the_side_that_failed_says_so() {
    let mut life = Life::begin();
    life.pass(Ending::Report(&report(Outcome::Succeeded)));
    assert_eq!(life.find(condition::OKTA_READY), Some(("True", "Reached")));
    let unreadable = failure(Side::Okta, Class::Configuration);
    assert_eq!(life.pass(Ending::Refused(&unreadable)), Status::Failed);
    assert_eq!(life.find(condition::OKTA_READY), Some(("False", "KeyUnreadable")));
    assert_eq!(life.find(condition::TELEPORT_READY), Some(("Unknown", "NotAsked")));
    assert_eq!(life.find(condition::STALLED), Some(("True", "KeyUnreadable")));
    let ready = condition::find(&life.status.conditions, condition::READY).unwrap();
    assert_eq!(ready.message, "the key cannot be read. To do: put a PEM or JWK there");
}

#[test]
fn a_pass_that_could_not_begin_keeps_what_was_known() {
    let mut life = Life::begin();
    life.pass(Ending::Report(&report(Outcome::Succeeded)));
    let known = life.status.clone();
    life.pass(Ending::Refused(&failure(Side::Okta, Class::Credential)));
    let status = &life.status;
    assert_eq!((&status.users, &status.memory, &status.okta), (&known.users, &known.memory, &known.okta));
    assert_eq!(status.last_successful_run, known.last_successful_run);
    assert_eq!(status.last_run.as_ref().unwrap().result, "Refused");
    assert_eq!(status.errors.len(), 1);
    assert_eq!(status.errors[0].remedy, "put a PEM or JWK there");
}

#[test]
fn the_first_seen_organisation_stays_pinned() {
    let mut life = Life::begin();
    life.pass(Ending::Report(&report(Outcome::Succeeded)));
    let mut other = report(Outcome::Refused);
    other.organisation.as_mut().unwrap().id = "00oOther".into();
    other.failure = Some(failure(Side::Okta, Class::Configuration));
    life.pass(Ending::Report(&other));
    assert_eq!(life.status.okta.as_ref().unwrap().org_id, "00o1");
}

#[test]
fn suspending_is_said_and_resuming_goes_on() {
    let mut life = Life::begin();
    life.pass(Ending::Report(&report(Outcome::Succeeded)));
    life.generation += 1;
    let next = suspended(&life.status, life.generation, life.now()).unwrap();
    life.step(next);
    assert_eq!(life.find(condition::READY), Some(("False", SUSPENDED)));
    assert_eq!(life.status.next_run, None);
    assert_eq!(suspended(&life.status, life.generation, life.now()), None, "said once");
    assert_eq!(life.change(), Status::InProgress);
    assert_eq!(life.pass(Ending::Report(&report(Outcome::Succeeded))), Status::Current);
}

#[test]
fn held_removals_are_a_condition_until_they_are_gone() {
    let mut life = Life::begin();
    let mut held = report(Outcome::Held);
    held.pending = Some(api::status::PendingPlan {
        hash: "abc".into(),
        reason: "40 of 250 users would be removed".into(),
        removals: 40,
        sample: vec![],
        held_since: Time(at(NOW)),
        expires: Time(at(NOW + 3600)),
        approval: None,
    });
    life.pass(Ending::Report(&held));
    let condition = condition::find(&life.status.conditions, condition::REMOVALS_HELD).unwrap();
    assert!(condition.message.contains("40 removals") && condition.message.ends_with("abc"), "{condition:?}");
    life.pass(Ending::Refused(&failure(Side::Okta, Class::Transient)));
    assert!(life.find(condition::REMOVALS_HELD).is_some(), "a failed pass releases nothing");
    life.pass(Ending::Report(&report(Outcome::Succeeded)));
    assert_eq!((life.find(condition::REMOVALS_HELD), &life.status.pending_plan), (None, &None));
}

#[test]
fn errors_are_bounded_and_the_failure_of_the_pass_comes_first() {
    let mut life = Life::begin();
    let mut many = report(Outcome::Partial);
    many.read = Read::Incomplete { page: 2, why: failure(Side::Okta, Class::Transient) };
    for n in 0..20 {
        many.problem(Class::Conflict, &format!("user-{n}"), "x".repeat(2000), "y".repeat(2000));
    }
    life.pass(Ending::Report(&many));
    assert_eq!(life.status.errors.len(), MAX_ERRORS);
    assert_eq!(life.status.errors[0].message, "the key cannot be read");
    let size = serde_json::to_vec(&life.status).unwrap().len();
    assert!(size < 64 * 1024, "{size}");
}

#[test]
fn drift_is_seen_until_a_pass_finds_none() {
    let mut life = Life::begin();
    let mut drifted = report(Outcome::Succeeded);
    drifted.counts.drifted = 3;
    assert_eq!(life.pass(Ending::Report(&drifted)), Status::Current);
    assert_eq!(life.find(condition::DRIFT_SEEN), Some(("True", "RewrittenByOthers")));
    let unread = Report { read: Read::NotBegun, ..report(Outcome::Refused) };
    life.pass(Ending::Report(&unread));
    assert!(life.find(condition::DRIFT_SEEN).is_some(), "a pass that read nobody has nothing to say about it");
    life.pass(Ending::Report(&report(Outcome::Succeeded)));
    assert_eq!(life.find(condition::DRIFT_SEEN), None);
}

#[test]
fn an_identity_that_runs_out_soon_has_a_reason_of_its_own() {
    let mut life = Life::begin();
    let mut warned = report(Outcome::Succeeded);
    warned.warnings = vec!["something else".into()];
    life.pass(Ending::Report(&warned));
    assert_eq!(life.find(condition::WARNING), Some(("True", "WorthKnowing")));
    warned.cluster.as_mut().unwrap().expiring = Some("it runs out at noon".into());
    life.pass(Ending::Report(&warned));
    assert_eq!(life.find(condition::WARNING), Some(("True", "IdentityExpiring")));
    let told = condition::find(&life.status.conditions, condition::WARNING).unwrap();
    assert_eq!(told.message, "it runs out at noon; something else", "what stops everything comes first");
    life.pass(Ending::Report(&report(Outcome::Succeeded)));
    assert_eq!(life.find(condition::WARNING), None, "renewed");
}

/// 100 000 people with conflicts, removals held, and every text as long and as bad as it can be.
#[test]
fn a_status_stays_below_64_kib_whatever_the_texts_are() {
    for text in ["x", "é", "\u{1}", "\"", "\\", "\n", "😀"].map(|piece| piece.repeat(100_000)) {
        let mut worst = report(Outcome::Held);
        worst.problem_count = 100_000;
        worst.problems = (0..1000)
            .map(|_| Problem {
                class: "Configuration".into(),
                user: text.clone(),
                message: text.clone(),
                remedy: text.clone(),
            })
            .collect();
        worst.warnings = vec![text.clone(); 3];
        worst.counts.drifted = i64::MAX;
        worst.approval = Some(text.clone());
        worst.pending = Some(api::status::PendingPlan {
            hash: format!("sha256:{}", "0".repeat(64)),
            reason: text.clone(),
            removals: i64::MAX,
            sample: vec![text.clone(); 1000],
            held_since: Time(at(NOW)),
            expires: Time(at(NOW + 3600)),
            approval: Some(text.clone()),
        });
        worst.memory.removals =
            (0..60).map(|minute| api::status::RemovalTally { minute: i64::MAX - minute, count: i64::MAX }).collect();
        let organisation = worst.organisation.as_mut().unwrap();
        organisation.id.clone_from(&text);
        organisation.app = Some(App { id: text.clone(), label: text.clone(), ..App::default() });
        organisation.scopes = vec![text.clone(); 1000];
        let cluster = worst.cluster.as_mut().unwrap();
        (cluster.name, cluster.version, cluster.expiring) = (text.clone(), text.clone(), Some(text.clone()));

        let mut life = Life::begin();
        life.pass(Ending::Report(&worst));
        let failed = Failure::new(Side::Okta, Class::Transient, "OktaUnavailable", text.clone(), text.clone());
        worst.read = Read::Incomplete { page: usize::MAX, why: failed };
        worst.outcome = Outcome::Partial;
        life.pass(Ending::Report(&worst));
        let size = serde_json::to_vec(&life.status).unwrap().len();
        assert!(size < 64 * 1024, "{size} bytes of {:?}", text.chars().next());
        assert_eq!(life.status.pending_plan.as_ref().unwrap().sample.len(), 20);
        assert_eq!(life.status.errors.len(), MAX_ERRORS);
    }
}

#[test]
fn times_are_shown_as_people_write_them() {
    assert_eq!(hours(SignedDuration::from_hours(31)), "31h");
    assert_eq!(hours(SignedDuration::from_mins(31 * 60 + 30)), "31h30m");
    assert_eq!(seconds(SignedDuration::from_millis(1234)), "1.2s");
}
