//! `timestamp(text)` and `duration(text)` of CEL, for filters and for the rules of the definition.
//!
//! Both are whole microseconds here, so that they are compared, added and subtracted as CEL's own are. What CEL has besides
//! is left out: the fields of a moment (`getFullYear()`) and time zones by name would bring a second library of times, with
//! the tables of all zones of the world in the memory of each operator, and no filter knows what time it is.

use std::sync::Arc;

use cel::{Context, DeclarationError, ExecutionError};
use jiff::{SignedDuration, Timestamp};

/// Lets an expression use both.
///
/// # Errors
/// CEL has functions of these names already.
pub fn declare(context: &mut Context<'_, '_>) -> Result<(), DeclarationError> {
    context.add_function("timestamp", |text: Arc<String>| timestamp(&text))?;
    context.add_function("duration", |text: Arc<String>| duration(&text))
}

/// Microseconds since 1970 of a moment as RFC 3339 writes it.
fn timestamp(text: &str) -> Result<i64, ExecutionError> {
    let moment: Timestamp = text.parse().map_err(|e| ExecutionError::function_error("timestamp", e))?;
    Ok(moment.as_microsecond())
}

/// Microseconds of a length of time, such as `1h30m`.
fn duration(text: &str) -> Result<i64, ExecutionError> {
    let refuse = |e: &dyn std::fmt::Display| ExecutionError::function_error("duration", e);
    let length: SignedDuration = text.parse().map_err(|e| refuse(&e))?;
    i64::try_from(length.as_micros()).map_err(|e| refuse(&e))
}

#[cfg(test)]
mod tests {
    use cel::{Program, Value};

    use super::*;

    fn value(expression: &str) -> Result<Value, ExecutionError> {
        let mut context = Context::default();
        declare(&mut context).unwrap();
        Program::compile(expression).unwrap().execute(&context)
    }

    #[test]
    fn moments_and_lengths_of_time_are_compared_added_and_subtracted() {
        for expression in [
            "duration('90m') == duration('1h30m')",
            "duration('1.5h') > duration('89m') && duration('-1m') < duration('0s')",
            "duration('1ms') == duration('1000us')",
            "timestamp('2026-01-31T23:00:00Z') == timestamp('2026-02-01T00:00:00+01:00')",
            "timestamp('2026-02-01T00:00:00Z') - timestamp('2026-01-31T23:00:00Z') == duration('1h')",
            "timestamp('2026-01-31T23:00:00Z') + duration('1h') > timestamp('2026-01-31T23:59:59.999Z')",
        ] {
            assert_eq!(value(expression), Ok(Value::Bool(true)), "{expression}");
        }
    }

    #[test]
    fn what_is_no_moment_or_length_of_time_is_an_error_that_names_the_function() {
        for expression in ["timestamp('tomorrow')", "timestamp('2026-02-30T00:00:00Z')", "timestamp('')"] {
            assert!(value(expression).unwrap_err().to_string().contains("timestamp"), "{expression}");
        }
        for expression in ["duration('a while')", "duration('10')", "duration('9223372036854775807s')"] {
            assert!(value(expression).unwrap_err().to_string().contains("duration"), "{expression}");
        }
    }
}
