//! Exact multiplication of decimal texts: unit conversion must not lose or invent digits.

/// A decimal number: digits (most significant first) and how many of them stand after the mark.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    scale: usize,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let mut digits = Vec::with_capacity(rest.len());
        let mut scale = None;
        for &byte in rest {
            match byte {
                b'0'..=b'9' => {
                    digits.push(byte - b'0');
                    scale = scale.map(|scale| scale + 1);
                }
                b'.' if scale.is_none() => scale = Some(0),
                _ => return None,
            }
        }
        (!digits.is_empty() && digits.len() <= 200).then(|| Self {
            negative,
            digits,
            scale: scale.unwrap_or(0),
        })
    }
}

/// True for `7`, `-7.41`, `.5`; no exponent, no blanks.
pub(crate) fn is_decimal(text: &str) -> bool {
    Decimal::parse(text).is_some()
}

/// `number × factor` as decimal text, with the digits of both kept (`5.10 × 0.1` = `0.510`, as numeric does in
/// Postgres); `None` when one of them is not a plain decimal.
pub(crate) fn product(number: &str, factor: &str) -> Option<String> {
    let (a, b) = (Decimal::parse(number)?, Decimal::parse(factor)?);
    let mut sums = vec![0u32; a.digits.len() + b.digits.len()];
    for (i, &x) in a.digits.iter().enumerate() {
        for (j, &y) in b.digits.iter().enumerate() {
            sums[i + j + 1] += u32::from(x) * u32::from(y);
        }
    }
    for place in (1..sums.len()).rev() {
        sums[place - 1] += sums[place] / 10;
        sums[place] %= 10;
    }
    let scale = a.scale + b.scale;
    let whole = sums.len() - scale;
    let first = sums
        .iter()
        .take(whole.saturating_sub(1))
        .take_while(|digit| **digit == 0)
        .count();
    let zero = sums.iter().all(|digit| *digit == 0);
    let mut text = String::with_capacity(sums.len() + 3);
    if a.negative != b.negative && !zero {
        text.push('-');
    }
    if whole == 0 {
        text.push('0');
    }
    for (place, digit) in sums.iter().enumerate().skip(first) {
        if place == whole {
            text.push('.');
        }
        text.push(char::from_digit(*digit, 10)?);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_exact_and_keep_their_digits() {
        for (number, factor, expected) in [
            ("140", "0.1", "14.0"),
            ("5.10", "0.1", "0.510"),
            ("5.10", "1", "5.10"),
            ("-2.5", "4", "-10.0"),
            ("0", "0.1", "0.0"),
            ("-0", "3", "0"),
            (".5", ".5", "0.25"),
            ("0.1", "0.2", "0.02"),
            (
                "123456789012345678901234567890",
                "1000",
                "123456789012345678901234567890000",
            ),
            ("88.42", "0.01131", "1.0000302"),
        ] {
            assert_eq!(
                product(number, factor).as_deref(),
                Some(expected),
                "{number} × {factor}"
            );
        }
    }

    #[test]
    fn what_is_no_decimal_has_no_product() {
        for bad in ["", "-", ".", "1e3", "1,5", " 1", "1.2.3", "NaN"] {
            assert_eq!(product(bad, "2"), None, "{bad:?}");
        }
    }
}
