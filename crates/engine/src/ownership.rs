//! Whose a Teleport user is (P6), and whether it may be taken over.

use api::{names, spec::Adopt};

use crate::{
    cluster::{ClusterFacts, OriginMode},
    policy::Policy,
    user::label,
    user_view::UserView,
};

/// Whose a user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Ours: the account of the person with this Okta id.
    Ours {
        /// Okta id.
        okta_id: String,
    },
    /// Of another resource of this product (its `namespace/name`), or of this one for another organisation.
    OtherResource(String),
    /// A bot, a system user, or the very user that this operator is.
    System,
    /// Of another system, by its origin label.
    Origin(String),
    /// Made by a login through a connector.
    Connector {
        /// Its name.
        id: String,
        /// Whether it is this resource's connector.
        same: bool,
    },
    /// A local user.
    Local,
}

/// Origins that name no owner: `dynamic` is what an administrator's own writes carry.
const FREE_ORIGINS: [&str; 2] = ["", "dynamic"];

/// What a user shows of whose it is, whichever resource looks. `S` is how it holds texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mark<S> {
    /// A bot, a system user, or the very user that this operator is.
    System,
    /// An origin label that names another system.
    Origin(S),
    /// The labels of a resource of this product.
    Resource {
        /// Its `namespace/name`.
        owner: S,
        /// The organisation's address.
        org: S,
        /// Whether there is an Okta id too.
        identified: bool,
    },
    /// Made by a login through a connector.
    Connector {
        /// `saml`, `oidc`, `github`.
        kind: S,
        /// Its name.
        id: S,
    },
    /// None at all.
    Local,
}

impl<'a> Mark<&'a str> {
    /// What `user` shows.
    pub(crate) fn of(user: &UserView<'a>, cluster: &ClusterFacts) -> Self {
        let label = |key: &str| user.label(key);
        if user.name == cluster.own_name
            || user.has_label(label::BOT)
            || label(label::RESOURCE_TYPE) == "system"
            || user.name.starts_with('@')
        {
            return Self::System;
        }
        let origin = label(label::ORIGIN);
        let written_as_okta = cluster.origin_mode == OriginMode::Okta && origin == label::ORIGIN_OKTA;
        if !FREE_ORIGINS.contains(&origin) && !written_as_okta {
            return Self::Origin(origin);
        }
        let owner = label(names::OWNER_LABEL);
        if !owner.is_empty() {
            let identified = !label(names::OKTA_USER_ID_LABEL).is_empty();
            return Self::Resource { owner, org: label(names::OKTA_ORG_LABEL), identified };
        }
        if written_as_okta {
            return Self::Origin(origin);
        }
        match user.created_by {
            Some(connector) => Self::Connector { kind: connector.kind, id: connector.id },
            None => Self::Local,
        }
    }

    /// Whose the user is who shows this, and has that Okta id.
    pub(crate) fn ownership(self, policy: &Policy, okta_id: &str) -> Ownership {
        match self {
            Self::System => Ownership::System,
            Self::Origin(origin) => Ownership::Origin(origin.to_owned()),
            Self::Resource { owner, org, identified: true } if owner == policy.owner && org == policy.org_url => {
                Ownership::Ours { okta_id: okta_id.to_owned() }
            }
            Self::Resource { owner, .. } => Ownership::OtherResource(owner.to_owned()),
            Self::Connector { kind, id } => {
                Ownership::Connector { same: kind == "saml" && id == policy.connector, id: id.to_owned() }
            }
            Self::Local => Ownership::Local,
        }
    }

    /// The same with texts of its own.
    pub(crate) fn kept(self) -> Mark<Box<str>> {
        match self {
            Self::System => Mark::System,
            Self::Origin(origin) => Mark::Origin(origin.into()),
            Self::Resource { owner, org, identified } => {
                Mark::Resource { owner: owner.into(), org: org.into(), identified }
            }
            Self::Connector { kind, id } => Mark::Connector { kind: kind.into(), id: id.into() },
            Self::Local => Mark::Local,
        }
    }
}

impl Mark<Box<str>> {
    /// The same with texts that are borrowed.
    pub(crate) fn view(&self) -> Mark<&str> {
        match self {
            Self::System => Mark::System,
            Self::Origin(origin) => Mark::Origin(origin),
            Self::Resource { owner, org, identified } => Mark::Resource { owner, org, identified: *identified },
            Self::Connector { kind, id } => Mark::Connector { kind, id },
            Self::Local => Mark::Local,
        }
    }
}

/// Whose `user` is.
#[must_use]
pub fn of(user: &UserView<'_>, policy: &Policy, cluster: &ClusterFacts) -> Ownership {
    Mark::of(user, cluster).ownership(policy, user.label(names::OKTA_USER_ID_LABEL))
}

impl Ownership {
    /// Whether a user of that name may be taken over by `users.adopt`.
    #[must_use]
    pub fn adoptable(&self, name: &str, policy: &Policy, mode: OriginMode) -> bool {
        let named = policy.adopt == Adopt::All || (policy.adopt == Adopt::Listed && policy.adopt_names.contains(name));
        match self {
            Self::Connector { same: true, .. } => policy.adopt != Adopt::Never,
            Self::Connector { same: false, .. } | Self::Local => named,
            // Users of Teleport's own sync, and only with the role that may write them.
            Self::Origin(origin) => named && mode == OriginMode::Okta && origin == label::ORIGIN_OKTA,
            Self::Ours { .. } | Self::OtherResource(_) | Self::System => false,
        }
    }

    /// Why a user of that name stands in the way, and what to do.
    #[must_use]
    pub fn conflict(&self) -> (String, &'static str) {
        match self {
            Self::Ours { okta_id } => (
                format!("the account belongs to another person (Okta id {okta_id})"),
                "wait until that account has been removed and its lock has run out, or name the user in users.handover",
            ),
            Self::OtherResource(owner) => (
                format!("the user belongs to another OktaUserSync ({owner})"),
                "take the person out of one of the two scopes",
            ),
            Self::System => (
                "the user is a bot or belongs to Teleport itself".into(),
                "give the person another user name in Okta, or exclude the name (scope.exclude)",
            ),
            Self::Origin(origin) => (
                format!("the user belongs to another system (origin {origin})"),
                "let that system give the user up, or exclude the name (scope.exclude)",
            ),
            Self::Connector { id, .. } => (
                format!("a login through connector {id:?} made the user"),
                "set users.adopt to SSO for users of this connector, or name the user in users.adoptNames with users.adopt: Listed",
            ),
            Self::Local => (
                "a local user has that name".into(),
                "name the user in users.adoptNames with users.adopt: Listed, exclude it (scope.exclude), or delete it",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        test_values::{ORG, OWNER, facts, policy_with},
        user::{ConnectorRef, User},
    };

    fn user(name: &str, labels: &[(&str, &str)], created_by: Option<(&str, &str)>) -> User {
        User {
            name: name.into(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            created_by: created_by.map(|(kind, id)| ConnectorRef {
                kind: kind.into(),
                id: id.into(),
                identity: name.into(),
            }),
            ..User::default()
        }
    }

    fn ours() -> Ownership {
        Ownership::Ours { okta_id: "00u1".into() }
    }

    fn connector(id: &str, same: bool) -> Ownership {
        Ownership::Connector { id: id.into(), same }
    }

    // ownership.rs, `of`: each of its conditions.
    #[test]
    fn p06_whose_a_user_is_follows_from_name_labels_and_maker() {
        use OriginMode::{Bot, Okta};
        const ORIGIN: &str = label::ORIGIN;
        let origin = |word: &str| Ownership::Origin(word.into());
        let other = |owner: &str| Ownership::OtherResource(owner.into());
        let mark = |owner, org, id| {
            vec![(names::OWNER_LABEL, owner), (names::OKTA_ORG_LABEL, org), (names::OKTA_USER_ID_LABEL, id)]
        };
        let with = |mut labels: Vec<(&'static str, &'static str)>, more| {
            labels.push(more);
            labels
        };
        let table = [
            ("operator", mark(OWNER, ORG, "00u1"), None, Bot, Ownership::System),
            ("bot-x", vec![(label::BOT, "x")], None, Bot, Ownership::System),
            ("@system", vec![], None, Bot, Ownership::System),
            ("s", vec![(label::RESOURCE_TYPE, "system")], None, Bot, Ownership::System),
            ("s", vec![(label::RESOURCE_TYPE, "preset")], None, Bot, Ownership::Local),
            ("ada", vec![], None, Bot, Ownership::Local),
            ("ada", vec![(ORIGIN, "dynamic")], None, Bot, Ownership::Local),
            ("ada", vec![(ORIGIN, "okta")], None, Bot, origin("okta")),
            ("ada", vec![(ORIGIN, "scim")], None, Bot, origin("scim")),
            ("ada", vec![(ORIGIN, "kubernetes")], None, Bot, origin("kubernetes")),
            ("ada", vec![(ORIGIN, "config-file")], Some(("saml", "okta")), Bot, origin("config-file")),
            ("ada", mark(OWNER, ORG, "00u1"), None, Bot, ours()),
            ("ada", mark(OWNER, "https://other.okta.com", "00u1"), None, Bot, other(OWNER)),
            ("ada", mark(OWNER, ORG, ""), None, Bot, other(OWNER)),
            ("ada", mark("ns/other", ORG, "00u1"), None, Bot, other("ns/other")),
            ("ada", mark("", ORG, "00u1"), None, Bot, Ownership::Local),
            ("ada", with(mark(OWNER, ORG, "00u1"), (ORIGIN, "okta")), None, Okta, ours()),
            ("ada", with(mark(OWNER, ORG, "00u1"), (ORIGIN, "okta")), None, Bot, origin("okta")),
            ("ada", with(mark(OWNER, ORG, "00u1"), (ORIGIN, "scim")), None, Okta, origin("scim")),
            ("ada", vec![(ORIGIN, "okta")], Some(("saml", "okta")), Okta, origin("okta")),
            ("ada", vec![], Some(("saml", "okta")), Bot, connector("okta", true)),
            ("ada", vec![], Some(("saml", "other")), Bot, connector("other", false)),
            ("ada", vec![], Some(("oidc", "okta")), Bot, connector("okta", false)),
        ];
        let policy = policy_with(|_| {});
        for (name, labels, created_by, mode, whose) in table {
            assert_eq!(
                of(&user(name, &labels, created_by).view(), &policy, &facts(mode)),
                whose,
                "{name} {labels:?} {mode:?}"
            );
        }
    }

    // ownership.rs, `adoptable`: each of its conditions.
    #[test]
    fn p06_adopt_says_who_may_be_taken_over_and_nothing_takes_over_a_bot_or_a_neighbours_user() {
        use OriginMode::{Bot, Okta};
        let modes = [Adopt::Never, Adopt::SSO, Adopt::Listed, Adopt::All];
        let all_but_never = [false, true, true, true];
        let origin = |word: &str| Ownership::Origin(word.into());
        // Of one who is named in adoptNames, and of one who is not, for each of the four words.
        let table = [
            (connector("okta", true), Bot, all_but_never, all_but_never),
            (connector("other", false), Bot, [false, false, true, true], [false, false, false, true]),
            (Ownership::Local, Bot, [false, false, true, true], [false, false, false, true]),
            (origin("okta"), Okta, [false, false, true, true], [false, false, false, true]),
            (origin("okta"), Bot, [false; 4], [false; 4]),
            (origin("scim"), Okta, [false; 4], [false; 4]),
            (ours(), Okta, [false; 4], [false; 4]),
            (Ownership::OtherResource("ns/other".into()), Okta, [false; 4], [false; 4]),
            (Ownership::System, Okta, [false; 4], [false; 4]),
        ];
        for (whose, mode, named, unnamed) in table {
            for (adopt, (named, unnamed)) in modes.into_iter().zip(named.into_iter().zip(unnamed)) {
                let policy = policy_with(|spec| {
                    spec.users.adopt = adopt;
                    spec.users.adopt_names = vec!["ada".into()];
                });
                assert_eq!(whose.adoptable("ada", &policy, mode), named, "ada, {adopt:?}, {whose:?} {mode:?}");
                assert_eq!(whose.adoptable("bob", &policy, mode), unnamed, "bob, {adopt:?}, {whose:?} {mode:?}");
            }
        }
    }

    #[test]
    fn what_stands_in_the_way_is_told_with_what_to_do() {
        for (whose, what, remedy) in [
            (ours(), "00u1", "users.handover"),
            (Ownership::OtherResource("ns/other".into()), "ns/other", "one of the two scopes"),
            (Ownership::System, "bot", "scope.exclude"),
            (Ownership::Origin("scim".into()), "origin scim", "scope.exclude"),
            (connector("other", false), "\"other\"", "users.adoptNames"),
            (Ownership::Local, "local user", "users.adoptNames"),
        ] {
            let told = whose.conflict();
            assert!(told.0.contains(what) && told.1.contains(remedy), "{told:?}");
        }
    }
}
