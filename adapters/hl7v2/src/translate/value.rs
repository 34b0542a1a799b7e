//! OBX-5 by the type that OBX-2 names.

use bytes::Bytes;
use hub_core::translator::meaning::{CANCELLED, NOT_SENT};
use schemas::care::{Code, Comparator, Value as Measured};

use super::attachment;
use super::codes::coded;
use super::number::{compared, decimal, is_sentinel, split_comparator};
use super::scope::{Scope, string, text};
use crate::dtm;
use crate::message::Value;

/// No value: the device wrote `----` or the like.
pub(super) const NO_VALUE: &str = "no_value";
/// No value: `""`.
const DELETED: &str = "deleted";

/// What must be known to read a value.
pub(super) struct Question<'q> {
    /// OBX-2.
    pub(super) value_type: &'q str,
    /// OBX-5.
    pub(super) field: Value<'q>,
    pub(super) cancelled: bool,
    /// A unit or a range stands beside it, so that text with digits is a number.
    pub(super) measured: bool,
}

/// A value, and what was sent.
pub(super) struct Read {
    pub(super) value: Measured,
    pub(super) raw: Option<String>,
}

pub(super) fn read(
    scope: &Scope<'_>,
    asked: &Question<'_>,
    attachments: &mut Vec<(String, Bytes)>,
) -> Read {
    let field = asked.field;
    if matches!(asked.value_type, "ED") {
        let value = attachment::read(scope, field, attachments);
        return Read { value, raw: None };
    }
    let Some(whole) = string(field) else {
        return Read {
            value: absent(if field.is_null() {
                DELETED
            } else if asked.cancelled {
                CANCELLED
            } else {
                NOT_SENT
            }),
            raw: (!field.is_empty()).then(|| field.raw().to_owned()),
        };
    };
    let value = match asked.value_type {
        "NM" => single(scope, field, true, true),
        "SN" => structured(scope, field),
        "NR" => interval(scope, field),
        "" => single(scope, field, true, true),
        // Devices send numbers as text; digits without unit and range may as well be the number of a lot.
        "ST" => single(scope, field, asked.measured, false),
        "CE" | "CWE" | "CNE" | "CF" => codes(scope, field),
        "IS" | "ID" => plain_codes(field),
        "DT" | "TS" | "DTM" => date_time(scope, field, asked.value_type == "DT"),
        "TM" => time_of_day(scope, field),
        _ => None,
    };
    Read {
        value: value.unwrap_or_else(|| lines(field)),
        raw: Some(whole),
    }
}

pub(super) fn absent(reason: &str) -> Measured {
    Measured::Absent {
        reason: reason.to_owned(),
    }
}

/// One number, with or without comparator; or a sign that there is none.
fn single(scope: &Scope<'_>, field: Value<'_>, number: bool, number_due: bool) -> Option<Measured> {
    let mut repetitions = field.repetitions();
    let (one, more) = (repetitions.next()?, repetitions.next());
    if more.is_some() {
        return None;
    }
    let said = text(one)?;
    // Maglumi writes `4.53^`.
    let said = said.trim_end_matches(['^', ' ']);
    if is_sentinel(said, number_due) {
        return Some(absent(NO_VALUE));
    }
    match compared(said, scope.settings.decimal_comma) {
        Some((comparator, digits)) if number || comparator.is_some() => Some(Measured::Quantity {
            comparator,
            number: digits,
        }),
        _ => None,
    }
}

/// SN: comparator ^ number ^ separator ^ number.
fn structured(scope: &Scope<'_>, field: Value<'_>) -> Option<Measured> {
    let comma = scope.settings.decimal_comma;
    let part = |n| text(field.component(n)).unwrap_or_default();
    let (first, one, separator, two) = (part(1), part(2), part(3), part(4));
    if field.repetitions().nth(1).is_some() {
        return None;
    }
    // Everything in the first component.
    if one.is_empty() && separator.is_empty() && two.is_empty() {
        return single(scope, field, true, true);
    }
    let number = |said: &str| decimal(said, comma);
    let comparator = match first.as_ref() {
        "" | "=" => None,
        sign => match split_comparator(sign) {
            (Some(comparator), "") => Some(comparator),
            _ => return None,
        },
    };
    match (separator.as_ref(), number(&one), number(&two)) {
        ("", Some(number), None) if two.is_empty() => {
            Some(Measured::Quantity { comparator, number })
        }
        ("-", Some(low), Some(high)) if comparator.is_none() => Some(Measured::Range { low, high }),
        (":" | "/", numerator, Some(denominator)) if comparator.is_none() => {
            Some(Measured::Ratio {
                numerator: numerator.or_else(|| one.is_empty().then(|| "1".to_owned()))?,
                denominator,
            })
        }
        _ => Some(Measured::Text {
            text: [first, one, separator, two].concat(),
        }),
    }
}

/// NR: low ^ high.
fn interval(scope: &Scope<'_>, field: Value<'_>) -> Option<Measured> {
    let comma = scope.settings.decimal_comma;
    let number = |n| decimal(&text(field.component(n))?, comma);
    match (number(1), number(2)) {
        (Some(low), Some(high)) => Some(Measured::Range { low, high }),
        (Some(number), None) if field.component(2).is_empty() => Some(Measured::Quantity {
            comparator: Some(Comparator::GreaterOrEqual),
            number,
        }),
        (None, Some(number)) if field.component(1).is_empty() => Some(Measured::Quantity {
            comparator: Some(Comparator::LessOrEqual),
            number,
        }),
        _ => None,
    }
}

/// Every repetition, and the second triplet of each.
fn codes(scope: &Scope<'_>, field: Value<'_>) -> Option<Measured> {
    let mut codes = Vec::new();
    for repetition in field.repetitions() {
        let coded_text = repetition.component(1);
        if coded_text.is_empty() && repetition.component(4).is_empty() {
            // Only words: they are no code.
            let said = text(repetition.component(2)).or_else(|| text(repetition.component(9)));
            codes.extend(said.map(|said| Code {
                text: Some(said.into_owned()),
                ..Code::default()
            }));
            continue;
        }
        let (first, second) = coded(scope, "OBX-5", repetition);
        codes.push(first);
        codes.extend(second);
    }
    let no_value = matches!(codes.as_slice(), [one] if is_sentinel(&one.code, false));
    if no_value {
        return Some(absent(NO_VALUE));
    }
    codes.retain(|code| !code.code.is_empty() || code.text.is_some());
    (!codes.is_empty()).then_some(Measured::Coded { codes })
}

fn plain_codes(field: Value<'_>) -> Option<Measured> {
    let codes: Vec<_> = field
        .repetitions()
        .filter_map(|repetition| {
            Some(Code {
                code: string(repetition)?,
                ..Code::default()
            })
        })
        .collect();
    (!codes.is_empty()).then_some(Measured::Coded { codes })
}

fn date_time(scope: &Scope<'_>, field: Value<'_>, day_only: bool) -> Option<Measured> {
    let dtm = dtm::read(field.component(1).raw()).ok()?.known()?;
    let mut value = dtm.iso(scope.settings.default_zone_minutes);
    if day_only {
        value.truncate(10);
    }
    Some(Measured::DateTime { value })
}

/// `HHMM[SS]`, with or without colons; anything else stays text.
fn time_of_day(scope: &Scope<'_>, field: Value<'_>) -> Option<Measured> {
    let said = text(field.component(1))?;
    let clock: String = said.chars().filter(|c| *c != ':').collect();
    let two = |at: usize| clock.get(at..at + 2)?.parse::<u8>().ok();
    let (hour, minute, second) = (two(0)?, two(2)?, two(4));
    let plain = matches!(clock.len(), 4 | 6) && clock.bytes().all(|b| b.is_ascii_digit());
    if !plain || hour > 23 || minute > 59 || second.is_some_and(|s| s > 59) {
        scope.bad("OBX-5", "not a time of day");
        return None;
    }
    let mut value = format!("{hour:02}:{minute:02}");
    if let Some(second) = second {
        value.push_str(&format!(":{second:02}"));
    }
    Some(Measured::DateTime { value })
}

/// Text: repetitions are lines, and what delimits components stays.
fn lines(field: Value<'_>) -> Measured {
    let lines: Vec<_> = field
        .repetitions()
        .map(|line| text(line).unwrap_or_default())
        .collect();
    let text = lines.join("\n");
    if is_sentinel(text.trim(), false) {
        return absent(NO_VALUE);
    }
    Measured::Text { text }
}
