//! Runs a product binary as a child: its lines are captured, its end can be awaited, and it is killed when it is
//! dropped or when this process dies.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::guardian::Guardian;
use crate::wait::{TimedOut, eventually};

/// How many captured lines an error message shows.
const SHOWN: usize = 20;

/// A product binary did not do as expected.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started, or the system refused something.
    #[error("{program}: {source}")]
    System {
        /// The binary.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It did not say or do what was awaited in time.
    #[error("{program}: {timed_out}; its last lines:\n{tail}")]
    TimedOut {
        /// The binary.
        program: String,
        /// What was awaited.
        timed_out: TimedOut,
        /// Its last lines.
        tail: String,
    },
    /// It ended before it said what was awaited.
    #[error("{program} ended ({status}) before {what}; its last lines:\n{tail}")]
    Ended {
        /// The binary.
        program: String,
        /// What was awaited.
        what: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        tail: String,
    },
}

/// Which output a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What to run, and with what.
#[derive(Debug, Clone)]
pub struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    bare: bool,
}

impl Launch {
    /// Runs `program` without arguments in the environment of this process.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new(), bare: false }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Leaves out the environment of this process: it sees only what [`Self::env`] sets, as in a container.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Starts it, with an empty standard input.
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn start(self) -> Result<Process, ProcessError> {
        let program = self.program.display().to_string();
        self.spawn().map_err(|source| ProcessError::System { program, source })
    }

    fn spawn(self) -> io::Result<Process> {
        let mut guardian = Guardian::post(None)?;
        let mut command = Command::new(&self.program);
        if self.bare {
            command.env_clear();
        }
        command.args(&self.args).envs(self.env).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = guardian.spawn(&mut command)?;
        let lines = Lines::default();
        if let Some(out) = child.stdout.take() {
            capture(Stream::Out, out, lines.clone())?;
        }
        if let Some(err) = child.stderr.take() {
            capture(Stream::Err, err, lines.clone())?;
        }
        Ok(Process { guardian, child, program: self.program, lines, status: None })
    }
}

/// What both reading threads write to; each lets go of it at the end of its stream.
type Lines = Arc<Mutex<Vec<(Stream, String)>>>;

/// Reads lines into `lines` on a thread of its own until the stream ends.
fn capture(stream: Stream, source: impl Read + Send + 'static, lines: Lines) -> io::Result<()> {
    let read = move || {
        let mut reader = BufReader::new(source);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            locked(&lines).push((stream, text));
            line.clear();
        }
    };
    thread::Builder::new().name("capture".to_owned()).spawn(read).map(drop)
}

fn locked(lines: &Lines) -> MutexGuard<'_, Vec<(Stream, String)>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running (or ended) child.
#[derive(Debug)]
pub struct Process {
    // Before the child: it still holds the process id while the guardian uses it.
    guardian: Guardian,
    child: Child,
    program: PathBuf,
    lines: Lines,
    status: Option<ExitStatus>,
}

impl Process {
    /// The binary.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// All lines so far, in the order of their arrival; standard output and error may interleave by chance.
    #[must_use]
    pub fn lines(&self) -> Vec<(Stream, String)> {
        locked(&self.lines).clone()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All lines so far as one text.
    #[must_use]
    pub fn output(&self) -> String {
        joined(&locked(&self.lines))
    }

    /// Waits for the first line on standard output that is a JSON object.
    ///
    /// # Errors
    /// When it does not come within that time, or the process ends before.
    pub async fn first_json(&mut self, within: Duration) -> Result<Value, ProcessError> {
        self.await_line(within, "a JSON line", |stream, line| {
            let value = serde_json::from_str::<Value>(line).ok()?;
            (stream == Stream::Out && value.is_object()).then_some(value)
        })
        .await
    }

    /// Waits until `find` finds something in a line, from the first line on.
    ///
    /// # Errors
    /// When it does not within that time, or the process ends before.
    pub async fn await_line<T>(
        &mut self,
        within: Duration,
        what: &str,
        find: impl Fn(Stream, &str) -> Option<T>,
    ) -> Result<T, ProcessError> {
        let mut next = 0;
        let program = self.program.display().to_string();
        let outcome = eventually(within, what, async || {
            // Its end is looked for first: what it said before that is read to the last line.
            let ended = self.ended()?;
            let drained = ended.is_none() || self.is_drained();
            for (stream, line) in locked(&self.lines).iter().skip(next) {
                next += 1;
                if let Some(found) = find(*stream, line) {
                    return Ok(Ok(found));
                }
            }
            match ended.filter(|_| drained) {
                Some(status) => Ok(Err(status)),
                None => Err(io::Error::other(format!("{next} lines"))),
            }
        })
        .await;
        match outcome {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(status)) => Err(ProcessError::Ended { program, what: what.to_owned(), status, tail: self.tail() }),
            Err(timed_out) => Err(ProcessError::TimedOut { program, timed_out, tail: self.tail() }),
        }
    }

    /// How it ended; nothing while it runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
            if self.status.is_some() {
                self.guardian.dismiss();
            }
        }
        Ok(self.status)
    }

    /// Waits until it has ended by itself and all its lines are here.
    ///
    /// # Errors
    /// When it still runs after that time.
    pub async fn wait(&mut self, within: Duration) -> Result<ExitStatus, ProcessError> {
        let program = self.program.display().to_string();
        let outcome = eventually(within, "its end", async || match self.ended()? {
            Some(status) if self.is_drained() => Ok(status),
            Some(_) => Err(io::Error::other("ended, but something holds its output open")),
            None => Err(io::Error::other("running")),
        })
        .await;
        outcome.map_err(|timed_out| ProcessError::TimedOut { program, timed_out, tail: self.tail() })
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// When it cannot be asked, or still runs after that time.
    pub async fn terminate(&mut self, within: Duration) -> Result<ExitStatus, ProcessError> {
        self.signal("TERM")?;
        self.wait(within).await
    }

    /// Sends it a signal by its name without SIG, such as `TERM`, `STOP` or `CONT`. Nothing happens if it has ended.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn signal(&mut self, signal: &str) -> Result<(), ProcessError> {
        let sent = self.ended().and_then(|ended| match ended {
            Some(_) => Ok(()),
            None => kill(signal, self.child.id()),
        });
        sent.map_err(|source| ProcessError::System { program: self.program.display().to_string(), source })
    }

    /// Kills it (SIGKILL), as a crash would, and waits for its end.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        let status = self.child.wait()?;
        self.guardian.dismiss();
        self.status = Some(status);
        Ok(status)
    }

    /// Whether both reading threads have seen the end of their stream.
    fn is_drained(&self) -> bool {
        Arc::strong_count(&self.lines) == 1
    }

    fn tail(&self) -> String {
        let lines = locked(&self.lines);
        joined(&lines[lines.len().saturating_sub(SHOWN)..])
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.guardian.relieve();
            let _ = self.child.wait();
        }
    }
}

fn joined(lines: &[(Stream, String)]) -> String {
    lines.iter().flat_map(|(_, line)| [line.as_str(), "\n"]).collect()
}

fn kill(signal: &str, process: u32) -> io::Result<()> {
    // The shell's own `kill`: a slim image has no other.
    let mut shell = Command::new("sh");
    let status = shell.args(["-c", r#"kill -s "$1" "$2""#, "sh", signal, &process.to_string()]).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("kill -s {signal} {process}: {status}"))) }
}
