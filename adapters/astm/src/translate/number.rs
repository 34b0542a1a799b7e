//! Numbers of ASTM records: what is none, and reference ranges. How a number is read is `hub_core::translator::number`.

use hub_core::translator::number::{decimal, limits};
use schemas::care::ReferenceRange;

pub(super) use hub_core::translator::number::compared;

use crate::records::Value;

/// What instruments write when they have no value: `----`, `---.-`, `.....`, `*****`, and `++++` where a number is
/// due. Elsewhere plus signs are a finding.
pub(super) fn is_sentinel(said: &str, number_due: bool) -> bool {
    let mut marks = said.chars().filter(|c| *c != '.');
    let Some(mark) = marks.next() else {
        return said.len() >= 3;
    };
    let least = match mark {
        '*' => 2,
        '-' => 3,
        '+' if number_due => 3,
        _ => return false,
    };
    said.chars().all(|c| c == mark || c == '.') && said.len() >= least
}

/// R.6 as sent, with the limits where they can be read: `3.5-4.5`, `3.5 to 4.5`, `0.27^4.20`, `40.0-`, `<5`, `[4;11.5]`,
/// `0.15 - 0.40^REFERENCE_RANGE`. `-20` alone is left as text: nobody can say whether it is a limit below zero.
pub(super) fn range(field: Value<'_>, comma: bool) -> Option<ReferenceRange> {
    let text = field.words();
    if text.is_empty() {
        return None;
    }
    // of several ranges each has its own condition, which no number tells
    if field.repeats().filter(|r| r.is_valued()).count() > 1 {
        return Some(ReferenceRange {
            text,
            ..ReferenceRange::default()
        });
    }
    let (first, second) = (field.component(1).text(), field.component(2).text());
    let (low, high) = match (decimal(&first, comma), decimal(&second, comma)) {
        (Some(low), Some(high)) => (Some(low), Some(high)),
        _ => limits(&first, comma),
    };
    Some(ReferenceRange { text, low, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_are_no_values_but_findings_are() {
        for said in ["----", "---", "---.-", "--.--", ".....", "*****"] {
            assert!(is_sentinel(said, false), "{said}");
        }
        for said in ["-", "--", "+", "+++", "7", "", ".", "neg", "-7"] {
            assert!(!is_sentinel(said, false), "{said}");
        }
        assert!(is_sentinel("++++", true));
    }
}
