//! One control plane for all tests of a process.

use std::io::Write as _;
use std::sync::OnceLock;

use super::{ControlPlane, ControlPlaneError, Options, Progress, on_own_thread};

static SHARED: OnceLock<Result<ControlPlane, ControlPlaneError>> = OnceLock::new();
static INTERRUPTED: ControlPlaneError = ControlPlaneError::Interrupted;

/// The control plane that all tests of this process share, started at the first call (about three seconds, or minutes if it is still
/// to be built). It does not belong to any runtime, so tests with a runtime each may share it; make a client per test.
/// It ends with the process.
///
/// # Errors
/// Why it could not be started; every later call gives the same error.
pub async fn shared() -> Result<&'static ControlPlane, &'static ControlPlaneError> {
    if let Some(started) = SHARED.get() {
        return started.as_ref();
    }
    let start =
        || SHARED.get_or_init(|| ControlPlane::start_blocking(&Options { progress: aloud(), ..Options::default() }));
    on_own_thread(start).await.ok_or(&INTERRUPTED)?.as_ref()
}

/// Tells each step on the real standard error, past the capture of the test harness: whoever runs the tests for the
/// first time looks at a silent terminal for minutes otherwise.
fn aloud() -> Progress {
    Progress::new(|step| {
        tracing::info!("{step}");
        if step.starts_with("Building") || step.starts_with("Waiting") {
            let _ = writeln!(std::io::stderr(), "{step} …");
        }
    })
}
