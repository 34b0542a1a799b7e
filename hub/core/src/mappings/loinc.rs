//! The form of a LOINC code.

/// The name that tables have for LOINC (HL7 table 0396).
pub(super) const LOINC: &str = "LN";

/// Names under which senders give LOINC as the code system: HL7 table 0396, plain, OID, FHIR URI.
const SYSTEM_NAMES: [&str; 5] = [
    "LN",
    "LOINC",
    "2.16.840.1.113883.6.1",
    "urn:oid:2.16.840.1.113883.6.1",
    "http://loinc.org",
];

/// Whether a code system as sent is LOINC.
pub(super) fn is_loinc_system(system: &str) -> bool {
    SYSTEM_NAMES
        .iter()
        .any(|name| name.eq_ignore_ascii_case(system))
}

/// Whether `code` has the form of a LOINC code: one to seven digits, a hyphen and the right check digit
/// (LOINC Users' Guide, appendix "Calculating mod 10 check digits"). Whether such a term exists is not known here.
#[must_use]
pub fn is_loinc(code: &str) -> bool {
    let Some((number, check)) = code.split_once('-') else {
        return false;
    };
    let [check] = check.as_bytes() else {
        return false;
    };
    (1..=7).contains(&number.len())
        && !number.starts_with('0')
        && number.bytes().all(|b| b.is_ascii_digit())
        && check.is_ascii_digit()
        && check_digit(number) == check - b'0'
}

/// The check digit for a number of ASCII digits: the Luhn sum of the digits, taken from the right.
pub(super) fn check_digit(number: &str) -> u8 {
    let sum: u32 = number
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, b)| {
            let digit = u32::from(b.saturating_sub(b'0'));
            match (place % 2 == 0, digit) {
                (true, 5..) => digit * 2 - 9,
                (true, _) => digit * 2,
                (false, _) => digit,
            }
        })
        .sum();
    u8::try_from((10 - sum % 10) % 10).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_tells_a_typo_from_a_code() {
        for good in [
            "6690-2", "718-7", "2345-7", "787-2", "4544-3", "57021-8", "94500-6", "17856-6",
        ] {
            assert!(is_loinc(good), "{good}");
        }
        for bad in [
            "6690-3",
            "718",
            "-7",
            "",
            "0718-7",
            "718-77",
            "71a-7",
            "LP1234-5",
            "12345678-9",
        ] {
            assert!(!is_loinc(bad), "{bad}");
        }
    }
}
