//! What goes to standard output, and progress on standard error, which only a person at a terminal sees.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::time::Duration;

use console::Style;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Serialize;

use crate::exit::Stop;

/// What a colour says. Colours are shown at a terminal only, and never where `NO_COLOR` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// All is well.
    Good,
    /// Somebody should look at it.
    Doubtful,
    /// It is wrong.
    Bad,
    /// It does not matter now.
    Faint,
}

/// A word for standard output, in its colour.
pub fn coloured(word: &str, colour: Colour) -> String {
    let style = Style::new();
    let style = match colour {
        Colour::Good => style.green(),
        Colour::Doubtful => style.yellow(),
        Colour::Bad => style.red().bold(),
        Colour::Faint => style.dim(),
    };
    style.apply_to(word).to_string()
}

/// A heading for standard output.
pub fn heading(words: &str) -> String {
    Style::new().bold().apply_to(words).to_string()
}

/// Prints text. A reader that went away (`| head`) is no error.
///
/// # Errors
/// Standard output cannot be written.
pub fn print(text: &str) -> Result<(), Stop> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Stop::undone(format!("standard output cannot be written: {e}"), "free some disk space"))
        }
        _ => Ok(()),
    }
}

/// Prints a value as an indented JSON document.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &impl Serialize) -> Result<(), Stop> {
    let text = serde_json::to_string_pretty(value).map_err(|e| unwritable(&e))?;
    print(&format!("{text}\n"))
}

/// Prints a value as one line of JSON.
///
/// # Errors
/// As [`print`].
#[cfg(feature = "demo")]
pub fn print_line(value: &impl Serialize) -> Result<(), Stop> {
    let text = serde_json::to_string(value).map_err(|e| unwritable(&e))?;
    print(&format!("{text}\n"))
}

/// Prints a value as a YAML document.
///
/// # Errors
/// As [`print`].
pub fn print_yaml(value: &impl Serialize) -> Result<(), Stop> {
    let text = serde_saphyr::to_string(value).map_err(|e| unwritable(&e))?;
    print(&text)
}

/// People or users a second, without digits behind the point.
fn rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // Writing into the line cannot fail.
    let _ = write!(out, "{:.0} people/s", state.per_sec());
}

/// How long it will still take at this rate; nothing before there is a rate.
fn left(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    if state.pos() > 0 {
        // Writing into the line cannot fail.
        let _ = write!(out, ", {:#} left", HumanDuration(state.eta()));
    }
}

fn unwritable(error: &dyn std::fmt::Display) -> Stop {
    Stop::undone(format!("the result cannot be written down: {error}"), "this is a bug; please report it")
}

/// A line that moves while something takes long. Silent unless standard error is a terminal.
#[derive(Debug, Clone)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Starts it.
    pub fn start() -> Self {
        let shown = std::io::stderr().is_terminal();
        Self::drawn(shown)
    }

    /// Starts it where standard output is a terminal as well: for commands whose output a program may read.
    #[cfg(feature = "demo")]
    pub fn start_interactive() -> Self {
        Self::drawn(std::io::stderr().is_terminal() && std::io::stdout().is_terminal())
    }

    fn drawn(shown: bool) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_draw_target(if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        if shown {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self(bar)
    }

    /// Says what is being done.
    pub fn say(&self, what: impl Into<String>) {
        self.begin(&what.into(), "{spinner} {wide_msg} {elapsed}");
    }

    /// Says how much of it is done.
    pub fn count(&self, what: &str, done: usize, total: usize) {
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        if self.0.length() != Some(total) {
            // Before the line that shows it, so that no other total is seen there.
            self.0.set_length(total);
        }
        self.begin(what, "{spinner} {msg} {wide_bar} {pos}/{len} ({rate}{left}{prefix})");
        self.0.set_position(u64::try_from(done).unwrap_or(u64::MAX));
    }

    /// Says how much of it is done, where nobody knows how much there is.
    pub fn so_far(&self, what: &str, done: usize) {
        self.begin(what, "{spinner} {msg}: {pos} ({rate}{prefix})");
        self.0.set_position(u64::try_from(done).unwrap_or(u64::MAX));
    }

    /// Says something beside the rate.
    pub fn beside(&self, words: String) {
        self.0.set_prefix(words);
    }

    /// Another thing is done from now on: the time counts anew.
    fn begin(&self, what: &str, template: &str) {
        if self.0.message() == what {
            return;
        }
        self.0.reset();
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style.with_key("rate", rate).with_key("left", left));
        }
        self.0.set_message(what.to_owned());
    }

    /// Prints something above the line.
    #[cfg(feature = "demo")]
    pub fn above(&self, work: impl FnOnce() -> Result<(), Stop>) -> Result<(), Stop> {
        self.0.suspend(work)
    }

    /// Takes the line away.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
