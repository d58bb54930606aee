//! Who plays: a few people of the organisation, each with a part of their own, and a crowd.

use okta_sim::OktaSim;
use serde_json::Value;

use crate::exit::Stop;

/// People without a part, before the crowd that leaves at once.
const PARTS: usize = 6;

/// The least that the story needs: the parts, a crowd over the brake, and somebody who stays.
pub const LEAST_PEOPLE: usize = 20;

/// One person of the organisation.
#[derive(Debug, Clone)]
pub struct Person {
    /// Okta id.
    pub id: String,
    /// User name of the assignment, and so in Teleport.
    pub name: String,
}

/// The parts.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Gets another title and department.
    pub mover: Person,
    /// Is deactivated.
    pub leaver: Person,
    /// Is suspended, and comes back.
    pub sleeper: Person,
    /// Is unassigned from the app, and comes back.
    pub returner: Person,
    /// Gets another user name.
    pub renamed: Person,
    /// Are unassigned all at once: more than the brake lets go.
    pub crowd: Vec<Person>,
}

impl Cast {
    /// Gives the parts to people who are assigned to the app.
    ///
    /// # Errors
    /// There are fewer than [`LEAST_PEOPLE`].
    pub fn choose(okta: &OktaSim) -> Result<Self, Stop> {
        let app = okta.ready().app_id;
        let assigned = okta.org().assigned(&app).map_err(|e| Stop::undone(e.to_string(), ""))?;
        let mut people = assigned.iter().map(|id| Ok(Person { id: id.clone(), name: user_name(okta, &app, id)? }));
        let mut next = || {
            people.next().unwrap_or_else(|| {
                Err(Stop::bad_input(
                    format!("the story needs {LEAST_PEOPLE} people; there are {}", assigned.len()),
                    format!("give --people {LEAST_PEOPLE} or more"),
                ))
            })
        };
        let crowd = crowd_size(assigned.len());
        Ok(Self {
            mover: next()?,
            leaver: next()?,
            sleeper: next()?,
            returner: next()?,
            renamed: next()?,
            crowd: (0..crowd).map(|_| next()).collect::<Result<_, _>>()?,
        })
    }
}

/// More than the brake of the quickstart lets go (the larger of 5 people and 10 percent), and fewer than all.
fn crowd_size(people: usize) -> usize {
    (people / 10 + 15).min(people.saturating_sub(PARTS))
}

fn user_name(okta: &OktaSim, app: &str, id: &str) -> Result<String, Stop> {
    let entry = okta.org().app_user(app, id).map_err(|e| Stop::undone(e.to_string(), ""))?;
    let name = entry.pointer("/credentials/userName").and_then(Value::as_str);
    name.map(str::to_owned).ok_or_else(|| Stop::undone(format!("the app user {id} has no user name"), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crowd_is_always_over_the_brake_and_never_everybody() {
        for people in LEAST_PEOPLE..2000 {
            let crowd = crowd_size(people);
            assert!(crowd > 5 && crowd * 10 > people, "{crowd} of {people} would not be held");
            assert!(crowd + PARTS <= people, "{crowd} of {people} leaves nobody");
        }
        assert_eq!(crowd_size(250), 40);
    }
}
