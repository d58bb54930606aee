//! Conditions: their types, their reasons, and how one is set.
//!
//! Rules (Kubernetes API conventions, kstatus): `Ready` is always there after the first pass; `Reconciling` and
//! `Stalled` are there only while True; `lastTransitionTime` moves only when `status` does; each condition carries the
//! generation that it speaks of.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The last pass did all that the specification asks for.
pub const READY: &str = "Ready";
/// Work on this generation is under way, or is retried. There only while True.
pub const RECONCILING: &str = "Reconciling";
/// No progress without a change by a person. There only while True.
pub const STALLED: &str = "Stalled";
/// Okta could be read.
pub const OKTA_READY: &str = "OktaReady";
/// Teleport could be read and written.
pub const TELEPORT_READY: &str = "TeleportReady";
/// Removals wait for approval. There only while True.
pub const REMOVALS_HELD: &str = "RemovalsHeld";
/// Users had been rewritten by somebody else (a login, an administrator) and were put right. There only while True.
pub const DRIFT_SEEN: &str = "DriftSeen";
/// Something is not an error but worth knowing. There only while True.
pub const WARNING: &str = "Warning";

/// The definition is older than the operator, so part of the status is not recorded. There only while True.
pub const DEFINITION_OUTDATED: &str = "DefinitionOutdated";

/// Every type, with what True means.
pub const TYPES: [(&str, &str); 9] = [
    (READY, "the last pass did all that could be done"),
    (RECONCILING, "work goes on, or a failure is tried again by itself; there only while True"),
    (STALLED, "a person has to mend something; there only while True"),
    (OKTA_READY, "Okta could be read in the last pass"),
    (TELEPORT_READY, "Teleport could be reached and used in the last pass"),
    (REMOVALS_HELD, "removals wait for approval, see pendingPlan; there only while True"),
    (DRIFT_SEEN, "the last pass put users right that somebody else had rewritten; there only while True"),
    (WARNING, "something is not an error but worth knowing; there only while True"),
    (
        DEFINITION_OUTDATED,
        "the definition is older than the operator; part of the status is lost; there only while True",
    ),
];

/// Longest message of a condition, in bytes (the API allows 32 768; a person reads less).
pub const MESSAGE_LIMIT: usize = 1024;

/// Sets `condition` in `conditions` as `meta.SetStatusCondition` does: `lastTransitionTime` is kept while `status` stays.
pub fn set(conditions: &mut Vec<Condition>, mut condition: Condition) {
    condition.message = cut(&condition.message, MESSAGE_LIMIT);
    match conditions.iter_mut().find(|c| c.type_ == condition.type_) {
        Some(existing) => {
            if existing.status == condition.status {
                condition.last_transition_time = existing.last_transition_time.clone();
            }
            *existing = condition;
        }
        None => conditions.push(condition),
    }
}

/// Takes the condition of that type away.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|c| c.type_ != type_);
}

/// The condition of that type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// A condition that speaks of `generation`, as of `now`.
#[must_use]
pub fn condition(type_: &str, status: bool, reason: &str, message: &str, generation: i64, now: &Time) -> Condition {
    Condition {
        type_: type_.into(),
        status: if status { "True" } else { "False" }.into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: Some(generation),
        last_transition_time: now.clone(),
    }
}

/// `text`, at most `limit` bytes long, cut on a character boundary with an ellipsis.
#[must_use]
pub fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    fn at(seconds: i64) -> Time {
        Time(Timestamp::from_second(seconds).unwrap())
    }

    #[test]
    fn transition_time_moves_only_with_status() {
        let mut all = vec![];
        set(&mut all, condition(READY, false, "Reading", "", 1, &at(1)));
        set(&mut all, condition(READY, false, "Failed", "worse", 2, &at(2)));
        assert_eq!(all[0].last_transition_time, at(1));
        assert_eq!((all[0].reason.as_str(), all[0].observed_generation), ("Failed", Some(2)));
        set(&mut all, condition(READY, true, "Synced", "", 2, &at(3)));
        assert_eq!(all[0].last_transition_time, at(3));
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn long_messages_are_cut_on_a_character_boundary() {
        let cut = cut(&"é".repeat(100), 21);
        assert!(cut.len() <= 21 && cut.ends_with('…'), "{cut}");
    }
}
