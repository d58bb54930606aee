//! Teleport's own Okta plugin and SCIM, at work beside us on the same cluster (reference §0, §2, §10).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use teleport_proto::{labels, types, wrappers};

use crate::{
    Refusal,
    clock::to_wire,
    cluster::Cluster,
    preset::name_of,
    user::{Draft, key},
};

/// What the plugin gives everybody.
const ROLE: &str = "okta-requester";
/// How long its locks stand: the longest credential life and a margin.
const LOCK_LIFE: SignedDuration = SignedDuration::from_hours(31);

/// One pass of Teleport's own Okta plugin: these are the people; whoever else it has made is locked and deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginPass {
    /// The organisation, such as `https://acme.okta.com`.
    #[serde(rename = "orgURL")]
    pub org_url: String,
    /// User names, and the traits of each.
    pub people: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Cluster {
    /// A pass of the plugin. It writes as the system role `Okta`: users of its origin, and no others.
    ///
    /// # Errors
    /// A name that is no name, a role that does not exist (Community Edition).
    pub(crate) fn plugin_pass(&mut self, pass: &PluginPass) -> Result<(), Refusal> {
        self.settle();
        if !self.roles.contains_key(ROLE) {
            return Err(Refusal::not_found(format!("role {ROLE} is not found")));
        }
        let now = self.now();
        let gone: BTreeSet<String> = self
            .users
            .all()
            .values()
            .filter(|user| user.is_okta())
            .filter_map(|user| user.message().metadata.map(|metadata| metadata.name))
            .filter(|name| !pass.people.contains_key(name))
            .collect();
        for name in gone {
            self.put_lock_of("Okta", labels::ORIGIN_OKTA, &name, Some(now + LOCK_LIFE));
            self.remove_user(&name);
        }
        for (name, traits) in &pass.people {
            let stored = self.users.stored(&key(name));
            if stored.is_some_and(|user| !user.is_okta()) {
                // A user of that name who is not its own stays as they are.
                continue;
            }
            let user = imported(name, &pass.org_url, traits, to_wire(now));
            let draft = Draft::read(&user.encode_to_vec())?;
            self.store_user(key(name), draft.seal(None)?);
        }
        Ok(())
    }

    /// SCIM deactivates somebody: a lock without an end. The user goes by [`Cluster::scim_delete`].
    pub(crate) fn scim_lock(&mut self, user: &str) {
        self.put_lock_of("SCIM", labels::ORIGIN_SCIM, user, None);
    }

    /// SCIM brings somebody back: its own lock goes, and the user is there, without traits.
    ///
    /// # Errors
    /// A name that is no name.
    pub(crate) fn scim_provision(&mut self, user: &str) -> Result<(), Refusal> {
        self.settle();
        let of_scim = |lock: &types::LockV2| {
            let origin = lock.metadata.as_ref().and_then(|metadata| metadata.labels.get(labels::ORIGIN));
            let target = lock.spec.as_ref().and_then(|spec| spec.target.as_ref());
            origin.is_some_and(|origin| origin == labels::ORIGIN_SCIM)
                && target.is_some_and(|target| target.user == user)
        };
        let own: Vec<String> =
            self.locks.all().iter().filter(|(_, lock)| of_scim(&lock.lock)).map(|(name, _)| name.clone()).collect();
        for lock in own {
            let visible = self.locks_visible();
            self.locks.remove(&lock, visible);
        }
        if self.users.stored(&key(user)).is_none() {
            let mut made = imported(user, "", &BTreeMap::new(), to_wire(self.now()));
            if let Some(metadata) = made.metadata.as_mut() {
                metadata.labels = [(labels::ORIGIN.to_owned(), labels::ORIGIN_SCIM.to_owned())].into();
            }
            let draft = Draft::read(&made.encode_to_vec())?;
            self.store_user(key(user), draft.seal(None)?);
        }
        Ok(())
    }

    fn put_lock_of(&mut self, who: &str, origin: &str, user: &str, expires: Option<Timestamp>) {
        let expires = expires.map(to_wire);
        let lock = types::LockV2 {
            metadata: Some(types::Metadata {
                name: uuid::Uuid::new_v4().to_string(),
                labels: [(labels::ORIGIN.to_owned(), origin.to_owned())].into(),
                expires,
                ..Default::default()
            }),
            spec: Some(types::LockSpecV2 {
                target: Some(types::LockTarget { user: user.to_owned(), ..Default::default() }),
                message: format!("User deprovisioned by {who}"),
                expires,
                ..Default::default()
            }),
            ..Default::default()
        };
        self.store_lock(name_of(lock.metadata.as_ref()), who, lock);
    }

    /// SCIM takes a user away: the user goes, and a lock without an end stays.
    pub(crate) fn scim_delete(&mut self, user: &str) {
        self.scim_lock(user);
        self.remove_user(user);
    }
}

/// A user as the plugin makes one: made by itself, and long-lived.
fn imported(
    name: &str,
    org_url: &str,
    traits: &BTreeMap<String, Vec<String>>,
    now: prost_types::Timestamp,
) -> types::UserV2 {
    let values = traits.iter().map(|(name, values)| (name.clone(), wrappers::StringValues { values: values.clone() }));
    types::UserV2 {
        kind: "user".to_owned(),
        version: "v2".to_owned(),
        metadata: Some(types::Metadata {
            name: name.to_owned(),
            labels: [
                (labels::ORIGIN.to_owned(), labels::ORIGIN_OKTA.to_owned()),
                (labels::OKTA_ORG.to_owned(), org_url.to_owned()),
            ]
            .into(),
            ..Default::default()
        }),
        spec: Some(types::UserSpecV2 {
            roles: vec![ROLE.to_owned()],
            traits: Some(wrappers::LabelValues { values: values.collect() }),
            created_by: Some(types::CreatedBy {
                connector: Some(types::ConnectorRef {
                    r#type: "okta".to_owned(),
                    id: "Okta Service".to_owned(),
                    identity: name.to_owned(),
                }),
                time: Some(now),
                user: Some(types::UserRef { name: "system".to_owned() }),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}
