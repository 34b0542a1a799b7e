//! `OBX[2]-5[1].3.2`: segment (and which of them), field, repetition, component, subcomponent.

use super::{Segment, Value};

/// A parsed path. Everything counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path<'p> {
    segment: &'p str,
    occurrence: usize,
    field: usize,
    repetition: Option<usize>,
    component: Option<usize>,
    subcomponent: Option<usize>,
}

/// Why text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a path at character {at}; expected a form like OBX[2]-5[1].3.2")]
pub struct PathError {
    /// Position of what could not be read.
    pub at: usize,
}

impl<'p> Path<'p> {
    /// Parses a path. Left out: the first segment; all of a field; for `PID-3.1` the first repetition.
    ///
    /// # Errors
    /// Anything left over, a number of zero or above 65,535. Never panics.
    pub fn parse(path: &'p str) -> Result<Self, PathError> {
        let id = path.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (segment, rest) = path.split_at_checked(id).unwrap_or((path, ""));
        let mut cursor = Cursor { path, rest };
        if segment.is_empty() {
            return cursor.error();
        }
        let occurrence = cursor.bracket()?.unwrap_or(1);
        let Some(field) = cursor.after('-')? else {
            return cursor.error();
        };
        let repetition = cursor.bracket()?;
        let component = cursor.after('.')?;
        let subcomponent = match component {
            Some(_) => cursor.after('.')?,
            None => None,
        };
        if cursor.rest.is_empty() {
            Ok(Self {
                segment,
                occurrence,
                field,
                repetition,
                component,
                subcomponent,
            })
        } else {
            cursor.error()
        }
    }

    /// The segment id.
    #[must_use]
    pub fn segment(&self) -> &'p str {
        self.segment
    }

    /// Which of the segments with that id.
    #[must_use]
    pub fn occurrence(&self) -> usize {
        self.occurrence
    }

    /// The field number.
    #[must_use]
    pub fn field(&self) -> usize {
        self.field
    }

    /// The component number, where one is named.
    #[must_use]
    pub fn component(&self) -> Option<usize> {
        self.component
    }

    pub(super) fn within<'m>(&self, segment: &Segment<'m>) -> Value<'m> {
        let mut value = segment.field(self.field);
        if let Some(repetition) = self.repetition {
            value = value.repetition(repetition);
        }
        if let Some(component) = self.component {
            value = value.component(component);
        }
        if let Some(subcomponent) = self.subcomponent {
            value = value.subcomponent(subcomponent);
        }
        value
    }

    /// Repetition, component, subcomponent down to the deepest that is named.
    pub(super) fn steps(&self) -> [Option<usize>; 3] {
        [
            self.repetition.or(self.component.map(|_| 1)),
            self.component,
            self.subcomponent,
        ]
    }
}

struct Cursor<'p> {
    path: &'p str,
    rest: &'p str,
}

impl Cursor<'_> {
    fn error<T>(&self) -> Result<T, PathError> {
        Err(PathError {
            at: self.path.len() - self.rest.len(),
        })
    }

    fn number(&mut self) -> Result<usize, PathError> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at_checked(digits).unwrap_or_default();
        match number.parse::<u16>() {
            Ok(n) if n > 0 => {
                self.rest = rest;
                Ok(usize::from(n))
            }
            _ => self.error(),
        }
    }

    fn after(&mut self, mark: char) -> Result<Option<usize>, PathError> {
        let Some(rest) = self.rest.strip_prefix(mark) else {
            return Ok(None);
        };
        self.rest = rest;
        self.number().map(Some)
    }

    fn bracket(&mut self) -> Result<Option<usize>, PathError> {
        let number = self.after('[')?;
        if number.is_some() {
            let Some(rest) = self.rest.strip_prefix(']') else {
                return self.error();
            };
            self.rest = rest;
        }
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read_and_nothing_else() {
        let full = Path::parse("OBX[2]-5[1].3.2").unwrap();
        assert_eq!(
            (full.segment(), full.occurrence(), full.field()),
            ("OBX", 2, 5)
        );
        assert_eq!(full.steps(), [Some(1), Some(3), Some(2)]);
        assert_eq!(Path::parse("PID-3").unwrap().steps(), [None, None, None]);
        assert_eq!(
            Path::parse("PID-5.1").unwrap().steps(),
            [Some(1), Some(1), None]
        );
        for (wrong, at) in [
            ("", 0),
            ("PID", 3),
            ("PID.3", 3),
            ("PID-0", 4),
            ("PID-3abc", 5),
            ("PID-3(2)", 5),
            ("PID-99999999999999999999", 4),
            ("PID-3[2", 7),
            ("PID-3.1.2.3", 9),
            ("पID-3", 0),
        ] {
            assert_eq!(Path::parse(wrong), Err(PathError { at }), "{wrong}");
        }
    }
}
