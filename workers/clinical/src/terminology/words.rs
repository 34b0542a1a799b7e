//! Words of a display text, and of what somebody looks for. Pure; the same for both, or nothing would be found.

use std::collections::BTreeSet;

/// Each word once, in lower case: runs of letters and digits.
pub(crate) fn words_of(text: &str) -> BTreeSet<String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The words in one line, each after a space: a word that begins with `diab` is found as ` diab`.
pub(crate) fn line_of(text: &str) -> String {
    words_of(text)
        .into_iter()
        .fold(String::with_capacity(text.len() + 1), |mut line, word| {
            line.push(' ');
            line.push_str(&word);
            line
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits_in_lower_case_each_once() {
        for (text, line) in [
            ("Type 2 diabetes mellitus", " 2 diabetes mellitus type"),
            (
                "Glucose [Mass/volume] in Serum or Plasma",
                " glucose in mass or plasma serum volume",
            ),
            ("Ménière's disease, Ménière", " disease ménière s"),
            (" - / ", ""),
        ] {
            assert_eq!(line_of(text), line);
        }
    }
}
