//! The demo: the whole story on this machine, told as it is observed.
//!
//! [`story`] is the list of steps, as data; add a step there. [`stage`] is what they play on: a control plane
//! ([`kubernetes`]), both simulators, the operator as a child process. [`telling`] prints what was observed.

mod cast;
mod kubernetes;
mod manifests;
mod operator;
mod stage;
mod story;
mod table;
mod telling;

use std::path::PathBuf;
use std::time::Duration;

pub use cast::LEAST_PEOPLE;
pub use telling::Format;

use crate::exit::{Exit, Stop};
use crate::signal::StopSignal;
use kubernetes::Kubernetes;
use stage::Stage;
use telling::Telling;

/// How the demo is played.
#[derive(Debug)]
pub struct Play {
    /// People in the Okta organisation.
    pub people: usize,
    /// Seed of the people.
    pub seed: u64,
    /// Whether everything stays up at the end, until a signal.
    pub keep: bool,
    /// How it is told.
    pub format: Format,
    /// A cluster of one's own instead of a local control plane.
    pub kubeconfig: Option<PathBuf>,
}

/// Plays the demo; everything that it made is gone when this returns.
///
/// # Errors
/// There is no control plane to be had, or a signal came. Steps that fail are told, and decide the exit code.
pub async fn play(play: &Play) -> Result<Exit, Stop> {
    let mut stop = StopSignal::listen()?;
    let mut telling = Telling::new(play.format);
    let outcome = tokio::select! {
        outcome = perform(play, &mut telling) => outcome,
        () = stop.received() => Err(Stop::undone("the demo was interrupted", "")),
    };
    telling.close()?;
    let Some(stage) = outcome? else { return Ok(Exit::Undone) };
    if play.keep {
        telling.aside(&stage.invitation())?;
        stop.received().await;
    }
    stage.strike().await;
    Ok(Exit::Done)
}

/// Sets the stage and plays the story; nothing if a step of it was not observed.
async fn perform(play: &Play, telling: &mut Telling) -> Result<Option<Stage>, Stop> {
    let progress = telling.progress();
    let kubernetes = telling
        .step(
            "control-plane",
            "a Kubernetes API server answers",
            Kubernetes::reach(play.kubeconfig.as_deref(), &progress),
        )
        .await?;
    let simulators = telling
        .step(
            "simulators",
            &format!("an Okta organisation of {} people and a Teleport Auth Service answer", play.people),
            stage::simulators(play.people, play.seed, &progress),
        )
        .await?;
    telling
        .step(
            "definition",
            "the CustomResourceDefinition is established; the operator has a ServiceAccount with its own few rights",
            kubernetes.install(),
        )
        .await?;
    let mut stage = telling
        .step(
            "operator",
            "the operator runs as that ServiceAccount and leads",
            Stage::set(kubernetes, simulators, &progress),
        )
        .await?;
    for step in story::steps(&stage) {
        if !telling.scene(&step, &mut stage).await? {
            telling.aside(&stage.last_words())?;
            return Ok(None);
        }
    }
    let listed = telling
        .step("kubectl-get", "kubectl get ous prints the resource as Ready", async {
            stage.printed().await.map(|table| ((), table))
        })
        .await;
    Ok(listed.is_ok().then_some(stage))
}

/// How long a step may take: fixed, plus what many people need.
fn patience(people: usize) -> Duration {
    Duration::from_secs(60 + u64::try_from(people / 20).unwrap_or(u64::MAX))
}
