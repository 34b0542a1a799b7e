//! Times: ISO 8601 as POCT1-A writes it (`2019-02-22T11:02:44-05:00`), and what devices make of it.

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// A point in time that a document gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// RFC 3339, in the sender's zone.
    pub(super) text: String,
    pub(super) at: OffsetDateTime,
}

/// Reads a time. Zeros and nothing are no time; what can't be one is an error that says why. The offset `-00:00` says that
/// none is known (RFC 3339 §4.3), as does none at all.
pub(super) fn read(
    said: &str,
    zone_minutes: i16,
    ignore_zone: bool,
) -> Result<Option<Moment>, &'static str> {
    let said = said.trim();
    if said.is_empty() || said.bytes().all(|b| matches!(b, b'0' | b'-' | b':' | b'T')) {
        return Ok(None);
    }
    let (day, rest) = said.split_at_checked(10).ok_or("not a time stamp")?;
    let date = calendar_day(day)?;
    let rest = match rest.strip_prefix(['T', 't', ' ']) {
        Some(rest) => rest.trim(),
        None if rest.is_empty() => "",
        None => return Err("not a time stamp"),
    };
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let default =
        UtcOffset::from_whole_seconds(i32::from(zone_minutes) * 60).unwrap_or(UtcOffset::UTC);
    let zone = match offset(zone)? {
        Some(zone) if !ignore_zone => zone,
        _ => default,
    };
    let at = date.with_time(time_of_day(clock)?).assume_offset(zone);
    let text = at
        .format(&time::format_description::well_known::Rfc3339)
        .map_err(|_| "not a time stamp")?;
    Ok(Some(Moment { text, at }))
}

fn digits(text: &str) -> Option<u16> {
    let good = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    good.then(|| text.parse().ok()).flatten()
}

fn small(text: &str) -> Option<u8> {
    digits(text).filter(|_| text.len() == 2)?.try_into().ok()
}

fn calendar_day(said: &str) -> Result<Date, &'static str> {
    let mut parts = said.split('-');
    let (Some(year), Some(month), Some(day), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("not a time stamp");
    };
    let year = digits(year)
        .filter(|_| year.len() == 4)
        .ok_or("not a time stamp")?;
    if !(1800..=2200).contains(&year) {
        return Err("not a year of our time");
    }
    let month = small(month).and_then(|m| Month::try_from(m).ok());
    month
        .zip(small(day))
        .and_then(|(month, day)| Date::from_calendar_date(i32::from(year), month, day).ok())
        .ok_or("no such date")
}

/// `11:02:44.00`, `11:02`, or nothing for midnight. Fractions are dropped: no device means them.
fn time_of_day(said: &str) -> Result<Time, &'static str> {
    if said.is_empty() {
        return Ok(Time::MIDNIGHT);
    }
    let whole = said.split(['.', ',']).next().unwrap_or_default();
    let mut parts = whole.split(':');
    let hour = parts.next().and_then(small).ok_or("no such time")?;
    let minute = parts.next().and_then(small).ok_or("no such time")?;
    let second = match parts.next() {
        Some(second) => small(second).ok_or("no such time")?.min(59),
        None => 0,
    };
    if parts.next().is_some() {
        return Err("no such time");
    }
    Time::from_hms(hour, minute, second).map_err(|_| "no such time")
}

/// `Z`, `+05:30`, `-0500`, `+05`; none for `-00:00` and nothing.
fn offset(said: &str) -> Result<Option<UtcOffset>, &'static str> {
    let wrong = "no such zone";
    let (sign, rest) = match said.as_bytes().first() {
        None => return Ok(None),
        Some(b'Z' | b'z') if said.len() == 1 => return Ok(Some(UtcOffset::UTC)),
        Some(b'+') => (1, &said[1..]),
        Some(b'-') => (-1, &said[1..]),
        Some(_) => return Err(wrong),
    };
    let plain: String = rest.chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match plain.len() {
        2 => (plain.as_str(), "00"),
        4 => plain.split_at_checked(2).ok_or(wrong)?,
        _ => return Err(wrong),
    };
    let (hours, minutes) = small(hours).zip(small(minutes)).ok_or(wrong)?;
    let minutes = i32::from(hours) * 60 + i32::from(minutes);
    if sign < 0 && minutes == 0 {
        return Ok(None);
    }
    UtcOffset::from_whole_seconds(sign * minutes * 60)
        .map(Some)
        .map_err(|_| wrong)
}

/// A date of birth: ISO 8601, as precise as it was sent.
pub(super) fn date(said: &str) -> Option<String> {
    let said = said.trim();
    if said.len() == 4 {
        return digits(said)
            .filter(|year| (1800..=2200).contains(year))
            .map(|_| said.to_owned());
    }
    let day = said.get(..10)?;
    calendar_day(day).ok().map(|_| day.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_devices_write_them() {
        for (said, text) in [
            ("2019-02-22T11:02:44-05:00", "2019-02-22T11:02:44-05:00"),
            ("2019-02-22T11:02:44.00-05:00", "2019-02-22T11:02:44-05:00"),
            ("2019-02-22T11:02:44Z", "2019-02-22T11:02:44Z"),
            ("2019-02-22T11:02:44+0530", "2019-02-22T11:02:44+05:30"),
            ("2019-02-22T11:02:44", "2019-02-22T11:02:44+05:30"),
            // a Quidel Sofia: its clock's time, zone not known
            ("2019-02-22T11:02:44-00:00", "2019-02-22T11:02:44+05:30"),
            ("2019-02-22 11:02", "2019-02-22T11:02:00+05:30"),
            ("2019-02-22", "2019-02-22T00:00:00+05:30"),
        ] {
            assert_eq!(
                read(said, 330, false).unwrap().unwrap().text,
                text,
                "{said}"
            );
        }
        assert_eq!(
            read("2019-02-22T11:02:44Z", 330, true)
                .unwrap()
                .unwrap()
                .text,
            "2019-02-22T11:02:44+05:30"
        );
        for said in ["", "  ", "0000-00-00T00:00:00"] {
            assert_eq!(read(said, 330, false), Ok(None), "{said}");
        }
        for said in [
            "20190222110244",
            "2019-13-22",
            "2019-02-30T10:00:00",
            "2019-02-22T25:00:00",
            "2019-02-22T11:02:44+99:00",
            "2019-02-22X11",
            "9999-12-31",
            "12 o'clock",
            "२०१९-०२-२२",
        ] {
            assert!(read(said, 330, false).is_err(), "{said}");
        }
    }

    #[test]
    fn births_keep_their_precision() {
        assert_eq!(date("1965-01-02").as_deref(), Some("1965-01-02"));
        assert_eq!(
            date("1965-01-02T00:00:00-05:00").as_deref(),
            Some("1965-01-02")
        );
        assert_eq!(date("1965").as_deref(), Some("1965"));
        assert_eq!(date("1965-13-02"), None);
        assert_eq!(date("White"), None);
    }
}
