//! The end of a server's log, for an error message.

use std::fs;
use std::path::Path;

/// How much of a log an error message holds.
const LINES: usize = 20;

/// The last [`LINES`] lines of a log file; says so when there is none.
pub(crate) fn last_lines(file: &Path) -> String {
    let Ok(bytes) = fs::read(file) else { return "(no log)".to_owned() };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() { "(empty log)".to_owned() } else { lines[lines.len().saturating_sub(LINES)..].join("\n") }
}
