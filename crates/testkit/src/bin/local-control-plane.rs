//! Starts a control plane, prints one JSON line `{"kubeconfig", "server", "folder"}` when it is ready, and keeps it up
//! until standard input closes or the process is stopped.

use std::io::{self, Write as _};
use std::process::ExitCode;

use testkit::control_plane::{ControlPlane, Options, Progress};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let progress = Progress::new(|step| {
        let _ = writeln!(io::stderr(), "{step} …");
    });
    let control_plane = ControlPlane::start_blocking(&Options { progress, ..Options::default() })?;
    let ready = serde_json::json!({
        "kubeconfig": control_plane.kubeconfig(),
        "server": control_plane.url(),
        "folder": control_plane.kubeconfig().parent(),
    });
    writeln!(io::stdout(), "{ready}")?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    control_plane.stop();
    Ok(())
}
