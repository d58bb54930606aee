//! The System Log as a hint: who changed since it was read last.
//!
//! An event never decides anything. It names a person who is worth asking about at once; the full pass stays the
//! authority, so an event that is lost or comes late costs time and nothing else (reference: okta-api §7).
//!
//! Each poll asks for a span of time with both ends (`since`, `until`), as a list without `until` has no end. Events may
//! become visible later than they happened, so spans overlap, and events that were seen are told apart by their `uuid`:
//! after a mass change they are thousands, so those that stand in the answer as they stood before are not decoded
//! ([`again`]).

use std::sync::Arc;

use engine::{
    failure::{Class, Failure},
    feed::{Cursor, Hint, News, Texts, Watch},
};
use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use self::again::Shown;
use crate::{error::OktaError, http::Target, pager::List, people::EntryFault, scope::Scope, session::Session};

mod again;

/// How far a poll reaches back behind the last one.
const OVERLAP: SignedDuration = SignedDuration::from_mins(3);

/// A feed that was not read for longer is not caught up with: the full pass is cheaper and surer.
const GAP: SignedDuration = SignedDuration::from_mins(30);

/// Events of one poll; more are a gap.
const MOST: usize = 10_000;

/// Events about one person.
const ABOUT_PERSON: [&str; 10] = [
    "user.lifecycle.create",
    "user.lifecycle.activate",
    "user.lifecycle.reactivate",
    "user.lifecycle.deactivate",
    "user.lifecycle.suspend",
    "user.lifecycle.unsuspend",
    "user.lifecycle.delete.initiated",
    "user.lifecycle.delete.completed",
    "user.account.update_profile",
    "user.account.update_primary_email",
];

/// Events about one person in one app.
const ABOUT_ASSIGNMENT: [&str; 4] = [
    "application.user_membership.add",
    "application.user_membership.remove",
    "application.user_membership.update",
    "application.user_membership.change_username",
];

/// Events about one person in one group.
const ABOUT_MEMBER: [&str; 2] = ["group.user_membership.add", "group.user_membership.remove"];

/// Those of all the above that may take somebody's access away.
const LEAVING: [&str; 7] = [
    "user.lifecycle.deactivate",
    "user.lifecycle.suspend",
    "user.lifecycle.delete.initiated",
    "user.lifecycle.delete.completed",
    "application.user_membership.remove",
    "application.user_membership.change_username",
    "group.user_membership.remove",
];

/// Events about a group itself, after which everybody has to be looked at.
const ABOUT_GROUP: [&str; 1] = ["group.lifecycle.delete"];

/// Events about an app itself, after which everybody has to be looked at.
const ABOUT_APP: [&str; 6] = [
    "application.lifecycle.activate",
    "application.lifecycle.deactivate",
    "application.lifecycle.delete",
    "group.application_assignment.add",
    "group.application_assignment.remove",
    "group.application_assignment.update",
];

/// An event, as far as it matters here. `target` and `outcome` may be null.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogEvent {
    #[serde(default)]
    uuid: Option<String>,
    #[serde(default)]
    published: Option<Timestamp>,
    #[serde(default)]
    event_type: Option<String>,
    #[serde(default)]
    outcome: Option<Outcome>,
    #[serde(default)]
    target: Option<Vec<EventTarget>>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    result: Option<String>,
}

#[derive(Deserialize)]
struct EventTarget {
    #[serde(default)]
    id: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

/// An event that has what every event has.
struct Event {
    uuid: String,
    at: Timestamp,
    /// Okta's word for it; `None`: it failed, or is one that says nothing here.
    kind: Option<&'static str>,
    /// The app it is about, if it names one.
    app: Option<String>,
    /// What it says of the person whom it names. All who are told it share this.
    hint: Option<Arc<Hint>>,
}

/// What one event asks for.
#[derive(Debug, PartialEq, Eq)]
enum Meaning<'a> {
    Nothing,
    Person(&'a Arc<Hint>),
    /// Because this was logged.
    Everybody(&'static str),
}

/// What a poll found.
pub struct Found(Result<Vec<Event>, Gap>);

/// Why it cannot be said what happened.
struct Gap(String);

/// One poll, for all that watch.
pub(crate) async fn read(session: &Session, cursor: &mut Cursor, watches: &[Watch]) -> Result<Found, Failure> {
    let now = Timestamp::from_second(session.wire.clock.now()).unwrap_or(cursor.position());
    let behind = now.duration_since(cursor.position());
    let gap = if behind > GAP {
        format!("the System Log was not read for more than {} minutes", GAP.as_mins())
    } else {
        match fetch(session, cursor, watches, now).await {
            Ok(Some((events, texts))) => {
                let fresh: Vec<Event> = events.into_iter().filter(|event| !cursor.has_seen(&event.uuid)).collect();
                cursor.met(texts);
                cursor.advance(now, fresh.iter().map(|event| (event.uuid.as_str(), event.at)), OVERLAP * 2);
                return Ok(Found(Ok(fresh)));
            }
            Ok(None) => format!("more than {MOST} events wait in the System Log"),
            // Okta does not take the span that is asked for: it is given up rather than asked for again and again.
            Err(refused) if behind > OVERLAP && (refused.class == Class::Bug || refused.reason == "NotFound") => {
                format!("the System Log cannot be read from where it was left: {}", refused.message)
            }
            Err(failure) => return Err(failure),
        }
    };
    *cursor = Cursor::since(now);
    Ok(Found(Err(Gap(gap))))
}

impl Found {
    /// What it says to whoever watches this.
    pub(crate) fn news(&self, watch: &Watch) -> News {
        match &self.0 {
            Ok(events) => news(events, watch),
            Err(Gap(why)) => News::full(why),
        }
    }
}

/// The events of the span that may not have been told, and how all of them stood there; `None` when there are too many.
async fn fetch(
    session: &Session,
    cursor: &Cursor,
    watches: &[Watch],
    now: Timestamp,
) -> Result<Option<(Vec<Event>, Texts)>, Failure> {
    let since = cursor.position().min(now).saturating_sub(OVERLAP).unwrap_or(now);
    let target = Target::new(&["api", "v1", "logs"]).map_err(Failure::from)?;
    let parameters = [("since", format!("{since:.3}")), ("until", format!("{now:.3}")), ("filter", filter(watches))];
    let parameters: Vec<(&'static str, &str)> = parameters.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let list = List::new(target, 1000, &parameters, &[Scope::Logs]).page_by_page();
    let mut reading = cursor.reading();
    let read = |body: &[u8]| again::read(&mut reading, body);
    let mut pages = list.pages_read_by(session, read, Shown::checked, Shown::uuid);
    let (mut events, mut shown) = (Vec::new(), 0);
    while let Some(page) = pages.try_next().await? {
        shown += page.items.len();
        if shown > MOST {
            return Ok(None);
        }
        events.extend(page.items.into_iter().filter_map(Shown::unread));
    }
    drop(pages);
    Ok(Some((events, reading.end())))
}

/// What these events ask for.
fn news(events: &[Event], watch: &Watch) -> News {
    let (mut hints, mut full_pass) = (Vec::new(), None);
    for event in events {
        match event.meaning(watch) {
            Meaning::Nothing => {}
            Meaning::Everybody(kind) => full_pass = Some(format!("{kind} was logged")),
            Meaning::Person(hint) => hints.push(hint.clone()),
        }
    }
    News { full_pass, ..News::of(hints.into_iter()) }
}

/// Okta's word for an event that may say something here.
fn known(kind: &str) -> Option<&'static str> {
    let all = ABOUT_PERSON.iter().chain(&ABOUT_ASSIGNMENT).chain(&ABOUT_MEMBER).chain(&ABOUT_GROUP).chain(&ABOUT_APP);
    all.copied().find(|known| *known == kind)
}

impl LogEvent {
    /// An event with an id and a time; Okta shows none without.
    fn checked(self) -> Result<Event, EntryFault> {
        let (Some(uuid), Some(at)) = (self.uuid, self.published) else { return Err(EntryFault::NoId) };
        let failed = self.outcome.and_then(|outcome| outcome.result).is_some_and(|result| result != "SUCCESS");
        let kind = self.event_type.as_deref().and_then(known).filter(|_| !failed);
        // Their order is not fixed.
        let mut targets = self.target.unwrap_or_default();
        let mut target = |kind: &str| {
            let first = targets.iter_mut().find(|target| target.kind.as_deref() == Some(kind));
            first.and_then(|target| target.id.take())
        };
        let (person, app) = (target("User"), target("AppInstance"));
        let hint = kind
            .zip(person)
            .map(|(event, person)| Arc::new(Hint { person, event, at, leaving: LEAVING.contains(&event) }));
        Ok(Event { uuid, at, kind, app, hint })
    }
}

impl Event {
    fn meaning(&self, watch: &Watch) -> Meaning<'_> {
        let Some(kind) = self.kind else { return Meaning::Nothing };
        let of_our_app = watch.app.is_some() && self.app.as_ref().is_none_or(|app| Some(app) == watch.app.as_ref());
        if ABOUT_PERSON.contains(&kind)
            || (watch.groups && ABOUT_MEMBER.contains(&kind))
            || (of_our_app && ABOUT_ASSIGNMENT.contains(&kind))
        {
            self.hint.as_ref().map_or(Meaning::Everybody(kind), Meaning::Person)
        } else if (of_our_app && ABOUT_APP.contains(&kind)) || (watch.groups && ABOUT_GROUP.contains(&kind)) {
            Meaning::Everybody(kind)
        } else {
            Meaning::Nothing
        }
    }
}

/// Okta's filter for what is watched by any of them.
fn filter(watches: &[Watch]) -> String {
    let mut kinds = ABOUT_PERSON.to_vec();
    if watches.iter().any(|watch| watch.app.is_some()) {
        kinds.extend(ABOUT_ASSIGNMENT.iter().chain(&ABOUT_APP));
    }
    if watches.iter().any(|watch| watch.groups) {
        kinds.extend(ABOUT_MEMBER.iter().chain(&ABOUT_GROUP));
    }
    let terms: Vec<String> = kinds.into_iter().map(|kind| format!("eventType eq \"{kind}\"")).collect();
    terms.join(" or ")
}

/// What an answer of the System Log asks for; `None` if it is none, or an event in it lacks what every event has.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn news_of(answer: &[u8], watch: &Watch) -> Option<News> {
    let events: Vec<LogEvent> = serde_json::from_slice(answer).ok()?;
    let events: Vec<Event> = events.into_iter().map(LogEvent::checked).collect::<Result<_, _>>().ok()?;
    Some(news(&events, watch))
}

/// The engine speaks of failures; what this module may refuse by itself is one as well.
impl From<EntryFault> for OktaError {
    fn from(fault: EntryFault) -> Self {
        Self::Page(fault.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::{Value, json};

    use super::*;

    fn event(value: Value) -> Event {
        serde_json::from_value::<LogEvent>(value).unwrap().checked().ok().unwrap()
    }

    fn about(kind: &str, targets: &Value) -> Event {
        event(json!({"uuid": "u", "published": "2026-01-01T00:00:00.000Z", "version": 0, "eventType": kind,
                     "outcome": {"result": "SUCCESS", "reason": null}, "target": targets}))
    }

    /// The person whom an event names, or what it means beside that.
    fn meaning(event: &Event, watch: &Watch) -> &'static str {
        match event.meaning(watch) {
            Meaning::Nothing => "nothing",
            Meaning::Everybody(kind) => {
                assert_eq!(Some(kind), event.kind);
                "everybody"
            }
            Meaning::Person(hint) => {
                assert_eq!((hint.person.as_str(), hint.event, hint.at), ("00u1", event.kind.unwrap(), event.at));
                "00u1"
            }
        }
    }

    fn watch(app: Option<&str>, groups: bool) -> Watch {
        Watch { app: app.map(str::to_owned), groups }
    }

    #[test]
    fn an_event_means_a_person_everybody_or_nothing() {
        let user = json!([{"id": "00u1", "type": "User", "alternateId": "a@example.com"}]);
        let ours = json!([{"id": "0ua1", "type": "AppUser"}, {"id": "0oa1", "type": "AppInstance"}, {"id": "00u1", "type": "User"}]);
        let other = json!([{"id": "0oa2", "type": "AppInstance"}, {"id": "00u1", "type": "User"}]);
        let member = json!([{"id": "00u1", "type": "User"}, {"id": "00g1", "type": "UserGroup"}]);
        let app = watch(Some("0oa1"), false);
        for (kind, targets, watch, means) in [
            ("user.lifecycle.suspend", user.clone(), app.clone(), "00u1"),
            ("user.lifecycle.deactivate", user.clone(), watch(None, false), "00u1"),
            ("user.lifecycle.deactivate", json!(null), app.clone(), "everybody"),
            ("application.user_membership.remove", ours.clone(), app.clone(), "00u1"),
            ("application.user_membership.remove", other.clone(), app.clone(), "nothing"),
            ("application.user_membership.remove", ours, watch(None, true), "nothing"),
            ("group.user_membership.remove", member.clone(), watch(None, true), "00u1"),
            ("group.user_membership.remove", member, app.clone(), "nothing"),
            (
                "application.lifecycle.deactivate",
                json!([{"id": "0oa1", "type": "AppInstance"}]),
                app.clone(),
                "everybody",
            ),
            ("application.lifecycle.deactivate", other, app.clone(), "nothing"),
            ("user.session.start", user, app.clone(), "nothing"),
            ("group.lifecycle.delete", json!([{"id": "00g1", "type": "UserGroup"}]), watch(None, true), "everybody"),
            ("group.lifecycle.delete", json!([{"id": "00g1", "type": "UserGroup"}]), app, "nothing"),
        ] {
            assert_eq!(meaning(&about(kind, &targets), &watch), means, "{kind} {watch:?}");
        }
    }

    #[test]
    fn failed_events_mean_nothing_and_nulls_do_no_harm() {
        let target = json!([{"id": "00u1", "type": "User"}, {}]);
        let mut raw = json!({"uuid": "u", "published": "2026-01-01T00:00:00Z", "eventType": "user.lifecycle.suspend",
                             "outcome": {"result": "FAILURE"}, "target": target});
        assert_eq!(meaning(&event(raw.clone()), &Watch::default()), "nothing");
        raw["outcome"] = Value::Null;
        assert_eq!(meaning(&event(raw), &Watch::default()), "00u1");
        assert!(serde_json::from_value::<LogEvent>(json!({"uuid": "u"})).unwrap().checked().is_err());
    }

    #[test]
    fn the_filter_asks_for_what_is_watched_only() {
        let all = filter(&[watch(Some("0oa1"), false), watch(None, true)]);
        assert!(all.starts_with(r#"eventType eq "user.lifecycle.create" or eventType eq "#));
        assert_eq!(all.matches("eventType eq").count(), 23);
        assert_eq!(filter(&[Watch::default()]).matches("eventType eq").count(), 10);
    }

    #[test]
    fn a_person_comes_once_with_the_last_event() {
        let events: Vec<Event> = ["user.lifecycle.suspend", "user.account.update_profile", "user.lifecycle.unsuspend"]
            .iter()
            .enumerate()
            .map(|(at, kind)| about(kind, &json!([{"id": format!("00u{}", at % 2), "type": "User"}])))
            .collect();
        let news = news(&events, &Watch::default());
        let told: Vec<(&str, &str)> = news.hints.iter().map(|c| (c.person.as_str(), c.event)).collect();
        assert_eq!(told, [("00u1", "user.account.update_profile"), ("00u0", "user.lifecycle.unsuspend")]);
    }

    #[test]
    fn all_who_are_told_an_event_share_what_it_says() {
        let kinds = ["user.lifecycle.suspend", "group.user_membership.remove", "group.user_membership.add"];
        let events: Vec<Event> = (0..999)
            .map(|n| about(kinds[n % 3], &json!([{"id": format!("00u{n}"), "type": "User"}])))
            .chain([about("user.account.update_profile", &json!([{"id": "00u0", "type": "User"}]))])
            .collect();
        let watches: Vec<Watch> = (0..500).map(|n| watch(Some(&format!("0oa{n}")), n % 2 == 0)).collect();
        let theirs: HashSet<*const Hint> =
            events.iter().filter_map(|event| event.hint.as_ref().map(Arc::as_ptr)).collect();
        for watch in &watches {
            let news = news(&events, watch);
            let all = if watch.groups { 999 } else { 333 };
            let shared = news.hints.iter().filter(|hint| theirs.contains(&Arc::as_ptr(hint)));
            // Of who left before something else happened, the hint says both, and is made for that.
            assert_eq!((news.hints.len(), shared.count()), (all, all - 1));
            assert!(news.hints.last().is_some_and(|hint| hint.person == "00u0" && hint.leaving));
        }
    }
}
