//! Which lines of a text are segments, by the tolerant rules of specs/lab-devices.md §1.2, and the clean form of the
//! text that a tokeniser understands.

use std::borrow::Cow;

use super::{Oddity, ParseError, ParseNote, SegmentSpan, Span, Tokeniser};
use crate::{Separators, header};

/// The segments of a text, before their fields are known.
pub(super) struct Lines {
    pub(super) separators: Separators,
    /// Characters of MSH-2.
    msh2: usize,
    lines: Vec<Line>,
    pub(super) notes: Vec<ParseNote>,
    /// The text between first and last segment is what a tokeniser wants.
    clean: bool,
}

/// A segment in the original text: id, then fields up to `end`.
struct Line {
    start: usize,
    id_end: usize,
    end: usize,
}

impl Line {
    /// Nothing but an id, perhaps with lines after it that belong to no field.
    fn has_no_fields(&self, text: &str, separator: u8) -> bool {
        self.id_end == self.end || text.as_bytes().get(self.id_end) != Some(&separator)
    }
}

/// What stands at the start of a line.
enum Start {
    /// A segment id of `length`, after `indent` blanks.
    Id {
        indent: usize,
        length: usize,
        regular: bool,
        fields: bool,
    },
    Text,
}

pub(super) fn read(text: &str) -> Result<Lines, ParseError> {
    let bytes = text.as_bytes();
    let body = header::content_start(bytes);
    let rest = bytes.get(body..).unwrap_or_default();
    if !rest.starts_with(b"MSH") {
        return Err(ParseError::NoHeader);
    }
    let (separators, msh2) = Separators::read(rest)?;
    let mut reader = Reader {
        bytes,
        field: separators.field,
        only_lf: memchr::memchr(b'\r', rest).is_none(),
        lines: Vec::with_capacity(16),
        notes: Vec::new(),
        clean: msh2 == 4,
    };
    if body > 0 {
        reader.note(Oddity::BeforeHeader, 1);
    }
    if msh2 < 4 || (msh2 == 5 && separators.truncation.is_none()) {
        reader.note(Oddity::EncodingCharacters, 1);
    }
    reader.read(body)?;
    Ok(Lines {
        separators,
        msh2,
        lines: reader.lines,
        notes: reader.notes,
        clean: reader.clean,
    })
}

struct Reader<'t> {
    bytes: &'t [u8],
    field: u8,
    only_lf: bool,
    lines: Vec<Line>,
    notes: Vec<ParseNote>,
    clean: bool,
}

impl Reader<'_> {
    fn read(&mut self, body: usize) -> Result<(), ParseError> {
        let length = self.bytes.len();
        let mut line = Line {
            start: body,
            id_end: body + 3,
            end: body + 3,
        };
        let mut from = body;
        loop {
            let unread = self.bytes.get(from..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'\r', b'\n', unread) else {
                line.end = length;
                self.lines.push(line);
                return Ok(());
            };
            let end = from + found;
            let (next, ends, cr) = self.line_end(end);
            if next == length {
                line.end = end;
                self.lines.push(line);
                self.note_line_end(end, next, ends);
                return Ok(());
            }
            let start = self.start(next);
            let breaks = cr || self.only_lf;
            match start {
                Start::Id {
                    indent,
                    length: id,
                    regular,
                    fields,
                } if breaks || (regular && fields && indent == 0) => {
                    line.end = end;
                    self.lines.push(line);
                    self.note_line_end(end, next, ends);
                    let segment = self.lines.len() + 1;
                    let start = next + indent;
                    line = Line {
                        start,
                        id_end: start + id,
                        end: start + id,
                    };
                    if self.bytes.get(start..start + id) == Some(b"MSH") {
                        return Err(ParseError::SecondHeader { at: start });
                    }
                    for (odd, oddity) in [
                        (indent > 0, Oddity::Indented),
                        (!regular, Oddity::SegmentId),
                        (!fields, Oddity::NoFields),
                    ] {
                        if odd {
                            self.clean = false;
                            self.note(oddity, segment);
                        }
                    }
                    from = line.id_end;
                }
                _ => {
                    // Line feeds may stand in text. A carriage return may not, but nothing must vanish.
                    if breaks {
                        self.clean = false;
                        self.note(Oddity::Continuation, self.lines.len() + 1);
                    }
                    from = next;
                }
            }
        }
    }

    /// The line ends (and lines of nothing but blanks) from `at` on: where they stop, how many there are, and whether a
    /// CR is among them.
    fn line_end(&self, at: usize) -> (usize, usize, bool) {
        let mut next = at;
        let mut ends = 0;
        let mut cr = false;
        let mut previous = 0;
        let mut here = at;
        while let Some(&b) = self.bytes.get(here) {
            here += 1;
            match b {
                b'\r' | b'\n' => {
                    // CR LF and LF CR are one.
                    let pair = next + 1 == here
                        && matches!((previous, b), (b'\r', b'\n') | (b'\n', b'\r'));
                    previous = if pair { 0 } else { b };
                    ends += usize::from(!pair || here == at + 1);
                    cr |= b == b'\r';
                    next = here;
                }
                b' ' | b'\t' | 0 => {}
                _ => return (next, ends, cr),
            }
        }
        // Blanks at the very end belong to no line.
        (self.bytes.len(), ends, cr)
    }

    fn start(&self, at: usize) -> Start {
        let line = self.bytes.get(at..).unwrap_or_default();
        let indent = line
            .iter()
            .take_while(|b| matches!(**b, b' ' | b'\t'))
            .count();
        let line = line.get(indent..).unwrap_or_default();
        let length = line
            .iter()
            .take(6)
            .take_while(|b| b.is_ascii_alphanumeric())
            .count();
        let id = line.get(..length).unwrap_or_default();
        let capital = id.first().is_some_and(u8::is_ascii_uppercase);
        let regular = length == 3
            && capital
            && id
                .iter()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let odd = id.first().is_some_and(u8::is_ascii_alphabetic)
            && indent == 0
            && (2..=5).contains(&length)
            || (length == 1 && capital && indent == 0);
        let id = |fields| Start::Id {
            indent,
            length,
            regular,
            fields,
        };
        match line.get(length) {
            Some(&b) if b == self.field && regular => id(true),
            Some(&b) if b == self.field && odd => id(true),
            None | Some(&(b'\r' | b'\n')) if regular => id(false),
            _ => Start::Text,
        }
    }

    fn note_line_end(&mut self, end: usize, next: usize, ends: usize) {
        let segment = self.lines.len();
        let found = self.bytes.get(end..next).unwrap_or_default();
        if found == b"\r" {
            return;
        }
        if next < self.bytes.len() {
            self.clean = false;
        }
        if found.contains(&b'\n') {
            self.note(Oddity::LineEnd, segment);
        }
        if ends > 1 {
            self.note(Oddity::BlankLine, segment);
        }
    }

    fn note(&mut self, oddity: Oddity, segment: usize) {
        match self.notes.iter_mut().find(|n| n.oddity == oddity) {
            Some(note) => note.count += 1,
            None => self.notes.push(ParseNote {
                oddity,
                segment,
                count: 1,
            }),
        }
    }
}

/// The text in the form a tokeniser wants, and where its segments are in it: start and end of each, and what has to be
/// added to a place of one of its fields to find it in the original.
fn clean<'t>(text: &'t str, lines: &Lines) -> (Cow<'t, str>, Vec<(usize, usize, isize)>) {
    let place = |at: usize| isize::try_from(at).unwrap_or_default();
    let (Some(first), Some(last)) = (lines.lines.first(), lines.lines.last()) else {
        return (Cow::Borrowed(""), Vec::new());
    };
    if lines.clean {
        let whole = text.get(first.start..last.end).unwrap_or_default();
        let places = lines.lines.iter().map(|line| {
            (
                line.start - first.start,
                line.end - first.start,
                place(first.start),
            )
        });
        return (Cow::Borrowed(whole), places.collect());
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut places = Vec::with_capacity(lines.lines.len());
    for (n, line) in lines.lines.iter().enumerate() {
        if n > 0 {
            out.push('\r');
        }
        let start = out.len();
        let mut from = line.id_end;
        let id = text.get(line.start..line.id_end).unwrap_or_default();
        if n == 0 {
            let separators = Separators {
                truncation: None,
                ..lines.separators
            };
            out.push_str("MSH");
            out.push(char::from(separators.field));
            out.push_str(&separators.encoding_characters());
            from = line.start + 4 + lines.msh2;
        } else if id.len() == 3 {
            out.push_str(id);
        } else {
            out.push_str("ZZZ");
        }
        let shift = place(from) - place(out.len());
        let fields = text.get(from..line.end).unwrap_or_default();
        if line.has_no_fields(text, lines.separators.field) {
            out.push(char::from(lines.separators.field));
        } else {
            // Same length, and to a tokeniser only CR ends a segment.
            out.extend(fields.chars().map(|c| if c == '\r' { '\n' } else { c }));
        }
        places.push((start, out.len(), shift));
    }
    (Cow::Owned(out), places)
}

/// Finds the fields, and checks that not one byte is missing.
pub(super) fn index(
    text: &str,
    lines: &Lines,
    tokeniser: &impl Tokeniser,
) -> Result<(Vec<SegmentSpan>, Vec<Span>), ParseError> {
    let (clean, places) = clean(text, lines);
    let tokens = tokeniser.tokenise(&clean, &lines.separators)?;
    let mut segments = Vec::with_capacity(lines.lines.len());
    let mut fields = tokens.fields;
    let mut taken = 0;
    let mut tokened = tokens.segments.iter();
    for (n, (line, &(start, end, shift))) in lines.lines.iter().zip(&places).enumerate() {
        let incomplete = || ParseError::Incomplete { segment: n + 1 };
        let token = tokened.next().ok_or_else(incomplete)?;
        let found = fields
            .get_mut(taken..token.end_field)
            .ok_or_else(incomplete)?;
        // Every field begins one after the field separator that ends the one before; the last ends with the segment.
        let mut at = start + 3;
        for (f, span) in found.iter_mut().enumerate() {
            let range = span.range();
            let header = n == 0 && f < 2;
            // MSH-1 is the separator itself.
            let from = if n == 0 && f < 2 { at } else { at + 1 };
            if range.start != from || range.end < range.start {
                return Err(incomplete());
            }
            at = range.end;
            let shift = if header { 0 } else { shift };
            *span = range
                .start
                .checked_add_signed(shift)
                .zip(range.end.checked_add_signed(shift))
                .and_then(|(start, end)| Span::of(&(start..end)))
                .ok_or_else(incomplete)?;
        }
        if at != end || token.span.range() != (start..end) {
            return Err(incomplete());
        }
        if n == 0 {
            place_header(found, line, lines.msh2).ok_or_else(incomplete)?;
        }
        let no_fields = line.has_no_fields(text, lines.separators.field);
        let index = |n: usize| u32::try_from(n).map_err(|_| incomplete());
        let first_field = index(taken)?;
        taken = token.end_field;
        segments.push(SegmentSpan {
            id: Span::of(&(line.start..line.id_end)).ok_or_else(incomplete)?,
            end: u32::try_from(line.end).map_err(|_| incomplete())?,
            first_field,
            end_field: if no_fields {
                first_field
            } else {
                index(taken)?
            },
        });
    }
    if tokened.next().is_some() || taken != fields.len() {
        return Err(ParseError::Incomplete {
            segment: lines.lines.len(),
        });
    }
    Ok((segments, fields))
}

/// MSH-1 and MSH-2 as the sender wrote them.
fn place_header(fields: &mut [Span], line: &Line, msh2: usize) -> Option<()> {
    let [one, two, ..] = fields else { return None };
    *one = Span::of(&(line.start + 3..line.start + 4))?;
    *two = Span::of(&(line.start + 4..line.start + 4 + msh2))?;
    Some(())
}
