//! Events on a resource: few, one per change that a person would want to read (states that come and go are counted), at most 1 kB, without names of people
//! unless the operator is told to show them.

use api::{OktaUserSync, OktaUserSyncStatus, condition, names};
use jiff::Timestamp;
use kube::{
    Client, Resource as _,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tracing::{debug, warn};

use crate::{journal::Done, kubernetes::CALL_LIMIT, status::FIRST};

/// Longest note that the API server takes, in bytes.
const NOTE_LIMIT: usize = 1024;

/// Longest name of a resource for which an event can be named (253, less a dot and 16 digits).
const NAME_LIMIT: usize = 236;

/// One thing worth an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whether it is bad.
    pub warning: bool,
    /// `PascalCase`, the reason of the condition that it speaks of.
    pub reason: String,
    /// What was going on: `Sync`, `RotateKey` or `CleanUp`.
    pub action: &'static str,
    /// For people.
    pub note: String,
    /// User names that it is about; shown only if the operator is told to.
    pub names: Vec<String>,
    /// Whether it speaks of a state, which may come and go: one of the same reason within the last minutes is then counted
    /// (`series` of the Event) and keeps its words. What has happened is told each time, or the words of the second leaver
    /// would be lost in the count of the first.
    pub state: bool,
}

impl News {
    /// Bad news of a clean-up.
    #[must_use]
    pub fn of_cleanup(warning: bool, reason: &str, note: impl Into<String>) -> Self {
        Self { action: "CleanUp", ..Self::of_sync(warning, reason, note) }
    }

    /// News of a pass.
    #[must_use]
    pub fn of_sync(warning: bool, reason: &str, note: impl Into<String>) -> Self {
        Self { warning, reason: reason.into(), action: "Sync", note: note.into(), names: Vec::new(), state: false }
    }

    /// News of how the resource stands.
    fn of_state(warning: bool, reason: &str, note: impl Into<String>) -> Self {
        Self { state: true, ..Self::of_sync(warning, reason, note) }
    }

    /// The note, with names if they are shown, as long as an event may be.
    fn text(&self, show_names: bool) -> String {
        let names =
            if show_names && !self.names.is_empty() { format!(": {}", self.names.join(", ")) } else { String::new() };
        condition::cut(&format!("{}{names}", self.note), NOTE_LIMIT)
    }
}

/// What is new in `next`.
#[must_use]
pub fn news(previous: &OktaUserSyncStatus, next: &OktaUserSyncStatus) -> Vec<News> {
    let mut all: Vec<News> = of_ready(previous, next).into_iter().collect();
    let mut tell = |warning, reason: &str, note: &str| {
        all.push(News::of_sync(warning, reason, note));
    };
    if let Some(plan) = &next.pending_plan
        && previous.pending_plan.as_ref().is_none_or(|before| before.hash != plan.hash)
    {
        let note = format!(
            "{} removals wait for approval of plan {}: {}. See status.pendingPlan",
            plan.removals, plan.hash, plan.reason
        );
        tell(true, "RemovalsHeld", &note);
    }
    for (warning, reason, said) in approvals(previous, next) {
        tell(warning, reason, &said);
    }
    let conflicts = |status: &OktaUserSyncStatus| status.users.map_or(0, |users| users.conflicts);
    if conflicts(next) > conflicts(previous) {
        let note = format!(
            "{} people cannot be synced, because something that is not ours has their user name; see status.errors",
            conflicts(next)
        );
        tell(true, "Conflict", &note);
    }
    all.extend(crate::keys::news(previous, next));
    all
}

/// What a change of the condition Ready tells.
fn of_ready(previous: &OktaUserSyncStatus, next: &OktaUserSyncStatus) -> Option<News> {
    let ready = |status: &OktaUserSyncStatus| condition::find(&status.conditions, condition::READY).cloned();
    let (before, now) = (ready(previous), ready(next)?);
    // More people may read Events than statuses, so nobody is named in them.
    let message = now.message.split(FIRST).next().unwrap_or_default();
    let was_good = before.as_ref().is_some_and(|before| before.status == "True");
    let same = before.as_ref().is_some_and(|before| before.reason == now.reason);
    match now.status.as_str() {
        "True" if !was_good && previous.last_run.is_some() && failed(previous) => {
            Some(News::of_state(false, "Recovered", message))
        }
        // That comes once in the life of a resource, so there is nothing to count.
        "True" if !was_good && previous.last_run.is_none() => Some(News::of_sync(false, &now.reason, message)),
        "False" if !same => Some(News::of_state(now.reason != crate::status::SUSPENDED, &now.reason, message)),
        _ => None,
    }
}

/// What the writes of a pass tell.
#[must_use]
pub fn of_writes(done: &Done) -> Vec<News> {
    let told = [
        (&done.leavers, "LeaversLocked", "people left and were locked"),
        (&done.suspended, "SuspendedLocked", "suspended people were locked"),
    ];
    told.into_iter()
        .filter(|(names, ..)| !names.is_empty())
        .map(|(names, reason, what)| News {
            names: names.clone(),
            ..News::of_sync(false, reason, format!("{} {what}", names.len()))
        })
        .collect()
}

/// A word, once, about an identity of which less than a fifth is left: whoever renews it should have done so by then.
#[must_use]
pub fn of_identity(from: Timestamp, until: Timestamp, now: Timestamp, told: &mut Option<Timestamp>) -> Option<News> {
    let (life, left) = (until.duration_since(from), until.duration_since(now));
    if left > life / 5 || *told == Some(until) {
        return None;
    }
    *told = Some(until);
    let note = format!(
        "the identity for Teleport runs out at {until} and has not been renewed; see that tbot (or whoever writes the \
         Secret) is running"
    );
    Some(News::of_sync(true, "IdentityExpiring", note))
}

/// What became of an approval: used, or of no use, and why.
fn approvals(previous: &OktaUserSyncStatus, next: &OktaUserSyncStatus) -> Vec<(bool, &'static str, String)> {
    let used =
        |status: &OktaUserSyncStatus| status.memory.as_ref().map(|m| m.used_approval.clone()).unwrap_or_default();
    let unfit = |status: &OktaUserSyncStatus| status.pending_plan.as_ref().and_then(|plan| plan.approval.clone());
    let mut all = Vec::new();
    if !used(next).is_empty() && used(next) != used(previous) {
        all.push((false, "ApprovalUsed", format!("the approval of plan {} was used", used(next))));
    }
    if let Some(why) = unfit(next).filter(|why| unfit(previous).as_ref() != Some(why)) {
        all.push((true, "ApprovalNotFitting", why));
    }
    all
}

/// Whether the last pass went wrong (whatever a pass that has just begun says now).
fn failed(status: &OktaUserSyncStatus) -> bool {
    status.last_run.as_ref().is_some_and(|run| matches!(run.result.as_str(), "Partial" | "Refused"))
}

/// Publishes events.
#[derive(Clone)]
pub struct Announcer {
    client: Client,
    reporter: Reporter,
    /// Counts states.
    recorder: Recorder,
    show_names: bool,
}

impl Announcer {
    /// Publishes in the name of the process `instance`.
    #[must_use]
    pub fn new(client: Client, instance: &str, show_names: bool) -> Self {
        let reporter = Reporter { controller: names::FIELD_MANAGER.into(), instance: Some(instance.into()) };
        Self { recorder: Recorder::new(client.clone(), reporter.clone()), client, reporter, show_names }
    }

    /// Publishes `news` about `object`. An event that cannot be published is logged and forgotten: it never stops a pass.
    pub async fn tell(&self, object: &OktaUserSync, news: Vec<News>) {
        let reference = object.object_ref(&());
        if reference.name.as_ref().is_none_or(|name| name.len() > NAME_LIMIT) {
            return debug!("the resource's name is too long for the name of an event");
        }
        for item in news {
            let event = Event {
                type_: if item.warning { EventType::Warning } else { EventType::Normal },
                reason: condition::cut(&item.reason, 128),
                note: Some(item.text(self.show_names)),
                action: item.action.into(),
                secondary: None,
            };
            // A recorder that has seen nothing counts nothing.
            let anew = || Recorder::new(self.client.clone(), self.reporter.clone());
            let recorder = if item.state { self.recorder.clone() } else { anew() };
            match tokio::time::timeout(CALL_LIMIT, recorder.publish(&event, &reference)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(reason = item.reason, "the event could not be published: {error}"),
                Err(_) => warn!(reason = item.reason, "the event could not be published in time"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use api::status::PendingPlan;
    use engine::{
        failure::{Class, Failure, Side},
        report::Outcome,
    };
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::status::{Ending, Moment, begun, ended, suspended, tests::report};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn after(previous: &OktaUserSyncStatus, ending: Ending<'_>) -> OktaUserSyncStatus {
        let moment = Moment { generation: 1, started: NOW, now: NOW, next_run: NOW, token: None, id: "p" };
        ended(previous, ending, moment)
    }

    fn reasons(previous: &OktaUserSyncStatus, next: &OktaUserSyncStatus) -> Vec<(bool, String)> {
        news(previous, next).into_iter().map(|item| (item.warning, item.reason)).collect()
    }

    #[test]
    fn a_change_is_told_once() {
        let empty = OktaUserSyncStatus::default();
        let down = Failure::new(Side::Okta, Class::Transient, "OktaUnreachable", "Okta is down", "nothing");
        let begun = begun(&empty, 1, NOW).unwrap();
        assert_eq!(reasons(&empty, &begun), []);
        let good = after(&begun, Ending::Report(&report(Outcome::Succeeded)));
        assert_eq!(reasons(&begun, &good), [(false, "Synced".into())]);
        assert!(news(&begun, &good).iter().all(|news| !news.state), "once in its life: nothing is kept to count it by");
        assert_eq!(reasons(&good, &after(&good, Ending::Report(&report(Outcome::Succeeded)))), []);
        let bad = after(&good, Ending::Refused(&down));
        assert_eq!(reasons(&good, &bad), [(true, "OktaUnreachable".into())]);
        assert_eq!(reasons(&bad, &after(&bad, Ending::Refused(&down))), [], "not in every loop");
        assert!(news(&good, &bad).iter().all(|news| news.state), "and counted when it comes again");
        let again = after(&bad, Ending::Report(&report(Outcome::Succeeded)));
        assert_eq!(reasons(&bad, &again), [(false, "Recovered".into())]);
        let paused = suspended(&again, 2, NOW).unwrap();
        assert_eq!(reasons(&again, &paused), [(false, "Suspended".into())]);
    }

    #[test]
    fn whoever_is_concerned_is_named_only_if_the_operator_is_told_to() {
        let done = Done { leavers: vec!["ada".into(), "bob".into()], suspended: vec!["eve".into()] };
        let told = of_writes(&done);
        let texts = |show| told.iter().map(|news| (news.reason.clone(), news.text(show))).collect::<Vec<_>>();
        let of = |reason: &str, text: &str| (reason.to_owned(), text.to_owned());
        let nameless = [
            of("LeaversLocked", "2 people left and were locked"),
            of("SuspendedLocked", "1 suspended people were locked"),
        ];
        assert_eq!(texts(false), nameless);
        assert_eq!(texts(true)[0], of("LeaversLocked", "2 people left and were locked: ada, bob"));
        assert!(told.iter().all(|news| !news.state), "the second leaver's words are not lost in a count");
        assert_eq!(of_writes(&Done::default()), []);
        let many = Done { leavers: vec!["somebody@example.com".into(); 100], ..Done::default() };
        assert!(of_writes(&many)[0].text(true).len() <= NOTE_LIMIT);

        let good = after(&OktaUserSyncStatus::default(), Ending::Report(&report(Outcome::Succeeded)));
        let mut partial = report(Outcome::Partial);
        partial.problem(Class::Transient, "ada@example.com", "ada@example.com cannot be written", "");
        let told = news(&good, &after(&good, Ending::Report(&partial)));
        assert_eq!((told.len(), told[0].reason.as_str()), (1, "PartlyFailed"));
        assert!(!told[0].note.contains("ada"), "{told:?}");
    }

    #[test]
    fn an_identity_that_nobody_renews_is_told_of_once() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let mut told = None;
        let mut ask = |from, until, now| of_identity(at(from), at(until), at(now), &mut told).is_some();
        assert!(!ask(0, 60, 0) && !ask(0, 60, 47));
        assert!(ask(0, 60, 48) && !ask(0, 60, 49), "less than a fifth is left; told once");
        assert!(!ask(45, 105, 50), "renewed");
        assert!(ask(45, 105, 100) && ask(45, 106, 105));
    }

    #[test]
    fn conflicts_are_told_when_they_grow() {
        let with = |conflicts| {
            let mut report = report(Outcome::Succeeded);
            report.counts.conflicts = conflicts;
            after(&OktaUserSyncStatus::default(), Ending::Report(&report))
        };
        assert_eq!(reasons(&with(0), &with(2)), [(true, "Conflict".into())]);
        assert_eq!(reasons(&with(2), &with(2)), []);
        assert_eq!(reasons(&with(2), &with(1)), []);
    }

    #[test]
    fn a_held_plan_is_told_once_and_without_names() {
        let good = after(&OktaUserSyncStatus::default(), Ending::Report(&report(Outcome::Succeeded)));
        let mut held = report(Outcome::Held);
        held.pending = Some(PendingPlan {
            hash: "abc".into(),
            reason: "40 of 250".into(),
            removals: 40,
            sample: vec!["ada@example.com: left".into()],
            held_since: Time(NOW),
            expires: Time(NOW),
            approval: None,
        });
        let next = after(&good, Ending::Report(&held));
        let told = news(&good, &next);
        assert_eq!(told.len(), 1);
        assert!(told[0].warning && told[0].note.contains("abc") && !told[0].note.contains("ada"), "{told:?}");
        assert_eq!(reasons(&next, &after(&next, Ending::Report(&held))), []);

        // P5: what became of an approval is told, once.
        if let Some(plan) = &mut held.pending {
            plan.approval = Some("the approval of plan abd does not fit the plan that is held now (abc)".into());
        }
        let unfit = after(&next, Ending::Report(&held));
        assert_eq!(reasons(&next, &unfit), [(true, "ApprovalNotFitting".into())]);
        assert_eq!(reasons(&unfit, &after(&unfit, Ending::Report(&held))), []);
        let mut done = report(Outcome::Succeeded);
        done.memory.used_approval = "abc".into();
        let done = after(&unfit, Ending::Report(&done));
        assert_eq!(reasons(&unfit, &done), [(false, "ApprovalUsed".into())]);
    }
}
