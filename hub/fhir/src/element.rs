//! The grammar that resources are written in: what is not known is null, and null is left out, all the way up. So nothing
//! empty can be sent (FHIR R4 §2.6.2: no empty strings, arrays or objects).

use schemas::care::{Code, Practitioner};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::resource::Kind;
use crate::systems;
use crate::wire;

/// A piece of JSON as it stands in a resource; null where nothing is known.
pub type Written = Value;

/// An object of the fields that say something; null when none does.
pub(crate) fn element<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let mut object = Map::new();
    for (name, value) in fields {
        if says_something(&value) {
            object.insert(name.to_owned(), value);
        }
    }
    if object.is_empty() {
        Value::Null
    } else {
        Value::Object(object)
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Those that say something; null when none does.
pub(crate) fn list(items: impl IntoIterator<Item = Value>) -> Value {
    let items: Vec<Value> = items.into_iter().filter(says_something).collect();
    if items.is_empty() {
        Value::Null
    } else {
        Value::Array(items)
    }
}

/// A `string`: without control characters other than tab and line ends, without blanks around it.
pub(crate) fn text(text: &str) -> Value {
    let clean: String = text
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'))
        .collect();
    match clean.trim() {
        "" => Value::Null,
        clean => Value::from(clean),
    }
}

pub(crate) fn maybe(value: Option<&String>) -> Value {
    value.map_or(Value::Null, |value| text(value))
}

/// A `code`: one blank between words at most.
pub(crate) fn token(text: &str) -> Value {
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| word.chars().filter(|c| !c.is_control()).collect())
        .filter(|word: &String| !word.is_empty())
        .collect();
    if words.is_empty() {
        Value::Null
    } else {
        Value::from(words.join(" "))
    }
}

/// An `instant` or a `dateTime` to the second and below, in UTC.
pub(crate) fn moment(at: OffsetDateTime) -> Value {
    // FHIR has years of four digits; the last hours of 9999 are in another year here
    at.checked_to_offset(time::UtcOffset::UTC)
        .filter(|utc| (1..=9999).contains(&utc.year()))
        .and_then(|utc| utc.format(&Rfc3339).ok())
        .map_or(Value::Null, Value::from)
}

pub(crate) fn maybe_moment(at: Option<OffsetDateTime>) -> Value {
    at.map_or(Value::Null, moment)
}

/// A `date` of the precision that was sent: `1980`, `1980-05`, `1980-05-17`. Of a text that goes on after the day, the day.
pub(crate) fn date(text: &str) -> Value {
    let day = text.trim().split('T').next().unwrap_or_default();
    if is_date(day).is_some() {
        Value::from(day)
    } else {
        Value::Null
    }
}

fn is_date(day: &str) -> Option<()> {
    let digits = |part: &str, count: usize| -> Option<u16> {
        let fits = part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| part.parse().ok()).flatten()
    };
    let parts: Vec<&str> = day.split('-').collect();
    let (year, month, day) = match parts.as_slice() {
        [year] => (digits(year, 4)?, 1, 1),
        [year, month] => (digits(year, 4)?, digits(month, 2)?, 1),
        [year, month, day] => (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?),
        _ => return None,
    };
    let month = time::Month::try_from(u8::try_from(month).ok()?).ok()?;
    let year = i32::from(year);
    time::Date::from_calendar_date(year, month, u8::try_from(day).ok()?)
        .ok()
        .filter(|_| year > 0)
        .map(drop)
}

/// A `dateTime` as a sender wrote it: a date of any precision, or RFC 3339. Other forms are not guessed at.
pub(crate) fn date_time(text: &str) -> Value {
    let text = text.trim();
    if text.contains('T') {
        OffsetDateTime::parse(text, &Rfc3339).map_or(Value::Null, moment)
    } else {
        date(text)
    }
}

/// A `decimal` with the digits that were sent; null when the text is no number of FHIR.
pub(crate) fn decimal(text: &str) -> Value {
    wire::decimal(text).unwrap_or(Value::Null)
}

/// `Patient/018f…`
pub(crate) fn reference(kind: Kind, id: impl std::fmt::Display) -> Value {
    element([("reference", Value::from(format!("{kind}/{id}")))])
}

pub(crate) fn maybe_reference(kind: Kind, id: Option<Uuid>) -> Value {
    id.map_or(Value::Null, |id| reference(kind, id))
}

/// The patient, where the index knows him. The element is mandatory: whose it is, is not known otherwise.
pub(crate) fn whose(patient: Option<Uuid>) -> Value {
    match patient {
        Some(id) => reference(Kind::Patient, id),
        None => element([("display", Value::from("not known"))]),
    }
}

/// Somebody whom a message named: there is no resource of his own, so the reference says who he is.
pub(crate) fn named(person: Option<&Practitioner>) -> Value {
    person.map_or(Value::Null, |person| {
        element([
            (
                "identifier",
                element([("value", maybe(person.id.as_ref()))]),
            ),
            ("display", maybe(person.name.as_ref())),
        ])
    })
}

/// What FHIR has no element for, under an address of ours.
pub(crate) fn extension(url: &str, member: &str, value: Value) -> Value {
    if value.is_null() {
        return Value::Null;
    }
    element([("url", Value::from(url)), (member, value)])
}

/// One coding of a system that FHIR knows by its URI.
pub(crate) fn coding(system: &str, code: &str, display: Option<&str>) -> Value {
    element([
        ("system", Value::from(system)),
        ("code", token(code)),
        ("display", display.map_or(Value::Null, text)),
    ])
}

/// A code as a source wrote it, its system in FHIR's words where there are any.
pub(crate) fn coding_of(code: &Code) -> Value {
    let value = token(&code.code);
    if value.is_null() {
        return Value::Null;
    }
    element([
        (
            "system",
            code.system
                .as_deref()
                .and_then(systems::code_system)
                .map_or(Value::Null, Value::from),
        ),
        ("code", value),
        ("display", maybe(code.text.as_ref())),
    ])
}

/// A concept of one code; its words stand as text too.
pub(crate) fn concept(code: &Code) -> Value {
    concept_of([coding_of(code)], code.text.as_deref())
}

pub(crate) fn maybe_concept(code: Option<&Code>) -> Value {
    code.map_or(Value::Null, concept)
}

pub(crate) fn concept_of(codings: impl IntoIterator<Item = Value>, words: Option<&str>) -> Value {
    element([
        ("coding", list(codings)),
        ("text", words.map_or(Value::Null, text)),
    ])
}

/// A concept that nobody coded.
pub(crate) fn words(given: Option<&String>) -> Value {
    element([("text", maybe(given))])
}

pub(crate) fn period(start: Option<OffsetDateTime>, end: Option<OffsetDateTime>) -> Value {
    // per-1: a period that ends before it began is none; its beginning is the more certain of the two
    let end = end.filter(|end| start.is_none_or(|start| start <= *end));
    element([("start", maybe_moment(start)), ("end", maybe_moment(end))])
}

/// Lines of a message, one annotation for all of them.
pub(crate) fn notes(lines: &[String]) -> Value {
    list([element([("text", text(&lines.join("\n")))])])
}

/// A number that a party gave to a thing, with its type of HL7 table 0203.
pub(crate) fn number(kind: &str, display: &str, value: Option<&String>) -> Value {
    let value = maybe(value);
    if value.is_null() {
        return Value::Null;
    }
    element([
        (
            "type",
            concept_of(
                [coding(systems::IDENTIFIER_TYPE, kind, Some(display))],
                None,
            ),
        ),
        ("value", value),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_says_nothing_is_left_out_all_the_way_up() {
        let inner = element([("value", text(" \u{0} ")), ("code", Value::Null)]);
        assert_eq!(inner, Value::Null);
        let outer = element([
            ("list", list([inner.clone(), Value::Null])),
            ("inner", inner),
            ("flag", Value::Bool(false)),
        ]);
        assert_eq!(outer, json!({ "flag": false }));
    }

    #[test]
    fn a_date_keeps_its_precision_and_what_is_no_date_is_none() {
        for (given, written) in [
            ("1980", json!("1980")),
            ("1980-05", json!("1980-05")),
            ("1980-05-17", json!("1980-05-17")),
            ("1980-05-17T04:00:00Z", json!("1980-05-17")),
            ("1980-02-30", Value::Null),
            ("1980-13", Value::Null),
            ("80-05-17", Value::Null),
            ("0000", Value::Null),
            ("1980-05-17-01", Value::Null),
            ("", Value::Null),
        ] {
            assert_eq!(date(given), written, "{given}");
        }
        assert_eq!(
            date_time("2026-03-01T17:30:00+05:30"),
            json!("2026-03-01T12:00:00Z")
        );
        assert_eq!(date_time("2026-03-01T17:30"), Value::Null);
        // in UTC it is in the year 10000
        assert_eq!(date_time("9999-12-31T23:59:59-01:00"), Value::Null);
        assert_eq!(date_time("2026-03"), json!("2026-03"));
    }

    #[test]
    fn a_code_has_one_blank_between_words() {
        assert_eq!(token("  A   B\t"), json!("A B"));
        assert_eq!(token(" "), Value::Null);
    }
}
