//! What one run must know of the former ones where no resource's status remembers it: a small JSON file (`--state`).
//!
//! Without it each run stands alone: the brake counts only the removals of the run itself, and a plan that is held now
//! is held anew in the next run.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use api::status::{Memory, PendingPlan};
use engine::report::Report;
use serde::{Deserialize, Serialize};

use crate::exit::Stop;

/// The content of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct State {
    /// `namespace/name` of the resource that it belongs to.
    pub resource: String,
    /// Id of the Okta organisation, pinned when it was first seen.
    #[serde(rename = "orgID")]
    pub org_id: String,
    /// What the engine remembers.
    pub memory: Memory,
    /// Removals that wait for approval.
    pub pending_plan: Option<PendingPlan>,
}

impl State {
    /// Reads the file; a file that is not there yet is an empty state.
    ///
    /// # Errors
    /// It cannot be read, is not ours, or belongs to another resource.
    pub fn load(path: &Path, resource: &str) -> Result<Self, Stop> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(Stop::bad_input(format!("{}: {e}", path.display()), "make it readable")),
        };
        let state: Self = serde_json::from_str(&text).map_err(|e| {
            Stop::bad_input(format!("{} is not a state file: {e}", path.display()), "name another file with --state")
        })?;
        if state.resource == resource {
            Ok(state)
        } else {
            Err(Stop::bad_input(
                format!("{} holds the state of {}, not of {resource}", path.display(), state.resource),
                "give each resource a state file of its own",
            ))
        }
    }

    /// What the pass leaves behind for the next one.
    pub fn after(&self, resource: &str, report: &Report) -> Self {
        let org_id = match &report.organisation {
            Some(organisation) if self.org_id.is_empty() => &organisation.id,
            _ => &self.org_id,
        };
        Self {
            resource: resource.to_owned(),
            org_id: org_id.clone(),
            memory: report.memory.clone(),
            pending_plan: report.pending.clone(),
        }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn store(&self, path: &Path) -> Result<(), Stop> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::File::create(&beside)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&beside, path)
        };
        write().map_err(|e| {
            Stop::undone(
                format!("the state file {} cannot be written: {e}; the pass itself is done", path.display()),
                "make its folder writable, and run again",
            )
        })
    }
}
