//! A person logs in through SAML (reference §10).

use std::collections::BTreeMap;

use jiff::SignedDuration;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use teleport_proto::{types, wrappers};
use tonic::Code;

use crate::{
    Refusal,
    clock::to_wire,
    cluster::Cluster,
    session::IssuedCertificate,
    user::{Draft, key},
};

/// A person logs in through a SAML connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SamlLogin {
    /// Name of the user: the assertion's `NameID`.
    pub user: String,
    /// Connector; left out: the first there is.
    #[serde(default)]
    pub connector: Option<String>,
    /// Roles that the connector's mapping yields; left out: the first mapping's.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
    /// Attributes of the assertion, which become traits.
    #[serde(default)]
    pub traits: BTreeMap<String, Vec<String>>,
    /// Life of the session, of its certificate and of the user that it leaves, in seconds.
    #[serde(default = "half_a_day")]
    pub ttl_seconds: i64,
}

fn half_a_day() -> i64 {
    12 * 3600
}

impl SamlLogin {
    /// A login of this user through the first connector, for twelve hours.
    #[must_use]
    pub fn of(user: &str) -> Self {
        Self { user: user.to_owned(), connector: None, roles: None, traits: BTreeMap::new(), ttl_seconds: half_a_day() }
    }
}

impl Cluster {
    /// Logs a person in. A user that no connector made is in the way; one that a connector made is overwritten, expiry included, unless it is the
    /// Okta integration's own.
    pub(crate) fn saml_login(&mut self, login: &SamlLogin) -> Result<IssuedCertificate, Refusal> {
        self.settle();
        let connector = self.login_connector(login)?;
        let roles = login.roles.clone().unwrap_or_else(|| mapped_roles(&connector));
        if self.lock_state(&login.user) == crate::ledger::LockState::Enforced {
            return Err(Refusal::access_denied(format!("lock targeting User:{:?} is in force", login.user)));
        }
        let (now, key) = (self.now(), key(&login.user));
        let expires = now + SignedDuration::from_secs(login.ttl_seconds);
        let stored = self.users.stored(&key).cloned();
        if let Some(stored) = &stored
            && stored.message().spec.and_then(|spec| spec.created_by).and_then(|by| by.connector).is_none()
        {
            return Err(Refusal::new(
                Code::AlreadyExists,
                format!("local user {:?} already exists and is not a SAML user", login.user),
            ));
        }
        let roles = if let Some(stored) = stored.filter(|stored| stored.is_okta()) {
            stored.message().spec.map(|spec| spec.roles).unwrap_or_default()
        } else {
            let connector = connector.metadata.map(|metadata| metadata.name).unwrap_or_default();
            let user = logged_in(login, &connector, &roles, to_wire(now), to_wire(expires));
            let draft = Draft::read(&user.encode_to_vec())?;
            self.store_user(key, draft.seal(None)?);
            roles
        };
        Ok(self.certificates.add(&login.user, roles, now, expires))
    }

    fn login_connector(&self, login: &SamlLogin) -> Result<types::SamlConnectorV2, Refusal> {
        let found = match &login.connector {
            Some(name) => self.connectors.get(name),
            None => self.connectors.values().next(),
        };
        found.cloned().ok_or_else(|| {
            let name = login.connector.as_deref().unwrap_or_default();
            Refusal::not_found(format!("SAML connector {name:?} is not configured"))
        })
    }
}

fn mapped_roles(connector: &types::SamlConnectorV2) -> Vec<String> {
    let mappings = connector.spec.as_ref().map(|spec| spec.attributes_to_roles.as_slice()).unwrap_or_default();
    mappings.first().map(|mapping| mapping.roles.clone()).unwrap_or_default()
}

/// The user that a login leaves behind.
fn logged_in(
    login: &SamlLogin,
    connector: &str,
    roles: &[String],
    now: prost_types::Timestamp,
    expires: prost_types::Timestamp,
) -> types::UserV2 {
    let traits =
        login.traits.iter().map(|(name, values)| (name.clone(), wrappers::StringValues { values: values.clone() }));
    types::UserV2 {
        metadata: Some(types::Metadata { name: login.user.clone(), expires: Some(expires), ..Default::default() }),
        spec: Some(types::UserSpecV2 {
            saml_identities: vec![types::ExternalIdentity {
                connector_id: connector.to_owned(),
                username: login.user.clone(),
                ..Default::default()
            }],
            roles: roles.to_vec(),
            traits: Some(wrappers::LabelValues { values: traits.collect() }),
            created_by: Some(types::CreatedBy {
                connector: Some(types::ConnectorRef {
                    r#type: "saml".to_owned(),
                    id: connector.to_owned(),
                    identity: login.user.clone(),
                }),
                time: Some(now),
                user: Some(types::UserRef { name: "system".to_owned() }),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}
