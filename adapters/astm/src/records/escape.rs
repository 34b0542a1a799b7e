//! Escape sequences (LIS02-A2 §5.4.4): `&F&` `&S&` `&R&` `&E&` `&Xhh..&`. Many senders never escape, so that a lone
//! escape character stands for itself.

use std::borrow::Cow;

use super::Delimiters;

/// Replaces what is an escape sequence; everything else stays as it is.
pub(crate) fn unescape(raw: &str, delimiters: Delimiters) -> Cow<'_, str> {
    let mark = delimiters.escape;
    if !raw.contains(mark) {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once(mark) {
        text.push_str(before);
        let meant = after
            .split_once(mark)
            .and_then(|(name, follows)| Some((meaning(name, delimiters)?, follows)));
        match meant {
            Some((meaning, follows)) => {
                text.push_str(&meaning);
                rest = follows;
            }
            None => {
                text.push(mark);
                rest = after;
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

fn meaning(name: &str, delimiters: Delimiters) -> Option<String> {
    let one = |c: char| Some(c.to_string());
    match name {
        "F" => one(delimiters.field),
        "S" => one(delimiters.component),
        "R" => one(delimiters.repeat),
        "E" => one(delimiters.escape),
        _ => {
            let digits = name.strip_prefix(['X', 'x'])?;
            if digits.is_empty() || digits.len() % 2 != 0 || !digits.is_ascii() {
                return None;
            }
            let bytes: Option<Vec<u8>> = (0..digits.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
                .collect();
            Some(encoding_rs::mem::decode_latin1(&bytes?).into_owned())
        }
    }
}

/// Writes text so that no delimiter in it is taken for one, and no line end breaks the record.
pub(crate) fn escape(text: &str, delimiters: Delimiters) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let name = match c {
            _ if c == delimiters.field => 'F',
            _ if c == delimiters.component => 'S',
            _ if c == delimiters.repeat => 'R',
            _ if c == delimiters.escape => 'E',
            // control characters are forbidden in a record, framing or not
            _ if c.is_control() => {
                out.push(' ');
                continue;
            }
            _ => {
                out.push(c);
                continue;
            }
        };
        out.extend([delimiters.escape, name, delimiters.escape]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_replaced_and_lone_marks_stay() {
        let d = Delimiters::default();
        for (raw, text) in [
            ("a&F&b&S&c&R&d&E&e", "a|b^c\\d&e"),
            ("Type && Screen", "Type && Screen"),
            ("x&X0A&y", "x\ny"),
            ("Q&A", "Q&A"),
            ("&Z&F&", "&Z|"),
            ("a&X0&b", "a&X0&b"),
            ("&", "&"),
        ] {
            assert_eq!(unescape(raw, d), text, "{raw}");
        }
    }

    #[test]
    fn what_is_escaped_comes_back() {
        let d = Delimiters::default();
        let text = "a|b^c\\d&e ü";
        assert_eq!(unescape(&escape(text, d), d), text);
        assert_eq!(escape("a\rb\u{2}c", d), "a b c");
    }
}
