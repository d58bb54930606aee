//! Ours: the same answers through the clients, with all that they promise.

use std::{fs, time::Instant};

use engine::{
    cluster::Cluster as _,
    directory::{Directory as _, PeopleSource},
    failure::Failure,
    observed::Observed,
    policy::Policy,
    role::Ceiling,
    roster::Roster,
};
use futures::StreamExt as _;
use jiff::Timestamp;
use okta::{Governor, OktaClient, OrgUrl, key::PrivateKey};
use serde_json::json;
use teleport::{Identity, TeleportClient};

use crate::{
    error::BenchError,
    measure::Done,
    stage::{OktaPlace, Places},
};

fn failed(what: &str) -> impl Fn(Failure) -> BenchError + '_ {
    move |failure| BenchError::process(what, &failure)
}

/// The organisation, the app and everybody in it, as a pass reads them: whole, streamed, proved complete.
pub async fn people(place: &OktaPlace) -> Result<Done, BenchError> {
    let what = "reading people";
    let key = fs::read(&place.private_key_file).map_err(BenchError::system("the private key"))?;
    let key = PrivateKey::parse(&key).map_err(|error| BenchError::unreadable("the private key", &error))?;
    let org_url = OrgUrl::parse(&place.org_url).map_err(|error| BenchError::unreadable("the org URL", &error))?;
    let settings = okta::Settings {
        ca_bundle: Some(fs::read(&place.ca_file).map_err(BenchError::system("the CA"))?),
        scopes: vec![okta::Scope::Apps, okta::Scope::Users],
        ..okta::Settings::new(org_url, place.client_id.clone(), key)
    };
    let client = OktaClient::new(settings, Governor::new()).map_err(|error| BenchError::process(what, &error))?;
    let source = PeopleSource::App(place.app_id.clone());
    client.organisation(&source).await.map_err(failed(what))?;
    let mut seen = 0;
    let mut complete = false;
    let mut pages = client.people(&source);
    while let Some(page) = pages.next().await {
        let page = page.map_err(failed(what))?;
        complete = page.last;
        seen += page.items.len() as u64;
    }
    drop(pages);
    if !complete {
        return Err(BenchError::process(what, "the list ended before its last page"));
    }
    Ok(Done { seen, calls: client.calls(), ..Done::default() })
}

/// Every user and lock, digested as a pass does.
pub async fn users(places: &Places) -> Result<Done, BenchError> {
    let (place, org_url) = (&places.teleport, &places.okta.org_url);
    let what = "listing users";
    let identity = fs::read_to_string(&place.identity_file).map_err(BenchError::system("the identity"))?;
    let identity = Identity::parse(&identity).map_err(|error| BenchError::unreadable("the identity", &error))?;
    let client = TeleportClient::connect(teleport::Settings::new(place.auth_address.clone(), identity))
        .map_err(|error| BenchError::process(what, &error))?;
    let policy = policy(org_url)?;
    let facts = client.prove_identity().await.map_err(failed(what))?;
    let roster = Roster::default();
    let observed = Observed::read(&client, &facts, Instant::now(), &policy, &roster, Timestamp::now())
        .await
        .map_err(failed(what))?;
    let calls = client.calls().iter().map(|call| call.count).sum();
    // Only users of this resource are digested, so only they count.
    Ok(Done { seen: observed.owned() as u64, calls, ..Done::default() })
}

fn policy(org_url: &str) -> Result<Policy, BenchError> {
    let spec = json!({
        "okta": { "orgURL": org_url, "clientID": "0oa1api2services3app" },
        "scope": { "appID": "0oa9saml8app7telepor" }
    });
    let spec = serde_json::from_value(spec).map_err(|error| BenchError::unreadable("the specification", &error))?;
    let ceiling = Ceiling::new(&["okta-requester".to_owned()]).map_err(failed("the ceiling"))?;
    Policy::new(crate::scene::OWNER, &spec, &ceiling, Vec::new()).map_err(failed("the policy"))
}
