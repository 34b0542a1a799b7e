//! Builds messages of our own from plain values: escaped once, fields in order, segments ended by CR.
//!
//! ```
//! use adapter_hl7v2::{Separators, build::MessageBuilder};
//!
//! let mut message = MessageBuilder::new(Separators::STANDARD);
//! message.header().field(3, "HUB").components(9, ["OML", "O33", "OML_O33"]).field(10, "7").field(12, "2.5.1");
//! message.segment("PID").field(1, "1").components(3, ["12", "", "", "H"]).components(5, ["O|Neil", "Ann"]);
//! assert_eq!(
//!     message.finish(),
//!     "MSH|^~\\&|HUB||||||OML^O33^OML_O33|7||2.5.1\rPID|1||12^^^H||O\\F\\Neil^Ann\r"
//! );
//! ```

use std::borrow::Cow;

use crate::{Charset, Separators, charset, escape};

/// A message being built, segment by segment.
#[derive(Debug, Clone)]
pub struct MessageBuilder {
    separators: Separators,
    segments: Vec<SegmentBuilder>,
}

/// A segment being built. Setting a field again replaces it, [`SegmentBuilder::repeat`] adds to it.
#[derive(Debug, Clone)]
pub struct SegmentBuilder {
    id: String,
    separators: Separators,
    /// Field 1 first, escaped.
    fields: Vec<String>,
}

impl MessageBuilder {
    /// An empty message that will use these delimiters.
    #[must_use]
    pub fn new(separators: Separators) -> Self {
        Self {
            separators,
            segments: Vec::new(),
        }
    }

    /// Begins the MSH segment; MSH-1 and MSH-2 are written already.
    pub fn header(&mut self) -> &mut SegmentBuilder {
        self.segment("MSH")
    }

    /// Begins the next segment. Characters that no id has are left out of `id`.
    pub fn segment(&mut self, id: &str) -> &mut SegmentBuilder {
        self.segments.push_mut(SegmentBuilder {
            id: id.chars().filter(char::is_ascii_alphanumeric).collect(),
            separators: self.separators,
            fields: Vec::new(),
        })
    }

    /// The whole message as text.
    #[must_use]
    pub fn finish(&self) -> String {
        let mut out = String::with_capacity(self.segments.len() * 64);
        for segment in &self.segments {
            segment.write(&mut out);
        }
        out
    }

    /// The whole message as bytes, and how many characters the character set lacks (they became `?`).
    #[must_use]
    pub fn encode(&self, charset: Charset) -> (Vec<u8>, usize) {
        let text = self.finish();
        match charset::encode(&text, charset) {
            (Cow::Owned(bytes), replaced) => (bytes, replaced),
            (Cow::Borrowed(_), replaced) => (text.into_bytes(), replaced),
        }
    }
}

impl SegmentBuilder {
    /// Sets field `number` to one plain value.
    pub fn field(&mut self, number: usize, text: &str) -> &mut Self {
        let raw = escape::escape(text, &self.separators).into_owned();
        self.raw(number, raw)
    }

    /// Sets field `number` to `""`: the receiver is to delete what it has.
    pub fn null(&mut self, number: usize) -> &mut Self {
        self.raw(number, "\"\"".to_owned())
    }

    /// Sets field `number` to components; empty ones at the end are left out.
    pub fn components<'a>(
        &mut self,
        number: usize,
        parts: impl IntoIterator<Item = &'a str>,
    ) -> &mut Self {
        let raw = self.join(parts);
        self.raw(number, raw)
    }

    /// Adds a repetition made of components to field `number`.
    pub fn repeat<'a>(
        &mut self,
        number: usize,
        parts: impl IntoIterator<Item = &'a str>,
    ) -> &mut Self {
        let added = self.join(parts);
        let raw = match self.slot(number) {
            Some(field) if !field.is_empty() => {
                let before = std::mem::take(field);
                format!("{before}{}{added}", char::from(self.separators.repetition))
            }
            _ => added,
        };
        self.raw(number, raw)
    }

    /// Sets field `number` to text that is escaped already and may have parts: a value taken from another message
    /// with the same delimiters. Line ends and field separators in it are escaped, so that it can't break out.
    pub fn raw(&mut self, number: usize, raw: String) -> &mut Self {
        let field = self.separators.field;
        let breaks = |b: u8| b == field || matches!(b, b'\r' | b'\n' | 0x0B | 0x1C);
        let safe = if raw.bytes().any(breaks) {
            let mut out = String::with_capacity(raw.len() + 8);
            for c in raw.chars() {
                match u8::try_from(c) {
                    Ok(b) if breaks(b) => {
                        escape::escape_into(c.encode_utf8(&mut [0; 4]), &self.separators, &mut out);
                    }
                    _ => out.push(c),
                }
            }
            out
        } else {
            raw
        };
        if let Some(slot) = self.slot(number) {
            *slot = safe;
        }
        self
    }

    /// The place of a field. None for field 0 and for MSH-1 and MSH-2, which are not ours to set.
    fn slot(&mut self, number: usize) -> Option<&mut String> {
        let first = if self.is_header() { 3 } else { 1 };
        let at = number.checked_sub(first)?;
        if self.fields.len() <= at {
            self.fields.resize(at + 1, String::new());
        }
        self.fields.get_mut(at)
    }

    fn is_header(&self) -> bool {
        matches!(self.id.as_str(), "MSH" | "FHS" | "BHS")
    }

    fn join<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> String {
        let mut out = String::new();
        let mut missing = 0;
        for (n, part) in parts.into_iter().enumerate() {
            missing += usize::from(n > 0);
            if !part.is_empty() {
                let between = char::from(self.separators.component);
                out.extend(std::iter::repeat_n(between, missing));
                missing = 0;
                escape::escape_into(part, &self.separators, &mut out);
            }
        }
        out
    }

    fn write(&self, out: &mut String) {
        let between = char::from(self.separators.field);
        out.push_str(&self.id);
        if self.is_header() {
            out.push(between);
            out.push_str(&self.separators.encoding_characters());
        }
        let written = self
            .fields
            .iter()
            .rposition(|f| !f.is_empty())
            .map_or(0, |last| last + 1);
        for field in self.fields.iter().take(written) {
            out.push(between);
            out.push_str(field);
        }
        if written == 0 {
            // An id alone, or delimiters alone, is more than many readers can bear.
            out.push(between);
        }
        out.push('\r');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    #[test]
    fn what_is_built_is_read_again() {
        let (own, _) = Separators::read(b"MSH$%!?#$").unwrap();
        for separators in [Separators::STANDARD, own] {
            let mut builder = MessageBuilder::new(separators);
            builder.header().field(10, "1").field(2, "ignored");
            let values = ["a|b^c~d\\e&f", "$%!?#", "line\nline\r", "", "\"\"x"];
            builder
                .segment("ZZ1")
                .components(1, values)
                .repeat(2, ["x"])
                .repeat(2, ["y", "z"])
                .null(3);
            builder.segment("ZZ2");
            let message = Message::parse(builder.finish()).unwrap();
            for (n, value) in values.iter().enumerate() {
                let read = message.segment("ZZ1").unwrap().field(1).component(n + 1);
                assert_eq!(&read.text(), value);
            }
            assert_eq!(message.path("ZZ1-2[2].2").unwrap().raw(), "z");
            assert!(message.path("ZZ1-3").unwrap().is_null());
            assert_eq!(message.path("MSH-10").unwrap().raw(), "1");
            assert_eq!(message.segments().len(), 3);
        }
    }

    #[test]
    fn raw_values_can_not_break_out() {
        let mut builder = MessageBuilder::new(Separators::STANDARD);
        builder.header().raw(3, "a^b|c\rPID|1".into());
        assert_eq!(builder.finish(), "MSH|^~\\&|a^b\\F\\c\\X0D\\PID\\F\\1\r");
    }

    #[test]
    fn the_character_set_is_the_receivers() {
        let mut builder = MessageBuilder::new(Separators::STANDARD);
        builder.header().field(3, "Zoë राव");
        let (bytes, replaced) = builder.encode(Charset::named("8859/1").unwrap());
        assert_eq!(
            (bytes.as_slice(), replaced),
            (&b"MSH|^~\\&|Zo\xEB ???\r"[..], 3)
        );
    }
}
