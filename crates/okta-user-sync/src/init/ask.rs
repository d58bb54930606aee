//! Questions: each has a flag that answers it, so that nothing is asked where nobody is there to answer.

use std::io::IsTerminal as _;

use dialoguer::theme::ColorfulTheme;
use dialoguer::{Confirm, Input, Select};

use crate::exit::Stop;

/// Asks a person at a terminal, or takes what flags and defaults say.
pub struct Asker {
    interactive: bool,
}

/// One question.
pub struct Question<'a> {
    /// The flag that answers it.
    pub flag: &'a str,
    /// What is asked.
    pub words: &'a str,
    /// What the flag said.
    pub given: Option<String>,
    /// What is taken if nobody says anything else.
    pub default: Option<String>,
}

impl Asker {
    /// Asks only at a terminal, and not if the answers are said to be complete.
    pub fn new(complete: bool) -> Self {
        Self { interactive: !complete && std::io::stdin().is_terminal() && std::io::stderr().is_terminal() }
    }

    /// Whether there is somebody to ask.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Says something, where answers are given as well; standard output belongs to the manifests.
    #[allow(clippy::unused_self)] // it belongs to the conversation
    pub fn say(&self, words: &str) {
        eprintln!("{words}");
    }

    /// An answer that `check` takes.
    ///
    /// # Errors
    /// The flag's answer is wrong, or there is none and nobody to ask.
    pub fn text(&self, question: Question<'_>, check: impl Fn(&str) -> Result<(), String>) -> Result<String, Stop> {
        let Question { flag, words, given, default } = question;
        if let Some(given) = given {
            check(&given).map_err(|why| Stop::bad_input(format!("{flag} {given:?}: {why}"), "mend it"))?;
            return Ok(given);
        }
        if !self.interactive {
            return default.ok_or_else(|| unanswered(flag, words));
        }
        let theme = ColorfulTheme::default();
        let mut input = Input::<String>::with_theme(&theme).with_prompt(words);
        if let Some(default) = default {
            input = input.default(default);
        }
        input
            .validate_with(|answer: &String| check(answer.trim()))
            .interact_text()
            .map(|answer| answer.trim().to_owned())
            .map_err(cut_off)
    }

    /// One of several things.
    ///
    /// # Errors
    /// Nobody says which.
    pub fn choose(&self, flag: &str, words: &str, items: &[String], default: usize) -> Result<usize, Stop> {
        if self.interactive {
            let theme = ColorfulTheme::default();
            return Select::with_theme(&theme)
                .with_prompt(words)
                .items(items)
                .default(default)
                .interact()
                .map_err(cut_off);
        }
        if items.len() == 1 {
            return Ok(0);
        }
        Err(Stop::bad_input(
            format!("{words} There are: {}", items.join("; ")),
            format!("name one of them with {flag}"),
        ))
    }

    /// Yes or no; `unattended` where nobody can be asked.
    ///
    /// # Errors
    /// The terminal went away.
    pub fn agree(&self, words: &str, default: bool, unattended: bool) -> Result<bool, Stop> {
        if !self.interactive {
            return Ok(unattended);
        }
        let theme = ColorfulTheme::default();
        Confirm::with_theme(&theme).with_prompt(words).default(default).interact().map_err(cut_off)
    }
}

fn unanswered(flag: &str, words: &str) -> Stop {
    Stop::bad_input(format!("nobody can be asked: {words}"), format!("answer it with {flag}"))
}

#[allow(clippy::needless_pass_by_value)] // as map_err wants it
fn cut_off(error: dialoguer::Error) -> Stop {
    Stop::undone(format!("no answer: {error}"), "run it again; a key that was made is used again")
}
