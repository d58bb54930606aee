//! Everybody whom Teleport's list of users shows, whosever they are, kept small.
//!
//! Nothing in it depends on who looks: each resource says for itself whose a user is ([`crate::observed`]). So one reading of
//! the list serves all resources that see the cluster by the same identity; it is the list that costs, and not the look.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use api::names;
use futures::StreamExt as _;

use crate::{
    cluster::{Cluster, ClusterFacts},
    desired::digest_of,
    failure::{Class, Failure, Side},
    ownership::Mark,
    user_view::{ListedUser as _, UserView},
    words::{Index, Word, Words, row},
};

/// How old a list may be, at most, that a pass takes from another pass.
///
/// A pass that somebody waits for takes none that began before it did, and no pass takes one that began before this
/// resource's own last write.
pub const SHARED_FOR: Duration = Duration::from_secs(30);

/// In place of a mark: the line is not used any more.
const GONE: u32 = u32::MAX;

/// What is kept of one user: twenty bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) name: Word,
    /// A place in [`Census::marks`].
    pub(crate) mark: u32,
    /// The Okta id, where a resource of this product has noted one; else the name again, which nobody asks for.
    pub(crate) okta_id: Word,
    /// In halves, which need no gap before them.
    digest: [u32; 2],
}

impl Line {
    /// The digest of what is ours of the user ([`digest_of`]); of a user without an Okta id it says nothing.
    pub(crate) fn digest(&self) -> u64 {
        u64::from(self.digest[0]) << 32 | u64::from(self.digest[1])
    }
}

/// All users of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Names and Okta ids.
    words: Arc<Words>,
    lines: Vec<Line>,
    /// Every user by name.
    by_name: Index,
    /// What users show of whose they are, each once.
    marks: Vec<Mark<Box<str>>>,
    by_mark: hashbrown::HashTable<u32>,
    hasher: RandomState,
}

impl Census {
    /// Reads every user.
    ///
    /// # Errors
    /// The list could not be read to its end.
    pub async fn read<C: Cluster>(cluster: &C, facts: &ClusterFacts) -> Result<Self, Failure> {
        let mut census = Self::default();
        let mut pages = cluster.users();
        let mut complete = false;
        while let Some(page) = pages.next().await {
            let page = page?;
            complete = page.last;
            let mut view = UserView::default();
            for user in &page.items {
                view.clear();
                user.read(&mut view)?;
                census.add(&view, facts);
            }
        }
        if complete {
            return Ok(census);
        }
        Err(Failure::new(
            Side::Teleport,
            Class::Transient,
            "ListIncomplete",
            "Teleport's list of users ended before its last page",
            "nothing was written; the next pass reads it again",
        ))
    }

    /// Adds one user.
    pub fn add(&mut self, user: &UserView<'_>, facts: &ClusterFacts) {
        // A list that changes while it is read may show a user twice; the last word counts.
        if let Some(line) = self.by_name.remove(user.name, name_of(&self.words, &self.lines))
            && let Some(line) = self.lines.get_mut(line as usize)
        {
            line.mark = GONE;
        }
        let mark = Mark::of(user, facts);
        let identified = matches!(mark, Mark::Resource { identified: true, .. });
        let digest = if identified { digest_of(user, facts.origin_mode) } else { 0 };
        let mark = self.mark(mark);
        let words = Arc::make_mut(&mut self.words);
        let name = words.add(user.name);
        let okta_id = if identified { words.add(user.label(names::OKTA_USER_ID_LABEL)) } else { name };
        let at = row(self.lines.len());
        #[allow(clippy::cast_possible_truncation)] // halves
        self.lines.push(Line { name, mark, okta_id, digest: [(digest >> 32) as u32, digest as u32] });
        self.by_name.add(at, name_of(&self.words, &self.lines));
    }

    /// The place of a mark. Most users bear the mark of the one before them, or one of a few.
    fn mark(&mut self, mark: Mark<&str>) -> u32 {
        let (marks, hasher) = (&mut self.marks, &self.hasher);
        let hash = hasher.hash_one(mark);
        let known = |place: &u32| marks.get(*place as usize).is_some_and(|known| known.view() == mark);
        if let Some(place) = self.by_mark.find(hash, known) {
            return *place;
        }
        let place = row(marks.len());
        marks.push(mark.kept());
        self.by_mark.insert_unique(hash, place, |place| {
            marks.get(*place as usize).map_or(0, |mark| hasher.hash_one(mark.view()))
        });
        place
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What names and Okta ids lie in.
    pub(crate) fn words(&self) -> &Arc<Words> {
        &self.words
    }

    /// What there is to be seen of whose users are.
    pub(crate) fn marks(&self) -> &[Mark<Box<str>>] {
        &self.marks
    }

    /// Everybody, in the order in which they came, each with the place at which [`Census::find`] finds them.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u32, &Line)> {
        self.lines.iter().enumerate().filter(|(_, line)| line.mark != GONE).map(|(at, line)| (row(at), line))
    }

    /// The user of that name.
    pub(crate) fn find(&self, name: &str) -> Option<(u32, &Line)> {
        let at = self.by_name.find(name, name_of(&self.words, &self.lines))?;
        Some((at, self.lines.get(at as usize)?))
    }
}

/// The name of a line.
fn name_of<'a>(words: &'a Words, lines: &'a [Line]) -> impl Fn(u32) -> &'a [u8] + Copy {
    |line| lines.get(line as usize).map_or(&[], |line| words.bytes(line.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_takes_twenty_bytes_and_their_texts() {
        assert_eq!(size_of::<Line>(), 20);
    }
}
