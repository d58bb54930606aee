//! What partial passes run on.

use std::sync::Arc;

use api::{OktaUserSyncStatus, spec::FastPath as Wanted, status::Memory};
use engine::{feed::Watch, ledger::Ledger};

use super::super::Opening;
use crate::{
    reconcile::Generation,
    resolve::{Clients, Print},
};

/// What partial passes run on: that of the full pass that began last.
#[derive(Clone)]
pub(crate) struct Setup {
    /// The resource. What it says is looked up in the watch when there is work: lanes are many, and idle.
    pub(super) generation: Generation,
    /// Whether it takes part if it can, or has to.
    pub(super) wanted: Wanted,
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
            generation: Generation::of(opening.object),
            wanted: opening.object.spec.okta.fast_path,
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
