//! Sees every version of every object of one kind in a namespace, while a test does other things, and holds each against
//! the rules of conditions and the one before it. A look now and then would miss what is only there for a moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::{Status, check_conditions, check_step, eventually, kstatus};

/// A rule of the product's own: what is wrong with the object, one sentence each.
pub type Rule = fn(&Value) -> Vec<String>;

#[derive(Default)]
struct Seen {
    /// Whether the watch has begun.
    begun: bool,
    /// Every version, in order, by name of the object.
    versions: Vec<(String, Value)>,
    /// The newest of each, by uid.
    newest: HashMap<String, Value>,
    violations: Vec<String>,
}

/// The witness. It looks until it is dropped.
pub struct Witness {
    api: Api<DynamicObject>,
    seen: Arc<Mutex<Seen>>,
    watching: JoinHandle<()>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Witness {
    /// Begins to look at the objects of `api`; returns when it sees every version from now on. `rule` is asked about each
    /// version beside the general ones.
    pub async fn post(api: Api<DynamicObject>, rule: Rule) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (noting, watched) = (seen.clone(), watcher(api.clone(), watcher::Config::default()).default_backoff());
        let watching = tokio::spawn(async move {
            let mut watched = std::pin::pin!(watched);
            while let Some(event) = watched.next().await {
                match event {
                    Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                        let version = serde_json::to_value(object).unwrap_or_default();
                        lock(&noting).note(version, rule);
                    }
                    Ok(watcher::Event::Delete(object)) => {
                        lock(&noting).newest.remove(object.metadata.uid.as_deref().unwrap_or_default());
                    }
                    Ok(watcher::Event::InitDone) => lock(&noting).begun = true,
                    // It begins anew by itself.
                    Ok(watcher::Event::Init) | Err(_) => {}
                }
            }
        });
        let witness = Self { api, seen, watching };
        // A test that has nobody to look has nothing to show either: what it waits for in vain, it says by itself.
        let begun = async || if lock(&witness.seen).begun { Ok(()) } else { Err("not yet") };
        let _ = eventually(Duration::from_secs(60), "the watch to begin", begun).await;
        witness
    }

    /// Waits until it has seen what there is now.
    ///
    /// # Errors
    /// When it has not after that time, or the API server does not answer.
    pub async fn catch_up(&self, within: Duration) -> Result<(), crate::TimedOut> {
        eventually(within, "the witness to have seen everything", async || {
            let now = self.api.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let seen = lock(&self.seen);
            let missed = now.items.iter().find(|object| {
                let newest = object.metadata.uid.as_deref().and_then(|uid| seen.newest.get(uid));
                newest.is_none_or(|newest| {
                    newest["metadata"]["resourceVersion"].as_str() != object.metadata.resource_version.as_deref()
                })
            });
            missed.map_or(Ok(()), |object| Err(format!("not the newest version of {:?}", object.metadata.name)))
        })
        .await
    }

    /// Every version so far of the object of that name, in order.
    #[must_use]
    pub fn versions(&self, name: &str) -> Vec<Value> {
        lock(&self.seen).versions.iter().filter(|(of, _)| of == name).map(|(_, version)| version.clone()).collect()
    }

    /// What was wrong so far, with the version concerned; empty when all is well.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        lock(&self.seen).violations.clone()
    }
}

impl Seen {
    fn note(&mut self, version: Value, rule: Rule) {
        let word = |path: &str| version.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, uid) = (word("/metadata/name"), word("/metadata/uid"));
        let before = self.newest.get(&uid);
        if before.is_some_and(|before| before["metadata"]["resourceVersion"] == version["metadata"]["resourceVersion"])
        {
            return;
        }
        let mut wrong = judge(&version);
        wrong.extend(rule(&version));
        wrong.extend(before.into_iter().flat_map(|before| check_step(before, &version)));
        self.violations.extend(wrong.into_iter().map(|what| format!("{name}: {what}\n{version:#}")));
        self.newest.insert(uid, version.clone());
        self.versions.push((name, version));
    }
}

/// The rules for any moment, the controller's first word included.
fn judge(version: &Value) -> Vec<String> {
    let spoken = version.pointer("/status/conditions").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    let mut wrong = if spoken { check_conditions(version) } else { Vec::new() };
    if kstatus(version) == Status::Current {
        let ready = version.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
        if !ready.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True") {
            wrong.push("looks healthy to GitOps tools, and nobody has said so".to_owned());
        }
    }
    wrong
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn version(number: u64, generation: i64, status: &Value) -> Value {
        json!({ "metadata": { "name": "acme", "uid": "1", "resourceVersion": number.to_string(), "generation": generation },
                "status": status })
    }

    fn ready(status: &str, time: &str) -> Value {
        json!({ "observedGeneration": 1, "conditions": [{ "type": "Ready", "status": status, "reason": "Synced",
            "message": "", "observedGeneration": 1, "lastTransitionTime": time }] })
    }

    #[test]
    fn each_version_is_judged_alone_and_against_the_one_before() {
        let mut seen = Seen::default();
        let early = "2026-01-01T00:00:00Z";
        let mut violations = |number, generation, status: Value, rule: Rule| {
            let before = seen.violations.len();
            seen.note(version(number, generation, &status), rule);
            seen.violations[before..].to_vec()
        };
        let none: Rule = |_| vec![];
        assert!(violations(1, 1, json!({ "observedGeneration": -1 }), none).is_empty(), "not seen yet, and says so");
        assert!(violations(2, 1, ready("False", early), none).is_empty());
        assert!(violations(3, 1, ready("True", early), none).is_empty());
        assert!(violations(3, 1, json!({}), none).is_empty(), "the same version again");
        let told = violations(4, 1, ready("True", "2026-01-01T00:00:09Z"), none);
        assert!(told.len() == 1 && told[0].contains("lastTransitionTime moved"), "{told:?}");
        let told = violations(5, 1, json!({}), none);
        assert!(told.len() == 1 && told[0].contains("looks healthy"), "{told:?}");
        let told = violations(6, 1, ready("True", early), |_| vec!["no such word".into()]);
        assert!(told.len() == 1 && told[0].contains("no such word"), "{told:?}");
        assert_eq!(seen.versions.len(), 6);
    }
}
