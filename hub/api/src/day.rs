//! Days and times of day as callers write them: they have no zone, the schedule has.

use serde::{Deserialize, Deserializer};
use time::Date;
use time::macros::format_description;

/// A day as in ISO 8601: `2026-01-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Day(pub(crate) Date);

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        Date::parse(&text, format_description!("[year]-[month]-[day]"))
            // what Postgres can count with, and people mean
            .ok()
            .filter(|day| (1900..=2999).contains(&day.year()))
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("must be a day as in ISO 8601: 2026-01-31"))
    }
}

/// A time of day: `08:00`; `24:00` is the end of the day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Clock(pub(crate) String);

impl<'de> Deserialize<'de> for Clock {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        let good = text.len() == 5
            && text.split_once(':').is_some_and(|(hour, minute)| {
                let number = |part: &str| {
                    part.bytes()
                        .all(|byte| byte.is_ascii_digit())
                        .then(|| part.parse::<u8>().ok())
                        .flatten()
                };
                match (number(hour), number(minute)) {
                    (Some(24), Some(minute)) => minute == 0,
                    (Some(hour), Some(minute)) => hour < 24 && minute < 60,
                    _ => false,
                }
            });
        if good {
            Ok(Self(text))
        } else {
            Err(serde::de::Error::custom(
                "must be a time of day: 08:00, or 24:00 for the end of the day",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_of_day_are_read_and_others_refused() {
        let day = |text: &str| serde_json::from_value::<Day>(text.into()).is_ok();
        let clock = |text: &str| serde_json::from_value::<Clock>(text.into()).is_ok();
        for (text, good) in [
            ("2026-01-31", true),
            ("2026-02-30", false),
            ("0001-01-01", false),
            ("31.01.2026", false),
            ("", false),
        ] {
            assert_eq!(day(text), good, "{text}");
        }
        for (text, good) in [
            ("00:00", true),
            ("08:30", true),
            ("24:00", true),
            ("24:01", false),
            ("8:30", false),
            ("08:60", false),
            ("+8:30", false),
            ("08:3é", false),
        ] {
            assert_eq!(clock(text), good, "{text}");
        }
    }
}
