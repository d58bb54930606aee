//! What a person sees while the control plane is made.

use std::fmt;
use std::sync::Arc;

/// Where a started step is told, one short sentence each. The first build takes minutes, so somebody should look.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(&str) + Send + Sync>);

impl Progress {
    /// Tells each step to `tell`, from whichever thread it happens in.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Begins a step.
    pub fn tell(&self, step: &str) {
        (self.0)(step);
    }
}

/// Tells the log.
impl Default for Progress {
    fn default() -> Self {
        Self::new(|step| tracing::info!("{step}"))
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}
