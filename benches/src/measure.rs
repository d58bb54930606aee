//! One measured process.

use std::{
    env, fs,
    io::Read as _,
    process::{Child, Command, Stdio},
    time::Instant,
};

use serde::{Deserialize, Serialize};
use wait4::Wait4 as _;

use crate::{error::BenchError, part::Which};

/// Clock ticks a second in `/proc`, which Linux fixes at 100 for programs.
const TICKS: f64 = 100.0;

/// What a process says of its own work when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// People, or users, that it saw.
    pub seen: u64,
    /// Calls that it made to Okta, or, where it only speaks to Teleport, to Teleport.
    pub calls: u64,
    /// Users that it wrote.
    #[serde(default)]
    pub writes: u64,
    /// Of its wall time, the seconds in which it wrote.
    #[serde(default)]
    pub writing_seconds: f64,
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
    let place = serde_json::to_string(place).map_err(|error| BenchError::unreadable("a place", &error))?;
    let here = env::current_exe().map_err(BenchError::system("finding this program"))?;
    run(&format!("{which:?}"), Command::new(here).args(["part", which.name(), &place]), |said| {
        serde_json::from_str(said).map_err(|error| error.to_string())
    })
}

/// Runs a program that ends by itself and prints what it did, which `read` understands; and measures it whole.
pub fn run(
    what: &str,
    command: &mut Command,
    read: impl FnOnce(&str) -> Result<Done, String>,
) -> Result<Measured, BenchError> {
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(BenchError::system(what))?;
    let said = all_of(&mut child, what)?;
    let ended = child.wait4().map_err(BenchError::system(what))?;
    let wall_seconds = began.elapsed().as_secs_f64();
    if !ended.status.success() {
        let words: String = said.chars().take(2000).collect();
        return Err(BenchError::process(what, &format!("{}: {words}", ended.status)));
    }
    let done = read(&said).map_err(|why| BenchError::unreadable(format!("what {what} said"), &why))?;
    let usage = ended.rusage;
    Ok(Measured {
        wall_seconds,
        cpu_seconds: (usage.utime + usage.stime).as_secs_f64(),
        peak_mib: mib(usage.maxrss),
        done,
    })
}

fn all_of(child: &mut Child, what: &str) -> Result<String, BenchError> {
    let mut said = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut said).map_err(BenchError::system(what))?;
    }
    Ok(said)
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

/// Resident memory of a running process in MiB: now, and at its peak.
pub fn memory_of(pid: u32) -> Result<(f64, f64), BenchError> {
    let file = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&file).map_err(BenchError::system(&file))?;
    let line = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse::<u64>().ok());
        kib.map(|kib| mib(kib * 1024)).ok_or_else(|| BenchError::unreadable(&file, &format!("no {name}")))
    };
    Ok((line("VmRSS:")?, line("VmHWM:")?))
}

/// The middle one of some values; 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value below which that share of some values lies; 0 of none.
pub fn quantile(values: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // a share of at most 1 of a few thousand values
    let index = (values.len() as f64 * share) as usize;
    values.get(index).or(values.last()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_some_time_and_memory() {
        let mut sum = 0_u64;
        while cpu_of(std::process::id()).unwrap() <= 0.0 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let (now, peak) = memory_of(std::process::id()).unwrap();
        assert!(now > 0.5 && peak >= now, "{now} {peak}");
    }

    #[test]
    fn the_middle_one_and_others() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median([]).abs() < f64::EPSILON);
        let hundred = || (1..=100).map(f64::from);
        assert!((quantile(hundred(), 0.95) - 96.0).abs() < f64::EPSILON);
        assert!((quantile(hundred(), 1.0) - 100.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_program_that_fails_is_no_measurement() {
        let failed = run("false", &mut Command::new("false"), |_| Ok(Done::default()));
        assert!(matches!(failed, Err(BenchError::Process { .. })), "{failed:?}");
    }
}
