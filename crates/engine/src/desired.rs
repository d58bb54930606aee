//! What a person should be in Teleport, and how an existing user is brought there with every foreign field kept (P7).

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
};

use api::names;

use crate::{
    cluster::OriginMode,
    person::Person,
    policy::Policy,
    report::FieldChange,
    traits,
    user::{ConnectorRef, NewUser, Traits, User, UserEdit, label},
};

/// The user that a person should have: only what is ours of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredUser {
    /// Okta id of the person.
    pub okta_id: String,
    /// User name.
    pub name: String,
    /// Roles that we give.
    pub roles: Vec<String>,
    /// Traits that we set.
    pub traits: Traits,
    /// Labels that we set.
    pub labels: BTreeMap<String, String>,
    /// Traits that had to be left out.
    pub left_out: Vec<String>,
}

/// What all users of one resource have in common.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    roles: Vec<String>,
    owner: String,
    org_url: String,
    prefix: String,
    mode: OriginMode,
}

impl Common {
    pub(crate) fn of(policy: &Policy, mode: OriginMode) -> Self {
        Self {
            roles: policy.roles.clone(),
            owner: policy.owner.clone(),
            org_url: policy.org_url.clone(),
            prefix: policy.traits.prefix.clone(),
            mode,
        }
    }

    /// The user of one person, who has these traits.
    pub(crate) fn user(&self, okta_id: &str, name: &str, traits: Traits, left_out: Vec<String>) -> DesiredUser {
        let prefix = &self.prefix;
        let beside: Vec<&str> = traits
            .keys()
            .filter(|trait_| prefix.is_empty() || !trait_.starts_with(prefix.as_str()))
            .map(String::as_str)
            .collect();
        let mut labels = BTreeMap::from([
            (names::OWNER_LABEL.to_owned(), self.owner.clone()),
            (names::OKTA_ORG_LABEL.to_owned(), self.org_url.clone()),
            (names::OKTA_USER_ID_LABEL.to_owned(), okta_id.to_owned()),
            (names::ROLES_LABEL.to_owned(), self.roles.join(",")),
            (names::TRAIT_PREFIX_LABEL.to_owned(), prefix.clone()),
        ]);
        if !beside.is_empty() {
            labels.insert(names::TRAITS_LABEL.to_owned(), beside.join(","));
        }
        if self.mode == OriginMode::Okta {
            labels.insert(label::ORIGIN.to_owned(), label::ORIGIN_OKTA.to_owned());
        }
        DesiredUser {
            okta_id: okta_id.to_owned(),
            name: name.to_owned(),
            roles: self.roles.clone(),
            traits,
            labels,
            left_out,
        }
    }
}

/// The user that `person` should have under `name`.
#[must_use]
pub fn desired(person: &Person, name: &str, policy: &Policy, mode: OriginMode) -> DesiredUser {
    let mapped = traits::map(person, &policy.traits);
    Common::of(policy, mode).user(&person.id, name, mapped.traits, mapped.left_out)
}

/// The labels that we set; every other is foreign.
const OUR_LABELS: [&str; 6] = [
    names::OWNER_LABEL,
    names::OKTA_ORG_LABEL,
    names::OKTA_USER_ID_LABEL,
    names::ROLES_LABEL,
    names::TRAIT_PREFIX_LABEL,
    names::TRAITS_LABEL,
];

/// Labels of ours that may be absent: they are taken away when they are not wanted.
const OPTIONAL_LABELS: [&str; 1] = [names::TRAITS_LABEL];

impl DesiredUser {
    /// A number that is the same for a user that needs no change ([`digest_of`]).
    #[must_use]
    pub fn digest(&self) -> u64 {
        digest(self.labels.iter(), self.roles.iter().map(String::as_str), self.traits.iter(), false)
    }

    /// The user as it is made, with roles and traits carried over from an older account of the same person.
    #[must_use]
    pub fn new_user(&self, connector: &str, carried: &Carried) -> NewUser {
        let mut roles = self.roles.clone();
        roles.extend(carried.roles.iter().filter(|role| !self.roles.contains(role)).cloned());
        let mut traits = carried.traits.clone();
        traits.extend(self.traits.clone());
        NewUser {
            name: self.name.clone(),
            labels: self.labels.clone(),
            roles,
            traits,
            created_by: ConnectorRef { kind: "saml".into(), id: connector.into(), identity: self.name.clone() },
        }
    }

    /// What has to change on `user`; `None` if nothing has.
    #[must_use]
    pub fn edit(&self, user: &User) -> Option<UserEdit> {
        let ours = Ours::of(user);
        let mut labels = user.labels.clone();
        for key in OPTIONAL_LABELS {
            labels.remove(key);
        }
        labels.extend(self.labels.clone());
        let mut roles: Vec<String> = user
            .roles
            .iter()
            .filter(|role| self.roles.contains(role) || !ours.roles.contains(&role.as_str()))
            .cloned()
            .collect();
        roles.extend(self.roles.iter().filter(|role| !user.roles.contains(role)).cloned());
        let prefix = self.labels.get(names::TRAIT_PREFIX_LABEL).map_or("", String::as_str);
        let under_prefix = |name: &str| !prefix.is_empty() && name.starts_with(prefix);
        let mut traits: Traits = user
            .traits
            .iter()
            .filter(|(name, _)| !ours.has_trait(name) && !under_prefix(name))
            .map(|(name, values)| (name.clone(), values.clone()))
            .collect();
        traits.extend(self.traits.clone());
        let same = labels == user.labels
            && roles == user.roles
            && same_traits(&traits, &user.traits)
            && user.expires.is_none();
        (!same).then_some(UserEdit { labels, roles, traits })
    }
}

/// Roles and traits given by hand, which follow a person to a new user name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Roles under the ceiling.
    pub roles: Vec<String>,
    /// Traits.
    pub traits: Traits,
    /// Roles above the ceiling; they are not given again (P13), only named.
    pub refused: Vec<String>,
    /// Roles that do not exist any more: no user can be made with them.
    pub missing: Vec<String>,
}

/// What was given to `user` by hand, on a cluster that has these roles.
pub(crate) fn carried(user: &User, policy: &Policy, role_names: &HashSet<String>) -> Carried {
    let ours = Ours::of(user);
    let by_hand = user.roles.iter().filter(|role| !ours.roles.contains(&role.as_str())).cloned();
    let (existing, missing): (Vec<String>, _) = by_hand.partition(|role| role_names.contains(role));
    let (roles, refused) = existing.into_iter().partition(|role| policy.ceiling.allows(role));
    let foreign = |name: &&String| !ours.has_trait(name);
    let traits = user.traits.iter().filter(|(name, _)| foreign(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    Carried { roles, traits, refused, missing }
}

/// Digest of what is ours of `user`; equal to [`DesiredUser::digest`] exactly when [`DesiredUser::edit`] has nothing to
/// do. It stands for the whole user while a pass compares everybody, so that no full profile is held.
#[must_use]
pub fn digest_of(user: &User, mode: OriginMode) -> u64 {
    let ours = Ours::of(user);
    digest(
        user.labels.iter().filter(|(key, _)| is_our_label(key, mode)),
        user.roles.iter().map(String::as_str).filter(|role| ours.roles.contains(role)),
        user.traits.iter().filter(|(name, _)| ours.has_trait(name)),
        user.expires.is_some(),
    )
}

fn is_our_label(key: &str, mode: OriginMode) -> bool {
    OUR_LABELS.contains(&key) || (mode == OriginMode::Okta && key == label::ORIGIN)
}

/// Labels and traits come in the order of their names; roles and values count in whatever order.
fn digest<'a>(
    labels: impl Iterator<Item = (&'a String, &'a String)>,
    roles: impl Iterator<Item = &'a str>,
    traits: impl Iterator<Item = (&'a String, &'a Vec<String>)>,
    expires: bool,
) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut count = 0_usize;
    for label in labels {
        label.hash(&mut hasher);
        count += 1;
    }
    count.hash(&mut hasher);
    let mut roles: Vec<&str> = roles.collect();
    roles.sort_unstable();
    roles.dedup();
    roles.hash(&mut hasher);
    for (name, values) in traits {
        name.hash(&mut hasher);
        if values.len() < 2 {
            values.hash(&mut hasher);
        } else {
            let mut sorted: Vec<&str> = values.iter().map(String::as_str).collect();
            sorted.sort_unstable();
            sorted.hash(&mut hasher);
        }
    }
    expires.hash(&mut hasher);
    hasher.finish()
}

/// What the labels of a user say is ours of it.
struct Ours<'a> {
    roles: Vec<&'a str>,
    prefix: &'a str,
    traits: BTreeSet<&'a str>,
}

impl<'a> Ours<'a> {
    fn of(user: &'a User) -> Self {
        let label = |key: &str| user.labels.get(key).map_or("", String::as_str);
        let list = |key: &str| label(key).split(',').filter(|word| !word.is_empty());
        Self {
            roles: list(names::ROLES_LABEL).collect(),
            prefix: label(names::TRAIT_PREFIX_LABEL),
            traits: list(names::TRAITS_LABEL).collect(),
        }
    }

    fn has_trait(&self, name: &str) -> bool {
        self.traits.contains(name) || (!self.prefix.is_empty() && name.starts_with(self.prefix))
    }
}

/// Whether both hold the same values, in whatever order: the server promises none.
fn same_traits(a: &Traits, b: &Traits) -> bool {
    let sorted = |values: &Vec<String>| {
        let mut values = values.clone();
        values.sort_unstable();
        values
    };
    a.len() == b.len()
        && a.iter().all(|(name, values)| b.get(name).is_some_and(|other| sorted(values) == sorted(other)))
}

/// A user that is to be made, told field by field.
#[must_use]
pub fn fields_of(new: &NewUser) -> Vec<FieldChange> {
    let edit = UserEdit { labels: new.labels.clone(), roles: new.roles.clone(), traits: new.traits.clone() };
    field_changes(&User::default(), &edit)
}

/// An edit told field by field.
#[must_use]
pub fn field_changes(user: &User, edit: &UserEdit) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    let mut note = |field: String, from: String, to: String| {
        if from != to {
            changes.push(FieldChange { field, from, to });
        }
    };
    note("roles".into(), user.roles.join(", "), edit.roles.join(", "));
    let trait_text = |traits: &Traits, name: &str| traits.get(name).map(|values| values.join(", ")).unwrap_or_default();
    for name in user.traits.keys().chain(edit.traits.keys()).collect::<BTreeSet<_>>() {
        note(format!("traits.{name}"), trait_text(&user.traits, name), trait_text(&edit.traits, name));
    }
    let label_text = |labels: &BTreeMap<String, String>, key: &str| labels.get(key).cloned().unwrap_or_default();
    for key in user.labels.keys().chain(edit.labels.keys()).collect::<BTreeSet<_>>() {
        note(format!("labels.{key}"), label_text(&user.labels, key), label_text(&edit.labels, key));
    }
    note("expires".into(), user.expires.map(|t| t.to_string()).unwrap_or_default(), String::new());
    changes
}
