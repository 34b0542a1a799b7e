//! Dates of searches: a value of any precision is an interval, and prefixes compare intervals (FHIR R4 §3.1.1.4.7 and .4.8).
//! A date without an offset is a day in UTC, as all times of the hub are.

use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, Month, OffsetDateTime, Time};

/// From, and to (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) from: OffsetDateTime,
    pub(crate) to: OffsetDateTime,
}

/// How an interval is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Sa,
    Eb,
    Ap,
}

/// A prefix and what stands after it.
pub(crate) fn asked(text: &str) -> Option<(Prefix, Interval)> {
    let (prefix, rest) = match text.get(..2) {
        Some("eq") => (Prefix::Eq, &text[2..]),
        Some("ne") => (Prefix::Ne, &text[2..]),
        Some("gt") => (Prefix::Gt, &text[2..]),
        Some("lt") => (Prefix::Lt, &text[2..]),
        Some("ge") => (Prefix::Ge, &text[2..]),
        Some("le") => (Prefix::Le, &text[2..]),
        Some("sa") => (Prefix::Sa, &text[2..]),
        Some("eb") => (Prefix::Eb, &text[2..]),
        Some("ap") => (Prefix::Ap, &text[2..]),
        _ => (Prefix::Eq, text),
    };
    Some((prefix, interval(rest)?))
}

/// The interval that a date, dateTime or instant stands for.
pub(crate) fn interval(text: &str) -> Option<Interval> {
    // a `+` that was not escaped arrives as a blank
    let text = text.trim().replace(' ', "+");
    let day = |year: i32, month: u8, day: u8| {
        let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
        Some(date.with_time(Time::MIDNIGHT).assume_utc())
    };
    let Some((date, _)) = text.split_once('T') else {
        let numbers: Vec<u16> = text
            .split('-')
            .enumerate()
            .map(|(at, part)| {
                let wanted = if at == 0 { 4 } else { 2 };
                let fits = part.len() == wanted && part.bytes().all(|b| b.is_ascii_digit());
                fits.then(|| part.parse().ok()).flatten()
            })
            .collect::<Option<_>>()?;
        let small = |number: u16| u8::try_from(number).ok();
        return match *numbers.as_slice() {
            [year] => Some(Interval {
                from: day(i32::from(year), 1, 1)?,
                to: day(i32::from(year) + 1, 1, 1)?,
            }),
            [year, month] => {
                let next = if month == 12 {
                    (year + 1, 1)
                } else {
                    (year, month + 1)
                };
                Some(Interval {
                    from: day(i32::from(year), small(month)?, 1)?,
                    to: day(i32::from(next.0), small(next.1)?, 1)?,
                })
            }
            [year, month, of_month] => {
                let from = day(i32::from(year), small(month)?, small(of_month)?)?;
                Some(Interval {
                    from,
                    to: from.checked_add(Duration::days(1))?,
                })
            }
            _ => None,
        };
    };
    // minutes without seconds are allowed in searches; seconds without an offset are read as UTC
    let clock = &text[date.len() + 1..];
    let (clock, offset) = match clock.find(['Z', '+', '-']) {
        Some(at) => clock.split_at(at),
        None => (clock, "Z"),
    };
    let (clock, width) = match clock.len() {
        5 => (format!("{clock}:00"), Duration::MINUTE),
        8 => (clock.to_owned(), Duration::SECOND),
        _ => {
            let digits = clock.split_once('.')?.1.len();
            let width = 10_i64.checked_pow(9_u32.checked_sub(u32::try_from(digits).ok()?)?)?;
            (clock.to_owned(), Duration::nanoseconds(width))
        }
    };
    let from = OffsetDateTime::parse(&format!("{date}T{clock}{offset}"), &Rfc3339).ok()?;
    let from = from.checked_to_offset(time::UtcOffset::UTC)?;
    Some(Interval {
        from,
        to: from.checked_add(width)?,
    })
}

/// Does the thing's interval stand to the asked one as the prefix says? An end that is not known is open.
pub(crate) fn holds(
    prefix: Prefix,
    asked: Interval,
    from: Option<OffsetDateTime>,
    to: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> bool {
    let inside = from.is_some_and(|from| from >= asked.from) && to.is_some_and(|to| to <= asked.to);
    let reaches_above = to.is_none_or(|to| to > asked.to);
    let reaches_below = from.is_none_or(|from| from < asked.from);
    match prefix {
        Prefix::Eq => inside,
        Prefix::Ne => !inside,
        Prefix::Gt => reaches_above,
        Prefix::Lt => reaches_below,
        Prefix::Ge => reaches_above || inside,
        Prefix::Le => reaches_below || inside,
        Prefix::Sa => from.is_some_and(|from| from >= asked.to),
        Prefix::Eb => to.is_some_and(|to| to <= asked.from),
        Prefix::Ap => {
            // a tenth of the distance from now, as FHIR suggests
            let slack = (now - asked.from).abs() / 10;
            let low = asked.from.checked_sub(slack).unwrap_or(asked.from);
            let high = asked.to.checked_add(slack).unwrap_or(asked.to);
            from.is_none_or(|from| from < high) && to.is_none_or(|to| to > low)
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_value_is_as_wide_as_it_is_precise() {
        for (text, from, to) in [
            (
                "2026",
                datetime!(2026-01-01 00:00 UTC),
                datetime!(2027-01-01 00:00 UTC),
            ),
            (
                "2026-12",
                datetime!(2026-12-01 00:00 UTC),
                datetime!(2027-01-01 00:00 UTC),
            ),
            (
                "2026-02-28",
                datetime!(2026-02-28 00:00 UTC),
                datetime!(2026-03-01 00:00 UTC),
            ),
            (
                "2026-02-28T10:30",
                datetime!(2026-02-28 10:30 UTC),
                datetime!(2026-02-28 10:31 UTC),
            ),
            (
                "2026-02-28T10:30:05Z",
                datetime!(2026-02-28 10:30:05 UTC),
                datetime!(2026-02-28 10:30:06 UTC),
            ),
            (
                "2026-02-28T10:30:05+05:30",
                datetime!(2026-02-28 05:00:05 UTC),
                datetime!(2026-02-28 05:00:06 UTC),
            ),
            (
                "2026-02-28T10:30:05 05:30",
                datetime!(2026-02-28 05:00:05 UTC),
                datetime!(2026-02-28 05:00:06 UTC),
            ),
            (
                "2026-02-28T10:30:05.5Z",
                datetime!(2026-02-28 10:30:05.5 UTC),
                datetime!(2026-02-28 10:30:05.6 UTC),
            ),
        ] {
            assert_eq!(interval(text), Some(Interval { from, to }), "{text}");
        }
        for text in [
            "",
            "26",
            "2026-13",
            "2026-02-30",
            "2026-1-1",
            "T10:00",
            "2026-02-28T",
            "now",
            "9999-12-31T23:59:59.123456789123Z",
            "२०२६",
        ] {
            assert_eq!(interval(text), None, "{text}");
        }
    }

    #[test]
    fn prefixes_compare_the_thing_with_the_day() {
        let now = datetime!(2026-03-10 00:00 UTC);
        let noon = |day: u8| {
            let at = datetime!(2026-03-01 12:00 UTC).replace_day(day).unwrap();
            (Some(at), Some(at + Duration::SECOND))
        };
        for (text, yesterday, today, tomorrow) in [
            ("2026-03-02", false, true, false),
            ("eq2026-03-02", false, true, false),
            ("ne2026-03-02", true, false, true),
            ("gt2026-03-02", false, false, true),
            ("lt2026-03-02", true, false, false),
            ("ge2026-03-02", false, true, true),
            ("le2026-03-02", true, true, false),
            ("sa2026-03-02", false, false, true),
            ("eb2026-03-02", true, false, false),
            ("ap2026-03-02", true, true, true),
        ] {
            let (prefix, asked) = asked(text).unwrap();
            for (day, expected) in [(1, yesterday), (2, today), (3, tomorrow)] {
                let (from, to) = noon(day);
                assert_eq!(
                    holds(prefix, asked, from, to, now),
                    expected,
                    "{text} {day}"
                );
            }
        }
        // a stay that goes on
        let (prefix, day) = asked("ge2026-03-02").unwrap();
        assert!(holds(prefix, day, noon(1).0, None, now));
    }
}
