//! The audit journal: every write to Teleport, and every step of a key that the operator makes, as two lines of JSON, one
//! before it is made and one after it has ended.
//!
//! Lines name people by their Okta id only, so that a journal may be kept longer than user names may. The shapes are
//! [`Line`] and [`KeyLine`]; docs/journal.md tells them, and docs/journal.schema.json is made from [`AnyLine`]. A line is handed to the operating
//! system before the write is made: a crash of the process hides nothing, a crash of the machine may hide the last lines.
//!
//! A journal that cannot be written stops nothing. A full disk must not keep a leaver's access open; it is told in the log
//! and by the metric `okta_user_sync_journal_failures`, which an alert watches.

mod key_line;
mod line;

use std::{
    fmt, fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use engine::{
    cluster::WriteError,
    journal::{Action, Write},
    lock::LockReason,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tracing::error;

pub use self::{
    key_line::{KeyAction, KeyLine, KeyStep},
    line::{Line, Phase, Verdict},
};
use crate::metrics::{Metrics, Resource};

/// One line of the journal, of whichever shape; `schema` says which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "okta-user-sync audit journal, one line")]
pub enum AnyLine {
    /// A write to Teleport.
    Write(Box<Line>),
    /// A step of a key that the operator makes.
    Key(Box<KeyLine>),
}

/// Where the journal goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To standard output (the log goes to standard error).
    Stdout,
    /// To the end of this file, which only its owner may read.
    File(PathBuf),
}

impl FromStr for Target {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdout } else { Self::File(text.into()) })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The journal of the process; clones share it.
#[derive(Clone)]
pub struct Journal {
    sink: Option<Arc<Mutex<dyn io::Write + Send>>>,
    instance: Arc<str>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("kept", &self.sink.is_some()).finish_non_exhaustive()
    }
}

impl Journal {
    /// A journal that is not kept.
    #[must_use]
    pub fn none() -> Self {
        Self { sink: None, instance: Arc::from("") }
    }

    /// A journal of the process `instance` that goes to `target`.
    ///
    /// # Errors
    /// The file cannot be opened for appending.
    pub fn open(target: &Target, instance: &str) -> io::Result<Self> {
        let sink: Arc<Mutex<dyn io::Write + Send>> = match target {
            Target::Stdout => Arc::new(Mutex::new(io::stdout())),
            Target::File(path) => {
                let file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
                Arc::new(Mutex::new(file))
            }
        };
        Ok(Self { sink: Some(sink), instance: instance.into() })
    }

    /// The part of one pass over one resource.
    #[must_use]
    pub fn of_pass<'a>(
        &'a self,
        resource: &'a Resource,
        pass: &'a str,
        metrics: Option<&'a Metrics>,
    ) -> PassJournal<'a> {
        PassJournal { journal: self, resource, pass, metrics, count: AtomicU64::new(0), done: Mutex::default() }
    }

    /// Notes a step of a key before it is taken. What it returns notes the end; dropped without it the journal shows that
    /// nobody saw one.
    #[must_use]
    pub fn key_begins<'a>(
        &'a self,
        step: KeyStep<'_>,
        resource: &Resource,
        metrics: Option<&'a Metrics>,
    ) -> KeyEntry<'a> {
        let line = KeyLine::new(step, &uuid::Uuid::new_v4().simple().to_string(), resource, &self.instance);
        let entry = KeyEntry { journal: self, metrics, line };
        entry.keep(entry.line.clone());
        entry
    }

    /// Notes a step of a key that is no write of its own and has happened.
    pub fn key_happened(&self, step: KeyStep<'_>, resource: &Resource, metrics: Option<&Metrics>) {
        let line = KeyLine::new(step, &uuid::Uuid::new_v4().simple().to_string(), resource, &self.instance);
        KeyEntry { journal: self, metrics, line }.ended(Verdict::Done, None);
    }

    fn keep(&self, line: impl FnOnce() -> AnyLine) -> io::Result<()> {
        let Some(sink) = &self.sink else { return Ok(()) };
        let mut text = serde_json::to_string(&line())?;
        text.push('\n');
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.write_all(text.as_bytes())?;
        sink.flush()
    }
}

/// A line that could not be kept is told, and stops nothing.
fn told_if_lost(kept: io::Result<()>, metrics: Option<&Metrics>) {
    if let Err(why) = kept {
        error!("the audit journal cannot be written, and writes go on without it: {why}");
        if let Some(metrics) = metrics {
            metrics.journal_failed();
        }
    }
}

/// A step of a key that has been noted and has not ended.
pub struct KeyEntry<'a> {
    journal: &'a Journal,
    metrics: Option<&'a Metrics>,
    line: KeyLine,
}

impl KeyEntry<'_> {
    /// Notes how it ended.
    pub fn ended(self, result: Verdict, reason: Option<&str>) {
        let line = KeyLine { time: Timestamp::now(), ..self.line.clone().ended(result, reason) };
        self.keep(line);
    }

    fn keep(&self, line: KeyLine) {
        told_if_lost(self.journal.keep(|| AnyLine::Key(Box::new(line))), self.metrics);
    }
}

/// What was done to whom in one pass, for the resource's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// User names of leavers that were locked.
    pub leavers: Vec<String>,
    /// User names of suspended people that were locked.
    pub suspended: Vec<String>,
}

/// The journal of one pass. Counts every write in metrics, too.
pub struct PassJournal<'a> {
    journal: &'a Journal,
    resource: &'a Resource,
    pass: &'a str,
    metrics: Option<&'a Metrics>,
    count: AtomicU64,
    done: Mutex<Done>,
}

impl PassJournal<'_> {
    /// What was done so far.
    #[must_use]
    pub fn done(&self) -> Done {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, number: u64, write: &Write<'_>, phase: Phase, verdict: Option<Verdict>, reason: Option<&str>) {
        let kept = self.journal.keep(|| {
            let line = Line::new(write)
                .at(Timestamp::now(), &self.journal.instance)
                .of(self.resource, self.pass, number)
                .ended(phase, verdict, reason);
            AnyLine::Write(Box::new(line))
        });
        told_if_lost(kept, self.metrics);
    }

    fn note(&self, write: &Write<'_>, reason: Option<LockReason>) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        match (write.action, reason) {
            (Action::PutLock, Some(LockReason::Leaver)) => done.leavers.push(write.user.to_owned()),
            (Action::PutLock, Some(LockReason::Suspended)) => done.suspended.push(write.user.to_owned()),
            _ => {}
        }
    }
}

impl engine::journal::Journal for PassJournal<'_> {
    fn begins(&self, write: &Write<'_>) -> u64 {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        self.keep(number, write, Phase::Intent, None, None);
        number
    }

    fn ended(&self, number: u64, write: &Write<'_>, outcome: Result<(), &WriteError>) {
        let (verdict, reason) = match outcome {
            Ok(()) => (Verdict::Done, None),
            Err(WriteError::Exists) => (Verdict::Exists, None),
            Err(WriteError::Stale) => (Verdict::Stale, None),
            Err(WriteError::RoleMissing(_)) => (Verdict::RoleMissing, None),
            Err(WriteError::Failed(failure)) => (Verdict::Failed, Some(failure.reason)),
        };
        self.keep(number, write, Phase::Outcome, Some(verdict), reason);
        let why = write.made.and_then(|lock| lock.ours.as_ref()).map(|mark| mark.reason);
        if outcome.is_ok() {
            self.note(write, why);
        }
        if let Some(metrics) = self.metrics {
            metrics.wrote(self.resource, write.action, why, outcome.is_ok());
        }
    }
}

#[cfg(test)]
mod tests;
