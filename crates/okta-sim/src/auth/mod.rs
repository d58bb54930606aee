//! Who is calling: OAuth clients, their assertions, tokens and DPoP proofs, and SSWS tokens.

pub(crate) mod assertion;
pub(crate) mod client;
pub(crate) mod dpop;
pub(crate) mod introspect;
pub(crate) mod jwks;
pub(crate) mod jwt;
pub(crate) mod key;
pub(crate) mod resource;
pub(crate) mod role;
pub(crate) mod token;

pub use client::DpopMode;
pub use key::KeyKind;
pub use role::{CustomRole, Role, Visible};

use std::collections::{HashMap, HashSet};

use crate::clock::Stamp;
use client::Client;
use dpop::Nonces;
use key::SigningKey;

/// An access token that was issued.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub client: String,
    pub scopes: Vec<String>,
    pub since: Stamp,
    pub expires: Stamp,
    /// Thumbprint of the DPoP key that it is bound to.
    pub jkt: Option<String>,
    pub revoked: bool,
}

/// Everything that decides who may call.
#[derive(Debug)]
pub(crate) struct Auth {
    /// The SSWS token (super admin). Never shown by `Debug` of anything public.
    pub ssws: String,
    pub clients: Vec<Client>,
    pub tokens: HashMap<String, Issued>,
    pub proofs_seen: HashSet<(String, String)>,
    pub nonces: Nonces,
    pub signer: SigningKey,
}

/// A failure of the OAuth layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OauthError {
    pub status: u16,
    pub error: &'static str,
    pub description: String,
    /// Sent as `dpop-nonce`.
    pub nonce: Option<String>,
}

impl OauthError {
    pub fn new(status: u16, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into(), nonce: None }
    }

    /// 401 `invalid_client`.
    pub fn client(description: &str) -> Self {
        Self::new(401, "invalid_client", description)
    }

    /// 400 `invalid_dpop_proof`.
    pub fn proof(description: impl Into<String>) -> Self {
        Self::new(400, "invalid_dpop_proof", description)
    }
}

impl Auth {
    /// The client with this id.
    pub fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|c| c.id == id)
    }

    /// The client with this id, to be changed.
    pub fn client_mut(&mut self, id: &str) -> Option<&mut Client> {
        self.clients.iter_mut().find(|c| c.id == id)
    }

    /// Drops tokens and proof ids that are of no more use.
    pub fn forget_expired(&mut self, now: Stamp) {
        if self.tokens.len() > 10_000 {
            self.tokens.retain(|_, t| t.expires > now);
        }
        if self.proofs_seen.len() > 200_000 {
            self.proofs_seen.clear();
        }
    }
}
