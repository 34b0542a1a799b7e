//! R.4: a number, a word, or a sign that there is none.

use hub_core::translator::meaning::{CANCELLED, NOT_SENT};
use schemas::care::Value as Measured;

use super::number::{compared, is_sentinel};
use crate::records::Value;

/// No value: the instrument wrote `----` or the like.
const NO_VALUE: &str = "no_value";
/// No value: `""`.
const DELETED: &str = "deleted";

/// A value, and what was sent.
pub(super) struct Read {
    pub(super) value: Measured,
    pub(super) raw: Option<String>,
}

/// `measured`: a unit or a range stands beside it, so that a number is due.
pub(super) fn read(field: Value<'_>, cancelled: bool, measured: bool, comma: bool) -> Read {
    let words = field.words();
    if words.is_empty() || field.is_null() {
        let reason = if field.is_null() {
            DELETED
        } else if cancelled {
            CANCELLED
        } else {
            NOT_SENT
        };
        return Read {
            value: absent(reason),
            raw: field.is_valued().then(|| field.raw().to_owned()),
        };
    }
    let mut parts = field
        .repeats()
        .flat_map(Value::components)
        .filter(|part| part.is_valued());
    // Mispa Nano writes `98.189848^^^^`
    let only = match (parts.next(), parts.next()) {
        (Some(only), None) => Some(only.text()),
        _ => None,
    };
    Read {
        value: of_text(
            only.as_deref().unwrap_or(&words),
            only.is_some(),
            measured,
            comma,
        ),
        raw: Some(field.raw().trim().to_owned()),
    }
}

/// A value that stands alone, as text.
pub(super) fn of_text(said: &str, single: bool, measured: bool, comma: bool) -> Measured {
    let said = said.trim();
    if said.is_empty() {
        return absent(NOT_SENT);
    }
    if single && is_sentinel(said, measured) {
        return absent(NO_VALUE);
    }
    match compared(said, comma) {
        Some((comparator, number)) if single => Measured::Quantity { comparator, number },
        _ => Measured::Text {
            text: said.to_owned(),
        },
    }
}

/// Something was sent, and it is no value.
pub(super) fn no_value() -> Measured {
    absent(NO_VALUE)
}

fn absent(reason: &str) -> Measured {
    Measured::Absent {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::split;
    use schemas::care::Comparator;

    fn of(said: &str, cancelled: bool, measured: bool) -> Measured {
        let text = format!("H|\\^&\rR|1|x|{said}\r");
        let all = split(&text);
        read(
            all.messages[0].records()[1].peek(4),
            cancelled,
            measured,
            false,
        )
        .value
    }

    #[test]
    fn values_become_what_they_are() {
        let number = |comparator, number: &str| Measured::Quantity {
            comparator,
            number: number.to_owned(),
        };
        let text = |t: &str| Measured::Text { text: t.to_owned() };
        assert_eq!(of("  7.4", false, true), number(None, "7.4"));
        assert_eq!(of("98.189848^^^^", false, true), number(None, "98.189848"));
        assert_eq!(
            of("> 15000.00", false, true),
            number(Some(Comparator::Greater), "15000.00")
        );
        assert_eq!(of("---.-", false, true), absent(NO_VALUE));
        assert_eq!(of(".....", false, false), absent(NO_VALUE));
        assert_eq!(of("++++", false, true), absent(NO_VALUE));
        assert_eq!(of("+++", false, false), text("+++"));
        assert_eq!(of("", false, true), absent(NOT_SENT));
        assert_eq!(of("", true, true), absent(CANCELLED));
        assert_eq!(of("\"\"", false, true), absent(DELETED));
        assert_eq!(of("3+^3+^45", false, false), text("3+ 3+ 45"));
        assert_eq!(of("0^0^0", false, false), text("0 0 0"));
        assert_eq!(of("Nonreactive", false, false), text("Nonreactive"));
    }
}
