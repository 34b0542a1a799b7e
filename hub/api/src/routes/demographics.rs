//! What a desk says of a patient, and its canonical form. Has no routes of its own.

use schemas::Patch;
use schemas::patients::{Address, HumanName, Sex, Telecom};
use schemas::registration::Stated;
use serde::Deserialize;
use time::{Date, Month, OffsetDateTime};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::views::canonical;

/// What is said of a patient. Absent: nothing is said of it; null: it is deleted.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": { "family": "Sharma", "given": ["Asha"] }, "birth_date": "1980-05-17", "sex": "female", "mobile": "+91 98450 12345" }))]
pub(super) struct Demographics {
    #[serde(default)]
    #[schema(schema_with = canonical::human_name)]
    name: Patch<HumanName>,
    /// The name in another script, aliases.
    #[serde(default)]
    #[schema(schema_with = canonical::human_names)]
    other_names: Patch<Vec<HumanName>>,
    /// ISO 8601, as exact as it is known: `1980`, `1980-05`, `1980-05-17`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    birth_date: Patch<String>,
    /// Years, where nothing better is known: kept as the year of birth.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 130)]
    age: Option<u8>,
    /// `male`, `female`, `other` or `unknown`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    sex: Patch<Sex>,
    /// A mobile number; with `telecoms` give it there.
    #[serde(default)]
    mobile: Option<String>,
    #[serde(default)]
    #[schema(schema_with = canonical::telecoms)]
    telecoms: Patch<Vec<Telecom>>,
    #[serde(default)]
    #[schema(schema_with = canonical::addresses)]
    addresses: Patch<Vec<Address>>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    mother_maiden_name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    marital_status: Patch<String>,
    /// RFC 3339 time of death; the empty text when only the fact is known; null: alive.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    deceased: Patch<String>,
}

impl Demographics {
    pub(super) fn canonical(self) -> Result<Stated, Problem> {
        let today = OffsetDateTime::now_utc().date();
        let birth_date = match (self.birth_date, self.age) {
            (Patch::Keep, Some(age)) if age <= 130 => {
                Patch::Set((today.year() - i32::from(age)).to_string())
            }
            (_, Some(_)) => {
                return Err(Problem::invalid(
                    "age",
                    "is 0 to 130, and stands instead of birth_date",
                ));
            }
            (Patch::Set(text), None) => {
                if !is_birth_date(&text, today) {
                    return Err(Problem::invalid(
                        "birth_date",
                        "is a date that has been: 1980, 1980-05 or 1980-05-17",
                    ));
                }
                Patch::Set(text)
            }
            (birth_date, None) => birth_date,
        };
        if let Patch::Set(name) = &self.name
            && name.display().trim().is_empty()
        {
            return Err(Problem::invalid("name", "has no word"));
        }
        if let Patch::Set(text) = &self.deceased
            && !text.is_empty()
            && schemas::moment::plausible(text).is_none()
        {
            return Err(Problem::invalid(
                "deceased",
                "is a time as in RFC 3339 of the years 1800 to 2200, or empty",
            ));
        }
        let telecoms = match (self.telecoms, self.mobile) {
            (telecoms, None) => telecoms,
            (Patch::Keep, Some(value)) => Patch::Set(vec![Telecom {
                value,
                system: "mobile".to_owned(),
                use_code: None,
            }]),
            (_, Some(_)) => {
                return Err(Problem::invalid("mobile", "give either mobile or telecoms"));
            }
        };
        Ok(Stated {
            name: self.name,
            other_names: self.other_names,
            birth_date,
            sex: self.sex,
            telecoms,
            addresses: self.addresses,
            mother_maiden_name: self.mother_maiden_name,
            marital_status: self.marital_status,
            deceased: self.deceased,
        })
    }
}

/// ISO 8601, possibly partial, not before 1850 and not after today.
pub(crate) fn is_birth_date(text: &str, today: Date) -> bool {
    let digits = |part: &str, length: usize| {
        (part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<u16>().ok())
            .flatten()
    };
    let mut parts = text.split('-');
    let year = parts.next().and_then(|part| digits(part, 4));
    let month = parts.next().map(|part| digits(part, 2));
    let day = parts.next().map(|part| digits(part, 2));
    let (Some(year), None) = (year, parts.next()) else {
        return false;
    };
    let number = |part: Option<Option<u16>>| match part {
        None => Some(1),
        Some(number) => number.and_then(|number| u8::try_from(number).ok()),
    };
    let (Some(month), Some(day)) = (number(month), number(day)) else {
        return false;
    };
    Month::try_from(month)
        .and_then(|month| Date::from_calendar_date(i32::from(year), month, day))
        .is_ok_and(|first| first.year() >= 1850 && first <= today)
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn a_birth_date_is_as_exact_as_it_is_known_and_has_been() {
        let today = date!(2026 - 03 - 01);
        for (text, good) in [
            ("1980", true),
            ("1980-05", true),
            ("1980-05-17", true),
            ("2026-03-01", true),
            ("2026-03-02", false),
            ("2027", false),
            ("1849", false),
            ("1980-13", false),
            ("1981-02-29", false),
            ("80", false),
            ("1980-5", false),
            ("1980-05-17-01", false),
            ("", false),
        ] {
            assert_eq!(is_birth_date(text, today), good, "{text}");
        }
    }
}
