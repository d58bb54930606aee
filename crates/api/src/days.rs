//! A span of whole days, written as people say it: `90d`.
//!
//! Go's durations, which Kubernetes writes elsewhere, end at the hour: `2160h` is nobody's word for three months.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// So many days of 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Days(u16);

impl Days {
    /// Of so many days.
    #[must_use]
    pub const fn new(days: u16) -> Self {
        Self(days)
    }

    /// How long that is, in seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        i64::from(self.0) * 24 * 3600
    }
}

/// A text that is no number of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotDays;

impl fmt::Display for NotDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a number of days such as 90d")
    }
}

impl std::error::Error for NotDays {}

impl FromStr for Days {
    type Err = NotDays;

    fn from_str(text: &str) -> Result<Self, NotDays> {
        let digits = text.strip_suffix('d').ok_or(NotDays)?;
        // `parse` takes a plus sign, and the API server does not.
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotDays);
        }
        digits.parse().map(Self).map_err(|_| NotDays)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}d", self.0)
    }
}

impl Serialize for Days {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Days {
    fn schema_name() -> Cow<'static, str> {
        "Days".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written_as_people_say_them() {
        for (text, seconds) in [("1d", 86_400), ("90d", 7_776_000), ("365d", 31_536_000)] {
            let days: Days = text.parse().unwrap();
            assert_eq!((days.seconds(), days.to_string().as_str()), (seconds, text));
        }
        for text in ["", "d", "90", "+9d", "-1d", "1.5d", "90h", "70000d", "90 d"] {
            assert_eq!(text.parse::<Days>(), Err(NotDays), "{text:?}");
        }
    }
}
