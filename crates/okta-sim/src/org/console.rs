//! What an admin sets in the console and no call of the management API reaches: the API Services app's keys, scopes and
//! role, tokens, and a summary of it all.

use serde_json::{Map, Value, json};

use super::handle::Org;
use crate::auth::client::Client;
use crate::auth::jwks::JwksSource;
use crate::auth::{DpopMode, Role};
use crate::refusal::Refusal;

/// The API Services app.
impl Org {
    /// Changes a client; none is the API Services app of the ready line.
    pub(crate) fn on_client<T>(&self, id: Option<&str>, change: impl FnOnce(&mut Client) -> T) -> Result<T, Refusal> {
        let id = id.unwrap_or(self.own_client());
        let mut auth = self.shared().auth();
        let client = auth.client_mut(id).ok_or_else(|| Refusal::not_found(id, "Client"))?;
        Ok(change(client))
    }

    /// The scopes granted on the "Okta API Scopes" tab, from now on. Tokens that were issued keep theirs.
    pub fn set_scopes(&self, scopes: &[&str]) {
        let _ = self.on_client(None, |c| c.scopes = scopes.iter().map(|s| (*s).to_owned()).collect());
    }

    /// The admin role, from now on.
    pub fn set_role(&self, role: Role) {
        let _ = self.on_client(None, |c| c.role = role);
    }

    /// Whether DPoP is demanded, from now on.
    pub fn set_dpop(&self, mode: DpopMode) {
        let _ = self.on_client(None, |c| c.dpop = mode);
        let required = mode == DpopMode::Required;
        let mut state = self.shared().state_mut();
        if let Ok(app) = state.app_mut(self.own_client())
            && let Some(client) = app.body.get_mut("settings").and_then(|s| s.get_mut("oauthClient"))
        {
            client["dpop_bound_access_tokens"] = required.into();
        }
    }

    /// Registers a further public key and answers its key id.
    pub fn add_key(&self, jwk: &Value) -> Result<String, Refusal> {
        self.on_client(None, |c| c.add_key(jwk))?
    }

    /// Takes the client's keys from a URL from now on; saved keys are gone. `ca_pem` is what the URL's certificate is
    /// checked against, none the machine's own roots. Fails with a sentence for a URL that is not https (plain http is
    /// taken from loopback addresses).
    pub fn use_jwks_url(&self, url: &str, ca_pem: Option<&str>) -> Result<(), String> {
        let source = JwksSource::new(url, ca_pem.map(str::to_owned))?;
        let _ = self.on_client(None, |c| c.use_jwks(source));
        Ok(())
    }

    /// Registers a further client, which has no scopes and no role yet. One of this id is replaced.
    pub fn add_client(&self, id: &str, jwk: Option<&Value>) -> Result<(), Refusal> {
        let mut client = Client::new(id);
        client.role = Role::None;
        if let Some(jwk) = jwk {
            client.add_key(jwk)?;
        }
        let mut auth = self.shared().auth();
        auth.clients.retain(|c| c.id != id);
        auth.clients.push(client);
        Ok(())
    }

    /// Takes a key out of use.
    pub fn remove_key(&self, kid: &str) {
        let _ = self.on_client(None, |c| c.keys.retain(|key| key["kid"] != kid));
    }

    /// The public keys registered.
    #[must_use]
    pub fn keys(&self) -> Vec<Value> {
        self.on_client(None, |c| c.keys.clone()).unwrap_or_default()
    }

    /// Activates or deactivates the API Services app.
    pub fn set_client_active(&self, active: bool) {
        let _ = self.on_client(None, |c| c.active = active);
    }

    /// The client's network restriction keeps this machine out, or lets it in.
    pub fn deny_network(&self, denied: bool) {
        let _ = self.on_client(None, |c| c.network_denied = denied);
    }

    /// Revokes all tokens that were issued.
    pub fn revoke_tokens(&self) {
        for token in self.shared().auth().tokens.values_mut() {
            token.revoked = true;
        }
    }

    /// Replaces the DPoP nonce; the one before is still accepted unless `forget`.
    pub fn rotate_nonce(&self, forget: bool) {
        let now = self.shared().clock.now();
        let mut auth = self.shared().auth();
        if forget {
            auth.nonces.forget();
        }
        auth.nonces.rotate(now);
    }

    /// Everything worth knowing at a glance, without secrets.
    #[must_use]
    pub fn summary(&self) -> Value {
        let (offset, frozen) = self.shared().clock.setting();
        let clients: Vec<Value> = self.shared().auth().clients.iter().map(client_summary).collect();
        let limits: Map<String, Value> =
            self.shared().rates().limits().iter().map(|(bucket, limit)| (bucket.clone(), (*limit).into())).collect();
        let state = self.shared().state();
        let apps: Vec<Value> = state
            .apps
            .iter()
            .map(|app| {
                json!({
                    "id": app.id.as_str(), "label": app.label(), "status": app.text("status"),
                    "signOnMode": app.text("signOnMode"), "users": app.users.len(), "groups": app.groups.len(),
                })
            })
            .collect();
        let groups: Vec<Value> =
            state.groups.iter().map(|g| json!({ "id": g.id.as_str(), "name": g.name(), "type": g.kind })).collect();
        json!({
            "orgURL": self.shared().base(),
            "orgID": state.org_id.as_str(),
            "now": self.shared().clock.now().to_string(),
            "clock": { "offsetSeconds": offset / 1000, "frozen": frozen },
            "people": state.people.len(),
            "events": state.log.len(),
            "apps": apps,
            "groups": groups,
            "clients": clients,
            "limits": limits,
            "switches": state.switches,
        })
    }
}

fn client_summary(client: &Client) -> Value {
    let keys: Vec<Value> = client.keys.iter().map(|key| key["kid"].clone()).collect();
    json!({
        "clientID": client.id, "scopes": client.scopes, "role": client.role, "dpop": client.dpop,
        "active": client.active, "kids": keys,
    })
}
