//! One measured process.

use std::{
    env, fs,
    io::Read as _,
    process::{Command, Stdio},
    time::Instant,
};

use serde::{Deserialize, Serialize};
use wait4::Wait4 as _;

use crate::{error::BenchError, part::Which};

/// Clock ticks a second in `/proc`, which Linux fixes at 100 for programs.
const TICKS: f64 = 100.0;

/// What a process says of its own work when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// People, or users, that it saw.
    pub seen: u64,
    /// Calls that it made.
    pub calls: u64,
}

/// What one process needed.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Seconds from start to end.
    pub wall_seconds: f64,
    /// Seconds of CPU time, user and system.
    pub cpu_seconds: f64,
    /// Peak resident memory, MiB.
    pub peak_mib: f64,
    /// What it did.
    pub done: Done,
}

/// Runs one part as a process, and measures it whole.
pub fn measure(which: Which, place: &impl Serialize) -> Result<Measured, BenchError> {
    let what = format!("{which:?}");
    let place = serde_json::to_string(place).map_err(|error| BenchError::unreadable("a place", &error))?;
    let here = env::current_exe().map_err(BenchError::system("finding this program"))?;
    let began = Instant::now();
    let mut child = Command::new(here)
        .args(["part", which.name(), &place])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(BenchError::system(&what))?;
    let mut said = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut said).map_err(BenchError::system(&what))?;
    }
    let ended = child.wait4().map_err(BenchError::system(&what))?;
    let wall_seconds = began.elapsed().as_secs_f64();
    if !ended.status.success() {
        return Err(BenchError::process(what, &ended.status));
    }
    let done =
        serde_json::from_str(&said).map_err(|error| BenchError::unreadable(format!("what {what} said"), &error))?;
    let usage = ended.rusage;
    Ok(Measured {
        wall_seconds,
        cpu_seconds: (usage.utime + usage.stime).as_secs_f64(),
        peak_mib: mib(usage.maxrss),
        done,
    })
}

/// MiB of so many bytes.
#[allow(clippy::cast_precision_loss)] // a peak of memory is far below 2^52 bytes
fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// Seconds of CPU time that a running process has used.
pub fn cpu_of(pid: u32) -> Result<f64, BenchError> {
    let file = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&file).map_err(BenchError::system(&file))?;
    // Fields 14 and 15; the name in brackets (field 2) may hold blanks.
    let after_name = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: Vec<f64> =
        after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    match ticks[..] {
        [user, system] => Ok((user + system) / TICKS),
        _ => Err(BenchError::unreadable(file, &text)),
    }
}

/// The middle one of some values; 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_some_time() {
        let mut sum = 0_u64;
        while cpu_of(std::process::id()).unwrap() <= 0.0 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }

    #[test]
    fn the_middle_one() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median([]).abs() < f64::EPSILON);
    }
}
