//! Numbers of POCT1-A elements: what is none, and intervals. How a number is read is `hub_core::translator::number`.

use hub_core::translator::number::{self, decimal, split_comparator};
use schemas::care::{Comparator, ReferenceRange};

/// `<0.1`, `> 600`, `>=5`, `7.2`.
pub(super) fn compared(said: &str, comma: bool) -> Option<(Option<Comparator>, String)> {
    number::compared(said.trim(), comma)
}

/// What devices write when they have no value: `----`, `---.-`, `.....`, `*****`, and `++++` where a number is due.
/// Elsewhere plus signs are a finding.
pub(super) fn is_sentinel(said: &str, number_due: bool) -> bool {
    let said = said.trim();
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

/// An interval as POCT1-A writes it: `[80;120]`, `]80;120[`, `[80;]`, `<5`. `usable`: the limits are in the value's unit.
pub(super) fn range(said: &str, comma: bool, usable: bool) -> Option<ReferenceRange> {
    let text = said.trim();
    if text.is_empty() {
        return None;
    }
    let (low, high) = if usable {
        limits(text, comma)
    } else {
        (None, None)
    };
    Some(ReferenceRange {
        text: text.to_owned(),
        low,
        high,
    })
}

fn limits(said: &str, comma: bool) -> (Option<String>, Option<String>) {
    let number = |part: &str| decimal(part.trim(), comma);
    let inner = said
        .trim_start_matches(['[', ']', '('])
        .trim_end_matches(['[', ']', ')'])
        .trim();
    match split_comparator(inner) {
        (Some(Comparator::Less | Comparator::LessOrEqual), rest) => return (None, number(rest)),
        (Some(_), rest) => return (number(rest), None),
        (None, _) => {}
    }
    let Some((low, high)) = inner.split_once(';') else {
        return (None, None);
    };
    // an open end is said by nothing; half a reading is a guess
    match (low.trim().is_empty(), high.trim().is_empty()) {
        (false, true) => (number(low), None),
        (true, false) => (None, number(high)),
        _ => match (number(low), number(high)) {
            (Some(low), Some(high)) => (Some(low), Some(high)),
            _ => (None, None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_only_when_they_are_clear() {
        let some = |t: &str| Some(t.to_owned());
        for (said, low, high) in [
            ("[80;120]", some("80"), some("120")),
            ("]0.5;1.5[", some("0.5"), some("1.5")),
            ("[-5;5]", some("-5"), some("5")),
            ("[80;]", some("80"), None),
            ("[;120]", None, some("120")),
            ("< 5", None, some("5")),
            ("[;]", None, None),
            ("[4;x]", None, None),
            ("Negative", None, None),
        ] {
            assert_eq!(limits(said, false), (low, high), "{said}");
        }
        assert_eq!(
            range("[4;8]", false, false),
            Some(ReferenceRange {
                text: "[4;8]".to_owned(),
                ..ReferenceRange::default()
            }),
            "limits in another unit are text"
        );
    }

    #[test]
    fn sentinels_are_no_values_but_findings_are() {
        for said in ["----", "---.-", ".....", "*****"] {
            assert!(is_sentinel(said, false), "{said}");
        }
        for said in ["-", "--", "+++", "7", "", ".", "neg", "-7"] {
            assert!(!is_sentinel(said, false), "{said}");
        }
        assert!(is_sentinel("++++", true));
    }
}
