//! How a device writes the number on a tube, where that is not as the order has it. Never a guess: a rule holds for all numbers of
//! its channel, in results and in queries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of zeros at the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeadingZeros {
    /// They are part of the number.
    #[default]
    Keep,
    /// The device fills its column with them; orders have the number without.
    Drop,
}

/// `tube` of a channel's dialect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TubeNumbers {
    /// `keep`, or `drop` where the device fills its column with zeros and orders have the number without. Default: `keep`.
    pub leading_zeros: LeadingZeros,
    /// Characters at the end that the barcode reader passes on and orders do not have (check digits), 0 to 4. Default: 0.
    pub check_digits: u8,
}

impl TubeNumbers {
    /// Most characters that may be taken off.
    pub const MOST_CHECK_DIGITS: u8 = 4;

    /// The number as orders have it. What would be nothing stays as it is.
    #[must_use]
    pub fn of<'n>(&self, said: &'n str) -> &'n str {
        let mut number = said;
        let digits = usize::from(self.check_digits);
        if digits > 0
            && let Some((at, _)) = number.char_indices().rev().nth(digits - 1)
            && at > 0
        {
            number = &number[..at];
        }
        if self.leading_zeros == LeadingZeros::Drop {
            let rest = number.trim_start_matches('0');
            if !rest.is_empty() {
                number = rest;
            }
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_as_orders_have_it_and_never_nothing() {
        let rule = |leading_zeros, check_digits| TubeNumbers {
            leading_zeros,
            check_digits,
        };
        use LeadingZeros::{Drop, Keep};
        for (rule, said, number) in [
            (rule(Keep, 0), "00123", "00123"),
            (rule(Drop, 0), "00123", "123"),
            (rule(Drop, 0), "0", "0"),
            (rule(Drop, 0), "000", "000"),
            (rule(Drop, 0), "10200", "10200"),
            (rule(Drop, 0), "0A7", "A7"),
            (rule(Keep, 1), "1234567", "123456"),
            (rule(Keep, 2), "12", "12"),
            (rule(Keep, 1), "7", "7"),
            (rule(Keep, 1), "राव", "रा"),
            (rule(Drop, 1), "0001238", "123"),
            (rule(Drop, 1), "", ""),
        ] {
            assert_eq!(rule.of(said), number, "{rule:?} {said:?}");
        }
    }

    #[test]
    fn the_rule_is_a_table_of_two_keys() {
        let rule: TubeNumbers =
            serde_json::from_str(r#"{"leading_zeros": "drop", "check_digits": 1}"#).unwrap();
        assert_eq!(rule.of("0077"), "7");
        assert!(serde_json::from_str::<TubeNumbers>(r#"{"zeros": "drop"}"#).is_err());
    }
}
