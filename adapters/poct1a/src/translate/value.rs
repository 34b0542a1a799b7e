//! OBS.value and OBS.qualitative_value: a number, a word, or a sign that there is none.

use hub_core::translator::meaning::{CANCELLED, NOT_SENT};
use schemas::care::{Comparator, Value as Measured};

use super::number::{compared, is_sentinel};
use super::scope::Scope;
use crate::document::Element;

/// No value: the device says that it has none (`NULL="NI"`, `----`).
const NO_VALUE: &str = "no_value";

/// A value, and what was sent.
pub(super) struct Read {
    pub(super) value: Measured,
    pub(super) raw: Option<String>,
    pub(super) unit: Option<String>,
    /// The word beside a number.
    pub(super) qualitative: Option<String>,
}

/// `off_scale`: the device says in another place that the number is the end of its scale.
pub(super) fn read(
    scope: &Scope<'_>,
    obs: &Element,
    cancelled: bool,
    off_scale: Option<Comparator>,
) -> Read {
    let element = obs.child("OBS.value");
    let number = element.and_then(Element::value);
    let unit = element.and_then(|e| e.mark("U"));
    let word = obs.said("OBS.qualitative_value");
    let null = [element, obs.child("OBS.qualitative_value")]
        .into_iter()
        .flatten()
        .any(|e| e.mark("NULL").is_some());
    let raw = number.clone().or_else(|| word.clone());
    let value = match &raw {
        _ if cancelled => absent(CANCELLED),
        None if null => absent(NO_VALUE),
        None => absent(NOT_SENT),
        Some(said) => of_text(said, unit.is_some(), off_scale, scope.dialect.decimal_comma),
    };
    Read {
        value,
        raw,
        unit,
        qualitative: word,
    }
}

fn of_text(said: &str, measured: bool, off_scale: Option<Comparator>, comma: bool) -> Measured {
    if is_sentinel(said, measured) {
        return absent(NO_VALUE);
    }
    match compared(said, comma) {
        Some((comparator, number)) => Measured::Quantity {
            comparator: comparator.or(off_scale),
            number,
        },
        None => Measured::Text {
            text: said.to_owned(),
        },
    }
}

fn absent(reason: &str) -> Measured {
    Measured::Absent {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_what_they_are() {
        let number = |comparator, number: &str| Measured::Quantity {
            comparator,
            number: number.to_owned(),
        };
        let text = |t: &str| Measured::Text { text: t.to_owned() };
        let of = |said: &str, off_scale| of_text(said, true, off_scale, false);
        assert_eq!(of("145", None), number(None, "145"));
        assert_eq!(of("<20", None), number(Some(Comparator::Less), "20"));
        // a glucose meter says 600 and, beside it, that this is where its scale ends
        let above = Some(Comparator::Greater);
        assert_eq!(of("600", above), number(above, "600"));
        assert_eq!(of("----", None), absent(NO_VALUE));
        assert_eq!(of("negative", None), text("negative"));
        assert_eq!(of("7,4", None), text("7,4"));
    }
}
