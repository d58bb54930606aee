//! What Teleport holds, kept small: for each user whose it is, and for ours one number that stands for all the rest.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use futures::StreamExt as _;

use crate::{
    cluster::{Cluster, ClusterFacts},
    desired::digest_of,
    failure::{Class, Failure, Side},
    lock::{Lock, LockReason},
    ownership::{self, Ownership},
    policy::Policy,
    roster::Roster,
    user::User,
    user_view::{ListedUser as _, UserView},
    words::{Index, Word, Words, row},
};

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose it is.
    pub ownership: Ownership,
    /// A user of ours that a login has rewritten: recognised by the roster, its labels are gone.
    pub drifted: bool,
}

/// What is kept of one user: sixteen bytes.
#[derive(Clone, Copy, Debug)]
struct Line {
    name: Word,
    /// The Okta id, or, where `digest` says that it is not ours, a place in [`Observed::others`].
    whose: u32,
    digest: u64,
}

/// In place of a digest: the user is somebody else's.
const NOT_OURS: u64 = 0;

/// In place of a digest: a login has rewritten the user.
const DRIFTED: u64 = 1;

/// In place of an owner: the line is not used any more.
const GONE: Owner = Owner::Other(u32::MAX);

/// Whose a user is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    /// Ours: the Okta id, and the digest of what is ours of it ([`digest_of`]), unless a login has rewritten the user.
    Ours(Word, Option<u64>),
    /// Somebody else's: a place in [`Observed::others`].
    Other(u32),
}

impl Line {
    fn new(name: Word, owner: Owner) -> Self {
        let (whose, digest) = match owner {
            // The two numbers that mean something else are taken for a third one.
            Owner::Ours(okta_id, digest) => {
                (okta_id.number(), digest.map_or(DRIFTED, |digest| digest.max(DRIFTED + 1)))
            }
            Owner::Other(place) => (place, NOT_OURS),
        };
        Self { name, whose, digest }
    }

    fn owner(&self) -> Owner {
        match self.digest {
            NOT_OURS => Owner::Other(self.whose),
            DRIFTED => Owner::Ours(Word::of_number(self.whose), None),
            digest => Owner::Ours(Word::of_number(self.whose), Some(digest)),
        }
    }
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
    /// Names and Okta ids.
    words: Arc<Words>,
    lines: Vec<Line>,
    /// Every user by name.
    by_name: Index,
    /// Who has which accounts of ours: made when it is first asked for, and then shared with whoever keeps it.
    roster: OnceLock<Arc<Roster>>,
    /// Whose users there are that are not ours, each once.
    others: Vec<Ownership>,
    /// Locks in force that are this resource's, by the user name that they target.
    locks: HashMap<String, Vec<Lock>>,
    /// User names that a lock of somebody else targets: SCIM, an administrator, another resource.
    locked_by_others: HashMap<String, String>,
}

impl Observed {
    /// Reads every user and lock.
    ///
    /// # Errors
    /// The list could not be read to its end.
    pub async fn read<C: Cluster>(
        cluster: &C,
        facts: &ClusterFacts,
        policy: &Policy,
        roster: &Roster,
        now: jiff::Timestamp,
    ) -> Result<Self, Failure> {
        let mut observed = Self::default();
        let mut pages = cluster.users();
        let mut complete = false;
        while let Some(page) = pages.next().await {
            let page = page?;
            complete = page.last;
            let mut view = UserView::default();
            for user in &page.items {
                view.clear();
                user.read(&mut view)?;
                observed.see(&view, facts, policy, roster);
            }
        }
        drop(pages);
        if !complete {
            return Err(Failure::new(
                Side::Teleport,
                Class::Transient,
                "ListIncomplete",
                "Teleport's list of users ended before its last page",
                "nothing was written; the next pass reads it again",
            ));
        }
        for lock in cluster.locks().await? {
            observed.note_lock(lock, policy, now);
        }
        Ok(observed)
    }

    /// Adds one user. `former` is who had which account at the last list.
    pub fn note(&mut self, user: &User, facts: &ClusterFacts, policy: &Policy, former: &Roster) {
        self.see(&user.view(), facts, policy, former);
    }

    fn see(&mut self, user: &UserView<'_>, facts: &ClusterFacts, policy: &Policy, former: &Roster) {
        let mut ownership = ownership::of(user, policy, facts);
        let ours = matches!(ownership, Ownership::Ours { .. });
        let digest = ours.then(|| digest_of(user, facts.origin_mode));
        if let Ownership::Connector { same: true, .. } = ownership
            && let Some(okta_id) = former.holder(user.name)
        {
            ownership = Ownership::Ours { okta_id: okta_id.to_owned() };
        }
        self.add(user.name, ownership, digest);
    }

    fn add(&mut self, name: &str, ownership: Ownership, digest: Option<u64>) {
        // A list that changes while it is read may show a user twice; the last word counts.
        if let Some(line) = self.by_name.remove(name, name_of(&self.words, &self.lines))
            && let Some(line) = self.lines.get_mut(line as usize)
        {
            *line = Line::new(line.name, GONE);
        }
        // It shares the words, and is true no more.
        self.roster.take();
        let words = Arc::make_mut(&mut self.words);
        let at = row(self.lines.len());
        let name = words.add(name);
        let owner = match ownership {
            Ownership::Ours { okta_id } => Owner::Ours(words.add(&okta_id), digest),
            other => Owner::Other(self.other(other)),
        };
        self.lines.push(Line::new(name, owner));
        self.by_name.add(at, name_of(&self.words, &self.lines));
    }

    /// The place of an ownership that is not ours; there are few different ones.
    fn other(&mut self, ownership: Ownership) -> u32 {
        let known = self.others.iter().rposition(|known| *known == ownership);
        row(known.unwrap_or_else(|| {
            self.others.push(ownership);
            self.others.len() - 1
        }))
    }

    fn line(&self, name: &str) -> Option<&Line> {
        let found = self.by_name.find(name, name_of(&self.words, &self.lines))?;
        self.lines.get(found as usize)
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

    /// Leaves the accounts of these people alone in what is asked by person, once every user is noted; users and locks stay
    /// known by name. A partial pass must not take for leavers whom it has not asked about.
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
        self.by_name.len()
    }

    /// The user of that name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<Row> {
        self.line(name).map(|line| match line.owner() {
            Owner::Ours(okta_id, digest) => {
                let okta_id = self.words.text(okta_id).to_owned();
                Row { ownership: Ownership::Ours { okta_id }, drifted: digest.is_none() }
            }
            Owner::Other(other) => {
                Row { ownership: self.others.get(other as usize).cloned().unwrap_or(Ownership::Local), drifted: false }
            }
        })
    }

    /// The account of that name, if it is ours and that person's; and its digest, unless a login has rewritten it.
    pub(crate) fn account(&self, name: &str, okta_id: &str) -> Option<(Account, Option<u64>)> {
        let line = self.line(name)?;
        match line.owner() {
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
        self.lines.iter().filter_map(|line| match line.owner() {
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

/// The name of a line.
fn name_of<'a>(words: &'a Words, lines: &'a [Line]) -> impl Fn(u32) -> &'a [u8] + Copy {
    |line| lines.get(line as usize).map_or(&[], |line| words.bytes(line.name))
}

#[cfg(test)]
mod tests {
    use api::names;

    use super::*;
    use crate::{
        cluster::OriginMode,
        lock::Mark,
        test_values::{ORG, OWNER, facts, policy_with},
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
        let (policy, facts) = (policy_with(|_| {}), facts(OriginMode::Bot));
        let mut observed = Observed::default();
        for user in users {
            observed.note(user, &facts, &policy, &Roster::default());
        }
        observed
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
