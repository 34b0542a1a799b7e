//! Changing one value, and nothing else, of a message.

use super::{FlatTokeniser, Limits, Message, ParseError, Path, PathError, Segment};
use crate::escape;

/// Why a value was not set. The message is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No such path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The message has no such segment.
    #[error("no such segment")]
    NoSegment,
    /// MSH-1 and MSH-2 hold the message together.
    #[error("the delimiters of a message can't be set")]
    Delimiters,
    /// Raw text with a line end or a field separator.
    #[error("a raw value may hold no line end and no field separator")]
    Raw,
    /// The old value holds the only CR of a message of lone LFs, so without it other lines would become segments.
    #[error("the change would move the borders of segments")]
    Borders,
    /// The message would no longer be one.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

impl Message {
    /// Sets the value at `path` to plain `text`, which is escaped once. Parts in between are added where missing.
    ///
    /// `PID-5` replaces all repetitions, `PID-5[2]` one of them, `PID-5.1` the first component of the first.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn set(&mut self, path: &str, text: &str) -> Result<(), EditError> {
        let raw = escape::escape(text, &self.separators).into_owned();
        self.splice(&Path::parse(path)?, &raw)
    }

    /// Sets the value at `path` to `raw`, which is escaped already and may have parts, such as `Doe^Jane`.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn set_raw(&mut self, path: &str, raw: &str) -> Result<(), EditError> {
        let field = self.separators.field;
        if raw
            .bytes()
            .any(|b| b == field || matches!(b, b'\r' | b'\n' | 0x0B | 0x1C))
        {
            return Err(EditError::Raw);
        }
        self.splice(&Path::parse(path)?, raw)
    }

    fn splice(&mut self, path: &Path<'_>, value: &str) -> Result<(), EditError> {
        if path.segment() == "MSH" && path.field() < 3 {
            return Err(EditError::Delimiters);
        }
        let segment = self.segments_of_path(path).ok_or(EditError::NoSegment)?;
        let place = self.place(&segment, path);
        let before = self.text.get(..place.start).unwrap_or_default();
        let after = self.text.get(place.end..).unwrap_or_default();
        let text = [before, place.missing.as_str(), value, after].concat();
        // Read already, so the limits have been kept.
        let limits = Limits {
            bytes: usize::MAX,
            delimiters: usize::MAX,
        };
        let changed = Self::parse_with(text, &limits, &FlatTokeniser)?;
        if !ids(&changed).eq(ids(self)) {
            return Err(EditError::Borders);
        }
        *self = changed;
        Ok(())
    }

    /// Where the value at `path` is, or where it has to go and after which delimiters.
    fn place(&self, segment: &Segment<'_>, path: &Path<'_>) -> Place {
        let span = segment.span();
        let written = segment.len();
        let mut place = match path.field().checked_sub(written + 1) {
            None => {
                let at = span.first_field as usize + path.field() - 1;
                let range = self
                    .fields
                    .get(at)
                    .map(|field| field.range())
                    .unwrap_or_default();
                Place {
                    start: range.start,
                    end: range.end,
                    missing: String::new(),
                }
            }
            Some(between) => {
                let mut place = Place::at(if segment.is_empty() {
                    span.id.end as usize
                } else {
                    span.end as usize
                });
                place.pad(self.separators.field, between + 1);
                place
            }
        };
        let separators = [
            self.separators.repetition,
            self.separators.component,
            self.separators.subcomponent,
        ];
        for (step, separator) in path.steps().into_iter().zip(separators) {
            let Some(number) = step else { break };
            place.descend(&self.text, separator, number);
        }
        place
    }
}

fn ids(message: &Message) -> impl Iterator<Item = &str> {
    message.segments().map(|segment| segment.id())
}

/// A range of the text to be replaced, and what has to stand before the new value.
struct Place {
    start: usize,
    end: usize,
    missing: String,
}

impl Place {
    const fn at(at: usize) -> Self {
        Self {
            start: at,
            end: at,
            missing: String::new(),
        }
    }

    fn pad(&mut self, separator: u8, count: usize) {
        self.missing
            .extend(std::iter::repeat_n(char::from(separator), count));
    }

    /// Narrows the range to part `number` of it.
    fn descend(&mut self, text: &str, separator: u8, number: usize) {
        let whole = text.get(self.start..self.end).unwrap_or_default();
        let mut start = self.start;
        let mut count = 0;
        for part in whole.split(char::from(separator)) {
            count += 1;
            if count == number {
                self.start = start;
                self.end = start + part.len();
                return;
            }
            start += part.len() + 1;
        }
        self.start = self.end;
        self.pad(separator, number - count);
    }
}
