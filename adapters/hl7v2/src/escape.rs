//! Escape sequences, both ways (HL7 v2.5.1 §2.7).
//!
//! Reading loses nothing: a sequence that is unknown, malformed or never closed stays as it stands, so `C:\dir` is
//! `C:\dir`. Writing escapes once; give it plain text, never text that is escaped already.

use std::borrow::Cow;

use crate::Separators;

/// What becomes of the formatting commands of FT text (`\.br\`, `\.sp\`, `\.ce\`, ...).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Formatting {
    /// `.br`, `.ce` and each line of `.sp` become a line feed; `.in`, `.ti`, `.fi`, `.nf` (layout only) vanish.
    #[default]
    Newlines,
    /// All of them stay as they stand.
    Verbatim,
}

/// Replaces the escape sequences of one value by the characters they stand for.
///
/// `\H\`, `\N\` (highlighting), `\Z..\` (local), `\C..\` and `\M..\` (character set switches) stay as they stand.
/// The bytes of `\X..\` are read as UTF-8, or as windows-1252 where they are not; four digits that begin with `00`
/// are one character, as some senders write `\X000d\`. `\P\` is the truncation character where MSH-2 declares one.
#[must_use]
pub fn unescape<'a>(raw: &'a str, separators: &Separators, formatting: Formatting) -> Cow<'a, str> {
    let mark = separators.escape;
    let Some(first) = memchr::memchr(mark, raw.as_bytes()) else {
        return Cow::Borrowed(raw);
    };
    let mark = char::from(mark);
    let (plain, mut rest) = raw.split_at(first);
    let mut out = String::with_capacity(raw.len());
    out.push_str(plain);
    // `rest` starts with an escape character here and after each turn.
    while let Some(inner) = rest.strip_prefix(mark) {
        let Some((sequence, after)) = inner.split_once(mark) else {
            break;
        };
        if let Some(kept) = meaning(sequence, separators, formatting, &mut out) {
            if kept == Kept::Verbatim {
                out.push(mark);
                out.push_str(sequence);
                out.push(mark);
            }
            rest = plain_part(after, mark, &mut out);
        } else {
            // No sequence: a backslash like any other character. What closed it may open the next.
            out.push(mark);
            rest = plain_part(inner, mark, &mut out);
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Moves everything before the next escape character to `out`.
fn plain_part<'a>(text: &'a str, mark: char, out: &mut String) -> &'a str {
    let (plain, rest) = text.split_at(text.find(mark).unwrap_or(text.len()));
    out.push_str(plain);
    rest
}

#[derive(PartialEq, Eq)]
enum Kept {
    Replaced,
    Verbatim,
}

/// Writes what `sequence` stands for; `None` when it is no escape sequence at all.
fn meaning(
    sequence: &str,
    separators: &Separators,
    formatting: Formatting,
    out: &mut String,
) -> Option<Kept> {
    let one = match sequence {
        "F" => Some(separators.field),
        "S" => Some(separators.component),
        "T" => Some(separators.subcomponent),
        "R" => Some(separators.repetition),
        "E" => Some(separators.escape),
        "P" => Some(separators.truncation?),
        _ => None,
    };
    if let Some(one) = one {
        out.push(char::from(one));
        return Some(Kept::Replaced);
    }
    let mut letters = sequence.chars();
    match letters.next()? {
        'X' => hex(letters.as_str(), out).then_some(Kept::Replaced),
        '.' => command(letters.as_str(), formatting, out),
        'H' | 'N' if letters.as_str().is_empty() => Some(Kept::Verbatim),
        'C' | 'M' if is_hex(letters.as_str()) => Some(Kept::Verbatim),
        'Z' if letters.as_str().chars().all(|c| c.is_ascii_alphanumeric()) => Some(Kept::Verbatim),
        _ => None,
    }
}

fn is_hex(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

fn hex(digits: &str, out: &mut String) -> bool {
    if !is_hex(digits) || !digits.len().is_multiple_of(2) {
        return false;
    }
    let mut bytes: Vec<u8> = digits
        .as_bytes()
        .chunks_exact(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    if let [0, low] = bytes.as_slice() {
        out.push(char::from(*low));
        return true;
    }
    match String::from_utf8(std::mem::take(&mut bytes)) {
        Ok(text) => out.push_str(&text),
        Err(wrong) => {
            let (text, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(wrong.as_bytes());
            out.push_str(&text);
        }
    }
    true
}

/// A formatting command, given without its dot.
fn command(text: &str, formatting: Formatting, out: &mut String) -> Option<Kept> {
    let (name, argument) = text.split_at_checked(2)?;
    let lines = match name.to_ascii_lowercase().as_str() {
        "br" | "ce" if argument.is_empty() => 1,
        "sp" if argument.is_empty() => 1,
        // More blank lines than a page holds are no layout.
        "sp" => argument
            .trim_start_matches('+')
            .parse::<usize>()
            .ok()
            .filter(|n| *n <= 100)?,
        "fi" | "nf" if argument.is_empty() => 0,
        "in" | "ti" if argument.parse::<i16>().is_ok() || argument.is_empty() => 0,
        _ => return None,
    };
    if formatting == Formatting::Verbatim {
        return Some(Kept::Verbatim);
    }
    out.extend(std::iter::repeat_n('\n', lines));
    Some(Kept::Replaced)
}

/// Plain text as it has to stand in a message: delimiters, line ends and other controls escaped.
///
/// A line feed becomes `\.br\` (`\X0A\` where the dot is a delimiter), every other control character but the tab `\Xhh\`; so neither segments nor frames
/// can break. [`unescape`] with [`Formatting::Newlines`] gives the same text back.
#[must_use]
pub fn escape<'a>(text: &'a str, separators: &Separators) -> Cow<'a, str> {
    if text.bytes().all(|b| escaped(b, separators).is_none()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    escape_into(text, separators, &mut out);
    Cow::Owned(out)
}

/// [`escape`] at the end of a buffer.
pub fn escape_into(text: &str, separators: &Separators, out: &mut String) {
    let mark = char::from(separators.escape);
    for c in text.chars() {
        let known = u8::try_from(c).ok().and_then(|b| escaped(b, separators));
        match known {
            None => out.push(c),
            Some(sequence) => {
                out.push(mark);
                match sequence {
                    Sequence::Letter(letter) => out.push(letter),
                    Sequence::Break => out.push_str(".br"),
                    Sequence::Hex(b) => {
                        out.push('X');
                        for digit in [b >> 4, b & 15] {
                            out.extend(
                                char::from_digit(u32::from(digit), 16)
                                    .map(|d| d.to_ascii_uppercase()),
                            );
                        }
                    }
                }
                out.push(mark);
            }
        }
    }
}

enum Sequence {
    Letter(char),
    Break,
    Hex(u8),
}

fn escaped(b: u8, separators: &Separators) -> Option<Sequence> {
    let letter = |c| Some(Sequence::Letter(c));
    match b {
        _ if b == separators.field => letter('F'),
        _ if b == separators.component => letter('S'),
        _ if b == separators.subcomponent => letter('T'),
        _ if b == separators.repetition => letter('R'),
        _ if b == separators.escape => letter('E'),
        _ if Some(b) == separators.truncation => letter('P'),
        // Not where a sender's delimiters contain the dot.
        b'\n' if !separators.all().contains(&b'.') => Some(Sequence::Break),
        b'\t' => None,
        0..=0x1F | 0x7F => Some(Sequence::Hex(b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> String {
        unescape(raw, &Separators::STANDARD, Formatting::Newlines).into_owned()
    }

    #[test]
    fn the_standard_sequences_are_replaced() {
        assert_eq!(read(r"a\F\b\S\c\T\d\R\e\E\f"), r"a|b^c&d~e\f");
        assert_eq!(read(r"\X41C3A9\g\X0D0A\h"), "Aég\r\nh");
        assert_eq!(read(r"\X000d\\X00e9\\X0A\"), "\ré\n");
        assert_eq!(read(r"\XE9\"), "é", "not UTF-8: windows-1252");
        assert_eq!(
            read(r"a\.br\b\.sp+2\c\.ce\d\.in+4\e\.BR\f"),
            "a\nb\n\nc\nde\nf"
        );
    }

    #[test]
    fn characters_outside_ascii_before_a_sequence_do_no_harm() {
        assert_eq!(read(r"राम\F\कुमार"), "राम|कुमार");
        assert_eq!(read(r"é\.br\x"), "é\nx");
    }

    #[test]
    fn what_is_no_sequence_stays() {
        for text in [
            r"C:\dir",
            r"C:\temp\new folder\",
            r"ends with \F",
            r"\X4\ \XZZ\ \X\ \\ \",
            r"\H\bold\N\",
            r"\C2842\ \M1B2442\ \Z99\",
            r"\f\ \P\ \.xx\ \.sp999999999999\ \.é\",
        ] {
            assert_eq!(read(text), text);
        }
        assert_eq!(
            read(r"C:\x\F\"),
            r"C:\x|",
            "the backslash after x opens \\F\\"
        );
    }

    #[test]
    fn formatting_can_stay() {
        let raw = r"a\.br\b\.sp2\c\T\d";
        assert_eq!(
            unescape(raw, &Separators::STANDARD, Formatting::Verbatim),
            r"a\.br\b\.sp2\c&d"
        );
    }

    #[test]
    fn own_escape_and_truncation_characters_work() {
        let (own, _) = Separators::read(b"MSH$%!?#$").unwrap();
        assert_eq!(
            unescape("Jane?S?Jill", &own, Formatting::Newlines),
            "Jane%Jill"
        );
        assert_eq!(escape("a%b?c\\d", &own), "a?S?b?E?c\\d");
        let (five, _) = Separators::read(b"MSH|^~\\&#|").unwrap();
        assert_eq!(unescape(r"a\P\b", &five, Formatting::Newlines), "a#b");
        assert_eq!(escape("a#b", &five), r"a\P\b");
        let (dot, _) = Separators::read(b"MSH.^~\\&.").unwrap();
        assert_eq!(escape("a\nb", &dot), r"a\X0A\b");
    }

    #[test]
    fn text_is_escaped_once_and_can_not_break_a_segment_or_frame() {
        let s = Separators::STANDARD;
        assert_eq!(escape("plain", &s), "plain");
        assert_eq!(
            escape("a|b\\F\\\r\n\x0b\x1c", &s),
            r"a\F\b\E\F\E\\X0D\\.br\\X0B\\X1C\"
        );
        assert_eq!(
            read(&escape("a|b\\F\\\r\n\x0b\x1c\tend", &s)),
            "a|b\\F\\\r\n\x0b\x1c\tend"
        );
    }
}
