//! Numbers of HL7 fields: what is none, and reference ranges. How a number is read is `hub_core::translator::number`.

use hub_core::translator::number::limits;
use schemas::care::ReferenceRange;

pub(super) use hub_core::translator::number::{compared, decimal, split_comparator};

use super::scope::{string, text};
use crate::message::Value;

/// What devices write when they have no value: `----`, `++++`, `.....`, `*****`. Three plus signs in a text are a
/// finding, so `+` counts only where a number is due.
pub(super) fn is_sentinel(said: &str, number_due: bool) -> bool {
    let mut bytes = said.bytes();
    let Some(first) = bytes.next() else {
        return false;
    };
    let least = match first {
        b'*' => 2,
        b'-' | b'.' => 3,
        b'+' if number_due => 3,
        _ => return false,
    };
    said.len() >= least && bytes.all(|b| b == first)
}

/// OBX-7 as sent, with the limits where they can be read: `3.5-4.5`, `3.5 to 4.5`, `0.27^4.20`, `40.0-`, `<5`,
/// `[4;11.5]`. `-20` alone is left as text: nobody can say whether it is a limit below zero.
pub(super) fn range(field: Value<'_>) -> ReferenceRange {
    let whole = string(field).unwrap_or_default();
    let mut parts = field.components();
    let first = parts.next().and_then(text).unwrap_or_default();
    let second = parts.next().and_then(text);
    let number = |said: &str| decimal(said.trim(), false);
    let (low, high) = match second.as_deref().and_then(number) {
        Some(high) if number(&first).is_some() => (number(&first), Some(high)),
        _ => limits(&first, false),
    };
    ReferenceRange {
        text: whole,
        low,
        high,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_are_no_values_but_findings_are() {
        for said in ["----", ".....", "*****", "---"] {
            assert!(is_sentinel(said, false), "{said}");
        }
        for said in ["-", "+", "+++", "++++", "7", "", "-.-"] {
            assert!(!is_sentinel(said, false), "{said}");
        }
        assert!(is_sentinel("++++", true));
    }
}
