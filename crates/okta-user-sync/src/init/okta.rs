//! Okta's part: waiting until it accepts key and scopes, and its apps.

use std::time::{Duration, Instant};

use engine::directory::App;
use engine::preflight::{Line, Verdict};
use okta::key::PrivateKey;
use okta::preflight::{APP, FastPath, Intent, ORGANISATION, REACHABLE, SCOPES};
use okta::{Governor, OktaClient, OrgUrl, Settings};

use super::ask::Asker;
use crate::command::init::Arguments;
use crate::exit::Stop;
use crate::signal::StopSignal;
use crate::terminal::Progress;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);

const ROLE: &str = "On the tab \"Admin roles\" of the API Services app assign Read-Only Administrator, or a role that may view \
                    applications and users, with a resource set that holds the SAML app and its people.";

/// The organisation, as far as it has come.
pub struct Okta<'a> {
    ask: &'a Asker,
    settings: Settings,
    patience: Duration,
}

impl<'a> Okta<'a> {
    /// Nothing is called yet.
    ///
    /// # Errors
    /// The file with certificate authorities cannot be read.
    pub fn new(
        ask: &'a Asker,
        org: OrgUrl,
        client_id: String,
        key: PrivateKey,
        arguments: &Arguments,
    ) -> Result<Self, Stop> {
        let ca_bundle = crate::command::sync::defaults(&arguments.okta, &arguments.teleport)?.okta_ca;
        let settings = Settings { ca_bundle, ..Settings::new(org, client_id, key) };
        Ok(Self { ask, settings, patience: arguments.patience(ask.is_interactive()) })
    }

    /// A client that remembers no token: what was granted a moment ago has to show.
    fn client(&self) -> Result<OktaClient, Stop> {
        OktaClient::new(self.settings.clone(), Governor::new())
            .map_err(|error| Stop::bad_input(error.to_string(), error.remedy()))
    }

    /// Waits until Okta gives a token with the scopes that are needed.
    ///
    /// # Errors
    /// It is no Okta, or it does not within the time.
    pub async fn wait_until_accepted(&self) -> Result<(), Stop> {
        // Which app it is, is asked only afterwards.
        let later = Line {
            name: APP.to_owned(),
            verdict: Verdict::Skipped,
            found: "not chosen yet".to_owned(),
            remedy: String::new(),
        };
        let intent =
            Intent { source: Err(later), groups: &[], known: None, pinned_org: "", fast_path: FastPath::IfGranted };
        self.wait(async || {
            let lines = self.client()?.preflight(&intent).await;
            let Some(failed) = lines.iter().find(|line| line.verdict == Verdict::Failed) else {
                let scopes = lines.iter().find(|line| line.name == SCOPES).map(|line| line.found.clone());
                self.ask.say(&format!("Okta accepts the key; {}.", scopes.unwrap_or_default()));
                return Ok(Ok(()));
            };
            let stop = Stop::undone(failed.found.clone(), failed.remedy.clone());
            // Time does not mend these.
            if [REACHABLE, ORGANISATION].contains(&failed.name.as_str()) { Err(stop) } else { Ok(Err(stop)) }
        })
        .await
    }

    /// The SAML app that people use to sign in.
    ///
    /// # Errors
    /// None is seen within the time, or nobody says which.
    pub async fn choose_app(&self, given: Option<String>) -> Result<String, Stop> {
        if let Some(given) = given {
            super::okta_id(&given)
                .map_err(|why| Stop::bad_input(format!("--app-id {given:?}: {why}"), "copy it from the app's page"))?;
            return Ok(given);
        }
        let apps: Vec<App> = self
            .wait(async || {
                let apps = self.client()?.saml_apps().await.map_err(Stop::from);
                Ok(match apps {
                    Ok(apps) if apps.is_empty() => Err(Stop::undone("Okta shows no active SAML app", ROLE)),
                    other => other,
                })
            })
            .await?;
        let items: Vec<String> = apps.iter().map(|app| format!("{} ({})", app.label, app.id)).collect();
        let words = "Which app do people use to sign in to Teleport?";
        let chosen = self.ask.choose("--app-id", words, &items, likely(&apps))?;
        apps.get(chosen).map(|app| app.id.clone()).ok_or_else(|| Stop::undone("no app was chosen", "run it again"))
    }

    /// Looks again and again until it is so, within the time. The first of several equal reasons is told.
    async fn wait<T>(&self, mut look: impl AsyncFnMut() -> Result<Result<T, Stop>, Stop>) -> Result<T, Stop> {
        let deadline = Instant::now() + self.patience;
        let mut told = String::new();
        let mut signal = StopSignal::listen()?;
        loop {
            let stop = match look().await? {
                Ok(value) => return Ok(value),
                Err(stop) => stop,
            };
            if Instant::now() + PAUSE > deadline {
                return Err(stop);
            }
            if told != stop.message {
                told.clone_from(&stop.message);
                self.ask.say(&format!("Not yet: {stop}"));
            }
            let progress = Progress::start();
            progress.say("waiting for Okta (Ctrl-C to stop; run it again to go on)");
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => progress.end(),
                () = signal.received() => {
                    progress.end();
                    return Err(Stop::undone("stopped", "run it again: the key is used again"));
                }
            }
        }
    }
}

/// The app to propose: one that is called after Teleport, else the first.
fn likely(apps: &[App]) -> usize {
    apps.iter().position(|app| app.label.to_lowercase().contains("teleport")).unwrap_or(0)
}
