//! Times: `YYYYMMDD[HHMM[SS]]` (LIS02-A2 §5.6.2), and the punctuation that instruments put into it.

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// A point in time that a message gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// RFC 3339, in the sender's zone.
    pub(super) text: String,
    pub(super) at: OffsetDateTime,
}

/// Reads a time. Zeros and nothing are no time; what can't be one is an error that says why.
pub(super) fn read(said: &str, zone_minutes: i16) -> Result<Option<Moment>, &'static str> {
    let digits: Vec<u8> = said.bytes().filter(u8::is_ascii_digit).collect();
    if said.trim().is_empty() || (!digits.is_empty() && digits.iter().all(|d| *d == b'0')) {
        return Ok(None);
    }
    if !said
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '/' | ':' | '.' | 'T'))
    {
        return Err("not a time stamp");
    }
    let part = |from: usize, to: usize| -> Option<u32> {
        let text = digits.get(from..to)?;
        Some(text.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
    };
    let (Some(year), Some(month), Some(day)) = (part(0, 4), part(4, 6), part(6, 8)) else {
        return Err("not a time stamp");
    };
    if !(1800..=2200).contains(&year) {
        return Err("not a year of our time");
    }
    // an odd digit more or less would shift all that follows
    if !matches!(digits.len(), 8 | 10 | 12 | 14..=17) {
        return Err("not a time stamp");
    }
    let small = |n: Option<u32>| u8::try_from(n.unwrap_or(0)).unwrap_or(u8::MAX);
    let date = Month::try_from(small(Some(month)))
        .ok()
        .and_then(|month| {
            Date::from_calendar_date(i32::try_from(year).ok()?, month, small(Some(day))).ok()
        })
        .ok_or("no such date")?;
    let second = small(part(12, 14)).min(59);
    let time = Time::from_hms(small(part(8, 10)), small(part(10, 12)), second)
        .map_err(|_| "no such time")?;
    let zone =
        UtcOffset::from_whole_seconds(i32::from(zone_minutes) * 60).unwrap_or(UtcOffset::UTC);
    let at = date.with_time(time).assume_offset(zone);
    let text = at
        .format(&time::format_description::well_known::Rfc3339)
        .map_err(|_| "not a time stamp")?;
    Ok(Some(Moment { text, at }))
}

/// A date of birth: ISO 8601, as precise as it was sent.
pub(super) fn date(said: &str) -> Option<String> {
    let said = said.trim();
    if !said.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match said.len() {
        4 => (1800..=2200)
            .contains(&said.parse::<u32>().ok()?)
            .then(|| said.to_owned()),
        8.. => read(said.get(..8)?, 0)
            .ok()
            .flatten()
            .map(|m| m.text.chars().take(10).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_instruments_write_them() {
        for (said, text) in [
            ("20240731120334", "2024-07-31T12:03:34+05:30"),
            ("20240731", "2024-07-31T00:00:00+05:30"),
            ("202407311203", "2024-07-31T12:03:00+05:30"),
            ("2024-07-31 12:03:34", "2024-07-31T12:03:34+05:30"),
            ("20240831 16:35.16", "2024-08-31T16:35:16+05:30"),
            ("20240731120360", "2024-07-31T12:03:59+05:30"),
        ] {
            assert_eq!(read(said, 330).unwrap().unwrap().text, text, "{said}");
        }
        for said in ["", "  ", "00000000000000", "0"] {
            assert_eq!(read(said, 330), Ok(None), "{said}");
        }
        for said in [
            "N",
            "20241301",
            "20240230",
            "2024073",
            "202407311",
            "20240731250000",
            "99991231",
            "12 o'clock",
        ] {
            assert!(read(said, 330).is_err(), "{said}");
        }
    }

    #[test]
    fn births_keep_their_precision() {
        assert_eq!(date("19650102030400").as_deref(), Some("1965-01-02"));
        assert_eq!(date("1965").as_deref(), Some("1965"));
        assert_eq!(date("19651302"), None);
        assert_eq!(date("White"), None);
    }
}
