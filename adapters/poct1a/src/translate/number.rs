//! Decimal numbers, comparators, sentinels and limits, read without guessing.

use schemas::care::{Comparator, ReferenceRange};

/// More digits are no measurement.
const MOST_DIGITS: usize = 38;

/// A decimal number in one spelling: no plus sign, a digit on both sides of the point. `None` for anything else, also
/// for exponents. The digits stay as sent, because precision is meaning.
pub(super) fn decimal(said: &str, comma: bool) -> Option<String> {
    let (sign, digits) = match said.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", said.strip_prefix('+').unwrap_or(said)),
    };
    let mark = if comma && digits.contains(',') {
        ','
    } else {
        '.'
    };
    let (whole, part) = digits.split_once(mark).unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole)
        || !all_digits(part)
        || whole.len() + part.len() == 0
        || digits.len() > MOST_DIGITS
    {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if part.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{part}")
    })
}

/// `<0.1`, `> 600`, `>=5`, `7.2`.
pub(super) fn compared(said: &str, comma: bool) -> Option<(Option<Comparator>, String)> {
    let (comparator, rest) = split_comparator(said.trim());
    Some((comparator, decimal(rest.trim(), comma)?))
}

fn split_comparator(said: &str) -> (Option<Comparator>, &str) {
    for (sign, comparator) in [
        ("<=", Comparator::LessOrEqual),
        (">=", Comparator::GreaterOrEqual),
        ("≤", Comparator::LessOrEqual),
        ("≥", Comparator::GreaterOrEqual),
        ("<", Comparator::Less),
        (">", Comparator::Greater),
    ] {
        if let Some(rest) = said.strip_prefix(sign) {
            return (Some(comparator), rest);
        }
    }
    (None, said)
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
    fn numbers_keep_their_digits_and_nothing_else_is_one() {
        for (said, number) in [
            ("7.20", Some("7.20")),
            ("+5", Some("5")),
            (".5", Some("0.5")),
            ("-58.4", Some("-58.4")),
            ("7,41", None),
            ("1e5", None),
            ("", None),
            ("-", None),
            ("--5", None),
            ("１", None),
        ] {
            assert_eq!(decimal(said, false).as_deref(), number, "{said}");
        }
        assert_eq!(decimal("7,41", true).as_deref(), Some("7.41"));
        assert_eq!(compared("<>0.1", false), None);
    }

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
