//! Numbers of observations: thousandths, exact, because a band's edge is exact.

use std::fmt;

/// A number in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fixed(i64);

const ONE: i64 = 1_000;

impl Fixed {
    pub(crate) const ZERO: Self = Self(0);

    /// Decimal text without exponent; `None` for anything else, and for what is out of all bounds. Digits beyond the third
    /// after the point are cut off.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, part) = rest.split_once('.').unwrap_or((rest, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && part.is_empty())
            || whole.len() > 9
            || part.len() > 30
            || !digits(whole)
            || !digits(part)
        {
            return None;
        }
        let whole: i64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        let mut thousandths = 0;
        for place in 0..3 {
            let digit = part.as_bytes().get(place).map_or(0, |byte| byte - b'0');
            thousandths = thousandths * 10 + i64::from(digit);
        }
        let value = whole * ONE + thousandths;
        Some(Self(if negative { -value } else { value }))
    }

    /// Rounded half up to so many decimals (0 to 2).
    pub(crate) fn rounded(self, decimals: u8) -> Self {
        let step = match decimals {
            0 => 1_000,
            1 => 100,
            _ => 10,
        };
        Self((self.0 + step / 2).div_euclid(step) * step)
    }

    /// Degrees Fahrenheit as Celsius, rounded half up to a tenth.
    pub(crate) fn celsius(self) -> Self {
        // (f - 32) * 5 / 9 in thousandths, half up to the tenth: doubled to keep the half exact
        let ninths = (self.0 - 32 * ONE) * 5;
        let tenths = (ninths * 2 + 900).div_euclid(1_800);
        Self(tenths * 100)
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) = (self.0.abs() / ONE, self.0.abs() % ONE);
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        let part = format!("{part:03}");
        write!(f, "{sign}{whole}.{}", part.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_and_what_is_none_is_refused() {
        for (text, shown) in [
            ("36.6", Some("36.6")),
            ("36", Some("36")),
            (".5", Some("0.5")),
            ("-1.25", Some("-1.25")),
            ("36.0000000001", Some("36")),
            ("", None),
            (".", None),
            ("1e3", None),
            ("36,6", None),
            ("9999999999", None),
        ] {
            let read = Fixed::parse(text).map(|number| number.to_string());
            assert_eq!(read.as_deref(), shown, "{text:?}");
        }
    }

    #[test]
    fn halves_go_up() {
        for (text, decimals, expected) in [
            ("20.5", 0, "21"),
            ("20.49", 0, "20"),
            ("35.04", 1, "35"),
            ("35.05", 1, "35.1"),
            ("-0.5", 0, "0"),
        ] {
            let rounded = Fixed::parse(text).unwrap().rounded(decimals);
            assert_eq!(rounded.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn fahrenheit_becomes_celsius() {
        for (fahrenheit, celsius) in [
            ("98.6", "37"),
            ("32", "0"),
            ("95", "35"),
            ("95.1", "35.1"),
            ("102.3", "39.1"),
            ("102.2", "39"),
            ("-40", "-40"),
        ] {
            let converted = Fixed::parse(fahrenheit).unwrap().celsius();
            assert_eq!(converted.to_string(), celsius, "{fahrenheit}");
        }
    }
}
