//! Both simulators, both clients, and passes of the engine between them.

use std::time::Duration;

use api::{OktaUserSyncSpec, status::Memory};
use engine::{ledger::Ledger, pass::Pass, policy::Policy, report::Report, role::Ceiling};
use jiff::Timestamp;
use okta::{Governor, OktaClient, OrgUrl, key::PrivateKey};
use okta_sim::OktaSim;
use serde_json::json;
use teleport::{Identity, TeleportClient};
use teleport_sim::TeleportSim;

/// Both sides and a client for each.
pub struct Stage {
    /// The Okta organisation.
    pub okta: OktaSim,
    /// The Teleport cluster.
    pub teleport: TeleportSim,
    /// What the resource asks for.
    pub spec: OktaUserSyncSpec,
    directory: OktaClient,
    cluster: TeleportClient,
    memory: Memory,
    ledger: Ledger,
    passes: u32,
}

impl Stage {
    /// Both simulators with so many people, and clients made from what the simulators hand out.
    pub async fn with_people(people: usize) -> Self {
        // One provider for the process; a second installation fails, and that is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let okta = OktaSim::start(okta_sim::Options::with_people(people, 7)).await.unwrap();
        let ready = okta.ready();
        let teleport = TeleportSim::start(teleport_sim::Options {
            okta_app_id: ready.app_id.clone(),
            ..teleport_sim::Options::default()
        })
        .await
        .unwrap();
        let key = PrivateKey::parse(&std::fs::read(&ready.private_key_file).unwrap()).unwrap();
        let mut settings = okta::Settings::new(OrgUrl::parse(&ready.org_url).unwrap(), &ready.client_id, key);
        settings.ca_bundle = Some(okta.ca_pem().as_bytes().to_vec());
        let identity = std::fs::read_to_string(&teleport.ready().identity_file).unwrap();
        let identity = Identity::parse(&identity).unwrap();
        let cluster = teleport::Settings::new(teleport.auth_address().to_string(), identity);
        Self {
            spec: serde_json::from_value(json!({
                "okta": { "orgURL": ready.org_url, "clientID": ready.client_id },
                "scope": { "appID": ready.app_id }
            }))
            .unwrap(),
            directory: OktaClient::new(settings, Governor::default()).unwrap(),
            cluster: TeleportClient::connect(cluster).unwrap(),
            okta,
            teleport,
            memory: Memory::default(),
            ledger: Ledger::default(),
            passes: 0,
        }
    }

    /// Id of the SAML app.
    #[must_use]
    pub fn app(&self) -> String {
        self.okta.ready().app_id
    }

    /// One pass.
    pub async fn pass(&mut self) -> Report {
        self.pass_while(async |_| ()).await
    }

    /// The same, while something `happens` to Teleport.
    pub async fn pass_while(&mut self, happens: impl AsyncFnOnce(&TeleportSim)) -> Report {
        self.passes += 1;
        let ceiling = Ceiling::new(&["okta-requester".to_owned()]).unwrap();
        let policy = Policy::new("suites/stage", &self.spec, &ceiling, vec![]).unwrap();
        let pass = Pass {
            policy: &policy,
            memory: self.memory.clone(),
            pending: None,
            pinned_org: "",
            ledger: &self.ledger,
            started: Timestamp::now(),
            list_age: Duration::ZERO,
            id: format!("stage{}", self.passes),
            may_write: &|| true,
            detail: true,
            progress: &|_| {},
            journal: &(),
        };
        let (report, ()) = tokio::join!(pass.run(&self.directory, &self.cluster), happens(&self.teleport));
        self.memory.clone_from(&report.memory);
        report
    }
}
