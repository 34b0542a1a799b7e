//! HL7 time stamps (TS, DTM): partial precision, zones, and the strictness that keeps a wrong date out of a record.
//!
//! `YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]` (HL7 v2.5.1 §2.A.22). A zone is never guessed from digits and never
//! dropped; without one the caller's default applies, and only when an instant is asked for.

use std::fmt::Write as _;

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// The last part that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// `2026`
    Year,
    /// `202602`
    Month,
    /// `20260215`
    Day,
    /// `2026021509`
    Hour,
    /// `202602150930`
    Minute,
    /// `20260215093045`
    Second,
    /// `20260215093045.1234`
    Fraction,
}

/// A time stamp as the sender knows it. Parts beyond `precision` hold their first value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dtm {
    date: Date,
    time: Time,
    /// Digits after the point.
    digits: u8,
    offset: Option<UtcOffset>,
    precision: Precision,
    lenient: bool,
}

/// What a time field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Empty, or a placeholder of zeros.
    Absent,
    /// `""`: the stored value is to be deleted.
    Null,
    /// A time.
    Known(Dtm),
}

impl Reading {
    /// The time, if there is one.
    #[must_use]
    pub const fn known(self) -> Option<Dtm> {
        match self {
            Self::Known(dtm) => Some(dtm),
            Self::Absent | Self::Null => None,
        }
    }
}

/// Why text is no time stamp. Never says which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DtmError {
    /// Neither the HL7 form nor ISO 8601.
    #[error("not a time stamp")]
    Form,
    /// Month 13, 30 February, hour 24.
    #[error("no such date or time")]
    NoSuchTime,
    /// A zone beyond 14 hours or with more than 59 minutes.
    #[error("no such zone")]
    Zone,
}

/// Reads the text of a TS or DTM value.
///
/// Accepted besides the standard form, and marked [`Dtm::lenient`]: ISO 8601 punctuation, blanks around, more than four
/// digits of fraction (nine at most), a zone without minutes, `Z`, and second 60, which becomes 59.
///
/// # Errors
/// See [`DtmError`]. Never panics.
pub fn read(text: &str) -> Result<Reading, DtmError> {
    let trimmed = text.trim();
    if trimmed == "\"\"" {
        return Ok(Reading::Null);
    }
    // 00000000 is how some systems write "no date"; a zone may follow it.
    let digits = trimmed.trim_start_matches('0');
    if digits.is_empty()
        || (trimmed.len() - digits.len() >= 8 && digits.starts_with(['+', '-', '.']))
    {
        return if trimmed.is_empty() || trimmed.len() >= 4 {
            Ok(Reading::Absent)
        } else {
            Err(DtmError::Form)
        };
    }
    let mut dtm = parse(trimmed)?;
    dtm.lenient |= trimmed.len() != text.len();
    Ok(Reading::Known(dtm))
}

fn parse(text: &str) -> Result<Dtm, DtmError> {
    let mut cursor = Cursor {
        rest: text.as_bytes(),
        lenient: false,
    };
    let year = cursor.number(4).ok_or(DtmError::Form)?;
    let mut parts = [1, 1, 0, 0, 0];
    let mut precision = Precision::Year;
    for (part, (before, level)) in parts.iter_mut().zip([
        (b"-".as_slice(), Precision::Month),
        (b"-", Precision::Day),
        (b"T ", Precision::Hour),
        (b":", Precision::Minute),
        (b":", Precision::Second),
    ]) {
        let Some(value) = cursor.part(before) else {
            break;
        };
        *part = value;
        precision = level;
    }
    let [month, day, hour, minute, mut second] = parts;
    let mut nanoseconds = 0;
    let mut digits = 0;
    if precision == Precision::Second && cursor.take(b'.') {
        (nanoseconds, digits) = cursor.fraction()?;
        precision = Precision::Fraction;
    }
    let offset = cursor.offset()?;
    if !cursor.rest.is_empty() {
        return Err(DtmError::Form);
    }
    if second == 60 {
        second = 59;
        cursor.lenient = true;
    }
    let narrow = |n: u32| u8::try_from(n).map_err(|_| DtmError::NoSuchTime);
    let month = Month::try_from(narrow(month)?).map_err(|_| DtmError::NoSuchTime)?;
    let year = i32::try_from(year).map_err(|_| DtmError::NoSuchTime)?;
    Ok(Dtm {
        date: Date::from_calendar_date(year, month, narrow(day)?)
            .map_err(|_| DtmError::NoSuchTime)?,
        time: Time::from_hms_nano(narrow(hour)?, narrow(minute)?, narrow(second)?, nanoseconds)
            .map_err(|_| DtmError::NoSuchTime)?,
        digits,
        offset,
        precision,
        lenient: cursor.lenient,
    })
}

struct Cursor<'a> {
    rest: &'a [u8],
    lenient: bool,
}

impl Cursor<'_> {
    fn take(&mut self, b: u8) -> bool {
        let Some((&first, rest)) = self.rest.split_first() else {
            return false;
        };
        if first == b {
            self.rest = rest;
        }
        first == b
    }

    /// Exactly `count` digits.
    fn number(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.rest = rest;
        Some(digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
    }

    /// Two digits, which ISO 8601 puts after one of `before`. Takes nothing when they are not there.
    fn part(&mut self, before: &[u8]) -> Option<u32> {
        let start = self.rest;
        let iso = before.iter().any(|&b| self.take(b));
        // `202602-0330` is a zone, `2026-02-15` is not.
        let zone_like = iso && start.first() == Some(&b'-') && digits_of(self.rest) != 2;
        match if zone_like { None } else { self.number(2) } {
            Some(value) => {
                self.lenient |= iso;
                Some(value)
            }
            None => {
                self.rest = start;
                None
            }
        }
    }

    /// Nanoseconds, and how many digits there were.
    fn fraction(&mut self) -> Result<(u32, u8), DtmError> {
        let count = digits_of(self.rest);
        // nine at most: more are no number that fits
        if !(1..=9).contains(&count) {
            return Err(DtmError::Form);
        }
        let value = self.number(count).ok_or(DtmError::Form)?;
        self.lenient |= count > 4;
        let count = u8::try_from(count).map_err(|_| DtmError::Form)?;
        Ok((value * 10_u32.pow(9 - u32::from(count)), count))
    }

    fn offset(&mut self) -> Result<Option<UtcOffset>, DtmError> {
        if self.take(b'Z') {
            self.lenient = true;
            return Ok(Some(UtcOffset::UTC));
        }
        let sign = if self.take(b'+') {
            1
        } else if self.take(b'-') {
            -1
        } else {
            return Ok(None);
        };
        let hours = self.number(2).ok_or(DtmError::Zone)?;
        self.lenient |= self.take(b':');
        let minutes = self.number(2).unwrap_or_else(|| {
            self.lenient = true;
            0
        });
        if hours > 14 || minutes > 59 {
            return Err(DtmError::Zone);
        }
        let seconds = i32::try_from(hours * 3600 + minutes * 60).map_err(|_| DtmError::Zone)?;
        UtcOffset::from_whole_seconds(sign * seconds)
            .map(Some)
            .map_err(|_| DtmError::Zone)
    }
}

fn digits_of(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_digit()).count()
}

impl Dtm {
    /// The last part that is known.
    #[must_use]
    pub const fn precision(&self) -> Precision {
        self.precision
    }

    /// The zone the sender gave.
    #[must_use]
    pub const fn offset(&self) -> Option<UtcOffset> {
        self.offset
    }

    /// True when the text was not quite the standard's form.
    #[must_use]
    pub const fn lenient(&self) -> bool {
        self.lenient
    }

    /// The date, when at least the day is known.
    #[must_use]
    pub fn date(&self) -> Option<Date> {
        (self.precision >= Precision::Day).then_some(self.date)
    }

    /// The first instant this time stamp covers, when at least the day is known.
    ///
    /// `default_minutes` is the zone of the channel, east of Greenwich (India: 330); used when the sender gave none.
    #[must_use]
    pub fn instant(&self, default_minutes: i16) -> Option<(OffsetDateTime, Precision)> {
        let date = self.date()?;
        let zone = self.zone(default_minutes)?;
        Some((
            date.with_time(self.time).assume_offset(zone),
            self.precision,
        ))
    }

    /// As a FHIR `dateTime`: no part that the sender did not give, a zone from the minute on.
    ///
    /// FHIR has no hour without minutes, so an hour alone is cut to the day.
    #[must_use]
    pub fn iso(&self, default_minutes: i16) -> String {
        let mut out = format!("{:04}", self.date.year());
        let mut part = |from: Precision, before: char, value: u8| {
            if self.precision >= from {
                out.push(before);
                two(&mut out, value);
            }
        };
        part(Precision::Month, '-', u8::from(self.date.month()));
        part(Precision::Day, '-', self.date.day());
        part(Precision::Minute, 'T', self.time.hour());
        part(Precision::Minute, ':', self.time.minute());
        // FHIR wants seconds wherever it wants minutes.
        part(Precision::Minute, ':', self.time.second());
        if self.precision == Precision::Fraction {
            let digits = format!("{:09}", self.time.nanosecond());
            out.push('.');
            out.extend(digits.chars().take(usize::from(self.digits)));
        }
        if self.precision >= Precision::Minute {
            push_offset(&mut out, self.zone(default_minutes), ":");
        }
        out
    }

    fn zone(&self, default_minutes: i16) -> Option<UtcOffset> {
        self.offset
            .or_else(|| UtcOffset::from_whole_seconds(i32::from(default_minutes) * 60).ok())
    }
}

/// An instant as MSH-7 has it: `20260215093045+0530`.
#[must_use]
pub fn format(at: OffsetDateTime) -> String {
    let mut out = String::with_capacity(19);
    let year = u16::try_from(at.year()).unwrap_or_default();
    // Writing to a String can't fail.
    let _ = write!(out, "{year:04}");
    for value in [
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
    ] {
        two(&mut out, value);
    }
    push_offset(&mut out, Some(at.offset()), "");
    out
}

fn two(out: &mut String, value: u8) {
    out.push(char::from(b'0' + value / 10 % 10));
    out.push(char::from(b'0' + value % 10));
}

fn push_offset(out: &mut String, offset: Option<UtcOffset>, between: &str) {
    let minutes = offset.map_or(0, UtcOffset::whole_minutes);
    out.push(if minutes < 0 { '-' } else { '+' });
    let minutes = minutes.unsigned_abs();
    two(out, u8::try_from(minutes / 60).unwrap_or_default());
    out.push_str(between);
    two(out, u8::try_from(minutes % 60).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn iso(text: &str) -> Result<String, DtmError> {
        read(text).map(|r| r.known().map_or_else(|| format!("{r:?}"), |d| d.iso(330)))
    }

    #[test]
    fn a_fraction_of_many_digits_is_no_time() {
        for digits in ["1234567890", "77777777777777", &"7".repeat(300)] {
            let text = format!("20260221093000.{digits}");
            assert_eq!(read(&text).map(|_| ()), Err(DtmError::Form), "{digits}");
        }
    }

    #[test]
    fn precision_and_zone_are_the_senders() {
        for (text, expected) in [
            ("2026", "2026"),
            ("202602", "2026-02"),
            ("20260215", "2026-02-15"),
            ("2026021509", "2026-02-15"),
            ("202602150930+0530", "2026-02-15T09:30:00+05:30"),
            ("20260215093045.1234-0330", "2026-02-15T09:30:45.1234-03:30"),
            ("20260215093045-0030", "2026-02-15T09:30:45-00:30"),
            ("20260215093045", "2026-02-15T09:30:45+05:30"),
            ("20260215093045.123456", "2026-02-15T09:30:45.123456+05:30"),
            ("20260215093045+05", "2026-02-15T09:30:45+05:00"),
            ("20260215093060", "2026-02-15T09:30:59+05:30"),
            ("19000101", "1900-01-01"),
            ("2026-02-15", "2026-02-15"),
            ("20260215T0930", "2026-02-15T09:30:00+05:30"),
            ("2026-02-15T09:30:45.5Z", "2026-02-15T09:30:45.5+00:00"),
            ("202602-0330", "2026-02"),
            ("00000000", "Absent"),
            ("0000", "Absent"),
            ("", "Absent"),
            ("\"\"", "Null"),
        ] {
            assert_eq!(iso(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        use DtmError::{Form, NoSuchTime, Zone};
        for (text, error) in [
            ("2026021509304530", Form),
            ("20260230", NoSuchTime),
            ("20261315", NoSuchTime),
            ("20260215240000", NoSuchTime),
            ("15/02/2026", Form),
            ("20260215093045.", Form),
            ("20260215093045.1234567890", Form),
            ("20260215093045+", Zone),
            ("20260215093045+1500", Zone),
            ("20260215093045+0560", Zone),
            ("202", Form),
            ("2026०२", Form),
            ("20260", Form),
        ] {
            assert_eq!(iso(text), Err(error), "{text}");
        }
    }

    #[test]
    fn leniency_is_marked() {
        for (text, lenient) in [
            ("20260215", false),
            ("20260215093045.1234+0530", false),
            ("2026-02-15", true),
            (" 20260215", true),
            ("20260215093045+05", true),
            ("20260215093060", true),
            ("20260215093045.12345", true),
        ] {
            assert_eq!(
                read(text).unwrap().known().unwrap().lenient(),
                lenient,
                "{text}"
            );
        }
    }

    #[test]
    fn an_instant_needs_a_day() {
        let of = |text| read(text).unwrap().known().unwrap().instant(330);
        assert_eq!(of("202602"), None);
        assert_eq!(
            of("2026021509"),
            Some((datetime!(2026-02-15 09:00 +05:30), Precision::Hour))
        );
        assert_eq!(
            of("202602150930-0330"),
            Some((datetime!(2026-02-15 09:30 -03:30), Precision::Minute))
        );
    }

    #[test]
    fn our_own_stamps_carry_a_zone() {
        assert_eq!(
            format(datetime!(2026-02-05 09:03:04 -00:30)),
            "20260205090304-0030"
        );
    }
}
