//! As much of the patient as an instrument may show, in the words of each dialect.

use schemas::worklist::WorklistPatient;
use time::{Date, Month, OffsetDateTime};

/// Plain values of a patient; empty where unknown or not to be told.
#[derive(Default)]
pub(super) struct Person {
    pub(super) number: String,
    pub(super) family: String,
    pub(super) given: String,
    pub(super) middle: String,
    /// Digits, precision as known.
    pub(super) birth: String,
    sex: String,
}

impl Person {
    pub(super) fn of(patient: Option<&WorklistPatient>) -> Self {
        let Some(patient) = patient else {
            return Self::default();
        };
        let name = patient.name.clone().unwrap_or_default();
        let given = |n: usize| name.given.get(n).cloned().unwrap_or_default();
        Self {
            number: patient
                .identifier
                .as_ref()
                .map(|identifier| identifier.value.clone())
                .unwrap_or_default(),
            family: name.family.clone().unwrap_or_default(),
            given: given(0),
            middle: given(1),
            birth: patient
                .birth_date
                .as_deref()
                .unwrap_or_default()
                .chars()
                .filter(char::is_ascii_digit)
                .take(8)
                .collect(),
            sex: patient
                .sex
                .as_deref()
                .unwrap_or_default()
                .to_ascii_uppercase(),
        }
    }

    /// HL7 table 0001.
    pub(super) fn sex(&self) -> &str {
        &self.sex
    }

    /// As Mindray's haematology writes it.
    pub(super) fn sex_in_words(&self) -> &'static str {
        match self.sex.as_str() {
            "M" => "Male",
            "F" => "Female",
            "" => "",
            _ => "Unknown",
        }
    }

    /// As Mindray's chemistry writes it: M, F or O.
    pub(super) fn sex_or_other(&self) -> &'static str {
        match self.sex.as_str() {
            "M" => "M",
            "F" => "F",
            "" => "",
            _ => "O",
        }
    }

    /// To the second, as v2.3.1 devices want it; empty unless the day is known.
    pub(super) fn birth_to_the_second(&self) -> String {
        if self.birth.len() == 8 {
            format!("{}000000", self.birth)
        } else {
            String::new()
        }
    }

    /// Family and given name in one.
    pub(super) fn whole_name(&self) -> String {
        [&self.family, &self.given, &self.middle]
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Age as a number and its unit: `yr`, `mo` or `d`.
    pub(super) fn age(&self, now: OffsetDateTime) -> Option<(i32, &'static str)> {
        if self.birth.len() != 8 {
            return None;
        }
        let number = |range: std::ops::Range<usize>| self.birth.get(range)?.parse::<u16>().ok();
        let month = Month::try_from(u8::try_from(number(4..6)?).ok()?).ok()?;
        let born = Date::from_calendar_date(
            i32::from(number(0..4)?),
            month,
            u8::try_from(number(6..8)?).ok()?,
        )
        .ok()?;
        let today = now.date();
        let days = (today - born).whole_days();
        if days < 0 {
            return None;
        }
        let months = (today.year() - born.year()) * 12 + i32::from(u8::from(today.month()))
            - i32::from(u8::from(born.month()))
            - i32::from(today.day() < born.day());
        Some(if months >= 12 {
            (months / 12, "yr")
        } else if months >= 1 {
            (months, "mo")
        } else {
            (i32::try_from(days).ok()?, "d")
        })
    }
}

/// RFC 3339 to digits in this zone; nothing for a time that can't be said in it. An instrument waits for the order, not for its hour.
pub(super) fn moment(said: Option<&String>, zone: time::UtcOffset, with_zone: bool) -> String {
    let Some(at) = said
        .and_then(|text| schemas::moment::plausible(text))
        .and_then(|at| at.checked_to_offset(zone))
    else {
        return String::new();
    };
    let text = crate::dtm::format(at);
    if with_zone {
        text
    } else {
        text.get(..14).unwrap_or(&text).to_owned()
    }
}
