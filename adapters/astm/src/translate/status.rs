//! Result statuses. LIS02-A2 §9.9 uses letters of HL7 table 0085 with other meanings; canonical events speak 0085.

/// R.9 and O.26 in the letters of HL7 table 0085.
///
/// R is "previously transmitted" here and "not verified" there: it is a final result sent again, which must find
/// its report and change nothing. W is "validity questionable" here and "post as wrong" there: it becomes R, "entered,
/// not verified", and waits for a person's validation.
pub(super) fn canonical(said: &str) -> Option<String> {
    let letter = match said.trim().to_ascii_uppercase().as_str() {
        // V verified, M microbiology level, Q answer to a query: each a result that stands
        "F" | "R" | "V" | "M" | "Q" => "F",
        "P" | "S" => "P",
        "I" => "I",
        "C" => "C",
        "X" => "X",
        "W" => "R",
        _ => return None,
    };
    Some(letter.to_owned())
}

/// Whether it says "I sent this before".
pub(super) fn is_repeat(said: &str) -> bool {
    said.trim().eq_ignore_ascii_case("R")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_get_the_meaning_that_the_hub_files_by() {
        for (said, letter) in [
            ("F", Some("F")),
            ("R", Some("F")),
            ("W", Some("R")),
            ("S", Some("P")),
            ("x", Some("X")),
            ("N", None),
            ("", None),
        ] {
            assert_eq!(canonical(said).as_deref(), letter, "{said}");
        }
    }
}
