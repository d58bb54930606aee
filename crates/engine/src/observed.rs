//! What Teleport holds, as one resource sees it: for each user of the [`Census`] whose it is, and for ours one number that
//! stands for all the rest.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
    time::Instant,
};

use crate::{
    census::{Census, Line},
    cluster::{Cluster, ClusterFacts},
    failure::Failure,
    lock::{Lock, LockReason},
    ownership::Ownership,
    policy::Policy,
    roster::Roster,
    words::{Word, Words},
};

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose it is.
    pub ownership: Ownership,
    /// A user of ours that a login has rewritten: recognised by the roster, its labels are gone.
    pub drifted: bool,
}

/// Whose a user is.
#[derive(Clone, Copy, Debug)]
enum Owner<'a> {
    /// Ours: the Okta id, and the digest of what is ours of it, unless a login has rewritten the user.
    Ours(Word, Option<u64>),
    /// Somebody else's.
    Other(&'a Ownership),
}

/// Name and Okta id of an account, as an [`Observed`] names them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) okta_id: Word,
    pub(crate) name: Word,
}

/// All users and locks of the cluster.
#[derive(Debug, Default)]
pub struct Observed {
    census: Arc<Census>,
    /// Whose users are that bear the mark of that place in the census; of ours, whoever's.
    whose: Vec<Ownership>,
    /// The Okta ids of users of ours that a login has rewritten, by their places in the census.
    drifted: HashMap<u32, Word>,
    /// Names and Okta ids: the census's own, or what stands on it.
    words: Arc<Words>,
    /// Who has which accounts of ours: made when it is first asked for, and then shared with whoever keeps it.
    roster: OnceLock<Arc<Roster>>,
    /// Locks in force that are this resource's, by the user name that they target.
    locks: HashMap<String, Vec<Lock>>,
    /// User names that a lock of somebody else targets: SCIM, an administrator, another resource.
    locked_by_others: HashMap<String, String>,
}

impl Observed {
    /// Reads every user and lock. The list of users may be one that was read for another resource, and began no earlier than
    /// `since`.
    ///
    /// # Errors
    /// The list could not be read to its end.
    pub async fn read<C: Cluster>(
        cluster: &C,
        facts: &ClusterFacts,
        since: Instant,
        policy: &Policy,
        roster: &Roster,
        now: jiff::Timestamp,
    ) -> Result<Self, Failure> {
        let mut observed = Self::of(cluster.census(facts, since).await?, policy, roster);
        for lock in cluster.locks().await? {
            observed.note_lock(lock, policy, now);
        }
        Ok(observed)
    }

    /// These users, and no lock. `former` is who had which account at the last list.
    #[must_use]
    pub fn of(census: Arc<Census>, policy: &Policy, former: &Roster) -> Self {
        let whose = census.marks().iter().map(|mark| mark.view().ownership(policy, "")).collect();
        let mut observed = Self { words: census.words().clone(), census, whose, ..Self::default() };
        observed.recognise(former);
        observed
    }

    /// Finds users of ours whose labels a login has taken away: few, in the time between two lists.
    fn recognise(&mut self, former: &Roster) {
        let by_login = |whose: &Ownership| matches!(whose, Ownership::Connector { same: true, .. });
        if !self.whose.iter().any(by_login) {
            return;
        }
        let mut words = Words::over(&self.words);
        for (at, line) in self.census.lines() {
            if self.whose.get(line.mark as usize).is_some_and(by_login)
                && let Some(okta_id) = former.holder(self.words.text(line.name))
            {
                self.drifted.insert(at, words.add(okta_id));
            }
        }
        if !self.drifted.is_empty() {
            self.words = Arc::new(words);
        }
    }

    fn owner(&self, at: u32, line: &Line) -> Owner<'_> {
        const NOBODY: &Ownership = &Ownership::Local;
        if let Some(okta_id) = self.drifted.get(&at) {
            return Owner::Ours(*okta_id, None);
        }
        match self.whose.get(line.mark as usize) {
            Some(Ownership::Ours { .. }) => Owner::Ours(line.okta_id, Some(line.digest())),
            other => Owner::Other(other.unwrap_or(NOBODY)),
        }
    }

    /// Adds one lock, if it is in force and targets a user.
    pub fn note_lock(&mut self, lock: Lock, policy: &Policy, now: jiff::Timestamp) {
        if lock.user.is_empty() || !lock.in_force(now) {
            return;
        }
        if lock.ours.as_ref().is_some_and(|mark| mark.owner == policy.owner && mark.org_url == policy.org_url) {
            self.locks.entry(lock.user.clone()).or_default().push(lock);
        } else {
            self.locked_by_others.insert(lock.user, lock.name);
        }
    }

    /// Leaves the accounts of these people alone in what is asked by person; users and locks stay known by
    /// name. A partial pass must not take for leavers whom it has not asked about.
    pub(crate) fn only(&mut self, people: &HashSet<&str>) {
        let mut roster = Roster::of(self);
        roster.retain(|okta_id| people.contains(okta_id));
        self.roster = Arc::new(roster).into();
    }

    /// Name of a lock in force on that user name that is not ours.
    #[must_use]
    pub fn locked_by_others(&self, user: &str) -> Option<&str> {
        self.locked_by_others.get(user).map(String::as_str)
    }

    /// How many users there are, whosever they are.
    #[must_use]
    pub fn known(&self) -> usize {
        self.census.len()
    }

    /// The user of that name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<Row> {
        let (at, line) = self.census.find(name)?;
        Some(match self.owner(at, line) {
            Owner::Ours(okta_id, digest) => {
                let okta_id = self.words.text(okta_id).to_owned();
                Row { ownership: Ownership::Ours { okta_id }, drifted: digest.is_none() }
            }
            Owner::Other(other) => Row { ownership: other.clone(), drifted: false },
        })
    }

    /// The account of that name, if it is ours and that person's; and its digest, unless a login has rewritten it.
    pub(crate) fn account(&self, name: &str, okta_id: &str) -> Option<(Account, Option<u64>)> {
        let (at, line) = self.census.find(name)?;
        match self.owner(at, line) {
            Owner::Ours(id, digest) if self.words.text(id) == okta_id => {
                Some((Account { okta_id: id, name: line.name }, digest))
            }
            _ => None,
        }
    }

    /// What names and Okta ids lie in.
    pub(crate) fn words(&self) -> &Arc<Words> {
        &self.words
    }

    /// Who has which accounts of ours; those of one person in the order in which they came.
    pub(crate) fn roster(&self) -> &Arc<Roster> {
        self.roster.get_or_init(|| Arc::new(Roster::of(self)))
    }

    /// Names of the accounts of ours that the person has: one, or two while a rename is under way.
    pub fn accounts<'a>(&'a self, okta_id: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.roster().accounts(okta_id)
    }

    /// Every account of ours, in the order in which they came.
    pub(crate) fn every_account(&self) -> impl Iterator<Item = Account> {
        self.census.lines().filter_map(|(at, line)| match self.owner(at, line) {
            Owner::Ours(okta_id, _) => Some(Account { okta_id, name: line.name }),
            Owner::Other(_) => None,
        })
    }

    /// Okta id and name of every account of ours, in the order of the ids; of one person, in the order in which they came.
    pub fn ours(&self) -> impl Iterator<Item = (&str, &str)> {
        self.roster().in_order()
    }

    /// How many users are ours.
    #[must_use]
    pub fn owned(&self) -> usize {
        self.roster().owned()
    }

    /// Our locks in force on that user name.
    #[must_use]
    pub fn locks(&self, user: &str) -> &[Lock] {
        self.locks.get(user).map_or(&[], Vec::as_slice)
    }

    /// When our locks on people who left (or go under another name) were made.
    pub(crate) fn removal_locks(&self) -> impl Iterator<Item = jiff::Timestamp> {
        let for_good = |lock: &&Lock| lock.ours.as_ref().is_some_and(|mark| mark.reason != LockReason::Suspended);
        self.locks.values().flatten().filter(for_good).filter_map(|lock| lock.created)
    }

    /// How many locks of ours are in force.
    #[must_use]
    pub fn lock_count(&self) -> usize {
        self.locks.values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use api::names;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        cluster::OriginMode,
        desired::digest_of,
        lock::Mark,
        ownership,
        test_values::{ORG, OWNER, facts, policy_with},
        user::{ConnectorRef, User, label},
    };

    fn local(name: &str) -> User {
        User { name: name.into(), ..User::default() }
    }

    fn of(okta_id: &str, name: &str) -> User {
        let labels = [(names::OWNER_LABEL, OWNER), (names::OKTA_ORG_LABEL, ORG), (names::OKTA_USER_ID_LABEL, okta_id)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        User { labels: labels.into(), ..local(name) }
    }

    fn observed(users: &[User]) -> Observed {
        seen(users, &Roster::default())
    }

    fn seen(users: &[User], former: &Roster) -> Observed {
        let mut census = Census::default();
        for user in users {
            census.add(&user.view(), &facts(OriginMode::Bot));
        }
        Observed::of(Arc::new(census), &policy_with(|_| {}), former)
    }

    #[test]
    fn users_of_several_owners_keep_each_their_own() {
        let others = observed(&[local("a"), local("@b"), of("00u1", "c"), local("d"), local("operator")]);
        let whose = |name: &str| others.user(name).map(|row| row.ownership);
        assert_eq!((whose("a"), whose("d")), (Some(Ownership::Local), Some(Ownership::Local)));
        assert_eq!((whose("@b"), whose("operator")), (Some(Ownership::System), Some(Ownership::System)));
        assert_eq!(whose("c"), Some(Ownership::Ours { okta_id: "00u1".into() }));
        assert_eq!((whose("e"), others.known(), others.owned()), (None, 5, 1));
    }

    /// Any user, of few different kinds, so that many bear the same marks.
    fn anybody() -> impl Strategy<Value = User> {
        let one_of = |values: &'static [&'static str]| prop::option::of(prop::sample::select(values));
        let labels = (
            one_of(&[OWNER, "ns/other", ""]),
            one_of(&[ORG, "https://other.okta.com"]),
            one_of(&["00u1", "00u2", ""]),
            one_of(&["okta", "scim", "dynamic"]),
        );
        let maker = prop::option::of((one_of(&["saml", "oidc"]), one_of(&["okta", "other"])));
        ("[a-f@]{1,3}", labels, maker).prop_map(|(name, (owner, org, okta_id, origin), maker)| {
            let labels = [
                (names::OWNER_LABEL, owner),
                (names::OKTA_ORG_LABEL, org),
                (names::OKTA_USER_ID_LABEL, okta_id),
                (label::ORIGIN, origin),
            ];
            let labels = labels.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
            let connector = |(kind, id): (Option<&str>, Option<&str>)| ConnectorRef {
                kind: kind.unwrap_or_default().into(),
                id: id.unwrap_or_default().into(),
                identity: name.clone(),
            };
            User { labels: labels.collect(), created_by: maker.map(connector), ..local(&name) }
        })
    }

    proptest! {
        // census.rs, `add`; ownership.rs, `of`: one list says to each resource what each user alone would.
        #[test]
        fn whose_a_user_is_does_not_depend_on_the_list_that_shows_it(
            users in prop::collection::vec(anybody(), 0..40),
            as_okta in any::<bool>(),
        ) {
            let facts = facts(if as_okta { OriginMode::Okta } else { OriginMode::Bot });
            let mut census = Census::default();
            for user in &users {
                census.add(&user.view(), &facts);
            }
            let census = Arc::new(census);
            let last: BTreeMap<&str, &User> = users.iter().map(|user| (user.name.as_str(), user)).collect();
            prop_assert_eq!(census.len(), last.len());
            for owner in [OWNER, "ns/other"] {
                let policy = Policy { owner: owner.into(), ..policy_with(|_| {}) };
                let observed = Observed::of(census.clone(), &policy, &Roster::default());
                let mut ours = 0;
                for (name, user) in &last {
                    let alone = ownership::of(&user.view(), &policy, &facts);
                    if let Ownership::Ours { okta_id } = &alone {
                        ours += 1;
                        let digest = observed.account(name, okta_id).and_then(|(_, digest)| digest);
                        prop_assert_eq!(digest, Some(digest_of(&user.view(), facts.origin_mode)));
                    }
                    prop_assert_eq!(observed.user(name), Some(Row { ownership: alone, drifted: false }));
                }
                prop_assert_eq!(observed.owned(), ours);
            }
        }
    }

    // observed.rs, `of`, `owner`.
    #[test]
    fn p06_two_resources_see_their_own_users_in_one_list_and_each_those_whom_a_login_rewrote() {
        let by_login = |name: &str| {
            let connector = ConnectorRef { kind: "saml".into(), id: "okta".into(), identity: name.into() };
            User { created_by: Some(connector), ..local(name) }
        };
        let neighbours = |okta_id: &str, name: &str| {
            let mut user = of(okta_id, name);
            user.labels.insert(names::OWNER_LABEL.into(), "ns/other".into());
            user
        };
        let users = [of("00u1", "ada"), neighbours("00u2", "bob"), by_login("cyd"), by_login("dan"), by_login("eve")];
        let mut census = Census::default();
        for user in &users {
            census.add(&user.view(), &facts(OriginMode::Bot));
        }
        let census = Arc::new(census);
        let former = |who: &[(&str, &str)]| {
            let mut roster = Roster::default();
            for (okta_id, name) in who {
                roster.note(okta_id, name);
            }
            roster
        };
        let other = Policy { owner: "ns/other".into(), ..policy_with(|_| {}) };
        let one = Observed::of(census.clone(), &policy_with(|_| {}), &former(&[("00u1", "ada"), ("00u3", "cyd")]));
        let two = Observed::of(census, &other, &former(&[("00u4", "dan")]));
        let seen = |observed: &Observed| {
            let row = |user: &User| {
                let row = observed.user(&user.name).unwrap();
                match row.ownership {
                    Ownership::Ours { okta_id } => format!("{okta_id}{}", if row.drifted { " drifted" } else { "" }),
                    Ownership::OtherResource(owner) => owner,
                    Ownership::Connector { id, same: true } => format!("by {id}"),
                    other => format!("{other:?}"),
                }
            };
            users.iter().map(row).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(seen(&one), "00u1, ns/other, 00u3 drifted, by okta, by okta");
        assert_eq!(seen(&two), format!("{OWNER}, 00u2, by okta, 00u4 drifted, by okta"));
        assert_eq!(one.ours().collect::<Vec<_>>(), [("00u1", "ada"), ("00u3", "cyd")]);
        assert_eq!(two.ours().collect::<Vec<_>>(), [("00u2", "bob"), ("00u4", "dan")]);
        assert!(one.account("ada", "00u1").is_some_and(|(_, digest)| digest.is_some()));
        assert!(one.account("cyd", "00u3").is_some_and(|(_, digest)| digest.is_none()));
        assert!(one.account("bob", "00u2").is_none() && two.account("cyd", "00u3").is_none());
    }

    #[test]
    fn of_a_user_who_is_shown_twice_the_last_word_counts() {
        let accounts = |observed: &Observed, id: &str| observed.accounts(id).map(str::to_owned).collect::<Vec<_>>();
        let moved = observed(&[of("00u1", "a"), of("00u2", "a")]);
        assert_eq!((accounts(&moved, "00u1").len(), accounts(&moved, "00u2"), moved.known()), (0, vec!["a".into()], 1));
        let two = observed(&[of("00u1", "a"), of("00u1", "b"), of("00u1", "c"), local("a")]);
        assert_eq!((accounts(&two, "00u1"), two.known(), two.owned()), (vec!["b".into(), "c".into()], 3, 2));
        let last = observed(&[of("00u1", "a"), of("00u1", "b"), local("b")]);
        assert_eq!(accounts(&last, "00u1"), ["a"]);
    }

    #[test]
    fn a_lock_is_this_resources_by_owner_and_organisation_and_counts_while_it_is_in_force() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let lock = |user: &str, owner: &str, org: &str, expires| Lock {
            name: format!("{owner} {org} {user}"),
            user: user.into(),
            message: String::new(),
            expires,
            created: Some(at(1)),
            ours: Some(Mark {
                owner: owner.into(),
                org_url: org.into(),
                okta_id: "00u1".into(),
                reason: LockReason::Leaver,
            }),
        };
        let mut observed = observed(&[]);
        for lock in [
            lock("ours", OWNER, ORG, Some(at(11))),
            lock("over", OWNER, ORG, Some(at(10))),
            lock("", OWNER, ORG, None),
            lock("neighbours", "ns/other", ORG, None),
            lock("elsewhere", OWNER, "https://other.okta.com", None),
        ] {
            observed.note_lock(lock, &policy_with(|_| {}), at(10));
        }
        assert_eq!((observed.lock_count(), observed.locks("ours").len()), (1, 1));
        assert_eq!((observed.locks("over").len(), observed.locked_by_others("over")), (0, None));
        assert_eq!(observed.locked_by_others(""), None, "it targets no user");
        for user in ["neighbours", "elsewhere"] {
            assert!(observed.locked_by_others(user).is_some() && observed.locks(user).is_empty(), "{user}");
        }
        assert_eq!(observed.removal_locks().collect::<Vec<_>>(), [at(1)]);
    }
}
