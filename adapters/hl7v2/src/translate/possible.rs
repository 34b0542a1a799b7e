//! Numbers that can't be: a fraction below nothing or above all, a negative pressure. Blood gas analyzers send them, with a flag and
//! the number of a note, when a measurement failed. As a number on a chart they would be read as one.

use serde::{Deserialize, Serialize};

use super::number::decimal;

/// Why there is no value.
pub(super) const IMPOSSIBLE: &str = "impossible";

/// What the numbers of some tests can be at all: not a reference range, and not what the instrument can measure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Possible {
    /// OBX-3, letter case as sent.
    pub codes: Vec<String>,
    /// Lowest possible number, decimal. Left out: none.
    #[serde(default)]
    pub low: Option<String>,
    /// Highest possible number, decimal. Left out: none.
    #[serde(default)]
    pub high: Option<String>,
}

impl Possible {
    /// Whether it says something, in decimal numbers.
    pub(super) fn is_usable(&self) -> bool {
        let mut limits = [&self.low, &self.high].into_iter().flatten().peekable();
        !self.codes.is_empty()
            && limits.peek().is_some()
            && limits.all(|limit| decimal(limit, false).is_some())
    }

    fn excludes(&self, code: &str, number: f64) -> bool {
        let limit = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<f64>().ok());
        self.codes.iter().any(|one| one == code)
            && (limit(&self.low).is_some_and(|low| number < low)
                || limit(&self.high).is_some_and(|high| number > high))
    }
}

/// Whether a number of this test can't be.
pub(super) fn is_impossible(possible: &[Possible], code: &str, number: &str) -> bool {
    !possible.is_empty()
        && number
            .parse()
            .is_ok_and(|number| possible.iter().any(|one| one.excludes(code, number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn possible(low: Option<&str>, high: Option<&str>) -> Possible {
        Possible {
            codes: vec!["COHb".into()],
            low: low.map(str::to_owned),
            high: high.map(str::to_owned),
        }
    }

    #[test]
    fn only_what_lies_outside_the_limits_of_its_own_test_is_impossible() {
        let both = [possible(Some("0"), Some("100"))];
        for (code, number, impossible) in [
            ("COHb", "-0.1", true),
            ("COHb", "0", false),
            ("COHb", "0.0", false),
            ("COHb", "100.0", false),
            ("COHb", "100.1", true),
            ("SBE", "-1.5", false),
            ("COHb", "", false),
        ] {
            assert_eq!(
                is_impossible(&both, code, number),
                impossible,
                "{code} {number}"
            );
        }
        assert!(!is_impossible(&[possible(None, Some("100"))], "COHb", "-5"));
        assert!(!is_impossible(&[], "COHb", "-5"));
    }

    #[test]
    fn limits_that_say_nothing_are_no_settings() {
        assert!(possible(Some("0"), None).is_usable());
        assert!(!possible(None, None).is_usable());
        assert!(!possible(Some("none"), None).is_usable());
        assert!(!possible(Some("0"), Some("1e2")).is_usable());
    }
}
