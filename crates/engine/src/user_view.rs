//! A user whose texts lie elsewhere: in a page of a list, where everybody is looked at once and forgotten.

use std::ops::Range;

use jiff::Timestamp;

use crate::{
    failure::Failure,
    user::{ConnectorRef, User},
};

/// What a [`User`] says, but for its original, in texts that are borrowed.
///
/// It is filled piece by piece, in whatever order the pieces come, and then [`settled`](UserView::settle). Maps are lists in
/// here, so that one value serves for one user after another without any allocation.
#[derive(Clone, Debug, Default)]
pub struct UserView<'a> {
    /// Name.
    pub name: &'a str,
    /// Revision.
    pub revision: &'a str,
    /// Roles.
    pub roles: Vec<&'a str>,
    /// When the server will drop the user by itself.
    pub expires: Option<Timestamp>,
    /// Connector in `created_by`.
    pub created_by: Option<ConnectorView<'a>>,
    labels: Vec<(&'a str, &'a str)>,
    /// Names, and which of `values` are theirs.
    traits: Vec<(&'a str, Range<usize>)>,
    values: Vec<&'a str>,
}

/// What a [`ConnectorRef`] says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectorView<'a> {
    /// `saml`, `oidc`, `github`.
    pub kind: &'a str,
    /// Name of the connector.
    pub id: &'a str,
    /// Name of the person at the connector.
    pub identity: &'a str,
}

/// An entry of a list of users, not yet read.
pub trait ListedUser: Send {
    /// Fills `view`, which is empty, and settles it.
    ///
    /// # Errors
    /// It cannot be read.
    fn read<'a>(&'a self, view: &mut UserView<'a>) -> Result<(), Failure>;
}

impl<'a> UserView<'a> {
    /// Forgets everything but the room.
    pub fn clear(&mut self) {
        let Self { name, revision, roles, expires, created_by, labels, traits, values } = self;
        (*name, *revision, *expires, *created_by) = ("", "", None, None);
        roles.clear();
        labels.clear();
        traits.clear();
        values.clear();
    }

    /// Adds a label.
    pub fn add_label(&mut self, key: &'a str, value: &'a str) {
        self.labels.push((key, value));
    }

    /// Adds a trait, which has no values yet.
    pub fn add_trait(&mut self, name: &'a str) {
        let end = self.values.len();
        self.traits.push((name, end..end));
    }

    /// Adds a value of the trait that was added last.
    pub fn add_value(&mut self, value: &'a str) {
        if let Some((_, values)) = self.traits.last_mut() {
            self.values.push(value);
            values.end += 1;
        }
    }

    /// Puts labels and traits in the order of their names. Of several under one name the last counts.
    pub fn settle(&mut self) {
        last_of_each(&mut self.labels);
        last_of_each(&mut self.traits);
    }

    /// Whether there is a label of that key.
    #[must_use]
    pub fn has_label(&self, key: &str) -> bool {
        self.find_label(key).is_some()
    }

    /// The value of the label; empty if there is none.
    #[must_use]
    pub fn label(&self, key: &str) -> &'a str {
        self.find_label(key).unwrap_or_default()
    }

    fn find_label(&self, key: &str) -> Option<&'a str> {
        let at = self.labels.binary_search_by_key(&key, |(key, _)| key).ok()?;
        Some(self.labels[at].1)
    }

    /// Labels, in the order of their keys.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.labels.iter().copied()
    }

    /// Traits, in the order of their names.
    pub fn traits(&self) -> impl Iterator<Item = (&'a str, &[&'a str])> {
        self.traits.iter().map(|(name, values)| (*name, self.values.get(values.clone()).unwrap_or_default()))
    }
}

/// Sorts entries by name, and of those of one name leaves the last.
fn last_of_each<T>(entries: &mut Vec<(&str, T)>) {
    if entries.is_sorted_by(|(before, _), (after, _)| before < after) {
        return;
    }
    entries.reverse();
    entries.sort_by_key(|(name, _)| *name);
    entries.dedup_by_key(|(name, _)| *name);
}

impl User {
    /// The user as it is looked at.
    #[must_use]
    pub fn view(&self) -> UserView<'_> {
        let mut view = UserView {
            name: &self.name,
            revision: &self.revision,
            roles: self.roles.iter().map(String::as_str).collect(),
            expires: self.expires,
            created_by: self.created_by.as_ref().map(ConnectorRef::view),
            labels: self.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            ..UserView::default()
        };
        for (name, values) in &self.traits {
            view.add_trait(name);
            for value in values {
                view.add_value(value);
            }
        }
        view
    }
}

impl ConnectorRef {
    fn view(&self) -> ConnectorView<'_> {
        ConnectorView { kind: &self.kind, id: &self.id, identity: &self.identity }
    }
}

impl From<&UserView<'_>> for User {
    fn from(view: &UserView<'_>) -> Self {
        let owned = |text: &str| text.to_owned();
        Self {
            name: owned(view.name),
            revision: owned(view.revision),
            labels: view.labels().map(|(key, value)| (owned(key), owned(value))).collect(),
            roles: view.roles.iter().copied().map(owned).collect(),
            traits: view
                .traits()
                .map(|(name, values)| (owned(name), values.iter().copied().map(owned).collect()))
                .collect(),
            expires: view.expires,
            created_by: view.created_by.map(|ConnectorView { kind, id, identity }| ConnectorRef {
                kind: owned(kind),
                id: owned(id),
                identity: owned(identity),
            }),
            ..Self::default()
        }
    }
}

impl ListedUser for User {
    fn read<'a>(&'a self, view: &mut UserView<'a>) -> Result<(), Failure> {
        *view = self.view();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_seen_as_it_is() {
        let user = User {
            name: "ada".into(),
            revision: "7".into(),
            labels: [("b".to_owned(), "2".to_owned()), ("a".to_owned(), String::new())].into(),
            roles: vec!["z".into(), "a".into()],
            traits: [("none".to_owned(), vec![]), ("two".to_owned(), vec!["y".to_owned(), "x".to_owned()])].into(),
            expires: Some(Timestamp::UNIX_EPOCH),
            created_by: Some(ConnectorRef { kind: "saml".into(), id: "okta".into(), identity: "ada".into() }),
            ..User::default()
        };
        assert_eq!(User::from(&user.view()), user);
        let view = user.view();
        assert_eq!((view.label("b"), view.label("a"), view.label("c")), ("2", "", ""));
        assert_eq!((view.has_label("a"), view.has_label("c")), (true, false));
    }

    #[test]
    fn pieces_come_in_any_order_and_the_last_of_a_name_counts() {
        let mut view = UserView::default();
        for round in ["first", "second"] {
            view.clear();
            view.add_value("of no trait");
            view.add_label("b", "old");
            view.add_label("a", round);
            view.add_label("b", "new");
            view.add_trait("t");
            view.add_value("lost");
            view.add_trait("s");
            view.add_value("1");
            view.add_value("2");
            view.add_trait("t");
            view.settle();
            assert_eq!(view.labels().collect::<Vec<_>>(), [("a", round), ("b", "new")]);
            assert_eq!(view.traits().collect::<Vec<_>>(), [("s", &["1", "2"][..]), ("t", &[][..])]);
        }
    }
}
