//! E1394 / LIS02-A2 records: text to messages, records, fields, repeats and components, and back.
//!
//! Lossless: a record keeps its line, and every accessor gives a view of it. Delimiters are read from each H record,
//! never assumed. A line that is no record belongs to the record before it (line feeds in texts, lines that a logger
//! broke); what stands before the first H belongs to nothing. Both are counted, so that they can be said.

use std::borrow::Cow;
use std::cell::Cell;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

mod delimiters;
mod escape;
mod write;

pub use delimiters::Delimiters;
pub use write::RecordWriter;

/// Text of received bytes, and whether its character set had to be guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    pub text: String,
    /// Not UTF-8 and nothing configured, or not of the configured set.
    pub guessed: bool,
}

/// Decodes before anything is split: in GB 18030 or Shift_JIS the second byte of a character can be a delimiter.
#[must_use]
pub fn decode(bytes: &[u8], configured: Option<&'static Encoding>) -> Decoded {
    let by = |encoding: &'static Encoding| {
        encoding.decode_without_bom_handling_and_without_replacement(bytes)
    };
    let (text, guessed) = match (configured.and_then(by), configured) {
        (Some(text), _) => (text, false),
        (None, configured) => match by(UTF_8) {
            Some(text) => (text, configured.is_some()),
            // every byte is a character of windows-1252
            None => (WINDOWS_1252.decode_without_bom_handling(bytes).0, true),
        },
    };
    Decoded {
        text: text.into_owned(),
        guessed,
    }
}

/// What stands between two H records.
#[derive(Debug)]
pub struct Message<'t> {
    pub delimiters: Delimiters,
    records: Vec<Record<'t>>,
}

impl<'t> Message<'t> {
    /// H is the first of them.
    pub fn records(&self) -> &[Record<'t>] {
        &self.records
    }

    /// The H record.
    #[must_use]
    pub fn header(&self) -> Option<&Record<'t>> {
        self.records.first()
    }
}

/// The messages of a text.
#[derive(Debug, Default)]
pub struct Messages<'t> {
    pub messages: Vec<Message<'t>>,
    /// Records before the first H.
    pub headless: usize,
    /// Lines that are no records and were joined to the record before them.
    pub joined: usize,
    /// Lines that begin with `#` or stand before the first record.
    pub skipped: usize,
}

/// Cuts a text into messages and records.
#[must_use]
pub fn split(text: &str) -> Messages<'_> {
    let mut found = Messages::default();
    let mut delimiters: Option<Delimiters> = None;
    for line in text.split(['\r', '\n']) {
        // Pentra 60 captures: the frame number stands before the letter
        let line = match line.as_bytes() {
            [b'0'..=b'7', letter, rest @ ..]
                if letter.is_ascii_uppercase()
                    && rest.first().is_some_and(|b| !b.is_ascii_alphanumeric()) =>
            {
                line.get(1..).unwrap_or(line)
            }
            _ => line,
        };
        if line.trim().is_empty() {
            continue;
        }
        if let Some(read) = Delimiters::of_header(line) {
            delimiters = Some(read);
            found.messages.push(Message {
                delimiters: read,
                records: vec![Record::new(Cow::Borrowed(line), read)],
            });
            continue;
        }
        let sets = delimiters.unwrap_or_default();
        let is_record = is_record(line, sets);
        match (found.messages.last_mut(), is_record) {
            (Some(message), true) => message.records.push(Record::new(Cow::Borrowed(line), sets)),
            (None, true) => found.headless += 1,
            (_, false) if line.starts_with('#') => found.skipped += 1,
            (Some(message), false) => match message.records.last_mut() {
                Some(record) => {
                    record.line.to_mut().push_str(line);
                    found.joined += 1;
                }
                None => found.skipped += 1,
            },
            (None, false) => found.skipped += 1,
        }
    }
    found
}

/// A letter, then the field delimiter or nothing.
fn is_record(line: &str, delimiters: Delimiters) -> bool {
    let mut chars = line.chars();
    chars.next().is_some_and(|c| c.is_ascii_uppercase())
        && chars.next().is_none_or(|c| c == delimiters.field)
}

/// One record, with a memory of which fields were read.
#[derive(Debug)]
pub struct Record<'t> {
    line: Cow<'t, str>,
    delimiters: Delimiters,
    read: Cell<u128>,
}

impl<'t> Record<'t> {
    fn new(line: Cow<'t, str>, delimiters: Delimiters) -> Self {
        Self {
            line,
            delimiters,
            read: Cell::new(0),
        }
    }

    /// The record's type.
    #[must_use]
    pub fn letter(&self) -> char {
        self.line.chars().next().unwrap_or(' ')
    }

    /// The line as sent.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Field `number`, with the letter as 1; it counts as read from now on.
    #[must_use]
    pub fn field(&self, number: usize) -> Value<'_> {
        if number < 128 {
            self.read.set(self.read.get() | 1 << number);
        }
        self.peek(number)
    }

    /// Field `number` only for a look.
    #[must_use]
    pub fn peek(&self, number: usize) -> Value<'_> {
        let raw = number
            .checked_sub(1)
            .and_then(|at| self.line.split(self.delimiters.field).nth(at));
        Value {
            raw: raw.unwrap_or_default(),
            delimiters: self.delimiters,
        }
    }

    /// Number of the last field.
    #[must_use]
    pub fn len(&self) -> usize {
        self.line.split(self.delimiters.field).count()
    }

    /// A record always has its letter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Whether somebody read the field. Known of the first 128 only.
    #[must_use]
    pub fn was_read(&self, number: usize) -> bool {
        number < 128 && self.read.get() & (1 << number) != 0
    }

    /// Whether anybody read anything.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.read.get() != 0
    }

    /// The record is part of what is translated: what is not read of it is listed field by field.
    pub fn enter(&self) {
        self.read.set(self.read.get() | 1);
    }
}

/// A field or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'r> {
    raw: &'r str,
    delimiters: Delimiters,
}

impl<'r> Value<'r> {
    /// As sent.
    #[must_use]
    pub fn raw(self) -> &'r str {
        self.raw
    }

    /// The repeats of a field; one where there is no delimiter.
    pub fn repeats(self) -> impl Iterator<Item = Self> {
        self.raw
            .split(self.delimiters.repeat)
            .map(move |raw| Self { raw, ..self })
    }

    /// The components.
    pub fn components(self) -> impl Iterator<Item = Self> {
        self.raw
            .split(self.delimiters.component)
            .map(move |raw| Self { raw, ..self })
    }

    /// Component `number` of the first repeat, from 1.
    #[must_use]
    pub fn component(self, number: usize) -> Self {
        let first = self.repeats().next().unwrap_or(self);
        let raw = number
            .checked_sub(1)
            .and_then(|at| first.components().nth(at))
            .map_or("", |c| c.raw);
        Self { raw, ..self }
    }

    /// Unescaped and trimmed; empty for `""`.
    #[must_use]
    pub fn text(self) -> Cow<'r, str> {
        let text = escape::unescape(self.raw, self.delimiters);
        if text.trim() == "\"\"" {
            return Cow::Borrowed("");
        }
        // no database stores NUL
        if text.contains('\0') {
            return Cow::Owned(text.replace('\0', "\u{FFFD}").trim().to_owned());
        }
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        }
    }

    /// As [`Value::text`], none when it says nothing.
    #[must_use]
    pub fn string(self) -> Option<String> {
        let text = self.text();
        (!text.is_empty()).then(|| text.into_owned())
    }

    /// `""`: what is stored is to be deleted.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.raw.trim() == "\"\""
    }

    /// Whether it holds more than delimiters and blanks.
    #[must_use]
    pub fn is_valued(self) -> bool {
        self.raw.chars().any(|c| {
            c != self.delimiters.repeat && c != self.delimiters.component && !c.is_whitespace()
        })
    }

    /// All parts that say something, unescaped, with blanks between them.
    #[must_use]
    pub fn words(self) -> String {
        let parts: Vec<_> = self
            .repeats()
            .flat_map(Self::components)
            .map(Self::text)
            .filter(|t| !t.is_empty())
            .collect();
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_count_from_the_letter_and_delimiters_come_from_h() {
        let all = split("H@!~\\@c1@@dev!1@\rR@1@a!b!!WBC@7!8~9@\n\nL@1@N\r");
        assert_eq!(all.messages.len(), 1);
        let message = &all.messages[0];
        assert_eq!(message.delimiters.field, '@');
        let [h, r, l] = message.records() else {
            panic!("three records")
        };
        assert_eq!(h.field(3).raw(), "c1");
        assert_eq!(h.field(5).component(2).raw(), "");
        // repeat is `!`, component `~`
        assert_eq!(r.field(4).raw(), "7!8~9");
        let repeats: Vec<_> = r.field(4).repeats().map(Value::raw).collect();
        assert_eq!(repeats, ["7", "8~9"]);
        assert_eq!(l.field(3).raw(), "N");
        assert_eq!(r.field(99).raw(), "");
    }

    #[test]
    fn broken_lines_are_joined_and_strangers_counted() {
        let all = split(
            "# note\rP|1\rH|\\^&\rR|13|^^^^MXD#^1|  1.5|10*3/uL||N||||  \r\n   ||2024\rC|1|L|two\nlines|G\r# x\r",
        );
        assert_eq!((all.headless, all.joined, all.skipped), (1, 2, 2));
        let records = all.messages[0].records();
        assert_eq!(records[1].field(13).raw(), "2024");
        assert_eq!(records[2].field(4).raw(), "twolines");
    }

    #[test]
    fn several_messages_each_have_their_own_delimiters() {
        let all = split("1H|\\^&\r2L|1\rH;\\^&;x\rL;1\r");
        assert_eq!(all.messages.len(), 2);
        assert_eq!(all.messages[1].header().unwrap().field(3).raw(), "x");
    }

    #[test]
    fn text_is_decoded_before_it_is_split() {
        // 0xCB5C is one character of Shift_JIS whose second byte is a backslash
        let sjis = Encoding::for_label(b"Shift_JIS");
        let decoded = decode(b"H|\\^&\rP|1|||\x95\x5c^x\r", sjis);
        let all = split(&decoded.text);
        assert_eq!(
            all.messages[0].records()[1].field(5).component(1).raw(),
            "表"
        );
        assert!(!decoded.guessed);
        let latin = decode(b"M\xFCller", None);
        assert_eq!((latin.text.as_str(), latin.guessed), ("Müller", true));
        assert!(!decode("Müller".as_bytes(), None).guessed);
    }
}
