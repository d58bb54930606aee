//! What the org was asked: counts, and a log of everything that was not a read.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// Most writes that are remembered.
const KEPT: usize = 100_000;

/// A request that was not a `GET`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// When, by the org's clock.
    pub at: String,
    /// HTTP method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// `ssws`, `client:<id>`, or `anonymous` (token requests are, until their assertion is read).
    pub who: String,
    /// Status of the answer.
    pub status: u16,
}

/// Counts since the start, or since they were reset.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Requests by method and path template, such as `GET /api/v1/apps/{id}/users`.
    pub requests: BTreeMap<String, u64>,
    /// Requests by rate bucket.
    pub buckets: BTreeMap<String, u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests by `User-Agent` ("" where there was none).
    pub user_agents: BTreeMap<String, u64>,
    /// Requests by `Host`.
    pub hosts: BTreeMap<String, u64>,
    /// Requests by who made them.
    pub callers: BTreeMap<String, u64>,
    /// All requests.
    pub total: u64,
}

impl Counters {
    /// Requests with this method and path template.
    #[must_use]
    pub fn of(&self, method: &str, template: &str) -> u64 {
        self.requests.get(&format!("{method} {template}")).copied().unwrap_or(0)
    }
}

/// Counters and write log.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub counters: Counters,
    pub writes: VecDeque<Write>,
}

impl Tally {
    /// Remembers a write, and forgets the oldest when there are too many.
    pub fn wrote(&mut self, write: Write) {
        if self.writes.len() == KEPT {
            self.writes.pop_front();
        }
        self.writes.push_back(write);
    }
}
