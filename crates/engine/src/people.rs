//! The people of the source, read page by page, each judged once and then kept as three words: id, name, judgement.
//! Only for those whose user has to be made or changed is the desired user kept, packed.

use std::collections::{HashMap, HashSet};

use futures::StreamExt as _;

use crate::{
    belonging::{self, Belonging},
    cluster::OriginMode,
    desired::{Common, DesiredUser, desired},
    directory::{Directory, PeopleSource},
    name,
    name_index::NameIndex,
    observed::Observed,
    packed::Packed,
    person::Person,
    policy::Policy,
    report::Read,
    words::{Index, Word, Words, row},
};

/// Why somebody leaves, or an account goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Not in a list that was read to its end; not yet confirmed.
    Absent,
    /// Deactivated in Okta.
    Deactivated,
    /// Deleted in Okta.
    Deleted,
    /// No longer assigned to the app (or a member of the groups).
    Unassigned,
    /// In none of the groups that narrow the scope.
    OutOfGroup,
    /// The filter says no.
    OutOfFilter,
    /// Suspended, and `users.suspended` is `Remove`.
    Suspended,
    /// The person goes under this other name now.
    Renamed(String),
    /// The `OktaUserSync` was deleted, with a `deletionPolicy` that says so.
    ResourceDeleted,
}

impl Cause {
    /// In words, for locks, plans and logs.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Renamed(to) => format!("renamed to {to} in Okta"),
            other => other.nameless().to_owned(),
        }
    }

    /// In words that name nobody, for the journal.
    #[must_use]
    pub fn nameless(&self) -> &'static str {
        match self {
            Self::Absent => "not listed any more",
            Self::Deactivated => "deactivated in Okta",
            Self::Deleted => "deleted in Okta",
            Self::Unassigned => "no longer assigned in Okta",
            Self::OutOfGroup => "in none of the groups any more",
            Self::OutOfFilter => "outside the filter",
            Self::Suspended => "suspended in Okta",
            Self::Renamed(_) => "renamed in Okta",
            Self::ResourceDeleted => "the OktaUserSync was deleted",
        }
    }
}

/// What is to become of a listed person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Belongs.
    Member {
        /// Whether the person is suspended (and `users.suspended` is not `Ignore`).
        suspended: bool,
    },
    /// Has left.
    Leaver(Cause),
    /// Is left as they are.
    Keep {
        /// Why.
        why: String,
        /// What to do.
        remedy: &'static str,
        /// Whether the person is suspended (and `users.suspended` is not `Ignore`): then the accounts they have are locked.
        suspended: bool,
    },
    /// Is on the exclusion list.
    Excluded,
}

impl Judgement {
    /// Nothing at all is done about the person.
    fn untouched(why: String, remedy: &'static str) -> Self {
        Self::Keep { why, remedy, suspended: false }
    }
}

/// What to do about a state that Okta has invented since.
pub(crate) const UNKNOWN_STATE: &str =
    "nothing, if the state passes; else update okta-user-sync, or take the person out of the scope in Okta";

/// What is to become of `person`.
pub fn judge(person: &Person, policy: &Policy, is_member: impl FnOnce(&str) -> bool) -> Judgement {
    if person.user_name.as_deref().is_some_and(|name| policy.exclude.is_match(name)) {
        return Judgement::Excluded;
    }
    let suspended = match belonging::of(person) {
        Belonging::Deactivated => return Judgement::Leaver(Cause::Deactivated),
        Belonging::Unassigned => return Judgement::Leaver(Cause::Unassigned),
        Belonging::Deleted => return Judgement::Leaver(Cause::Deleted),
        Belonging::Unknown(state) => return Judgement::untouched(unknown(&state), UNKNOWN_STATE),
        Belonging::Suspended => policy.suspended != api::spec::Suspended::Ignore,
        Belonging::Present => false,
    };
    if !policy.narrowing_groups().is_empty() && !is_member(&person.id) {
        return Judgement::Leaver(Cause::OutOfGroup);
    }
    match policy.filter.as_ref().map(|filter| filter.matches(person)) {
        Some(Ok(false)) => return Judgement::Leaver(Cause::OutOfFilter),
        Some(Err(why)) => {
            return Judgement::untouched(
                why,
                "mend scope.filter: ask has(user.profile.x) before using what not everybody has",
            );
        }
        Some(Ok(true)) | None => {}
    }
    let why = match person.user_name.as_deref() {
        None => "Okta shows no user name for the person".into(),
        Some(name) => match name::refusal(name) {
            Some(why) => format!("the user name cannot be given: {why}"),
            None => return Judgement::Member { suspended },
        },
    };
    let remedy = "give the person another user name in Okta, or exclude the name (scope.exclude)";
    Judgement::Keep { why, remedy, suspended }
}

/// Why somebody in an unknown state is left as they are.
pub(crate) fn unknown(state: &str) -> String {
    format!("{state} is not known to this version")
}

/// One person.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// User name; empty when Okta shows none.
    pub name: &'a str,
    /// What is to become of them.
    pub judgement: Judgement,
}

/// What is kept of one person.
#[derive(Clone, Copy, Debug)]
struct Line {
    okta_id: Word,
    name: Word,
    verdict: Verdict,
}

/// A judgement in one byte.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    Present,
    Suspended,
    Excluded,
    /// In words, in [`People::others`]: few leave or are left alone.
    Other,
}

/// Whether Okta shows anybody who could belong (P2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Somebody.
    Somebody,
    /// The source lists nobody.
    Nobody,
    /// The source lists people, and the groups that narrow the scope have no member at all.
    NobodyInGroups,
}

/// Everybody who was listed.
#[derive(Debug)]
pub struct People {
    /// How far the list was read.
    pub read: Read,
    /// Names and Okta ids; those that Teleport's users have too are shared with them.
    words: Words,
    lines: Vec<Line>,
    by_id: Index,
    /// By line.
    others: HashMap<u32, Judgement>,
    /// By line.
    changed: Packed,
    /// User names of members.
    names: NameIndex,
    /// The groups that narrow the scope were read, and have no member.
    nobody_in_groups: bool,
}

impl Default for People {
    fn default() -> Self {
        Self {
            read: Read::NotBegun,
            words: Words::default(),
            lines: Vec::new(),
            by_id: Index::default(),
            others: HashMap::new(),
            changed: Packed::default(),
            names: NameIndex::default(),
            nobody_in_groups: false,
        }
    }
}

impl People {
    /// Nobody yet; who has a user of ours will share its name and id.
    fn beside(observed: &Observed) -> Self {
        Self { words: Words::over(observed.words()), ..Self::default() }
    }

    /// Reads everybody in `source`. A failure on the way leaves what was read, and says where it ended.
    pub async fn read<D: Directory>(
        directory: &D,
        source: &PeopleSource,
        policy: &Policy,
        mode: OriginMode,
        observed: &Observed,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Self {
        let mut people = Self::beside(observed);
        let members = match policy.narrowing_groups() {
            [] => HashSet::new(),
            groups => match directory.members(groups).await {
                Ok(members) => {
                    people.nobody_in_groups = members.is_empty();
                    members
                }
                Err(why) => {
                    people.read = Read::Incomplete { page: 0, why };
                    return people;
                }
            },
        };
        let mut pages = directory.people(source);
        let mut page_number = 0;
        people.read = Read::Incomplete { page: 1, why: ended_early() };
        while let Some(page) = pages.next().await {
            page_number += 1;
            match page {
                Ok(page) => {
                    for person in &page.items {
                        people.note(person, policy, mode, observed, |id| members.contains(id));
                    }
                    progress(people.len());
                    people.read = if page.last {
                        Read::Complete
                    } else {
                        Read::Incomplete { page: page_number + 1, why: ended_early() }
                    };
                }
                Err(why) => {
                    people.read = Read::Incomplete { page: page_number, why };
                    break;
                }
            }
        }
        people
    }

    /// Adds one person; a second sighting of the same id is passed over.
    pub fn note(
        &mut self,
        person: &Person,
        policy: &Policy,
        mode: OriginMode,
        observed: &Observed,
        is_member: impl FnOnce(&str) -> bool,
    ) {
        if self.line(&person.id).is_some() {
            return;
        }
        let judgement = judge(person, policy, is_member);
        let name = person.user_name.as_deref().unwrap_or_default();
        let account = observed.account(name, &person.id);
        if let Judgement::Member { .. } = judgement {
            self.names.note(name, &person.id);
            let desired = desired(person, name, policy, mode);
            let unchanged = account.is_some_and(|(_, digest)| digest == Some(desired.digest()));
            if !unchanged {
                self.changed.put(row(self.lines.len()), || Common::of(policy, mode), &desired);
            }
        }
        let (okta_id, name) = match account {
            Some((account, _)) if self.words.stand_on(observed.words()) => (account.okta_id, account.name),
            _ => (self.words.add(&person.id), self.words.add(name)),
        };
        self.put(okta_id, name, judgement);
    }

    fn put(&mut self, okta_id: Word, name: Word, judgement: Judgement) {
        let at = row(self.lines.len());
        let verdict = match judgement {
            Judgement::Member { suspended: false } => Verdict::Present,
            Judgement::Member { suspended: true } => Verdict::Suspended,
            Judgement::Excluded => Verdict::Excluded,
            other => {
                self.others.insert(at, other);
                Verdict::Other
            }
        };
        self.lines.push(Line { okta_id, name, verdict });
        let (words, lines) = (&self.words, &self.lines);
        self.by_id.add(at, |line| id_of(words, lines, line));
    }

    fn line(&self, okta_id: &str) -> Option<u32> {
        self.by_id.find(okta_id, |line| id_of(&self.words, &self.lines, line))
    }

    /// The person with that Okta id.
    #[must_use]
    pub fn get(&self, okta_id: &str) -> Option<Entry<'_>> {
        self.line(okta_id).map(|line| self.entry(line))
    }

    fn entry(&self, at: u32) -> Entry<'_> {
        let Some(line) = self.lines.get(at as usize) else { return Entry { name: "", judgement: Judgement::Excluded } };
        let judgement = match line.verdict {
            Verdict::Present => Judgement::Member { suspended: false },
            Verdict::Suspended => Judgement::Member { suspended: true },
            Verdict::Excluded => Judgement::Excluded,
            Verdict::Other => self.others.get(&at).cloned().unwrap_or(Judgement::Excluded),
        };
        Entry { name: self.words.text(line.name), judgement }
    }

    /// Everybody, in the order in which they were listed: Okta id and entry.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Entry<'_>)> {
        (0..row(self.lines.len())).map(|at| (self.id(at), self.entry(at)))
    }

    /// Everybody, in the order of the Okta ids.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (&str, Entry<'_>)> {
        let mut order: Vec<u32> = (0..row(self.lines.len())).collect();
        order.sort_unstable_by(|a, b| id_of(&self.words, &self.lines, *a).cmp(id_of(&self.words, &self.lines, *b)));
        order.into_iter().map(|at| (self.id(at), self.entry(at)))
    }

    fn id(&self, at: u32) -> &str {
        self.lines.get(at as usize).map_or("", |line| self.words.text(line.okta_id))
    }

    /// The user that the person should have, if it has to be made or changed.
    #[must_use]
    pub fn changed(&self, okta_id: &str) -> Option<DesiredUser> {
        let line = self.line(okta_id)?;
        self.changed.get(line, okta_id, self.entry(line).name)
    }

    /// Whether the user of that person has to be made or changed.
    pub(crate) fn is_changed(&self, okta_id: &str) -> bool {
        self.line(okta_id).is_some_and(|line| self.changed.holds(line))
    }

    /// Traits of that user that had to be left out.
    pub(crate) fn left_out(&self, okta_id: &str) -> &[String] {
        self.line(okta_id).map_or(&[], |line| self.changed.left_out(line))
    }

    /// Whether several members share that user name (letter case aside: Okta holds such names for equal).
    #[must_use]
    pub fn shared(&self, name: &str) -> bool {
        self.names.shared(name)
    }

    /// Whether a member other than this person goes under that name (letter case aside).
    #[must_use]
    pub fn wanted_by_others(&self, name: &str, okta_id: &str) -> bool {
        self.names.wanted_by_others(name, okta_id)
    }

    /// Notes that somebody who is not among these people goes under that name.
    pub(crate) fn note_elsewhere(&mut self, name: &str) {
        self.names.note(name, "");
    }

    /// Who goes under which name. What is asked by name has no answer afterwards.
    pub(crate) fn take_names(&mut self) -> NameIndex {
        std::mem::take(&mut self.names)
    }

    /// Whether anybody was seen who could belong.
    #[must_use]
    pub fn sight(&self) -> Sight {
        if self.is_empty() {
            Sight::Nobody
        } else if self.nobody_in_groups {
            Sight::NobodyInGroups
        } else {
            Sight::Somebody
        }
    }

    /// How many people were listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether nobody was listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// The Okta id of a line.
fn id_of<'a>(words: &'a Words, lines: &[Line], line: u32) -> &'a [u8] {
    lines.get(line as usize).map_or(&[], |line| words.bytes(line.okta_id))
}

fn ended_early() -> crate::failure::Failure {
    crate::failure::Failure::new(
        crate::failure::Side::Okta,
        crate::failure::Class::Transient,
        "ListIncomplete",
        "Okta's list of people ended before its last page",
        "nobody is removed; the next pass reads it again",
    )
}
