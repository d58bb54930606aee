//! Each fault of the server × each call, as one table: `faults.txt` beside this file. `UPDATE=1` writes it anew; then read the difference.
//!
//! A cell says how the call ended for whoever made it. What holds for all of them is checked here: a failure has a remedy, and a class that fits its
//! fault; a write is not sent again unless the server said that it did nothing; a fault never passes for an absence.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use engine::{
    cluster::{Cluster as _, ConnectorLookup, Deleted, WriteError},
    failure::Failure,
};
use futures::future::join_all;
use teleport::TeleportClient;
use teleport_sim::{Fault, Options, TeleportSim};
use tonic::Code;

use crate::fixture::{all_users, new_lock, new_user, same, settings, start};

const DEADLINE: Duration = Duration::from_millis(400);

/// The calls, in the order of the columns. The first two are made by the proof of our own identity.
const CALLS: [&str; 12] = [
    "Ping",
    "GetCurrentUser",
    "ListUsers",
    "GetUser",
    "GetLocks",
    "ListRoles",
    "GetSAMLConnector",
    "CreateUser",
    "UpdateUser",
    "DeleteUser",
    "UpsertLock",
    "DeleteLock",
];

type MakeFault = fn(&str) -> Fault;

/// The faults: each once, and for good.
const FAULTS: [(&str, MakeFault); 17] = [
    ("nothing", |call| Fault::delay(call, Duration::ZERO)),
    ("unavailable, once", |call| Fault::refuse(call, Code::Unavailable).times(1)),
    ("unavailable", |call| Fault::refuse(call, Code::Unavailable)),
    ("cut, once", |call| Fault::cut(call).times(1)),
    ("cut", Fault::cut),
    ("done, then cut", |call| Fault::cut(call).applied().times(1)),
    ("silent", |call| Fault::delay(call, Duration::from_secs(600))),
    ("exhausted, twice", |call| Fault::refuse(call, Code::ResourceExhausted).times(2)),
    ("exhausted", |call| Fault::refuse(call, Code::ResourceExhausted)),
    ("denied", |call| Fault { message: Some("access denied".into()), ..Fault::refuse(call, Code::PermissionDenied) }),
    ("unauthenticated", |call| Fault::refuse(call, Code::Unauthenticated)),
    ("invalid", |call| Fault::refuse(call, Code::InvalidArgument)),
    ("not found", |call| Fault::refuse(call, Code::NotFound)),
    ("exists", |call| Fault::refuse(call, Code::AlreadyExists)),
    ("precondition", |call| Fault::refuse(call, Code::FailedPrecondition)),
    ("unimplemented", |call| Fault::refuse(call, Code::Unimplemented)),
    ("internal", |call| Fault::refuse(call, Code::Internal)),
];

fn told(what: &str, failure: &Failure) -> String {
    assert!(!failure.remedy.is_empty() && !failure.message.is_empty(), "{what}: {failure:?}");
    format!("{}/{}", failure.class, failure.reason)
}

fn written<T>(what: &str, result: Result<T, WriteError>, done: impl Fn(T) -> &'static str) -> String {
    match result {
        Ok(value) => done(value).to_owned(),
        Err(WriteError::Failed(failure)) => told(what, &failure),
        Err(other) => format!("{other:?}"),
    }
}

/// How one call ends under one fault.
async fn cell(sim: &TeleportSim, client: &TeleportClient, fault: MakeFault, call: &str) -> String {
    let name = format!("{}@acme.com", call.to_lowercase());
    let lock = new_lock(&name);
    sim.remove_user(&name);
    if call != "CreateUser" {
        client.create_user(new_user(&name)).await.unwrap();
    }
    let user = client.user(&name).await.unwrap();
    if call == "DeleteLock" {
        client.put_lock(&lock).await.unwrap();
    }
    // The proof that the channel is sound after the fault before.
    client.prove_identity().await.unwrap();
    sim.reset_counters();
    sim.fault(fault(call));
    let read =
        |result: Result<&'static str, Failure>| result.map_or_else(|failure| told(call, &failure), str::to_owned);
    let outcome = match call {
        "Ping" | "GetCurrentUser" => read(client.prove_identity().await.map(|_| "ok")),
        "ListUsers" => read(all_users(client).await.map(|_| "ok")),
        "GetUser" => read(client.user(&name).await.map(|user| if user.is_some() { "ok" } else { "absent" })),
        "GetLocks" => read(client.locks().await.map(|_| "ok")),
        "ListRoles" => read(client.roles().await.map(|_| "ok")),
        "GetSAMLConnector" => read(client.connector("okta").await.map(|connector| match connector {
            ConnectorLookup::Found { .. } => "ok",
            ConnectorLookup::Missing => "missing",
            ConnectorLookup::Unreadable(_) => "unreadable",
        })),
        "CreateUser" => written(call, client.create_user(new_user(&name)).await, |()| "ok"),
        "UpdateUser" => {
            let user = user.unwrap();
            written(call, client.update_user(&user, &same(&user)).await, |()| "ok")
        }
        "DeleteUser" => written(call, client.delete_user(&name).await, |deleted| match deleted {
            Deleted::Now => "ok",
            Deleted::Before => "gone before",
        }),
        "UpsertLock" => written(call, client.put_lock(&lock).await, |()| "ok"),
        _ => written(call, client.remove_lock(&lock.name).await, |()| "ok"),
    };
    sim.clear_faults();
    // Whether the last words before a cut arrive is a matter of chance.
    let outcome = outcome.replace("TeleportConnectionLost", "(lost)");
    if fault(call).cut { outcome.replace("TeleportError", "(lost)") } else { outcome }
}

/// One row. Each has a simulator of its own, so that rows can be made at once.
async fn row((name, fault): (&'static str, MakeFault)) -> (&'static str, Vec<String>) {
    let sim = start(Options::default()).await;
    let mut cells = Vec::new();
    for call in CALLS {
        // Another deadline would cut what is merely slow on a busy machine; only silence needs a short one.
        let mut settings = settings(&sim);
        if name == "silent" {
            settings.deadline = DEADLINE;
        }
        let preparing = TeleportClient::connect(crate::fixture::settings(&sim)).unwrap();
        let client = TeleportClient::connect(settings).unwrap();
        preparing.prove_identity().await.unwrap();
        let outcome = cell(&sim, if name == "silent" { &client } else { &preparing }, fault, call).await;
        let writes = ["CreateUser", "UpdateUser", "DeleteUser", "UpsertLock", "DeleteLock"].contains(&call);
        if writes && !name.starts_with("exhausted") {
            assert!(sim.counters().of(call) <= 1, "{name}, {call}: a write is sent once");
        }
        cells.push(outcome);
    }
    (name, cells)
}

fn table(rows: &[(&str, Vec<String>)]) -> String {
    let mut text = String::from("What becomes of a call (across: lines) under a fault of the server (blocks).\n");
    for (fault, cells) in rows {
        let _ = writeln!(text, "\n{fault}");
        for (call, cell) in CALLS.iter().zip(cells) {
            let _ = writeln!(text, "    {call:<18}{cell}");
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_each_call_ends_as_the_table_says() {
    let rows = join_all(FAULTS.map(row)).await;
    for (fault, cells) in &rows {
        for (call, cell) in CALLS.iter().zip(cells) {
            let absent = ["absent", "missing", "gone before"].contains(&cell.as_str());
            assert!(!absent || *fault == "not found", "{fault}, {call}: a fault passes for an absence");
        }
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sim/faults.txt");
    let made = table(&rows);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(made, kept, "UPDATE=1 writes the table anew");
}
