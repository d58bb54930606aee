//! Which Okta states belong: one row for every state of the user and of the assignment, and nothing decided elsewhere.
//!
//! A suspended person, a locked-out one, a deactivated one: this is the file.

use crate::person::{AssignmentStatus, Person, PersonStatus};

/// What a person's states say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belonging {
    /// Belongs.
    Present,
    /// Belongs, but is suspended; `users.suspended` decides what follows.
    Suspended,
    /// Has left: deactivated in Okta.
    Deactivated,
    /// Has left: the assignment is no more.
    Unassigned,
    /// Has left: Okta knows nobody of that id.
    Deleted,
    /// A state that is not known here; the person is left exactly as they are.
    Unknown(String),
}

/// What one state of the Okta user says by itself.
#[must_use]
pub fn of_user(status: &PersonStatus) -> Belonging {
    match status {
        // A mistyped or expired password, or an unfinished activation, ends nobody's employment.
        PersonStatus::Staged
        | PersonStatus::Provisioned
        | PersonStatus::Active
        | PersonStatus::Recovery
        | PersonStatus::PasswordExpired
        | PersonStatus::LockedOut => Belonging::Present,
        PersonStatus::Suspended => Belonging::Suspended,
        PersonStatus::Deprovisioned => Belonging::Deactivated,
        PersonStatus::Other(word) => Belonging::Unknown(format!("Okta user status {word}")),
    }
}

/// What one state of the assignment says by itself.
#[must_use]
pub fn of_assignment(status: &AssignmentStatus) -> Belonging {
    match status {
        AssignmentStatus::Active
        | AssignmentStatus::Provisioned
        | AssignmentStatus::Staged
        | AssignmentStatus::Pending
        | AssignmentStatus::Approved
        | AssignmentStatus::Implicit => Belonging::Present,
        AssignmentStatus::Suspended => Belonging::Suspended,
        AssignmentStatus::Inactive
        | AssignmentStatus::Revoked
        | AssignmentStatus::Imported
        | AssignmentStatus::Matched
        | AssignmentStatus::Unassigned
        | AssignmentStatus::Deprovisioned => Belonging::Unassigned,
        AssignmentStatus::Other(word) => Belonging::Unknown(format!("assignment status {word}")),
    }
}

/// What both together say. A deactivated user has left whatever the assignment says; an unknown state otherwise wins over
/// everything, so that it never removes anybody; then the stricter of the two counts.
#[must_use]
pub fn both(user: &PersonStatus, assignment: Option<&AssignmentStatus>) -> Belonging {
    let user = of_user(user);
    let assignment = assignment.map_or(Belonging::Present, of_assignment);
    match (user, assignment) {
        (Belonging::Deactivated, _) => Belonging::Deactivated,
        (Belonging::Unknown(word), _) | (_, Belonging::Unknown(word)) => Belonging::Unknown(word),
        (_, Belonging::Unassigned) => Belonging::Unassigned,
        (Belonging::Suspended, _) | (_, Belonging::Suspended) => Belonging::Suspended,
        _ => Belonging::Present,
    }
}

/// What it says that a person, asked for by id, is not in the source; `status` is what Okta says of them, `None` if it knows
/// nobody of that id. A state that is not known here removes nobody, as in the list.
#[must_use]
pub fn of_absent(status: Option<&PersonStatus>) -> Belonging {
    match status.map(of_user) {
        None => Belonging::Deleted,
        Some(Belonging::Present | Belonging::Suspended) => Belonging::Unassigned,
        Some(left_or_unknown) => left_or_unknown,
    }
}

/// What a listed person's states say. A running deactivation (`transitioningToStatus`) counts as done.
#[must_use]
pub fn of(person: &Person) -> Belonging {
    if person.becoming == Some(PersonStatus::Deprovisioned) {
        return Belonging::Deactivated;
    }
    both(&person.status, person.assignment.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_states_has_a_row_and_only_known_ones_remove() {
        let users = PersonStatus::KNOWN.into_iter().chain([PersonStatus::Other("NEW".into())]);
        for user in users {
            let assignments = AssignmentStatus::KNOWN.into_iter().chain([AssignmentStatus::Other("NEW".into())]);
            for assignment in assignments {
                let verdict = both(&user, Some(&assignment));
                let unknown =
                    matches!(user, PersonStatus::Other(_)) || matches!(assignment, AssignmentStatus::Other(_));
                match (&user, unknown) {
                    (PersonStatus::Deprovisioned, _) => assert_eq!(verdict, Belonging::Deactivated),
                    (_, true) => {
                        assert!(matches!(verdict, Belonging::Unknown(_)), "{user:?} {assignment:?} {verdict:?}");
                    }
                    _ => assert!(!matches!(verdict, Belonging::Unknown(_)), "{user:?} {assignment:?} {verdict:?}"),
                }
            }
        }
    }

    #[test]
    fn a_running_deactivation_counts_as_done() {
        let person = Person {
            id: "00u1".into(),
            user_name: None,
            status: PersonStatus::Active,
            becoming: Some(PersonStatus::Deprovisioned),
            assignment: Some(AssignmentStatus::Active),
            profile: serde_json::Map::new(),
            app_profile: serde_json::Map::new(),
        };
        assert_eq!(of(&person), Belonging::Deactivated);
    }
}
