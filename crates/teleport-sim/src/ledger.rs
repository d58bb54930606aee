//! What happened: every write in order, and every call by method and code.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tonic::Code;

/// Entries of the write log that are kept; older ones are dropped.
const KEPT: usize = 1_000_000;

/// What was known of a user's lock when the user was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockState {
    /// No lock.
    None,
    /// A lock was stored but not yet enforced: old certificates still worked.
    Stored,
    /// A lock was enforced: no old certificate worked (promise P4).
    Enforced,
}

/// A write that was asked for, granted or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WriteRecord {
    /// Counts from 1.
    pub sequence: u64,
    /// When, by the simulator's clock.
    pub at: Timestamp,
    /// Name of the caller; of an event that is no call, what it was (`saml-login`).
    pub who: String,
    /// `CreateUser`, `UpdateUser`, `UpsertUser`, `DeleteUser`, `UpsertLock`, `DeleteLock`, ….
    pub method: String,
    /// Name of the user or lock.
    pub name: String,
    /// `ok`, `crash` (a request that takes some servers down), or the gRPC code of the refusal (`NOT_FOUND`).
    pub outcome: String,
    /// For a deletion of a user: whether a lock was in force then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockState>,
}

impl WriteRecord {
    /// Whether the write was done.
    #[must_use]
    pub fn done(&self) -> bool {
        self.outcome == "ok"
    }
}

/// The write log.
#[derive(Debug, Default)]
pub(crate) struct WriteLog {
    records: VecDeque<WriteRecord>,
    sequence: u64,
}

impl WriteLog {
    pub(crate) fn add(&mut self, record: WriteRecord) {
        self.sequence += 1;
        if self.records.len() == KEPT {
            self.records.pop_front();
        }
        self.records.push_back(WriteRecord { sequence: self.sequence, ..record });
    }

    /// The records after a sequence number.
    pub(crate) fn after(&self, sequence: u64) -> Vec<WriteRecord> {
        let start = self.records.partition_point(|record| record.sequence <= sequence);
        self.records.iter().skip(start).cloned().collect()
    }

    /// The number of the newest record; 0 for none.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// How often each call was made, and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Calls by method.
    pub by_method: BTreeMap<String, u64>,
    /// Calls by gRPC code (`OK`, `NOT_FOUND`, …).
    pub by_code: BTreeMap<String, u64>,
    /// Calls by method and code.
    pub calls: BTreeMap<String, BTreeMap<String, u64>>,
    /// Most calls of a method that were under way at once.
    pub most_at_once: BTreeMap<String, u64>,
    /// Connections whose TLS handshake succeeded.
    pub connections: u64,
    /// Connections whose TLS handshake failed.
    pub refused_connections: u64,
    #[serde(skip)]
    under_way: BTreeMap<String, u64>,
}

impl Counters {
    /// How often a method was called.
    #[must_use]
    pub fn of(&self, method: &str) -> u64 {
        self.by_method.get(method).copied().unwrap_or(0)
    }

    pub(crate) fn enter(&mut self, method: &str) {
        let under_way = self.under_way.entry(method.to_owned()).or_default();
        *under_way += 1;
        let most = self.most_at_once.entry(method.to_owned()).or_default();
        *most = (*most).max(*under_way);
    }

    pub(crate) fn leave(&mut self, method: &str) {
        if let Some(under_way) = self.under_way.get_mut(method) {
            *under_way = under_way.saturating_sub(1);
            if *under_way == 0 {
                self.under_way.remove(method);
            }
        }
    }

    /// Forgets all counts but those of calls under way.
    pub(crate) fn reset(&mut self) {
        *self = Self { under_way: std::mem::take(&mut self.under_way), ..Self::default() };
    }

    pub(crate) fn add(&mut self, method: &str, code: Code) {
        let code = code_name(code);
        *self.by_method.entry(method.to_owned()).or_default() += 1;
        *self.by_code.entry(code.to_owned()).or_default() += 1;
        *self.calls.entry(method.to_owned()).or_default().entry(code.to_owned()).or_default() += 1;
    }
}

/// The codes of gRPC by their names.
const CODES: [(&str, Code); 17] = [
    ("OK", Code::Ok),
    ("CANCELLED", Code::Cancelled),
    ("UNKNOWN", Code::Unknown),
    ("INVALID_ARGUMENT", Code::InvalidArgument),
    ("DEADLINE_EXCEEDED", Code::DeadlineExceeded),
    ("NOT_FOUND", Code::NotFound),
    ("ALREADY_EXISTS", Code::AlreadyExists),
    ("PERMISSION_DENIED", Code::PermissionDenied),
    ("RESOURCE_EXHAUSTED", Code::ResourceExhausted),
    ("FAILED_PRECONDITION", Code::FailedPrecondition),
    ("ABORTED", Code::Aborted),
    ("OUT_OF_RANGE", Code::OutOfRange),
    ("UNIMPLEMENTED", Code::Unimplemented),
    ("INTERNAL", Code::Internal),
    ("UNAVAILABLE", Code::Unavailable),
    ("DATA_LOSS", Code::DataLoss),
    ("UNAUTHENTICATED", Code::Unauthenticated),
];

/// The name of a code, as gRPC spells it.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    CODES.iter().find(|(_, known)| *known == code).map_or("UNKNOWN", |(name, _)| name)
}

/// The code of a name.
#[must_use]
pub fn code_of(name: &str) -> Option<Code> {
    CODES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, code)| *code)
}
