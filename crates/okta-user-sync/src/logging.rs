//! The log, on standard error only: standard output belongs to what was asked for. And traces, where they are asked for.

use std::io::IsTerminal as _;
use std::sync::Arc;

use operator::admin::LogLevels;
use tokio::runtime::Handle;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::cli::{Cli, Command, LogFormat};
use crate::exit::Stop;
use crate::traces::Traces;

/// What is logged, changed while the process runs.
#[derive(Debug)]
struct Levels(reload::Handle<EnvFilter, Registry>);

impl LogLevels for Levels {
    fn current(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_else(|gone| gone.to_string())
    }

    fn change(&self, to: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(to).map_err(|e| format!("{to:?} cannot be read: {e}; {LEVELS}"))?;
        self.0.reload(filter).map_err(|e| e.to_string())
    }
}

const LEVELS: &str = "give error, warn, info, debug or trace, or module=level, separated by commas";

/// Log and traces of the process. Dropped, it sends the last traces.
pub struct Log {
    levels: Arc<Levels>,
    _traces: Option<Traces>,
}

impl Log {
    /// Its levels.
    pub fn levels(&self) -> Arc<dyn LogLevels> {
        self.levels.clone()
    }
}

/// Starts the log, and the export of traces if it is asked for; its requests run on `runtime`.
///
/// # Errors
/// The level or the endpoint cannot be read.
pub fn start(cli: &Cli, runtime: Handle) -> Result<Log, Stop> {
    let level = cli.logging.log_level.as_deref().unwrap_or(match cli.command {
        Command::Operator(_) => "info",
        // A client of Kubernetes reports every attempt of a wait as an error.
        _ => "warn,kube_client=off",
    });
    let filter = EnvFilter::try_new(level)
        .map_err(|e| Stop::bad_input(format!("--log-level {level:?} cannot be read: {e}"), LEVELS))?;
    let traces = cli.logging.otlp_endpoint.as_deref().map(|endpoint| Traces::start(endpoint, runtime)).transpose()?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let lines = match cli.logging.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces.as_ref().map(Traces::layer))
        .try_init()
        .map_err(|e| Stop::undone(format!("the log did not start: {e}"), "start the program anew"))?;
    Ok(Log { levels: Arc::new(Levels(handle)), _traces: traces })
}
