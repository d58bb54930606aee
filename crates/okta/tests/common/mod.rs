//! A running organisation and a client for it.
#![allow(dead_code)] // each test binary uses a part of it

use std::{collections::HashSet, time::Duration};

use engine::{
    directory::{Directory, PeopleSource},
    failure::Failure,
    person::Person,
};
use futures::StreamExt;
use okta::{Governor, OktaClient, OrgUrl, Patience, Settings, key::PrivateKey};
use okta_sim::{OktaSim, Options};

/// Short enough for tests, long enough for a busy machine.
pub const PATIENCE: Patience = Patience {
    timeout: Duration::from_secs(30),
    tries: 3,
    first_pause: Duration::from_millis(5),
    longest_pause: Duration::from_millis(20),
    longest_wait: Duration::from_secs(20),
    longest_trouble: Duration::from_secs(120),
};

/// Starts an organisation.
pub async fn org(options: Options) -> OktaSim {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    OktaSim::start(options).await.unwrap()
}

/// Settings that fit it.
pub fn settings(sim: &OktaSim) -> Settings {
    let ready = sim.ready();
    let key = PrivateKey::parse(&std::fs::read(&ready.private_key_file).unwrap()).unwrap();
    Settings {
        ca_bundle: Some(sim.ca_pem().as_bytes().to_vec()),
        budget_percent: 100,
        patience: PATIENCE,
        ..Settings::new(OrgUrl::parse(&ready.org_url).unwrap(), ready.client_id, key)
    }
}

/// A client for it, with a governor of its own.
pub fn client(sim: &OktaSim) -> OktaClient {
    OktaClient::new(settings(sim), Governor::new()).unwrap()
}

/// The SAML app of the organisation.
pub fn app(sim: &OktaSim) -> PeopleSource {
    PeopleSource::App(sim.ready().app_id)
}

/// Calls to an app's list so far.
pub fn lists(sim: &OktaSim) -> u64 {
    sim.org().counters().of("GET", "/api/v1/apps/{id}/users")
}

/// Waits until that holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let look = async || if holds() { Ok(()) } else { Err("not yet") };
    testkit::eventually(Duration::from_secs(20), what, look).await.unwrap();
}

/// What came of reading a list.
#[derive(Debug)]
pub struct Reading {
    pub people: Vec<Person>,
    pub pages: usize,
    /// The list said that it ended.
    pub complete: bool,
    pub failure: Option<Failure>,
}

impl Reading {
    pub fn ids(&self) -> HashSet<&str> {
        self.people.iter().map(|person| person.id.as_str()).collect()
    }
}

/// Reads a list to its end or to its first error.
pub async fn read(client: &OktaClient, source: &PeopleSource) -> Reading {
    let mut reading = Reading { people: Vec::new(), pages: 0, complete: false, failure: None };
    let mut pages = client.people(source);
    while let Some(page) = pages.next().await {
        match page {
            Ok(page) => {
                assert!(!reading.complete, "a page came after the last one");
                reading.pages += 1;
                reading.complete = page.last;
                reading.people.extend(page.items);
            }
            Err(failure) => {
                assert!(reading.failure.is_none() && !reading.complete, "something came after the end");
                reading.failure = Some(failure);
            }
        }
    }
    reading
}
