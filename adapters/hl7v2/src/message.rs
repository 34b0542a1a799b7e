//! One HL7 v2 message as text: found again by segment, field, repetition, component and subcomponent, and written
//! again byte for byte.
//!
//! [`Message`] keeps the text exactly as it came and an index of where its fields are. Everything a reader forgives
//! (line ends, blank and indented lines, short MSH-2, ...) is forgiven in the index, never in the text, and noted.
//! No part of the text may be missing from the index: that is checked for every message, because the tokeniser
//! underneath stops without a word at anything it does not know.

use std::fmt;

use crate::{SeparatorError, Separators};

mod edit;
mod lines;
mod path;
mod tokenise;
mod value;

pub use edit::EditError;
pub use path::{Path, PathError};
pub use tokenise::{
    FlatTokeniser, Hl7Parser, Span, TokenSegment, Tokeniser, TokeniserError, Tokens,
};
pub use value::{Level, Segment, Value};

/// What one message may cost us. The tokeniser takes about 650 bytes for every delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of text.
    pub bytes: usize,
    /// Most delimiters and segment ends.
    pub delimiters: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 16 * 1024 * 1024,
            delimiters: 100_000,
        }
    }
}

/// Why text is not one HL7 message. Carries positions, never content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text does not start with MSH.
    #[error("no MSH segment at the start")]
    NoHeader,
    /// MSH-1 or MSH-2 can't be used.
    #[error("MSH can't be split: {0}")]
    Separators(#[from] SeparatorError),
    /// Another message begins inside: split the batch first.
    #[error("a second MSH segment at byte {at}")]
    SecondHeader {
        /// Position in the text.
        at: usize,
    },
    /// More bytes than [`Limits::bytes`].
    #[error("{bytes} bytes are more than the limit")]
    TooBig {
        /// Length of the text.
        bytes: usize,
    },
    /// More delimiters than [`Limits::delimiters`].
    #[error("{delimiters} delimiters are more than the limit")]
    TooManyDelimiters {
        /// Number of delimiters.
        delimiters: usize,
    },
    /// The tokeniser and we disagree; nothing of the message may be used.
    #[error("segment {segment} was not read whole")]
    Incomplete {
        /// Number of the segment, from 1.
        segment: usize,
    },
    /// The tokeniser gave up.
    #[error(transparent)]
    Tokeniser(#[from] TokeniserError),
}

/// Something the standard does not allow and we read all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Oddity {
    /// A byte order mark, blanks or line ends before MSH.
    BeforeHeader,
    /// A segment ends with LF, or with CR and LF.
    LineEnd,
    /// An empty line.
    BlankLine,
    /// Blanks before a segment id.
    Indented,
    /// A line without segment id was read as the next line of the field before it.
    Continuation,
    /// A segment id that is not three capitals or digits.
    SegmentId,
    /// A segment without any field.
    NoFields,
    /// MSH-2 has less than four characters, or its escape character twice.
    EncodingCharacters,
}

/// An oddity, where it was met first and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseNote {
    /// What.
    pub oddity: Oddity,
    /// Number of the first segment that has it, from 1.
    pub segment: usize,
    /// How often.
    pub count: usize,
}

/// A message: its text, and where everything is in it.
///
/// ```
/// use adapter_hl7v2::Message;
///
/// let message = Message::parse("MSH|^~\\&|LAB||||2026||ORU^R01|7|P|2.5\rPID|1||12^^^H^MR~34||Doe^Jane\r")?;
/// let ids = message.segment("PID").map(|pid| pid.field(3).repetitions().count());
/// assert_eq!(ids, Some(2));
/// assert_eq!(message.path("PID-3[2].1").map(|id| id.raw()), Some("34"));
/// # Ok::<(), adapter_hl7v2::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    text: String,
    separators: Separators,
    segments: Vec<SegmentSpan>,
    fields: Vec<Span>,
    notes: Vec<ParseNote>,
}

/// Where a segment is: its id, its end, and its fields in [`Message::fields`]. MSH counts its two delimiter fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SegmentSpan {
    id: Span,
    end: u32,
    first_field: u32,
    end_field: u32,
}

impl Message {
    /// Parses decoded text with the usual limits.
    ///
    /// # Errors
    /// See [`ParseError`]. Never panics, whatever the text.
    pub fn parse(text: impl Into<String>) -> Result<Self, ParseError> {
        Self::parse_with(text, &Limits::default(), &Hl7Parser)
    }

    /// Parses with other limits or another tokeniser.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn parse_with(
        text: impl Into<String>,
        limits: &Limits,
        tokeniser: &impl Tokeniser,
    ) -> Result<Self, ParseError> {
        let text = text.into();
        // Positions are 32 bits wide.
        if text.len() > limits.bytes.min(u32::MAX as usize - 16) {
            return Err(ParseError::TooBig { bytes: text.len() });
        }
        let lines = lines::read(&text)?;
        let separators = lines.separators;
        let delimiters = text
            .bytes()
            .filter(|&b| separators.divides(b) || matches!(b, b'\r' | b'\n'))
            .count();
        if delimiters > limits.delimiters {
            return Err(ParseError::TooManyDelimiters { delimiters });
        }
        let (segments, fields) = lines::index(&text, &lines, tokeniser)?;
        Ok(Self {
            text,
            separators,
            segments,
            fields,
            notes: lines.notes,
        })
    }

    /// The delimiters the message declares.
    #[must_use]
    pub fn separators(&self) -> &Separators {
        &self.separators
    }

    /// What was odd; empty for a message by the book.
    #[must_use]
    pub fn notes(&self) -> &[ParseNote] {
        &self.notes
    }

    /// The segments in order.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = Segment<'_>> + Clone {
        self.segments.iter().map(|span| Segment::new(self, span))
    }

    /// The first segment with this id.
    #[must_use]
    pub fn segment(&self, id: &str) -> Option<Segment<'_>> {
        self.segments().find(|segment| segment.id() == id)
    }

    /// All segments with this id.
    pub fn segments_of<'m>(&'m self, id: &'m str) -> impl Iterator<Item = Segment<'m>> + Clone {
        self.segments().filter(move |segment| segment.id() == id)
    }

    /// The value at a path such as `PID-3[2].4.1`; empty where the segment has no such part. `None` when the path is
    /// malformed or there is no such segment.
    #[must_use]
    pub fn path(&self, path: &str) -> Option<Value<'_>> {
        self.get(&Path::parse(path).ok()?)
    }

    /// The value at a path that was parsed before.
    #[must_use]
    pub fn get(&self, path: &Path<'_>) -> Option<Value<'_>> {
        let segment = self.segments_of_path(path)?;
        Some(path.within(&segment))
    }

    fn segments_of_path(&self, path: &Path<'_>) -> Option<Segment<'_>> {
        self.segments()
            .filter(|segment| segment.id() == path.segment())
            .nth(path.occurrence().saturating_sub(1))
    }

    /// The text: for an untouched message exactly what was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text as UTF-8 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Gives the text back.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
