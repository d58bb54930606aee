//! The port through which every write to Teleport is told, before it is made and after it has ended, so that a crash
//! between the two hides nothing: a write that began and has no end may or may not have happened, and the next pass,
//! which reads everything afresh, shows which.

use std::borrow::Cow;

use crate::{cluster::WriteError, lock::Lock, report::FieldChange};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A user is made.
    CreateUser,
    /// A user is changed.
    UpdateUser,
    /// A user is deleted.
    DeleteUser,
    /// A lock is made, or made anew.
    PutLock,
    /// A lock is taken away.
    RemoveLock,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::CreateUser, Self::UpdateUser, Self::DeleteUser, Self::PutLock, Self::RemoveLock];

    /// The word in journal and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateUser => "create_user",
            Self::UpdateUser => "update_user",
            Self::DeleteUser => "delete_user",
            Self::PutLock => "put_lock",
            Self::RemoveLock => "remove_lock",
        }
    }
}

/// What a pass's writes rest on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds {
    /// People in a list that was read to its end (P1); `None` when no list was, or it was not.
    pub people_read: Option<usize>,
    /// Hash of the set of removals that the brake let pass; `None` when there are none.
    pub plan: Option<String>,
    /// Whether that set needed an approval, and had it (P5).
    pub approved: bool,
}

/// One write.
#[derive(Clone, Debug)]
pub struct Write<'a> {
    /// What.
    pub action: Action,
    /// Okta id of the person.
    pub okta_id: &'a str,
    /// User name.
    pub user: &'a str,
    /// Name of the lock that is made or taken away.
    pub lock: Option<&'a str>,
    /// The lock whole, if one is made.
    pub made: Option<&'a Lock>,
    /// Why, in words that name nobody.
    pub why: Cow<'a, str>,
    /// Whether Okta said so when it was asked about this very person (P3).
    pub confirmed_by_id: bool,
    /// Field by field what an update changes.
    pub changes: Vec<FieldChange>,
    /// What the whole pass rests on.
    pub grounds: &'a Grounds,
}

/// Told of writes. Calls come from several writes under way at once; a journal must not block for long.
pub trait Journal: Sync {
    /// `write` is going to be made now. Answers a number by which its end will be told.
    fn begins(&self, write: &Write<'_>) -> u64;

    /// The write of that `number` has ended.
    fn ended(&self, number: u64, write: &Write<'_>, outcome: Result<(), &WriteError>);
}

/// Nobody is told.
impl Journal for () {
    fn begins(&self, _: &Write<'_>) -> u64 {
        0
    }

    fn ended(&self, _: u64, _: &Write<'_>, _: Result<(), &WriteError>) {}
}
