//! What a person should be in Teleport, and how an existing user is brought there with every foreign field kept (P7).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
};

use api::names;

use crate::{
    cluster::OriginMode,
    person::Person,
    policy::Policy,
    report::FieldChange,
    role::Role,
    traits,
    user::{ConnectorRef, NewUser, Traits, User, UserEdit, label},
    user_view::UserView,
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
        digest(
            self.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())),
            self.roles.iter().map(String::as_str),
            self.traits.iter().map(|(name, values)| (name.as_str(), values.iter().map(String::as_str))),
            false,
        )
    }

    /// The user as it is made, with roles and traits carried over from an older account of the same person.
    #[must_use]
    pub fn new_user(mut self, connector: &str, carried: &Carried) -> NewUser {
        for role in &carried.roles {
            if !self.roles.contains(role) {
                self.roles.push(role.clone());
            }
        }
        for (name, values) in &carried.traits {
            if !self.traits.contains_key(name) {
                self.traits.insert(name.clone(), values.clone());
            }
        }
        let created_by = ConnectorRef { kind: "saml".into(), id: connector.into(), identity: self.name.clone() };
        let Self { name, roles, traits, labels, .. } = self;
        NewUser { name, labels, roles, traits, created_by }
    }

    /// What has to change on `user`; `None` if nothing has.
    #[must_use]
    pub fn edit(&self, user: &User) -> Option<UserEdit> {
        let ours = Ours::of_user(user);
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
pub(crate) fn carried(user: &User, policy: &Policy, roles: &HashMap<String, Role>) -> Carried {
    let ours = Ours::of_user(user);
    let by_hand = user.roles.iter().filter(|role| !ours.roles.contains(&role.as_str())).cloned();
    let (existing, missing): (Vec<String>, _) = by_hand.partition(|name| roles.contains_key(name));
    let (given, refused) =
        existing.into_iter().partition(|name| roles.get(name).is_some_and(|role| policy.ceiling.allows(role)));
    let foreign = |name: &&String| !ours.has_trait(name);
    let traits = user.traits.iter().filter(|(name, _)| foreign(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    Carried { roles: given, traits, refused, missing }
}

/// Digest of what is ours of `user`; equal to [`DesiredUser::digest`] exactly when [`DesiredUser::edit`] has nothing to
/// do. It stands for the whole user while a pass compares everybody, so that no full profile is held.
#[must_use]
pub fn digest_of(user: &UserView<'_>, mode: OriginMode) -> u64 {
    let ours = Ours::of(|key| user.label(key));
    digest(
        user.labels().filter(|(key, _)| is_our_label(key, mode)),
        user.roles.iter().copied().filter(|role| ours.roles.contains(role)),
        user.traits().filter(|(name, _)| ours.has_trait(name)).map(|(name, values)| (name, values.iter().copied())),
        user.expires.is_some(),
    )
}

fn is_our_label(key: &str, mode: OriginMode) -> bool {
    OUR_LABELS.contains(&key) || (mode == OriginMode::Okta && key == label::ORIGIN)
}

/// Labels and traits come in the order of their names; roles and values count in whatever order.
fn digest<'a>(
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    roles: impl Iterator<Item = &'a str>,
    traits: impl Iterator<Item = (&'a str, impl ExactSizeIterator<Item = &'a str>)>,
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
        values.len().hash(&mut hasher);
        if values.len() < 2 {
            for value in values {
                value.hash(&mut hasher);
            }
        } else {
            let mut sorted: Vec<&str> = values.collect();
            sorted.sort_unstable();
            for value in sorted {
                value.hash(&mut hasher);
            }
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
    fn of_user(user: &'a User) -> Self {
        Self::of(|key| user.labels.get(key).map_or("", String::as_str))
    }

    /// By what `label` says of a key.
    fn of(label: impl Fn(&str) -> &'a str) -> Self {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_values::{person, policy_with};

    /// Ada has a title, two groups and three clubs, and a trait beside the prefix.
    fn ada(mode: OriginMode) -> DesiredUser {
        let mut ada = person("00u1", "ada");
        for (attribute, value) in
            [("title", json!("Boss")), ("groups", json!(["b", "a"])), ("clubs", json!(["z", "x", "y"]))]
        {
            ada.profile.insert(attribute.into(), value);
        }
        let mapped = json!([{ "from": "user.profile.title", "to": "rank" }]);
        let policy = policy_with(|spec| spec.users.traits.map = serde_json::from_value(mapped).unwrap());
        desired(&ada, "ada", &policy, mode)
    }

    /// Her user, as it was made.
    fn made(desired: &DesiredUser) -> User {
        let new = desired.clone().new_user("okta", &Carried::default());
        User { name: new.name, labels: new.labels, roles: new.roles, traits: new.traits, ..User::default() }
    }

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn only_a_trait_beside_the_prefix_is_recorded_by_name() {
        assert_eq!(ada(OriginMode::Bot).labels[names::TRAITS_LABEL], "rank");
        let bob = |prefix: &str| {
            let policy = policy_with(|spec| spec.users.traits.prefix = prefix.into());
            desired(&person("00u2", "bob"), "bob", &policy, OriginMode::Bot).labels
        };
        assert_eq!(bob("okta/").get(names::TRAITS_LABEL), None);
        assert_eq!(bob("").get(names::TRAITS_LABEL).map(String::as_str), Some("login"), "nothing is under no prefix");
    }

    /// A user that differs from what it was made as, and whether it needs a change by each way that we are known.
    type Case = (&'static str, fn(&mut User), [bool; 2]);

    // Whatever is compared by digest alone must come to the same as the comparison of the whole users.
    #[test]
    fn a_digest_differs_exactly_when_there_is_something_to_change() {
        let cases: [Case; 14] = [
            ("as it was made", |_| {}, [false, false]),
            ("two values in another order", |u| u.traits.get_mut("okta/groups").unwrap().reverse(), [false, false]),
            ("three values in another order", |u| u.traits.get_mut("okta/clubs").unwrap().reverse(), [false, false]),
            ("a value more", |u| u.traits.get_mut("okta/groups").unwrap().push("c".into()), [true, true]),
            ("a trait of ours gone", |u| drop(u.traits.remove("rank")), [true, true]),
            (
                "another value beside the prefix",
                |u| u.traits.get_mut("rank").unwrap()[0] = "Clerk".into(),
                [true, true],
            ),
            ("a trait under our prefix", |u| drop(u.traits.insert("okta/x".into(), vec!["y".into()])), [true, true]),
            ("a foreign trait", |u| drop(u.traits.insert("logins".into(), vec!["root".into()])), [false, false]),
            ("a foreign role", |u| u.roles.push("dev".into()), [false, false]),
            ("our role gone", |u| u.roles.clear(), [true, true]),
            ("a foreign label", |u| drop(u.labels.insert("team".into(), "blue".into())), [false, false]),
            ("our label gone", |u| drop(u.labels.remove(names::TRAITS_LABEL)), [true, true]),
            ("the origin gone", |u| drop(u.labels.remove(label::ORIGIN)), [false, true]),
            ("an end", |u| u.expires = Some(jiff::Timestamp::MAX), [true, true]),
        ];
        for (what, change, differs) in cases {
            for (mode, differs) in [OriginMode::Bot, OriginMode::Okta].into_iter().zip(differs) {
                let desired = ada(mode);
                let mut user = made(&desired);
                change(&mut user);
                assert_eq!(desired.edit(&user).is_some(), differs, "{what}, {mode:?}");
                assert_eq!(desired.digest() != digest_of(&user.view(), mode), differs, "{what}, {mode:?}");
            }
        }
        // An origin that somebody else gave is no word of ours.
        let desired = ada(OriginMode::Bot);
        let mut user = made(&desired);
        user.labels.insert(label::ORIGIN.into(), "dynamic".into());
        assert_eq!((desired.edit(&user), digest_of(&user.view(), OriginMode::Bot)), (None, desired.digest()));
    }

    // desired.rs, `edit`: each `filter`.
    #[test]
    fn p07_an_edit_sets_what_is_ours_and_keeps_everything_else() {
        let desired = ada(OriginMode::Bot);
        let mut user = made(&desired);
        // It was made for another role, another trait beside the prefix, and under another prefix.
        user.labels.insert(names::ROLES_LABEL.into(), "requester".into());
        user.labels.insert(names::TRAITS_LABEL.into(), "grade".into());
        user.labels.insert(names::TRAIT_PREFIX_LABEL.into(), "sso/".into());
        user.labels.insert("team".into(), "blue".into());
        user.roles = strings(&["dev", "requester"]);
        user.traits = [("grade", "7"), ("sso/title", "Boss"), ("okta/old", "x"), ("logins", "ada")]
            .map(|(name, value)| (name.to_owned(), vec![value.to_owned()]))
            .into();
        let edit = desired.edit(&user).unwrap();
        assert_eq!(edit.roles, ["dev", "okta-requester"]);
        let traits: Vec<&str> = edit.traits.keys().map(String::as_str).collect();
        assert_eq!(traits, ["logins", "okta/clubs", "okta/groups", "okta/login", "okta/title", "rank"]);
        assert_eq!(
            (edit.labels["team"].as_str(), edit.labels[names::ROLES_LABEL].as_str()),
            ("blue", "okta-requester")
        );
        // What has one owner only is not taken away for want of a wish.
        let nobody = DesiredUser { roles: vec![], ..desired.clone() };
        assert_eq!(nobody.edit(&user).unwrap().roles, ["dev"]);
        user.roles = strings(&["okta-requester"]);
        user.labels.insert(names::ROLES_LABEL.into(), "okta-requester".into());
        assert_eq!(desired.edit(&user).unwrap().roles, ["okta-requester"], "kept in its place, and once");
    }
}
