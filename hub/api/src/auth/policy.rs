//! What may be a password, after NIST SP 800-63B-4 §3.1.1.2: long enough, not one that everybody tries, and not made of
//! what is known of the user. No rule about kinds of characters, no expiry.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::password::MAX_PASSWORD;

/// Characters, where the password is all there is.
pub(crate) const ALONE: usize = 15;
/// Characters, where a second factor is enrolled.
pub(crate) const WITH_FACTOR: usize = 8;

/// Words of which common passwords are made; our own list, written for this (data/common_words.txt).
static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("../../data/common_words.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect()
});

/// Why a password is none, for the person who chose it.
pub(crate) fn objection(password: &str, known: &[&str], has_factor: bool) -> Option<String> {
    let least = if has_factor { WITH_FACTOR } else { ALONE };
    let characters = password.chars().count();
    if characters < least {
        return Some(format!(
            "has {characters} characters; it needs {least}. Several words together are easy to remember"
        ));
    }
    if password.len() > MAX_PASSWORD {
        return Some(format!("has more than {MAX_PASSWORD} bytes"));
    }
    let plain = plain(password);
    if plain.chars().collect::<HashSet<_>>().len() < 5 {
        return Some("repeats too few characters".to_owned());
    }
    if is_run(&password.to_lowercase()) || is_repeated(&plain) {
        return Some("is a sequence that is tried first".to_owned());
    }
    let known: Vec<String> = known
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()))
        .map(self::plain)
        .filter(|word| word.len() >= 3)
        .collect();
    let left = without(&plain, &known);
    // what is left when the words that everybody tries are taken out must still be something
    if left.chars().filter(|c| c.is_alphabetic()).count() < 4 {
        return Some(
            "is made of words and numbers that are tried first, or of your name".to_owned(),
        );
    }
    None
}

/// Lower case, with the usual disguises taken off.
fn plain(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|c| match c {
            '@' | '4' => 'a',
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '5' | '$' => 's',
            '7' => 't',
            other => other,
        })
        .filter(|c| !c.is_whitespace())
        .collect()
}

/// The text without the words of the list and those given, the longest first at each place.
fn without(text: &str, known: &[String]) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut left = String::new();
    let mut at = 0;
    while at < characters.len() {
        let longest = (3..=characters.len() - at).rev().find(|length| {
            let word: String = characters[at..at + length].iter().collect();
            COMMON.contains(word.as_str()) || known.contains(&word)
        });
        match longest {
            Some(length) => at += length,
            None => {
                left.push(characters[at]);
                at += 1;
            }
        }
    }
    left
}

/// `abcdefgh…`, `987654…`, rows of the keyboard.
fn is_run(text: &str) -> bool {
    const ROWS: [&str; 4] = ["qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890"];
    let codes: Vec<i64> = text.chars().map(|c| i64::from(u32::from(c))).collect();
    let steps = codes
        .windows(2)
        .filter(|pair| (pair[1] - pair[0]).abs() <= 1);
    let mut rest = text.to_owned();
    for row in ROWS {
        rest = rest.replace(row, "");
    }
    steps.count() * 10 >= codes.len().saturating_sub(1) * 8 || rest.chars().count() < 4
}

/// One piece again and again.
fn is_repeated(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    (1..=characters.len() / 2).any(|length| {
        length <= 6
            && characters
                .iter()
                .enumerate()
                .all(|(at, c)| *c == characters[at % length])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_a_password_and_what_everybody_tries_is_none() {
        for (password, good) in [
            ("correct horse battery", true),
            ("blue kettle under the stairs", true),
            ("नमस्ते दुनिया आज बारिश है", true),
            ("Tr0ub4dor&3xyzzyplugh", true),
            ("short", false),
            ("fourteen chars", false),
            ("password12345678", false),
            ("P@ssw0rdP@ssw0rd!", false),
            ("aaaaaaaaaaaaaaaaaaaa", false),
            ("abcdefghijklmnopqrst", false),
            ("123456789012345678", false),
            ("qwertyuiopasdfghjkl", false),
            ("abcabcabcabcabcabc", false),
            ("Welcome2Hospital2026", false),
            ("asha.sharma2026!!", false),
            ("admin admin hospital 1", false),
        ] {
            let known = ["asha.sharma", "Asha Sharma", "demo"];
            assert_eq!(
                objection(password, &known, false).is_none(),
                good,
                "{password}: {:?}",
                objection(password, &known, false)
            );
        }
        assert!(objection("kettle4x", &[], true).is_none());
        assert!(objection("kettle4x", &[], false).is_some());
        assert!(objection(&"a long one ".repeat(200), &[], false).is_some());
    }
}
