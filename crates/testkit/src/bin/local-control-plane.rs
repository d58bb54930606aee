//! Starts a control plane, prints one JSON line `{"kubeconfig", "server", "folder"}` when it is ready, and keeps it up
//! until it is told to end (Ctrl-C, SIGTERM).

use std::io::{self, Write as _};
use std::process::ExitCode;

use testkit::control_plane::{ControlPlane, Options, Progress};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let progress = Progress::new(|step| {
        let _ = writeln!(io::stderr(), "{step} …");
    });
    let control_plane = ControlPlane::start(Options { progress, ..Options::default() }).await?;
    let ready = serde_json::json!({
        "kubeconfig": control_plane.kubeconfig(),
        "server": control_plane.url(),
        "folder": control_plane.kubeconfig().parent(),
    });
    writeln!(io::stdout(), "{ready}")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    control_plane.stop();
    Ok(())
}
