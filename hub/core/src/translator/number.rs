//! How translators read the numbers of machines: decimal numbers, comparators and limits, without guessing.

use schemas::care::Comparator;

/// More digits are no measurement.
const MOST_DIGITS: usize = 38;

/// A decimal number in one spelling: no plus sign, a digit on both sides of the point. `None` for anything else, also
/// for exponents. The digits stay as sent, because precision is meaning.
pub fn decimal(said: &str, comma: bool) -> Option<String> {
    let (sign, digits) = match said.as_bytes().first()? {
        b'-' => ("-", said.get(1..)?),
        b'+' => ("", said.get(1..)?),
        _ => ("", said),
    };
    let mark = if comma && digits.contains(',') {
        ','
    } else {
        '.'
    };
    let (whole, part) = digits.split_once(mark).unwrap_or((digits, ""));
    let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
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

/// `<0.1`, `> 15000.00`, `>=5`, `7.2`.
pub fn compared(said: &str, comma: bool) -> Option<(Option<Comparator>, String)> {
    let (comparator, rest) = split_comparator(said);
    Some((comparator, decimal(rest.trim(), comma)?))
}

/// A comparator at the front, and what follows it.
pub fn split_comparator(said: &str) -> (Option<Comparator>, &str) {
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

/// The limits of a range where they can be read: `3.5-4.5`, `3.5 to 4.5`, `40.0-`, `<5`, `[4;11.5]`. `-20` alone has none: nobody
/// can say whether it is a limit below zero.
pub fn limits(said: &str, comma: bool) -> (Option<String>, Option<String>) {
    let number = |part: &str| decimal(part.trim(), comma);
    let said = said
        .trim()
        .trim_start_matches(['[', '('])
        .trim_end_matches([']', ')']);
    match split_comparator(said) {
        (Some(Comparator::Less | Comparator::LessOrEqual), rest) => return (None, number(rest)),
        (Some(Comparator::Greater | Comparator::GreaterOrEqual), rest) => {
            return (number(rest), None);
        }
        (None, _) => {}
    }
    for between in [" to ", ";", " - ", "–"] {
        if let Some((low, high)) = said.split_once(between) {
            return both(number(low), number(high));
        }
    }
    // a hyphen between two numbers; the first character may be a sign
    let Some(at) = said
        .char_indices()
        .skip(1)
        .find(|(_, c)| *c == '-')
        .map(|(at, _)| at)
    else {
        return (None, None);
    };
    let (low, high) = (
        said.get(..at).unwrap_or_default(),
        said.get(at + 1..).unwrap_or_default(),
    );
    if high.trim().is_empty() {
        return (number(low), None);
    }
    both(number(low), number(high))
}

/// Both limits or neither: half a reading is a guess.
fn both(low: Option<String>, high: Option<String>) -> (Option<String>, Option<String>) {
    if low.is_some() && high.is_some() {
        (low, high)
    } else {
        (None, None)
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
            ("5.", Some("5")),
            ("-58.4", Some("-58.4")),
            ("007", Some("007")),
            ("7,41", None),
            ("1e5", None),
            ("", None),
            ("-", None),
            ("--5", None),
            (".", None),
            ("1.2.3", None),
            ("１", None),
        ] {
            assert_eq!(decimal(said, false).as_deref(), number, "{said}");
        }
        assert_eq!(decimal("7,41", true).as_deref(), Some("7.41"));
        assert_eq!(
            compared("> 15000.00", false),
            Some((Some(Comparator::Greater), "15000.00".into()))
        );
        assert_eq!(
            compared("<0.1", false),
            Some((Some(Comparator::Less), "0.1".into()))
        );
        assert_eq!(compared("<>0.1", false), None);
    }

    #[test]
    fn ranges_are_read_only_when_they_are_clear() {
        let some = |t: &str| Some(t.to_owned());
        for (said, low, high) in [
            ("3.5-4.5", some("3.5"), some("4.5")),
            ("3.5 to 4.5", some("3.5"), some("4.5")),
            ("0.15 - 0.40", some("0.15"), some("0.40")),
            ("40.000000-", some("40.000000"), None),
            ("-20", None, None),
            ("-5-5", some("-5"), some("5")),
            ("<5", None, some("5")),
            ("> 60", some("60"), None),
            ("[4;11.5]", some("4"), some("11.5")),
            ("70 - 110", some("70"), some("110")),
            ("Negative", None, None),
            ("3-x", None, None),
            ("M: 4-6 F: 3-5", None, None),
        ] {
            assert_eq!(limits(said, false), (low, high), "{said}");
        }
    }
}
