//! Reading: views into a message's text that allocate nothing until text has to be unescaped.

use std::borrow::Cow;

use super::{Message, SegmentSpan};
use crate::{Formatting, Separators, escape};

/// One segment of a message.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'m> {
    message: &'m Message,
    span: &'m SegmentSpan,
}

/// How deep a [`Value`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A field with all its repetitions.
    Field,
    /// One repetition of a field.
    Repetition,
    /// A component.
    Component,
    /// A subcomponent, or a value without parts (MSH-1, MSH-2).
    Subcomponent,
}

/// A field or a part of one; empty when the message has no such part.
///
/// A value without parts is its own first part: `field.component(1)` of `140` is `140` (HL7 v2.5.1 §2.10.6 asks this
/// of receivers of newer versions). So asking deeper than the sender wrote is always right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'m> {
    raw: &'m str,
    level: Level,
    separators: Separators,
}

impl<'m> Segment<'m> {
    pub(super) fn new(message: &'m Message, span: &'m SegmentSpan) -> Self {
        Self { message, span }
    }

    /// The id: `PID`.
    #[must_use]
    pub fn id(&self) -> &'m str {
        self.message
            .text
            .get(self.span.id.range())
            .unwrap_or_default()
    }

    /// The segment as it stands, without its line end.
    #[must_use]
    pub fn raw(&self) -> &'m str {
        self.message
            .text
            .get(self.span.id.start as usize..self.span.end as usize)
            .unwrap_or_default()
    }

    /// The number of fields that are written, empty ones included. MSH counts MSH-1.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.span.end_field - self.span.first_field) as usize
    }

    /// True for a segment that is nothing but its id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Field `number`, from 1; empty when it is not there.
    #[must_use]
    pub fn field(&self, number: usize) -> Value<'m> {
        let raw = number
            .checked_sub(1)
            .filter(|n| *n < self.len())
            .and_then(|n| self.message.fields.get(self.span.first_field as usize + n))
            .and_then(|span| self.message.text.get(span.range()));
        Value {
            raw: raw.unwrap_or_default(),
            level: if number < 3 && self.id() == "MSH" {
                Level::Subcomponent
            } else {
                Level::Field
            },
            separators: self.message.separators,
        }
    }

    /// All fields that are written, from 1 on.
    pub fn fields(self) -> impl Iterator<Item = Value<'m>> {
        (1..=self.len()).map(move |n| self.field(n))
    }

    pub(super) fn span(&self) -> &'m SegmentSpan {
        self.span
    }
}

impl<'m> Value<'m> {
    fn part(self, raw: &'m str, level: Level) -> Self {
        Self { raw, level, ..self }
    }

    fn parts(self, level: Level, separator: u8) -> impl Iterator<Item = Self> + Clone {
        // A value of this depth or deeper has one part: itself.
        let whole = self.level >= level;
        let (one, many) = if whole {
            (Some(self.raw), None)
        } else {
            (None, Some(self.raw.split(char::from(separator))))
        };
        let level = self.level.max(level);
        one.into_iter()
            .chain(many.into_iter().flatten())
            .map(move |raw| self.part(raw, level))
    }

    fn nth(self, level: Level, separator: u8, number: usize) -> Self {
        number
            .checked_sub(1)
            .and_then(|n| self.parts(level, separator).nth(n))
            .unwrap_or_else(|| self.part("", level))
    }

    /// The repetitions of a field; of an empty field, none.
    pub fn repetitions(self) -> impl Iterator<Item = Self> + Clone {
        let separator = self.separators.repetition;
        let none = self.raw.is_empty();
        self.parts(Level::Repetition, separator)
            .filter(move |_| !none)
    }

    /// Repetition `number`, from 1.
    #[must_use]
    pub fn repetition(self, number: usize) -> Self {
        self.nth(Level::Repetition, self.separators.repetition, number)
    }

    /// The components of a repetition (of a field: of its first).
    pub fn components(self) -> impl Iterator<Item = Self> + Clone {
        let separator = self.separators.component;
        self.repetition(1).parts(Level::Component, separator)
    }

    /// Component `number`, from 1.
    #[must_use]
    pub fn component(self, number: usize) -> Self {
        self.repetition(1)
            .nth(Level::Component, self.separators.component, number)
    }

    /// The subcomponents of a component (of anything wider: of its first).
    pub fn subcomponents(self) -> impl Iterator<Item = Self> + Clone {
        let separator = self.separators.subcomponent;
        self.component(1).parts(Level::Subcomponent, separator)
    }

    /// Subcomponent `number`, from 1.
    #[must_use]
    pub fn subcomponent(self, number: usize) -> Self {
        self.component(1)
            .nth(Level::Subcomponent, self.separators.subcomponent, number)
    }

    /// How deep this value is.
    #[must_use]
    pub fn level(self) -> Level {
        self.level
    }

    /// The characters as they stand in the message.
    #[must_use]
    pub fn raw(self) -> &'m str {
        self.raw
    }

    /// The text this value stands for: escape sequences replaced, formatting commands turned into line feeds.
    ///
    /// Delimiters that are left (when asked of a value with parts) stay as they are.
    #[must_use]
    pub fn text(self) -> Cow<'m, str> {
        self.text_with(Formatting::Newlines)
    }

    /// The text, with a choice for formatting commands. Line ends inside (continuation lines) become line feeds.
    #[must_use]
    pub fn text_with(self, formatting: Formatting) -> Cow<'m, str> {
        let bytes = self.raw.as_bytes();
        if memchr::memchr2(self.separators.escape, b'\r', bytes).is_none() {
            return Cow::Borrowed(self.raw);
        }
        if memchr::memchr(b'\r', bytes).is_none() {
            return escape::unescape(self.raw, &self.separators, formatting);
        }
        let lines = self.raw.replace("\r\n", "\n").replace('\r', "\n");
        Cow::Owned(escape::unescape(&lines, &self.separators, formatting).into_owned())
    }

    /// The text, unless it is empty or `""`.
    #[must_use]
    pub fn value(self) -> Option<Cow<'m, str>> {
        (!self.is_empty() && !self.is_null()).then(|| self.text())
    }

    /// Nothing there: the stored value stays as it is.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// `""`: the stored value is to be deleted (HL7 v2.5.1 §2.5.3.1).
    #[must_use]
    pub fn is_null(self) -> bool {
        self.raw == "\"\""
    }
}
