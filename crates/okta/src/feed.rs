//! The System Log as a hint: who changed since it was read last.
//!
//! An event never decides anything. It names a person who is worth asking about at once; the full pass stays the
//! authority, so an event that is lost or comes late costs time and nothing else (reference: okta-api §7).
//!
//! Each poll asks for a span of time with both ends (`since`, `until`), as a list without `until` has no end. Events may
//! become visible later than they happened, so spans overlap, and events that were seen are told apart by their `uuid`:
//! after a mass change they are thousands, so those that stand in the answer as they stood before are not decoded
//! ([`again`]).

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
    kind: String,
    failed: bool,
    targets: Vec<EventTarget>,
}

/// What one event asks for.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Nothing,
    Person(String),
    Everybody,
}

/// One poll, for all that watch. Each is answered in its place.
pub(crate) async fn read(session: &Session, cursor: &mut Cursor, watches: &[Watch]) -> Result<Vec<News>, Failure> {
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
                return Ok(watches.iter().map(|watch| news(&fresh, watch)).collect());
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
    Ok(watches.iter().map(|_| News::full(gap.clone())).collect())
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
    let mut news = News::default();
    for event in events {
        match event.meaning(watch) {
            Meaning::Nothing => {}
            Meaning::Everybody => news.full_pass = Some(format!("{} was logged", event.kind)),
            Meaning::Person(person) => {
                let before = news.hints.iter().position(|hint| hint.person == person);
                let before = before.is_some_and(|place| news.hints.remove(place).leaving);
                let leaving = before || LEAVING.contains(&event.kind.as_str());
                news.hints.push(Hint { person, event: event.kind.clone(), at: event.at, leaving });
            }
        }
    }
    news
}

impl LogEvent {
    /// An event with an id and a time; Okta shows none without.
    fn checked(self) -> Result<Event, EntryFault> {
        let (Some(uuid), Some(at)) = (self.uuid, self.published) else { return Err(EntryFault::NoId) };
        let result = self.outcome.and_then(|outcome| outcome.result);
        Ok(Event {
            uuid,
            at,
            kind: self.event_type.unwrap_or_default(),
            failed: result.is_some_and(|result| result != "SUCCESS"),
            targets: self.target.unwrap_or_default(),
        })
    }
}

impl Event {
    fn meaning(&self, watch: &Watch) -> Meaning {
        let is = |kinds: &[&str]| kinds.contains(&self.kind.as_str());
        if self.failed {
            return Meaning::Nothing;
        }
        let person = self.target("User").map_or(Meaning::Everybody, |id| Meaning::Person(id.to_owned()));
        let of_our_app =
            watch.app.is_some() && self.target("AppInstance").is_none_or(|app| Some(app) == watch.app.as_deref());
        if is(&ABOUT_PERSON) || (watch.groups && is(&ABOUT_MEMBER)) || (of_our_app && is(&ABOUT_ASSIGNMENT)) {
            person
        } else if (of_our_app && is(&ABOUT_APP)) || (watch.groups && is(&ABOUT_GROUP)) {
            Meaning::Everybody
        } else {
            Meaning::Nothing
        }
    }

    /// The id of the target of that type; their order is not fixed.
    fn target(&self, kind: &str) -> Option<&str> {
        let fits = |target: &&EventTarget| target.kind.as_deref() == Some(kind);
        self.targets.iter().find(fits).and_then(|target| target.id.as_deref())
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
    use serde_json::{Value, json};

    use super::*;

    fn event(value: Value) -> Event {
        serde_json::from_value::<LogEvent>(value).unwrap().checked().ok().unwrap()
    }

    fn about(kind: &str, targets: &Value) -> Event {
        event(json!({"uuid": "u", "published": "2026-01-01T00:00:00.000Z", "version": 0, "eventType": kind,
                     "outcome": {"result": "SUCCESS", "reason": null}, "target": targets}))
    }

    fn watch(app: Option<&str>, groups: bool) -> Watch {
        Watch { app: app.map(str::to_owned), groups }
    }

    #[test]
    fn an_event_means_a_person_everybody_or_nothing() {
        let person = || Meaning::Person("00u1".to_owned());
        let user = json!([{"id": "00u1", "type": "User", "alternateId": "a@example.com"}]);
        let ours = json!([{"id": "0ua1", "type": "AppUser"}, {"id": "0oa1", "type": "AppInstance"}, {"id": "00u1", "type": "User"}]);
        let other = json!([{"id": "0oa2", "type": "AppInstance"}, {"id": "00u1", "type": "User"}]);
        let member = json!([{"id": "00u1", "type": "User"}, {"id": "00g1", "type": "UserGroup"}]);
        let app = watch(Some("0oa1"), false);
        for (kind, targets, watch, meaning) in [
            ("user.lifecycle.suspend", user.clone(), app.clone(), person()),
            ("user.lifecycle.deactivate", user.clone(), watch(None, false), person()),
            ("user.lifecycle.deactivate", json!(null), app.clone(), Meaning::Everybody),
            ("application.user_membership.remove", ours.clone(), app.clone(), person()),
            ("application.user_membership.remove", other.clone(), app.clone(), Meaning::Nothing),
            ("application.user_membership.remove", ours, watch(None, true), Meaning::Nothing),
            ("group.user_membership.remove", member.clone(), watch(None, true), person()),
            ("group.user_membership.remove", member, app.clone(), Meaning::Nothing),
            (
                "application.lifecycle.deactivate",
                json!([{"id": "0oa1", "type": "AppInstance"}]),
                app.clone(),
                Meaning::Everybody,
            ),
            ("application.lifecycle.deactivate", other, app.clone(), Meaning::Nothing),
            ("user.session.start", user, app.clone(), Meaning::Nothing),
            (
                "group.lifecycle.delete",
                json!([{"id": "00g1", "type": "UserGroup"}]),
                watch(None, true),
                Meaning::Everybody,
            ),
            ("group.lifecycle.delete", json!([{"id": "00g1", "type": "UserGroup"}]), app, Meaning::Nothing),
        ] {
            assert_eq!(about(kind, &targets).meaning(&watch), meaning, "{kind} {watch:?}");
        }
    }

    #[test]
    fn failed_events_mean_nothing_and_nulls_do_no_harm() {
        let target = json!([{"id": "00u1", "type": "User"}, {}]);
        let mut raw = json!({"uuid": "u", "published": "2026-01-01T00:00:00Z", "eventType": "user.lifecycle.suspend",
                             "outcome": {"result": "FAILURE"}, "target": target});
        assert_eq!(event(raw.clone()).meaning(&Watch::default()), Meaning::Nothing);
        raw["outcome"] = Value::Null;
        assert_eq!(event(raw).meaning(&Watch::default()), Meaning::Person("00u1".to_owned()));
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
        let told: Vec<(&str, &str)> = news.hints.iter().map(|c| (c.person.as_str(), c.event.as_str())).collect();
        assert_eq!(told, [("00u1", "user.account.update_profile"), ("00u0", "user.lifecycle.unsuspend")]);
    }
}
