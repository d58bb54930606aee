//! Teleport's SAML connector: the one that belongs to the Okta app, as far as Teleport tells.

use engine::failure::Failure;
use teleport::{Connector, Identity, Settings, TeleportClient};

use super::ask::{Asker, Question};
use crate::exit::Stop;
use crate::terminal::Progress;

const FLAG: &str = "--connector";

/// What is proposed where nothing is known, as Teleport's own guide calls it.
const USUAL: &str = "okta";

/// What a list of connectors comes to.
#[derive(Debug, PartialEq, Eq)]
enum Proposal<'a> {
    /// It can only be this one.
    Certain(&'a Connector),
    /// One of these.
    OneOf(Vec<&'a Connector>),
    /// It has to be said; why it is not known, and what is proposed.
    Unknown(String, &'a str),
}

/// The connector: the one that the flag names, else the one that belongs to the app, else the one that somebody names.
///
/// # Errors
/// The flag names none, or nobody says which of several it is.
pub async fn choose(
    ask: &Asker,
    given: Option<String>,
    address: &str,
    identity: &str,
    app_id: &str,
) -> Result<String, Stop> {
    if given.is_some() {
        return named(ask, given, USUAL);
    }
    let progress = Progress::start();
    progress.say("asking Teleport for its SAML connectors");
    let listed = list(address, identity).await;
    progress.end();
    let connectors = match listed {
        Ok(connectors) => connectors,
        Err(failure) => {
            // The look at both sides, which comes next, knows the remedies.
            ask.say(&format!("Teleport does not list its SAML connectors: {failure}"));
            return named(ask, None, USUAL);
        }
    };
    match propose(&connectors, app_id) {
        Proposal::Certain(connector) => {
            ask.say(&format!("SAML connector: {}", told(connector)));
            Ok(connector.name.clone())
        }
        Proposal::OneOf(several) => {
            let items: Vec<String> = several.iter().map(|connector| told(connector)).collect();
            let chosen = ask.choose(FLAG, "Which SAML connector do these people use?", &items, 0)?;
            let chosen = several.get(chosen).map(|connector| connector.name.clone());
            chosen.ok_or_else(|| Stop::undone("no connector was chosen", "run it again"))
        }
        Proposal::Unknown(why, proposed) => {
            ask.say(&why);
            named(ask, None, proposed)
        }
    }
}

/// Asks for its name.
fn named(ask: &Asker, given: Option<String>, proposed: &str) -> Result<String, Stop> {
    let words = "SAML connector in Teleport";
    ask.text(Question { flag: FLAG, words, given, default: Some(proposed.to_owned()) }, super::not_empty)
}

async fn list(address: &str, identity: &str) -> Result<Vec<Connector>, Failure> {
    let identity = Identity::parse(identity)?;
    let client = TeleportClient::connect(Settings::new(address, identity))?;
    Ok(client.connectors().await?)
}

/// What can be told from the connectors of the cluster and the apps behind them.
fn propose<'a>(connectors: &'a [Connector], app_id: &str) -> Proposal<'a> {
    let of_app: Vec<&Connector> =
        connectors.iter().filter(|connector| connector.app_id.as_deref() == Some(app_id)).collect();
    match (of_app.as_slice(), connectors) {
        ([only], _) => Proposal::Certain(only),
        ([_, ..], _) => Proposal::OneOf(of_app),
        ([], [only]) if only.app_id.is_none() => Proposal::Certain(only),
        ([], [only]) => Proposal::Unknown(
            format!("Teleport has one SAML connector, {}; the app that was chosen is {app_id}.", told(only)),
            &only.name,
        ),
        ([], []) => {
            Proposal::Unknown("Teleport has no SAML connector (Community Edition knows none).".to_owned(), USUAL)
        }
        ([], several) => Proposal::OneOf(several.iter().collect()),
    }
}

fn told(connector: &Connector) -> String {
    match &connector.app_id {
        Some(app) => format!("{}, of the Okta app {app}", connector.name),
        None => format!("{}, which does not say to which Okta app it belongs", connector.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "0oa9saml8app7teleprt";

    #[test]
    fn the_connector_of_the_app_is_found_and_nothing_is_guessed() {
        let all = [("acme", APP), ("beta", "0oa1other1app1other1"), ("gamma", APP), ("manual", ""), ("old", "")];
        let all = all.map(|(name, app)| Connector {
            name: name.to_owned(),
            app_id: Some(app).filter(|app| !app.is_empty()).map(str::to_owned),
        });
        let [acme, beta, gamma, manual, old] = &all;
        let of = |connectors: &[&Connector]| connectors.iter().copied().cloned().collect::<Vec<_>>();
        for (connectors, certain) in [
            (of(&[acme]), acme),
            (of(&[acme, beta, manual]), acme),
            // Made by hand, it says nothing; and there is no other.
            (of(&[manual]), manual),
        ] {
            assert_eq!(propose(&connectors, APP), Proposal::Certain(certain), "{connectors:?}");
        }
        for (connectors, several) in [
            (of(&[acme, beta, gamma]), vec![acme, gamma]),
            (of(&[beta, manual]), vec![beta, manual]),
            (of(&[manual, old]), vec![manual, old]),
        ] {
            assert_eq!(propose(&connectors, APP), Proposal::OneOf(several), "{connectors:?}");
        }
        for (connectors, words, proposed) in
            [(of(&[beta]), "beta, of the Okta app 0oa1other1app1other1", "beta"), (vec![], "no SAML connector", "okta")]
        {
            let Proposal::Unknown(why, name) = propose(&connectors, APP) else { panic!("{connectors:?}") };
            assert!(why.contains(words) && name == proposed, "{why} {name}");
        }
    }
}
