//! Faults that tests and demonstrations switch on: a refusal, a delay, a lost answer, a cut connection.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tonic::Code;

use crate::ledger::code_of;

/// A fault. The admin port takes it as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Method that it hits (`CreateUser`), or `*` for every one.
    pub method: String,
    /// gRPC code to answer (`UNAVAILABLE`); left out: the call is only delayed, or only cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Words of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How many calls it hits; left out: all, until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// How many calls it lets pass first.
    #[serde(default)]
    pub skip: u32,
    /// Share of calls that it hits, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Delay before the call, in milliseconds.
    #[serde(default)]
    pub latency_ms: u64,
    /// The call is done all the same, and only its answer is replaced: the caller does not learn that it happened.
    #[serde(default)]
    pub applied: bool,
    /// The connection is cut instead of an answer.
    #[serde(default)]
    pub cut: bool,
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// Every call of `method` is answered with `code`.
    #[must_use]
    pub fn refuse(method: &str, code: Code) -> Self {
        Self { code: Some(crate::ledger::code_name(code).to_owned()), ..Self::delay(method, Duration::ZERO) }
    }

    /// Every call of `method` is delayed.
    #[must_use]
    pub fn delay(method: &str, by: Duration) -> Self {
        Self {
            method: method.to_owned(),
            code: None,
            message: None,
            count: None,
            skip: 0,
            probability: 1.0,
            latency_ms: u64::try_from(by.as_millis()).unwrap_or(u64::MAX),
            applied: false,
            cut: false,
        }
    }

    /// Every connection that calls `method` is cut.
    #[must_use]
    pub fn cut(method: &str) -> Self {
        Self { cut: true, ..Self::delay(method, Duration::ZERO) }
    }

    /// The same for so many calls only.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self { count: Some(count), ..self }
    }

    /// The same after so many calls.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// The same, but the call is done before its answer is lost.
    #[must_use]
    pub fn applied(self) -> Self {
        Self { applied: true, ..self }
    }

    /// The code to answer.
    pub(crate) fn answer(&self) -> Option<Code> {
        self.code.as_deref().map(|name| code_of(name).unwrap_or(Code::Unknown))
    }
}

/// The faults that are switched on.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Vec<Fault>,
    drawn: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.active.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    /// The first fault that hits this call, used up by one.
    pub(crate) fn hit(&mut self, method: &str) -> Option<Fault> {
        for fault in &mut self.active {
            if fault.method != "*" && fault.method != method || fault.count == Some(0) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            self.drawn += 1;
            if draw(self.drawn) < fault.probability {
                fault.count = fault.count.map(|count| count - 1);
                return Some(fault.clone());
            }
        }
        None
    }
}

/// The n-th of a fixed series of numbers from 0 to 1, so that tests with a probability come out alike each time (the mixing step of `SplitMix64`).
fn draw(n: u64) -> f64 {
    let mut mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let top = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_used_up_after_its_count_and_waits_for_its_turn() {
        let mut faults = Faults::default();
        faults.add(Fault::refuse("CreateUser", Code::Unavailable).times(2).after(1));
        let hits: Vec<bool> = (0..5).map(|_| faults.hit("CreateUser").is_some()).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert!(faults.hit("GetUser").is_none());
    }

    #[test]
    fn a_probability_hits_about_that_share() {
        let mut faults = Faults::default();
        faults.add(Fault { probability: 0.25, ..Fault::refuse("*", Code::Unavailable) });
        let hits = (0..4000).filter(|_| faults.hit("GetUser").is_some()).count();
        assert!((900..1100).contains(&hits), "{hits}");
    }
}
