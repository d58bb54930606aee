//! How the program ends: exit codes, and errors that say what to do.

use std::fmt;
use std::process::ExitCode;

use engine::failure::{Class, Failure, Side};

/// Exit codes, the same for every command (docs/cli.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was asked for is done.
    Done,
    /// Something was refused, held, or left undone; the output says what.
    Undone,
    /// The input cannot be used; nothing was tried. (clap uses 2 for its own errors as well.)
    BadInput,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Undone => 1,
            Exit::BadInput => 2,
        })
    }
}

/// Why a command could not do its work. Shown as one line and a remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// How the program ends.
    pub exit: Exit,
    /// What happened, to what.
    pub message: String,
    /// What to do; empty if the message says it.
    pub remedy: String,
}

impl Stop {
    /// Input that cannot be used.
    pub fn bad_input(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { exit: Exit::BadInput, message: message.into(), remedy: remedy.into() }
    }

    /// Something that went wrong on the way.
    pub fn undone(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { exit: Exit::Undone, message: message.into(), remedy: remedy.into() }
    }
}

/// What is wrong on this side, or with what was given, is bad input; the rest is something left undone.
impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        let ours = failure.side == Side::Here || matches!(failure.class, Class::Configuration | Class::Credential);
        Self {
            exit: if ours { Exit::BadInput } else { Exit::Undone },
            message: failure.message,
            remedy: failure.remedy,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "\n  remedy: {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Stop {}
