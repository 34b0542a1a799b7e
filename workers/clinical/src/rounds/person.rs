//! Whether the pack is for this patient at all, and whether that is known. Pure.

use time::{Date, Month};

/// What decides whether a score applies; each is known or not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Checks {
    /// `old_enough`, `too_young`, `not_checked`.
    pub(super) age: String,
    /// `no`, `yes`, `not_checked`.
    pub(super) pregnancy: String,
}

impl Checks {
    pub(super) fn applies(&self) -> bool {
        self.age != "too_young" && self.pregnancy != "yes"
    }
}

pub(super) fn checks(
    birth_date: Option<&str>,
    pregnant: Option<bool>,
    on: Date,
    min_age: i32,
) -> Checks {
    let age = match birth_date.and_then(range) {
        // the latest day that it can have been makes the youngest
        Some((_, latest)) if age_on(latest, on) >= min_age => "old_enough",
        Some((earliest, _)) if age_on(earliest, on) < min_age => "too_young",
        Some(_) | None => "not_checked",
    };
    let pregnancy = match pregnant {
        Some(false) => "no",
        Some(true) => "yes",
        None => "not_checked",
    };
    Checks {
        age: age.to_owned(),
        pregnancy: pregnancy.to_owned(),
    }
}

/// First and last day that a partial date can mean.
fn range(text: &str) -> Option<(Date, Date)> {
    let year: i32 = text.get(..4)?.parse().ok()?;
    let month = match text.get(5..7) {
        Some(month) => Some(Month::try_from(month.parse::<u8>().ok()?).ok()?),
        None => None,
    };
    let day = match text.get(8..10) {
        Some(day) => Some(day.parse::<u8>().ok()?),
        None => None,
    };
    let first =
        Date::from_calendar_date(year, month.unwrap_or(Month::January), day.unwrap_or(1)).ok()?;
    let last_month = month.unwrap_or(Month::December);
    let last = Date::from_calendar_date(
        year,
        last_month,
        day.unwrap_or_else(|| last_month.length(year)),
    )
    .ok()?;
    Some((first, last))
}

fn age_on(born: Date, on: Date) -> i32 {
    let had_birthday = (on.month() as u8, on.day()) >= (born.month() as u8, born.day());
    on.year() - born.year() - i32::from(!had_birthday)
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn an_age_is_known_only_as_far_as_the_date_of_birth_is() {
        let on = date!(2026 - 03 - 01);
        for (born, age) in [
            (Some("2010-03-01"), "old_enough"),
            (Some("2010-03-02"), "too_young"),
            (Some("2010"), "not_checked"),
            (Some("2009"), "old_enough"),
            (Some("2011"), "too_young"),
            (Some("2010-02"), "old_enough"),
            (Some("2010-03"), "not_checked"),
            (Some("1980-02-30"), "not_checked"),
            (Some(""), "not_checked"),
            (None, "not_checked"),
        ] {
            assert_eq!(checks(born, None, on, 16).age, age, "{born:?}");
        }
        assert!(!checks(Some("1990"), Some(true), on, 16).applies());
        assert!(checks(None, None, on, 16).applies());
    }
}
