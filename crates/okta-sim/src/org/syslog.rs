//! The System Log: what happened, in the order in which it was persisted.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use crate::clock::Stamp;
use crate::id::OktaId;

/// Most events kept; older ones are dropped (a real org keeps ninety days).
const KEPT: usize = 200_000;

/// Who did something, as `actor` shows it.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub id: String,
    pub kind: &'static str,
    pub alternate: String,
    pub display: String,
}

impl Actor {
    /// Okta itself, for work done by its jobs.
    pub fn system() -> Self {
        Self {
            id: "sys0000000000000000".to_owned(),
            kind: "SystemPrincipal",
            alternate: "system@okta.com".to_owned(),
            display: "Okta System".to_owned(),
        }
    }
}

/// The circumstances of a change: when, by whom, from where.
#[derive(Debug, Clone)]
pub(crate) struct Doer {
    pub now: Stamp,
    pub actor: Actor,
    pub user_agent: String,
    pub request_id: String,
    /// Done by a background job: `transaction.type` is `JOB` and no client address is known.
    pub job: bool,
}

impl Doer {
    /// The same moment, done by Okta's own jobs.
    pub fn as_job(&self) -> Self {
        Self { actor: Actor::system(), job: true, ..self.clone() }
    }
}

/// One target of an event.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub kind: &'static str,
    pub id: String,
    pub alternate: String,
    pub display: String,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    /// Place in persistence order.
    pub seq: u64,
    pub uuid: uuid::Uuid,
    pub published: Stamp,
    pub kind: &'static str,
    pub message: &'static str,
    pub targets: Vec<Target>,
    pub doer: Doer,
}

impl Event {
    /// The `LogEvent` object.
    pub fn tree(&self) -> Value {
        let targets: Vec<Value> = self
            .targets
            .iter()
            .map(|t| {
                json!({
                    "id": t.id, "type": t.kind, "alternateId": t.alternate,
                    "displayName": t.display, "detailEntry": null,
                })
            })
            .collect();
        let client = if self.doer.job {
            json!({ "userAgent": null, "zone": null, "device": null, "id": null, "ipAddress": null,
                    "geographicalContext": null })
        } else {
            json!({
                "userAgent": { "rawUserAgent": self.doer.user_agent, "os": "Unknown", "browser": "UNKNOWN" },
                "zone": "null", "device": "Unknown", "id": null, "ipAddress": "127.0.0.1",
                "geographicalContext": null,
            })
        };
        let chain = if self.doer.job {
            json!([])
        } else {
            json!([{ "ip": "127.0.0.1", "geographicalContext": null, "version": "V4", "source": null }])
        };
        json!({
            "actor": {
                "id": self.doer.actor.id, "type": self.doer.actor.kind,
                "alternateId": self.doer.actor.alternate, "displayName": self.doer.actor.display,
                "detailEntry": null,
            },
            "client": client,
            "device": null,
            "authenticationContext": {
                "authenticationProvider": null, "credentialProvider": null, "credentialType": null,
                "issuer": null, "interface": null, "authenticationStep": 0, "rootSessionId": "unknown",
                "externalSessionId": "unknown",
            },
            "displayMessage": self.message,
            "eventType": self.kind,
            "outcome": { "result": "SUCCESS", "reason": null },
            "published": self.published.to_string(),
            "securityContext": {
                "asNumber": null, "asOrg": null, "isp": null, "domain": null, "isProxy": null,
            },
            "severity": "INFO",
            "debugContext": { "debugData": { "requestId": self.doer.request_id } },
            "legacyEventType": null,
            "transaction": {
                "type": if self.doer.job { "JOB" } else { "WEB" }, "id": self.doer.request_id, "detail": {},
            },
            "uuid": self.uuid.to_string(),
            "version": "0",
            "request": { "ipChain": chain },
            "target": targets,
        })
    }
}

/// All events still kept, and those that are still on their way into the log.
#[derive(Debug, Default)]
pub(crate) struct SystemLog {
    events: VecDeque<Event>,
    on_the_way: BTreeMap<(Stamp, u64), Event>,
    next: u64,
    sent: u64,
}

impl SystemLog {
    /// Sends an event; it is persisted at `arrives`, behind everything that arrives before.
    pub fn push(&mut self, event: Event, arrives: Stamp) {
        self.sent += 1;
        if arrives <= event.published && self.on_the_way.is_empty() {
            self.persist(event);
        } else {
            self.on_the_way.insert((arrives, self.sent), event);
        }
    }

    fn persist(&mut self, mut event: Event) {
        self.next += 1;
        event.seq = self.next;
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Events sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// When the next event arrives.
    pub fn next_arrival(&self) -> Option<Stamp> {
        self.on_the_way.keys().next().map(|(arrives, _)| *arrives)
    }

    /// Persists what has arrived by now.
    pub fn settle(&mut self, now: Stamp) {
        while let Some(entry) = self.on_the_way.first_entry()
            && entry.key().0 <= now
        {
            let event = entry.remove();
            self.persist(event);
        }
    }

    /// Events after a place in persistence order.
    pub fn after(&self, seq: u64) -> impl Iterator<Item = &Event> {
        let start = self.events.partition_point(|e| e.seq <= seq);
        self.events.range(start..)
    }

    /// Every event kept, those on their way last.
    pub fn all(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().chain(self.on_the_way.values())
    }

    /// Number of events persisted and kept.
    pub fn len(&self) -> usize {
        self.events.len()
    }
}

/// A `User` target.
pub(crate) fn user_target(person: &super::person::Person) -> Target {
    Target { kind: "User", id: person.id.to_string(), alternate: person.login(), display: person.display_name() }
}

/// The three targets of an app membership event, in the order that real logs mostly show.
pub(crate) fn membership_targets(
    person: &super::person::Person,
    app: &OktaId,
    label: &str,
    user_name: &str,
) -> Vec<Target> {
    vec![
        Target {
            kind: "AppUser",
            id: crate::id::app_user_id(app, &person.id).to_string(),
            alternate: user_name.to_owned(),
            display: person.display_name(),
        },
        Target { kind: "AppInstance", id: app.to_string(), alternate: label.to_owned(), display: label.to_owned() },
        user_target(person),
    ]
}
