//! What partial passes run on.

use std::sync::Arc;

use api::{OktaUserSync, OktaUserSyncStatus, status::Memory};
use engine::{feed::Watch, ledger::Ledger, policy::Policy};

use super::super::Opening;
use crate::resolve::{Clients, Print};

/// What partial passes run on: that of the full pass that began last.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(super) object: Arc<OktaUserSync>,
    pub(super) policy: Arc<Policy>,
    pub(super) clients: Clients,
    pub(super) ledger: Arc<Ledger>,
    pub(super) watch: Watch,
    pub(super) print: Print,
    pub(super) memory: Memory,
    pub(super) pinned_org: String,
}

impl Setup {
    pub(in crate::fast_path) fn new(opening: &Opening<'_>, watch: Watch, print: Print) -> Self {
        let mut setup = Self {
            object: Arc::new(opening.object.clone()),
            policy: opening.policy.clone(),
            clients: opening.clients.clone(),
            ledger: opening.ledger.clone(),
            watch,
            print,
            memory: Memory::default(),
            pinned_org: String::new(),
        };
        setup.learn(opening.previous);
        setup
    }

    /// Takes over what a status remembers.
    pub(super) fn learn(&mut self, status: &OktaUserSyncStatus) {
        self.memory = status.memory.clone().unwrap_or_default();
        self.pinned_org = status.okta.as_ref().map(|okta| okta.org_id.clone()).unwrap_or_default();
    }
}
