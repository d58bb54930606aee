//! Being asked to stop: Ctrl-C, or SIGTERM from whoever runs us.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Stop;

/// Listens for both signals from its making on.
pub struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignal {
    /// Starts listening.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> Result<Self, Stop> {
        let on = |kind| {
            signal(kind).map_err(|e| Stop::undone(format!("signals cannot be listened to: {e}"), "try once more"))
        };
        Ok(Self { interrupt: on(SignalKind::interrupt())?, terminate: on(SignalKind::terminate())? })
    }

    /// Returns at the next signal.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
