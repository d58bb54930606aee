//! `scope.filter`: a CEL expression over `user` and `appUser`, compiled once, asked for each person.

use std::fmt;

use cel::{Context, Program, Value};
use serde_json::json;

use crate::{
    failure::{Class, Failure, Side},
    moments,
    person::Person,
};

/// A compiled filter.
pub struct Filter {
    program: Program,
    source: String,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({:?})", self.source)
    }
}

impl Filter {
    /// Compiles `source`; nothing for an empty one.
    ///
    /// # Errors
    /// The expression is not CEL.
    pub fn compile(source: &str) -> Result<Option<Self>, Failure> {
        if source.trim().is_empty() {
            return Ok(None);
        }
        let program = Program::compile(source).map_err(|e| {
            Failure::new(
                Side::Here,
                Class::Configuration,
                "FilterUnreadable",
                format!("scope.filter is not a CEL expression: {e}"),
                "mend scope.filter, such as user.profile.department == \"Engineering\"",
            )
        })?;
        Ok(Some(Self { program, source: source.to_owned() }))
    }

    /// Whether `person` belongs.
    ///
    /// # Errors
    /// The expression fails for this person (an attribute that they do not have) or is not a truth value; in words. A
    /// person for whom it fails is kept as they are.
    pub fn matches(&self, person: &Person) -> Result<bool, String> {
        let mut context = Context::default();
        moments::declare(&mut context).map_err(|e| e.to_string())?;
        let user = json!({ "id": person.id, "status": person.status.as_str(), "profile": person.profile });
        let app_user = json!({
            "userName": person.user_name,
            "status": person.assignment.as_ref().map(crate::person::AssignmentStatus::as_str),
            "profile": person.app_profile,
        });
        context.add_variable("user", user).map_err(|e| e.to_string())?;
        context.add_variable("appUser", app_user).map_err(|e| e.to_string())?;
        match self.program.execute(&context) {
            Ok(Value::Bool(belongs)) => Ok(belongs),
            Ok(other) => Err(format!("scope.filter gives {:?}, not true or false", other.type_of())),
            Err(e) => Err(format!("scope.filter fails: {e}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;
    use crate::person::PersonStatus;

    #[test]
    fn dates_of_a_profile_are_compared_as_moments() {
        let filter = Filter::compile(
            "timestamp(user.profile.contractEnd) - timestamp(user.profile.contractBegin) >= duration('720h')",
        );
        let filter = filter.unwrap().unwrap();
        let belongs = |begin: &str, end: &str| {
            let profile = [("contractBegin", begin), ("contractEnd", end)];
            let profile: Map<String, Value> = profile.into_iter().map(|(name, at)| (name.into(), at.into())).collect();
            filter.matches(&Person {
                id: "00u1".to_owned(),
                user_name: None,
                status: PersonStatus::Active,
                becoming: None,
                assignment: None,
                app_profile: Map::new(),
                profile,
            })
        };
        assert_eq!(belongs("2026-01-01T00:00:00Z", "2026-01-31T01:00:00+01:00"), Ok(true));
        assert_eq!(belongs("2026-01-01T00:00:00Z", "2026-01-30T00:00:00Z"), Ok(false));
        assert!(belongs("2026-01-01T00:00:00Z", "next month").unwrap_err().contains("timestamp"));
    }
}
