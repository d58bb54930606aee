//! What partial passes run on.

use std::sync::Arc;

use api::{OktaUserSync, OktaUserSyncStatus, status::Memory};
use engine::{feed::Watch, ledger::Ledger};

use super::super::Opening;
use crate::resolve::{Clients, Print};

/// What partial passes run on: that of the full pass that began last.
#[derive(Clone)]
pub(crate) struct Setup {
    /// Without its status, of which `memory` and `pinned_org` are all that counts here.
    pub(super) object: Arc<OktaUserSync>,
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
            object: Arc::new(OktaUserSync {
                metadata: opening.object.metadata.clone(),
                spec: opening.object.spec.clone(),
                status: None,
            }),
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
