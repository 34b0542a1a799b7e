//! Times as texts: what is a time at all, and what a hospital's record can speak of. RFC 3339 knows hours that no calendar has in
//! another zone (the last of the year 9999): arithmetic with those panics, so they are no times here.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// Years that a record can speak of. Others are placeholders or slips of a hand, and peers can't write them.
pub const FIRST_YEAR: i32 = 1800;
/// The last such year.
pub const LAST_YEAR: i32 = 2200;

/// RFC 3339, of a year from 1 to 9999 in UTC too; with the offset that was written.
#[must_use]
pub fn read(text: &str) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let utc = at.checked_to_offset(UtcOffset::UTC)?;
    (1..=9999).contains(&utc.year()).then_some(at)
}

/// True of a time that a record can speak of.
#[must_use]
pub fn is_plausible(at: OffsetDateTime) -> bool {
    (FIRST_YEAR..=LAST_YEAR).contains(&at.year())
}

/// RFC 3339 of a year that a record can speak of.
#[must_use]
pub fn plausible(text: &str) -> Option<OffsetDateTime> {
    read(text).filter(|at| is_plausible(*at))
}

/// A date as exact as it is known, or a time, or words: false where it begins with a year and goes on as a date does, and the year is
/// none that a record can speak of, or where it is a time that is none.
#[must_use]
pub fn may_stand(text: &str) -> bool {
    let text = text.trim();
    let day = text.split('T').next().unwrap_or_default();
    let mut parts = day.split('-');
    let is_date = parts.clone().count() <= 3
        && parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let Some(year) = day
        .get(..4)
        .filter(|_| is_date && matches!(day.as_bytes().get(4), None | Some(b'-')))
        .and_then(|year| year.parse::<i32>().ok())
    else {
        return true;
    };
    (FIRST_YEAR..=LAST_YEAR).contains(&year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_another_zone_does_not_have_is_none() {
        for (text, is_time, is_plausible) in [
            ("2026-03-01T12:00:00Z", true, true),
            ("2026-03-01T12:00:00+05:30", true, true),
            ("1800-01-01T00:00:00Z", true, true),
            ("1799-12-31T23:59:59Z", true, false),
            ("2201-01-01T00:00:00Z", true, false),
            ("9999-12-30T00:00:00Z", true, false),
            ("9999-12-31T23:59:59Z", true, false),
            ("9999-12-31T23:59:59-01:00", false, false),
            ("0000-01-01T00:00:00+01:00", false, false),
            ("yesterday", false, false),
        ] {
            assert_eq!(read(text).is_some(), is_time, "{text}");
            assert_eq!(plausible(text).is_some(), is_plausible, "{text}");
        }
    }

    #[test]
    fn a_date_of_any_precision_or_words_may_stand_and_a_year_that_nobody_lives_in_not() {
        for (text, may) in [
            ("2019", true),
            ("2019-04", true),
            ("2019-04-12", true),
            ("2019-04-12T10:00:00+05:30", true),
            ("since childhood", true),
            ("20 years ago", true),
            ("2000 or so", true),
            ("", true),
            ("9999-12-31T23:59:59-01:00", false),
            ("9999-12-31", false),
            ("0001", false),
            ("2201-01", false),
        ] {
            assert_eq!(may_stand(text), may, "{text}");
        }
    }
}
