use engine::{
    failure::{Class, Failure, Side},
    journal::{Grounds, Journal as _},
    lock::{Lock, Mark},
    report::FieldChange,
};
use serde_json::{Value, json};

use super::*;

const PASS: &str = "0af7651916cd43dd8448eb211c80319c";

fn resource() -> Resource {
    Resource { namespace: "home".into(), name: "acme".into() }
}

fn grounds() -> Grounds {
    Grounds { people_read: Some(249), plan: Some("0f3a".into()), approved: true }
}

fn write(action: Action, grounds: &Grounds) -> Write<'_> {
    Write {
        action,
        okta_id: "00u1",
        user: "ada@example.com",
        lock: None,
        made: None,
        why: "deactivated in Okta".into(),
        confirmed_by_id: true,
        changes: vec![],
        grounds,
    }
}

fn lock() -> Lock {
    Lock {
        name: "okta-user-sync-1".into(),
        user: "ada@example.com".into(),
        message: String::new(),
        expires: Some(Timestamp::UNIX_EPOCH),
        created: None,
        ours: Some(Mark {
            owner: "home/acme".into(),
            org_url: "https://acme.okta.com".into(),
            okta_id: "00u1".into(),
            reason: LockReason::Leaver,
        }),
    }
}

/// A journal in a file, and what is in it.
fn kept(tell: impl FnOnce(&PassJournal<'_>)) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&Target::File(path.clone()), "pod-1").unwrap();
    tell(&journal.of_pass(&resource(), PASS, None));
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_write_is_two_lines_that_name_nobody() {
    let (grounds, lock) = (grounds(), lock());
    let lines = kept(|journal| {
        let write = Write { lock: Some(&lock.name), made: Some(&lock), ..write(Action::PutLock, &grounds) };
        let number = journal.begins(&write);
        journal.ended(number, &write, Ok(()));
        assert_eq!(journal.done().leavers, ["ada@example.com"]);
    });
    let mut wanted = json!({
        "schema": "usersync.dev/journal/v1", "phase": "intent", "time": lines[0]["time"], "id": format!("{PASS}/1"),
        "resource": "home/acme", "pass": PASS, "traceId": PASS, "instance": "pod-1", "action": "put_lock",
        "oktaId": "00u1", "why": "deactivated in Okta", "planHash": "0f3a",
        "lock": { "name": "okta-user-sync-1", "reason": "leaver", "expires": "1970-01-01T00:00:00Z" },
        "evidence": { "peopleRead": 249, "confirmedById": true, "approved": true },
    });
    assert_eq!(lines[0], wanted);
    wanted["phase"] = "outcome".into();
    wanted["result"] = "done".into();
    wanted["time"] = lines[1]["time"].clone();
    assert_eq!(lines[1..], [wanted]);
    assert!(lines.iter().all(|line| !line.to_string().contains("ada")), "{lines:?}");
}

#[test]
fn an_update_tells_values_of_roles_only() {
    let grounds = grounds();
    let change = |field: &str| FieldChange { field: field.into(), from: "a".into(), to: "b".into() };
    let lines = kept(|journal| {
        let changes = vec![change("roles"), change("traits.okta/lastName")];
        let write = Write { changes, confirmed_by_id: false, ..write(Action::UpdateUser, &grounds) };
        let number = journal.begins(&write);
        let failure = Failure::new(Side::Teleport, Class::Transient, "Unreached", "ada@example.com: no answer", "");
        journal.ended(number, &write, Err(&failure.into()));
    });
    let changes = json!([{ "field": "roles", "from": "a", "to": "b" }, { "field": "traits.okta/lastName" }]);
    assert_eq!(lines[0]["changes"], changes);
    assert_eq!((&lines[1]["result"], &lines[1]["reason"]), (&json!("failed"), &json!("Unreached")));
    assert_eq!(lines[0]["planHash"], Value::Null, "an update is no part of a plan of removals");
    assert_eq!(lines[0]["evidence"]["approved"], false);
    assert!(!format!("{lines:?}").contains("ada"));
}

#[test]
fn steps_of_a_key_are_told_in_a_shape_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&Target::File(path.clone()), "pod-1").unwrap();
    let step = |action| KeyStep { action, kid: "k1", secret: "acme-okta-key-1", why: "there is none" };
    journal.key_begins(step(KeyAction::Make), &resource(), None).ended(Verdict::Failed, Some("SecretForbidden"));
    journal.key_happened(step(KeyAction::Accept), &resource(), None);
    // Nobody saw the end of this one.
    drop(journal.key_begins(step(KeyAction::Remove), &resource(), None));
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |line: &Value| {
        [&line["action"], &line["phase"], &line["result"]].map(|word| word.as_str().unwrap_or("").to_owned())
    };
    let told: Vec<_> = lines.iter().map(of).collect();
    let wanted = [
        ["make_key", "intent", ""],
        ["make_key", "outcome", "failed"],
        ["accept_key", "outcome", "done"],
        ["remove_key", "intent", ""],
    ];
    assert_eq!(told, wanted.map(|row| row.map(str::to_owned)));
    assert_eq!((&lines[0]["id"], &lines[1]["reason"]), (&lines[1]["id"], &json!("SecretForbidden")));
    let first = json!({
        "schema": "usersync.dev/journal/key/v1", "phase": "intent", "time": lines[0]["time"], "id": lines[0]["id"],
        "resource": "home/acme", "instance": "pod-1", "action": "make_key", "kid": "k1", "secret": "acme-okta-key-1",
        "why": "there is none",
    });
    assert_eq!(lines[0], first);
}

#[test]
fn a_journal_that_cannot_be_written_stops_nothing_and_is_counted() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let journal = Journal { sink: Some(Arc::new(Mutex::new(Full))), instance: "pod-1".into() };
    let (metrics, resource, grounds) = (Metrics::new("1"), resource(), grounds());
    let pass = journal.of_pass(&resource, PASS, Some(&metrics));
    let write = write(Action::DeleteUser, &grounds);
    let number = pass.begins(&write);
    pass.ended(number, &write, Ok(()));
    assert!(metrics.text().contains("okta_user_sync_journal_failures_total 2"), "{}", metrics.text());
}

#[test]
fn a_journal_goes_on_where_it_ended_and_only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let grounds = grounds();
    for _ in 0..2 {
        let journal = Journal::open(&Target::File(path.clone()), "pod-1").unwrap();
        let resource = resource();
        journal.of_pass(&resource, PASS, None).begins(&write(Action::DeleteUser, &grounds));
    }
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!("-".parse(), Ok(Target::Stdout));
    assert!(Journal::open(&Target::File(folder.path().join("no/such")), "pod-1").is_err());
}
